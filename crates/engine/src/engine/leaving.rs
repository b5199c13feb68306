//! How a file leaves its place: for a while (stop, pause), or for good (cancel, remove).
//!
//! A transfer that is left is gone, and its checkpoint says where the next one begins. Only of a file that is paused alone, where a cancel
//! would abort, something stays at hand: what it takes to abort its upload, and its open checkpoint.

use crate::aborts::{Parked, abort_skipped};
use crate::checkpoint::Record;
use crate::config::OnCancel;
use crate::engine::Engine;
use crate::vocab::{Event, FileId, FileState, Now, Op};

impl Engine {
    /// Leaves a file as it is. The upload of one that is paused alone is kept at hand where a cancel would abort it.
    pub(super) fn leave(&mut self, file: FileId, state: FileState) {
        let keeps = state == FileState::Paused && self.aborts_cancelled();
        if let Some(transfer) = self.list.transfer(file) {
            transfer.leave(&mut self.desk);
            transfer.tell_last(&mut self.desk);
            let parked = Some(&*transfer).filter(|_| keeps).and_then(Parked::of);
            if parked.is_none() {
                self.desk.close(file);
            }
            self.list.park(file, parked);
        }
        self.list.set(file, state);
    }

    /// The file starts again, or its run ends: its checkpoint is closed and says what there is.
    pub(super) fn unpark(&mut self, file: FileId) {
        if self.list.unpark(file).is_some() {
            self.desk.close(file);
        }
    }

    /// Lets go of what a file has that is under way, or paused since it was, and aborts its upload where that is asked for.
    pub(super) fn drop_transfer(&mut self, now: Now, file: FileId, tell: bool) {
        let (abort, parked) = (self.aborts_cancelled(), self.list.unpark(file));
        let (held, parked) = match self.list.transfer(file) {
            Some(transfer) => {
                transfer.leave(&mut self.desk);
                if tell {
                    transfer.tell_last(&mut self.desk);
                }
                (true, Some(&*transfer).filter(|_| abort).and_then(Parked::of))
            }
            None => (parked.is_some(), parked),
        };
        let grant = parked.as_ref().and_then(|parked| parked.access.usable(now, &self.desk.clock));
        let grant = grant.filter(|grant| !self.desk.refused.contains(grant));
        if tell {
            if let (Some(parked), None) = (&parked, grant) {
                let error = abort_skipped(&parked.upload_id);
                self.desk.event(Event::Warning { file, error });
            }
            self.desk.event(Event::Canceled { file });
        }
        if let Some(parked) = &parked {
            self.desk.append(parked.owner, Record::End, false);
        }
        if held {
            self.desk.close(file);
        }
        if let (Some(Parked { owner, upload_id, .. }), Some(grant)) = (parked, grant) {
            let op = Op::AbortMultipartUpload { upload_id };
            self.aborts.perform(&mut self.desk, owner, grant, op);
        }
    }

    fn aborts_cancelled(&self) -> bool {
        self.desk.config.on_cancel == OnCancel::Abort
    }
}
