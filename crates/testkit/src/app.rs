//! The model application: what it adds, how it answers events, and what it does without being asked.

use vodferry_engine::{
    Checkpoint, Config, Engine, ErrorKind, Event, Fault, FaultKind, FileId, FileSpec, FileState,
    Grant, MAX_PART_SIZE, MAX_PARTS, SMALL_FILE, Source, Want,
};

use crate::authority::Terms;
use crate::checker::{Check, Violation, broken};
use crate::content::SourceModel;
use crate::faults::lost;
use crate::scenario::FilePlan;
use crate::store::fault;
use crate::world::{Pending, World};

/// The code with which the authorizer refuses for good; storage has another.
pub(crate) const REFUSED: &str = "Forbidden";

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
    /// Its writer gave up, or took back what it had announced.
    pub(crate) broken: bool,
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

impl World {
    /// The application adds a file that it never added before.
    pub(crate) fn add(&mut self, plan: &FilePlan) -> Check {
        if self.sources.len() <= plan.source {
            self.sources.push(match plan.grows {
                true => SourceModel::growing(plan.source, plan.length),
                false => SourceModel::new(plan.source, plan.length),
            });
        } else {
            self.checker.shared(plan.source);
        }
        self.coverage.hit(
            "story",
            match plan.length {
                0 => "file of zero bytes",
                length if length > MAX_PART_SIZE * MAX_PARTS => "file too large for any part size",
                length if length > plan.part_size.max(SMALL_FILE) * MAX_PARTS => {
                    "file whose parts are made larger"
                }
                length if length < SMALL_FILE => "small file",
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
            broken: false,
            outcome: Outcome::Open,
        });
        self.list(self.files.len() - 1)
    }

    /// The application puts a file on the engine's list.
    pub(crate) fn list(&mut self, index: usize) -> Check {
        let now = self.clock.now();
        let terms = self.terms();
        self.meet("add", None);
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
        let (part_size, priority) = (file.plan.part_size, file.plan.priority);
        let spec = FileSpec { grant, part_size, priority };
        match self.engine.add(now, spec.clone()) {
            Ok(id) => {
                file.id = Some(id);
                file.broken = false;
                let (source, grows) = (file.plan.source, file.plan.grows);
                self.note(|| format!("add {index} as file {}: {spec:?}", id.0));
                self.coverage.hit("command", "add");
                self.checker.added(id, index, &spec, grows)?;
                self.write(id, source);
                self.drain(usize::MAX).map(drop)
            }
            Err(misuse) => broken("a valid file is accepted", misuse.rule),
        }
    }

    /// A part size that the service does not take is refused before anything is sent, and nothing comes of it.
    pub(crate) fn ask_too_much(&mut self) -> Check {
        let part_size = self.rng.pick(&[1, SMALL_FILE - 1, MAX_PART_SIZE + 1, u64::MAX]);
        let before = self.engine.files();
        let spec = FileSpec { part_size, ..FileSpec::default() };
        let config = Config { part_size, ..self.scenario.config.clone() };
        let taken = self.engine.add(self.clock.now(), spec).is_ok();
        if taken || Engine::new(config, 0).is_ok() || self.engine.files() != before {
            return broken("9 an impossible part size is Misuse", format!("{part_size}"));
        }
        self.coverage.hit("story", "impossible part size refused");
        self.drain(usize::MAX).map(drop)
    }

    /// `start`.
    pub(crate) fn start(&mut self) -> Check {
        self.note(|| "start".to_owned());
        self.coverage.hit("command", "start");
        self.meet("start", None);
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
                self.restore(id)?;
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
                self.surprise(*file);
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
        let index = self.index(file);
        let key = index.map_or_else(|| "nobody".to_owned(), |i| self.files[i].key.clone());
        let other = refresh && video.is_some() && (self.mishap() || self.mishap());
        let Self { authority, store, .. } = self;
        let grant = match refresh && !other {
            true => authority
                .refresh(store, video, &key, terms)
                .unwrap_or_else(|_| authority.create(store, &key, terms)),
            false => authority.create(store, &key, terms),
        };
        if other {
            self.coverage.hit("grant fault", "other place");
        }
        let list = self.meet("authorize", Some(file));
        let result = self.engine.authorize(self.clock.now(), file, grant.clone());
        self.judge("authorize", file, &list, result.is_ok())?;
        self.note(|| format!("authorize {} with {grant:?}: {result:?}", file.0));
        if result.is_ok() {
            self.coverage.hit("command", "authorize");
            self.checker.at(self.clock.now(), self.engine.clock_offset_ms());
            self.checker.authorized(file, &grant);
        }
        Ok(())
    }

    /// What the authorizer answers.
    pub(crate) fn answer_want(&mut self, file: FileId, want: &Want) -> Result<Grant, Fault> {
        let terms = self.terms();
        let index = self.index(file);
        let key = index.map_or_else(|| "nobody".to_owned(), |i| self.files[i].key.clone());
        if self.refuses(file) {
            let (name, fault) = match self.rng.below(10) {
                0..4 => ("authorizer fails for a while", lost()),
                4..7 => ("authorizer refuses", fault(FaultKind::Fatal(ErrorKind::Auth), REFUSED)),
                _ => ("authorizer asks for patience", fault(FaultKind::SlowDown, "SlowDown")),
            };
            self.coverage.hit("grant fault", name);
            return Err(fault);
        }
        if let Want::Refresh { video_id: Some(video) } = want
            && (self.mishap() || self.mishap() || self.mishap())
        {
            self.coverage.hit("grant fault", "video gone");
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
        let mut found = self.journals.load(file, &identity);
        if found.is_none() && self.mishap() {
            found = self.journals.stray(&identity, &mut self.rng);
            if found.is_some() {
                self.coverage.hit("fault", "checkpoint of other content");
            }
        }
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

    /// The authorizer has no grant to give now. Renewals ahead of time are few, and fail more often.
    fn refuses(&mut self, file: FileId) -> bool {
        let renews = self.checker.holds_living(file) && self.scenario.mishaps > 0 && !self.calm;
        self.mishap() || self.mishap() || (renews && self.rng.chance(300))
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

    fn outcome(&mut self, file: FileId, outcome: Outcome) {
        if let Some(index) = self.index(file) {
            self.files[index].outcome = outcome;
        }
    }

    pub(crate) fn index(&self, file: FileId) -> Option<usize> {
        self.files.iter().position(|f| f.id == Some(file))
    }

    fn terms(&mut self) -> Terms {
        let now_ms = self.clock.server_ms();
        if self.calm {
            return Terms::long(now_ms);
        }
        let life_ms = match (self.mishap(), self.rng.below(10)) {
            (true, 0) => {
                self.coverage.hit("grant fault", "dead on arrival");
                -1_000
            }
            (true, _) => {
                self.coverage.hit("grant fault", "soon dying");
                self.rng.between(1_000, 30_000) as i64
            }
            (false, _) => self.scenario.life_ms,
        };
        Terms { now_ms, life_ms }
    }
}
