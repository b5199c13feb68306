//! Rule 6, the second half: how many parts a server that asked for patience is sent, how long is waited, and that no file
//! is given up before its budget is spent.

use vodferry_engine::{
    Backoff, Budget, EffectId, ErrorInfo, ErrorKind, Event, Fault, FaultKind, FileId, Op, Reply,
};

use super::answers::{answers, is_compared};
use super::{Check, Checker, Flight, broken};
use crate::coverage::Coverage;

/// No wish of a server is followed for longer.
const LONGEST_WISH_MS: u64 = 300_000;
/// No pause after SlowDown is shorter.
const SLOW_LEAST_MS: u64 = 100;
/// No pause after SlowDown is longer, unless the server asks for more.
const SLOW_CAP_MS: u64 = 20_000;
/// So long only SlowDown may be answered where the budget counts failures.
const SLOW_BUDGET_MS: u64 = 600_000;
/// So often in a row the bytes of a part may arrive other than they were sent.
const MISMATCHES: u32 = 3;

/// What one attempt has to bear.
#[derive(Clone, Debug, Default)]
pub(crate) struct Patience {
    /// Parts that the server bears; `None` before it complained.
    window: Option<f64>,
    /// Requests up to this one were sent before the last halving.
    halved_at: Option<EffectId>,
    /// Parts acknowledged since.
    round: f64,
    /// No request before this moment: the server's wish, and the back-off of an outage.
    wish: u64,
    backoff: u64,
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

impl Checker {
    /// A request is about to go out: it is not before its time, and no part too many.
    pub(super) fn sent_patiently(&self, flight: &Flight) -> Check {
        let Some(watch) = self.files.get(&flight.file) else { return Ok(()) };
        let (patience, now) = (&watch.patience, self.now.mono_ms);
        if now < patience.wish {
            let what = format!("{:?} at {now}, asked until {}", flight.op, patience.wish);
            return broken("6 Retry-After is honoured", what);
        }
        if now < patience.backoff {
            let what = format!("{:?} at {now}, told until {}", flight.op, patience.backoff);
            return broken("6 nothing is sent before the back-off is over", what);
        }
        let Some(window) = patience.window else { return Ok(()) };
        let part = |op: &Op| matches!(op, Op::UploadPart { .. });
        let mine = |f: &&Flight| part(&f.op) && f.file == flight.file;
        let parts = self.flights.values().filter(mine).count() + 1;
        if part(&flight.op) && parts as f64 > window.max(1.0) {
            let what = format!("{parts} parts of file {}, at most {window}", flight.file.0);
            return broken("6 SlowDown shrinks, additively grown again", what);
        }
        Ok(())
    }

    /// A wanted answer came.
    pub(super) fn bear(&mut self, id: EffectId, flight: &Flight, result: &Result<Reply, Fault>) {
        let (now, newest, most) = (self.now.mono_ms, self.newest, f64::from(self.parallel()));
        let climbs = self.climbs();
        let Some(watch) = self.files.get_mut(&flight.file) else { return };
        let patience = &mut watch.patience;
        match result {
            // Nothing was sent.
            Ok(_) if is_compared(&flight.op, result) => {}
            Ok(reply) if answers(&flight.op, reply) => {
                patience.slow = None;
                if matches!(reply, Reply::PartUploaded { .. }) {
                    patience.failures = 0;
                    let counts = Some(id) > patience.halved_at;
                    match patience.window.as_mut().filter(|_| counts) {
                        // After a round a climb goes its own way.
                        Some(window) if climbs => {
                            patience.round += 1.0;
                            if patience.round >= *window {
                                patience.window = None;
                            }
                        }
                        Some(window) => *window = (*window + 1.0 / window.max(1.0)).min(most),
                        None => {}
                    }
                }
            }
            Err(fault) if fault.kind == FaultKind::SlowDown => {
                patience.slowed(now, false);
                // Those refused during a pause do not make it longer; only a wish of the server does.
                let pausing = patience.complained.is_some_and(|at| now < at + SLOW_CAP_MS);
                let least = if pausing { 0 } else { SLOW_LEAST_MS };
                patience.complained = Some(now);
                let wish = fault.retry_after_ms.unwrap_or(0).clamp(least, LONGEST_WISH_MS);
                patience.wish = patience.wish.max(now + wish);
                if Some(id) > patience.halved_at {
                    patience.window = Some((patience.window.unwrap_or(most) / 2.0).max(1.0));
                    patience.halved_at = Some(newest);
                    patience.round = 0.0;
                }
            }
            Err(Fault { kind: FaultKind::Transient(kind), .. }) => {
                patience.failed();
                patience.mismatches += u32::from(*kind == ErrorKind::Integrity);
            }
            // A reply to something else.
            Ok(_) => patience.failed(),
            // Not always a failure; too many are counted rather than too few.
            Err(Fault { kind: FaultKind::ClockSkew | FaultKind::Relist, .. }) => {
                patience.failures += 1
            }
            Err(_) => {}
        }
    }

    /// The authorizer failed.
    pub(super) fn bear_refusal(&mut self, file: FileId, fault: &Fault) {
        let now = self.now.mono_ms;
        self.watch(file, |watch| match fault.kind {
            FaultKind::SlowDown => {
                watch.patience.slowed(now, true);
            }
            _ => watch.patience.failed_asking(),
        });
    }

    /// The authorizer gave a grant that can be used.
    pub(super) fn bear_grant(&mut self, file: FileId) {
        self.watch(file, |watch| watch.patience.answered());
    }

    /// The authorizer gave a credential that was dead: as good as a failure.
    pub(super) fn bear_dead_grant(&mut self, file: FileId) {
        self.watch(file, |watch| watch.patience.failed_asking());
    }

    /// A grant came, or the way to the network changed: waiting may be over sooner.
    pub(super) fn encouraged(&mut self, file: FileId) {
        self.watch(file, |watch| watch.patience.backoff = 0);
    }

    /// `network_changed` was called.
    pub fn network_changed(&mut self) {
        let climbs = self.climbs();
        for watch in self.files.values_mut() {
            watch.patience.backoff = 0;
            if climbs {
                watch.patience.window = None;
            }
        }
    }

    /// The first pause of an outage has the length it should have.
    pub(super) fn retries_rightly(
        &mut self,
        file: FileId,
        delay_ms: u64,
        coverage: &mut Coverage,
    ) -> Check {
        let fits = match self.config.retry.backoff {
            Backoff::Fixed { ms } => delay_ms == ms,
            Backoff::FullJitter { base_ms, cap_ms } => {
                let most = base_ms.min(cap_ms);
                let name = match (delay_ms * 4).checked_div(most.max(1)) {
                    Some(0) => "jitter: first quarter",
                    Some(1) => "jitter: second quarter",
                    Some(2) => "jitter: third quarter",
                    _ => "jitter: last quarter",
                };
                coverage.hit("story", name);
                delay_ms <= most
            }
        };
        let now = self.now.mono_ms;
        self.watch(file, |watch| {
            watch.patience.outage = Some(now);
            watch.patience.backoff = now + delay_ms;
        });
        match fits {
            true => Ok(()),
            false => broken("6 back-off has full jitter", format!("{delay_ms} ms")),
        }
    }

    /// The outage is over.
    pub(super) fn recovered(&mut self, file: FileId) {
        self.watch(file, |watch| watch.patience.outage = None);
    }

    /// A file is given up for faults that pass only when its patience is at an end.
    pub(super) fn despairs_rightly(&self, file: FileId, event: &Event, error: &ErrorInfo) -> Check {
        let Some(watch) = self.files.get(&file) else { return Ok(()) };
        let patience = &watch.patience;
        match self.is_spent(patience, &error.code) || watch.doom.allows(&error.code) {
            true => Ok(()),
            false => broken(
                "6 no file is given up before its budget is spent",
                format!("{event:?}: {patience:?}"),
            ),
        }
    }

    /// Whether a failure with this code may be one too many.
    pub(super) fn is_spent(&self, patience: &Patience, code: &str) -> bool {
        let (now, budget) = (self.now.mono_ms, self.config.retry.budget);
        let lasted = |since: Option<u64>, ms: u64| since.is_some_and(|since| now >= since + ms);
        match code {
            "SlowDown" => match budget {
                Budget::Count(_) => lasted(patience.slow, SLOW_BUDGET_MS),
                Budget::Time { ms } => lasted(patience.slow, ms),
            },
            "EtagMismatch" | "InvalidDigest" if patience.mismatches >= MISMATCHES => true,
            "ConnectionReset"
            | "ServiceUnavailable"
            | "InternalError"
            | "UnexpectedReply"
            | "EtagMismatch"
            | "InvalidDigest"
            | "RequestTimeTooSkewed" => match budget {
                Budget::Count(most) => patience.failures >= most,
                Budget::Time { ms } => lasted(patience.outage, ms),
            },
            _ => true,
        }
    }
}

impl Patience {
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
