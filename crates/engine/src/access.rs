//! The grant that a file holds: proven, refused, alive by its date, and when it should be renewed.

use crate::clock::Clock;
use crate::vocab::{EffectId, Grant, GrantId, Now, Target};

/// A grant that tells no date counts as fresh for so long.
pub(crate) const FRESH_MS: u64 = 900_000;

/// What a file holds, and waits for.
#[derive(Debug, Default)]
pub(crate) struct Access {
    held: Option<Held>,
    /// Grants received so far: tells requests of an older grant apart, even when the shell names two alike.
    received: u64,
    pub(crate) ask: Option<EffectId>,
    /// Failed renewals in a row, and no further one before this moment.
    pub(crate) renewals_failed: u32,
    pub(crate) renewal_hold: u64,
    /// TokenExpired was told: only `authorize` helps.
    pub(crate) told: bool,
}

/// A grant, and what was learned of it.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    grant: Grant,
    since: u64,
    /// Something succeeded with it.
    proven: bool,
    /// The server called it expired.
    refused: bool,
}

impl Access {
    /// What a file has that was given a grant beforehand.
    pub(crate) fn of(now: Now, grant: Grant) -> Access {
        let mut access = Access::default();
        access.accept(now, grant);
        access
    }

    /// What a file has that starts again: what was learned of its grant is still true.
    pub(crate) fn again(held: Held) -> Access {
        Access { held: Some(held), ..Access::default() }
    }

    /// The grant, for an upload that may have to be given up.
    pub(crate) fn held(&self) -> Option<Held> {
        self.held.clone()
    }

    /// The grant, for the next attempt.
    pub(crate) fn take(&mut self) -> Option<Held> {
        self.held.take()
    }

    pub(crate) fn accept(&mut self, now: Now, grant: Grant) {
        self.received += 1;
        self.held = Some(Held { grant, since: now.mono_ms, proven: false, refused: false });
        self.renewals_failed = 0;
        self.renewal_hold = 0;
        self.told = false;
    }

    /// TokenExpired is told: the grant is over, whatever the clock may say later. Gives its id.
    pub(crate) fn give_up(&mut self) -> Option<GrantId> {
        self.told = true;
        let held = self.held.as_mut()?;
        held.refused = true;
        Some(held.grant.id)
    }

    /// Forgets the grant: its place is gone.
    pub(crate) fn drop_grant(&mut self) {
        self.held = None;
    }

    pub(crate) fn grant(&self) -> Option<&Grant> {
        self.held.as_ref().map(|h| &h.grant)
    }

    pub(crate) fn target(&self) -> Option<&Target> {
        self.grant().map(|g| &g.target)
    }

    /// Tells requests of this grant from those of an older one.
    pub(crate) fn serial(&self) -> u64 {
        self.received
    }

    /// The grant for a new request. As long as the server's time is unknown, one that looks dead is tried all the same: the
    /// server decides.
    pub(crate) fn usable(&self, now: Now, clock: &Clock) -> Option<GrantId> {
        let held = self.held.as_ref().filter(|h| !h.refused)?;
        let dead = dead_by_date(&held.grant, now, clock);
        (!dead || !clock.learned(now)).then_some(held.grant.id)
    }

    /// Something succeeded with the grant of this serial.
    pub(crate) fn on_success(&mut self, serial: u64) {
        if let Some(held) = self.held.as_mut().filter(|_| serial == self.received) {
            held.proven = true;
        }
    }

    /// The server called the grant of this serial expired. True: it was fresh, so the next one would fare no better.
    pub(crate) fn on_expired(&mut self, serial: u64, now: Now, clock: &Clock) -> bool {
        let Some(held) = self.held.as_mut().filter(|_| serial == self.received) else {
            return false;
        };
        if held.refused {
            return false;
        }
        held.refused = true;
        let young = match held.grant.expires_at {
            Some(_) => !dead_by_date(&held.grant, now, clock),
            None => now.mono_ms.saturating_sub(held.since) < FRESH_MS,
        };
        !held.proven && young
    }

    /// Whether TokenExpired was told and not answered.
    pub(crate) fn waits_for_authorize(&self) -> bool {
        self.told
    }

    /// When the grant should be renewed, on the monotonic clock; `None` when its life is unknown or over.
    pub(crate) fn renewal_at(&self, now: Now, clock: &Clock) -> Option<u64> {
        let held = self.held.as_ref().filter(|h| !h.refused)?;
        let left = held.grant.expires_at?.saturating_sub(clock.server_now(now));
        let left = u64::try_from(left).ok().filter(|left| *left > 0)?;
        // At 80 % of its life the age is four times what is left.
        let age = now.mono_ms.saturating_sub(held.since);
        let due = left.saturating_mul(4).saturating_sub(age).div_ceil(5);
        Some(now.mono_ms.saturating_add(due).max(self.renewal_hold))
    }
}

/// Whether it is over by its date and the server's time, as far as that is known.
pub(crate) fn dead_by_date(grant: &Grant, now: Now, clock: &Clock) -> bool {
    grant.expires_at.is_some_and(|at| at <= clock.server_now(now))
}
