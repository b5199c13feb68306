//! The two clocks of the engine.
//!
//! The monotonic one is tokio's, so that `tokio::time::pause` gives virtual time; the wall clock is the system's, or one that a test
//! sets. Work on threads that the runtime does not know of holds a paused clock still ([`Clock::hold`]): virtual time passes only when
//! everything that was begun is done.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;
use vodferry_engine::Now;

/// Tells an uploader the time; see [`UploaderBuilder::clock`](crate::UploaderBuilder::clock). Clones are the same clock.
#[derive(Clone, Debug)]
pub struct Clock {
    zero: Instant,
    /// What the wall clock showed at `zero`, where it is not the system's.
    wall: Option<Arc<AtomicI64>>,
}

impl Clock {
    /// The system's time: what an uploader goes by when it is given no other.
    pub fn system() -> Clock {
        Clock { zero: Instant::now(), wall: None }
    }

    /// For tests: the wall clock shows `wall_ms` (milliseconds since 1970) now, and goes on with tokio's clock, paused or not.
    pub fn scripted(wall_ms: i64) -> Clock {
        Clock { zero: Instant::now(), wall: Some(Arc::new(AtomicI64::new(wall_ms))) }
    }

    /// Somebody sets the wall clock, forward or (negative) back; no-op for that of the system.
    pub fn jump(&self, by_ms: i64) {
        if let Some(wall) = &self.wall {
            wall.fetch_add(by_ms, Ordering::Relaxed);
        }
    }

    /// What the wall clock shows, in milliseconds since 1970.
    pub fn wall_ms(&self) -> i64 {
        match &self.wall {
            Some(wall) => {
                let passed = i64::try_from(self.passed_ms()).unwrap_or(i64::MAX);
                wall.load(Ordering::Relaxed).saturating_add(passed)
            }
            None => wall_ms(),
        }
    }

    pub(crate) fn now(&self) -> Now {
        Now { mono_ms: self.passed_ms(), wall_ms: self.wall_ms() }
    }

    /// When the monotonic clock shows `mono_ms`; a year from now for what is further off.
    pub(crate) fn at(&self, mono_ms: u64) -> Instant {
        const YEAR: u64 = 365 * 86_400_000;
        let most = self.passed_ms().saturating_add(YEAR);
        self.zero + Duration::from_millis(mono_ms.min(most))
    }

    /// Keeps a scripted clock that is paused from running ahead of work on a thread of our own, until dropped. Costs nothing for
    /// the system's clock, which waits for nobody. Called inside of the runtime.
    pub(crate) fn hold(&self) -> Option<Hold> {
        self.wall.as_ref()?;
        let (held, released) = mpsc::channel::<()>();
        // A paused clock stands still while the runtime's blocking threads work.
        tokio::task::spawn_blocking(move || released.recv());
        Some(Hold { _held: held })
    }

    fn passed_ms(&self) -> u64 {
        u64::try_from(self.zero.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// See [`Clock::hold`].
#[derive(Debug)]
pub(crate) struct Hold {
    _held: mpsc::Sender<()>,
}

/// Milliseconds since 1970 as the system knows them.
pub(crate) fn wall_ms() -> i64 {
    let of = |span: Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    SystemTime::now().duration_since(UNIX_EPOCH).map_or_else(|error| -of(error.duration()), of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_scripted_clock_follows_virtual_time_and_jumps() {
        let clock = Clock::scripted(1_000_000);
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(clock.now(), Now { mono_ms: 3_600_000, wall_ms: 4_600_000 });
        clock.clone().jump(-600_000);
        assert_eq!(clock.now(), Now { mono_ms: 3_600_000, wall_ms: 4_000_000 });
        assert_eq!(clock.at(3_600_005), Instant::now() + Duration::from_millis(5));
    }

    #[tokio::test(start_paused = true)]
    async fn virtual_time_waits_for_work_on_threads_of_our_own() {
        let clock = Clock::scripted(0);
        let (done, is_done) = tokio::sync::oneshot::channel();
        let hold = clock.hold();
        std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            let _ = done.send(());
            drop(hold);
        });
        tokio::select! {
            _ = is_done => {}
            () = tokio::time::sleep(Duration::from_secs(3600)) => panic!("time ran ahead"),
        }
        assert_eq!(clock.now().mono_ms, 0);
    }
}
