//! The file list: order, states, and which file is next.
//!
//! Ids ascend in the order of adding, so ordered maps keep the list's order, and a file that waits again (after stop,
//! resume or restore) stands where it stood.

use crate::map::{Map, Set};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::grant::Held;
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
    waiting: Set<FileId>,
    active: Set<FileId>,
    /// Waiting, active or paused.
    open: usize,
    failed: Set<FileId>,
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
            state,
            facts,
        };
        self.files.insert(id, file);
        self.count(id, state, true);
        id
    }

    /// Takes an entry out.
    pub(crate) fn remove(&mut self, id: FileId) -> Option<File> {
        let file = self.files.remove(&id)?;
        self.count(id, file.state, false);
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
        self.count(id, before, false);
        self.count(id, state, true);
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

    /// Whether a file is in the list.
    pub(crate) fn holds(&self, id: FileId) -> bool {
        self.files.contains_key(&id)
    }

    /// The waiting file that is first in order.
    pub(crate) fn first_waiting(&self) -> Option<FileId> {
        self.waiting.first().copied()
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

    fn count(&mut self, id: FileId, state: FileState, enters: bool) {
        let index = match state {
            FileState::Waiting => Some(&mut self.waiting),
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
