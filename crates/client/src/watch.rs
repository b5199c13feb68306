//! The watch over one request: whether bytes still move, and whether it takes too long altogether.
//!
//! Time spent waiting for the bandwidth limit is the caller's own wish and counts for nothing.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use vodferry_engine::Fault;

use crate::Timeouts;
use crate::limit::PIECE;

/// What the kernel may still hold of a body that was handed over whole.
const KERNEL_BUFFER: u64 = 4 << 20;

/// Looks at the clock no more often than this.
const LOOK: Duration = Duration::from_millis(10);

/// Follows one request.
#[derive(Debug)]
pub(crate) struct Watch {
    timeouts: Timeouts,
    length: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    begun: Instant,
    moved: Instant,
    /// The body was handed over whole; the reply is awaited.
    over: bool,
    /// Bytes of the reply so far; `None` before its head.
    replied: Option<u64>,
    /// Since when the body waits for the bandwidth limit.
    held_since: Option<Instant>,
    held: Duration,
    fault: Option<Fault>,
}

impl Watch {
    /// For a request whose body has `length` bytes, about to be sent.
    pub(crate) fn new(timeouts: Timeouts, length: u64) -> Watch {
        let now = Instant::now();
        let state = State {
            begun: now,
            moved: now,
            over: length == 0,
            replied: None,
            held_since: None,
            held: Duration::ZERO,
            fault: None,
        };
        Watch { timeouts, length, state: Mutex::new(state) }
    }

    /// The body begins to wait for the bandwidth limit.
    pub(crate) fn hold(&self) {
        self.state().held_since = Some(Instant::now());
    }

    /// A piece of the body went out; `over`: the last one.
    pub(crate) fn moved(&self, over: bool) {
        let now = Instant::now();
        let mut state = self.state();
        if let Some(since) = state.held_since.take() {
            state.held += now - since;
        }
        state.moved = now;
        state.over = over;
    }

    /// The head of the reply came, or `bytes` more of its body.
    pub(crate) fn replied(&self, bytes: u64) {
        let mut state = self.state();
        state.moved = Instant::now();
        state.replied = Some(state.replied.unwrap_or_default().saturating_add(bytes));
    }

    /// The body could not be read: why.
    pub(crate) fn fail(&self, fault: Fault) {
        self.state().fault = Some(fault);
    }

    /// Why the body could not be read, if it could not.
    pub(crate) fn take_fault(&self) -> Option<Fault> {
        self.state().fault.take()
    }

    /// Ends when the request is out of time; says how.
    pub(crate) async fn expired(&self) -> &'static str {
        loop {
            let (deadline, text) = self.deadline();
            if deadline <= Instant::now() {
                return text;
            }
            // A deadline comes nearer when the body is over: look again meanwhile.
            let soon = Instant::now().checked_add(self.timeouts.idle.max(LOOK)).unwrap_or(deadline);
            tokio::time::sleep_until(deadline.min(soon)).await;
        }
    }

    fn deadline(&self) -> (Instant, &'static str) {
        let state = self.state();
        let now = Instant::now();
        let far = now + Duration::from_secs(86_400);
        // Who answers does not wait for the rest of the body.
        let held_since = state.held_since.filter(|_| state.replied.is_none());
        let held = state.held + held_since.map_or(Duration::ZERO, |since| now - since);
        let bytes = self.length.saturating_add(state.replied.unwrap_or_default());
        let whole = self.timeouts.for_bytes(bytes).saturating_add(held);
        let whole = state.begun.checked_add(whole).unwrap_or(far);
        // The pieces are large: a line as slow as permitted takes its time for one.
        let slack = match (state.replied, state.over) {
            (Some(_), _) => 0,
            (None, true) => self.length.min(KERNEL_BUFFER),
            (None, false) => PIECE as u64,
        };
        let idle = self
            .timeouts
            .idle
            .saturating_add(Duration::from_secs(slack / self.timeouts.slowest.max(1)));
        let moved = if held_since.is_some() { now } else { state.moved };
        let idle = moved.checked_add(idle).unwrap_or(far);
        if idle <= whole {
            (idle, "no byte moved for too long")
        } else {
            (whole, "it took too long")
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn expires_after(watch: &Watch) -> (u64, &'static str) {
        let begun = Instant::now();
        let text = watch.expired().await;
        (begun.elapsed().as_secs(), text)
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_given_the_idle_time() {
        let watch = Watch::new(Timeouts::default(), 0);
        assert_eq!(expires_after(&watch).await, (30, "no byte moved for too long"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_moves_is_given_its_whole_time() {
        let watch = Watch::new(Timeouts::default(), 8 << 20);
        let moving = async {
            loop {
                tokio::time::sleep(Duration::from_secs(5)).await;
                watch.moved(false);
            }
        };
        let expired = tokio::select! {
            expired = expires_after(&watch) => expired,
            () = moving => unreachable!(),
        };
        assert_eq!(expired, (60 + 1024, "it took too long"));
    }

    /// How long a request of `length` bytes lasts whose reply comes so many bytes every five seconds.
    async fn replying(watch: &Watch, bytes: u64, pieces: u32) -> (u64, &'static str) {
        let moving = async {
            for _ in 0..pieces {
                tokio::time::sleep(Duration::from_secs(5)).await;
                watch.replied(bytes);
            }
        };
        tokio::join!(expires_after(watch), moving).0
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_that_moves_is_given_its_time_and_one_that_trickles_is_not() {
        let steady = Watch::new(Timeouts::default(), 0);
        let (after, text) = replying(&steady, 5 * (8 << 10), 100).await;
        assert!((530..=560).contains(&after), "{after} s");
        assert_eq!(text, "no byte moved for too long");
        let trickle = Watch::new(Timeouts::default(), 0);
        assert_eq!(replying(&trickle, 1, 100).await, (60, "it took too long"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_reply_before_the_limit_let_the_body_go_is_waited_for_no_longer_than_others() {
        let watch = Watch::new(Timeouts::default(), 1024);
        watch.hold();
        let (after, text) = replying(&watch, 0, 1).await;
        assert!((35..=65).contains(&after), "{after} s");
        assert_eq!(text, "no byte moved for too long");
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_for_the_limit_counts_for_nothing() {
        let watch = Watch::new(Timeouts::default(), 1024);
        watch.hold();
        let ((after, text), ()) = tokio::join!(expires_after(&watch), async {
            tokio::time::sleep(Duration::from_secs(5000)).await;
            watch.moved(true);
        });
        // Looked at now and then: the idle time after the wait, and no more than once more.
        assert!((5030..5060).contains(&after), "{after} s");
        assert_eq!(text, "no byte moved for too long");
    }
}
