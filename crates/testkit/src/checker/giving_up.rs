//! What becomes of the other parts in flight when one fails for good: no new request either way; they are given up at once,
//! or waited for. And what becomes of an upload whose file is cancelled: aborted, or said to stay.

use std::collections::BTreeSet;

use vodferry_engine::{
    ErrorInfo, Event, Fault, FaultKind, FileId, Grant, OnCancel, OnPartFailure, Op, Reply,
};

use super::answers::answers;
use super::books::Parked;
use super::written::Written;
use super::{Check, Checker, Flight, broken};
use crate::coverage::Coverage;

/// The end that a failed part means for its file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doom {
    /// The code of the failure that was certainly for good.
    code: Option<String>,
    /// The codes of those that may have been: whether the budget was spent by them is not known exactly.
    possible: BTreeSet<String>,
}

impl Doom {
    /// The file may be on its way out.
    pub(super) fn is_possible(&self) -> bool {
        self.code.is_some() || !self.possible.is_empty()
    }

    /// The file is on its way out.
    pub(super) fn is_certain(&self) -> bool {
        self.code.is_some()
    }

    /// A failure with this code may have been one too many, whatever came after it.
    pub(super) fn allows(&self, code: &str) -> bool {
        self.possible.contains(code)
    }
}

impl Checker {
    /// A wanted answer came.
    pub(super) fn doom(
        &mut self,
        flight: &Flight,
        result: &Result<Reply, Fault>,
        coverage: &mut Coverage,
    ) {
        if !matches!(flight.op, Op::UploadPart { .. }) {
            return;
        }
        let finishes = self.finishes_others();
        let others = self.parts_in_flight(flight.file) > 0;
        let Some(watch) = self.files.get(&flight.file) else { return };
        if watch.doom.code.is_some() {
            if finishes && result.is_ok() {
                coverage.hit("story", "others finished after a part failed for good");
            }
            return;
        }
        let code = match result {
            Err(fault) => fault.code.clone(),
            Ok(reply) if answers(&flight.op, reply) => return,
            Ok(_) => "UnexpectedReply".to_owned(),
        };
        let possible = finishes && others && self.is_spent(&watch.patience, &code);
        self.watch(flight.file, |watch| match result {
            Err(Fault { kind: FaultKind::Fatal(_), .. }) => watch.doom.code = Some(code),
            // What is in flight is of no use any more.
            Err(Fault { kind: FaultKind::SourceChanged | FaultKind::NoSuchUpload, .. }) => {}
            _ if possible => {
                watch.doom.possible.insert(code);
            }
            _ => {}
        });
    }

    /// A request is about to go out.
    pub(super) fn goes_on_rightly(&mut self, flight: &Flight) -> Check {
        let Some(watch) = self.files.get_mut(&flight.file) else { return Ok(()) };
        watch.doom.possible.clear();
        match &watch.doom.code {
            None => Ok(()),
            Some(code) => {
                let what = format!("{:?} of file {} after {code}", flight.op, flight.file.0);
                broken("10 nothing is sent after a part failed for good", what)
            }
        }
    }

    /// A request was given up by the engine: not a part that is to be waited for.
    pub(super) fn cuts_rightly(&self, flight: &Flight) -> Check {
        let part = matches!(flight.op, Op::UploadPart { .. });
        let Some(watch) = self.files.get(&flight.file).filter(|_| part) else { return Ok(()) };
        let doomed = watch.doom.code.is_some() && self.finishes_others();
        let broken_off = watch.written.as_ref().is_some_and(Written::is_broken);
        let useless = watch.owes_changed || broken_off || watch.ending.is_moved();
        let needless = useless || !self.may_send(flight.file);
        match doomed && !needless {
            true => broken(
                "10 the others in flight are finished",
                format!("{:?} of file {}", flight.op, flight.file.0),
            ),
            false => Ok(()),
        }
    }

    /// A file is given up: with the first error, and not while a part is waited for.
    pub(super) fn waits_for_others(&self, file: FileId, event: &Event, error: &ErrorInfo) -> Check {
        let left = self.parts_in_flight(file);
        if left > 0 {
            return broken("10 Failed is told last", format!("{event:?}, {left} parts in flight"));
        }
        let Some(watch) = self.files.get(&file) else { return Ok(()) };
        let first = watch.doom.code.as_ref().is_none_or(|code| *code == error.code)
            || watch.doom.allows(&error.code)
            || Checker::is_of_writer(watch, error);
        match first || error.code == "SourceChanged" {
            true => Ok(()),
            false => broken("10 the first error is told", format!("{event:?}: {:?}", watch.doom)),
        }
    }

    /// All outputs were taken: a file that has nothing to wait for any more has been told of.
    pub(super) fn gives_up_in_time(&self) -> Check {
        let finishes = self.finishes_others();
        for (id, watch) in &self.files {
            let waits = finishes && self.parts_in_flight(*id) > 0;
            if let Some(code) = watch.doom.code.as_ref().filter(|_| !waits) {
                let what = format!("file {}: {code}", id.0);
                return broken("10 a part that fails for good fails its file", what);
            }
        }
        Ok(())
    }

    /// The upload that this file is certainly at, and the credential that signed for it in this attempt; of one that is paused alone,
    /// those that it had.
    pub(super) fn at_hand(&self, file: FileId) -> (Option<String>, Option<Grant>) {
        let Some(watch) = self.files.get(&file) else { return (None, None) };
        match &watch.parked {
            Some(parked) => (Some(parked.upload_id.clone()), Some(parked.grant.clone())),
            None => {
                let signed = watch.grant.as_ref().filter(|grant| watch.signed == Some(grant.id));
                let upload = watch.upload.clone().filter(|_| watch.open && !watch.gone);
                (upload.filter(|_| watch.attempt.is_some()), signed.cloned())
            }
        }
    }

    /// Whether there is a credential to abort an upload with that lives as far as is known.
    pub(super) fn could_abort(&self, file: FileId) -> bool {
        self.at_hand(file).1.is_some_and(|grant| {
            let dead = grant.expires_at.is_some_and(|at| at <= self.server_ms());
            !dead && !self.dead.contains(&grant.id)
        })
    }

    /// One file is paused: what it takes to abort its upload stays at hand.
    pub(super) fn park(&mut self, file: FileId) {
        let (upload, grant) = self.at_hand(file);
        let aborts = self.config.on_cancel == OnCancel::Abort;
        self.watch(file, |watch| {
            if let (Some(upload_id), Some(grant), true) = (upload, grant, aborts) {
                watch.parked = Some(Parked { upload_id, grant });
            }
        });
    }

    /// That an upload is not aborted is told before Canceled, and only where no credential is there to do it with.
    pub(super) fn skips_rightly(&mut self, file: FileId, error: &ErrorInfo) -> Check {
        let abort = self.config.on_cancel == OnCancel::Abort;
        let Some(watch) = self.files.get_mut(&file) else { return Ok(()) };
        (watch.abort_skipped, watch.owes_abort_of) = (true, None);
        match abort && !watch.could_abort && error.code == "AbortSkipped" {
            true => Ok(()),
            false => {
                broken("10 an Abort is skipped without a credential alone", format!("{error:?}"))
            }
        }
    }

    /// An Abort is about to go out.
    pub(super) fn aborts_rightly(&mut self, flight: &Flight) -> Check {
        let Some(watch) = self.files.get_mut(&flight.file) else { return Ok(()) };
        watch.owes_abort = false;
        if let Op::AbortMultipartUpload { upload_id } = &flight.op {
            watch.owes_abort_of.take_if(|owed| owed == upload_id);
        }
        match watch.abort_skipped {
            true => broken("10 what is said to stay stays", format!("{:?}", flight.op)),
            false => Ok(()),
        }
    }

    fn finishes_others(&self) -> bool {
        self.config.on_part_failure == OnPartFailure::FinishOthers
    }

    fn parts_in_flight(&self, file: FileId) -> usize {
        let part = |f: &&Flight| f.file == file && matches!(f.op, Op::UploadPart { .. });
        self.flights.values().filter(part).count()
    }
}
