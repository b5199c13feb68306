//! What the server's clock says: the wall clock of this machine may be wrong, the server decides by its own.

use crate::vocab::Now;

/// Differences below this are the resolution of `Date` and the travel time of a reply, not a wrong clock.
const NOISE_MS: u64 = 2_000;

/// The offset between the server's clock and this machine's wall clock.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    offset_ms: i64,
    learned: bool,
}

impl Clock {
    /// Takes the `Date` of a reply that arrived now.
    pub(crate) fn learn(&mut self, now: Now, server_date_ms: i64) {
        let offset = server_date_ms.saturating_sub(now.wall_ms);
        if offset.abs_diff(self.offset_ms) > NOISE_MS {
            self.offset_ms = offset;
        }
        self.learned = true;
    }

    /// To be added to the wall clock.
    pub(crate) fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// Whether any reply told its time: before that, this machine's belief proves nothing.
    pub(crate) fn learned(&self) -> bool {
        self.learned
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
        assert!(!clock.learned());
        clock.learn(now, 11_900);
        assert!(clock.learned());
        assert_eq!(clock.offset_ms(), 0);
        clock.learn(now, 910_000);
        assert_eq!(clock.offset_ms(), 900_000);
        clock.learn(now, 911_500);
        assert_eq!(clock.offset_ms(), 900_000);
        assert_eq!(clock.server_now(now), 910_000);
        clock.learn(now, i64::MIN);
        assert_eq!(clock.server_now(Now { mono_ms: 0, wall_ms: i64::MIN }), i64::MIN);
    }
}
