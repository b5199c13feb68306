//! The janitor's clock: the wall clock, unless that jumps ahead, be it while no server ran.
//!
//! A wall clock that is set a year ahead for a minute would make every open upload look abandoned.
//! So a jump ahead counts only once the new time has stood for an hour; until then the old time goes
//! on. A jump back counts at once: things live longer by it. A machine that slept looks like a jump, and
//! so does a server that was away or had nothing to do; its janitor is an hour late.

use std::time::{Duration, Instant};

/// How far the wall clock may run ahead between two looks.
const TOLERANCE: Duration = Duration::from_secs(120);
/// How long a jump ahead must stand.
const PROBATION: Duration = Duration::from_secs(3600);

/// Wall time that does not jump ahead.
#[derive(Debug)]
pub(super) struct Steady {
    wall_ms: u64,
    seen: Instant,
    /// Since when the wall clock is ahead of this one.
    ahead: Option<Instant>,
    /// Since when it has not jumped.
    since: Instant,
}

impl Steady {
    /// Begins at `wall_ms`, which is believed: the newest time that the database knows.
    pub(super) fn new(wall_ms: u64, at: Instant) -> Steady {
        Steady { wall_ms, seen: at, ahead: None, since: at }
    }

    /// The time to go by when the wall clock says `wall_ms`, in milliseconds since 1970.
    pub(super) fn at(&mut self, wall_ms: u64, at: Instant) -> u64 {
        let expected = self.wall_ms.saturating_add(millis(at.duration_since(self.seen)));
        let jumped = wall_ms > expected.saturating_add(millis(TOLERANCE));
        let since = match (jumped, self.ahead) {
            (true, Some(since)) => since,
            (true, None) => *self.ahead.insert(at),
            (false, ahead) => {
                let back = wall_ms.saturating_add(millis(TOLERANCE)) < expected;
                let since = if back || ahead.is_some() { at } else { self.since };
                *self = Steady { since, ..Steady::new(wall_ms, at) };
                return wall_ms;
            }
        };
        if at.duration_since(since) < PROBATION {
            return expected;
        }
        tracing::info!(
            ms = wall_ms - expected,
            "the clock is ahead for an hour: it is believed now"
        );
        *self = Steady::new(wall_ms, at);
        wall_ms
    }

    /// For how long the wall clock has run without a jump, as of the last look; nothing while it is ahead.
    pub(super) fn stood(&self) -> Duration {
        if self.ahead.is_some() { Duration::ZERO } else { self.seen - self.since }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;
    const YEAR: u64 = 365 * 24 * 60 * MINUTE;

    #[test]
    fn a_jump_ahead_counts_after_an_hour_and_one_back_at_once() {
        let start = Instant::now();
        let after = |minutes: u64| start + Duration::from_millis(minutes * MINUTE);
        let mut steady = Steady::new(YEAR, start);
        assert_eq!(steady.at(YEAR + MINUTE, after(1)), YEAR + MINUTE);
        for minute in 2..62 {
            assert_eq!(steady.at(3 * YEAR, after(minute)), YEAR + minute * MINUTE, "{minute}");
        }
        assert_eq!(steady.at(3 * YEAR, after(62)), 3 * YEAR);
        assert_eq!(steady.at(YEAR, after(63)), YEAR);
        assert_eq!(steady.at(YEAR + MINUTE, after(64)), YEAR + MINUTE);
    }

    #[test]
    fn a_start_is_no_reason_to_believe_a_jump() {
        let start = Instant::now();
        let after = |minutes: u64| start + Duration::from_millis(minutes * MINUTE);
        let mut steady = Steady::new(YEAR, start);
        assert_eq!(steady.at(3 * YEAR, after(0)), YEAR);
        assert_eq!(steady.at(3 * YEAR + 59 * MINUTE, after(59)), YEAR + 59 * MINUTE);
        assert_eq!(steady.at(3 * YEAR + 60 * MINUTE, after(60)), 3 * YEAR + 60 * MINUTE);
        // A database from the future: a clock that was wrong before is right now.
        assert_eq!(Steady::new(3 * YEAR, start).at(YEAR, after(0)), YEAR);
        // A start that is soon enough is no jump.
        assert_eq!(Steady::new(YEAR, start).at(YEAR + MINUTE, after(0)), YEAR + MINUTE);
    }

    #[test]
    fn a_jump_that_is_taken_back_never_was() {
        let start = Instant::now();
        let after = |minutes: u64| start + Duration::from_millis(minutes * MINUTE);
        let mut steady = Steady::new(YEAR, start);
        assert_eq!(steady.at(2 * YEAR, after(59)), YEAR + 59 * MINUTE);
        assert_eq!(steady.at(YEAR + 60 * MINUTE, after(60)), YEAR + 60 * MINUTE);
        assert_eq!(steady.at(2 * YEAR, after(61)), YEAR + 61 * MINUTE, "counted anew");
        assert_eq!(steady.at(2 * YEAR, after(119)), YEAR + 119 * MINUTE);
        assert_eq!(steady.at(2 * YEAR, after(121)), 2 * YEAR);
    }

    #[test]
    fn a_clock_stands_from_its_last_jump_on() {
        let start = Instant::now();
        let after = |minutes: u64| start + Duration::from_millis(minutes * MINUTE);
        let mut steady = Steady::new(3 * YEAR, start);
        let mut stood = |wall_ms, minute| {
            steady.at(wall_ms, after(minute));
            steady.stood().as_secs() / 60
        };
        // The database knew a time that was wrong.
        assert_eq!(stood(YEAR, 0), 0);
        assert_eq!(stood(YEAR + 90 * MINUTE, 90), 90);
        assert_eq!(stood(2 * YEAR, 91), 0, "ahead");
        assert_eq!(stood(YEAR + 92 * MINUTE, 92), 0, "it was ahead");
        assert_eq!(stood(YEAR + 93 * MINUTE, 93), 1);
        assert_eq!(stood(YEAR, 94), 0, "back");
        assert_eq!(stood(2 * YEAR, 95), 0);
        assert_eq!(stood(2 * YEAR + 60 * MINUTE, 155), 0, "it is believed");
        assert_eq!(stood(2 * YEAR + 61 * MINUTE, 156), 1);
    }
}
