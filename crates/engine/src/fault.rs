//! What a fault does to a transfer: the policy of `docs/adr/0005-faults-and-errors.md` and, where it depends on the
//! operation, of `docs/adr/0004-lost-replies.md`.

use crate::config::OnPartFailure;
use crate::desk::Desk;
use crate::flight::{Flight, What};
use crate::retry::{Asker, Verdict};
use crate::transfer::{Phase, Transfer};
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
        if self.failing.is_some() && fault.kind != FaultKind::SourceChanged {
            // The first failure was for good, whatever comes after it.
            if fault.kind == FaultKind::Expired {
                desk.refused.insert(flight.grant);
                self.access.on_expired(flight.serial, now, &desk.clock);
            }
            return;
        }
        match fault.kind {
            FaultKind::ClockSkew => {
                if !self.retry.on_skew(id, desk.next_id()) {
                    self.on_transient(now, desk, id, fault);
                }
            }
            FaultKind::Expired => {
                desk.refused.insert(flight.grant);
                if self.access.on_expired(flight.serial, now, &desk.clock) {
                    self.fail_for_request(desk, fault);
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
                if self.on_slow_down(now, desk, Asker::Storage, &fault) == Verdict::GiveUp {
                    self.fail_for_request(desk, fault);
                }
            }
            FaultKind::SourceChanged => self.fail(desk, fault.into()),
            FaultKind::Transient(kind) => {
                if self.mismatched(flight.what, kind) >= MOST_MISMATCHES {
                    return self.fail_for_request(desk, fault);
                }
                // The request may have been carried out all the same.
                self.initiate_lost |= matches!(self.phase, Phase::Initiating);
                if kind == ErrorKind::Network {
                    self.limit.on_lost(id, desk.next_id());
                }
                self.on_transient(now, desk, id, fault);
            }
        }
    }

    /// The server asks for patience: told once per attempt, so that a file that stands still is no riddle.
    pub(crate) fn on_slow_down(
        &mut self,
        now: Now,
        desk: &mut Desk,
        asker: Asker,
        fault: &Fault,
    ) -> Verdict {
        match self.retry.on_slow_down(now.mono_ms, asker, fault.retry_after_ms, &mut desk.rng) {
            Verdict::Opened { .. } => {
                let (file, error) = (self.owner.file, fault.clone().into());
                desk.event(Event::Warning { file, error });
                Verdict::Again
            }
            verdict => verdict,
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
            Verdict::GiveUp => self.fail_for_request(desk, fault),
        }
    }

    /// A request failed for good, and the file with it: at once, or when the other parts in flight are answered.
    fn fail_for_request(&mut self, desk: &mut Desk, fault: Fault) {
        let others = matches!(self.phase, Phase::Sending) && !self.flight.is_empty();
        if others && desk.config.on_part_failure == OnPartFailure::FinishOthers {
            self.failing = Some(fault.into());
        } else {
            self.fail(desk, fault.into());
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
            _ => self.fail_for_request(desk, fault),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::*;
    use crate::{Backoff, Budget, Config, Effect, Op, Output, Reply, Retry};
    use alloc::vec::Vec;

    fn counted(n: u32) -> Config {
        let retry = Retry { budget: Budget::Count(n), backoff: Backoff::Fixed { ms: 2_000 } };
        Config { retry, ..config() }
    }

    #[test]
    fn retry_is_told_once_per_outage_and_its_end_once() {
        let mut s = Script::sending(counted(3), 9);
        let ids = s.parts(&[1, 2, 3, 4, 5]);
        for id in ids {
            s.answer(id, Err(no_reply()));
        }
        assert!(matches!(s.event(), Event::Retry { delay_ms: 2_000, .. }));
        assert_eq!(s.idle(), Some(s.now.mono_ms + 2_000));
        s.pass(1_999);
        assert_eq!(s.idle(), Some(s.now.mono_ms + 1));
        s.pass(1);
        let ids = s.parts(&[1, 2, 3, 4, 5]);
        s.answer(ids[0], Err(no_reply()));
        s.stored(ids[1]);
        assert!(matches!(s.event(), Event::RetryResume { .. }));
        assert!(matches!(s.event(), Event::PartAcknowledged { .. }));
    }

    #[test]
    fn the_third_failure_in_a_row_fails_the_file_with_its_text() {
        let mut s = Script::sending(counted(3), 1);
        for _ in 0..2 {
            let id = s.parts(&[1])[0];
            s.answer(id, Err(no_reply()));
            s.drain();
            s.pass(2_000);
        }
        let id = s.parts(&[1])[0];
        s.answer(id, Err(no_reply()));
        let error = s.failed();
        assert_eq!((error.kind, &*error.request_id), (ErrorKind::Network, "R"));
    }

    #[test]
    fn three_mismatches_of_one_part_fail_the_file() {
        let mut s = Script::sending(config(), 1);
        for last in [false, false, true] {
            let id = s.parts(&[1])[0];
            s.answer(id, Err(fault(FaultKind::Transient(ErrorKind::Integrity))));
            if last {
                assert_eq!(s.failed().kind, ErrorKind::Integrity);
            } else {
                let failed = |o: &Output| matches!(o, Output::Event(Event::Failed { .. }));
                assert!(!s.drain().iter().any(failed));
                s.pass(60_000);
            }
        }
    }

    #[test]
    fn three_mismatches_in_a_row_fail_a_small_file_and_other_faults_are_none() {
        use ErrorKind::{Integrity, Network};
        let mut s = Script::started(config(), 5, None);
        s.grant_asked(grant(1, None));
        let wrong =
            [Integrity, Integrity, Network, Network, Network, Integrity, Integrity, Integrity];
        for (n, kind) in wrong.into_iter().enumerate() {
            let (id, op) = s.perform();
            assert_eq!(op, Op::PutObject { length: 5 });
            s.answer(id, Err(fault(FaultKind::Transient(kind))));
            if n + 1 == wrong.len() {
                assert_eq!(s.failed().kind, Integrity);
            } else {
                let failed = |o: &Output| matches!(o, Output::Event(Event::Failed { .. }));
                assert!(!s.drain().iter().any(failed), "{n}");
                s.pass(60_000);
            }
        }
    }

    #[test]
    fn an_upload_that_cannot_be_looked_for_is_begun() {
        for kind in [FaultKind::Fatal(ErrorKind::Auth), FaultKind::NoSuchUpload] {
            let mut s = Script::started(Config { find_orphans: true, ..config() }, MIB, None);
            s.grant_asked(grant(1, None));
            let (id, _) = s.perform();
            s.answer(id, Err(no_reply()));
            s.drain();
            s.pass(60_000);
            let (id, op) = s.perform();
            assert_eq!(op, Op::ListMultipartUploads);
            s.answer(id, Err(fault(kind)));
            assert_eq!(s.perform().1, Op::InitiateMultipartUpload);
        }
    }

    #[test]
    fn an_object_that_is_not_there_begins_the_upload_anew() {
        let mut s = Script::sending(config(), 1);
        let id = s.parts(&[1])[0];
        s.acknowledge(id, true);
        let (id, _) = s.perform();
        s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
        let (id, op) = s.perform();
        assert!(matches!(op, Op::HeadObject { .. }), "{op:?}");
        s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
        assert_eq!(s.perform().1, Op::InitiateMultipartUpload);
    }

    #[test]
    fn a_fatal_part_cuts_the_rest_and_keeps_the_checkpoint() {
        let mut s = Script::sending(config(), 3);
        let ids = s.parts(&[1, 2, 3]);
        s.answer(ids[1], Err(fault(FaultKind::Fatal(ErrorKind::Auth))));
        assert_eq!(s.effect(), Effect::Abandon { id: ids[0] });
        assert_eq!(s.effect(), Effect::Abandon { id: ids[2] });
        assert!(matches!(s.effect(), Effect::CloseCheckpoint { .. }));
        assert!(matches!(s.event(), Event::Failed { .. }));
        assert!(matches!(s.event(), Event::Ended { .. }));
        assert_eq!(s.idle(), None);
    }

    /// Nine parts, of which part 2 has failed for good and the other four in flight are waited for.
    fn failing() -> (Script, Vec<EffectId>) {
        let config = Config { on_part_failure: OnPartFailure::FinishOthers, ..config() };
        let mut s = Script::sending(config, 9);
        let mut ids = s.parts(&[1, 2, 3, 4, 5]);
        s.answer(ids.remove(1), Err(fault(FaultKind::Fatal(ErrorKind::Auth))));
        assert_eq!(s.idle(), None);
        (s, ids)
    }

    #[test]
    fn where_the_others_are_finished_they_are_recorded_and_nothing_more_is_sent() {
        let (mut s, ids) = failing();
        s.acknowledge(ids[0], false);
        assert_eq!(s.idle(), None);
        // Other failures, and a network that changes, come too late to matter.
        s.answer(ids[1], Err(fault(FaultKind::NoSuchUpload)));
        s.answer(ids[2], Err(no_reply()));
        s.engine.network_changed(s.now);
        assert_eq!(s.idle(), None);
        s.acknowledge(ids[3], false);
        assert!(matches!(s.effect(), Effect::CloseCheckpoint { .. }));
        assert!(matches!(s.event(), Event::Failed { error, .. } if error.kind == ErrorKind::Auth));
        assert!(matches!(s.event(), Event::Ended { .. }));
        assert_eq!(s.idle(), None);
    }

    #[test]
    fn what_is_cut_while_the_others_finish_is_not_waited_for() {
        let (mut s, _) = failing();
        s.engine.pause(s.now, None).unwrap();
        assert_eq!(s.failed().kind, ErrorKind::Auth);
        // Stopped before Failed was told: the next attempt finds out itself.
        let (mut s, ids) = failing();
        s.engine.stop(s.now);
        s.stored(ids[0]);
        let told = |o: &Output| matches!(o, Output::Event(_));
        assert!(!s.drain().iter().any(told));
    }

    #[test]
    fn a_source_that_changed_is_not_waited_for() {
        let (mut s, ids) = failing();
        s.answer(ids[0], Err(fault(FaultKind::SourceChanged)));
        assert_eq!(s.effect(), Effect::Abandon { id: ids[1] });
        assert_eq!(s.failed().kind, ErrorKind::SourceChanged);
    }

    #[test]
    fn a_failing_file_asks_for_no_grant() {
        let (mut s, ids) = failing();
        let file = s.engine.files()[0].id;
        s.engine.authorize(s.now, file, grant(2, Some(s.now.wall_ms + 1_000))).unwrap();
        assert_eq!(s.idle(), None);
        s.pass(900);
        s.answer(ids[0], Err(fault(FaultKind::Expired)));
        assert_eq!(s.idle(), None);
    }

    #[test]
    fn invalid_part_lists_and_sends_what_differs_three_times_at_most() {
        let mut s = Script::sending(config(), 2);
        let ids = s.parts(&[1, 2]);
        s.acknowledge(ids[0], false);
        s.acknowledge(ids[1], true);
        for round in 0..4 {
            let (id, op) = s.perform();
            assert!(matches!(op, Op::CompleteMultipartUpload { .. }));
            s.answer(id, Err(fault(FaultKind::Relist)));
            if round == 3 {
                break;
            }
            let (id, op) = s.perform();
            assert_eq!(op, Op::ListParts { upload_id: "U".into(), marker: 0 });
            let parts = [part(1, MIB)].into();
            s.answer(id, Ok(Reply::Parts { parts, next: None }));
            let id = s.parts(&[2])[0];
            s.stored(id);
            assert!(matches!(s.event(), Event::PartAcknowledged { .. }));
            s.saved(true);
        }
        assert_eq!(s.failed().kind, ErrorKind::Integrity);
    }

    #[test]
    fn an_upload_dropped_under_us_is_begun_anew_three_times() {
        let mut s = Script::sending(config(), 1);
        for round in 0..4 {
            let id = s.parts(&[1])[0];
            s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
            if round < 3 {
                let (id, op) = s.perform();
                assert_eq!(op, Op::InitiateMultipartUpload);
                s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
                s.saved(true);
            }
        }
        assert_eq!(s.failed().kind, ErrorKind::Service);
    }

    #[test]
    fn a_wrong_clock_is_corrected_and_the_request_signed_again_at_once() {
        let mut s = Script::sending(config(), 2);
        let ids = s.parts(&[1, 2]);
        let date = s.now.wall_ms + 3_600_000;
        for id in ids {
            let result = Err(fault(FaultKind::ClockSkew));
            let input = crate::Input::Answer { id, result, server_date_ms: Some(date) };
            s.engine.handle(s.now, input);
        }
        let ids = s.parts(&[1, 2]);
        assert_eq!(s.engine.clock_offset_ms(), 3_600_000);
        s.answer(ids[0], Err(fault(FaultKind::ClockSkew)));
        assert!(matches!(s.event(), Event::Retry { .. }));
    }

    #[test]
    fn the_right_to_list_is_not_needed() {
        let mut s = Script::started(config(), 3 * MIB, Some(checkpoint(3 * MIB, &[2])));
        s.grant_asked(grant(1, None));
        let (id, _) = s.perform();
        s.answer(id, Err(fault(FaultKind::Fatal(ErrorKind::Auth))));
        assert!(matches!(s.event(), Event::Resumed { parts: 1, bytes: MIB, .. }));
        assert!(matches!(s.event(), Event::Progress { acknowledged: MIB, .. }));
        s.parts(&[1, 3]);
    }

    #[test]
    fn only_what_had_no_answer_halves_a_climbing_limit() {
        for (kind, flying) in [(ErrorKind::Network, 3), (ErrorKind::Service, 4)] {
            let climbing = Config { adaptive: true, parallel: 0, ..counted(9) };
            let mut s = Script::sending(climbing, 64);
            let ids = s.parts(&[1, 2, 3, 4]);
            s.answer(ids[0], Err(fault(FaultKind::Transient(kind))));
            assert!(matches!(s.event(), Event::Retry { .. }));
            s.pass(2_000);
            let sent = s
                .drain()
                .iter()
                .filter(|o| matches!(o, Output::Effect(Effect::Perform { .. })))
                .count();
            // Three of four are still under way; a limit of two lets none follow.
            assert_eq!(3 + sent, flying, "{kind:?}");
        }
    }
}
