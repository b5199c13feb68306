//! The way between the model shell and the model server, and what befalls a request on it.

use vodferry_engine::{EffectId, FaultKind, FileId, Input, Op, Reply};

use crate::content::{Piece, Version, etag};
use crate::faults::{Fate, lost, misplaced};
use crate::store::{Request, fault};
use crate::world::{Call, Pending, World};

impl World {
    /// A part that the server may hold is compared with what it holds, and sent only where it differs.
    pub(crate) fn compared(&mut self, id: EffectId, op: &Op, version: Version) -> Option<Input> {
        let Op::UploadPart { range, held: Some(held), .. } = op else { return None };
        let crc = Piece { version, range: range.clone() }.crc();
        let equal = etag(crc) == *held;
        let name = if equal { "held part is equal" } else { "held part differs" };
        self.coverage.hit("story", name);
        let reply = Reply::PartUploaded { etag: held.clone(), crc64: Some(crc) };
        equal.then_some(Input::Answer { id, result: Ok(reply), server_date_ms: None })
    }

    pub(crate) fn send(&mut self, call: Call) {
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
    pub(crate) fn arrive(&mut self, call: &Call) {
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
    pub(crate) fn is_hasty(&self) -> bool {
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

    pub(crate) fn fate(&mut self, op: &Op, grant: vodferry_engine::GrantId) -> Fate {
        let fate = self.weather.fate(&mut self.rng, op);
        // A credential that dies before its first use fails the file: let that be rare.
        if fate == Fate::Expire && !self.checker.is_used(grant) && !self.rng.chance(100) {
            return Fate::Fine;
        }
        fate
    }

    /// A request that is no longer wanted: it may have been too late to stop it, and its reply may still come.
    pub(crate) fn abandon(&mut self, id: EffectId) {
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
}
