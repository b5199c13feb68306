//! Failures and what follows them: the back-off, the outage that is told, and its end.

use vodferry_engine::{Backoff, EffectId, ErrorKind, Fault, FaultKind, FileId, Op, Reply};

use super::{LONGEST_WISH_MS, SLOW_CAP_MS, longest};
use crate::checker::answers::{answers, is_compared};
use crate::checker::{Check, Checker, Flight, broken};
use crate::coverage::Coverage;

/// No pause after SlowDown is shorter.
const SLOW_LEAST_MS: u64 = 100;

impl Checker {
    /// A wanted answer came.
    pub(crate) fn bear(&mut self, id: EffectId, flight: &Flight, result: &Result<Reply, Fault>) {
        let (now, newest, most) = (self.now.mono_ms, self.newest, f64::from(self.parallel()));
        let (climbs, backoff) = (self.climbs(), self.config.retry.backoff);
        let Some(watch) = self.files.get_mut(&flight.file) else { return };
        let asked = |fault: &Fault| fault.retry_after_ms.unwrap_or(0).min(LONGEST_WISH_MS);
        // The first failure was for good, whatever comes after it.
        let doomed = watch.doom.is_possible();
        let patience = &mut watch.patience;
        if doomed && !watch.doom.is_certain() {
            patience.may_open(now, result.as_ref().err().map_or(0, asked));
        }
        if let Err(fault) = result {
            patience.hold_back(now, fault, backoff);
        }
        patience.acknowledged |= match (&flight.op, result) {
            // What is found there, or may not be looked at, may be the end of the upload.
            (Op::HeadObject { .. }, Ok(_) | Err(Fault { kind: FaultKind::Fatal(_), .. })) => true,
            (_, Ok(Reply::PartUploaded { .. } | Reply::Put(_) | Reply::Completed(_))) => {
                !is_compared(&flight.op, result)
                    && matches!(result, Ok(r) if answers(&flight.op, r))
            }
            _ => false,
        };
        match result {
            // Nothing was sent.
            Ok(_) if is_compared(&flight.op, result) => {}
            Ok(reply) if answers(&flight.op, reply) => {
                patience.slow = None;
                if matches!(reply, Reply::PartUploaded { .. }) {
                    (patience.failures, patience.pauses, patience.later) = (0, 0, None);
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
            Err(fault) if let FaultKind::Transient(kind) = fault.kind => {
                patience.failed();
                patience.mismatches += u32::from(kind == ErrorKind::Integrity);
                match doomed {
                    false => patience.back_off(now, id, newest, asked(fault), backoff),
                    true => patience.may_back_off(newest),
                }
            }
            // A reply to something else.
            Ok(_) => {
                patience.failed();
                patience.latest = patience.latest.max(now + longest(backoff));
                match doomed {
                    false => patience.back_off(now, id, newest, 0, backoff),
                    true => patience.may_back_off(newest),
                }
            }
            // Not always a failure; too many are counted rather than too few.
            Err(fault) if matches!(fault.kind, FaultKind::ClockSkew | FaultKind::Relist) => {
                patience.failures += 1;
                patience.may_open(now, asked(fault));
                patience.may_back_off(newest);
            }
            Err(_) => {}
        }
    }

    /// The authorizer failed.
    pub(crate) fn bear_refusal(&mut self, id: EffectId, file: FileId, fault: &Fault) {
        let (now, newest, backoff) = (self.now.mono_ms, self.newest, self.config.retry.backoff);
        // As long as the grant lives the next one is not waited for. That the video is gone ends its life.
        if self.holds_usable(file) && fault.kind != FaultKind::NoSuchUpload {
            return self.renewal_failed(file, Some(fault));
        }
        self.watch(file, |watch| {
            let patience = &mut watch.patience;
            patience.hold_back(now, fault, backoff);
            match fault.kind {
                // Storage, complaining within this pause, begins none of its own.
                FaultKind::SlowDown => {
                    patience.slowed(now, true);
                    patience.complained = Some(now);
                }
                FaultKind::Transient(_) => {
                    patience.failed_asking();
                    let wish = fault.retry_after_ms.unwrap_or(0).min(LONGEST_WISH_MS);
                    patience.back_off(now, id, newest, wish, backoff);
                }
                _ => {
                    patience.failed_asking();
                    patience.failed = true;
                }
            }
        });
    }

    /// The authorizer gave a grant that can be used.
    pub(crate) fn bear_grant(&mut self, file: FileId) {
        self.watch(file, |watch| watch.patience.answered());
    }

    /// The authorizer gave a credential that was dead: as good as a failure.
    pub(crate) fn bear_dead_grant(&mut self, id: EffectId, file: FileId) {
        let (now, newest, backoff) = (self.now.mono_ms, self.newest, self.config.retry.backoff);
        if self.holds_usable(file) {
            return self.renewal_failed(file, None);
        }
        self.watch(file, |watch| {
            watch.patience.failed_asking();
            watch.patience.latest = watch.patience.latest.max(now + longest(backoff));
            watch.patience.failed = true;
            watch.patience.back_off(now, id, newest, 0, backoff);
        });
    }

    /// `network_changed` was called.
    pub fn network_changed(&mut self) {
        let climbs = self.climbs();
        for watch in self.files.values_mut() {
            (watch.patience.backoff, watch.patience.longest) = (0, 0);
            if climbs {
                watch.patience.window = None;
            }
        }
    }

    /// The first pause of an outage has the length it should have.
    pub(crate) fn retries_rightly(
        &mut self,
        file: FileId,
        delay_ms: u64,
        coverage: &mut Coverage,
    ) -> Check {
        let Some(watch) = self.files.get(&file) else { return Ok(()) };
        let asked = watch.patience.asked;
        let left = watch.patience.longest.saturating_sub(self.now.mono_ms);
        if !watch.patience.failed {
            let what = format!("file {}, {delay_ms} ms", file.0);
            return broken("5 an outage opens with a failed request", what);
        }
        let fits = match self.config.retry.backoff {
            Backoff::Fixed { ms } => delay_ms == ms.max(asked),
            Backoff::FullJitter { base_ms, cap_ms } => {
                let most = base_ms.min(cap_ms);
                let name = match (delay_ms * 4).checked_div(most.max(1)) {
                    Some(0) => "jitter: first quarter",
                    Some(1) => "jitter: second quarter",
                    Some(2) => "jitter: third quarter",
                    _ => "jitter: last quarter",
                };
                coverage.hit("story", name);
                delay_ms <= most.max(asked).max(left) && delay_ms >= asked
            }
        };
        let (now, newest) = (self.now.mono_ms, self.newest);
        self.watch(file, |watch| {
            watch.patience.outage = Some(now);
            // Also where the failure was not counted because the file seemed to be on its way out.
            watch.patience.wave = Some(newest);
            watch.patience.backoff = now + delay_ms;
        });
        match fits {
            true => Ok(()),
            false => broken("6 back-off has full jitter", format!("{delay_ms} ms")),
        }
    }

    /// The outage is over.
    pub(crate) fn recovered(&mut self, file: FileId) -> Check {
        let Some(watch) = self.files.get_mut(&file) else { return Ok(()) };
        watch.patience.outage = None;
        match watch.patience.acknowledged {
            true => Ok(()),
            false => {
                broken("5 an outage ends with an acknowledged part", format!("file {}", file.0))
            }
        }
    }

    /// All outputs were taken: what opened or ended an outage was told.
    pub(crate) fn tells_outages(&mut self) -> Check {
        for (id, watch) in &mut self.files {
            let patience = &mut watch.patience;
            patience.failed = false;
            let opens = std::mem::take(&mut patience.opens);
            let acknowledged = std::mem::take(&mut patience.acknowledged);
            let Some(attempt) = watch.attempt.as_ref().filter(|a| !a.closing) else { continue };
            let what = format!("file {}", id.0);
            // What is found of the object may end an outage; a part that was acknowledged does, and nothing counts as failed since.
            if acknowledged && attempt.outage && (patience.pauses, patience.failures) == (0, 0) {
                return broken("5 the end of an outage is told", what);
            }
            if opens && !attempt.outage && !watch.doom.is_possible() {
                return broken("5 an outage is told", what);
            }
        }
        Ok(())
    }
}
