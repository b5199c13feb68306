//! The file list: order, states, and which file is next.
//!
//! Ids ascend in the order of adding, so ordered maps keep the list's order, and a file that waits again (after stop,
//! resume or restore) stands where it stood. Of those that wait, a higher priority goes before the order of adding.

use crate::map::{Map, Set};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;

use crate::aborts::Parked;
use crate::access::Held;
use crate::ready::Ready;
use crate::transfer::Transfer;
use crate::vocab::{FileId, FileSpec, FileState, FileView, Grant, Misuse, Target};

/// One entry.
#[derive(Debug)]
pub(crate) struct File {
    /// Its grant moves into the first transfer.
    pub(crate) spec: FileSpec,
    /// It was given a grant when it was added.
    given: bool,
    /// The newest grant of a file that was given one beforehand, with what was learned of it; takes the place of the spec's
    /// when the file starts again.
    pub(crate) kept: Option<Held>,
    /// Pushed before its turn came.
    pub(crate) pushed: Option<Grant>,
    /// What is final of a source of unknown length. With the transfer while there is one.
    pub(crate) ready: Ready,
    /// While it is Active.
    pub(crate) transfer: Option<Box<Transfer>>,
    /// Its upload, from the moment it was paused alone until it starts again; kept where a cancel is to abort.
    pub(crate) parked: Option<Parked>,
    state: FileState,
    facts: Facts,
}

/// What is known of a file beyond its state; outlives the transfer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) acknowledged: u64,
    pub(crate) total: Option<u64>,
    pub(crate) video_id: Option<String>,
    pub(crate) target: Option<Target>,
}

/// All entries, with indexes by state so that nothing needs a walk over the list.
#[derive(Debug, Default)]
pub(crate) struct List {
    files: Map<FileId, File>,
    /// The first to start is first.
    waiting: Set<(Reverse<i32>, FileId)>,
    active: Set<FileId>,
    /// Waiting, active or paused.
    open: usize,
    failed: Set<FileId>,
    parked: Set<FileId>,
    next: u64,
}

impl List {
    pub(crate) fn add(&mut self, spec: FileSpec) -> FileId {
        self.next += 1;
        let id = FileId(self.next);
        let facts = Facts {
            video_id: spec.grant.as_ref().and_then(|g| g.video_id.clone()),
            target: spec.grant.as_ref().map(|g| g.target.clone()),
            ..Facts::default()
        };
        let (state, given) = (FileState::Waiting, spec.grant.is_some());
        let file = File {
            spec,
            given,
            kept: None,
            pushed: None,
            ready: Ready::default(),
            transfer: None,
            parked: None,
            state,
            facts,
        };
        let place = file.place(id);
        self.files.insert(id, file);
        self.count(place, state, true);
        id
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, id: FileId) -> Option<File> {
        let file = self.files.remove(&id)?;
        self.parked.remove(&id);
        self.count(file.place(id), file.state, false);
        Some(file)
    }

    /// Moves a file to another state; an Active one that is left loses its transfer, and its facts are kept.
    pub(crate) fn set(&mut self, id: FileId, state: FileState) {
        let Some(file) = self.files.get_mut(&id) else { return };
        let before = file.state;
        file.state = state;
        let left = if state == FileState::Active { None } else { file.transfer.take() };
        if let Some(mut transfer) = left {
            if transfer.is_loaded() {
                file.facts = transfer.facts();
            }
            file.ready = core::mem::take(&mut transfer.ready);
            // A grant that came before the source was looked at is not used up by that either.
            if file.given || !transfer.is_loaded() {
                file.kept = transfer.access.take().or(file.kept.take());
            }
        }
        let place = file.place(id);
        self.count(place, before, false);
        self.count(place, state, true);
    }

    /// Gives a file another priority: it takes its new place if it waits, and keeps it for when it will.
    pub(crate) fn set_priority(&mut self, id: FileId, priority: i32) {
        let Some(file) = self.files.get_mut(&id) else { return };
        let (state, before) = (file.state, file.place(id));
        file.spec.priority = priority;
        let after = file.place(id);
        self.count(before, state, false);
        self.count(after, state, true);
    }

    pub(crate) fn get(&self, id: FileId) -> Result<&File, Misuse> {
        self.files.get(&id).ok_or(Misuse { rule: "no such file in the list" })
    }

    pub(crate) fn get_mut(&mut self, id: FileId) -> Option<&mut File> {
        self.files.get_mut(&id)
    }

    pub(crate) fn transfer(&mut self, id: FileId) -> Option<&mut Transfer> {
        self.files.get_mut(&id)?.transfer.as_deref_mut()
    }

    /// Keeps the upload of a file whose transfer is about to go.
    pub(crate) fn park(&mut self, id: FileId, upload: Option<Parked>) {
        let Some(file) = self.files.get_mut(&id) else { return };
        if upload.is_some() {
            self.parked.insert(id);
            file.parked = upload;
        }
    }

    /// Takes back what was parked.
    pub(crate) fn unpark(&mut self, id: FileId) -> Option<Parked> {
        self.parked.remove(&id);
        self.files.get_mut(&id)?.parked.take()
    }

    /// Files whose upload is parked, in order.
    pub(crate) fn parked(&self) -> Vec<FileId> {
        self.parked.iter().copied().collect()
    }

    /// Whether a file is in the list.
    pub(crate) fn holds(&self, id: FileId) -> bool {
        self.files.contains_key(&id)
    }

    /// The waiting file that starts next: of the highest priority, and of those the first in order.
    pub(crate) fn first_waiting(&self) -> Option<FileId> {
        self.waiting.first().map(|(_, id)| *id)
    }

    /// Files under way, in order.
    pub(crate) fn active(&self) -> &Set<FileId> {
        &self.active
    }

    /// Failed files, in order.
    pub(crate) fn failed(&self) -> Vec<FileId> {
        self.failed.iter().copied().collect()
    }

    /// All files, in order.
    pub(crate) fn ids(&self) -> Vec<FileId> {
        self.files.keys().copied().collect()
    }

    /// How many have neither succeeded, failed nor been cancelled.
    pub(crate) fn open(&self) -> usize {
        self.open
    }

    pub(crate) fn views(&self) -> Vec<FileView> {
        self.files.iter().map(|(id, file)| file.view(*id)).collect()
    }

    fn count(&mut self, place: (Reverse<i32>, FileId), state: FileState, enters: bool) {
        let (_, id) = place;
        let index = match state {
            FileState::Waiting => {
                if enters {
                    self.waiting.insert(place);
                } else {
                    self.waiting.remove(&place);
                }
                None
            }
            FileState::Active | FileState::Expired => Some(&mut self.active),
            FileState::Failed => Some(&mut self.failed),
            FileState::Paused | FileState::Succeeded | FileState::Canceled => None,
        };
        match (index, enters) {
            (Some(index), true) => {
                index.insert(id);
            }
            (Some(index), false) => {
                index.remove(&id);
            }
            (None, _) => {}
        }
        if !is_terminal(state) {
            self.open = if enters { self.open + 1 } else { self.open - 1 };
        }
    }
}

impl File {
    /// As the list keeps it: a file that waits for a credential is Active.
    pub(crate) fn state(&self) -> FileState {
        self.state
    }

    /// Its key among those that wait.
    fn place(&self, id: FileId) -> (Reverse<i32>, FileId) {
        (Reverse(self.spec.priority), id)
    }

    /// As the application sees it.
    pub(crate) fn view(&self, id: FileId) -> FileView {
        let expired = self.transfer.as_ref().is_some_and(|t| t.is_expired());
        let facts = match &self.transfer {
            Some(transfer) if transfer.is_loaded() => transfer.facts(),
            _ => self.facts.clone(),
        };
        FileView {
            id,
            state: if expired { FileState::Expired } else { self.state },
            acknowledged: facts.acknowledged,
            total: facts.total,
            video_id: facts.video_id,
            target: facts.target,
        }
    }
}

/// Succeeded, Failed or Canceled.
pub(crate) fn is_terminal(state: FileState) -> bool {
    matches!(state, FileState::Succeeded | FileState::Failed | FileState::Canceled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_waits_again_stands_where_it_stood() {
        let mut list = List::default();
        let ids: Vec<FileId> = (0..3).map(|_| list.add(FileSpec::default())).collect();
        list.set(ids[0], FileState::Paused);
        assert_eq!(list.first_waiting(), Some(ids[1]));
        list.set(ids[1], FileState::Succeeded);
        assert_eq!(list.open(), 2);
        list.set(ids[0], FileState::Waiting);
        assert_eq!(list.first_waiting(), Some(ids[0]));
        list.set(ids[2], FileState::Failed);
        assert_eq!(list.failed(), [ids[2]]);
        assert_eq!(list.open(), 1);
    }

    #[test]
    fn of_those_that_wait_the_highest_priority_is_first_and_equals_in_order() {
        let mut list = List::default();
        let add =
            |list: &mut List, priority| list.add(FileSpec { priority, ..FileSpec::default() });
        let ids = [0, 5, i32::MAX, 5, i32::MIN].map(|priority| add(&mut list, priority));
        list.set_priority(ids[0], -1);
        let mut order = Vec::new();
        while let Some(id) = list.first_waiting() {
            list.set(id, FileState::Active);
            order.push(id);
        }
        assert_eq!(order, [ids[2], ids[1], ids[3], ids[0], ids[4]]);
        // Set while under way, it counts when the file waits again.
        list.set_priority(ids[4], 1);
        assert_eq!(list.first_waiting(), None);
        for id in [ids[0], ids[4]] {
            list.set(id, FileState::Waiting);
        }
        assert_eq!(list.first_waiting(), Some(ids[4]));
        list.set_priority(ids[0], 2);
        assert_eq!(list.first_waiting(), Some(ids[0]));
        list.remove(ids[0]);
        assert_eq!((list.first_waiting(), list.open()), (Some(ids[4]), 4));
    }

    #[test]
    fn removed_files_leave_every_index_and_their_ids_stay_used() {
        let mut list = List::default();
        let first = list.add(FileSpec::default());
        assert!(list.remove(first).is_some());
        assert!(list.remove(first).is_none());
        assert_eq!((list.open(), list.first_waiting(), list.holds(first)), (0, None, false));
        assert!(list.get(first).is_err());
        assert!(list.add(FileSpec::default()) > first);
    }
}
