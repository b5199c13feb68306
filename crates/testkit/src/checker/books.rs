//! What the checker writes down of files, attempts, requests and uploads.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use vodferry_engine::{Checkpoint, EffectId, FaultKind, FileId, Grant, GrantId, Op, PartInfo};

use super::completion::Ending;
use super::giving_up::Doom;
use super::patience::Patience;
use super::renewals::Renewals;
use super::written::{Written, cut};
use crate::content::Version;
use crate::pairs::Stage;

/// Where a file stands by the commands given and the events told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Standing {
    #[default]
    Queued,
    Succeeded,
    Failed,
    Canceled,
    Removed,
}

/// One attempt: from Started to its end.
#[derive(Clone, Debug, Default)]
pub(crate) struct Attempt {
    pub(super) acknowledged: u64,
    pub(super) told: Option<(u64, u64)>,
    /// Acknowledged and in flight together, as told.
    pub(super) sum: u64,
    /// A figure came before its time: right only if the file is left by it.
    pub(super) early: Option<String>,
    pub(super) told_at: Option<u64>,
    pub(super) resumed: bool,
    /// Parts acknowledged or resumed with, of the present upload.
    pub(super) parts: BTreeMap<u32, u64>,
    /// The most bytes that these ever were.
    pub(super) floor: u64,
    pub(super) outage: bool,
    /// Stopped or paused: only its last figure may still be told.
    pub(super) closing: bool,
}

/// What LoadCheckpoint found.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) version: Version,
    /// `None` where it grows.
    pub(crate) length: Option<u64>,
    pub(crate) checkpoint: Option<Checkpoint>,
}

/// The books of one file of the list.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileWatch {
    pub(super) app: usize,
    /// As asked for when it was added; 0 is the configuration's.
    pub(super) part_size: u64,
    pub(super) priority: i32,
    /// What was announced of a source that grows; `None` for others.
    pub(super) written: Option<Written>,
    pub(super) standing: Standing,
    pub(super) stage: Stage,
    /// The load and the appends that the present attempt waits for.
    pub(super) load: Option<EffectId>,
    pub(super) appends: BTreeSet<EffectId>,
    pub(super) paused: bool,
    pub(super) owes_canceled: bool,
    /// End was recorded of a file that was cancelled, and its upload neither aborted since nor said to stay.
    pub(super) owes_abort: bool,
    /// The upload that was certainly open when it was cancelled or removed, as long as nothing became of that.
    pub(super) owes_abort_of: Option<String>,
    /// Its upload and credential, where it was paused alone with its upload open.
    pub(super) parked: Option<Parked>,
    /// The engine has named its upload since it was loaded: it is certainly at that.
    pub(super) open: bool,
    /// That its upload is not aborted was told just now.
    pub(super) abort_skipped: bool,
    /// When it was cancelled there was a credential to abort its upload with.
    pub(super) could_abort: bool,
    /// The shell found the source changed while it read.
    pub(super) owes_changed: bool,
    pub(super) attempt: Option<Attempt>,
    pub(crate) loaded: Option<Loaded>,
    pub(super) grant: Option<Grant>,
    /// It was added with a grant, and so keeps the newest from one attempt to the next.
    pub(super) keeps: bool,
    /// The present attempt, or the next, has that grant at hand.
    pub(super) holds: bool,
    /// When the grant was first held, on the monotonic clock; `None` before the file's turn.
    pub(super) since: Option<u64>,
    /// The grant that signed last, in this attempt.
    pub(super) signed: Option<GrantId>,
    /// The application handed out a grant of its own accord.
    pub(super) given: bool,
    /// The content for which the authorizer answered.
    pub(super) granted_for: Option<Version>,
    pub(super) expired_told: bool,
    /// What the authorizer answered last, if that was no living grant.
    pub(super) refusal: Option<Refusal>,
    pub(super) renewals: Renewals,
    pub(super) video_gone: bool,
    /// The upload this file is at, and whether the engine knows that it is gone.
    pub(super) upload: Option<String>,
    pub(super) gone: bool,
    /// The parts have to be listed before one is sent.
    pub(super) must_list: bool,
    /// The most bytes the engine ever knew the server to hold for this content.
    pub(super) high: u64,
    pub(super) patience: Patience,
    pub(super) ending: Ending,
    pub(super) doom: Doom,
}

/// Why the authorizer gave no living grant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// It will say the same when it is asked again.
    ForGood,
    /// It could not answer, or gave a credential that was dead.
    ForAWhile,
    /// It asked for patience.
    SlowDown,
}

/// The open upload of a file that is paused alone.
#[derive(Clone, Debug)]
pub(crate) struct Parked {
    pub(super) upload_id: String,
    pub(super) grant: Grant,
}

/// A request on its way.
#[derive(Clone, Debug)]
pub(crate) struct Flight {
    pub(super) file: FileId,
    pub(super) grant: GrantId,
    pub(super) op: Op,
}

/// The books of one multipart upload.
#[derive(Clone, Debug, Default)]
pub(crate) struct UploadWatch {
    pub(super) app: usize,
    pub(super) version: Option<Version>,
    pub(super) key: String,
    pub(super) part_size: u64,
    /// The largest part of a source that grows.
    pub(super) grows_to: Option<u64>,
    pub(super) begun: bool,
    /// Its Begin could not be stored.
    pub(super) unsaved: bool,
    /// Parts that the engine knows the server to hold.
    pub(super) known: BTreeMap<u32, PartInfo>,
    pub(super) damaged: BTreeSet<u32>,
    /// What the pages of the present listing named.
    pub(super) listed: BTreeSet<u32>,
    /// The parts of the last Complete, as long as nothing new was learned of them.
    pub(super) asked: Option<Vec<PartInfo>>,
    /// Complete was sent, and may have been carried out as far as anybody knows.
    pub(super) may_be_object: bool,
    pub(super) completed: bool,
    /// Its journal cannot prove anything any more.
    pub(super) exempt: bool,
    pub(super) ending: bool,
}

impl UploadWatch {
    /// How many parts a source of this length has in this upload.
    pub(super) fn count(&self, length: u64) -> u64 {
        let Some(most) = self.grows_to else { return length.div_ceil(self.part_size.max(1)) };
        let before = |number: &u32| cut(*number, self.part_size, most).start < length;
        (1..).take_while(before).count() as u64
    }

    /// The bytes of a part, of a source of this length.
    pub(super) fn range(&self, number: u32, length: Option<u64>) -> Range<u64> {
        let length = length.unwrap_or(u64::MAX);
        let range = match self.grows_to {
            Some(most) => cut(number, self.part_size, most),
            None => {
                let start = u64::from(number).saturating_sub(1) * self.part_size;
                start..start + self.part_size
            }
        };
        range.start.min(length)..range.end.min(length)
    }
}

impl FileWatch {
    /// The transfer is forgotten; the next attempt finds its checkpoint again.
    pub(super) fn let_go(&mut self) {
        self.put_down();
        if let Some(attempt) = self.attempt.as_mut() {
            attempt.closing = true;
        }
        self.load = None;
        self.appends.clear();
        self.open = false;
        self.upload = None;
        self.gone = false;
        self.must_list = false;
        self.signed = None;
        self.owes_changed = false;
        self.refusal = None;
        self.renewals = Renewals::default();
        self.patience = Patience::default();
        self.ending = Ending::default();
        self.doom = Doom::default();
    }

    /// The attempt is over, and with it goes a grant that was not meant to last, unless the source was still being looked at.
    pub(super) fn put_down(&mut self) {
        let loaded = self.load.is_none() && self.is_under_way();
        self.holds &= self.keeps || !loaded;
    }

    /// Bytes of the source, once known.
    pub(super) fn length(&self) -> Option<u64> {
        let length = self.loaded.as_ref()?.length;
        length.or_else(|| self.written.as_ref()?.length())
    }

    /// It has its place among the files under way.
    pub(super) fn is_under_way(&self) -> bool {
        self.load.is_some() || self.attempt.as_ref().is_some_and(|attempt| !attempt.closing)
    }
}

impl Refusal {
    /// What a fault of the authorizer means.
    pub(super) fn of(kind: FaultKind) -> Refusal {
        match kind {
            FaultKind::SlowDown => Refusal::SlowDown,
            FaultKind::Transient(_) | FaultKind::ClockSkew => Refusal::ForAWhile,
            _ => Refusal::ForGood,
        }
    }
}
