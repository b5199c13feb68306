//! The model application: what it adds, how it answers events, and what it does without being asked.

use vodferry_engine::{
    Checkpoint, Engine, ErrorKind, Event, Fault, FaultKind, FileId, FileSpec, FileState, Grant,
    Source, Want,
};

use crate::authority::Terms;
use crate::checker::{Check, Violation, broken};
use crate::content::SourceModel;
use crate::scenario::{self, FilePlan};
use crate::store::fault;
use crate::world::{Pending, World};

/// What the application knows of a file.
#[derive(Clone, Debug)]
pub(crate) struct AppFile {
    pub(crate) plan: FilePlan,
    /// Its key, where there are no videos.
    pub(crate) key: String,
    /// The video of a grant given beforehand.
    video: Option<String>,
    /// In the present engine.
    pub(crate) id: Option<FileId>,
    pub(crate) outcome: Outcome,
}

/// What became of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Open,
    /// Under this key.
    Succeeded(String),
    /// With this code.
    Failed(String),
    Canceled,
    Removed,
}

#[derive(Clone, Copy)]
enum Command {
    Add,
    Authorize,
    Cancel,
    ChangeSource,
    Clear,
    ClockJump,
    Network,
    PauseFile,
    PauseList,
    Remove,
    Restore,
    ResumeFile,
    ResumeList,
    Start,
    Stop,
}

const COMMANDS: &[(Command, u64)] = &[
    (Command::Add, 3),
    (Command::Authorize, 4),
    (Command::Cancel, 7),
    (Command::ChangeSource, 4),
    (Command::Clear, 1),
    (Command::ClockJump, 4),
    (Command::Network, 5),
    (Command::PauseFile, 8),
    (Command::PauseList, 6),
    (Command::Remove, 3),
    (Command::Restore, 10),
    (Command::ResumeFile, 14),
    (Command::ResumeList, 10),
    (Command::Start, 16),
    (Command::Stop, 8),
];

impl World {
    /// The application adds a file that it never added before.
    pub(crate) fn add(&mut self, plan: &FilePlan) -> Check {
        if self.sources.len() <= plan.source {
            self.sources.push(SourceModel::new(plan.source, plan.length));
        } else {
            self.checker.shared(plan.source);
        }
        self.coverage.hit(
            "story",
            match plan.length {
                0 => "file of zero bytes",
                length if length < vodferry_engine::SMALL_FILE => "small file",
                length if length <= plan.part_size => "file of one part",
                _ => "file of many parts",
            },
        );
        let key = format!("key-{}", self.files.len());
        self.files.push(AppFile {
            plan: plan.clone(),
            key,
            video: None,
            id: None,
            outcome: Outcome::Open,
        });
        self.list(self.files.len() - 1)
    }

    /// The application puts a file on the engine's list.
    fn list(&mut self, index: usize) -> Check {
        let now = self.clock.now();
        let terms = self.terms();
        let Self { files, authority, store, coverage, .. } = self;
        let Some(file) = files.get_mut(index) else { return Ok(()) };
        let mut grant = None;
        if file.plan.given {
            let known = file.video.clone();
            let given = match known {
                Some(_) => authority.refresh(store, known.as_deref(), &file.key, terms),
                None => Ok(authority.create(store, &file.key, terms)),
            };
            let given = given.unwrap_or_else(|_| authority.create(store, &file.key, terms));
            file.video = given.video_id.clone();
            coverage.hit("grant", "given with the file");
            grant = Some(given);
        }
        let spec = FileSpec { grant: grant.clone(), part_size: file.plan.part_size };
        match self.engine.add(now, spec) {
            Ok(id) => {
                file.id = Some(id);
                self.note(|| format!("add {} as file {}, grant {grant:?}", index, id.0));
                self.coverage.hit("command", "add");
                self.checker.added(id, index, grant)?;
                self.drain(usize::MAX).map(drop)
            }
            Err(misuse) => broken("a valid file is accepted", misuse.rule),
        }
    }

    /// `start`.
    pub(crate) fn start(&mut self) -> Check {
        self.note(|| "start".to_owned());
        self.coverage.hit("command", "start");
        let anew = self.scenario.config.restart_failed && !self.checker.is_running();
        self.checker.started();
        self.engine.start(self.clock.now());
        for file in self.files.iter_mut().filter(|_| anew) {
            if matches!(file.outcome, Outcome::Failed(_)) {
                file.outcome = Outcome::Open;
            }
        }
        self.drain(usize::MAX).map(drop)
    }

    /// Something happens that nobody asked for.
    pub(crate) fn command(&mut self) -> Check {
        let now = self.clock.now();
        let command = self.rng.weighted(COMMANDS);
        let index = self.rng.below(self.files.len() as u64) as usize;
        let file = self.files.get(index).and_then(|f| f.id);
        match (command, file) {
            (Command::Add, _) if self.files.len() < 8 => {
                let plan = scenario::file(&mut self.rng, self.sources.len(), &self.scenario.config);
                return self.add(&plan);
            }
            (Command::Clear, _) => {
                self.note(|| "clear".to_owned());
                self.coverage.hit("command", "clear");
                self.engine.clear(now);
                self.checker.cleared();
                for file in &mut self.files {
                    let listed = file.id.take().is_some();
                    if listed && !matches!(file.outcome, Outcome::Succeeded(_)) {
                        file.outcome = Outcome::Removed;
                    }
                }
            }
            (Command::ClockJump, _) => {
                let skew = self.rng.pick(&[0, 3_600_000, -3_600_000, 86_400_000 * 30, -20_000]);
                self.note(|| format!("the wall clock is now {skew} ms ahead"));
                self.clock.jump(skew);
            }
            (Command::Network, _) => {
                self.note(|| "network_changed".to_owned());
                self.coverage.hit("command", "network_changed");
                self.engine.network_changed(now);
            }
            (Command::Start, _) => return self.start(),
            (Command::Stop, _) => {
                self.note(|| "stop".to_owned());
                self.coverage.hit("command", "stop");
                self.engine.stop(now);
                self.checker.stopped();
            }
            (Command::PauseList, _) => return self.pause(None).map(drop),
            (Command::ResumeList, _) => return self.resume(None).map(drop),
            (Command::Authorize, Some(id)) => {
                let video = self.engine.files().into_iter().find(|v| v.id == id);
                let video = video.and_then(|v| v.video_id);
                self.push(id, true, video.as_deref())?;
            }
            (Command::Cancel, Some(id)) => return self.cancel(index, id),
            (Command::ChangeSource, _) => self.change_source(index),
            (Command::PauseFile, Some(id)) => return self.pause(Some(id)).map(drop),
            (Command::Remove, Some(id)) => {
                let result = self.engine.remove(now, id);
                self.note(|| format!("remove {}: {result:?}", id.0));
                if result.is_err() {
                    return broken("1 remove takes every listed file", format!("file {}", id.0));
                }
                self.coverage.hit("command", "remove");
                self.checker.removed(id);
                if let Some(file) = self.files.get_mut(index) {
                    file.id = None;
                    if !matches!(file.outcome, Outcome::Succeeded(_)) {
                        file.outcome = Outcome::Removed;
                    }
                }
            }
            (Command::Restore, Some(id)) => return self.restore(index, id),
            (Command::ResumeFile, Some(id)) => return self.resume(Some(id)).map(drop),
            _ => {}
        }
        self.drain(usize::MAX).map(drop)
    }

    /// The process or the machine dies; a new engine goes on with what is on disk.
    pub(crate) fn die(&mut self) -> Check {
        if let Some((key, _)) = self.pending.iter().next().filter(|_| self.rng.chance(400)) {
            let key = *key;
            // The last thing before death: an answer of whose consequences only the first come to pass.
            if let Some(Pending::Deliver(input)) = self.pending.remove(&key) {
                self.clock.advance_to(key.0);
                self.coverage.hit("death", "crash between outputs");
                self.note(|| format!("input before death {input:?}"));
                self.last_words(input)?;
            }
        }
        for pending in std::mem::take(&mut self.pending).into_values() {
            match pending {
                Pending::Arrive(call) if call.fate.refusal().is_none() && self.rng.chance(400) => {
                    self.coverage.hit("death", "request carried out after death");
                    let _unheard = self.carry_out(&call);
                }
                _ => {}
            }
        }
        if self.rng.chance(500) {
            self.coverage.hit("death", "power loss");
            self.note(|| "--- power loss ---".to_owned());
            self.journals.power_loss(&mut self.rng);
        } else {
            self.coverage.hit("death", "crash");
            self.note(|| "--- crash ---".to_owned());
            self.journals.crash();
        }
        self.journal_free.clear();
        self.looked_at.clear();
        self.deadline = None;
        self.checker.crashed();
        let seed = self.rng.bits();
        self.engine = match Engine::new(self.scenario.config.clone(), seed) {
            Ok(engine) => engine,
            Err(misuse) => return broken("a valid configuration is accepted", misuse.rule),
        };
        let pause = self.rng.below(60_000);
        self.clock.advance(pause);
        for index in 0..self.files.len() {
            if self.mishap() {
                self.change_source(index);
            }
            let Some(file) = self.files.get_mut(index) else { continue };
            file.id = None;
            let again = match file.outcome {
                Outcome::Open | Outcome::Failed(_) => true,
                Outcome::Canceled => self.rng.chance(300),
                Outcome::Succeeded(_) | Outcome::Removed => false,
            };
            if again {
                file.outcome = Outcome::Open;
                self.list(index)?;
            }
        }
        self.start()
    }

    /// In the calm: nothing is paused, what failed is tried again, the run goes on.
    pub(crate) fn encourage(&mut self, first: bool) -> Check {
        self.resume(None)?;
        for index in 0..self.files.len() {
            let Some(id) = self.files.get(index).and_then(|f| f.id) else { continue };
            self.resume(Some(id))?;
            let outcome = self.files.get(index).map(|f| f.outcome.clone());
            let wanted = match outcome {
                Some(Outcome::Failed(_)) => true,
                Some(Outcome::Canceled) => first && self.rng.chance(500),
                _ => false,
            };
            if wanted {
                self.restore(index, id)?;
            }
        }
        self.start()
    }

    /// In the calm: files that wait for a credential get one; false when none waits.
    pub(crate) fn push_to_waiting(&mut self) -> Result<bool, Violation> {
        let mut any = false;
        for view in self.engine.files() {
            if view.state == FileState::Expired {
                any = true;
                self.push(view.id, view.target.is_some(), view.video_id.as_deref())?;
            }
        }
        if any {
            self.drain(usize::MAX)?;
        }
        Ok(any)
    }

    /// The application hears an event, and may call the engine from within.
    pub(crate) fn told(&mut self, event: &Event) -> Check {
        match event {
            Event::Started { file, video_id, target } => {
                let given = self.index(*file).is_some_and(|i| self.files[i].plan.given);
                if !self.scenario.config.authorizer && !given {
                    self.answer_event(*file, target.is_some(), video_id.clone())?;
                }
            }
            Event::TokenExpired { file, video_id } => {
                self.answer_event(*file, true, video_id.clone())?;
            }
            Event::Succeeded { file, target, .. } => {
                self.outcome(*file, Outcome::Succeeded(target.key.clone()));
            }
            Event::Failed { file, error } => {
                if error.code == "CompletionUnknown" {
                    self.coverage.hit("story", "completion unknown");
                }
                self.outcome(*file, Outcome::Failed(error.code.clone()));
            }
            Event::Canceled { file } => self.outcome(*file, Outcome::Canceled),
            _ => {}
        }
        Ok(())
    }

    /// The application hands out a grant.
    pub(crate) fn push(&mut self, file: FileId, refresh: bool, video: Option<&str>) -> Check {
        let terms = self.terms();
        let Some(index) = self.index(file) else { return Ok(()) };
        let key = self.files[index].key.clone();
        let other = refresh && video.is_some() && self.mishap();
        let Self { authority, store, .. } = self;
        let grant = match refresh && !other {
            true => authority
                .refresh(store, video, &key, terms)
                .unwrap_or_else(|_| authority.create(store, &key, terms)),
            false => authority.create(store, &key, terms),
        };
        if other {
            self.coverage.hit("grant", "other place");
        }
        let result = self.engine.authorize(self.clock.now(), file, grant.clone());
        self.note(|| format!("authorize {} with {grant:?}: {result:?}", file.0));
        if result.is_ok() {
            self.coverage.hit("command", "authorize");
            self.checker.authorized(file, &grant);
        }
        Ok(())
    }

    /// What the authorizer answers.
    pub(crate) fn answer_want(&mut self, file: FileId, want: &Want) -> Result<Grant, Fault> {
        let terms = self.terms();
        let index = self.index(file);
        let key = index.map_or_else(|| "nobody".to_owned(), |i| self.files[i].key.clone());
        if self.mishap() {
            let (name, kind) = match self.rng.chance(700) {
                true => ("authorizer fails for a while", FaultKind::Transient(ErrorKind::Network)),
                false => ("authorizer refuses", FaultKind::Fatal(ErrorKind::Auth)),
            };
            self.coverage.hit("grant", name);
            return Err(fault(kind, "AuthorizerFailed"));
        }
        if let Want::Refresh { video_id: Some(video) } = want
            && self.mishap()
        {
            self.coverage.hit("grant", "video gone");
            self.authority.delete(video);
        }
        self.coverage.hit("grant", "authorizer answers");
        let Self { authority, store, .. } = self;
        let grant = match want {
            Want::Create => authority.create(store, &key, terms),
            Want::Refresh { video_id } => {
                authority.refresh(store, video_id.as_deref(), &key, terms)?
            }
        };
        if terms.life_ms <= 0 {
            self.checker.stillborn(grant.id);
        }
        Ok(grant)
    }

    /// The shell looks at the source and for its checkpoint.
    pub(crate) fn load(&mut self, file: FileId) -> Result<(Source, Option<Checkpoint>), Fault> {
        if self.mishap() && self.rng.chance(300) {
            self.coverage.hit("fault", "source unreadable");
            return Err(fault(FaultKind::Fatal(ErrorKind::Io), "SourceUnreadable"));
        }
        let index = self.index(file);
        let source = index.and_then(|i| self.sources.get(self.files[i].plan.source));
        let Some((version, identity)) = source.map(|s| (s.version(), s.identity())) else {
            return Err(fault(FaultKind::Fatal(ErrorKind::Io), "NoSource"));
        };
        self.looked_at.insert(file, (version, identity.clone()));
        let found = self.journals.load(file, &identity);
        if self.journals.is_shut_out(file) {
            self.coverage.hit("story", "journal held by another file");
            self.checker.journal_failed(file);
        }
        Ok((identity, found))
    }

    pub(crate) fn cover_want(&mut self, want: &Want) {
        self.coverage.hit(
            "effect",
            match want {
                Want::Create => "AskGrant: create",
                Want::Refresh { .. } => "AskGrant: refresh",
            },
        );
    }

    fn answer_event(&mut self, file: FileId, refresh: bool, video: Option<String>) -> Check {
        if self.rng.chance(500) {
            self.coverage.hit("grant", "pushed in a handler");
            return self.push(file, refresh, video.as_deref());
        }
        let delay = self.rng.between(1, 40_000);
        self.later(delay, Pending::Push(file, refresh, video));
        Ok(())
    }

    fn pause(&mut self, file: Option<FileId>) -> Check {
        let result = self.engine.pause(self.clock.now(), file);
        self.note(|| format!("pause {file:?}: {result:?}"));
        if result.is_ok() {
            let name = if file.is_some() { "pause file" } else { "pause list" };
            self.coverage.hit("command", name);
            self.checker.paused(file);
        }
        self.drain(usize::MAX).map(drop)
    }

    fn resume(&mut self, file: Option<FileId>) -> Check {
        let result = self.engine.resume(self.clock.now(), file);
        self.note(|| format!("resume {file:?}: {result:?}"));
        if result.is_ok() {
            let name = if file.is_some() { "resume file" } else { "resume list" };
            self.coverage.hit("command", name);
            self.checker.resumed(file);
        }
        self.drain(usize::MAX).map(drop)
    }

    fn cancel(&mut self, index: usize, id: FileId) -> Check {
        let result = self.engine.cancel(self.clock.now(), id);
        self.note(|| format!("cancel {}: {result:?}", id.0));
        if result.is_ok() {
            self.coverage.hit("command", "cancel");
            self.checker.canceled(id)?;
        } else if self.files.get(index).is_some_and(|f| f.outcome == Outcome::Open) {
            return broken("7 a file that is not finished can be cancelled", format!("{}", id.0));
        }
        self.drain(usize::MAX).map(drop)
    }

    fn restore(&mut self, index: usize, id: FileId) -> Check {
        let result = self.engine.restore(self.clock.now(), id);
        self.note(|| format!("restore {}: {result:?}", id.0));
        let Some(file) = self.files.get_mut(index) else { return Ok(()) };
        let lost = matches!(file.outcome, Outcome::Failed(_) | Outcome::Canceled);
        if result.is_ok() {
            file.outcome = Outcome::Open;
            self.coverage.hit("command", "restore");
            self.checker.restored(id)?;
        } else if lost {
            return broken("7 a failed or cancelled file can be restored", format!("{}", id.0));
        }
        self.drain(usize::MAX).map(drop)
    }

    fn change_source(&mut self, index: usize) {
        let Some(plan) = self.files.get(index).map(|f| f.plan.clone()) else { return };
        let length = if self.rng.chance(600) { plan.length } else { plan.length + 1 };
        if let Some(source) = self.sources.get_mut(plan.source) {
            source.change(length);
            self.coverage.hit("fault", "source changed between runs");
            self.note(|| format!("source {} changes", plan.source));
        }
    }

    /// An answer whose consequences are cut short.
    fn last_words(&mut self, input: vodferry_engine::Input) -> Check {
        let outputs = self.rng.below(4) as usize;
        self.hand_over(input)?;
        self.drain(outputs).map(drop)
    }

    fn outcome(&mut self, file: FileId, outcome: Outcome) {
        if let Some(index) = self.index(file) {
            self.files[index].outcome = outcome;
        }
    }

    fn index(&self, file: FileId) -> Option<usize> {
        self.files.iter().position(|f| f.id == Some(file))
    }

    fn terms(&mut self) -> Terms {
        let now_ms = self.clock.server_ms();
        if self.calm {
            return Terms::long(now_ms);
        }
        let life_ms = match (self.mishap(), self.rng.below(10)) {
            (true, 0) => {
                self.coverage.hit("grant", "dead on arrival");
                -1_000
            }
            (true, _) => {
                self.coverage.hit("grant", "soon dying");
                self.rng.between(1_000, 30_000) as i64
            }
            (false, _) => 3_000_000,
        };
        Terms { now_ms, life_ms }
    }
}
