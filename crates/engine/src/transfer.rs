//! One file under way: a machine whose phase says which request it needs next.
//!
//! Requests are level-triggered: [`Transfer::step`] looks at the phase and sends what is wanted and not in flight. So whatever
//! cuts a request (pause, a network change, an expired grant, a back-off) only has to take it out of flight; the
//! same step sends it again when nothing holds it back. What is in flight is in `flight.rs`, what an answer means in
//! `answer.rs`, what a fault means in `fault.rs`, finishing in `complete.rs`, grants in `grant.rs`.

use crate::map::Map;
use alloc::string::String;
use alloc::vec::Vec;

use crate::access::Access;
use crate::checkpoint::{Checkpoint, Record};
use crate::config::SMALL_FILE;
use crate::desk::{Desk, Owner};
use crate::flight::{Flight, What};
use crate::limit::Limit;
use crate::list::Facts;
use crate::parts::Parts;
use crate::progress::{Figure, Progress};
use crate::ready::Ready;
use crate::retry::Retry;
use crate::upload::Upload;
use crate::vocab::{
    EffectId, ErrorInfo, ErrorKind, Event, Fault, FileState, Now, Op, PartInfo, Source, Target,
};

/// What the transfer is about.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Waits for the source and its checkpoint.
    Loading(EffectId),
    /// Waits for the first grant of this place, then goes where the upload stands.
    Granting,
    /// The whole file in one request.
    Putting,
    /// Looks for the upload that a lost Initiate may have opened.
    Searching {
        /// The only one under this key. It is ours if it has no parts: one with parts may hold other content.
        candidate: Option<String>,
    },
    /// Opens the upload.
    Initiating,
    /// Waits until Begin is on disk.
    SavingBegin(EffectId),
    /// Reads the parts that the server holds, page by page.
    Listing {
        /// The last number seen.
        marker: u32,
        /// What the pages named so far.
        found: Vec<PartInfo>,
    },
    /// Sends parts.
    Sending,
    /// All parts are stored; waits until the proof of it is on disk.
    SavingLast(EffectId),
    /// Makes the object.
    Completing,
    /// The upload is gone after a Complete that may have been carried out: looks at the object.
    Looking,
}

/// One attempt at one file.
#[derive(Debug)]
pub(crate) struct Transfer {
    pub(crate) owner: Owner,
    pub(crate) phase: Phase,
    pub(crate) access: Access,
    pub(crate) retry: Retry,
    pub(crate) limit: Limit,
    pub(crate) progress: Progress,
    pub(crate) source: Option<Source>,
    /// What is final of a source of unknown length.
    pub(crate) ready: Ready,
    pub(crate) video_id: Option<String>,
    pub(crate) upload: Option<Upload>,
    /// The checkpoint holds an upload of this file, open or gone: to be ended with it.
    pub(crate) in_checkpoint: bool,
    /// The plan and pool of a file that goes up in parts.
    pub(crate) parts: Option<Parts>,
    pub(crate) flight: Map<EffectId, Flight>,
    /// Parts were cut whose outcome is unknown: list before sending.
    pub(crate) unsure: bool,
    /// An Initiate may have been carried out whose reply was lost.
    pub(crate) initiate_lost: bool,
    pub(crate) anew: u32,
    pub(crate) relisted: u32,
    /// How often in a row the whole file arrived other than it was sent.
    pub(crate) mismatches: u32,
    /// A part failed for good: the file fails with this when the others in flight are answered.
    pub(crate) failing: Option<ErrorInfo>,
    /// How it ended; the list looks here after every call.
    pub(crate) over: Option<FileState>,
    /// As asked for; 0 is the default.
    pub(crate) part_size: u64,
    /// A failed append was told.
    warned: bool,
}

impl Transfer {
    /// Begins an attempt by looking for the file's checkpoint. `part_size` 0 takes the engine's; `access` holds the
    /// grant known beforehand.
    pub(crate) fn start(
        desk: &mut Desk,
        owner: Owner,
        part_size: u64,
        access: Access,
        ready: Ready,
    ) -> Transfer {
        let video_id = access.grant().and_then(|g| g.video_id.clone());
        let part_size = if part_size == 0 { desk.config.part_size } else { part_size };
        Transfer {
            owner,
            phase: Phase::Loading(desk.load(owner)),
            access,
            retry: Retry::new(desk.config.retry),
            limit: desk.config.limit(),
            progress: Progress::new(desk.config.progress_interval_ms),
            source: None,
            ready,
            video_id,
            upload: None,
            in_checkpoint: false,
            parts: None,
            flight: Map::new(),
            unsure: false,
            initiate_lost: false,
            anew: 0,
            relisted: 0,
            mismatches: 0,
            failing: None,
            over: None,
            part_size,
            warned: false,
        }
    }

    /// The source was looked at: tells Started and decides where the file stands.
    pub(crate) fn loaded(
        &mut self,
        desk: &mut Desk,
        id: EffectId,
        result: Result<(Source, Option<Checkpoint>), Fault>,
    ) {
        if !matches!(self.phase, Phase::Loading(expected) if expected == id) {
            return;
        }
        self.phase = Phase::Granting;
        let (source, checkpoint) = match result {
            Ok(found) => found,
            Err(fault) => {
                self.tell_started(desk);
                return self.fail(desk, fault.into());
            }
        };
        if let Some(checkpoint) = checkpoint {
            self.adopt(&source, checkpoint);
        }
        self.source = Some(source);
        self.progress.set_total(self.length());
        self.tell_started(desk);
        if !self.is_small() && self.upload.is_none() {
            self.plan_anew(desk);
        }
        self.grow(desk, 0);
    }

    /// Bytes of a source of unknown length have become final, from this one on; or there will be no more.
    pub(crate) fn grow(&mut self, desk: &mut Desk, from: u64) {
        let grows = self.source.as_ref().is_some_and(Source::grows);
        if !grows || self.over.is_some() {
            return;
        }
        if let Some(why) = self.ready.broken() {
            return self.fail(desk, why.clone());
        }
        self.progress.set_total(self.length());
        if self.is_small() {
            // It goes up in one request; what another run sent was of something longer.
            if self.parts.take().is_some() {
                self.end_recorded(desk);
                self.forget_upload(desk);
            }
            return;
        }
        let Some(parts) = &mut self.parts else { return };
        if !parts.grow(&self.ready, from) {
            return self.fail(desk, too_long());
        }
        if matches!(self.phase, Phase::Sending) && parts.complete() {
            let last = parts.get(parts.plan().count()).cloned();
            if let Some(last) = last {
                self.save_last(desk, last);
            }
        }
    }

    /// Nothing is left to be resumed of what the checkpoint holds.
    pub(crate) fn end_recorded(&mut self, desk: &mut Desk) {
        if core::mem::take(&mut self.in_checkpoint) {
            desk.append(self.owner, Record::End, false);
        }
    }

    /// Sends what the phase wants, but for bodies, if nothing holds it back.
    pub(crate) fn step(&mut self, now: Now, desk: &mut Desk) {
        if self.over.is_some() || !self.is_loaded() {
            return;
        }
        self.renew_grant(now, desk);
        if self.unsure && matches!(self.phase, Phase::Sending) {
            self.list_parts();
        }
        if now.mono_ms < self.retry.hold() || !self.wants_request() {
            return;
        }
        let Some(grant) = self.access.usable(now, &desk.clock) else {
            return self.seek_grant(desk);
        };
        if matches!(self.phase, Phase::Granting) {
            self.go_where_it_stands();
        }
        if matches!(self.phase, Phase::Initiating) && self.initiate_lost && desk.config.find_orphans
        {
            self.phase = Phase::Searching { candidate: None };
        }
        if let Some(op) = self.only_op() {
            let id = desk.perform(self.owner, grant, op);
            self.fly(id, grant, What::Only, None);
        }
    }

    /// Sends one body (a part, or the whole small file). False: nothing to send, or something holds it back.
    pub(crate) fn send_body(&mut self, now: Now, desk: &mut Desk) -> bool {
        let sends = matches!(self.phase, Phase::Putting | Phase::Sending) && self.over.is_none();
        if !sends || now.mono_ms < self.retry.hold() || !self.wants_request() {
            return false;
        }
        let Some(grant) = self.access.usable(now, &desk.clock) else { return false };
        let (what, length, op) = match self.phase {
            Phase::Putting => {
                let length = self.length().unwrap_or(0);
                (What::Only, length, Op::PutObject { length })
            }
            _ => {
                let Some(upload_id) = self.upload.as_ref().map(|u| u.id.clone()) else {
                    return false;
                };
                let Some(parts) = &mut self.parts else { return false };
                let Some(number) = parts.take() else { return false };
                let range = parts.plan().range(number);
                let length = range.end - range.start;
                let held = parts.held(number).cloned();
                (What::Part(number), length, Op::UploadPart { upload_id, number, range, held })
            }
        };
        let id = desk.perform(self.owner, grant, op);
        desk.bodies += 1;
        self.fly(id, grant, what, Some(length));
        true
    }

    /// Tells progress that is due.
    pub(crate) fn tell_progress(&mut self, mono_ms: u64, desk: &mut Desk) {
        let figure = self.progress.due(mono_ms);
        self.tell(desk, figure);
    }

    /// A checkpoint append was answered.
    pub(crate) fn appended(&mut self, desk: &mut Desk, id: EffectId, result: Result<(), Fault>) {
        if let (Phase::SavingBegin(saving), Err(_), Some(upload)) =
            (&self.phase, &result, &mut self.upload)
        {
            upload.unsaved |= *saving == id;
        }
        if let Some(fault) = result.err().filter(|_| !self.warned) {
            self.warned = true;
            let (file, error) = (self.owner.file, fault.into());
            desk.event(Event::Warning { file, error });
        }
        match self.phase {
            Phase::SavingBegin(saving) if saving == id => self.phase = Phase::Sending,
            Phase::SavingLast(saving) if saving == id => self.phase = Phase::Completing,
            _ => {}
        }
    }

    /// Leaves the file as it is, for stop, pause, remove and cancel; the next attempt loads the checkpoint.
    pub(crate) fn leave(&mut self, desk: &mut Desk) {
        self.cut(desk);
        self.stop_asking(desk);
    }

    /// The file is given up; its checkpoint stays.
    pub(crate) fn fail(&mut self, desk: &mut Desk, error: ErrorInfo) {
        self.leave(desk);
        desk.close(self.owner.file);
        self.tell_last(desk);
        desk.event(Event::Failed { file: self.owner.file, error });
        self.over = Some(FileState::Failed);
    }

    /// Fails the file whose parts in flight were still waited for, once they are answered (or cut).
    pub(crate) fn fail_when_answered(&mut self, desk: &mut Desk) {
        if let Some(error) = self.failing.take_if(|_| self.flight.is_empty()) {
            self.fail(desk, error);
        }
    }

    /// The last acknowledged figure is told, whatever the interval.
    pub(crate) fn tell_last(&mut self, desk: &mut Desk) {
        let figure = self.progress.flush();
        self.tell(desk, figure);
    }

    pub(crate) fn tell(&self, desk: &mut Desk, figure: Option<Figure>) {
        let Some(Figure { acknowledged, in_flight }) = figure else { return };
        let (file, total) = (self.owner.file, self.progress.total());
        desk.event(Event::Progress { file, acknowledged, in_flight, total });
    }

    /// When [`Transfer::step`] will have something to do without any answer; `held` while the list is paused.
    pub(crate) fn deadline(&mut self, now: Now, desk: &Desk, held: bool) -> Option<u64> {
        let progress = self.progress.deadline();
        if held {
            return progress;
        }
        let hold = self.retry.hold();
        let hold = (hold > now.mono_ms && self.is_loaded() && self.wants_request()).then_some(hold);
        [progress, hold, self.renewal_deadline(now, desk)].into_iter().flatten().min()
    }

    /// What is known of the file.
    pub(crate) fn facts(&self) -> Facts {
        Facts {
            acknowledged: self.progress.told(),
            total: self.length(),
            video_id: self.video_id.clone(),
            target: self.target(),
        }
    }

    /// Whether the source was looked at.
    pub(crate) fn is_loaded(&self) -> bool {
        !matches!(self.phase, Phase::Loading(_))
    }

    /// Whether only `authorize` helps, after TokenExpired.
    pub(crate) fn is_expired(&self) -> bool {
        self.access.waits_for_authorize()
    }

    /// Where the file goes, once known.
    pub(crate) fn target(&self) -> Option<Target> {
        let upload = self.upload.as_ref().map(|u| &u.target);
        upload.or(self.access.target()).cloned()
    }

    /// Bytes, once known.
    pub(crate) fn length(&self) -> Option<u64> {
        self.source.as_ref().and_then(|s| s.length.or(self.ready.length()))
    }

    /// Whether the file goes up in one request.
    pub(crate) fn is_small(&self) -> bool {
        self.length().is_some_and(|length| length < SMALL_FILE)
    }

    pub(crate) fn stored_bytes(&self) -> u64 {
        self.parts.as_ref().map_or(0, Parts::stored_bytes)
    }

    /// Whether a request could go out now, were there a grant and no pause.
    fn wants_request(&mut self) -> bool {
        match self.phase {
            _ if self.failing.is_some() => false,
            Phase::Loading(_) | Phase::SavingBegin(_) | Phase::SavingLast(_) => false,
            Phase::Sending => {
                self.flight.len() < self.limit.get()
                    && self.parts.as_mut().is_some_and(Parts::has_next)
            }
            _ => self.flight.is_empty(),
        }
    }

    /// The request that the phase wants, where it is neither a body nor in flight.
    fn only_op(&self) -> Option<Op> {
        let upload_id = || self.upload.as_ref().map(|u| u.id.clone());
        let parts = || self.parts.as_ref().map(Parts::all);
        Some(match &self.phase {
            Phase::Searching { candidate: None } => Op::ListMultipartUploads,
            Phase::Searching { candidate: Some(upload_id) } => {
                Op::ListParts { upload_id: upload_id.clone(), marker: 0 }
            }
            Phase::Initiating => Op::InitiateMultipartUpload,
            Phase::Listing { marker, .. } => {
                Op::ListParts { upload_id: upload_id()?, marker: *marker }
            }
            Phase::Completing => {
                Op::CompleteMultipartUpload { upload_id: upload_id()?, parts: parts()? }
            }
            Phase::Looking => Op::HeadObject { length: self.length()?, parts: parts()? },
            _ => return None,
        })
    }

    fn tell_started(&mut self, desk: &mut Desk) {
        let (file, video_id, target) = (self.owner.file, self.video_id.clone(), self.target());
        desk.event(Event::Started { file, video_id, target });
    }
}

fn too_long() -> ErrorInfo {
    ErrorInfo {
        kind: ErrorKind::Misuse,
        code: "TooLarge".into(),
        message: "the file needs more than 10,000 parts: a larger part_size or max_buffered allows for more".into(),
        request_id: String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::*;
    use crate::{Config, Effect, ObjectInfo, Reply, Want};

    #[test]
    fn nothing_is_sent_before_begin_is_stored() {
        let mut s = Script::started(config(), MIB, None);
        s.grant_asked(grant(1, None));
        let (id, _) = s.perform();
        s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
        let Effect::AppendCheckpoint { id, .. } = s.effect() else { panic!("expected Begin") };
        assert_eq!(s.idle(), None);
        s.engine.handle(s.now, crate::Input::Appended { id, result: Ok(()) });
        s.parts(&[1]);
    }

    #[test]
    fn a_part_tells_no_more_bytes_than_it_has() {
        let mut s = Script::sending(Config { progress_interval_ms: 100, ..config() }, 2);
        let ids = s.parts(&[1, 2]);
        s.engine.handle(s.now, crate::Input::Sent { id: ids[1], bytes: 5 * MIB });
        s.pass(100);
        let Event::Progress { acknowledged, in_flight, .. } = s.event() else { panic!() };
        assert_eq!((acknowledged, in_flight), (0, MIB));
    }

    #[test]
    fn a_whole_upload_from_add_to_ended() {
        let mut s = Script::new(config());
        let file = s.add();
        assert_eq!(s.idle(), None);
        s.engine.start(s.now);
        s.load(2 * MIB + 5, None);
        assert_eq!(s.started_event(), (None, None));
        assert_eq!(s.grant_asked(grant(1, None)), Want::Create);
        let (id, op) = s.perform();
        assert_eq!(op, Op::InitiateMultipartUpload);
        s.answer(id, Ok(Reply::Initiated { upload_id: "U".into() }));
        let Record::Begin(begin) = s.saved(true) else { panic!("expected Begin") };
        assert_eq!(begin, checkpoint(2 * MIB + 5, &[]).begin);
        let ids = s.parts(&[1, 2, 3]);
        assert_eq!(s.idle(), None);
        s.acknowledge(ids[2], false);
        s.acknowledge(ids[0], false);
        s.stored(ids[1]);
        assert!(matches!(s.event(), Event::PartAcknowledged { part, .. } if part.number == 2));
        let total = 2 * MIB + 5;
        let whole = Event::Progress { file, acknowledged: total, in_flight: 0, total: Some(total) };
        assert_eq!(s.event(), whole);
        assert!(matches!(s.saved(true), Record::Part(part) if part.number == 2));
        let (id, op) = s.perform();
        let Op::CompleteMultipartUpload { upload_id, parts } = op else { panic!("{op:?}") };
        assert_eq!(upload_id, "U");
        let lengths: Vec<(u32, u64)> = parts.iter().map(|p| (p.number, p.length)).collect();
        assert_eq!(lengths, [(1, MIB), (2, MIB), (3, 5)]);
        let object = ObjectInfo { etag: "O".into(), verified: true, ..ObjectInfo::default() };
        s.answer(id, Ok(Reply::Completed(object.clone())));
        assert_eq!(s.saved(false), Record::End);
        assert_eq!(s.effect(), Effect::CloseCheckpoint { file });
        let (target, video_id) = (target("k"), Some("v".into()));
        assert_eq!(s.event(), Event::Succeeded { file, target, video_id, object });
        assert_eq!(s.event(), Event::Ended { last: Some(file) });
        assert_eq!(s.idle(), None);
        assert!(!s.engine.is_running());
    }
}
