//! Watches what goes in and out of an engine and says which rule was broken.
//!
//! The checker knows the promises, not the machine: it keeps its own books (`books`, filled by `answers` and by the commands
//! below) of commands, requests, grants and uploads, and compares them with what the engine does. The number in front of a
//! violation's name is that of the rule:
//!
//! | rule | what | asserted by |
//! |---|---|---|
//! | 1 | one terminal event per attempt, Started first, order, silence after removal; commands taken by state alone | `events::event`, `events::ended`, `agrees`, `drained`, `World::judge` |
//! | 2 | progress is monotone, has acknowledged bytes as its floor, ends at the total, is coalesced | `events::event`, `drained` |
//! | 3 | what the server holds is not sent again; listed before sent; Begin first; Complete names what is held | `traffic::part`, `traffic::append`, `traffic::complete`, `completion::ends_rightly` |
//! | 4 | lost replies to Initiate and Complete: repeated, looked at, claimed only when seen; checkpoint kept | `completion`, `traffic::part`, `traffic::complete` |
//! | 5 | one question at a time, newest credential, expiry told of that alone and when it is due, an authorizer that fails for a while asked again, renewal at 80 % and again when it failed, the upload's place; outages opened by failed requests, ended by acknowledged parts | `grants`, `renewals`, `patience` |
//! | 6 | `parallel`, `max_in_flight`, `files_at_once`; halving, growth, and as many parts as may be; back-off of every failure, jitter, Retry-After, budgets | `traffic::limits`, `patience` |
//! | 7 | pause, stop and cancel cut at once; the next file starts; the upload id is kept | `drained`, `keeps_busy`, `traffic::perform`, `traffic::part`, `traffic::append` |
//! | 8 | never spliced; a changed source fails or begins anew with a grant of its own; one owner per checkpoint; of a growing source only what is final, compared before it counts | `events::event`, `traffic::part`, `traffic::owned_alone`, `written`, `grants`, `World::check_objects` |
//! | 9 | part sizes: refused, as asked, raised; equal but for the last, or twice as long every thousand; small files in one request | `traffic::append`, `traffic::part`, `traffic::perform`, `World::ask_too_much` |
//!
//! `giving_up` asserts what ADR 0010 says of `OnPartFailure`, `traffic::starts_in_order` what it says of priorities.
//! What is no rule of its own (runs end, timers lie ahead, every file arrives in the calm) is asserted by the world.

mod answers;
mod books;
mod completion;
mod events;
mod giving_up;
mod grants;
mod patience;
mod renewals;
mod traffic;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use vodferry_engine::{
    Config, DEFAULT_PARALLEL, DEFAULT_PART_SIZE, EffectId, FileId, FileSpec, FileState, FileView,
    GrantId, Input, Now, Op,
};

pub(crate) use self::books::{Attempt, FileWatch, Flight, Loaded, Standing, UploadWatch};
use self::completion::Ending;
use self::giving_up::Doom;
use self::patience::Patience;
use self::written::Written;
use crate::coverage::Coverage;
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

/// The watcher.
#[derive(Debug)]
pub struct Checker {
    config: Config,
    lists_parts: bool,
    /// The time of the present call, and what the engine adds to it to know the server's.
    now: Now,
    offset_ms: i64,
    /// When a reply last told the server's time.
    dated: Option<Now>,
    /// The newest effect.
    newest: EffectId,
    /// When the engine last asked to be woken.
    deadline: Option<u64>,
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
            now: Now { mono_ms: 0, wall_ms: 0 },
            offset_ms: 0,
            dated: None,
            newest: EffectId(0),
            deadline: None,
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
            shared: BTreeSet::new(),
            halted: false,
        }
    }

    /// More than one file has this source.
    pub fn shared(&mut self, source: usize) {
        self.shared.insert(source);
    }

    /// The next call is made now; `offset_ms` is what the engine has learned of the server's clock.
    pub fn at(&mut self, now: Now, offset_ms: i64) {
        self.now = now;
        self.offset_ms = offset_ms;
    }

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

    /// The authorizer is asked for this file at present.
    pub fn is_asked_for(&self, file: FileId) -> bool {
        self.ask.is_some_and(|(_, of)| of == file)
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
        let id = id_of(input)?;
        let (file, abort) = *self.owners.get(&id)?;
        let watch = self.files.get(&file);
        let wanted = match input {
            Input::Answer { .. } | Input::Sent { .. } => self.flights.contains_key(&id),
            Input::Appended { .. } => watch.is_some_and(|w| w.appends.contains(&id)),
            Input::Granted { .. } => self.ask.is_some_and(|(ask, _)| ask == id),
            Input::Loaded { .. } => watch.is_some_and(|w| w.load == Some(id)),
            Input::Broken { .. } | Input::Finished { .. } | Input::Grown { .. } => return None,
        };
        Some((file, wanted, abort))
    }

    /// Whether this request is wanted, and of this file.
    pub fn is_of(&self, id: EffectId, file: FileId) -> bool {
        self.flights.get(&id).is_some_and(|flight| flight.file == file)
    }

    /// The operation of a request that is still wanted.
    pub fn flight(&self, id: EffectId) -> Option<&Op> {
        self.flights.get(&id).map(|flight| &flight.op)
    }

    /// All outputs were taken: what must be true between two calls. `deadline`: when the engine wants to be woken.
    pub fn drained(&mut self, list: &[FileView], deadline: Option<u64>) -> Check {
        if std::mem::take(&mut self.halted) {
            self.running = false;
        }
        for (id, file) in &mut self.files {
            file.abort_skipped = false;
            let closed = file.attempt.take_if(|attempt| attempt.closing);
            if let Some(closed) = closed.filter(|a| a.acknowledged < a.floor) {
                let what = format!("file {}: {} of {}", id.0, closed.acknowledged, closed.floor);
                return broken("2 the last acknowledged figure is told", what);
            }
            if let Some(early) = file.attempt.as_ref().and_then(|attempt| attempt.early.clone()) {
                return broken("2 progress is coalesced", early);
            }
            if file.owes_changed {
                return broken("8 a source that changed fails its file", format!("file {}", id.0));
            }
        }
        self.gives_up_in_time()?;
        self.breaks_rightly()?;
        self.keeps_busy(list)?;
        self.renews_in_time(deadline)?;
        self.tells_outages()?;
        self.tells_expiry()?;
        self.fills_the_window()?;
        self.deadline = deadline;
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
            if file.owes_abort || file.owes_abort_of.is_some() {
                return broken(
                    "10 an upload is aborted, or said to stay",
                    format!("file {}", id.0),
                );
            }
            let view = list.iter().find(|view| view.id == *id);
            self.agrees(*id, file, view)?;
        }
        match list.iter().find(|view| !self.files.contains_key(&view.id)) {
            Some(view) => broken("1 list", format!("file {} was never added", view.id.0)),
            None => Ok(()),
        }
    }

    /// Rule 7: a file that left its place is followed by the next one at once.
    fn keeps_busy(&self, list: &[FileView]) -> Check {
        let count =
            |states: &[FileState]| list.iter().filter(|v| states.contains(&v.state)).count();
        let waiting = count(&[FileState::Waiting]);
        let under_way = count(&[FileState::Active, FileState::Expired]);
        let room = under_way < self.config.files_at_once as usize;
        match self.running && !self.paused && waiting > 0 && room {
            true => broken(
                "7 the next file starts",
                format!("{waiting} wait, {under_way} are under way"),
            ),
            false => Ok(()),
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

    /// The part size that a file asks for; 0 asks for the configuration's.
    fn asked_size(&self, of_file: u64) -> u64 {
        let asked = [of_file, self.config.part_size, DEFAULT_PART_SIZE];
        asked.into_iter().find(|size| *size > 0).unwrap_or_default()
    }

    /// Parts of one file that may be in flight.
    fn parallel(&self) -> u32 {
        match self.config.parallel {
            0 if self.config.adaptive => self.config.max_in_flight,
            0 => DEFAULT_PARALLEL.min(self.config.max_in_flight),
            parts => parts,
        }
    }

    /// Whether the parts in flight follow what is measured.
    fn climbs(&self) -> bool {
        self.config.adaptive && self.config.parallel == 0
    }

    /// Whether requests of this file may be under way.
    fn may_send(&self, file: FileId) -> bool {
        let queued = |f: &FileWatch| f.standing == Standing::Queued && !f.paused;
        self.running && !self.halted && !self.paused && self.files.get(&file).is_some_and(queued)
    }

    /// The server's time as far as the engine knows it.
    fn server_ms(&self) -> i64 {
        self.now.wall_ms.saturating_add(self.offset_ms)
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

    fn watch(&mut self, file: FileId, change: impl FnOnce(&mut FileWatch)) {
        if let Some(watch) = self.files.get_mut(&file) {
            change(watch);
        }
    }
}
