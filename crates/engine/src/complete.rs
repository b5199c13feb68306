//! The end of an upload: the object exists, or nobody can tell whether it does.
//!
//! A lost reply to Complete never makes bytes travel again: the same Complete is repeated (by the phase itself, and after a
//! crash); when the upload is gone by then, the object is looked at; where looking is refused, what this run saw decides.

use alloc::string::String;

use crate::checkpoint::Record;
use crate::desk::Desk;
use crate::parts::Parts;
use crate::transfer::{Phase, Transfer};
use crate::vocab::{ErrorInfo, ErrorKind, Event, Fault, FaultKind, FileState, ObjectInfo};

impl Transfer {
    /// The object is in storage.
    pub(crate) fn succeed(&mut self, desk: &mut Desk, object: ObjectInfo) {
        self.cut(desk);
        self.stop_asking(desk);
        self.end_outage(desk);
        let file = self.owner.file;
        self.end_recorded(desk);
        desk.close(file);
        let figure = self.progress.finish();
        self.tell(desk, figure);
        if let Some(target) = self.target() {
            let video_id = self.video_id.clone();
            desk.event(Event::Succeeded { file, target, video_id, object });
        }
        self.over = Some(FileState::Succeeded);
    }

    /// The upload is gone. Had all its parts been recorded, Complete may have been carried out; otherwise it was never sent.
    pub(crate) fn vanished(&mut self, desk: &mut Desk, fault: Fault) {
        if self.upload.as_ref().is_none_or(|u| u.whole == 0) {
            return self.begin_anew(desk, fault);
        }
        let grows = self.parts.as_ref().filter(|parts| parts.plan().grows_to().is_some());
        if let Some(parts) = grows.filter(|parts| !parts.complete()) {
            if !matches!(self.phase, Phase::Listing { .. }) {
                // A part had to be sent: the content is another one than what was completed.
                return self.begin_anew(desk, fault);
            }
            // The content is compared with the records, part by part, and Complete repeated when all are equal.
            let (plan, equal) = (parts.plan(), parts.records());
            self.cut(desk);
            // They are needed again when this is interrupted.
            let recorded = self.upload.as_ref().map_or(&[][..], |u| &u.recorded);
            let mut parts = Parts::reconcile_held(plan, recorded, &equal);
            parts.grow(&self.ready, 0);
            self.parts = Some(parts);
            self.phase = Phase::Sending;
            return;
        }
        self.cut(desk);
        // After a crash the records are all there is to compare the object with.
        if let (Some(upload), Some(parts)) = (&mut self.upload, &mut self.parts) {
            for part in core::mem::take(&mut upload.recorded) {
                parts.store(part);
            }
        }
        let complete = self.parts.as_ref().filter(|parts| parts.complete());
        let last = complete.and_then(|parts| parts.get(parts.plan().count())).cloned();
        match (&self.phase, last) {
            // A server that remembers its answer repeats it, also to another process. The one that wrote the records may have
            // died before they were durable.
            (Phase::Listing { .. }, Some(last)) => self.save_last(desk, last),
            _ => self.phase = Phase::Looking,
        }
    }

    /// What stands under the key.
    pub(crate) fn looked(&mut self, desk: &mut Desk, object: Option<ObjectInfo>) {
        match object {
            Some(object) if object.verified => self.succeed(desk, object),
            Some(object) if !self.differs(&object) => self.not_looked(desk),
            _ => self.begin_anew(desk, gone()),
        }
    }

    /// The object may not be looked at, or does not tell enough.
    pub(crate) fn not_looked(&mut self, desk: &mut Desk) {
        // Only cancelling aborts, and no transfer survives that: an upload seen alive that is gone was completed.
        if self.upload.as_ref().is_some_and(|u| u.alive) {
            return self.succeed(desk, ObjectInfo::default());
        }
        self.fail(
            desk,
            ErrorInfo {
                kind: ErrorKind::Service,
                code: "CompletionUnknown".into(),
                message: "the upload is gone, and its object may not be looked at".into(),
                request_id: String::new(),
            },
        );
    }

    /// The file is given up, and its upload is used up: nothing is left to resume.
    pub(crate) fn fail_for_good(&mut self, desk: &mut Desk, error: ErrorInfo) {
        desk.append(self.owner, Record::End, false);
        self.fail(desk, error);
    }

    /// Whether this is certainly not the object of our parts.
    fn differs(&self, object: &ObjectInfo) -> bool {
        let length = object.length.is_some_and(|length| Some(length) != self.length());
        let known = self.parts.as_ref().is_some_and(|parts| {
            (1..=parts.plan().count()).all(|n| parts.get(n).is_some_and(|p| p.crc64.is_some()))
        });
        length || (known && object.crc64.is_some())
    }
}

/// Of an upload that was not completed with this content.
pub(crate) fn gone() -> Fault {
    Fault {
        kind: FaultKind::NoSuchUpload,
        code: "NoSuchUpload".into(),
        message: "the upload is gone, and no object of its parts exists".into(),
        request_id: String::new(),
        retry_after_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::*;
    use crate::{EffectId, Op, Output, Reply};

    /// All parts sent in this run, and the reply to Complete lost.
    fn completing(s: &mut Script) -> EffectId {
        let (id, op) = s.perform();
        assert!(matches!(op, Op::CompleteMultipartUpload { .. }));
        id
    }

    fn sent_whole() -> Script {
        let mut s = Script::sending(config(), 2);
        let ids = s.parts(&[1, 2]);
        s.acknowledge(ids[0], false);
        s.acknowledge(ids[1], true);
        let id = completing(&mut s);
        s.answer(id, Err(no_reply()));
        assert!(matches!(s.event(), Event::Retry { .. }));
        s.pass(20_000);
        let id = completing(&mut s);
        s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
        s
    }

    fn looking(s: &mut Script) -> EffectId {
        let (id, op) = s.perform();
        let Op::HeadObject { length, parts } = op else { panic!("{op:?}") };
        assert_eq!((length, parts.len()), (2 * MIB, 2));
        id
    }

    fn succeeded(s: &mut Script) -> ObjectInfo {
        let all = s.drain();
        let end = all.iter().position(|o| {
            matches!(o, Output::Effect(crate::Effect::AppendCheckpoint { record: Record::End, .. }))
        });
        assert!(end.is_some());
        let found = all.into_iter().find_map(|output| match output {
            Output::Event(Event::Succeeded { object, .. }) => Some(object),
            _ => None,
        });
        found.expect("Succeeded")
    }

    #[test]
    fn an_object_that_is_ours_is_success() {
        let mut s = sent_whole();
        let id = looking(&mut s);
        let object = ObjectInfo { verified: true, ..ObjectInfo::default() };
        s.answer(id, Ok(Reply::Head(Some(object.clone()))));
        assert_eq!(succeeded(&mut s), object);
    }

    #[test]
    fn where_looking_is_refused_an_upload_seen_alive_was_completed() {
        let mut s = sent_whole();
        let id = looking(&mut s);
        s.answer(id, Err(fault(FaultKind::Fatal(ErrorKind::Auth))));
        assert!(!succeeded(&mut s).verified);
    }

    /// Complete was refused as a part was missing: what is gone after that was dropped, not completed.
    #[test]
    fn an_upload_that_was_listed_with_parts_missing_was_not_completed() {
        let mut s = Script::sending(config(), 1);
        let id = s.parts(&[1])[0];
        s.acknowledge(id, true);
        let id = completing(&mut s);
        s.answer(id, Err(fault(FaultKind::Relist)));
        let (id, op) = s.perform();
        assert!(matches!(op, Op::ListParts { .. }));
        s.answer(id, Ok(Reply::Parts { parts: [].into(), next: None }));
        let id = s.parts(&[1])[0];
        s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
        assert_eq!(s.perform().1, Op::InitiateMultipartUpload);
    }

    #[test]
    fn equal_length_alone_proves_nothing_either_way() {
        let mut s = sent_whole();
        let id = looking(&mut s);
        let object = ObjectInfo { length: Some(2 * MIB), ..ObjectInfo::default() };
        s.answer(id, Ok(Reply::Head(Some(object))));
        assert!(!succeeded(&mut s).verified);
    }

    #[test]
    fn another_object_or_none_means_the_upload_was_dropped() {
        let other_length = ObjectInfo { length: Some(1), ..ObjectInfo::default() };
        let other_crc =
            ObjectInfo { length: Some(2 * MIB), crc64: Some(9), ..ObjectInfo::default() };
        for found in [None, Some(other_length), Some(other_crc)] {
            let mut s = sent_whole();
            let id = looking(&mut s);
            s.answer(id, Ok(Reply::Head(found)));
            assert_eq!(s.perform().1, Op::InitiateMultipartUpload);
        }
    }

    /// A full checkpoint, and the upload is gone: repeats Complete.
    fn after_a_crash() -> (Script, EffectId) {
        let mut s = Script::started(config(), 2 * MIB, Some(checkpoint(2 * MIB, &[1, 2])));
        s.grant_asked(grant(1, None));
        let (id, op) = s.perform();
        assert!(matches!(op, Op::ListParts { .. }));
        s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
        assert_eq!(s.saved(true), Record::Part(part(2, MIB)));
        let (id, op) = s.perform();
        let Op::CompleteMultipartUpload { parts, .. } = op else { panic!("{op:?}") };
        assert_eq!(parts, [part(1, MIB), part(2, MIB)]);
        (s, id)
    }

    #[test]
    fn after_a_crash_the_answer_to_complete_is_asked_for_again() {
        let (mut s, id) = after_a_crash();
        let object = ObjectInfo { verified: true, ..ObjectInfo::default() };
        s.answer(id, Ok(Reply::Completed(object.clone())));
        assert_eq!(succeeded(&mut s), object);
    }

    #[test]
    fn after_a_crash_a_full_checkpoint_and_no_right_to_look_is_unknown() {
        let (mut s, id) = after_a_crash();
        s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
        let id = looking(&mut s);
        s.answer(id, Err(fault(FaultKind::Fatal(ErrorKind::Auth))));
        assert_eq!(s.effect(), crate::Effect::CloseCheckpoint { file: crate::FileId(1) });
        assert_eq!(s.failed().code, "CompletionUnknown");
    }

    #[test]
    fn after_a_crash_a_checkpoint_with_parts_missing_begins_anew() {
        let mut s = Script::started(config(), 2 * MIB, Some(checkpoint(2 * MIB, &[1])));
        s.grant_asked(grant(1, None));
        let (id, _) = s.perform();
        s.answer(id, Err(fault(FaultKind::NoSuchUpload)));
        assert_eq!(s.perform().1, Op::InitiateMultipartUpload);
    }

    #[test]
    fn an_object_other_than_what_was_sent_fails_and_ends_the_upload() {
        let mut s = Script::sending(config(), 1);
        let id = s.parts(&[1])[0];
        s.acknowledge(id, true);
        let id = completing(&mut s);
        s.answer(id, Err(fault(FaultKind::Fatal(ErrorKind::Integrity))));
        assert_eq!(s.saved(false), Record::End);
        assert_eq!(s.failed().kind, ErrorKind::Integrity);
    }
}
