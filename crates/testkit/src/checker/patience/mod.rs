//! Rule 6, the second half: how many parts a server that asked for patience is sent, how long is waited, and that no file
//! is given up before its budget is spent.

mod budgets;
mod failures;
mod window;

use vodferry_engine::{Backoff, EffectId, Fault, FaultKind};

/// No wish of a server is followed for longer.
pub(super) const LONGEST_WISH_MS: u64 = 300_000;
/// No pause after SlowDown is longer, unless the server asks for more.
const SLOW_CAP_MS: u64 = 20_000;

/// What one attempt has to bear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patience {
    /// Parts that the server bears; `None` before it complained.
    window: Option<f64>,
    /// Requests up to this one were sent before the last halving.
    halved_at: Option<EffectId>,
    /// Parts acknowledged since.
    round: f64,
    /// No request before this moment: the server's wish after SlowDown, and the back-off of an outage.
    wish: u64,
    backoff: u64,
    /// From this moment on nothing holds a request back any more.
    latest: u64,
    /// Requests up to this one were under way when the last back-off began, or may have been.
    wave: Option<EffectId>,
    /// They may have been: it is not certain that there was a back-off.
    unsure: bool,
    /// The least that the pause of the last failure lasts: what the server asked for, and what is left of one that is not over.
    asked: u64,
    /// When the longest that the back-offs so far may be is over.
    longest: u64,
    /// Back-offs of the open outage; of the last, when it began and the longest that it may be.
    pauses: u32,
    later: Option<(u64, u64)>,
    /// Since the last drain: a request failed in a way that may open an outage, or certainly does; one that ends it was answered.
    failed: bool,
    opens: bool,
    acknowledged: bool,
    /// Failed requests since the last acknowledged part; and all whose bytes arrived otherwise.
    failures: u32,
    mismatches: u32,
    /// When the open outage began; since when SlowDown is the only answer.
    outage: Option<u64>,
    slow: Option<u64>,
    /// It was the authorizer that began with it.
    slow_asked: bool,
    /// The last SlowDown.
    complained: Option<u64>,
}

/// The least that the back-off after so many failures is, and, where it is drawn, the longest.
pub(super) fn bounds(backoff: Backoff, failures: u32) -> (u64, u64) {
    match backoff {
        Backoff::Fixed { ms } => (ms, 0),
        Backoff::FullJitter { base_ms, cap_ms } => {
            let doubled = 1_u64.checked_shl(failures - 1).unwrap_or(u64::MAX);
            (0, base_ms.saturating_mul(doubled).min(cap_ms))
        }
    }
}

/// The longest back-off.
fn longest(backoff: Backoff) -> u64 {
    match backoff {
        Backoff::Fixed { ms } => ms,
        Backoff::FullJitter { cap_ms, .. } => cap_ms,
    }
}

impl Patience {
    /// Until when a fault of any kind may hold requests back.
    fn hold_back(&mut self, now: u64, fault: &Fault, backoff: Backoff) {
        let pause = match fault.kind {
            FaultKind::SlowDown => SLOW_CAP_MS,
            _ => longest(backoff),
        };
        let wish = fault.retry_after_ms.unwrap_or(0).min(LONGEST_WISH_MS);
        self.latest = self.latest.max(now + pause.max(wish));
    }

    /// Something failed that may open an outage; what is left of a pause that was asked for before is waited for as well.
    fn may_open(&mut self, now: u64, wish: u64) {
        self.failed = true;
        self.asked = wish.max(self.backoff.saturating_sub(now));
    }

    /// Something failed that may begin a back-off.
    fn may_back_off(&mut self, newest: EffectId) {
        (self.wave, self.unsure) = (Some(newest), true);
    }

    /// Request `id` failed: the least that is waited for it. Those under way when a back-off began are part of the same failure, and
    /// only what the server asks for makes the pause longer.
    fn back_off(&mut self, now: u64, id: EffectId, newest: EffectId, wish: u64, backoff: Backoff) {
        (self.failed, self.opens) = (true, true);
        if self.outage.is_some() && Some(id) <= self.wave {
            self.backoff = self.backoff.max(now + wish);
            if self.unsure {
                // Or a back-off begins here.
                self.wave = Some(newest);
                self.longest = self.longest.max(now + longest(backoff));
            }
            return;
        }
        self.pauses += 1;
        (self.wave, self.unsure) = (Some(newest), false);
        self.may_open(now, wish);
        let (least, most) = bounds(backoff, self.pauses);
        self.backoff = now + least.max(self.asked);
        // Some of what failed may have begun a back-off unseen, and each one doubles the next.
        let (_, highest) = bounds(backoff, self.pauses.max(self.failures));
        self.longest = self.longest.max(self.backoff).max(now + highest);
        self.later = Some((now, if self.asked > 0 { 0 } else { most }));
    }

    /// The last failure was one too many, and is told otherwise.
    pub(super) fn spent(&mut self) {
        (self.failed, self.opens) = (false, false);
    }

    /// Somebody helped: patience begins anew.
    pub(super) fn renew(&mut self, now: u64) {
        (self.failures, self.backoff, self.longest, self.slow) = (0, 0, 0, None);
        self.outage = self.outage.map(|_| now);
    }

    /// The authorizer answered something else than SlowDown, which says nothing about storage.
    fn answered(&mut self) {
        self.slow = self.slow.filter(|_| !self.slow_asked);
    }

    fn failed_asking(&mut self) {
        self.answered();
        self.failures += 1;
    }

    fn slowed(&mut self, now: u64, asked: bool) {
        if self.slow.is_none() {
            (self.slow, self.slow_asked) = (Some(now), asked);
        }
    }

    fn failed(&mut self) {
        self.slow = None;
        self.failures += 1;
    }
}
