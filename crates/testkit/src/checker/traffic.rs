//! Rules 3, 4, 6, 7 and 9: what the server is asked.

use std::collections::BTreeSet;

use vodferry_engine::{Effect, EffectId, FileId, Op, Record, SMALL_FILE};

use super::{Check, Checker, FileWatch, Flight, Standing, broken};
use crate::coverage::Coverage;
use crate::journal::Journals;
use crate::pairs::Stage;
use crate::store::Store;

impl Checker {
    /// The engine asks the shell for something.
    pub fn effect(
        &mut self,
        effect: &Effect,
        store: &Store,
        journals: &Journals,
        coverage: &mut Coverage,
    ) -> Check {
        if let Some(id) = id_of(effect) {
            self.newest = self.newest.max(id);
        }
        match effect {
            Effect::Abandon { id } => {
                if let Some(flight) = self.flights.remove(id) {
                    self.left_open(&flight);
                    self.cuts_rightly(&flight)?;
                }
                self.ask = self.ask.filter(|(ask, _)| ask != id);
                Ok(())
            }
            Effect::AppendCheckpoint { id, file, record, sync } => {
                self.owners.insert(*id, (*file, false));
                let stage = match record {
                    Record::Begin(_) => Some(Stage::SavingBegin),
                    Record::Part(_) if *sync => Some(Stage::SavingLast),
                    Record::Part(_) | Record::Length(_) | Record::End => None,
                };
                self.watch(*file, |watch| {
                    watch.stage = stage.unwrap_or(watch.stage);
                    if watch.standing == Standing::Queued {
                        watch.appends.insert(*id);
                    }
                });
                self.append(*id, *file, record, *sync, coverage)
            }
            Effect::AskGrant { id, file, want } => {
                self.owners.insert(*id, (*file, false));
                self.asks_rightly(*id, *file, want)
            }
            Effect::CloseCheckpoint { .. } => Ok(()),
            Effect::LoadCheckpoint { id, file } => {
                self.owners.insert(*id, (*file, false));
                self.starts_in_order(*file, coverage)?;
                let now = self.now.mono_ms;
                self.watch(*file, |watch| {
                    watch.let_go();
                    watch.parked = None;
                    watch.loaded = None;
                    watch.load = Some(*id);
                    watch.stage = Stage::Loading;
                    if watch.grant.is_some() {
                        watch.since.get_or_insert(now);
                    }
                });
                Ok(())
            }
            Effect::Perform { id, file, grant, op, .. } => {
                let flight = Flight { file: *file, grant: *grant, op: op.clone() };
                self.perform(&flight, store, journals, coverage)?;
                let abort = matches!(op, Op::AbortMultipartUpload { .. });
                self.owners.insert(*id, (*file, abort));
                if let Some(stage) = self.stage_of(*file, op) {
                    let names =
                        matches!(stage, Stage::Listing | Stage::Sending | Stage::Completing);
                    self.watch(*file, |watch| {
                        watch.stage = stage;
                        watch.open |= names;
                    });
                }
                self.flights.insert(*id, flight);
                Ok(())
            }
        }
    }

    /// Of the files that wait the highest priority starts first, equals in the order added.
    fn starts_in_order(&self, file: FileId, coverage: &mut Coverage) -> Check {
        let Some(priority) = self.files.get(&file).map(|f| f.priority) else {
            return broken("1 only listed files", format!("load of file {}", file.0));
        };
        let waits = |(id, watch): &(&FileId, &FileWatch)| {
            let queued = watch.standing == Standing::Queued && !watch.paused;
            **id != file && queued && !watch.is_under_way()
        };
        let place = |id: FileId, priority: i32| (std::cmp::Reverse(priority), id);
        let (mut others, mine) = (self.files.iter().filter(waits), place(file, priority));
        if let Some((id, other)) = others.clone().find(|(id, f)| place(**id, f.priority) < mine) {
            let what = format!("file {} ({priority}), {} ({}) waits", file.0, id.0, other.priority);
            return broken("7 the highest priority starts first, equals in order", what);
        }
        if others.any(|(id, _)| *id < file) {
            coverage.hit("story", "started before its turn in the list");
        }
        Ok(())
    }

    fn stage_of(&self, file: FileId, op: &Op) -> Option<Stage> {
        let mine = self.files.get(&file).and_then(|f| f.upload.as_ref());
        Some(match op {
            Op::AbortMultipartUpload { .. } => return None,
            Op::CompleteMultipartUpload { .. } => Stage::Completing,
            Op::HeadObject { .. } => Stage::Looking,
            Op::InitiateMultipartUpload => Stage::Initiating,
            Op::ListParts { upload_id, .. } if mine == Some(upload_id) => Stage::Listing,
            Op::ListMultipartUploads | Op::ListParts { .. } => Stage::Searching,
            Op::PutObject { .. } => Stage::Putting,
            Op::UploadPart { .. } => Stage::Sending,
        })
    }

    fn perform(
        &mut self,
        flight: &Flight,
        store: &Store,
        journals: &Journals,
        coverage: &mut Coverage,
    ) -> Check {
        let Flight { file, grant, op } = flight;
        let abort = matches!(op, Op::AbortMultipartUpload { .. });
        if !abort && !self.may_send(*file) {
            let what = format!("{op:?} of file {}", file.0);
            return broken("7 nothing is sent while paused, stopped or cancelled", what);
        }
        self.signs_rightly(*file, *grant, op)?;
        if !abort {
            self.watch(*file, |watch| watch.signed = Some(*grant));
            self.goes_on_rightly(flight)?;
            self.owned_alone(flight)?;
            self.sent_patiently(flight, coverage)?;
            self.ends_rightly(flight)?;
            self.sends_what_is_final(flight)?;
        }
        match op {
            Op::AbortMultipartUpload { .. } => self.aborts_rightly(flight)?,
            Op::InitiateMultipartUpload => self.leaves_elsewhere(*file),
            Op::UploadPart { .. } => self.part(flight, store, coverage)?,
            Op::CompleteMultipartUpload { .. } => self.complete(flight, journals)?,
            Op::PutObject { length } => {
                let known = self.files.get(file).and_then(FileWatch::length);
                if known != Some(*length) || *length >= SMALL_FILE {
                    return broken("9 only small files in one request", format!("{op:?}"));
                }
            }
            _ => {}
        }
        self.limits(flight)
    }

    /// An upload is opened: one that was found in a checkpoint and stands in another place than the grant is left behind.
    fn leaves_elsewhere(&mut self, file: FileId) {
        let Some(watch) = self.files.get_mut(&file) else { return };
        let found = watch.upload.as_ref().and_then(|id| self.uploads.get(id));
        let place = watch.grant.as_ref().map(|grant| &grant.target.key);
        if found.is_some_and(|upload| Some(&upload.key) != place) {
            watch.upload = None;
        }
    }

    fn limits(&self, next: &Flight) -> Check {
        let body = |f: &Flight| matches!(f.op, Op::UploadPart { .. } | Op::PutObject { .. });
        if body(next) {
            let parts = self.flights.values().filter(|f| body(f));
            let of_file = parts.clone().filter(|f| f.file == next.file).count() + 1;
            let all = parts.count() + 1;
            if of_file > self.parallel() as usize {
                let what = format!("{of_file} parts of file {}", next.file.0);
                return broken("6 parallel", what);
            }
            if all > self.config.max_in_flight as usize {
                return broken("6 max_in_flight", format!("{all} bodies"));
            }
        }
        // An Abort cleans up after a file that has left its place.
        let busy = self.flights.values().chain([next]);
        let busy =
            busy.filter(|f| !matches!(f.op, Op::AbortMultipartUpload { .. })).map(|f| f.file);
        let busy: BTreeSet<FileId> = busy.collect();
        if busy.len() > self.config.files_at_once as usize {
            return broken("6 files_at_once", format!("{busy:?}"));
        }
        Ok(())
    }

    /// Rule 8: an entry whose checkpoint another transfer holds starts without one.
    fn owned_alone(&self, next: &Flight) -> Check {
        let upload_id = |op: &Op| match op {
            Op::CompleteMultipartUpload { upload_id, .. }
            | Op::ListParts { upload_id, .. }
            | Op::UploadPart { upload_id, .. } => Some(upload_id.clone()),
            _ => None,
        };
        let mine = self.files.get(&next.file).and_then(|watch| watch.upload.clone());
        // A search may look at what it finds, before it knows that it is somebody else's.
        let Some(wanted) = upload_id(&next.op).filter(|id| mine.as_ref() == Some(id)) else {
            return Ok(());
        };
        let other = |(id, watch): &(&FileId, &FileWatch)| {
            **id != next.file && watch.attempt.is_some() && watch.upload.as_ref() == Some(&wanted)
        };
        match self.files.iter().find(other) {
            None => Ok(()),
            Some((id, _)) => {
                let what = format!("{:?} of file {}, held by file {}", next.op, next.file.0, id.0);
                broken("8 a checkpoint has one owner", what)
            }
        }
    }
}

fn id_of(effect: &Effect) -> Option<EffectId> {
    match effect {
        Effect::AppendCheckpoint { id, .. }
        | Effect::AskGrant { id, .. }
        | Effect::LoadCheckpoint { id, .. }
        | Effect::Perform { id, .. } => Some(*id),
        Effect::Abandon { .. } | Effect::CloseCheckpoint { .. } => None,
    }
}
