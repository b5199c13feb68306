//! What a proxy does to a connection, and how each connection gets its share: by script or by seed.

use std::collections::VecDeque;
use std::time::Duration;

use crate::rng::Rng;

/// Which way bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the client to the server.
    Up,
    /// From the server to the client.
    Down,
}

/// One thing that goes wrong on one connection. `after` bytes pass that way unharmed; it happens when the next one comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Both connections are closed in an orderly way; what is under way the other way is lost too.
    Cut {
        /// Which way is counted.
        way: Way,
        /// Bytes that pass before.
        after: u64,
    },
    /// Both connections are reset (RST): what the receiver has not read yet is lost.
    Reset {
        /// Which way is counted.
        way: Way,
        /// Bytes that pass before.
        after: u64,
    },
    /// This way ends as if its sender had closed it (FIN); the other goes on.
    HalfClose {
        /// Which way ends.
        way: Way,
        /// Bytes that pass before.
        after: u64,
    },
    /// Nothing passes this way for a time, then all of it.
    Stall {
        /// Which way stands still.
        way: Way,
        /// Bytes that pass before.
        after: u64,
        /// For how long.
        time: Duration,
    },
    /// This way is no faster than so, from its first byte on.
    Slow {
        /// Which way is slow.
        way: Way,
        /// At least 1.
        bytes_per_second: u64,
    },
    /// Whatever comes this way from here on is taken and never arrives. Nobody is told, the end of the connection neither.
    BlackHole {
        /// Which way leads into it.
        way: Way,
        /// Bytes that pass before.
        after: u64,
    },
    /// Only the first `keep` bytes of an answer arrive, then the connection is closed in an orderly way. An answer is what the server says between two
    /// bytes of the client.
    Truncate {
        /// The first answer of the connection is 0.
        answer: u32,
        /// Bytes of it that arrive.
        keep: u64,
    },
    /// A whole answer (up to 1 MiB of it) arrives twice.
    Duplicate {
        /// The first answer of the connection is 0.
        answer: u32,
        /// When the copy comes.
        again: Again,
    },
}

/// When the copy of an answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Right behind the answer: once the server has been silent for 30 ms, or the client begins with its next request.
    AtOnce,
    /// When the client begins with its next request, in front of that one's answer.
    BeforeNext,
}

/// What connections suffer.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub enum Faults {
    /// Nothing: a proxy like any other.
    #[default]
    None,
    /// Each connection the same.
    Each(Vec<Fault>),
    /// One list for each connection in the order in which they come; nothing once the script is at its end.
    Script(Vec<Vec<Fault>>),
    /// By chance.
    Seeded(Odds),
}

/// Chance: whether a connection suffers, what, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Odds {
    /// The same seed gives the n-th connection the same fault.
    pub seed: u64,
    /// Connections with a fault, in a thousand; default 500.
    pub per_mille: u64,
    /// Kinds of faults, each as often as its weight says. Default: each kind once, but no black holes, which only a time-out of the client ends.
    pub kinds: Vec<(Kind, u64)>,
    /// A fault happens after 0 to so many bytes; small numbers are as likely as large ones (each power of two alike). Default 4 MiB.
    pub most_bytes: u64,
    /// A stall lasts up to so long; default 2 s.
    pub longest_stall: Duration,
    /// A slow way has 1 to 16 times so many bytes per second; default 64 KiB.
    pub slowest: u64,
}

/// A [`Fault`] without its numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of Fault")]
pub enum Kind {
    Cut,
    Reset,
    HalfClose,
    Stall,
    Slow,
    BlackHole,
    Truncate,
    Duplicate,
}

impl Odds {
    /// Chance from this seed; the rest by default.
    pub fn new(seed: u64) -> Odds {
        use Kind::*;
        let kinds = [Cut, Reset, HalfClose, Stall, Slow, Truncate, Duplicate];
        Odds {
            seed,
            per_mille: 500,
            kinds: kinds.map(|kind| (kind, 1)).to_vec(),
            most_bytes: 4 << 20,
            longest_stall: Duration::from_secs(2),
            slowest: 64 << 10,
        }
    }

    /// The same with so many connections in a thousand that suffer.
    pub fn with_per_mille(self, per_mille: u64) -> Odds {
        Odds { per_mille, ..self }
    }

    /// The same with these kinds alone, each as likely.
    pub fn with_kinds(self, kinds: &[Kind]) -> Odds {
        Odds { kinds: kinds.iter().map(|kind| (*kind, 1)).collect(), ..self }
    }

    fn draw(&self, rng: &mut Rng) -> Vec<Fault> {
        if self.kinds.iter().all(|(_, weight)| *weight == 0) || !rng.chance(self.per_mille) {
            return Vec::new();
        }
        let kind = rng.weighted(&self.kinds);
        let way = rng.pick(&[Way::Up, Way::Down]);
        let bits = u64::from(64 - self.most_bytes.leading_zeros());
        let most = (1u64 << rng.between(0, bits).min(63)).min(self.most_bytes);
        let after = rng.between(0, most);
        let answer = rng.below(4) as u32;
        let stall = u64::try_from(self.longest_stall.as_millis()).unwrap_or(u64::MAX);
        let time = Duration::from_millis(rng.between(1, stall.max(1)));
        let bytes_per_second = self.slowest.max(1).saturating_mul(rng.between(1, 16));
        vec![match kind {
            Kind::Cut => Fault::Cut { way, after },
            Kind::Reset => Fault::Reset { way, after },
            Kind::HalfClose => Fault::HalfClose { way, after },
            Kind::Stall => Fault::Stall { way, after, time },
            Kind::Slow => Fault::Slow { way, bytes_per_second },
            Kind::BlackHole => Fault::BlackHole { way, after },
            // Answers of an uploader are short.
            Kind::Truncate => Fault::Truncate { answer, keep: rng.below(600) },
            Kind::Duplicate => {
                Fault::Duplicate { answer, again: rng.pick(&[Again::AtOnce, Again::BeforeNext]) }
            }
        }]
    }
}

/// [`Faults`] being handed out.
#[derive(Debug)]
pub(super) enum Planner {
    Each(Vec<Fault>),
    Script(VecDeque<Vec<Fault>>),
    Seeded(Odds, Rng),
}

impl Planner {
    pub(super) fn new(faults: Faults) -> Planner {
        match faults {
            Faults::None => Planner::Each(Vec::new()),
            Faults::Each(faults) => Planner::Each(faults),
            Faults::Script(script) => Planner::Script(script.into()),
            Faults::Seeded(odds) => {
                let rng = Rng::new(odds.seed);
                Planner::Seeded(odds, rng)
            }
        }
    }

    /// What the next connection suffers.
    pub(super) fn next(&mut self) -> Vec<Fault> {
        match self {
            Planner::Each(faults) => faults.clone(),
            Planner::Script(script) => script.pop_front().unwrap_or_default(),
            Planner::Seeded(odds, rng) => odds.draw(rng),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_followed_and_then_all_is_well() {
        let cut = Fault::Cut { way: Way::Up, after: 7 };
        let mut planner = Planner::new(Faults::Script(vec![vec![], vec![cut]]));
        assert_eq!([planner.next(), planner.next(), planner.next()], [vec![], vec![cut], vec![]]);
    }

    #[test]
    fn a_seed_repeats_itself_and_draws_every_kind() {
        let live = |seed| {
            let mut planner = Planner::new(Faults::Seeded(Odds::new(seed).with_per_mille(700)));
            (0..2_000).map(|_| planner.next()).collect::<Vec<_>>()
        };
        let plans = live(5);
        assert_eq!(plans, live(5));
        assert_ne!(plans, live(6));
        let faults: Vec<Fault> = plans.into_iter().flatten().collect();
        assert!((1_300..1_500).contains(&faults.len()), "{}", faults.len());
        let kind = |meant: fn(&Fault) -> bool| faults.iter().filter(|fault| meant(fault)).count();
        for count in [
            kind(|fault| matches!(fault, Fault::Cut { after: ..100, .. })),
            kind(|fault| matches!(fault, Fault::Cut { after: 1_000_000.., .. })),
            kind(|fault| matches!(fault, Fault::Reset { way: Way::Down, .. })),
            kind(|fault| matches!(fault, Fault::HalfClose { way: Way::Up, .. })),
            kind(|fault| matches!(fault, Fault::Stall { .. })),
            kind(|fault| matches!(fault, Fault::Slow { .. })),
            kind(|fault| matches!(fault, Fault::Truncate { .. })),
            kind(|fault| matches!(fault, Fault::Duplicate { again: Again::BeforeNext, .. })),
        ] {
            assert!(count > 5, "{count}");
        }
        assert_eq!(kind(|fault| matches!(fault, Fault::BlackHole { .. })), 0);
    }
}
