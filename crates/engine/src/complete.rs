//! The end of an upload: the object exists, or nobody can tell whether it does.
//!
//! A lost reply to Complete never makes bytes travel again: the same Complete is repeated (by the phase itself); when
//! the upload is gone by then, the object is looked at; where looking is refused, what this run saw decides.

use alloc::string::String;

use crate::checkpoint::Record;
use crate::desk::Desk;
use crate::transfer::{Phase, Transfer};
use crate::vocab::{ErrorInfo, ErrorKind, Event, Fault, FaultKind, FileState, ObjectInfo, Op};

impl Transfer {
    /// The object is in storage.
    pub(crate) fn succeed(&mut self, desk: &mut Desk, object: ObjectInfo) {
        self.cut(desk);
        self.stop_asking(desk);
        self.end_outage(desk);
        let file = self.owner.file;
        if self.upload.is_some() {
            desk.append(self.owner, Record::End, false);
        }
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
        if !self.upload.as_ref().is_some_and(|u| u.full) {
            return self.begin_anew(desk, fault);
        }
        self.cut(desk);
        // After a crash the records are all there is to compare the object with.
        if let (Some(upload), Some(parts)) = (&mut self.upload, &mut self.parts) {
            for part in core::mem::take(&mut upload.recorded) {
                parts.store(part);
            }
        }
        self.phase = Phase::Looking;
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
                message: "all parts were sent and the upload is gone, but the credential may not look whether the \
                          object exists"
                    .into(),
                request_id: String::new(),
            },
        );
    }

    /// The file is given up, and its upload is used up: nothing is left to resume.
    pub(crate) fn fail_for_good(&mut self, desk: &mut Desk, error: ErrorInfo) {
        desk.append(self.owner, Record::End, false);
        self.fail(desk, error);
    }

    /// The application skips the file.
    pub(crate) fn cancel(&mut self, desk: &mut Desk) {
        self.leave(desk);
        desk.event(Event::Canceled { file: self.owner.file });
    }

    /// Lets go of the checkpoint of a file that is cancelled or removed; with `abort`, for good. The operation that gives
    /// the upload up at the server, where there is one.
    pub(crate) fn give_up(&mut self, desk: &mut Desk, abort: bool) -> Option<Op> {
        let upload = self.upload.take().filter(|_| abort);
        if upload.is_some() {
            desk.append(self.owner, Record::End, false);
        }
        desk.close(self.owner.file);
        upload.map(|upload| Op::AbortMultipartUpload { upload_id: upload.id })
    }

    /// Whether this is certainly not the object of our parts.
    fn differs(&self, object: &ObjectInfo) -> bool {
        let length = object.length.is_some_and(|length| length != self.length());
        let known = self.parts.as_ref().is_some_and(|parts| {
            (1..=parts.plan().count()).all(|n| parts.get(n).is_some_and(|p| p.crc64.is_some()))
        });
        length || (known && object.crc64.is_some())
    }
}

fn gone() -> Fault {
    Fault {
        kind: FaultKind::NoSuchUpload,
        code: "NoSuchUpload".into(),
        message: "the upload is gone, and no object of its parts exists".into(),
        request_id: String::new(),
        retry_after_ms: None,
    }
}
