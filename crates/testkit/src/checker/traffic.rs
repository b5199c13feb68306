//! Rules 3, 4, 6, 7 and 9: what the server is asked.

use std::collections::BTreeSet;

use vodferry_engine::{Effect, EffectId, FileId, MAX_PARTS, Op, Record, SMALL_FILE};

use super::{Check, Checker, FileWatch, Flight, Standing, UploadWatch, broken};
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

    fn append(
        &mut self,
        id: EffectId,
        file: FileId,
        record: &Record,
        sync: bool,
        coverage: &mut Coverage,
    ) -> Check {
        match record {
            Record::Begin(begin) => {
                let growing = self.growing_size(self.files.get(&file).map_or(0, |f| f.part_size));
                let Some(watch) = self.files.get_mut(&file) else {
                    return broken("1 only listed files", format!("Begin of file {}", file.0));
                };
                let Some(loaded) = watch.loaded.as_ref() else {
                    return broken("1 order", format!("Begin of file {} before Loaded", file.0));
                };
                if !sync {
                    return broken("3 Begin is synced", format!("file {}", file.0));
                }
                let before = watch.upload.as_ref().and_then(|id| self.uploads.get(id));
                let same_place = before.is_some_and(|u| u.key == begin.target.key);
                if same_place && !watch.gone {
                    let what = format!("file {} begins {} anew", file.0, begin.upload_id);
                    return broken("7 the upload id is kept", what);
                }
                if begin.source.length != loaded.length {
                    return broken("8 Begin names the content", format!("{begin:?}"));
                }
                let chosen = self.config.adaptive && watch.part_size + self.config.part_size == 0;
                let fits = match loaded.length {
                    None => (begin.part_size, begin.grows_to) == (growing.0, Some(growing.1)),
                    Some(_) if begin.grows_to.is_some() => false,
                    Some(length) if chosen => {
                        is_suitable(begin.part_size, length, self.config.max_buffered)
                    }
                    Some(length) => begin.part_size == part_size(length, growing.0),
                };
                if !fits {
                    return broken("9 part size", format!("{begin:?}, asked {growing:?}"));
                }
                let upload = UploadWatch {
                    app: watch.app,
                    version: Some(loaded.version),
                    key: begin.target.key.clone(),
                    part_size: begin.part_size,
                    grows_to: begin.grows_to,
                    exempt: self.shared.contains(&loaded.version.source),
                    ..UploadWatch::default()
                };
                // Moved by the application: what was done elsewhere is on no record any more.
                let elsewhere = |u: &&mut UploadWatch| u.app == upload.app && u.key != upload.key;
                self.uploads.values_mut().filter(elsewhere).for_each(|u| u.exempt = true);
                self.uploads.insert(begin.upload_id.clone(), upload);
                self.begins.insert(id, begin.upload_id.clone());
                watch.upload = Some(begin.upload_id.clone());
                watch.gone = false;
                watch.open = true;
                watch.must_list = false;
                if let Some(attempt) = watch.attempt.as_mut() {
                    attempt.parts.clear();
                }
                self.opens_rightly(file, &begin.upload_id)
            }
            Record::End => {
                // After a cancel the file's upload is no longer on the books.
                let app = self.files.get(&file).map(|f| f.app);
                let mine = self.uploads.values_mut().filter(|u| Some(u.app) == app);
                mine.for_each(|u| u.ending = true);
                self.watch(file, |watch| {
                    watch.owes_abort |=
                        watch.standing == Standing::Canceled && !watch.abort_skipped;
                });
                if self.turns_out_small(file) {
                    coverage.hit("story", "turned out small");
                } else {
                    self.records_end(file);
                }
                Ok(())
            }
            Record::Length(_) => Ok(()),
            Record::Part(part) => {
                let watch = self.files.get(&file);
                let upload = watch.and_then(|w| self.uploads.get(w.upload.as_ref()?));
                match upload.is_some_and(|upload| upload.unsaved) {
                    true => broken("3 a part joins no other upload's records", format!("{part:?}")),
                    false => Ok(()),
                }
            }
        }
    }

    /// End is recorded of an upload that another process began of something longer: this one goes up in one request.
    fn turns_out_small(&mut self, file: FileId) -> bool {
        let Some(watch) = self.files.get_mut(&file) else { return false };
        let small = watch.written.is_some() && watch.length().is_some_and(|l| l < SMALL_FILE);
        let goes_on = small && watch.standing == Standing::Queued;
        if goes_on {
            watch.upload = None;
            watch.must_list = false;
        }
        goes_on
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

    fn part(&self, flight: &Flight, store: &Store, coverage: &mut Coverage) -> Check {
        let Op::UploadPart { upload_id, number, range, held: compared } = &flight.op else {
            return Ok(());
        };
        let what = || format!("{:?} of file {}", flight.op, flight.file.0);
        let Some(watch) = self.files.get(&flight.file) else {
            return broken("1 only listed files", what());
        };
        let (Some(loaded), Some(upload)) = (&watch.loaded, self.uploads.get(upload_id)) else {
            return broken("1 order: load and Begin come before parts", what());
        };
        if !upload.begun {
            return broken("3 Begin is stored before the first part is sent", what());
        }
        if watch.upload.as_ref() != Some(upload_id) {
            return broken("7 the upload id is kept", format!("{}: {:?}", what(), watch.upload));
        }
        if upload.version != Some(loaded.version) && watch.written.is_none() {
            return broken("8 never spliced", what());
        }
        let cut = upload.range(*number, watch.length());
        if *number == 0 || u64::from(*number) > MAX_PARTS || *range != cut || range.is_empty() {
            return broken("9 equal parts but for the last", what());
        }
        if watch.written.is_some() && range.end - range.start > upload.part_size {
            coverage.hit("story", "part of a growing source twice as long");
        }
        if self.flights.values().any(|f| f.op == flight.op) {
            return broken("3 a part is sent once at a time", what());
        }
        if watch.must_list {
            return broken("3 the server is asked before anything is sent again", what());
        }
        let held = store.upload(upload_id).is_some_and(|u| u.parts.contains_key(number));
        // One of another length is certainly another one.
        let known = upload.known.get(number).filter(|k| k.length == range.end - range.start);
        let known = known.map(|part| &part.etag);
        let acknowledged = watch.attempt.as_ref().is_some_and(|a| a.parts.contains_key(number));
        let grows = watch.written.is_some();
        if grows && !upload.damaged.contains(number) && !upload.exempt {
            // Who knows what the process before sent: it is compared. What this one sent is not asked about again. (Records that
            // were lost, or are mixed with those of another file, prove nothing.)
            if (known.is_some() && compared.as_ref() != known) || acknowledged {
                let what = format!("{}: known {known:?}, acknowledged {acknowledged}", what());
                return broken(
                    "3 what another process sent is compared, what this one sent stays",
                    what,
                );
            }
        }
        if compared.is_some() && !grows {
            return broken("3 content that is known is not compared", what());
        }
        if held && known.is_some() && !grows {
            return broken("3 a part that the server is known to hold is never sent again", what());
        }
        if held && known.is_none() {
            coverage.hit("story", "part sent again after a lost reply");
        }
        if compared.is_some() && upload.completed {
            coverage.hit("story", "whole upload compared after its completion");
        }
        if compared.is_some() {
            return Ok(());
        }
        if *number == 1 && upload.known.contains_key(&2) {
            coverage.hit("story", "first part sent last");
        }
        let of_file = |f: &&Flight| f.file == flight.file;
        if self.climbs() && self.flights.values().filter(of_file).count() >= 4 {
            coverage.hit("story", "more parts than a climb begins with");
        }
        let again = self.uploads.iter().find(|(_, u)| {
            let content = u.version == Some(loaded.version);
            let same = u.app == watch.app && content && u.key == upload.key;
            same && u.completed && !u.exempt
        });
        match again {
            Some((id, _)) => {
                broken("4 bytes never travel again after Complete", format!("{}, was {id}", what()))
            }
            None => Ok(()),
        }
    }

    /// Everything acknowledged is on disk before Complete goes out, so that a lost reply can be told from a lost upload.
    fn complete(&self, flight: &Flight, journals: &Journals) -> Check {
        let Op::CompleteMultipartUpload { upload_id, parts } = &flight.op else { return Ok(()) };
        let what = || format!("{upload_id} of file {}", flight.file.0);
        let Some(upload) = self.uploads.get(upload_id) else {
            return broken("1 order: Begin comes before Complete", what());
        };
        let length = self.files.get(&flight.file).and_then(FileWatch::length);
        let Some(length) = length else {
            return broken("1 order: load comes before Complete", what());
        };
        let grows = upload.grows_to.is_some();
        let expected = upload.count(length);
        let counted = parts.iter().zip(1u32..).all(|(part, number)| part.number == number);
        if parts.len() as u64 != expected || !counted {
            return broken("3 Complete names all parts", format!("{}: {parts:?}", what()));
        }
        if self.flights.values().any(|f| f.op == flight.op) {
            return broken("4 one Complete at a time", what());
        }
        if upload.exempt {
            return Ok(());
        }
        match journals.synced(flight.file) {
            None => Ok(()),
            // A source that was longer before has left records of parts beyond its end.
            Some(Some(c))
                if c.begin.upload_id == *upload_id
                    && c.parts.iter().filter(|p| u64::from(p.number) <= expected).count()
                        == parts.len()
                    && c.length == grows.then_some(length) =>
            {
                Ok(())
            }
            Some(found) => {
                let parts = found.map(|c| (c.begin.upload_id, c.parts.len()));
                broken(
                    "4 the whole set is synced before Complete",
                    format!("{}: {parts:?}", what()),
                )
            }
        }
    }

    /// The store made an object of this upload.
    pub fn completed(&mut self, upload_id: &str) {
        if let Some(upload) = self.uploads.get_mut(upload_id) {
            upload.completed = true;
        }
    }

    /// The store no longer holds this part as it was acknowledged.
    pub fn damaged(&mut self, upload_id: &str, number: u32) {
        if let Some(upload) = self.uploads.get_mut(upload_id) {
            upload.known.remove(&number);
            upload.damaged.insert(number);
        }
    }

    /// Whether the journal of this upload proves nothing, so that damage to it could not be noticed.
    pub fn is_exempt(&self, upload_id: &str) -> bool {
        self.uploads.get(upload_id).is_none_or(|u| u.exempt)
    }

    /// The journal of this file failed: it proves nothing any more.
    pub fn journal_failed(&mut self, file: FileId) {
        let Some(app) = self.files.get(&file).map(|f| f.app) else { return };
        self.uploads.values_mut().filter(|u| u.app == app).for_each(|u| u.exempt = true);
    }
}

/// The size that parts must have: as asked, or the least multiple of 64 KiB with which there are few enough.
fn part_size(length: u64, asked: u64) -> u64 {
    const GRAIN: u64 = 64 << 10;
    match length.div_ceil(asked) <= MAX_PARTS {
        true => asked,
        false => length.div_ceil(MAX_PARTS).next_multiple_of(GRAIN),
    }
}

/// Whether an engine that was told nothing may have chosen this size.
fn is_suitable(size: u64, length: u64, max_buffered: u64) -> bool {
    const GRAIN: u64 = 256 << 10;
    let most = (max_buffered / 8).div_ceil(GRAIN).saturating_mul(GRAIN).clamp(GRAIN, 8 << 20);
    let chosen = size.is_multiple_of(GRAIN) && (GRAIN..=most).contains(&size);
    let raised = size > GRAIN && size == part_size(length, 1);
    length <= size * MAX_PARTS && (chosen || raised)
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
