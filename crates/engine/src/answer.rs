//! What a successful answer means to a transfer, by phase; and how the server's parts are squared with ours.

use alloc::vec::Vec;

use crate::checkpoint::Record;
use crate::complete::gone;
use crate::desk::Desk;
use crate::flight::{Flight, What};
use crate::parts::{Parts, by_number};
use crate::transfer::{Phase, Transfer};
use crate::vocab::{EffectId, ErrorKind, Event, Fault, FaultKind, Now, PartInfo, Reply};

impl Transfer {
    /// A request was answered. One that is not in flight (any more) changes nothing.
    pub(crate) fn answered(
        &mut self,
        now: Now,
        desk: &mut Desk,
        id: EffectId,
        result: Result<Reply, Fault>,
    ) {
        let Some(flight) = self.flight.remove(&id) else { return };
        Transfer::land(desk, &flight);
        match result {
            Ok(reply) => self.on_reply(now, desk, id, flight, reply),
            Err(fault) => self.on_fault(now, desk, id, flight, fault),
        }
    }

    fn on_reply(&mut self, now: Now, desk: &mut Desk, id: EffectId, flight: Flight, reply: Reply) {
        match (flight.what, &self.phase, reply) {
            (What::Part(number), _, Reply::PartUploaded { etag, crc64 }) => {
                let held = self.parts.as_ref().and_then(|parts| parts.held(number));
                // What was compared and found equal was not sent: it says nothing of the network, the credential or the server.
                if held != Some(&etag) {
                    self.on_success(flight.serial);
                    self.limit.on_acknowledged(now.mono_ms, id, desk.next_id(), flight.length);
                    desk.goodput = self.limit.goodput().or(desk.goodput);
                    self.end_outage(desk);
                    if let Some(upload) = &mut self.upload {
                        upload.alive = true;
                    }
                }
                self.on_part(now, desk, number, etag, crc64);
            }
            (What::Only, Phase::Putting, Reply::Put(object))
            | (What::Only, Phase::Completing, Reply::Completed(object)) => {
                self.on_success(flight.serial);
                self.succeed(desk, object);
            }
            (What::Only, Phase::Searching { candidate: None }, Reply::Uploads(mut uploads)) => {
                self.on_success(flight.serial);
                // Of several it cannot be known which one is ours.
                match uploads.pop().filter(|_| uploads.is_empty()) {
                    None => self.initiate(),
                    candidate => self.phase = Phase::Searching { candidate },
                }
            }
            (
                What::Only,
                Phase::Searching { candidate: Some(upload_id) },
                Reply::Parts { parts, next: None },
            ) if parts.is_empty() => {
                let upload_id = upload_id.clone();
                self.on_success(flight.serial);
                self.upload_opened(desk, upload_id);
            }
            (What::Only, Phase::Searching { candidate: Some(_) }, Reply::Parts { .. }) => {
                self.on_success(flight.serial);
                self.initiate();
            }
            (What::Only, Phase::Initiating, Reply::Initiated { upload_id }) => {
                self.on_success(flight.serial);
                self.upload_opened(desk, upload_id);
            }
            (What::Only, Phase::Listing { marker, .. }, Reply::Parts { parts, next })
                if next.is_none_or(|next| next > *marker) =>
            {
                self.on_success(flight.serial);
                self.on_page(now, desk, parts, next);
            }
            (What::Only, Phase::Looking, Reply::Head(object)) => {
                self.on_success(flight.serial);
                self.looked(desk, object);
            }
            _ => self.on_fault(now, desk, id, flight, misplaced()),
        }
    }

    /// The parts are as the server lists them, or, where it refuses to (`None`), as we recorded them.
    pub(crate) fn reconcile(&mut self, now: Now, desk: &mut Desk, listed: Option<Vec<PartInfo>>) {
        let (Some(upload), Some(before)) = (&mut self.upload, &self.parts) else { return };
        let plan = before.plan();
        let resumes = core::mem::take(&mut upload.resumes);
        let recorded =
            if resumes { core::mem::take(&mut upload.recorded) } else { before.records() };
        let refused = listed.is_none();
        let held = listed.unwrap_or_else(|| before.known(&recorded));
        let parts = match plan.grows_to() {
            None => Parts::reconcile(plan, &held, &recorded),
            Some(_) => {
                let sent = if resumes { &[][..] } else { &recorded };
                let mut parts = Parts::reconcile_held(plan, &held, sent);
                parts.grow(&self.ready, 0);
                parts
            }
        };
        // Alive with parts missing: no Complete sent so far was carried out, whatever became of its reply.
        if !refused && !parts.complete() {
            upload.whole = 0;
        }
        let (file, unsaved) = (self.owner.file, upload.unsaved);
        if resumes {
            let (parts, bytes) = match plan.grows_to() {
                None => (parts.stored_count(), parts.stored_bytes()),
                Some(_) => (held.len() as u32, held.iter().map(|part| part.length).sum()),
            };
            desk.event(Event::Resumed { file, parts, bytes });
        }
        // What is news goes into the checkpoint; the record that completes the set follows, synced.
        let known = by_number(plan, &recorded);
        for (number, known) in (1..).zip(known) {
            let Some(part) = parts.get(number) else { continue };
            if known == Some(part) {
                continue;
            }
            if !resumes && known.is_none() {
                desk.event(Event::PartAcknowledged { file, part: part.clone() });
            }
            if !unsaved && (!parts.complete() || number != plan.count()) {
                desk.append(self.owner, Record::Part(part.clone()), false);
            }
        }
        let last = parts.get(plan.count()).filter(|_| parts.complete()).cloned();
        self.parts = Some(parts);
        self.phase = Phase::Sending;
        self.on_progress(now, desk);
        if let Some(last) = last {
            self.save_last(desk, last);
        }
    }

    fn on_success(&mut self, serial: u64) {
        self.retry.on_success();
        self.access.on_success(serial);
    }

    fn on_part(
        &mut self,
        now: Now,
        desk: &mut Desk,
        number: u32,
        etag: alloc::string::String,
        crc64: Option<u64>,
    ) {
        let (Some(upload), Some(parts)) = (&self.upload, &mut self.parts) else { return };
        let range = parts.plan().range(number);
        let part = PartInfo { number, length: range.end - range.start, etag, crc64 };
        parts.store(part.clone());
        let (complete, unsaved) = (parts.complete(), upload.unsaved);
        let file = self.owner.file;
        desk.event(Event::PartAcknowledged { file, part: part.clone() });
        self.on_progress(now, desk);
        if complete {
            self.save_last(desk, part);
        } else if !unsaved {
            desk.append(self.owner, Record::Part(part), false);
        }
    }

    fn on_page(&mut self, now: Now, desk: &mut Desk, parts: Vec<PartInfo>, next: Option<u32>) {
        let count = self.parts.as_ref().map_or(0, |p| p.plan().count());
        if let Some(upload) = &mut self.upload {
            upload.alive = true;
        }
        let Phase::Listing { marker, found } = &mut self.phase else { return };
        found.extend(parts.into_iter().filter(|p| p.number <= count));
        match next {
            // Numbers beyond the plan are of no interest.
            Some(next) if next < count => *marker = next,
            _ => {
                let found = core::mem::take(found);
                self.reconcile(now, desk, Some(found));
            }
        }
    }

    /// Every part is stored. The record that says so must survive a power loss before Complete may be sent: a checkpoint
    /// with parts missing proves that it never was.
    pub(crate) fn save_last(&mut self, desk: &mut Desk, part: PartInfo) {
        let (Some(upload), Some(parts)) = (&mut self.upload, &self.parts) else { return };
        let (plan, count) = (parts.plan(), parts.plan().count());
        if !upload.recorded.is_empty() && upload.whole > count {
            // The upload is gone, and was completed with more than there is now.
            return self.begin_anew(desk, gone());
        }
        upload.whole = count;
        if upload.unsaved {
            self.phase = Phase::Completing;
            return;
        }
        if let (Some(length), Some(_)) = (plan.length(), plan.grows_to()) {
            desk.append(self.owner, Record::Length(length), false);
        }
        self.phase = Phase::SavingLast(desk.append(self.owner, Record::Part(part), true));
    }

    fn on_progress(&mut self, now: Now, desk: &mut Desk) {
        self.progress.on_acknowledged(self.stored_bytes(), self.sent_bytes());
        if desk.config.progress_interval_ms == 0 {
            self.tell_progress(now.mono_ms, desk);
        }
    }

    pub(crate) fn end_outage(&mut self, desk: &mut Desk) {
        if self.retry.on_acknowledged() {
            desk.event(Event::RetryResume { file: self.owner.file });
        }
    }
}

fn misplaced() -> Fault {
    Fault {
        kind: FaultKind::Transient(ErrorKind::Protocol),
        code: "UnexpectedReply".into(),
        message: "the reply does not belong to the request".into(),
        request_id: Default::default(),
        retry_after_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use crate::checkpoint::Record;
    use crate::script::*;
    use crate::{Effect, ErrorKind, Event, FaultKind, Input, Op, Output, Reply};

    #[test]
    fn pages_beyond_the_plan_are_not_asked_for_and_news_are_recorded() {
        for next in [3, 5] {
            let mut s = Script::started(config(), 3 * MIB, Some(checkpoint(3 * MIB, &[1])));
            s.grant_asked(grant(1, None));
            let (id, _) = s.perform();
            let parts = [part(1, MIB), part(3, MIB)].into();
            s.answer(id, Ok(Reply::Parts { parts, next: Some(next) }));
            let all = s.drain();
            let recorded = |o: &Output| matches!(o, Output::Effect(Effect::AppendCheckpoint { record: Record::Part(part), .. }) if part.number == 3);
            assert!(all.iter().any(recorded), "{all:?}");
            let sent = |o: &Output| {
                matches!(
                    o,
                    Output::Effect(Effect::Perform { op: Op::UploadPart { number: 2, .. }, .. })
                )
            };
            assert!(all.iter().any(sent), "{all:?}");
        }
    }

    #[test]
    fn parts_found_of_an_upload_whose_begin_was_not_stored_are_not_recorded() {
        let mut s = Script::started(config(), 3 * MIB, None);
        s.grant_asked(grant(1, None));
        let (id, _) = s.perform();
        s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
        let Effect::AppendCheckpoint { id, .. } = s.effect() else { panic!("expected Begin") };
        let result = Err(fault(FaultKind::Fatal(ErrorKind::Storage)));
        s.engine.handle(s.now, Input::Appended { id, result });
        assert!(matches!(s.event(), Event::Warning { .. }));
        s.parts(&[1, 2, 3]);
        s.engine.pause(s.now, None).unwrap();
        s.drain();
        s.engine.resume(s.now, None).unwrap();
        let (id, op) = s.perform();
        assert!(matches!(op, Op::ListParts { .. }), "{op:?}");
        s.answer(id, Ok(Reply::Parts { parts: [part(1, MIB)].into(), next: None }));
        assert!(matches!(s.event(), Event::PartAcknowledged { .. }));
        assert!(matches!(s.event(), Event::Progress { .. }));
        s.parts(&[2, 3]);
    }

    #[test]
    fn a_page_that_leads_back_to_itself_is_a_failure() {
        let mut s = Script::started(config(), 3 * MIB, Some(checkpoint(3 * MIB, &[2])));
        s.grant_asked(grant(1, None));
        let (id, _) = s.perform();
        s.answer(id, Ok(Reply::Parts { parts: [].into(), next: Some(0) }));
        assert!(matches!(s.event(), Event::Retry { .. }));
    }
}
