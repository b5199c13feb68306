//! Which multipart upload a transfer works on: taken over from a checkpoint, opened, or begun anew when it (or its
//! place) is gone.

use alloc::string::String;
use alloc::vec::Vec;

use crate::checkpoint::{Begin, Checkpoint, Record};
use crate::config::SMALL_FILE;
use crate::desk::Desk;
use crate::grant::same_place;
use crate::parts::Parts;
use crate::plan::Plan;
use crate::transfer::{Phase, Transfer};
use crate::vocab::{ErrorInfo, ErrorKind, Fault, FaultKind, PartInfo, Source, Target};

/// So often an upload is begun anew, or its parts are listed again because Complete was refused, per attempt.
pub(crate) const MOST_DETOURS: u32 = 3;

/// The multipart upload that the transfer works on.
#[derive(Debug)]
pub(crate) struct Upload {
    pub(crate) id: String,
    pub(crate) target: Target,
    /// What a checkpoint says of its parts, until they are reconciled with the server's listing; of one that is gone, until the
    /// content is known to be what was completed.
    pub(crate) recorded: Vec<PartInfo>,
    /// This run saw it alive: Initiate, a part or a listing was answered for this id.
    pub(crate) alive: bool,
    /// So many parts were recorded at some time, and were all: Complete may have been sent. Else 0.
    pub(crate) whole: u32,
    /// Found in a checkpoint, and Resumed was not told yet.
    pub(crate) resumes: bool,
    /// Its Begin could not be stored: what stands in the checkpoint is another upload, and no part of this one may join it.
    pub(crate) unsaved: bool,
}

impl Transfer {
    /// Takes over the upload of a checkpoint, unless the checkpoint is of something else.
    pub(crate) fn adopt(&mut self, source: &Source, checkpoint: Checkpoint) {
        let Checkpoint { begin, parts, length } = checkpoint;
        let elsewhere = self.access.target().is_some_and(|t| !same_place(t, &begin.target));
        let small = source.length.is_some_and(|length| length < SMALL_FILE);
        if begin.source != *source || small || elsewhere {
            return;
        }
        let Some(plan) = Plan::of(source.length, begin.part_size, begin.grows_to) else { return };
        let whole = length.and_then(|length| plan.finish(length)).unwrap_or(plan);
        let all = whole.covered_by(&parts);
        self.parts = Some(Parts::new(plan));
        self.in_checkpoint = true;
        if begin.video_id.is_some() {
            self.video_id = begin.video_id;
        }
        self.upload = Some(Upload {
            id: begin.upload_id,
            target: self.access.target().cloned().unwrap_or(begin.target),
            whole: if all { whole.count() } else { 0 },
            recorded: parts,
            alive: false,
            resumes: true,
            unsaved: false,
        });
    }

    pub(crate) fn plan_anew(&mut self, desk: &mut Desk) {
        // The cut of a source that grows does not depend on its length, though that may be known by now.
        let grows = self.source.as_ref().is_some_and(Source::grows);
        let Some(length) = self.length().filter(|_| !grows) else {
            self.parts = Plan::open(self.part_size, desk.config.max_buffered).map(Parts::new);
            return;
        };
        let asked = match self.part_size {
            0 if desk.config.adaptive => {
                Plan::suitable_size(length, desk.goodput, desk.config.max_buffered)
            }
            asked => asked,
        };
        match Plan::choose(length, asked) {
            Some(plan) => self.parts = Some(Parts::new(plan)),
            None => self.fail(
                desk,
                ErrorInfo {
                    kind: ErrorKind::Misuse,
                    code: "TooLarge".into(),
                    message: "the file needs more than 10,000 parts of 5 GiB".into(),
                    request_id: String::new(),
                },
            ),
        }
    }

    /// A grant is there: goes on with what the file needs first.
    pub(crate) fn go_where_it_stands(&mut self) {
        if self.is_small() {
            self.phase = Phase::Putting;
        } else if self.upload.is_some() {
            self.list_parts();
        } else if self.parts.as_mut().is_some_and(Parts::has_next) {
            self.phase = Phase::Initiating;
        }
    }

    /// Opens an upload, whether or not a lost request opened one before.
    pub(crate) fn initiate(&mut self) {
        self.initiate_lost = false;
        self.phase = Phase::Initiating;
    }

    /// Reads the server's parts before anything else is sent.
    pub(crate) fn list_parts(&mut self) {
        self.unsure = false;
        self.phase = Phase::Listing { marker: 0, found: Vec::new() };
    }

    /// An upload was opened (or adopted): saves how it began before anything is sent.
    pub(crate) fn upload_opened(&mut self, desk: &mut Desk, id: String) {
        let (Some(target), Some(source), Some(parts)) =
            (self.access.target().cloned(), self.source.clone(), &self.parts)
        else {
            return;
        };
        let begin = Begin {
            source,
            target: target.clone(),
            video_id: self.video_id.clone(),
            part_size: parts.plan().part_size(),
            grows_to: parts.plan().grows_to(),
            upload_id: id.clone(),
        };
        self.initiate_lost = false;
        self.in_checkpoint = true;
        self.upload = Some(Upload {
            id,
            target,
            recorded: Vec::new(),
            alive: true,
            whole: 0,
            resumes: false,
            unsaved: false,
        });
        self.phase = Phase::SavingBegin(desk.append(self.owner, Record::Begin(begin), true));
    }

    /// The upload (or its place) is gone: starts over with a new Initiate, so often per attempt. Fails with `why` after that.
    pub(crate) fn begin_anew(&mut self, desk: &mut Desk, why: Fault) {
        self.anew += 1;
        if self.anew > MOST_DETOURS {
            return self.fail(desk, why.into());
        }
        self.forget_upload(desk);
    }

    /// The grant names another bucket or key than the one before.
    pub(crate) fn move_place(&mut self, desk: &mut Desk) {
        if matches!(self.phase, Phase::Loading(_) | Phase::Granting) {
            return self.forget_upload(desk);
        }
        let why = Fault {
            kind: FaultKind::Fatal(ErrorKind::Auth),
            code: "PlaceChanged".into(),
            message: "every new grant names another place".into(),
            request_id: String::new(),
            retry_after_ms: None,
        };
        self.begin_anew(desk, why);
    }

    pub(crate) fn forget_upload(&mut self, desk: &mut Desk) {
        self.cut(desk);
        self.unsure = false;
        self.initiate_lost = false;
        self.upload = None;
        if !self.is_small() {
            self.plan_anew(desk);
            self.grow(desk, 0);
        }
        if self.is_loaded() {
            self.phase = Phase::Granting;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::*;
    use crate::{Config, EffectId, Op, Reply};
    use alloc::vec;

    /// Initiate was lost, and the search after it found these.
    fn searched(found: &[&str]) -> (Script, EffectId, Op) {
        let mut s = Script::started(Config { find_orphans: true, ..config() }, MIB, None);
        s.grant_asked(grant(1, None));
        let (id, _) = s.perform();
        s.answer(id, Err(no_reply()));
        s.event();
        s.pass(20_000);
        let (id, op) = s.perform();
        assert_eq!(op, Op::ListMultipartUploads);
        s.answer(id, Ok(Reply::Uploads(found.iter().map(|u| String::from(*u)).collect())));
        let (id, op) = s.perform();
        (s, id, op)
    }

    #[test]
    fn a_lost_initiate_is_found_when_it_is_the_only_one_and_empty() {
        let (mut s, id, op) = searched(&["U7"]);
        assert_eq!(op, Op::ListParts { upload_id: "U7".into(), marker: 0 });
        s.answer(id, Ok(Reply::Parts { parts: vec![], next: None }));
        let Record::Begin(begin) = s.saved(true) else { panic!("expected Begin") };
        assert_eq!(begin.upload_id, "U7");
        s.parts(&[1]);
    }

    #[test]
    fn an_upload_that_may_be_somebody_elses_is_left_alone() {
        let (mut s, id, _) = searched(&["U7"]);
        s.answer(id, Ok(Reply::Parts { parts: vec![part(1, MIB)], next: None }));
        assert_eq!(s.perform().1, Op::InitiateMultipartUpload);
        for found in [&[][..], &["U7", "U8"][..]] {
            assert_eq!(searched(found).2, Op::InitiateMultipartUpload);
        }
    }

    #[test]
    fn a_file_beyond_every_plan_is_refused_before_anything_is_sent() {
        let mut s = Script::started(config(), u64::MAX, None);
        let error = s.failed();
        assert_eq!((error.kind, &*error.code), (ErrorKind::Misuse, "TooLarge"));
    }

    #[test]
    fn a_checkpoint_of_another_place_or_content_is_not_used() {
        let mut s = Script::new(config());
        let elsewhere = crate::Grant { target: target("other"), ..grant(1, None) };
        let spec = crate::FileSpec { grant: Some(elsewhere), ..crate::FileSpec::default() };
        s.engine.add(s.now, spec).expect("a valid spec");
        s.engine.start(s.now);
        s.load(MIB, Some(checkpoint(MIB, &[1])));
        assert_eq!(s.started_event().1, Some(target("other")));
        assert_eq!(s.perform().1, Op::InitiateMultipartUpload);
        // Its content is of another length: created anew.
        let mut s = Script::started(config(), 2 * MIB, Some(checkpoint(MIB, &[1])));
        assert_eq!(s.grant_asked(grant(1, None)), crate::Want::Create);
    }

    #[test]
    fn a_checkpoint_of_another_bucket_is_not_used() {
        let mut s = Script::new(config());
        let mut elsewhere = grant(1, None);
        elsewhere.target.bucket = "other".into();
        let spec = crate::FileSpec { grant: Some(elsewhere), ..crate::FileSpec::default() };
        s.engine.add(s.now, spec).expect("a valid spec");
        s.engine.start(s.now);
        s.load(MIB, Some(checkpoint(MIB, &[])));
        s.started_event();
        assert_eq!(s.perform().1, Op::InitiateMultipartUpload);
    }

    /// The disk is full for a moment: what stands in the checkpoint is the upload before.
    #[test]
    fn parts_of_an_upload_whose_begin_was_not_stored_join_no_other() {
        let mut s = Script::started(config(), 2 * MIB, None);
        s.grant_asked(grant(1, None));
        let (id, _) = s.perform();
        s.answer(id, Ok(Reply::Initiated { upload_id: "U2".into() }));
        let crate::Effect::AppendCheckpoint { id, .. } = s.effect() else { panic!("no Begin") };
        let result = Err(fault(FaultKind::Fatal(ErrorKind::Storage)));
        s.engine.handle(s.now, crate::Input::Appended { id, result });
        assert!(matches!(s.event(), crate::Event::Warning { .. }));
        for id in s.parts(&[1, 2]) {
            s.stored(id);
            assert!(matches!(s.event(), crate::Event::PartAcknowledged { .. }));
            assert!(matches!(s.event(), crate::Event::Progress { .. }));
        }
        assert!(matches!(s.perform().1, Op::CompleteMultipartUpload { .. }));
        assert_eq!(s.idle(), None);
    }

    #[test]
    fn ten_thousand_parts_resume_and_complete() {
        let numbers: Vec<u32> = (1..10_000).collect();
        let length = 10_000 * MIB;
        let mut s = Script::started(config(), length, Some(checkpoint(length, &numbers)));
        s.grant_asked(grant(1, None));
        let (id, _) = s.perform();
        let parts = numbers.iter().map(|n| part(*n, MIB)).collect();
        s.answer(id, Ok(Reply::Parts { parts, next: None }));
        assert!(matches!(s.event(), crate::Event::Resumed { parts: 9_999, .. }));
        s.event();
        let id = s.parts(&[10_000])[0];
        s.acknowledge(id, true);
        let (_, op) = s.perform();
        assert!(matches!(op, Op::CompleteMultipartUpload { parts, .. } if parts.len() == 10_000));
    }
}
