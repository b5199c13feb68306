//! Virtual time: one true course of time, and a client's clock that may be wrong.

use vodferry_engine::Now;

/// The server's clock when the world begins: 2026-01-01T00:00:00Z.
const EPOCH_MS: i64 = 1_767_225_600_000;
/// Where the monotonic clock begins: not at 0, so that a forgotten start shows.
const FIRST_MONO_MS: u64 = 5_000;

/// The clocks of the world. The server's is right; the client's wall clock is off by `skew_ms`.
#[derive(Clone, Debug)]
pub struct Clock {
    mono_ms: u64,
    skew_ms: i64,
}

impl Clock {
    /// The beginning of the world, with a client whose wall clock is `skew_ms` ahead.
    pub fn new(skew_ms: i64) -> Clock {
        Clock { mono_ms: FIRST_MONO_MS, skew_ms }
    }

    /// What the client's two clocks show.
    pub fn now(&self) -> Now {
        Now { mono_ms: self.mono_ms, wall_ms: self.server_ms() + self.skew_ms }
    }

    /// What the client's monotonic clock shows.
    pub fn mono_ms(&self) -> u64 {
        self.mono_ms
    }

    /// What the server's clock shows.
    pub fn server_ms(&self) -> i64 {
        EPOCH_MS + self.mono_ms as i64
    }

    /// Time passes until `mono_ms`; a moment in the past changes nothing.
    pub fn advance_to(&mut self, mono_ms: u64) {
        self.mono_ms = self.mono_ms.max(mono_ms);
    }

    /// Time passes.
    pub fn advance(&mut self, ms: u64) {
        self.mono_ms += ms;
    }

    /// Somebody sets the client's wall clock.
    pub fn jump(&mut self, skew_ms: i64) {
        self.skew_ms = skew_ms;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_moves_the_wall_clock_alone() {
        let mut clock = Clock::new(0);
        let (before, server) = (clock.now(), clock.server_ms());
        clock.jump(-3_600_000);
        assert_eq!(clock.now().mono_ms, before.mono_ms);
        assert_eq!(clock.now().wall_ms, before.wall_ms - 3_600_000);
        assert_eq!(clock.server_ms(), server);
    }
}
