//! What the application did, in the books.

use vodferry_engine::{EffectId, FileId, FileSpec, Op};

use super::completion::Ending;
use super::giving_up::Doom;
use super::patience::Patience;
use super::written::Written;
use super::{Attempt, Check, Checker, FileWatch, Flight, Standing, broken};
use crate::coverage::Coverage;

impl Checker {
    /// `add` succeeded; `app` is the application's number of the file; `grows`: its length is unknown at first.
    pub fn added(&mut self, file: FileId, app: usize, spec: &FileSpec, grows: bool) -> Check {
        let FileSpec { grant, part_size, priority } = spec.clone();
        let given = grant.is_some();
        let written = grows.then(Written::default);
        let watch = FileWatch {
            app,
            part_size,
            priority,
            given,
            keeps: given,
            holds: given,
            grant,
            written,
            ..FileWatch::default()
        };
        match self.files.insert(file, watch) {
            None => Ok(()),
            Some(_) => broken("1 ids", format!("file id {} was used twice", file.0)),
        }
    }

    /// `set_priority` succeeded.
    pub fn set_priority(&mut self, file: FileId, priority: i32) {
        self.watch(file, |watch| watch.priority = priority);
    }

    /// `remove` succeeded.
    pub fn removed(&mut self, file: FileId) {
        // Nobody would hear that it stays.
        let owed = self.at_hand(file).0.filter(|_| self.could_abort(file));
        self.leave(file, Standing::Removed);
        self.owe_abort(file, owed);
    }

    /// `clear` was called.
    pub fn cleared(&mut self) {
        let all: Vec<FileId> = self.files.keys().copied().collect();
        all.into_iter().for_each(|file| self.removed(file));
    }

    /// `cancel` succeeded.
    pub fn canceled(&mut self, file: FileId, coverage: &mut Coverage) -> Check {
        let before = self.files.get(&file).map(|f| f.standing);
        if matches!(before, None | Some(Standing::Removed | Standing::Succeeded)) {
            return broken("1 commands", format!("cancel accepted file {} ({before:?})", file.0));
        }
        let told_before = before == Some(Standing::Canceled);
        let could_abort = self.could_abort(file);
        let (owed, parked) = (self.at_hand(file).0, self.is_parked(file));
        self.watch(file, FileWatch::put_down);
        let attempt = self.files.get_mut(&file).and_then(|watch| watch.attempt.take());
        self.leave(file, Standing::Canceled);
        if let Some(watch) = self.files.get_mut(&file) {
            // Its last figure may still be told.
            watch.attempt = attempt.map(|attempt| Attempt { closing: true, ..attempt });
            watch.owes_canceled = !told_before;
            watch.could_abort = could_abort;
        }
        if parked {
            coverage.hit("story", "cancelled while paused, with its upload open");
        }
        self.owe_abort(file, owed);
        Ok(())
    }

    /// `restore` succeeded.
    pub fn restored(&mut self, file: FileId) -> Check {
        let Some(watch) = self.files.get_mut(&file) else {
            return broken("1 commands", format!("restore accepted unknown file {}", file.0));
        };
        if !matches!(watch.standing, Standing::Failed | Standing::Canceled) {
            let what = format!("restore accepted file {} ({:?})", file.0, watch.standing);
            return broken("1 commands", what);
        }
        watch.standing = Standing::Queued;
        watch.paused = false;
        Ok(())
    }

    /// `start` was called.
    pub fn started(&mut self) {
        if !self.running {
            self.running = true;
            self.halted = false;
            if self.config.restart_failed {
                let failed = |f: &&mut FileWatch| f.standing == Standing::Failed;
                self.files.values_mut().filter(failed).for_each(|f| f.standing = Standing::Queued);
            }
        }
    }

    /// `stop` was called. A paused list stays paused.
    pub fn stopped(&mut self) {
        self.running = false;
        for watch in self.files.values_mut() {
            watch.let_go();
            watch.parked = None;
        }
    }

    /// `pause` succeeded.
    ///
    /// Pausing one file lets go of its transfer: as after a stop, the next thing told is Started.
    pub fn paused(&mut self, file: Option<FileId>) {
        match file {
            None => {
                self.paused = true;
                // What was cut may have arrived: no part is sent before the server was asked.
                let cut = |f: &Flight| matches!(f.op, Op::UploadPart { .. }).then_some(f.file);
                let files: Vec<FileId> = self.flights.values().filter_map(cut).collect();
                files.into_iter().for_each(|file| self.watch(file, |watch| watch.must_list = true));
            }
            Some(file) => {
                self.park(file);
                self.watch(file, |f| {
                    f.paused = true;
                    f.let_go();
                });
            }
        }
    }

    /// `resume` succeeded.
    pub fn resumed(&mut self, file: Option<FileId>) {
        match file {
            None => self.paused = false,
            Some(file) => self.watch(file, |f| f.paused = false),
        }
    }

    /// The process died; a new engine begins with an empty list.
    pub fn crashed(&mut self) {
        self.running = false;
        self.halted = false;
        self.paused = false;
        self.files.clear();
        self.flights.clear();
        self.ask = None;
        self.dated = None;
        self.owners.clear();
        self.newest = EffectId(0);
        self.deadline = None;
        self.begins.clear();
        for upload in self.uploads.values_mut() {
            upload.exempt |= upload.ending;
        }
    }

    fn leave(&mut self, file: FileId, standing: Standing) {
        let abort = self.config.on_cancel == vodferry_engine::OnCancel::Abort;
        let Some(watch) = self.files.get_mut(&file) else { return };
        watch.standing = standing;
        watch.attempt = None;
        watch.load = None;
        watch.appends.clear();
        watch.paused = false;
        watch.upload = None;
        watch.loaded = None;
        watch.owes_canceled = false;
        watch.owes_abort = false;
        watch.owes_abort_of = None;
        watch.parked = None;
        watch.open = false;
        watch.abort_skipped = false;
        watch.owes_changed = false;
        watch.must_list = false;
        watch.signed = None;
        watch.patience = Patience::default();
        watch.ending = Ending::default();
        watch.doom = Doom::default();
        if abort {
            let app = watch.app;
            self.uploads.values_mut().filter(|u| u.app == app).for_each(|u| u.exempt = true);
        }
    }

    fn owe_abort(&mut self, file: FileId, upload_id: Option<String>) {
        let aborts = self.config.on_cancel == vodferry_engine::OnCancel::Abort;
        self.watch(file, |watch| watch.owes_abort_of = upload_id.filter(|_| aborts));
    }

    fn is_parked(&self, file: FileId) -> bool {
        self.files.get(&file).is_some_and(|watch| watch.parked.is_some())
    }
}
