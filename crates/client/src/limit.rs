//! The bandwidth limit: one line at which all bodies queue.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The largest piece of a body.
pub(crate) const PIECE: usize = 256 << 10;

/// Gives out moments at which bytes may go. Each asker is told how long to wait, the next one waits longer: a token bucket without a
/// burst, without a clock that ticks.
#[derive(Debug)]
pub(crate) struct Limit {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// Bytes per second; 0 is no limit.
    rate: u64,
    /// When the bytes given out so far are through.
    free_at: Instant,
}

impl Limit {
    pub(crate) fn new(rate: u64) -> Limit {
        Limit { state: Mutex::new(State { rate, free_at: Instant::now() }) }
    }

    pub(crate) fn set(&self, rate: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        *state = State { rate, free_at: Instant::now() };
    }

    /// How long to wait before sending `bytes`. They count as sent.
    pub(crate) fn reserve(&self, bytes: usize) -> Duration {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.rate == 0 {
            return Duration::ZERO;
        }
        let now = Instant::now();
        let start = state.free_at.max(now);
        let nanos = (bytes as u128 * 1_000_000_000 / u128::from(state.rate)).min(1 << 62);
        let cost = Duration::from_nanos(nanos as u64);
        state.free_at = start.checked_add(cost).unwrap_or(start);
        start - now
    }

    /// The size of a piece: about a tenth of a second's worth, so that the line is even and a change is felt soon.
    pub(crate) fn piece(&self) -> usize {
        let rate = self.state.lock().unwrap_or_else(PoisonError::into_inner).rate;
        match rate {
            0 => PIECE,
            _ => usize::try_from(rate / 10).unwrap_or(PIECE).clamp(1, PIECE),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_kept_over_many_askers() {
        let limit = Limit::new(1000);
        let begin = Instant::now();
        for _ in 0..50 {
            tokio::time::sleep(limit.reserve(100)).await;
        }
        // The first piece goes at once, the last one after 49 others.
        let took = begin.elapsed().as_millis();
        assert!((4890..=4960).contains(&took), "{took} ms");
    }

    #[tokio::test(start_paused = true)]
    async fn idle_time_gathers_no_burst() {
        let limit = Limit::new(1000);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(limit.reserve(500), Duration::ZERO);
        assert_eq!(limit.reserve(500).as_millis(), 500);
    }

    #[tokio::test(start_paused = true)]
    async fn a_change_counts_from_now() {
        let limit = Limit::new(1);
        limit.reserve(1000);
        limit.set(0);
        assert_eq!(limit.reserve(1 << 30), Duration::ZERO);
        assert_eq!((limit.piece(), PIECE), (PIECE, 262_144));
        limit.set(50_000);
        assert_eq!(limit.piece(), 5000);
        assert_eq!(limit.reserve(1), Duration::ZERO);
    }
}
