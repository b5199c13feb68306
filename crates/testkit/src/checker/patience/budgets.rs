//! When a file may be given up.

use vodferry_engine::{Budget, ErrorInfo, Event, FileId};

use super::Patience;
use crate::checker::books::Refusal;
use crate::checker::{Check, Checker, broken};

/// So long only SlowDown may be answered where the budget counts failures.
const SLOW_BUDGET_MS: u64 = 600_000;
/// So often in a row the bytes of a part may arrive other than they were sent.
const MISMATCHES: u32 = 3;

impl Checker {
    /// A file is given up for faults that pass only when its patience is at an end.
    pub(crate) fn despairs_rightly(&self, file: FileId, event: &Event, error: &ErrorInfo) -> Check {
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
    pub(crate) fn is_spent(&self, patience: &Patience, code: &str) -> bool {
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
    pub(crate) fn is_refused(&self, patience: &Patience, refusal: Refusal) -> bool {
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
