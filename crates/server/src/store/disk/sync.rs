//! One folder sync for all renames that came before it began.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use crate::store::BlobError;

/// Shares the syncs of one folder among those who rename files into it.
pub(super) struct FolderSync {
    folder: PathBuf,
    renames: AtomicU64,
    syncs: AtomicU64,
    reached: Mutex<Reached>,
}

/// Renames are numbered from 1; a sync reaches those that had a number when it began.
#[derive(Default)]
struct Reached {
    synced: u64,
    /// A failed sync may have lost these for good, whatever a later one says.
    failed: u64,
}

impl FolderSync {
    pub(super) fn new(folder: PathBuf) -> FolderSync {
        let (renames, syncs) = (AtomicU64::new(0), AtomicU64::new(0));
        FolderSync { folder, renames, syncs, reached: Mutex::default() }
    }

    /// Returns once a sync that began after this call is done.
    pub(super) async fn after_rename(&self) -> Result<(), BlobError> {
        let mine = self.renames.fetch_add(1, Ordering::SeqCst) + 1;
        let mut reached = self.reached.lock().await;
        if reached.failed >= mine {
            let lost = std::io::Error::other("the shared sync failed");
            return Err(BlobError::io("sync", &self.folder, lost));
        }
        if reached.synced >= mine {
            return Ok(());
        }
        let reaches = self.renames.load(Ordering::SeqCst);
        let folder = self.folder.clone();
        self.syncs.fetch_add(1, Ordering::Relaxed);
        let synced = spawn_blocking(move || sync_folder(&folder)).await;
        match synced.unwrap_or(Err(BlobError::Closed)) {
            Ok(()) => {
                reached.synced = reaches;
                Ok(())
            }
            Err(e) => {
                reached.failed = reaches;
                Err(e)
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}

/// Makes the names inside a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<(), BlobError> {
    File::open(folder).and_then(|f| f.sync_all()).map_err(|e| BlobError::io("sync", folder, e))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[tokio::test]
    async fn those_who_wait_share_the_next_sync() {
        let folder = tempfile::tempdir().unwrap();
        let sync = Arc::new(FolderSync::new(folder.path().to_owned()));
        let held = sync.reached.lock().await;
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let sync = sync.clone();
                tokio::spawn(async move { sync.after_rename().await })
            })
            .collect();
        while sync.renames.load(Ordering::SeqCst) < 10 {
            tokio::task::yield_now().await;
        }
        drop(held);
        for one in waiting {
            one.await.unwrap().unwrap();
        }
        assert_eq!(sync.count(), 1);
        sync.after_rename().await.unwrap();
        assert_eq!(sync.count(), 2);
    }

    #[tokio::test]
    async fn a_failed_sync_fails_all_whom_it_should_have_reached() {
        let folder = tempfile::tempdir().unwrap();
        let sync = Arc::new(FolderSync::new(folder.path().join("missing")));
        let held = sync.reached.lock().await;
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let sync = sync.clone();
                tokio::spawn(async move { sync.after_rename().await })
            })
            .collect();
        while sync.renames.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        drop(held);
        for one in waiting {
            one.await.unwrap().unwrap_err();
        }
        assert_eq!(sync.count(), 1);
        std::fs::create_dir(&sync.folder).unwrap();
        sync.after_rename().await.unwrap();
    }
}
