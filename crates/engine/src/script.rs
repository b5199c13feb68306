//! For tests: an engine, a clock and a hand for each side, so that a test reads as a script.

use alloc::string::String;
use alloc::vec::Vec;

use crate::*;

pub(crate) const MIB: u64 = 1 << 20;

pub(crate) struct Script {
    pub(crate) engine: Engine,
    pub(crate) now: Now,
}

pub(crate) fn config() -> Config {
    Config { progress_interval_ms: 0, authorizer: true, ..Config::default() }
}

pub(crate) fn source(length: u64) -> Source {
    Source { length: Some(length), modified_ms: 1, fingerprint: "f".into() }
}

pub(crate) fn target(key: &str) -> Target {
    Target { endpoint: "e".into(), bucket: "b".into(), key: key.into() }
}

pub(crate) fn grant(id: u64, expires_at: Option<i64>) -> Grant {
    let target = target("k");
    Grant { id: GrantId(id), expires_at, target, video_id: Some("v".into()) }
}

pub(crate) fn part(number: u32, length: u64) -> PartInfo {
    PartInfo { number, length, etag: "E".into(), crc64: Some(number.into()) }
}

pub(crate) fn checkpoint(length: u64, parts: &[u32]) -> Checkpoint {
    let begin = Begin {
        source: source(length),
        target: target("k"),
        video_id: Some("v".into()),
        part_size: MIB,
        grows_to: None,
        upload_id: "U".into(),
    };
    Checkpoint { begin, parts: parts.iter().map(|n| part(*n, MIB)).collect(), length: None }
}

pub(crate) fn fault(kind: FaultKind) -> Fault {
    Fault {
        kind,
        code: "Code".into(),
        message: "it failed".into(),
        request_id: "R".into(),
        retry_after_ms: None,
    }
}

pub(crate) fn no_reply() -> Fault {
    fault(FaultKind::Transient(ErrorKind::Network))
}

impl Script {
    pub(crate) fn new(config: Config) -> Script {
        let engine = Engine::new(config, 1).unwrap();
        Script { engine, now: Now { mono_ms: 1_000, wall_ms: 1_000_000 } }
    }

    /// One file of so many bytes, up to the answer of LoadCheckpoint and the event Started.
    pub(crate) fn started(config: Config, length: u64, found: Option<Checkpoint>) -> Script {
        let mut s = Script::new(config);
        s.add();
        s.engine.start(s.now);
        s.load(length, found);
        s.started_event();
        s
    }

    /// The same, and on to the first parts: fresh, of so many MiB.
    pub(crate) fn sending(config: Config, mib: u64) -> Script {
        let mut s = Script::started(config, mib * MIB, None);
        s.grant_asked(grant(1, None));
        let (id, op) = s.perform();
        assert_eq!(op, Op::InitiateMultipartUpload);
        s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
        s.saved(true);
        s
    }

    pub(crate) fn add(&mut self) -> FileId {
        self.engine.add(self.now, FileSpec::default()).unwrap()
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        self.now.mono_ms += ms;
        self.now.wall_ms += ms as i64;
    }

    pub(crate) fn next(&mut self) -> Output {
        self.engine.poll(self.now)
    }

    /// Nothing is left to do; until when.
    #[track_caller]
    pub(crate) fn idle(&mut self) -> Option<u64> {
        match self.next() {
            Output::Timeout(at) => at,
            other => panic!("expected nothing, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn event(&mut self) -> Event {
        match self.next() {
            Output::Event(event) => event,
            other => panic!("expected an event, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn effect(&mut self) -> Effect {
        match self.next() {
            Output::Effect(effect) => effect,
            other => panic!("expected an effect, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn perform(&mut self) -> (EffectId, Op) {
        match self.effect() {
            Effect::Perform { id, op, .. } => (id, op),
            other => panic!("expected a request, got {other:?}"),
        }
    }

    /// The next requests, each of which must send the part with this number.
    #[track_caller]
    pub(crate) fn parts(&mut self, numbers: &[u32]) -> Vec<EffectId> {
        let mut ids = Vec::new();
        for expected in numbers {
            match self.perform() {
                (id, Op::UploadPart { number, .. }) if number == *expected => ids.push(id),
                (_, other) => panic!("expected part {expected}, got {other:?}"),
            }
        }
        ids
    }

    /// All that comes out until nothing is left to do.
    pub(crate) fn drain(&mut self) -> Vec<Output> {
        let mut all = Vec::new();
        loop {
            match self.next() {
                Output::Timeout(_) => return all,
                output => all.push(output),
            }
        }
    }

    pub(crate) fn answer(&mut self, id: EffectId, result: Result<Reply, Fault>) {
        self.engine.handle(self.now, Input::Answer { id, result, server_date_ms: None });
    }

    pub(crate) fn stored(&mut self, id: EffectId) {
        let reply = Reply::PartUploaded { etag: "E".into(), crc64: Some(1) };
        self.answer(id, Ok(reply));
    }

    #[track_caller]
    pub(crate) fn load(&mut self, length: u64, found: Option<Checkpoint>) {
        let Effect::LoadCheckpoint { id, .. } = self.effect() else { panic!("expected a load") };
        let result = Ok((source(length), found));
        self.engine.handle(self.now, Input::Loaded { id, result });
    }

    #[track_caller]
    pub(crate) fn started_event(&mut self) -> (Option<String>, Option<Target>) {
        match self.event() {
            Event::Started { video_id, target, .. } => (video_id, target),
            other => panic!("expected Started, got {other:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn ask(&mut self) -> (EffectId, Want) {
        match self.effect() {
            Effect::AskGrant { id, want, .. } => (id, want),
            other => panic!("expected AskGrant, got {other:?}"),
        }
    }

    pub(crate) fn granted(&mut self, id: EffectId, result: Result<Grant, Fault>) {
        self.engine.handle(self.now, Input::Granted { id, result });
    }

    #[track_caller]
    pub(crate) fn grant_asked(&mut self, grant: Grant) -> Want {
        let (id, want) = self.ask();
        self.granted(id, Ok(grant));
        want
    }

    /// The next effect appends a record, and is answered.
    #[track_caller]
    pub(crate) fn saved(&mut self, synced: bool) -> Record {
        match self.effect() {
            Effect::AppendCheckpoint { id, record, sync, .. } if sync == synced => {
                self.engine.handle(self.now, Input::Appended { id, result: Ok(()) });
                record
            }
            other => panic!("expected an append (synced: {synced}), got {other:?}"),
        }
    }

    /// Acknowledges a part in flight, up to its record.
    #[track_caller]
    pub(crate) fn acknowledge(&mut self, id: EffectId, last: bool) {
        self.stored(id);
        assert!(matches!(self.event(), Event::PartAcknowledged { .. }));
        assert!(matches!(self.event(), Event::Progress { .. }));
        self.saved(last);
    }

    #[track_caller]
    pub(crate) fn failed(&mut self) -> ErrorInfo {
        for output in self.drain() {
            if let Output::Event(Event::Failed { error, .. }) = output {
                return error;
            }
        }
        panic!("expected Failed");
    }
}
