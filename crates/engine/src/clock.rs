//! What the server's clock says: the wall clock of this machine may be wrong, the server decides by its own.

use crate::vocab::Now;

/// Differences below this are the resolution of `Date` and the travel time of a reply, not a wrong clock.
const NOISE_MS: u64 = 2_000;

/// The offset between the server's clock and this machine's wall clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_ms: i64,
    /// When a reply last told its time.
    told: Option<Now>,
}

impl Clock {
    /// Takes the `Date` of a reply that arrived now.
    pub(crate) fn learn(&mut self, now: Now, server_date_ms: i64) {
        let offset = server_date_ms.saturating_sub(now.wall_ms);
        if offset.abs_diff(self.offset_ms) > NOISE_MS {
            self.offset_ms = offset;
        }
        self.told = Some(now);
    }

    /// To be added to the wall clock.
    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// Whether the offset can be believed: some reply told its time, and the wall clock has not jumped since. Before
    /// that, this machine's belief proves nothing.
    pub(crate) fn learned(&self, now: Now) -> bool {
        let Some(told) = self.told else { return false };
        let passed = now.mono_ms.saturating_sub(told.mono_ms);
        let shown = now.wall_ms.saturating_sub(told.wall_ms);
        shown.abs_diff(i64::try_from(passed).unwrap_or(i64::MAX)) <= NOISE_MS
    }

    /// The server's time, as far as known.
    pub(crate) fn server_now(&self, now: Now) -> i64 {
        now.wall_ms.saturating_add(self.offset_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_not_learned_but_a_wrong_clock_is() {
        let mut clock = Clock::default();
        let now = Now { mono_ms: 0, wall_ms: 10_000 };
        assert!(!clock.learned(now));
        clock.learn(now, 11_900);
        clock.learn(now, 12_000);
        assert!(clock.learned(now));
        assert_eq!(clock.offset_ms(), 0);
        clock.learn(now, 910_000);
        assert_eq!(clock.offset_ms(), 900_000);
        clock.learn(now, 911_500);
        assert_eq!(clock.offset_ms(), 900_000);
        assert_eq!(clock.server_now(now), 910_000);
        clock.learn(now, i64::MIN);
        assert_eq!(clock.server_now(Now { mono_ms: 0, wall_ms: i64::MIN }), i64::MIN);
    }

    #[test]
    fn a_jump_of_the_wall_clock_undoes_what_was_learned() {
        let mut clock = Clock::default();
        clock.learn(Now { mono_ms: 0, wall_ms: 10_000 }, 10_000);
        assert!(clock.learned(Now { mono_ms: 60_000, wall_ms: 70_900 }));
        let jumped = Now { mono_ms: 60_000, wall_ms: 3_670_000 };
        assert!(!clock.learned(jumped));
        assert!(!clock.learned(Now { mono_ms: 60_000, wall_ms: -3_670_000 }));
        clock.learn(jumped, 70_000);
        assert!(clock.learned(jumped));
        assert_eq!(clock.server_now(jumped), 70_000);
    }
}
