//! The model shell: performs effects as a real one would, at its own pace and with its own misfortunes.

use vodferry_engine::{
    Effect, EffectId, ErrorKind, Event, FaultKind, FileId, FileState, Input, Op, Output, Record,
    Reply,
};

use crate::app::Outcome;
use crate::checker::{Check, Violation, broken};
use crate::content::{Piece, Version, etag};
use crate::faults::{Fate, lost, misplaced};
use crate::pairs::{self, list_row};
use crate::store::{Request, fault};
use crate::world::{Call, JournalCall, Pending, World};

/// A disk may be as slow as this.
const SLOW_DISK_MS: u64 = 4_000;
/// So many answers are remembered.
const HEARD: usize = 30;
/// So many outputs in a row do not end.
const MAX_OUTPUTS: usize = 10_000;

impl World {
    /// Takes the engine's outputs, `limit` at most; tells how many there were.
    pub(crate) fn drain(&mut self, limit: usize) -> Result<usize, Violation> {
        for count in 0..limit.min(MAX_OUTPUTS) {
            self.checker.at(self.clock.now(), self.engine.clock_offset_ms());
            match self.engine.poll(self.clock.now()) {
                Output::Effect(effect) => {
                    self.note(|| format!("  effect {effect:?}"));
                    let Self { checker, store, journals, coverage, .. } = self;
                    checker.effect(&effect, store, journals, coverage)?;
                    self.perform(effect)?;
                }
                Output::Event(event) => {
                    self.note(|| format!("  event  {event:?}"));
                    let Self { checker, store, sources, coverage, .. } = self;
                    let length_of =
                        |v: Version| sources.get(v.source).map_or(0, |s| s.length_of(v));
                    checker.event(&event, store, length_of, coverage)?;
                    self.cover(&event);
                    self.told(&event)?;
                }
                Output::Timeout(deadline) => {
                    if deadline.is_some_and(|at| at <= self.clock.mono_ms()) {
                        let what = format!("{deadline:?} at {}", self.clock.mono_ms());
                        return broken("a timer lies ahead", what);
                    }
                    self.deadline = deadline;
                    let list = self.engine.files();
                    for view in &list {
                        self.coverage.hit("state", state_name(view.state));
                    }
                    self.checker.drained(&list, deadline)?;
                    return Ok(count);
                }
            }
        }
        if limit > MAX_OUTPUTS {
            return broken("poll comes to an end", format!("{MAX_OUTPUTS} outputs in a row"));
        }
        Ok(limit)
    }

    /// Something that was pending happens.
    pub(crate) fn happen(&mut self, pending: Pending) -> Check {
        match pending {
            Pending::Announce(input) => self.announce(input),
            Pending::Arrive(call) => {
                self.arrive(&call);
                Ok(())
            }
            Pending::Deliver(input) => self.deliver(input),
            Pending::Journal(file, call) => self.journal(file, call),
            Pending::Grant(id, file, want) => {
                let result = self.answer_want(file, &want);
                self.deliver(Input::Granted { id, result })
            }
            Pending::Push(file, refresh, video) => {
                self.coverage.hit("grant", "pushed late");
                self.push(file, refresh, video.as_deref())?;
                self.drain(usize::MAX).map(drop)
            }
        }
    }

    /// Hands an answer to the engine.
    pub(crate) fn deliver(&mut self, input: Input) -> Check {
        self.hand_over(input)?;
        self.drain(usize::MAX).map(drop)
    }

    /// Hands an answer to the engine without asking what follows.
    pub(crate) fn hand_over(&mut self, input: Input) -> Check {
        self.note(|| format!("input {input:?}"));
        self.meet_answer(&input);
        if let Input::Answer { id, result: Err(fault), .. } = &input
            && fault.kind == FaultKind::Expired
            && self.checker.flight(*id).is_some()
        {
            self.coverage.hit("fault", "credential expired");
        }
        let version = match &input {
            Input::Loaded { result: Ok((source, _)), .. } => {
                let looked = self.looked_at.values().find(|(_, s)| s == source);
                looked.map(|(version, _)| *version)
            }
            _ => None,
        };
        self.checker.at(self.clock.now(), self.engine.clock_offset_ms());
        self.checker.delivered(&input, version, &mut self.coverage);
        let often = match input {
            Input::Granted { .. } | Input::Loaded { .. } => 1_000,
            Input::Appended { .. } | Input::Sent { .. } => 400,
            _ => 200,
        };
        if self.rng.chance(often) {
            self.heard.truncate(HEARD);
            self.heard.push_front(input.clone());
        }
        self.engine.handle(self.clock.now(), input);
        Ok(())
    }

    /// An answer that was given before comes once more; or one to a question that nobody asked.
    pub(crate) fn echo(&mut self) -> Check {
        let index = self.rng.below(self.heard.len() as u64 + 1) as usize;
        let nobody = EffectId(u64::MAX - self.rng.below(3));
        let input = match (self.heard.get(index).cloned(), self.rng.below(3)) {
            (Some(input), _) => input,
            (None, 0) => {
                Input::Answer { id: nobody, result: Ok(Reply::Aborted), server_date_ms: None }
            }
            (None, 1) => Input::Appended { id: nobody, result: Ok(()) },
            (None, _) => Input::Sent { id: nobody, bytes: 1 },
        };
        self.coverage.hit("story", "an answer of old");
        self.deliver(input)
    }

    fn meet_answer(&mut self, input: &Input) {
        if let Some(file) = pairs::announced_of(input) {
            self.meet(pairs::wanted(input, false), Some(file));
            return;
        }
        let Some((file, wanted, abort)) = self.checker.concerns(input) else {
            self.meet("unknown id", None);
            return;
        };
        let column = if wanted { pairs::wanted(input, abort) } else { pairs::late(input, abort) };
        let state = self.engine.files().into_iter().find(|view| view.id == file).map(|v| v.state);
        if abort && !matches!(state, None | Some(FileState::Canceled)) {
            // Restored since: the Abort is of an upload that this file has left.
            let list = list_row(self.engine.is_running(), self.checker.is_paused());
            return self.coverage.pairs.hit(list, column);
        }
        self.meet(column, Some(file));
    }

    fn perform(&mut self, effect: Effect) -> Check {
        match effect {
            Effect::Abandon { id } => {
                self.coverage.hit("effect", "Abandon");
                self.abandon(id);
            }
            Effect::AppendCheckpoint { id, file, record, sync } => {
                self.coverage.hit("effect", "Append");
                self.queue_journal(file, JournalCall::Append(id, record, sync));
            }
            Effect::AskGrant { id, file, want } => {
                self.cover_want(&want);
                // Where grants live for seconds, answers straddle their death.
                let slow = if self.is_hasty() { 500 } else { 100 };
                let most = if self.rng.chance(slow) { 8_000 } else { 2_000 };
                let delay = self.rng.between(1, most);
                self.later(delay, Pending::Grant(id, file, want));
            }
            Effect::CloseCheckpoint { file } => {
                self.coverage.hit("effect", "Close");
                self.queue_journal(file, JournalCall::Close);
            }
            Effect::LoadCheckpoint { id, file } => {
                self.coverage.hit("effect", "Load");
                self.queue_journal(file, JournalCall::Load(id));
            }
            Effect::Perform { id, file, grant, op, clock_offset_ms } => {
                self.coverage.hit("effect", "Perform");
                self.coverage.hit("operation", op_name(&op));
                let signed_ms = self.clock.now().wall_ms + clock_offset_ms;
                let Some((body, _)) = self.looked_at.get(&file).cloned() else {
                    return broken("1 order: load comes before requests", format!("{op:?}"));
                };
                let reads = matches!(op, Op::UploadPart { .. } | Op::PutObject { .. });
                let present = self.sources.get(body.source).map(|s| s.version());
                if reads && present != Some(body) {
                    let result = Err(fault(FaultKind::SourceChanged, "SourceChanged"));
                    let input = Input::Answer { id, result, server_date_ms: None };
                    let read = self.rng.between(1, 200);
                    self.later(read, Pending::Deliver(input));
                    return Ok(());
                }
                if let Some(input) = self.compared(id, &op, body) {
                    let read = self.rng.between(1, 200);
                    self.later(read, Pending::Deliver(input));
                    return Ok(());
                }
                let fate = self.fate(&op, grant);
                self.send(Call { id, grant, op, body, signed_ms, fate });
            }
        }
        Ok(())
    }

    /// A part that the server may hold is compared with what it holds, and sent only where it differs.
    fn compared(&mut self, id: EffectId, op: &Op, version: Version) -> Option<Input> {
        let Op::UploadPart { range, held: Some(held), .. } = op else { return None };
        let crc = Piece { version, range: range.clone() }.crc();
        let equal = etag(crc) == *held;
        let name = if equal { "held part is equal" } else { "held part differs" };
        self.coverage.hit("story", name);
        let reply = Reply::PartUploaded { etag: held.clone(), crc64: Some(crc) };
        equal.then_some(Input::Answer { id, result: Ok(reply), server_date_ms: None })
    }

    fn send(&mut self, call: Call) {
        let complete = matches!(call.op, Op::CompleteMultipartUpload { .. });
        let most = if complete && !self.calm && self.is_hasty() { 9_000 } else { 400 };
        let (id, way) = (call.id, self.rng.between(1, most));
        if call.fate == Fate::RequestLost {
            self.coverage.hit("fault", "request lost");
            let wait = self.rng.between(100, 20_000);
            let input = Input::Answer { id, result: Err(lost()), server_date_ms: None };
            self.later(wait, Pending::Deliver(input));
            return;
        }
        let body = match &call.op {
            Op::UploadPart { range, .. } => Some(range.end - range.start),
            Op::PutObject { length } => Some(*length),
            _ => None,
        };
        if let Some(length) = body.filter(|_| self.rng.chance(300)) {
            // A shell that counts headers too may tell more than there is.
            let bytes = self.rng.between(0, length * 5 / 4);
            // Figures may come long after what they are about.
            let wait = if self.rng.chance(50) { self.rng.between(1, 40_000) } else { way / 2 };
            self.later(wait, Pending::Deliver(Input::Sent { id, bytes }));
        }
        self.later(way, Pending::Arrive(call));
    }

    /// A request reaches the server, which does what its fate lets it do and replies.
    fn arrive(&mut self, call: &Call) {
        let now = self.clock.server_ms();
        if let Some(name) = call.fate.name() {
            self.coverage.hit("fault", name);
        }
        self.befall(call);
        let result = call.fate.refusal().map_or_else(|| self.carry_out(call), Err);
        let complete = matches!(call.op, Op::CompleteMultipartUpload { .. });
        if complete && result.is_ok() && call.fate == Fate::ReplyLost {
            self.coverage.hit("fault", "reply lost: complete");
        }
        let (id, dated) = (call.id, call.fate != Fate::ReplyLost);
        let result = match call.fate {
            Fate::Misplaced => Ok(misplaced(&mut self.rng, &call.op)),
            fate => fate.veil().map_or(result, Err),
        };
        let back = match call.fate {
            Fate::ReplyLost => self.rng.between(1_000, 30_000),
            Fate::LateReply => self.rng.between(5_000, 60_000),
            // Putting many parts together takes its time.
            _ if matches!(call.op, Op::CompleteMultipartUpload { .. }) && self.mishap() => {
                self.rng.between(1, 8_000)
            }
            Fate::Relist => self.rng.between(1, 8_000),
            _ => self.rng.between(1, 300),
        };
        let input = Input::Answer { id, result, server_date_ms: dated.then_some(now) };
        if call.fate == Fate::DuplicateReply {
            let again = back + self.rng.between(1, 5_000);
            self.later(again, Pending::Deliver(input.clone()));
        }
        self.later(back, Pending::Deliver(input));
    }

    /// The server does its work.
    pub(crate) fn carry_out(&mut self, call: &Call) -> Result<Reply, vodferry_engine::Fault> {
        let now = self.clock.server_ms();
        let Call { grant, op, body, signed_ms, .. } = call;
        let request = Request { grant: *grant, op, body: *body, signed_ms: *signed_ms };
        let open = |world: &World, id: &str| world.store.upload(id).is_some();
        let before = match op {
            Op::CompleteMultipartUpload { upload_id, .. } => open(self, upload_id),
            _ => false,
        };
        let result = self.store.perform(now, &request);
        self.note(|| format!("server {op:?}: {result:?}"));
        if let (Op::CompleteMultipartUpload { upload_id, .. }, Ok(_)) = (op, &result) {
            match before {
                true => self.checker.completed(upload_id),
                false => self.coverage.hit("story", "completion replayed"),
            }
        }
        result
    }

    /// Grants live for seconds.
    fn is_hasty(&self) -> bool {
        self.scenario.life_ms < 10_000
    }

    /// What is still under way when a file's credential has died is rare, and so is struck more often.
    pub(crate) fn surprise(&mut self, file: FileId) {
        let head = self.scenario.policy.head;
        let Self { pending, checker, rng, calm, .. } = self;
        let mut dropped = None;
        for pending in pending.values_mut().filter(|_| !*calm) {
            let Pending::Arrive(call) = pending else { continue };
            if !checker.is_of(call.id, file) {
                continue;
            }
            let told = |call: &Call, kind, code| {
                let result = Err(fault(kind, code));
                Pending::Deliver(Input::Answer { id: call.id, result, server_date_ms: None })
            };
            match (&call.op, rng.below(10)) {
                (Op::CompleteMultipartUpload { .. }, _) => call.fate = Fate::Relist,
                (Op::UploadPart { .. }, 0..2) => {
                    *pending = told(call, FaultKind::SourceChanged, "SourceChanged");
                }
                // Where nobody may look it could not be told from a completion.
                (Op::UploadPart { upload_id, .. }, 2..4) if head => {
                    dropped = Some(upload_id.clone());
                    *pending = told(call, FaultKind::NoSuchUpload, "NoSuchUpload");
                }
                (Op::UploadPart { .. }, 4) => call.fate = Fate::Fatal,
                (Op::UploadPart { .. }, 5) => call.fate = Fate::SlowDown,
                (Op::UploadPart { .. }, 6) => call.fate = Fate::Skew,
                (Op::UploadPart { .. }, 7..10) => call.fate = Fate::Misplaced,
                _ => {}
            }
        }
        if let Some(upload_id) = dropped {
            self.drop_upload(&upload_id);
        }
    }

    /// What happens at the server just before the request.
    fn befall(&mut self, call: &Call) {
        let head = self.scenario.policy.head;
        match (call.fate, &call.op) {
            (Fate::Expire, _) => self.store.revoke(call.grant, self.clock.server_ms()),
            (Fate::Drop, Op::UploadPart { upload_id, number, .. }) => {
                // Where nobody may look, only an upload that is certainly not whole is dropped: the loss of a whole
                // one could not be told from its completion.
                let held = |u: &crate::store::Upload| u.parts.contains_key(number);
                if head || !self.store.upload(upload_id).is_some_and(held) {
                    self.drop_upload(upload_id);
                }
            }
            (
                Fate::Drop,
                Op::ListParts { upload_id, .. } | Op::CompleteMultipartUpload { upload_id, .. },
            ) if head => self.drop_upload(upload_id),
            (Fate::PartLost, Op::CompleteMultipartUpload { upload_id, parts }) => {
                let number = self.rng.between(1, parts.len() as u64) as u32;
                if self.may_damage(upload_id) && self.store.lose_part(upload_id, number) {
                    self.coverage.hit("fault", "invalid part: lost");
                    self.checker.damaged(upload_id, number);
                    self.note(|| format!("server loses part {number} of {upload_id}"));
                }
            }
            (Fate::PartDamaged, Op::CompleteMultipartUpload { upload_id, parts }) => {
                let number = self.rng.between(1, parts.len() as u64) as u32;
                let other = self.rng.chance(300);
                if self.may_damage(upload_id) && self.store.damage_part(upload_id, number, other) {
                    self.coverage.hit("fault", "invalid part: damaged");
                    self.checker.damaged(upload_id, number);
                    self.note(|| format!("server has part {number} of {upload_id} damaged"));
                }
            }
            _ => {}
        }
    }

    fn drop_upload(&mut self, upload_id: &str) {
        if self.store.drop_upload(upload_id) {
            self.coverage.hit("fault", "upload dropped");
            self.note(|| format!("server drops {upload_id}"));
        }
    }

    /// Damage must be provable: by a listing, and by a journal that holds every ETag.
    fn may_damage(&self, upload_id: &str) -> bool {
        self.scenario.policy.list_parts && !self.checker.is_exempt(upload_id)
    }

    fn fate(&mut self, op: &Op, grant: vodferry_engine::GrantId) -> Fate {
        let fate = self.weather.fate(&mut self.rng, op);
        // A credential that dies before its first use fails the file: let that be rare.
        if fate == Fate::Expire && !self.checker.is_used(grant) && !self.rng.chance(100) {
            return Fate::Fine;
        }
        fate
    }

    /// A request that is no longer wanted: it may have been too late to stop it, and its reply may still come.
    fn abandon(&mut self, id: EffectId) {
        let mine = |pending: &Pending| match pending {
            Pending::Arrive(call) => call.id == id,
            Pending::Deliver(Input::Answer { id: of, .. } | Input::Sent { id: of, .. }) => {
                *of == id
            }
            Pending::Grant(of, ..) => *of == id,
            _ => false,
        };
        let keys: Vec<_> = self.pending.iter().filter(|(_, p)| mine(p)).map(|(k, _)| *k).collect();
        for key in keys {
            let Some(pending) = self.pending.remove(&key) else { continue };
            match pending {
                Pending::Arrive(call) if call.fate.refusal().is_none() && self.rng.chance(400) => {
                    let _unheard = self.carry_out(&call);
                }
                Pending::Deliver(_) | Pending::Grant(..) if self.rng.chance(200) => {
                    self.at(key.0, pending);
                }
                _ => {}
            }
        }
    }

    fn queue_journal(&mut self, file: FileId, call: JournalCall) {
        let free = self.journal_free.get(&file).copied().unwrap_or(0);
        // An authorizer seldom answers while something is written, unless that takes its time.
        let straddles = !self.calm && self.checker.is_asked_for(file) && self.rng.chance(400);
        let slow = straddles || self.mishap() || self.mishap();
        let most = if slow { SLOW_DISK_MS } else { 30 };
        let at = free.max(self.clock.mono_ms() + self.rng.below(most));
        self.journal_free.insert(file, at);
        self.at(at, Pending::Journal(file, call));
    }

    fn journal(&mut self, file: FileId, call: JournalCall) -> Check {
        match call {
            JournalCall::Append(id, record, sync) => {
                let result = if self.mishap() {
                    if matches!(record, Record::End) {
                        self.coverage.hit("fault", "append failure: end");
                        self.journals.end_unwritten(file);
                    } else {
                        self.coverage.hit("fault", "append failure");
                        self.checker.journal_failed(file);
                    }
                    Err(fault(FaultKind::Fatal(ErrorKind::Storage), "DiskFull"))
                } else if let Err(why) = self.journals.append(file, &record, sync) {
                    return broken(
                        "checkpoints are open while written",
                        format!("{why}: {file:?}"),
                    );
                } else {
                    Ok(())
                };
                self.deliver(Input::Appended { id, result })
            }
            JournalCall::Close => {
                let stays = self.journals.close(file);
                let outcome = self.index(file).map(|index| &self.files[index].outcome);
                match (stays, outcome) {
                    (Some(found), Some(Outcome::Succeeded(key)))
                        if found.begin.target.key == *key =>
                    {
                        let what = format!("file {}: {:?}", file.0, found.begin);
                        broken("4 of what succeeded nothing is left to resume", what)
                    }
                    _ => Ok(()),
                }
            }
            JournalCall::Load(id) => {
                let result = self.load(file);
                self.deliver(Input::Loaded { id, result })
            }
        }
    }

    fn cover(&mut self, event: &Event) {
        self.coverage.hit("event", event_name(event));
    }
}

fn op_name(op: &Op) -> &'static str {
    match op {
        Op::AbortMultipartUpload { .. } => "Abort",
        Op::CompleteMultipartUpload { .. } => "Complete",
        Op::HeadObject { .. } => "Head",
        Op::InitiateMultipartUpload => "Initiate",
        Op::ListMultipartUploads => "ListUploads",
        Op::ListParts { .. } => "ListParts",
        Op::PutObject { .. } => "Put",
        Op::UploadPart { .. } => "UploadPart",
    }
}

fn event_name(event: &Event) -> &'static str {
    match event {
        Event::Canceled { .. } => "Canceled",
        Event::Ended { .. } => "Ended",
        Event::Failed { .. } => "Failed",
        Event::PartAcknowledged { .. } => "PartAcknowledged",
        Event::Progress { .. } => "Progress",
        Event::Resumed { .. } => "Resumed",
        Event::Retry { .. } => "Retry",
        Event::RetryResume { .. } => "RetryResume",
        Event::Started { .. } => "Started",
        Event::Succeeded { object, .. } if !object.verified => "Succeeded unverified",
        Event::Succeeded { .. } => "Succeeded",
        Event::TokenExpired { .. } => "TokenExpired",
        Event::Warning { .. } => "Warning",
    }
}

fn state_name(state: FileState) -> &'static str {
    match state {
        FileState::Waiting => "Waiting",
        FileState::Active => "Active",
        FileState::Paused => "Paused",
        FileState::Expired => "Expired",
        FileState::Succeeded => "Succeeded",
        FileState::Failed => "Failed",
        FileState::Canceled => "Canceled",
    }
}
