//! Watches what goes in and out of an engine and says which rule was broken.
//!
//! The checker knows the promises, not the machine: it keeps its own books (`books`, filled by `answers` and by
//! `commands`) of commands, requests, grants and uploads, and compares them with what the engine does. The number in front of a
//! violation's name is that of the rule:
//!
//! | rule | what | asserted by |
//! |---|---|---|
//! | 1 | one terminal event per attempt, Started first, order, silence after removal; commands taken by state alone | `events::event`, `events::ended`, `drained`, `World::judge` |
//! | 2 | progress is monotone, has acknowledged bytes as its floor, ends at the total, is coalesced | `events::event`, `drained` |
//! | 3 | what the server holds is not sent again; listed before sent; Begin first; Complete names what is held | `parts::part`, `records::append`, `parts::complete`, `completion::ends_rightly` |
//! | 4 | lost replies to Initiate and Complete: repeated, looked at, claimed only when seen; checkpoint kept | `completion`, `parts::part`, `parts::complete` |
//! | 5 | one question at a time, newest credential, expiry told of that alone and when it is due, an authorizer that fails for a while asked again, renewal at 80 % and again when it failed, the upload's place; outages opened by failed requests, ended by acknowledged parts | `grants`, `renewals`, `patience` |
//! | 6 | `parallel`, `max_in_flight`, `files_at_once`; halving, growth, and as many parts as may be; back-off of every failure, jitter, Retry-After, budgets | `traffic::limits`, `patience` |
//! | 7 | pause, stop and cancel cut at once; the next file starts; the upload id is kept | `drained`, `traffic::perform`, `parts::part`, `records::append` |
//! | 8 | never spliced; a changed source fails or begins anew with a grant of its own; one owner per checkpoint; of a growing source only what is final, compared before it counts | `events::event`, `parts::part`, `traffic::owned_alone`, `written`, `grants`, `World::check_objects` |
//! | 9 | part sizes: refused, as asked, raised; equal but for the last, or twice as long every thousand; small files in one request | `records::append`, `parts::part`, `traffic::perform`, `World::ask_too_much` |
//!
//! `giving_up` asserts what ADR 0010 says of `OnPartFailure`, `traffic::starts_in_order` what it says of priorities.
//! What is no rule of its own (runs end, timers lie ahead, every file arrives in the calm) is asserted by the world.

mod answers;
mod books;
mod commands;
mod completion;
mod drained;
mod events;
mod giving_up;
mod grants;
mod parts;
mod patience;
mod records;
mod renewals;
mod traffic;
mod written;

use std::collections::{BTreeMap, BTreeSet};

use vodferry_engine::{
    Config, DEFAULT_PARALLEL, DEFAULT_PART_SIZE, EffectId, FileId, GrantId, Input, Now, Op,
};

pub(crate) use self::books::{Attempt, FileWatch, Flight, Loaded, Standing, UploadWatch};
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

    fn watch(&mut self, file: FileId, change: impl FnOnce(&mut FileWatch)) {
        if let Some(watch) = self.files.get_mut(&file) {
            change(watch);
        }
    }
}
