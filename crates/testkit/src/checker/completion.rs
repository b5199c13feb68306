//! Rule 4: whatever becomes of the replies to Initiate and Complete, no byte travels again for it and nothing is claimed that
//! nobody saw.

use vodferry_engine::{ErrorInfo, Event, Fault, FaultKind, FileId, ObjectInfo, Op, Reply};

use super::answers::{answers, is_compared};
use super::{Check, Checker, Flight, broken};

/// What one attempt knows of the beginning and the end of its upload.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ending {
    /// An Initiate may have been carried out unheard.
    initiate_lost: bool,
    /// The upload that Initiate opened, or that a search found alone and empty.
    opened: Option<String>,
    /// The only one that the search found.
    sole: Option<String>,
    /// This attempt saw this upload alive.
    alive: Option<String>,
    /// The upload is gone after a Complete that may have been carried out: the object has to be looked at.
    must_look: bool,
    /// Looking was refused, or told too little.
    blind: bool,
    /// End was recorded.
    ended: bool,
    /// What is cut now belonged to another place.
    moved: bool,
}

impl Ending {
    /// The file goes on in another place: what was done in the one before is of no use.
    pub(super) fn is_moved(&self) -> bool {
        self.moved
    }
}

impl Checker {
    /// A request is about to go out.
    pub(super) fn ends_rightly(&mut self, flight: &Flight) -> Check {
        let Flight { file, op, .. } = flight;
        let find_orphans = self.config.find_orphans;
        let Some(watch) = self.files.get_mut(file) else { return Ok(()) };
        let grows = watch.written.is_some();
        let ending = &mut watch.ending;
        ending.moved = false;
        match op {
            // Of a source that grows what differs is sent, and no other.
            Op::UploadPart { .. } if grows => Ok(()),
            Op::InitiateMultipartUpload | Op::UploadPart { .. } if ending.must_look => {
                broken("4 the object is looked at before bytes travel again", format!("{op:?}"))
            }
            Op::InitiateMultipartUpload if find_orphans && ending.initiate_lost => {
                broken("4 the orphan of a lost Initiate is looked for", format!("file {}", file.0))
            }
            Op::ListMultipartUploads => {
                ending.initiate_lost = false;
                Ok(())
            }
            Op::CompleteMultipartUpload { upload_id, parts } => {
                let Some(upload) = self.uploads.get_mut(upload_id) else { return Ok(()) };
                let repeats = upload.asked.as_ref().is_none_or(|asked| asked == parts);
                if !repeats {
                    return broken(
                        "4 the same Complete is repeated",
                        format!("{op:?}: {:?}", upload.asked),
                    );
                }
                let other = |p: &&vodferry_engine::PartInfo| {
                    upload.known.get(&p.number).is_some_and(|known| known.etag != p.etag)
                };
                if let Some(part) = parts.iter().find(other).filter(|_| !upload.exempt) {
                    let known = upload.known.get(&part.number);
                    return broken(
                        "3 Complete names what the server holds",
                        format!("{part:?}, known {known:?}"),
                    );
                }
                upload.asked = Some(parts.clone());
                upload.may_be_object = true;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// A request was given up by the engine.
    pub(super) fn left_open(&mut self, flight: &Flight) {
        if matches!(flight.op, Op::InitiateMultipartUpload) {
            self.watch(flight.file, |watch| watch.ending.initiate_lost |= !watch.ending.moved);
        }
    }

    /// What was begun has no meaning any more: another place, another video, another upload.
    pub(super) fn begins_elsewhere(&mut self, file: FileId) {
        self.watch(file, |watch| {
            watch.ending = Ending { moved: true, ..Ending::default() };
            watch.open = false;
        });
    }

    /// Begin is recorded for an upload that is certainly this file's.
    pub(super) fn opens_rightly(&mut self, file: FileId, upload_id: &str) -> Check {
        let opened = self.files.get_mut(&file).and_then(|watch| watch.ending.opened.take());
        self.watch(file, |watch| {
            watch.ending.initiate_lost = false;
            watch.ending.alive = Some(upload_id.to_owned());
        });
        match opened.as_deref() {
            Some(opened) if opened == upload_id => Ok(()),
            _ => broken(
                "4 only an upload that is certainly ours is taken",
                format!("{upload_id}, {opened:?}"),
            ),
        }
    }

    /// A wanted answer came.
    pub(super) fn learn(&mut self, flight: &Flight, result: &Result<Reply, Fault>) {
        let Flight { file, op, .. } = flight;
        let Some(watch) = self.files.get_mut(file) else { return };
        let (mine, length) = (watch.upload.clone(), watch.length());
        let ours = watch.written.as_ref().and(watch.attempt.as_ref()).map(|a| a.parts.clone());
        let ending = &mut watch.ending;
        match (op, result) {
            (_, Ok(reply)) if !answers(op, reply) => {
                ending.initiate_lost |= matches!(op, Op::InitiateMultipartUpload);
            }
            (Op::InitiateMultipartUpload, Err(fault)) => {
                ending.initiate_lost |= matches!(fault.kind, FaultKind::Transient(_));
            }
            (Op::InitiateMultipartUpload, Ok(Reply::Initiated { upload_id })) => {
                ending.opened = Some(upload_id.clone());
            }
            (Op::ListMultipartUploads, Ok(Reply::Uploads(found))) => {
                ending.sole = found.first().filter(|_| found.len() == 1).cloned();
            }
            (Op::ListParts { upload_id, .. }, Ok(Reply::Parts { parts, next }))
                if mine.as_ref() != Some(upload_id) =>
            {
                let empty = parts.is_empty() && next.is_none();
                ending.opened = ending.sole.take().filter(|sole| empty && sole == upload_id);
            }
            (Op::UploadPart { .. }, Ok(_)) if is_compared(op, result) => {}
            (Op::UploadPart { upload_id, .. }, Ok(_)) => {
                ending.alive = Some(upload_id.clone());
                if let Some(upload) = self.uploads.get_mut(upload_id) {
                    upload.asked = None;
                }
            }
            (Op::ListParts { upload_id, marker }, Ok(Reply::Parts { parts, next })) => {
                ending.alive = Some(upload_id.clone());
                let Some(upload) = self.uploads.get_mut(upload_id) else { return };
                // What a source that was longer before has beyond its end is not asked for.
                let count = length.map(|length| upload.count(length));
                let more = next.is_some_and(|next| count.is_none_or(|c| u64::from(next) < c));
                watch.must_list &= more;
                upload.asked = None;
                if *marker == 0 {
                    upload.listed.clear();
                }
                let sound = parts.iter().filter(|p| !upload.damaged.contains(&p.number));
                upload.listed.extend(sound.map(|p| p.number));
                // Alive with parts missing: no Complete was carried out. What another process sent of a growing source is not
                // known to be a part of it.
                let there = |number: &&u32| ours.as_ref().is_none_or(|o| o.contains_key(*number));
                let there = upload.listed.iter().filter(there).count() as u64;
                if !more && count.is_none_or(|count| there < count) {
                    upload.may_be_object = false;
                }
            }
            (Op::ListParts { upload_id, .. }, Err(fault))
                if matches!(fault.kind, FaultKind::Fatal(_)) =>
            {
                if mine.as_ref() == Some(upload_id) {
                    watch.must_list = false;
                }
                if let Some(upload) = self.uploads.get_mut(upload_id) {
                    upload.asked = None;
                }
            }
            (Op::HeadObject { .. }, Ok(Reply::Head(found))) => {
                ending.must_look = false;
                ending.blind = found.as_ref().is_some_and(|object| !object.verified);
            }
            (Op::HeadObject { .. }, Err(fault)) => {
                ending.blind |= matches!(fault.kind, FaultKind::Fatal(_));
            }
            (
                Op::UploadPart { upload_id, .. }
                | Op::CompleteMultipartUpload { upload_id, .. }
                | Op::ListParts { upload_id, .. },
                Err(fault),
            ) if fault.kind == FaultKind::NoSuchUpload => {
                let upload = self.uploads.get(upload_id).filter(|u| !u.exempt);
                watch.must_list &= !matches!(op, Op::ListParts { .. });
                // Of a growing source a part is sent only when it is another one than what was completed.
                let other = ours.is_some() && matches!(op, Op::UploadPart { .. });
                let mine = mine.as_ref() == Some(upload_id) && !other;
                ending.must_look = mine && upload.is_some_and(|u| u.may_be_object);
            }
            _ => {}
        }
    }

    /// End is recorded.
    pub(super) fn records_end(&mut self, file: FileId) {
        self.watch(file, |watch| watch.ending.ended = true);
    }

    /// Unverified success is told where looking was refused, of an upload that this attempt saw alive.
    pub(super) fn claims_rightly(&self, file: FileId, event: &Event, object: &ObjectInfo) -> Check {
        let Some(watch) = self.files.get(&file).filter(|_| !object.verified) else { return Ok(()) };
        let alive = watch.upload.is_some() && watch.ending.alive == watch.upload;
        match watch.ending.blind && alive {
            true => Ok(()),
            false => broken(
                "4 nothing is claimed that nobody saw",
                format!("{event:?}: {:?}", watch.ending),
            ),
        }
    }

    /// A file that is given up keeps its checkpoint; whether it was completed is unknown only where that cannot be told.
    pub(super) fn gives_up_rightly(&self, file: FileId, event: &Event, error: &ErrorInfo) -> Check {
        let Some(watch) = self.files.get(&file) else { return Ok(()) };
        if watch.ending.ended {
            return broken("4 a file that failed keeps its checkpoint", format!("{event:?}"));
        }
        let alive = watch.upload.is_some() && watch.ending.alive == watch.upload;
        if error.code == "CompletionUnknown" && (alive || !watch.ending.blind) {
            return broken(
                "4 completion is unknown only unseen",
                format!("{event:?}: {:?}", watch.ending),
            );
        }
        Ok(())
    }
}
