//! The two clocks of the engine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use vodferry_engine::Now;

/// Reads both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    zero: Instant,
}

impl Clock {
    /// Its monotonic time begins now.
    pub(crate) fn new() -> Clock {
        Clock { zero: Instant::now() }
    }

    pub(crate) fn now(&self) -> Now {
        let mono_ms = u64::try_from(self.zero.elapsed().as_millis()).unwrap_or(u64::MAX);
        Now { mono_ms, wall_ms: wall_ms() }
    }

    /// When the monotonic clock shows `mono_ms`; a year from now for what is further off.
    pub(crate) fn at(&self, mono_ms: u64) -> Instant {
        const YEAR: u64 = 365 * 86_400_000;
        let most = self.now().mono_ms.saturating_add(YEAR);
        self.zero + Duration::from_millis(mono_ms.min(most))
    }
}

/// Milliseconds since 1970.
pub(crate) fn wall_ms() -> i64 {
    let of = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    SystemTime::now().duration_since(UNIX_EPOCH).map_or_else(|error| -of(error.duration()), of)
}
