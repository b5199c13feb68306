//! The list as it stands now, for user interfaces: always the newest, however much happened in between.

use std::path::Path;
use std::sync::{Arc, Weak};

use tokio::sync::watch;
use vodferry_engine::{FileId, FileState, FileView};

use crate::shell::Shared;
use crate::state::State;
use crate::{FileStatus, Holds, Uploader};

/// A list of files at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Snapshot {
    /// In order.
    pub files: Vec<FileStatus>,
    /// Whether a run is under way (a paused one too).
    pub running: bool,
    /// Why the list is paused, if it is.
    pub held: Holds,
}

/// Snapshots of a list, one whenever it has changed since the last one. It does not keep the uploader alive.
///
/// ```no_run
/// # use vodferry::Uploader;
/// # async fn show(uploader: &Uploader) {
/// let mut snapshots = uploader.snapshots();
/// while let Some(list) = snapshots.next().await {
///     println!("{} files", list.files.len());
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct Snapshots {
    changed: watch::Receiver<()>,
    shared: Weak<Shared>,
}

impl Snapshots {
    /// The list, at once the first time, then as soon as it has changed; `None` when the uploader is released. What happened between two
    /// calls is told as one change. Safe to drop and call again.
    pub async fn next(&mut self) -> Option<Snapshot> {
        self.changed.changed().await.ok()?;
        let shared = self.shared.upgrade()?;
        let state = shared.lock();
        (!state.closed).then(|| state.snapshot())
    }
}

impl Uploader {
    /// The list as it stands now, and whenever it changes. Each call gives snapshots of its own.
    pub fn snapshots(&self) -> Snapshots {
        let shared = self.shared();
        let mut changed = shared.changed.subscribe();
        changed.mark_changed();
        Snapshots { changed, shared: Arc::downgrade(shared) }
    }

    /// The list, in order, as it stands now.
    pub fn files(&self) -> Vec<FileStatus> {
        let state = self.shared().lock();
        state.snapshot().files
    }

    /// One file of the list as it stands now; `None` when it is not in it.
    pub fn file(&self, file: FileId) -> Option<FileStatus> {
        self.shared().lock().status_of(file)
    }

    /// The file at this place of the list, counted from 0: what the verbs by index of other faces stand on. `None` behind its end.
    pub fn at(&self, index: usize) -> Option<FileId> {
        let state = self.shared().lock();
        state.engine.files().get(index).map(|view| view.id)
    }
}

impl State {
    fn snapshot(&self) -> Snapshot {
        let views = self.engine.files();
        let files = views.into_iter().filter_map(|view| self.status(view)).collect();
        Snapshot { files, running: self.engine.is_running(), held: self.holds }
    }

    /// As [`Uploader::file`].
    pub(crate) fn status_of(&self, file: FileId) -> Option<FileStatus> {
        self.status(self.engine.file(file)?)
    }

    fn status(&self, view: FileView) -> Option<FileStatus> {
        let entry = self.files.get(&view.id)?;
        // What a pause or a stop cut is on its way no more, and nothing tells so.
        let moves = view.state == FileState::Active && !self.holds.any();
        Some(FileStatus {
            id: view.id,
            name: entry.file.name.clone(),
            path: entry.file.origin.path().map(Path::to_path_buf),
            state: view.state,
            acknowledged: view.acknowledged,
            in_flight: if moves { entry.in_flight } else { 0 },
            total: view.total,
            video_id: view.video_id,
            target: view.target,
            image_url: entry.granted.image_url.clone(),
            object: entry.object.clone(),
            error: entry.error.clone(),
        })
    }
}
