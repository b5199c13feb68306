//! Watches what goes in and out of an engine and says which rule was broken.
//!
//! The checker knows the promises, not the machine: it keeps its own books of commands, requests, grants and uploads
//! and compares them with what the engine does. `events` holds the rules of what the application is told, `traffic`
//! those of what the server is asked, `grants` those of credentials, `answers` the books of what came back.

mod answers;
mod events;
mod grants;
mod traffic;

use std::collections::{BTreeMap, BTreeSet};

use vodferry_engine::{
    Checkpoint, Config, EffectId, FileId, FileState, FileView, Grant, GrantId, Input, Op,
};

use crate::content::Version;
use crate::pairs::{Stage, id_of};

/// A broken rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub rule: &'static str,
    /// By what.
    pub what: String,
}

/// Whether the rules still hold.
pub type Check = Result<(), Violation>;

/// Breaks `rule`.
pub(crate) fn broken<T>(rule: &'static str, what: impl Into<String>) -> Result<T, Violation> {
    Err(Violation { rule, what: what.into() })
}

/// Where a file stands by the commands given and the events told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Queued,
    Succeeded,
    Failed,
    Canceled,
    Removed,
}

/// One attempt: from Started to its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    acknowledged: u64,
    told: Option<(u64, u64)>,
    outage: bool,
    /// Stopped or paused: only its last figure may still be told.
    closing: bool,
}

/// What LoadCheckpoint found.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) version: Version,
    pub(crate) length: u64,
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// The books of one file of the list.
#[derive(Clone, Debug)]
pub(crate) struct FileWatch {
    app: usize,
    standing: Standing,
    stage: Stage,
    /// The load and the appends that the present attempt waits for.
    load: Option<EffectId>,
    appends: BTreeSet<EffectId>,
    paused: bool,
    owes_canceled: bool,
    attempt: Option<Attempt>,
    pub(crate) loaded: Option<Loaded>,
    grant: Option<Grant>,
    /// The one before a newest that was dead when it came.
    spare: Option<Grant>,
    /// The application handed out a grant of its own accord.
    given: bool,
    /// The content for which the authorizer answered.
    granted_for: Option<Version>,
    expired_told: bool,
    ask_failed: bool,
    video_gone: bool,
    /// The upload this file is at, and whether the engine knows that it is gone.
    upload: Option<String>,
    gone: bool,
    /// The most bytes the engine ever knew the server to hold for this content.
    high: u64,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    file: FileId,
    grant: GrantId,
    op: Op,
}

/// The books of one multipart upload.
#[derive(Clone, Debug)]
pub(crate) struct UploadWatch {
    app: usize,
    version: Version,
    key: String,
    part_size: u64,
    begun: bool,
    /// Its Begin could not be stored.
    unsaved: bool,
    /// Parts that the engine knows the server to hold, with their length.
    known: BTreeMap<u32, u64>,
    damaged: BTreeSet<u32>,
    completed: bool,
    /// Its journal cannot prove anything any more.
    exempt: bool,
    ending: bool,
}

/// The watcher.
#[derive(Debug)]
pub struct Checker {
    config: Config,
    lists_parts: bool,
    running: bool,
    paused: bool,
    pub(crate) files: BTreeMap<FileId, FileWatch>,
    flights: BTreeMap<EffectId, Flight>,
    ask: Option<(EffectId, FileId)>,
    /// Every effect that wants an answer: for which file, and whether it is an Abort.
    owners: BTreeMap<EffectId, (FileId, bool)>,
    begins: BTreeMap<EffectId, String>,
    uploads: BTreeMap<String, UploadWatch>,
    dead: BTreeSet<GrantId>,
    used: BTreeSet<GrantId>,
    stillborn: BTreeSet<GrantId>,
    /// Sources of more than one file: their journals mix the files' uploads.
    shared: BTreeSet<usize>,
    /// A failure ends this run before its files are done.
    halted: bool,
}

impl Checker {
    /// A watcher for engines of this configuration. `lists_parts`: the credentials may list parts.
    pub fn new(config: Config, lists_parts: bool) -> Checker {
        Checker {
            config,
            lists_parts,
            running: false,
            paused: false,
            files: BTreeMap::new(),
            flights: BTreeMap::new(),
            ask: None,
            owners: BTreeMap::new(),
            begins: BTreeMap::new(),
            uploads: BTreeMap::new(),
            dead: BTreeSet::new(),
            used: BTreeSet::new(),
            stillborn: BTreeSet::new(),
            shared: BTreeSet::new(),
            halted: false,
        }
    }

    /// More than one file has this source.
    pub fn shared(&mut self, source: usize) {
        self.shared.insert(source);
    }

    /// `add` succeeded; `app` is the application's number of the file.
    pub fn added(&mut self, file: FileId, app: usize, grant: Option<Grant>) -> Check {
        let watch = FileWatch {
            app,
            standing: Standing::Queued,
            stage: Stage::Loading,
            load: None,
            appends: BTreeSet::new(),
            paused: false,
            owes_canceled: false,
            attempt: None,
            loaded: None,
            given: grant.is_some(),
            grant,
            spare: None,
            granted_for: None,
            expired_told: false,
            ask_failed: false,
            video_gone: false,
            upload: None,
            gone: false,
            high: 0,
        };
        match self.files.insert(file, watch) {
            None => Ok(()),
            Some(_) => broken("1 ids", format!("file id {} was used twice", file.0)),
        }
    }

    /// `remove` succeeded.
    pub fn removed(&mut self, file: FileId) {
        self.leave(file, Standing::Removed);
    }

    /// `clear` was called.
    pub fn cleared(&mut self) {
        let all: Vec<FileId> = self.files.keys().copied().collect();
        all.into_iter().for_each(|file| self.leave(file, Standing::Removed));
    }

    /// `cancel` succeeded.
    pub fn canceled(&mut self, file: FileId) -> Check {
        let before = self.files.get(&file).map(|f| f.standing);
        if matches!(before, None | Some(Standing::Removed | Standing::Succeeded)) {
            return broken("1 commands", format!("cancel accepted file {} ({before:?})", file.0));
        }
        let told_before = before == Some(Standing::Canceled);
        self.leave(file, Standing::Canceled);
        if let Some(watch) = self.files.get_mut(&file) {
            watch.owes_canceled = !told_before;
        }
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
        self.files.values_mut().for_each(FileWatch::let_go);
    }

    /// `pause` succeeded.
    ///
    /// Pausing one file lets go of its transfer: as after a stop, the next thing told is Started.
    pub fn paused(&mut self, file: Option<FileId>) {
        match file {
            None => self.paused = true,
            Some(file) => self.watch(file, |f| {
                f.paused = true;
                f.let_go();
            }),
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
        self.owners.clear();
        self.begins.clear();
        for upload in self.uploads.values_mut() {
            upload.exempt |= upload.ending;
        }
    }

    /// A run is under way as far as the events say.
    pub fn is_running(&self) -> bool {
        self.running
    }

    /// The credential has carried something out.
    pub fn is_used(&self, grant: GrantId) -> bool {
        self.used.contains(&grant)
    }

    /// The whole list is paused.
    pub fn is_paused(&self) -> bool {
        self.paused
    }

    /// What a file under way waits for.
    pub fn stage(&self, file: FileId) -> Stage {
        self.files.get(&file).map(|watch| watch.stage).unwrap_or_default()
    }

    /// How rare a moment this is: 0 when every file under way is in a stage that lasts.
    pub fn briefness(&self) -> u64 {
        let of = |f: &FileWatch| match f.stage {
            _ if f.standing != Standing::Queued || f.attempt.is_none() => 0,
            _ if f.expired_told => 4,
            Stage::Granting | Stage::Sending => 0,
            Stage::Putting | Stage::Searching | Stage::Looking => 4,
            _ => 1,
        };
        self.files.values().map(of).max().unwrap_or(0)
    }

    /// Which file an answer is for, whether it is still wanted, and whether it answers an Abort. `None`: no such effect.
    pub fn concerns(&self, input: &Input) -> Option<(FileId, bool, bool)> {
        let id = id_of(input);
        let (file, abort) = *self.owners.get(&id)?;
        let watch = self.files.get(&file);
        let wanted = match input {
            Input::Answer { .. } | Input::Sent { .. } => self.flights.contains_key(&id),
            Input::Appended { .. } => watch.is_some_and(|w| w.appends.contains(&id)),
            Input::Granted { .. } => self.ask.is_some_and(|(ask, _)| ask == id),
            Input::Loaded { .. } => watch.is_some_and(|w| w.load == Some(id)),
        };
        Some((file, wanted, abort))
    }

    /// The operation of a request that is still wanted.
    pub fn flight(&self, id: EffectId) -> Option<&Op> {
        self.flights.get(&id).map(|flight| &flight.op)
    }

    /// All outputs were taken: what must be true between two calls.
    pub fn drained(&mut self, list: &[FileView]) -> Check {
        if std::mem::take(&mut self.halted) {
            self.running = false;
        }
        for file in self.files.values_mut() {
            file.attempt = file.attempt.take().filter(|attempt| !attempt.closing);
        }
        for (id, flight) in &self.flights {
            let abort = matches!(flight.op, Op::AbortMultipartUpload { .. });
            if !abort && !self.may_send(flight.file) {
                let what = format!("request {} of file {} goes on", id.0, flight.file.0);
                return broken("7 a stopped, paused or cancelled file is cut", what);
            }
        }
        for (id, file) in &self.files {
            if file.owes_canceled {
                return broken("1 cancel tells Canceled", format!("file {}", id.0));
            }
            let view = list.iter().find(|view| view.id == *id);
            self.agrees(*id, file, view)?;
        }
        match list.iter().find(|view| !self.files.contains_key(&view.id)) {
            Some(view) => broken("1 list", format!("file {} was never added", view.id.0)),
            None => Ok(()),
        }
    }

    fn agrees(&self, id: FileId, file: &FileWatch, view: Option<&FileView>) -> Check {
        let state = view.map(|view| view.state);
        let fits = match file.standing {
            Standing::Removed => state.is_none(),
            Standing::Succeeded => state == Some(FileState::Succeeded),
            Standing::Failed => state == Some(FileState::Failed),
            Standing::Canceled => state == Some(FileState::Canceled),
            Standing::Queued => matches!(
                state,
                Some(
                    FileState::Waiting | FileState::Active | FileState::Paused | FileState::Expired
                )
            ),
        };
        if !fits {
            let what = format!("file {} is {:?}, listed as {state:?}", id.0, file.standing);
            return broken("1 list", what);
        }
        let told = file.attempt.as_ref().and_then(|a| a.told);
        match (told, view) {
            (Some((told, _)), Some(view)) if view.acknowledged != told => broken(
                "2 list",
                format!("file {}: told {told}, listed {}", id.0, view.acknowledged),
            ),
            _ => Ok(()),
        }
    }

    /// Whether requests of this file may be under way.
    fn may_send(&self, file: FileId) -> bool {
        let queued = |f: &FileWatch| f.standing == Standing::Queued && !f.paused;
        self.running && !self.halted && !self.paused && self.files.get(&file).is_some_and(queued)
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
        if abort {
            let app = watch.app;
            self.uploads.values_mut().filter(|u| u.app == app).for_each(|u| u.exempt = true);
        }
    }

    fn watch(&mut self, file: FileId, change: impl FnOnce(&mut FileWatch)) {
        if let Some(watch) = self.files.get_mut(&file) {
            change(watch);
        }
    }
}

impl FileWatch {
    /// The transfer is forgotten; the next attempt finds its checkpoint again.
    pub(super) fn let_go(&mut self) {
        if let Some(attempt) = self.attempt.as_mut() {
            attempt.closing = true;
        }
        self.load = None;
        self.appends.clear();
        self.upload = None;
        self.gone = false;
    }
}
