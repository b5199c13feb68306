//! Rule 6, the second half: how many parts a server that asked for patience is sent, how long is waited, and that no file
//! is given up before its budget is spent.

use vodferry_engine::{
    Backoff, Budget, EffectId, ErrorInfo, ErrorKind, Event, Fault, FaultKind, FileId, Op, Reply,
};

use super::answers::{answers, is_compared};
use super::books::Refusal;
use super::{Check, Checker, Flight, broken};
use crate::coverage::Coverage;
use crate::pairs::Stage;

/// No wish of a server is followed for longer.
pub(super) const LONGEST_WISH_MS: u64 = 300_000;
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

impl Checker {
    /// A request is about to go out: it is not before its time, and no part too many.
    pub(super) fn sent_patiently(&mut self, flight: &Flight, coverage: &mut Coverage) -> Check {
        self.cover_later_pause(flight.file, coverage);
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
    pub(super) fn bear_refusal(&mut self, id: EffectId, file: FileId, fault: &Fault) {
        let (now, newest, backoff) = (self.now.mono_ms, self.newest, self.config.retry.backoff);
        // As long as the grant lives the next one is not waited for. That the video is gone ends its life.
        if self.holds_usable(file) && fault.kind != FaultKind::NoSuchUpload {
            return self.renewal_failed(file, Some(fault));
        }
        self.watch(file, |watch| {
            let patience = &mut watch.patience;
            patience.hold_back(now, fault, backoff);
            match fault.kind {
                FaultKind::SlowDown => patience.slowed(now, true),
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
    pub(super) fn bear_grant(&mut self, file: FileId) {
        self.watch(file, |watch| watch.patience.answered());
    }

    /// The authorizer gave a credential that was dead: as good as a failure.
    pub(super) fn bear_dead_grant(&mut self, id: EffectId, file: FileId) {
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
    pub(super) fn retries_rightly(
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
    pub(super) fn recovered(&mut self, file: FileId) -> Check {
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
    pub(super) fn tells_outages(&mut self) -> Check {
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

    /// All outputs were taken: who may send a part does.
    pub(super) fn fills_the_window(&self) -> Check {
        let body = |f: &&Flight| matches!(f.op, Op::UploadPart { .. } | Op::PutObject { .. });
        if self.flights.values().filter(body).count() >= self.config.max_in_flight as usize {
            return Ok(());
        }
        for id in self.files.keys() {
            if self.could_send(*id) && self.holds_usable(*id) {
                let what = format!("file {} at {}", id.0, self.now.mono_ms);
                return broken("6 as many parts are sent as may be", what);
            }
        }
        Ok(())
    }

    /// Whether nothing but a credential keeps this file from sending one more part. What is not certain is taken for a no.
    pub(super) fn could_send(&self, file: FileId) -> bool {
        let Some(watch) = self.files.get(&file).filter(|_| self.may_send(file)) else {
            return false;
        };
        let (Some(id), Some(length)) = (&watch.upload, watch.length()) else { return false };
        let Some(upload) = self.uploads.get(id) else { return false };
        let sends =
            watch.stage == Stage::Sending && watch.attempt.as_ref().is_some_and(|a| !a.closing);
        let hindered = watch.gone || watch.must_list || watch.doom.is_possible();
        if !sends || hindered || upload.exempt || watch.written.is_some() || !self.is_free(file) {
            return false;
        }
        let part = |f: &&Flight| f.file == file && matches!(f.op, Op::UploadPart { .. });
        let flying = self.flights.values().filter(part).count();
        let settled = upload.known.len() + upload.damaged.len() + flying;
        let window = match watch.patience.window {
            _ if self.climbs() => 1.0,
            None => f64::from(self.parallel()),
            // The engine counts in whole numbers.
            Some(window) => (window - 0.1).max(1.0),
        };
        (settled as u64) < upload.count(length) && flying < window as usize
    }

    /// No back-off and no wish of a server holds this file's requests back.
    pub(super) fn is_free(&self, file: FileId) -> bool {
        let free = |patience: &Patience| {
            let holds = [patience.latest, patience.wish, patience.backoff];
            holds.into_iter().all(|at| at <= self.now.mono_ms)
        };
        self.files.get(&file).is_some_and(|watch| free(&watch.patience))
    }

    /// Nobody is asked for a credential before the back-off is over, unless the present one is renewed ahead of time.
    pub(super) fn asks_patiently(&self, file: FileId) -> Check {
        let Some(watch) = self.files.get(&file).filter(|_| !self.holds_usable(file)) else {
            return Ok(());
        };
        let (now, until) = (self.now.mono_ms, watch.patience.backoff.max(watch.patience.wish));
        match now < until {
            true => broken(
                "6 nobody is asked before the back-off is over",
                format!("file {} at {now}, not before {until}", file.0),
            ),
            false => Ok(()),
        }
    }

    /// How long the later pauses of an outage are, where it is the timer that ends them.
    fn cover_later_pause(&mut self, file: FileId, coverage: &mut Coverage) {
        let (now, woken) = (self.now.mono_ms, self.deadline == Some(self.now.mono_ms));
        let Some(watch) = self.files.get_mut(&file) else { return };
        let pauses = watch.patience.pauses;
        let Some((at, most)) = watch.patience.later.take() else { return };
        if pauses > 1 && woken && most > 0 {
            let second = (now - at) * 2 > most;
            let name = if second { "later pause: second half" } else { "later pause: first half" };
            coverage.hit("story", name);
        }
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
        match code {
            "SlowDown" => self.is_slow_too_long(patience),
            "EtagMismatch" | "InvalidDigest" if patience.mismatches >= MISMATCHES => true,
            "ConnectionReset"
            | "ServiceUnavailable"
            | "InternalError"
            | "UnexpectedReply"
            | "EtagMismatch"
            | "InvalidDigest"
            | "RequestTimeTooSkewed" => self.is_failed_too_often(patience),
            _ => true,
        }
    }

    /// Whether the authorizer need not be asked again after this answer.
    pub(super) fn is_refused(&self, patience: &Patience, refusal: Refusal) -> bool {
        match refusal {
            Refusal::ForGood => true,
            Refusal::ForAWhile => self.is_failed_too_often(patience),
            Refusal::SlowDown => self.is_slow_too_long(patience),
        }
    }

    fn is_failed_too_often(&self, patience: &Patience) -> bool {
        match self.config.retry.budget {
            Budget::Count(most) => patience.failures >= most,
            Budget::Time { ms } => self.lasts(patience.outage, ms),
        }
    }

    fn is_slow_too_long(&self, patience: &Patience) -> bool {
        match self.config.retry.budget {
            Budget::Count(_) => self.lasts(patience.slow, SLOW_BUDGET_MS),
            Budget::Time { ms } => self.lasts(patience.slow, ms),
        }
    }

    fn lasts(&self, since: Option<u64>, ms: u64) -> bool {
        since.is_some_and(|since| self.now.mono_ms >= since + ms)
    }
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
