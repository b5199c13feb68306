//! The books of what came back: which parts the engine knows of, which credentials died, which uploads are gone.

use vodferry_engine::{
    Checkpoint, Fault, FaultKind, FileId, Input, ObjectInfo, Op, PartInfo, Reply, Source,
};

use super::books::Refusal;
use super::{Checker, FileWatch, Flight, Loaded, UploadWatch};
use crate::content::Version;
use crate::coverage::Coverage;
use crate::pairs::Stage;

impl Checker {
    /// The shell is about to hand this to the engine. `version` is the content that a load looked at.
    pub fn delivered(&mut self, input: &Input, version: Option<Version>, coverage: &mut Coverage) {
        match input {
            Input::Answer { id, result, server_date_ms } => match self.flights.remove(id) {
                Some(flight) => {
                    if server_date_ms.is_some() {
                        self.dated = Some(self.now);
                    }
                    if !matches!(flight.op, Op::AbortMultipartUpload { .. }) {
                        self.bear(*id, &flight, result);
                        self.learn(&flight, result);
                        self.doom(&flight, result, coverage);
                    }
                    self.answered(&flight, result, coverage);
                }
                None => coverage.hit("story", "late answer after abandon"),
            },
            Input::Appended { id, result } => {
                if let Some(upload) = self.begins.remove(id).and_then(|u| self.uploads.get_mut(&u))
                {
                    upload.begun = true;
                    upload.unsaved = result.is_err();
                }
                if let Some((file, _)) = self.owners.get(id).copied() {
                    self.watch(file, |watch| {
                        if watch.appends.remove(id) && watch.appends.is_empty() {
                            watch.stage = match watch.stage {
                                Stage::SavingBegin => Stage::Sending,
                                Stage::SavingLast => Stage::Completing,
                                stage => stage,
                            };
                        }
                    });
                }
            }
            Input::Granted { id, result } => {
                let Some((_, file)) = self.ask.filter(|(ask, _)| ask == id) else { return };
                self.ask = None;
                match result {
                    // One that is dead by the known time is as good as no answer.
                    Ok(grant) if self.is_known_dead(grant) => {
                        self.bear_dead_grant(*id, file);
                        self.watch(file, |watch| watch.refusal = Some(Refusal::ForAWhile));
                        coverage.hit("story", "dead grant refused unused");
                    }
                    Ok(grant) => {
                        self.bear_grant(file);
                        self.cover_renewal(file, coverage);
                        self.renewed(file, grant);
                        let version = |f: &FileWatch| f.loaded.as_ref().map(|l| l.version);
                        self.watch(file, |watch| watch.granted_for = version(watch));
                    }
                    Err(fault) => {
                        self.bear_refusal(*id, file, fault);
                        let gone = fault.kind == FaultKind::NoSuchUpload;
                        if gone {
                            self.begins_elsewhere(file);
                        }
                        self.watch(file, |watch| {
                            watch.refusal = Some(Refusal::of(fault.kind));
                            watch.video_gone |= gone;
                            watch.signed = watch.signed.filter(|_| !gone);
                            if gone {
                                // It was for a place that is no more.
                                watch.grant = None;
                            }
                        });
                    }
                }
            }
            Input::Loaded { id, result } => {
                let Some((file, _)) = self.owners.get(id).copied() else { return };
                let Some(watch) = self.files.get_mut(&file) else { return };
                if watch.load.take_if(|load| load == id).is_none() {
                    return;
                }
                watch.stage = Stage::Granting;
                if let (Ok((source, found)), Some(version)) = (result, version) {
                    // One of other content is none.
                    let found = found.as_ref().filter(|found| found.begin.source == *source);
                    self.load(file, source, found, version, coverage);
                }
            }
            Input::Broken { .. } | Input::Finished { .. } | Input::Grown { .. } => {
                self.announced(input);
            }
            Input::Sent { .. } => {}
        }
    }

    fn load(
        &mut self,
        file: FileId,
        source: &Source,
        found: Option<&Checkpoint>,
        version: Version,
        coverage: &mut Coverage,
    ) {
        let Some(watch) = self.files.get_mut(&file) else { return };
        watch.loaded = Some(Loaded { version, length: source.length, checkpoint: found.cloned() });
        watch.video_gone = false;
        watch.gone = false;
        watch.high = 0;
        watch.upload = found.map(|c| c.begin.upload_id.clone());
        watch.must_list = found.is_some();
        let Some(checkpoint) = found else { return };
        coverage.hit("story", "checkpoint found");
        let app = watch.app;
        let begin = &checkpoint.begin;
        let upload = self.uploads.entry(begin.upload_id.clone()).or_insert_with(|| UploadWatch {
            app,
            version: Some(version),
            key: begin.target.key.clone(),
            part_size: begin.part_size,
            grows_to: begin.grows_to,
            exempt: true,
            ..UploadWatch::default()
        });
        upload.begun = true;
        if watch.written.is_some() && !upload.completed {
            // What was sent before is compared with the content of today.
            upload.version = Some(version);
        }
        if !self.lists_parts || watch.written.is_some() {
            // Where the server may not be asked, the checkpoint is all that is known; and where it will not answer, of a source whose
            // parts are compared.
            upload.known = checkpoint.parts.iter().map(|p| (p.number, p.clone())).collect();
        }
        // A twin's upload, taken over: the books of both are mixed.
        upload.exempt |= upload.app != app;
        let known: u64 = checkpoint.parts.iter().map(|p| p.length).sum();
        watch.high = watch.high.max(known);
    }

    fn answered(
        &mut self,
        flight: &Flight,
        result: &Result<Reply, Fault>,
        coverage: &mut Coverage,
    ) {
        let file = flight.file;
        // What an Abort finds out, its file does not hear.
        let abort = matches!(flight.op, Op::AbortMultipartUpload { .. });
        let answered = result.as_ref().is_ok_and(|reply| answers(&flight.op, reply));
        if !abort && answered && !is_compared(&flight.op, result) {
            self.used.insert(flight.grant);
        }
        match (&flight.op, result) {
            (_, Err(fault)) => self.refused(flight, fault, coverage),
            (
                Op::UploadPart { upload_id, number, range, .. },
                Ok(Reply::PartUploaded { etag, crc64 }),
            ) => {
                if let Some(upload) = self.uploads.get_mut(upload_id) {
                    let (number, length) = (*number, range.end - range.start);
                    let part = PartInfo { number, length, etag: etag.clone(), crc64: *crc64 };
                    upload.known.insert(number, part);
                    upload.damaged.remove(&number);
                }
                self.raise(file, upload_id);
            }
            (Op::ListParts { upload_id, marker }, Ok(Reply::Parts { parts, next })) => {
                self.listed(upload_id, parts);
                self.raise(file, upload_id);
                if *marker > 0 {
                    coverage.hit("operation", "ListParts, next page");
                }
                let gap =
                    parts.iter().zip(marker + 1..).any(|(part, number)| part.number != number);
                if next.is_none() && gap {
                    coverage.hit("story", "resumed a subset that is no prefix");
                }
            }
            (Op::HeadObject { .. }, Ok(Reply::Head(found))) => {
                match found {
                    Some(ObjectInfo { verified: true, .. }) => {
                        coverage.hit("story", "completion found by head");
                    }
                    _ => self.watch(file, |watch| watch.gone = true),
                }
                self.whole(file);
            }
            (Op::CompleteMultipartUpload { .. }, Ok(Reply::Completed(_)))
            | (Op::PutObject { .. }, Ok(Reply::Put(_))) => self.whole(file),
            _ => {}
        }
    }

    fn refused(&mut self, flight: &Flight, fault: &Fault, coverage: &mut Coverage) {
        match fault.kind {
            FaultKind::Expired if matches!(flight.op, Op::AbortMultipartUpload { .. }) => {}
            FaultKind::Expired => {
                let newest = self.files.get(&flight.file).and_then(|f| f.grant.as_ref());
                let part = matches!(flight.op, Op::UploadPart { .. });
                if part && newest.is_some_and(|newest| newest.id != flight.grant) {
                    coverage.hit("story", "part refused by an old grant");
                }
                self.dead.insert(flight.grant);
            }
            FaultKind::NoSuchUpload => {
                self.watch(flight.file, |watch| watch.gone = true);
                coverage.hit("story", "upload begun anew");
            }
            FaultKind::ClockSkew => coverage.hit("fault", "clock skew"),
            FaultKind::SourceChanged => {
                coverage.hit("fault", "source changed while read");
                self.watch(flight.file, |watch| watch.owes_changed = true);
            }
            FaultKind::Fatal(_) if matches!(flight.op, Op::HeadObject { .. }) => {
                coverage.hit("fault", "head refused");
                // Unverified success, or failure: all bytes are there as far as anybody knows.
                self.whole(flight.file);
            }
            FaultKind::Fatal(_) if matches!(flight.op, Op::ListParts { .. }) => {
                coverage.hit("fault", "list parts refused");
            }
            _ => {}
        }
    }

    fn listed(&mut self, upload_id: &str, parts: &[PartInfo]) {
        let Some(upload) = self.uploads.get_mut(upload_id) else { return };
        for part in parts {
            if !upload.damaged.contains(&part.number) {
                upload.known.insert(part.number, part.clone());
            }
        }
    }

    fn raise(&mut self, file: FileId, upload_id: &str) {
        let known =
            self.uploads.get(upload_id).map_or(0, |u| u.known.values().map(|p| p.length).sum());
        self.watch(file, |watch| watch.high = watch.high.max(known));
    }

    fn whole(&mut self, file: FileId) {
        self.watch(file, |watch| {
            watch.high = watch.length().unwrap_or(watch.high);
        });
    }
}

/// Whether the server was not asked at all: it holds what was to be sent.
pub(super) fn is_compared(op: &Op, result: &Result<Reply, Fault>) -> bool {
    match (op, result) {
        (Op::UploadPart { held: Some(held), .. }, Ok(Reply::PartUploaded { etag, .. })) => {
            held == etag
        }
        _ => false,
    }
}

/// Whether this is a reply to what was asked.
pub(super) fn answers(op: &Op, reply: &Reply) -> bool {
    match op {
        Op::AbortMultipartUpload { .. } => matches!(reply, Reply::Aborted),
        Op::CompleteMultipartUpload { .. } => matches!(reply, Reply::Completed(_)),
        Op::HeadObject { .. } => matches!(reply, Reply::Head(_)),
        Op::InitiateMultipartUpload => matches!(reply, Reply::Initiated { .. }),
        Op::ListMultipartUploads => matches!(reply, Reply::Uploads(_)),
        Op::ListParts { .. } => matches!(reply, Reply::Parts { .. }),
        Op::PutObject { .. } => matches!(reply, Reply::Put(_)),
        Op::UploadPart { .. } => matches!(reply, Reply::PartUploaded { .. }),
    }
}
