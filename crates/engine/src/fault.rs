//! What a fault does to a transfer: the policy of `docs/adr/0005-faults-and-errors.md` and, where it depends on the
//! operation, of `docs/adr/0004-lost-replies.md`.

use crate::desk::Desk;
use crate::retry::Verdict;
use crate::transfer::{Flight, Phase, Transfer, What};
use crate::upload::MOST_DETOURS;
use crate::vocab::{EffectId, ErrorInfo, ErrorKind, Event, Fault, FaultKind, Now};

/// So often in a row the bytes of a part may arrive other than they were sent.
const MOST_MISMATCHES: u32 = 3;

impl Transfer {
    /// A request failed.
    pub(crate) fn on_fault(
        &mut self,
        now: Now,
        desk: &mut Desk,
        id: EffectId,
        flight: Flight,
        fault: Fault,
    ) {
        if let (What::Part(number), Some(parts)) = (flight.what, &mut self.parts) {
            parts.give_back(number);
        }
        match fault.kind {
            FaultKind::ClockSkew => {
                if !self.retry.on_skew(id, desk.next_id()) {
                    self.on_transient(now, desk, id, fault);
                }
            }
            FaultKind::Expired => {
                if self.access.on_expired(flight.serial, now, &desk.clock) {
                    self.fail(desk, fault.into());
                }
            }
            FaultKind::Fatal(kind) => self.on_fatal(now, desk, kind, fault),
            FaultKind::NoSuchUpload => self.on_no_such_upload(desk, fault),
            FaultKind::Relist => match self.phase {
                Phase::Sending | Phase::Completing => self.relist(desk, fault),
                _ => self.on_transient(now, desk, id, fault),
            },
            FaultKind::SlowDown => {
                self.limit.on_slow_down(id, desk.next_id());
                let after = fault.retry_after_ms;
                if self.retry.on_slow_down(now.mono_ms, after, &mut desk.rng) == Verdict::GiveUp {
                    self.fail(desk, fault.into());
                }
            }
            FaultKind::SourceChanged => self.fail(desk, fault.into()),
            FaultKind::Transient(kind) => {
                if self.mismatched(flight.what, kind) >= MOST_MISMATCHES {
                    return self.fail(desk, fault.into());
                }
                // The request may have been carried out all the same.
                self.initiate_lost |= matches!(self.phase, Phase::Initiating);
                self.on_transient(now, desk, id, fault);
            }
        }
    }

    fn on_transient(&mut self, now: Now, desk: &mut Desk, id: EffectId, fault: Fault) {
        let (next, after) = (desk.next_id(), fault.retry_after_ms);
        match self.retry.on_failure(now.mono_ms, id, next, after, &mut desk.rng) {
            Verdict::Again => {}
            Verdict::Opened { delay_ms } => {
                let (file, error) = (self.owner.file, fault.into());
                desk.event(Event::Retry { file, error, delay_ms });
            }
            Verdict::GiveUp => self.fail(desk, fault.into()),
        }
    }

    fn on_fatal(&mut self, now: Now, desk: &mut Desk, kind: ErrorKind, fault: Fault) {
        match (&self.phase, kind) {
            // The right to list is a luxury: without it our own records have to do.
            (Phase::Listing { .. }, ErrorKind::Auth | ErrorKind::Service) => {
                self.reconcile(now, desk, None);
            }
            (Phase::Looking, _) => self.not_looked(desk),
            (Phase::Searching { .. }, _) => self.initiate(),
            // The object exists, and is not what was sent: the upload id is used up.
            (Phase::Completing, ErrorKind::Integrity) => self.fail_for_good(desk, fault.into()),
            _ => self.fail(desk, fault.into()),
        }
    }

    fn on_no_such_upload(&mut self, desk: &mut Desk, fault: Fault) {
        match self.phase {
            Phase::Listing { .. } | Phase::Sending | Phase::Completing => {
                self.vanished(desk, fault);
            }
            Phase::Looking => self.looked(desk, None),
            Phase::Searching { .. } => self.initiate(),
            _ => self.fail(desk, fault.into()),
        }
    }

    fn relist(&mut self, desk: &mut Desk, fault: Fault) {
        self.relisted += 1;
        if self.relisted > MOST_DETOURS {
            return self.fail(desk, fault.into());
        }
        self.cut(desk);
        self.list_parts();
    }

    fn mismatched(&mut self, what: What, kind: ErrorKind) -> u32 {
        let mismatch = kind == ErrorKind::Integrity;
        match (what, &mut self.parts) {
            (What::Part(number), Some(parts)) => parts.on_failure(number, mismatch),
            _ if mismatch && matches!(self.phase, Phase::Putting) => {
                self.mismatches += 1;
                self.mismatches
            }
            _ => {
                self.mismatches = 0;
                0
            }
        }
    }
}

impl From<Fault> for ErrorInfo {
    /// What the application sees of a fault that could not be helped.
    fn from(fault: Fault) -> ErrorInfo {
        let kind = match fault.kind {
            FaultKind::ClockSkew | FaultKind::Expired => ErrorKind::Auth,
            FaultKind::Fatal(kind) | FaultKind::Transient(kind) => kind,
            FaultKind::NoSuchUpload | FaultKind::SlowDown => ErrorKind::Service,
            FaultKind::Relist => ErrorKind::Integrity,
            FaultKind::SourceChanged => ErrorKind::SourceChanged,
        };
        let Fault { code, message, request_id, .. } = fault;
        ErrorInfo { kind, code, message, request_id }
    }
}
