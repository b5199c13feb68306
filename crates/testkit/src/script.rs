//! The world by hand: a test takes each request in turn, looks at it and answers it.
//!
//! What is not in the script's interest happens at once and well: checkpoints are loaded and stored, and grants are
//! handed out as long as [`Script::grants`] says so. Requests wait for the test: [`Script::next_op`] gives the next
//! one, [`Script::serve`] lets the model store answer it, [`Script::lose_reply`] lets the store carry it out unheard,
//! [`Script::answer`] answers anything else.

use std::collections::{BTreeMap, VecDeque};

use vodferry_engine::{
    Config, Effect, EffectId, Engine, Event, Fault, FileId, FileSpec, GrantId, Input, Op, Output,
    Record, Reply, Want,
};

use crate::authority::{Authority, Terms};
use crate::content::{SourceModel, Version};
use crate::faults::lost;
use crate::journal::Journals;
use crate::store::{Policy, Request, Store};
use crate::time::Clock;

/// How long the grants of a script live unless it says otherwise.
const LIFE_MS: i64 = 3_000_000;

/// A request that waits for its answer.
#[derive(Clone, Debug)]
pub struct Performed {
    /// To answer it.
    pub id: EffectId,
    /// For which file.
    pub file: FileId,
    /// With which grant.
    pub grant: GrantId,
    /// What is asked.
    pub op: Op,
    body: Version,
    signed_ms: i64,
}

/// A world by hand.
#[derive(Debug)]
pub struct Script {
    /// The engine itself, for commands that the script has no words for.
    pub engine: Engine,
    /// Time.
    pub clock: Clock,
    /// The server.
    pub store: Store,
    /// The application's server.
    pub authority: Authority,
    /// Grants are handed out at once, to the authorizer's question as to Started and TokenExpired. True at first.
    pub grants: bool,
    /// How long grants live, in milliseconds.
    pub life_ms: i64,
    /// What the authorizer was asked for.
    pub wants: Vec<Want>,
    asked: Vec<EffectId>,
    /// Every record appended.
    pub records: Vec<Record>,
    /// Requests given up by the engine.
    pub abandoned: Vec<EffectId>,
    config: Config,
    journals: Journals,
    sources: Vec<SourceModel>,
    files: BTreeMap<FileId, usize>,
    bodies: BTreeMap<FileId, Version>,
    events: Vec<Event>,
    waiting: VecDeque<Performed>,
    deadline: Option<u64>,
}

impl Script {
    /// A world without files. Uploads have videos, grants are dated.
    pub fn new(config: Config) -> Script {
        Script {
            engine: engine(&config),
            clock: Clock::new(0),
            store: Store::new(Policy::default()),
            authority: Authority::new(true, true),
            grants: true,
            life_ms: LIFE_MS,
            wants: Vec::new(),
            asked: Vec::new(),
            records: Vec::new(),
            abandoned: Vec::new(),
            config,
            journals: Journals::default(),
            sources: Vec::new(),
            files: BTreeMap::new(),
            bodies: BTreeMap::new(),
            events: Vec::new(),
            waiting: VecDeque::new(),
            deadline: None,
        }
    }

    /// Adds a file of `length` bytes.
    pub fn add(&mut self, length: u64) -> FileId {
        self.sources.push(SourceModel::new(self.sources.len(), length));
        self.list(self.sources.len() - 1)
    }

    /// `start`.
    pub fn start(&mut self) {
        self.engine.start(self.clock.now());
    }

    /// The next request; panics when the engine asks for none before time passes.
    pub fn next_op(&mut self) -> Performed {
        self.try_next_op().unwrap_or_else(|| {
            panic!("no request; next timer {:?}, events {:?}", self.deadline, self.events)
        })
    }

    /// The next request, if there is one before time passes.
    pub fn try_next_op(&mut self) -> Option<Performed> {
        self.drain();
        self.waiting.pop_front()
    }

    /// Answers a request.
    pub fn answer(&mut self, op: &Performed, result: Result<Reply, Fault>) {
        let server_date_ms = Some(self.clock.server_ms());
        self.handle(Input::Answer { id: op.id, result, server_date_ms });
    }

    /// The store carries the request out; nobody hears of it.
    pub fn carry_out(&mut self, op: &Performed) -> Result<Reply, Fault> {
        let Performed { grant, op, body, signed_ms, .. } = op;
        let request = Request { grant: *grant, op, body: *body, signed_ms: *signed_ms };
        self.store.perform(self.clock.server_ms(), &request)
    }

    /// The store carries the request out and answers.
    pub fn serve(&mut self, op: &Performed) {
        let result = self.carry_out(op);
        self.answer(op, result);
    }

    /// The store carries the request out, the reply is lost.
    pub fn lose_reply(&mut self, op: &Performed) {
        self.carry_out(op).unwrap_or_else(|fault| panic!("{:?}: {fault:?}", op.op));
        self.handle(Input::Answer { id: op.id, result: Err(lost()), server_date_ms: None });
    }

    /// Serves requests until one is of this kind, which is given to the test.
    pub fn serve_until(&mut self, wanted: impl Fn(&Op) -> bool) -> Performed {
        loop {
            let op = self.next_op();
            if wanted(&op.op) {
                return op;
            }
            self.serve(&op);
        }
    }

    /// Serves all there is, and lets time pass, until the engine wants nothing any more.
    pub fn run_to_end(&mut self) {
        for _ in 0..100_000 {
            match self.try_next_op() {
                Some(op) => self.serve(&op),
                None if self.deadline.is_some() => self.pass_to_timer(),
                None => return,
            }
        }
        panic!("the script does not come to an end");
    }

    /// Time passes.
    pub fn pass(&mut self, ms: u64) {
        self.clock.advance(ms);
        self.drain();
    }

    /// Time passes until the engine's next timer, if it has one.
    pub fn pass_to_timer(&mut self) {
        self.drain();
        if let Some(at) = self.deadline {
            self.clock.advance_to(at);
            self.drain();
        }
    }

    /// Hands an answer to the engine.
    pub fn handle(&mut self, input: Input) {
        self.engine.handle(self.clock.now(), input);
        self.drain();
    }

    /// All events since the last call.
    pub fn events(&mut self) -> Vec<Event> {
        self.drain();
        std::mem::take(&mut self.events)
    }

    /// Answers the authorizer's oldest open question with a good grant, or pushes one for `file`.
    pub fn grant(&mut self, file: FileId) {
        let terms = Terms { now_ms: self.clock.server_ms(), life_ms: self.life_ms };
        let video = self.engine.files().into_iter().find(|v| v.id == file);
        let video = video.and_then(|v| v.video_id);
        let grant = match video {
            Some(video) => self.authority.refresh(&mut self.store, Some(&video), "", terms),
            None => Ok(self.authority.create(&mut self.store, "", terms)),
        };
        let now = self.clock.now();
        match (grant, self.asked.pop()) {
            (result, Some(id)) => self.engine.handle(now, Input::Granted { id, result }),
            (Ok(grant), None) => {
                if let Err(misuse) = self.engine.authorize(now, file, grant) {
                    panic!("authorize: {}", misuse.rule);
                }
            }
            (Err(fault), None) => panic!("no grant: {fault:?}"),
        }
        self.drain();
    }

    /// The file's source gets other content of this length.
    pub fn change(&mut self, file: FileId, length: u64) {
        if let Some(source) = self.files.get(&file).and_then(|i| self.sources.get_mut(*i)) {
            source.change(length);
        }
    }

    /// The process dies with everything under way; a new one adds the same files again. Tells their new ids.
    pub fn crash(&mut self) -> Vec<FileId> {
        self.journals.crash();
        self.engine = engine(&self.config);
        self.waiting.clear();
        self.asked.clear();
        self.events.clear();
        let sources: Vec<usize> = std::mem::take(&mut self.files).into_values().collect();
        sources.into_iter().map(|source| self.list(source)).collect()
    }

    /// The content that stands under the file's key is the file's present content, whole.
    pub fn is_stored(&self, file: FileId, key: &str) -> bool {
        let Some(source) = self.files.get(&file).and_then(|i| self.sources.get(*i)) else {
            return false;
        };
        self.store.object(key).is_some_and(|o| o.is_whole(source.version(), source.length()))
    }

    fn list(&mut self, source: usize) -> FileId {
        match self.engine.add(self.clock.now(), FileSpec::default()) {
            Ok(id) => {
                self.files.insert(id, source);
                id
            }
            Err(misuse) => panic!("add: {}", misuse.rule),
        }
    }

    fn drain(&mut self) {
        loop {
            match self.engine.poll(self.clock.now()) {
                Output::Effect(effect) => self.perform(effect),
                Output::Event(event) => {
                    let wants = match &event {
                        Event::Started { file, .. } if !self.config.authorizer => Some(*file),
                        Event::TokenExpired { file, .. } => Some(*file),
                        _ => None,
                    };
                    self.events.push(event);
                    if let Some(file) = wants.filter(|_| self.grants) {
                        self.grant(file);
                    }
                }
                Output::Timeout(deadline) => {
                    self.deadline = deadline;
                    return;
                }
            }
        }
    }

    fn perform(&mut self, effect: Effect) {
        let now = self.clock.now();
        match effect {
            Effect::Abandon { id } => {
                self.waiting.retain(|op| op.id != id);
                self.asked.retain(|ask| *ask != id);
                self.abandoned.push(id);
            }
            Effect::AppendCheckpoint { id, file, record, sync } => {
                if let Err(why) = self.journals.append(file, &record, sync) {
                    panic!("{why}");
                }
                self.records.push(record);
                self.engine.handle(now, Input::Appended { id, result: Ok(()) });
            }
            Effect::AskGrant { id, file, want } => {
                self.wants.push(want);
                self.asked.push(id);
                if self.grants {
                    self.grant(file);
                }
            }
            Effect::CloseCheckpoint { file } => drop(self.journals.close(file)),
            Effect::LoadCheckpoint { id, file } => {
                let source = self.files.get(&file).and_then(|i| self.sources.get(*i));
                let Some(source) = source else { panic!("{file:?} was never added") };
                self.bodies.insert(file, source.version());
                let found = self.journals.load(file, &source.identity());
                let result = Ok((source.identity(), found));
                self.engine.handle(now, Input::Loaded { id, result });
            }
            Effect::Perform { id, file, grant, op, clock_offset_ms } => {
                let Some(body) = self.bodies.get(&file).copied() else {
                    panic!("{op:?} before the source was looked at");
                };
                let signed_ms = now.wall_ms + clock_offset_ms;
                self.waiting.push_back(Performed { id, file, grant, op, body, signed_ms });
            }
        }
    }
}

fn engine(config: &Config) -> Engine {
    match Engine::new(config.clone(), 7) {
        Ok(engine) => engine,
        Err(misuse) => panic!("configuration: {}", misuse.rule),
    }
}
