//! A world from a seed: an engine, its shell, its application, its server and its misfortunes, until the calm.
//!
//! The storm: requests, replies, journals and grants take their time and suffer their fates, commands come at any
//! moment, the process and the machine die. Then the calm: nothing fails any more, and everything that was neither
//! cancelled nor removed has to arrive. The [`Checker`] looks at every step.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};

use vodferry_engine::{
    EffectId, Engine, FileId, FileState, FileView, GrantId, Input, MAX_PART_SIZE, MAX_PARTS, Op,
    Record, Source, Want,
};

use crate::app::{AppFile, Outcome};
use crate::authority::Authority;
use crate::checker::{Check, Checker, Violation, broken};
use crate::content::{SourceModel, Version};
use crate::coverage::Coverage;
use crate::faults::{Fate, Weather};
use crate::journal::Journals;
use crate::pairs::{Stage, list_row, row};
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::store::{Object, Store};
use crate::time::Clock;

/// So many steps of calm without an end are a hang.
const CALM_STEPS: u64 = 200_000;
/// So many wake-ups in a row that bring nothing are a loop.
const IDLE_WAKES: u32 = 300;

/// Commands more, per thousand steps, while a file is where it does not stay for long.
const BRIEF: u64 = 50;

/// What will happen at a later moment.
#[derive(Clone, Debug)]
pub(crate) enum Pending {
    /// The writer of a growing source has something to say.
    Announce(Input),
    /// A request reaches the server.
    Arrive(Call),
    /// An answer reaches the engine.
    Deliver(Input),
    /// The journal is read, written or closed.
    Journal(FileId, JournalCall),
    /// The authorizer answers.
    Grant(EffectId, FileId, Want),
    /// The application hands out a grant; `refresh` as far as the event told a place.
    Push(FileId, bool, Option<String>),
}

/// A request on its way.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: EffectId,
    pub(crate) grant: GrantId,
    pub(crate) op: Op,
    pub(crate) body: Version,
    pub(crate) signed_ms: i64,
    pub(crate) fate: Fate,
}

/// One use of a journal.
#[derive(Clone, Debug)]
pub(crate) enum JournalCall {
    Append(EffectId, Record, bool),
    Close,
    Load(EffectId),
}

/// One world.
#[derive(Debug)]
pub struct World {
    pub(crate) rng: Rng,
    pub(crate) clock: Clock,
    pub(crate) scenario: Scenario,
    pub(crate) weather: Weather,
    pub(crate) calm: bool,
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) journals: Journals,
    pub(crate) sources: Vec<SourceModel>,
    pub(crate) files: Vec<AppFile>,
    pub(crate) authority: Authority,
    pub(crate) checker: Checker,
    pub(crate) pending: BTreeMap<(u64, u64), Pending>,
    pub(crate) deadline: Option<u64>,
    /// When each file's journal is free again.
    pub(crate) journal_free: BTreeMap<FileId, u64>,
    /// The content that each file's load looked at.
    pub(crate) looked_at: BTreeMap<FileId, (Version, Source)>,
    /// Answers given before: any of them may come once more at any time.
    pub(crate) heard: VecDeque<Input>,
    /// Files that were in the list.
    pub(crate) removed: Vec<FileId>,
    /// What this world reached.
    pub coverage: Coverage,
    trace: Option<Vec<String>>,
    sequence: u64,
    idle_wakes: u32,
}

/// How a world went.
#[derive(Debug)]
pub struct Report {
    /// What was reached.
    pub coverage: Coverage,
    /// The rule that was broken.
    pub violation: Option<Violation>,
    /// What happened, if it was asked for.
    pub trace: Vec<String>,
}

/// Lives the world of `seed` to its end, or to the first broken rule.
pub fn run(seed: u64, trace: bool) -> Report {
    let mut world = World::new(seed, trace);
    let lived = catch_unwind(AssertUnwindSafe(|| world.live()));
    let violation = lived.unwrap_or_else(|cause| broken("nothing panics", text(&*cause))).err();
    Report { coverage: world.coverage, violation, trace: world.trace.unwrap_or_default() }
}

impl World {
    fn new(seed: u64, trace: bool) -> World {
        let mut rng = Rng::new(seed);
        let scenario = Scenario::draw(&mut rng);
        let engine = match Engine::new(scenario.config.clone(), rng.bits()) {
            Ok(engine) => engine,
            Err(misuse) => panic!("a valid configuration is refused: {}", misuse.rule),
        };
        World {
            clock: Clock::new(scenario.skew_ms),
            weather: scenario.weather.clone(),
            calm: false,
            engine,
            store: Store::new(scenario.policy.clone()),
            journals: Journals::default(),
            sources: Vec::new(),
            files: Vec::new(),
            authority: Authority::new(scenario.videos, scenario.dated),
            checker: Checker::new(scenario.config.clone(), scenario.policy.list_parts),
            pending: BTreeMap::new(),
            deadline: None,
            journal_free: BTreeMap::new(),
            looked_at: BTreeMap::new(),
            heard: VecDeque::new(),
            removed: Vec::new(),
            coverage: Coverage::default(),
            trace: trace.then(Vec::new),
            sequence: 0,
            idle_wakes: 0,
            scenario,
            rng,
        }
    }

    fn live(&mut self) -> Check {
        let scenario = format!("{:?}", self.scenario);
        self.note(|| scenario);
        for plan in self.scenario.files.clone() {
            self.add(&plan)?;
        }
        self.start()?;
        self.storm()?;
        self.be_calm()
    }

    fn storm(&mut self) -> Check {
        for _ in 0..self.scenario.steps {
            if self.rng.chance(self.scenario.deaths) {
                self.die()?;
            } else if self.rng.chance(self.scenario.commands + self.hurry()) {
                self.command()?;
            } else if !self.step()? {
                // Nothing is under way: only a command, or nothing at all, can go on from here.
                self.command()?;
            }
        }
        Ok(())
    }

    /// Commands more, per thousand steps: a moment that does not last gets its share of them.
    fn hurry(&self) -> u64 {
        match self.scenario.commands {
            0 => 0,
            _ => self.checker.briefness() * BRIEF,
        }
    }

    /// The next thing happens; false when nothing is left to happen.
    fn step(&mut self) -> Result<bool, Violation> {
        let next = self.pending.keys().next().copied();
        let due = match (next, self.deadline) {
            (None, None) => return Ok(false),
            (Some((at, _)), Some(deadline)) if deadline < at => None,
            (Some(key), _) => Some(key),
            (None, Some(_)) => None,
        };
        match due {
            Some(key) => {
                self.clock.advance_to(key.0);
                let Some(pending) = self.pending.remove(&key) else { return Ok(true) };
                self.idle_wakes = 0;
                self.happen(pending)?;
            }
            None => {
                self.clock.advance_to(self.deadline.unwrap_or(0));
                if !self.calm && self.rng.chance(100) {
                    let late = self.rng.below(3_000);
                    self.clock.advance(late);
                }
                self.note(|| "the timer wakes the engine".to_owned());
                self.meet("timer", None);
                if self.drain(usize::MAX)? == 0 {
                    self.idle_wakes += 1;
                }
                if self.idle_wakes > IDLE_WAKES {
                    return Err(Violation {
                        rule: "timers come to an end",
                        what: format!("{IDLE_WAKES} wake-ups brought nothing"),
                    });
                }
            }
        }
        Ok(true)
    }

    fn be_calm(&mut self) -> Check {
        self.note(|| "--- calm ---".to_owned());
        self.calm = true;
        self.weather = Weather::calm();
        self.store.prolong(self.clock.server_ms());
        self.settle()?;
        // Where a failure halts the others, each may take a round of its own.
        let rounds = 4 + if self.scenario.config.halt_on_failure { self.files.len() } else { 0 };
        for round in 1..=rounds {
            self.encourage(round == 1)?;
            self.settle()?;
            self.check_rest(round == rounds)?;
        }
        self.check_objects()
    }

    /// Runs until nothing is left to happen.
    fn settle(&mut self) -> Check {
        let mut pushes = 0;
        for _ in 0..CALM_STEPS {
            if self.step()? {
                continue;
            }
            pushes += 1;
            if pushes > 20 || !self.push_to_waiting()? {
                return Ok(());
            }
        }
        Err(Violation { rule: "it comes to an end", what: format!("not in {CALM_STEPS} steps") })
    }

    /// Every file has come to an end, and the run has ended; the last time none has failed.
    fn check_rest(&self, last: bool) -> Check {
        // Whether it was completed cannot be found out: it fails again and again, and halts the others where that is
        // wanted.
        let unknowable = |file: &AppFile| {
            !self.scenario.policy.head
                && file.outcome == Outcome::Failed("CompletionUnknown".to_owned())
        };
        let too_large = |file: &AppFile| {
            let source = self.sources.get(file.plan.source);
            let most = match source.is_some_and(SourceModel::grows) {
                true => self.checker.longest_growing(file.plan.part_size),
                false => MAX_PART_SIZE * MAX_PARTS,
            };
            source.is_some_and(|source| source.length() > most)
                && file.outcome == Outcome::Failed("TooLarge".to_owned())
        };
        let hopeless = |file: &AppFile| unknowable(file) || too_large(file) || file.broken;
        let halting = self.scenario.config.halt_on_failure;
        let halted = halting && (!last || self.files.iter().any(hopeless));
        for view in self.engine.files() {
            let file = self.files.iter().find(|f| f.id == Some(view.id));
            let fine = match view.state {
                FileState::Succeeded | FileState::Canceled => true,
                FileState::Failed => !last || halted || file.is_some_and(hopeless),
                _ => halted,
            };
            if !fine {
                let outcome = file.map(|f| &f.outcome);
                let what =
                    format!("file {} is {:?} in the calm: {outcome:?}", view.id.0, view.state);
                return broken("every file arrives", what);
            }
        }
        match self.checker.is_running() {
            true => broken("every run ends", "all files came to their end, Ended was not told"),
            false => Ok(()),
        }
    }

    fn check_objects(&self) -> Check {
        for (index, file) in self.files.iter().enumerate() {
            let Outcome::Succeeded(key) = &file.outcome else { continue };
            let versions = self.sources.get(file.plan.source).map_or(&[][..], |s| s.versions());
            let object = self.store.object(key);
            let whole = |o: &Object| versions.iter().any(|(v, length)| o.is_whole(*v, *length));
            if !object.is_some_and(whole) {
                let what = format!("file no. {index} under {key}: {object:?}");
                return Err(Violation { rule: "8 objects are whole", what });
            }
        }
        Ok(())
    }

    /// Something will happen in `delay_ms`.
    pub(crate) fn later(&mut self, delay_ms: u64, pending: Pending) {
        self.at(self.clock.mono_ms() + delay_ms, pending);
    }

    /// Something will happen at `mono_ms`.
    pub(crate) fn at(&mut self, mono_ms: u64, pending: Pending) {
        self.sequence += 1;
        self.pending.insert((mono_ms, self.sequence), pending);
    }

    /// A fault outside the network strikes now.
    pub(crate) fn mishap(&mut self) -> bool {
        !self.calm && self.rng.chance(self.scenario.mishaps)
    }

    /// A command or the timer is about to meet `file`, or every file of the list. Tells the list as it is before.
    pub(crate) fn meet(&mut self, column: &str, file: Option<FileId>) -> Vec<FileView> {
        let list = self.engine.files();
        let pairs = &mut self.coverage.pairs;
        pairs.hit(list_row(self.engine.is_running(), self.checker.is_paused()), column);
        for view in list.iter().filter(|view| file.is_none_or(|file| file == view.id)) {
            pairs.hit(row(Some(view.state), self.checker.stage(view.id)), column);
        }
        if file.is_some_and(|file| list.iter().all(|view| view.id != file)) {
            pairs.hit(row(None, Stage::Loading), column);
        }
        list
    }

    /// Writes a line of the trace, if there is one.
    pub(crate) fn note(&mut self, line: impl FnOnce() -> String) {
        let at = self.clock.mono_ms();
        if let Some(trace) = self.trace.as_mut() {
            trace.push(format!("{at:>9} {}", line()));
        }
    }
}

fn text(cause: &(dyn Any + Send)) -> String {
    let text = cause.downcast_ref::<String>().map(String::as_str);
    text.or(cause.downcast_ref::<&str>().copied()).unwrap_or("no message").to_owned()
}
