//! Rule 5, where it is about time: when a living grant is renewed, and when that is tried again after it failed.

use vodferry_engine::{Fault, FileId};

use super::patience::{LONGEST_WISH_MS, bounds};
use super::{Check, Checker, Standing, broken};
use crate::coverage::Coverage;

/// Divisions are rounded.
const SLACK_MS: u64 = 8;
/// Two renewals that fail are not closer together.
const LEAST_MS: u64 = 1_000;

/// Renewals of the present grant that failed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Renewals {
    failed: u32,
    /// The next one is tried no sooner than the first of these moments, and, where it is due, no later than the second.
    from: u64,
    until: u64,
}

impl Checker {
    /// Whether the grant with which this file signs is alive: a further one would be its renewal.
    pub(crate) fn holds_living(&self, file: FileId) -> bool {
        self.left_of(file).is_some()
    }

    /// The authorizer gave nothing that lives, while the grant that is to be renewed still does.
    pub(super) fn renewal_failed(&mut self, file: FileId, fault: Option<&Fault>) {
        let (now, backoff) = (self.now.mono_ms, self.config.retry.backoff);
        let wish = fault.and_then(|f| f.retry_after_ms).unwrap_or(0).min(LONGEST_WISH_MS);
        self.watch(file, |watch| {
            let failed = watch.renewals.failed + 1;
            let (least, most) = bounds(backoff, failed);
            let from = now + least.max(LEAST_MS).max(wish);
            watch.renewals = Renewals { failed, from, until: from.max(now + most) };
        });
    }

    /// A grant came that lives.
    pub(super) fn cover_renewal(&self, file: FileId, coverage: &mut Coverage) {
        if !self.holds_living(file) {
            return;
        }
        coverage.hit("story", "grant renewed ahead of its end");
        if self.files.get(&file).is_some_and(|watch| watch.renewals.failed > 0) {
            coverage.hit("story", "grant renewed after a failed renewal");
        }
    }

    /// A file that holds a living grant asks for the next one at 80 % of its life, and at a distance where that failed before.
    pub(super) fn renews_patiently(&self, file: FileId, what: &str) -> Check {
        if let Some(left) = self.left_of(file).filter(|(age, left)| age + SLACK_MS < 4 * left) {
            let what = format!("{what}, age and rest of the present one {left:?}");
            return broken("5 a living grant is renewed at 80 % of its life, not before", what);
        }
        let Some(watch) = self.files.get(&file).filter(|_| self.holds_usable(file)) else {
            return Ok(());
        };
        match self.now.mono_ms < watch.renewals.from {
            true => {
                let what = format!("{what} at {}: {:?}", self.now.mono_ms, watch.renewals);
                broken("5 a renewal that failed is not tried again at once", what)
            }
            false => Ok(()),
        }
    }

    /// With an authorizer every grant in use is renewed when it has 20 % of its life left, or as soon after that as a failed renewal
    /// lets it be tried again; and the engine knows when that is.
    pub(super) fn renews_in_time(&self, deadline: Option<u64>) -> Check {
        if !self.config.authorizer || !self.running || self.paused || self.ask.is_some() {
            return Ok(());
        }
        let now = self.now.mono_ms;
        for (id, watch) in &self.files {
            let over = watch.standing != Standing::Queued || watch.doom.is_possible();
            let idle = watch.expired_told || watch.paused || over;
            let Some((age, left)) = self.left_of(*id).filter(|_| !idle) else { continue };
            let Renewals { failed, until, .. } = watch.renewals;
            let what = || {
                format!(
                    "file {}: age {age} ms, {left} ms left, {failed} failed, {deadline:?}",
                    id.0
                )
            };
            if age > 4 * left + SLACK_MS && now >= until {
                return match failed {
                    0 => broken("5 a grant is renewed at 80 % of its life", what()),
                    _ => broken("5 a renewal that failed is tried again", what()),
                };
            }
            let due = now + (4 * left).saturating_sub(age).div_ceil(5).max(1);
            if deadline.is_none_or(|at| at > due.max(until) + SLACK_MS) {
                return broken("5 the engine wakes for the renewal", what());
            }
        }
        Ok(())
    }

    /// Age and rest of the grant that this attempt signs with, in milliseconds, if it is alive as far as the engine knows.
    fn left_of(&self, file: FileId) -> Option<(u64, u64)> {
        let watch = self.files.get(&file).filter(|watch| watch.attempt.is_some())?;
        let grant = watch.grant.as_ref().filter(|grant| watch.signed == Some(grant.id))?;
        let left = u64::try_from(grant.expires_at?.saturating_sub(self.server_ms())).ok()?;
        let age = self.now.mono_ms.saturating_sub(watch.since?);
        (left > 0 && !self.dead.contains(&grant.id)).then_some((age, left))
    }
}
