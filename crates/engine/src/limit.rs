//! How many parts of a file may be in flight.
//!
//! A number that was set shrinks when the server asks for patience, and grows back to what was set. One that was not set
//! follows the measured goodput: it doubles while that pays, then tries a little more now and then, and keeps what helped
//! (a hill-climb). A round is as many acknowledged parts as may be in flight, and at least a second long; parts sent before
//! the last change say nothing about it.

use crate::vocab::EffectId;

/// One part, in the fixed point of [`Limit::now`].
const ONE: u64 = 1_024;
/// A climbing limit begins with so many parts.
const START: u32 = 4;
/// No round is shorter: answers come in bursts.
const SHORTEST_ROUND_MS: u64 = 1_000;
/// So many rounds may pass between two tries.
const MOST_REST: u32 = 16;

/// The limit of one file.
#[derive(Debug)]
pub(crate) struct Limit {
    most: u32,
    /// In 1/1024 parts.
    now: u64,
    /// Requests below this id were sent before the last change downwards.
    window: EffectId,
    climb: Option<Climb>,
}

impl Limit {
    /// At most so many.
    pub(crate) fn fixed(most: u32) -> Limit {
        Limit { most, now: u64::from(most) * ONE, window: EffectId(0), climb: None }
    }

    /// What goodput asks for, at most so many.
    pub(crate) fn climbing(most: u32) -> Limit {
        let now = u64::from(START.min(most)) * ONE;
        Limit { most, now, window: EffectId(0), climb: Some(Climb::new(EffectId(0))) }
    }

    /// A part of so many bytes was acknowledged, of request `id`; `next` will be the id of the next request.
    pub(crate) fn on_acknowledged(&mut self, mono: u64, id: EffectId, next: EffectId, bytes: u64) {
        // One sent before the last halving says nothing about what the server bears since.
        if id < self.window {
            return;
        }
        match &mut self.climb {
            None => self.now += ONE * ONE / self.now.max(ONE),
            Some(climb) => {
                let parts = u32::try_from(self.now / ONE).unwrap_or(u32::MAX);
                if let Some(parts) = climb.on_acknowledged(mono, id, next, bytes, parts) {
                    self.now = u64::from(parts.max(1)) * ONE;
                }
            }
        }
        self.now = self.now.min(u64::from(self.most) * ONE);
    }

    /// Request `id` was answered SlowDown; `next` will be the id of the next request.
    pub(crate) fn on_slow_down(&mut self, id: EffectId, next: EffectId) {
        if id >= self.window {
            self.now = (self.now / 2).max(ONE);
            self.window = next;
            if let Some(climb) = &mut self.climb {
                climb.rest(next, MOST_REST / 4);
            }
        }
    }

    /// Request `id` had no answer: a climbing limit may have climbed too far.
    pub(crate) fn on_lost(&mut self, id: EffectId, next: EffectId) {
        if self.climb.is_some() {
            self.on_slow_down(id, next);
        }
    }

    /// The way to the network changed: what was measured is of another one.
    pub(crate) fn on_network_changed(&mut self, next: EffectId) {
        if self.climb.is_some() {
            self.now = u64::from(START.min(self.most)) * ONE;
            self.climb = Some(Climb::new(next));
        }
    }

    /// Parts.
    pub(crate) fn get(&self) -> usize {
        usize::try_from(self.now / ONE).unwrap_or(usize::MAX)
    }

    /// What was measured last, in bytes per second.
    pub(crate) fn goodput(&self) -> Option<u64> {
        self.climb.as_ref().map(|climb| climb.best).filter(|best| *best > 0)
    }
}

/// Where a climb stands.
#[derive(Debug)]
enum Stage {
    /// Doubles as long as that pays; in the second round after a doubling at the latest, as connections begin slowly.
    Doubling {
        /// The number before the last doubling; that of now, where it could not double any more.
        before: u32,
        /// The last round did not pay.
        doubted: bool,
    },
    /// Keeps the number for so many rounds.
    Resting(u32),
    /// Has gone up from this number, to see what that brings.
    Trying(u32),
}

/// The measurement behind a climbing limit.
#[derive(Debug)]
struct Climb {
    stage: Stage,
    /// Bytes per second of the number that is kept.
    best: u64,
    /// Rounds to rest after the next try that does not pay.
    patience: u32,
    /// Rounds in a row that were far slower than `best`.
    slow: u32,
    /// Requests below this id were sent before the last change.
    from: EffectId,
    /// When the round began.
    since: Option<u64>,
    bytes: u64,
    parts: u32,
}

impl Climb {
    fn new(from: EffectId) -> Climb {
        Climb {
            stage: Stage::Doubling { before: START, doubted: false },
            best: 0,
            patience: 1,
            slow: 0,
            from,
            since: None,
            bytes: 0,
            parts: 0,
        }
    }

    /// Gives the number of parts from now on, when it changes.
    fn on_acknowledged(
        &mut self,
        mono: u64,
        id: EffectId,
        next: EffectId,
        bytes: u64,
        parts: u32,
    ) -> Option<u32> {
        if id < self.from {
            return None;
        }
        // The round begins with its first answer: what that part took belongs to the time before.
        let Some(since) = self.since else {
            self.since = Some(mono);
            return None;
        };
        self.bytes = self.bytes.saturating_add(bytes);
        self.parts += 1;
        let took = mono.saturating_sub(since);
        if self.parts < parts || took < SHORTEST_ROUND_MS {
            return None;
        }
        let rate = self.bytes.saturating_mul(1_000) / took.max(1);
        self.since = Some(mono);
        self.bytes = 0;
        self.parts = 0;
        let then = self.on_round(rate, parts)?;
        self.from = next;
        self.since = None;
        Some(then)
    }

    fn on_round(&mut self, rate: u64, parts: u32) -> Option<u32> {
        match self.stage {
            Stage::Doubling { .. } if pays(rate, self.best) => {
                self.best = rate;
                self.stage = Stage::Doubling { before: parts, doubted: false };
                Some(parts.saturating_mul(2))
            }
            Stage::Doubling { before, doubted: false } => {
                self.stage = Stage::Doubling { before, doubted: true };
                None
            }
            Stage::Doubling { before, doubted: true } => {
                self.stage = Stage::Resting(1);
                if rate > self.best {
                    self.best = rate;
                    return None;
                }
                Some(before)
            }
            Stage::Trying(before) => {
                if pays(rate, self.best) {
                    self.best = rate;
                    self.patience = 1;
                    self.stage = Stage::Resting(1);
                    return None;
                }
                self.stage = Stage::Resting(self.patience);
                self.patience = (self.patience * 2).min(MOST_REST);
                Some(before)
            }
            Stage::Resting(rounds) => {
                self.slow = if rate < self.best / 2 { self.slow + 1 } else { 0 };
                if self.slow >= 2 {
                    // Another network, or company on it: what was best is so no more.
                    (self.best, self.slow, self.patience) = (rate, 0, 1);
                } else {
                    self.best = (self.best * 3 + rate) / 4;
                }
                if rounds > 1 {
                    self.stage = Stage::Resting(rounds - 1);
                    return None;
                }
                self.stage = Stage::Trying(parts);
                Some(parts + (parts / 4).max(1))
            }
        }
    }

    /// The number was cut from outside: keeps it for so many rounds.
    fn rest(&mut self, next: EffectId, rounds: u32) {
        self.stage = Stage::Resting(rounds);
        self.from = next;
        self.since = None;
        self.bytes = 0;
        self.parts = 0;
    }
}

/// Whether this rate is worth more parts in flight than that one: by a twentieth. On a line of 100 Mbit/s and 200 ms, eight parts of
/// 4 MiB bring a twelfth more than four.
fn pays(rate: u64, best: u64) -> bool {
    rate >= best + best / 20
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// A link that carries `capacity` bytes per second, and `each` per part in flight; runs for so many parts of 1 MiB.
    fn run(limit: &mut Limit, clock: &mut u64, id: &mut u64, parts: u32, capacity: u64, each: u64) {
        for _ in 0..parts {
            let rate = (limit.get() as u64 * each).min(capacity);
            *clock += MIB * 1_000 / rate;
            let sent = EffectId(*id);
            *id += 1;
            limit.on_acknowledged(*clock, sent, EffectId(*id), MIB);
        }
    }

    #[test]
    fn a_fixed_limit_halves_once_per_window_and_grows_back_to_what_was_set() {
        let mut limit = Limit::fixed(8);
        limit.on_slow_down(EffectId(1), EffectId(9));
        limit.on_slow_down(EffectId(8), EffectId(9));
        assert_eq!(limit.get(), 4);
        for id in 9..20 {
            limit.on_slow_down(EffectId(id), EffectId(id + 1));
        }
        assert_eq!(limit.get(), 1);
        limit.on_acknowledged(0, EffectId(19), EffectId(20), MIB);
        assert_eq!(limit.get(), 1);
        for id in 20..120 {
            limit.on_acknowledged(0, EffectId(id), EffectId(id + 1), MIB);
        }
        assert_eq!(limit.get(), 8);
        assert_eq!(limit.goodput(), None);
    }

    #[test]
    fn the_first_request_after_a_halving_counts_for_what_the_server_bears() {
        let mut limit = Limit::fixed(4);
        limit.on_slow_down(EffectId(1), EffectId(5));
        for _ in 0..3 {
            limit.on_acknowledged(0, EffectId(4), EffectId(9), MIB);
        }
        assert_eq!(limit.get(), 2);
        for _ in 0..3 {
            limit.on_acknowledged(0, EffectId(5), EffectId(9), MIB);
        }
        assert_eq!(limit.get(), 3);
    }

    #[test]
    fn a_climbing_limit_goes_to_where_more_does_not_pay_and_stays_near() {
        let (mut limit, mut clock, mut id) = (Limit::climbing(64), 0, 1);
        // Ten parts fill this link.
        run(&mut limit, &mut clock, &mut id, 400, 10 * MIB, MIB);
        let near = limit.get();
        assert!((10..=20).contains(&near), "{near}");
        let goodput = limit.goodput().unwrap();
        assert!(goodput > 9 * MIB, "{goodput}");
        run(&mut limit, &mut clock, &mut id, 2_000, 10 * MIB, MIB);
        assert!((10..=24).contains(&limit.get()), "{}", limit.get());
    }

    #[test]
    fn a_link_that_carries_more_than_the_most_has_the_most() {
        for most in [1, 2, 5, 12, 16] {
            let (mut limit, mut clock, mut id) = (Limit::climbing(most), 0, 1);
            run(&mut limit, &mut clock, &mut id, 200, 40 * MIB, MIB);
            for _ in 0..2_000 {
                assert_eq!(limit.get(), most as usize);
                run(&mut limit, &mut clock, &mut id, 1, 40 * MIB, MIB);
            }
        }
    }

    #[test]
    fn a_link_that_one_part_fills_is_not_crowded() {
        let (mut limit, mut clock, mut id) = (Limit::climbing(64), 0, 1);
        run(&mut limit, &mut clock, &mut id, 200, MIB, 2 * MIB);
        assert!(limit.get() <= 8, "{}", limit.get());
    }

    #[test]
    fn a_link_that_becomes_wider_is_found_out() {
        let (mut limit, mut clock, mut id) = (Limit::climbing(64), 0, 1);
        run(&mut limit, &mut clock, &mut id, 300, 5 * MIB, MIB);
        let before = limit.get();
        run(&mut limit, &mut clock, &mut id, 6_000, 40 * MIB, MIB);
        assert!(limit.get() >= before + 4, "{before}, then {}", limit.get());
    }

    #[test]
    fn no_answer_halves_a_climbing_limit_and_leaves_a_fixed_one() {
        let mut limit = Limit::climbing(64);
        limit.on_lost(EffectId(1), EffectId(5));
        limit.on_lost(EffectId(2), EffectId(5));
        assert_eq!(limit.get(), 2);
        let mut limit = Limit::fixed(8);
        limit.on_lost(EffectId(1), EffectId(5));
        assert_eq!(limit.get(), 8);
    }

    #[test]
    fn a_changed_network_is_measured_anew() {
        let (mut limit, mut clock, mut id) = (Limit::climbing(64), 0, 1);
        run(&mut limit, &mut clock, &mut id, 300, 50 * MIB, MIB);
        assert!(limit.get() > 8);
        limit.on_network_changed(EffectId(id));
        assert_eq!((limit.get(), limit.goodput()), (4, None));
    }

    #[test]
    fn the_most_is_never_passed() {
        let (mut limit, mut clock, mut id) = (Limit::climbing(6), 0, 1);
        for _ in 0..200 {
            run(&mut limit, &mut clock, &mut id, 1, 1_000 * MIB, MIB);
            assert!((1..=6).contains(&limit.get()));
        }
        assert_eq!(limit.get(), 6);
        assert_eq!(Limit::climbing(2).get(), 2);
    }

    /// Gives a climb its rounds: the rate of each, and the number that comes of it, 0 for none.
    fn rounds<const N: usize>(climb: &mut Climb, parts: &mut u32, script: [(u64, u32); N]) {
        for (at, (rate, then)) in script.into_iter().enumerate() {
            assert_eq!(climb.on_round(rate, *parts).unwrap_or(0), then, "round {at}");
            *parts = if then == 0 { *parts } else { then };
        }
    }

    #[test]
    fn each_round_moves_as_its_rate_says() {
        let (mut climb, mut parts) = (Climb::new(EffectId(0)), 4);
        // A twentieth more pays; what does not is given a second round.
        rounds(&mut climb, &mut parts, [(1_000, 8), (1_050, 16), (1_101, 0), (1_102, 32)]);
        // Nothing gained in two: back, a round of rest, a try, and longer rests after each that does not pay.
        rounds(&mut climb, &mut parts, [(1_102, 0), (1_102, 16), (1_102, 20), (1_102, 16)]);
        rounds(&mut climb, &mut parts, [(1_102, 20), (1_102, 16), (1_102, 0), (1_102, 20)]);
        rounds(
            &mut climb,
            &mut parts,
            [(1_102, 16), (1_102, 0), (1_102, 0), (1_102, 0), (1_102, 20)],
        );
        // One that pays is kept, and the next one comes soon.
        rounds(&mut climb, &mut parts, [(1_300, 0), (1_300, 25), (1_300, 20), (1_300, 25)]);
        assert_eq!(climb.best, 1_300);
        climb.patience = MOST_REST;
        rounds(&mut climb, &mut parts, [(1_300, 20)]);
        assert!(matches!(climb.stage, Stage::Resting(MOST_REST)) && climb.patience == MOST_REST);
        // Few parts are tried with one more.
        let mut few = Climb { stage: Stage::Resting(1), best: 9, ..Climb::new(EffectId(0)) };
        rounds(&mut few, &mut 2, [(9, 3)]);
    }

    #[test]
    fn a_little_more_is_kept_and_not_doubled() {
        let (mut climb, mut parts) = (Climb::new(EffectId(0)), 4);
        rounds(&mut climb, &mut parts, [(1_000, 8), (1_020, 0), (1_020, 0)]);
        assert_eq!((climb.best, parts), (1_020, 8));
        rounds(&mut climb, &mut parts, [(1_020, 10)]);
    }

    #[test]
    fn what_was_best_fades_and_is_forgotten_after_two_slow_rounds_in_a_row() {
        let mut climb = Climb { stage: Stage::Resting(9), best: 1_000, ..Climb::new(EffectId(0)) };
        climb.patience = 4;
        for (rate, best) in [(500, 875), (437, 765), (381, 669), (334, 585), (291, 511)] {
            assert_eq!(climb.on_round(rate, 4), None);
            assert_eq!(climb.best, best);
        }
        assert_eq!((climb.slow, climb.patience), (1, 4));
        assert_eq!(climb.on_round(254, 4), None);
        assert_eq!((climb.best, climb.slow, climb.patience), (254, 0, 1));
    }

    #[test]
    fn a_round_takes_so_many_parts_and_so_long_from_its_first_answer_on() {
        let mut climb = Climb::new(EffectId(5));
        let mut heard = |mono, id, bytes| {
            let then = climb.on_acknowledged(mono, EffectId(id), EffectId(40), bytes, 3);
            (then, climb.since, climb.parts)
        };
        assert_eq!(heard(7, 4, 9), (None, None, 0), "sent before the last change");
        assert_eq!(heard(10, 5, 9), (None, Some(10), 0), "the first one begins");
        let end = 10 + SHORTEST_ROUND_MS;
        for (mono, id, parts) in [(11, 6, 1), (end - 1, 7, 2), (end - 1, 8, 3)] {
            assert_eq!(heard(mono, id, 100), (None, Some(10), parts), "too short");
        }
        assert_eq!(heard(end, 9, 100), (Some(6), None, 0));
        assert_eq!(climb.best, 400_000 / SHORTEST_ROUND_MS);
        let mut heard = |mono, id| climb.on_acknowledged(mono, EffectId(id), EffectId(80), 100, 3);
        assert_eq!(
            (heard(0, 39), heard(0, 40), heard(end, 41), heard(end, 42)),
            (None, None, None, None)
        );
        assert_eq!(heard(end, 43), None, "slower: in doubt");
        assert_eq!((climb.since, climb.bytes, climb.parts), (Some(end), 0, 0));
    }

    #[test]
    fn a_cut_from_outside_ends_the_round_and_is_rested_after() {
        let mut limit = Limit::climbing(64);
        let acknowledged = |limit: &mut Limit, id| {
            limit.on_acknowledged(1, EffectId(id), EffectId(9), MIB);
        };
        acknowledged(&mut limit, 1);
        acknowledged(&mut limit, 2);
        limit.on_slow_down(EffectId(3), EffectId(9));
        let climb = limit.climb.as_ref().unwrap();
        assert!(matches!(climb.stage, Stage::Resting(rounds) if rounds * 4 == MOST_REST));
        assert_eq!((climb.from, climb.since, climb.bytes, climb.parts), (EffectId(9), None, 0, 0));
    }
}
