//! One of the folders that hold finished blobs: made when it is first needed, and one sync for all
//! renames that came before it began.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as Lock, PoisonError};

use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

use super::Fs;
use crate::store::BlobError;

/// A folder, and those who rename files into it and share its syncs.
pub(super) struct Folder {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    /// Whether this process knows that the folder is there, for good.
    made: Lock<bool>,
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

impl Folder {
    pub(super) fn new(fs: Arc<dyn Fs>, path: PathBuf) -> Folder {
        let (renames, syncs) = (AtomicU64::new(0), AtomicU64::new(0));
        Folder { fs, path, made: Lock::new(false), renames, syncs, reached: Mutex::default() }
    }

    /// Makes the folder unless it is there, and with `durable` its name as well. Blocks.
    pub(super) fn make(&self, durable: bool) -> Result<(), BlobError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if *made {
            return Ok(());
        }
        self.fs.make_folder(&self.path).map_err(|e| BlobError::io("create", &self.path, e))?;
        if let (true, Some(parent)) = (durable, self.path.parent()) {
            // Also when it was there: the process that made it may have died before it synced.
            self.fs.sync_folder(parent).map_err(|e| BlobError::io("sync", parent, e))?;
        }
        *made = true;
        Ok(())
    }

    /// Returns once a sync that began after this call is done.
    pub(super) async fn after_rename(&self) -> Result<(), BlobError> {
        let mine = self.renames.fetch_add(1, Ordering::SeqCst) + 1;
        let mut reached = self.reached.lock().await;
        if reached.failed >= mine {
            let lost = std::io::Error::other("the shared sync failed");
            return Err(BlobError::io("sync", &self.path, lost));
        }
        if reached.synced >= mine {
            return Ok(());
        }
        let reaches = self.renames.load(Ordering::SeqCst);
        let (fs, path) = (self.fs.clone(), self.path.clone());
        self.syncs.fetch_add(1, Ordering::Relaxed);
        let sync = move || fs.sync_folder(&path).map_err(|e| BlobError::io("sync", path, e));
        match spawn_blocking(sync).await.unwrap_or(Err(BlobError::Closed)) {
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

    pub(super) fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::super::RealFs;
    use super::*;

    fn folder(path: PathBuf) -> Arc<Folder> {
        Arc::new(Folder::new(Arc::new(RealFs), path))
    }

    #[tokio::test]
    async fn those_who_wait_share_the_next_sync() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(place.path().to_owned());
        let held = folder.reached.lock().await;
        let waiting: Vec<_> = (0..10)
            .map(|_| {
                let folder = folder.clone();
                tokio::spawn(async move { folder.after_rename().await })
            })
            .collect();
        while folder.renames.load(Ordering::SeqCst) < 10 {
            tokio::task::yield_now().await;
        }
        drop(held);
        for one in waiting {
            one.await.unwrap().unwrap();
        }
        assert_eq!(folder.syncs(), 1);
        folder.after_rename().await.unwrap();
        assert_eq!(folder.syncs(), 2);
    }

    #[tokio::test]
    async fn a_failed_sync_fails_all_whom_it_should_have_reached() {
        let place = tempfile::tempdir().unwrap();
        let folder = folder(place.path().join("missing"));
        let held = folder.reached.lock().await;
        let waiting: Vec<_> = (0..3)
            .map(|_| {
                let folder = folder.clone();
                tokio::spawn(async move { folder.after_rename().await })
            })
            .collect();
        while folder.renames.load(Ordering::SeqCst) < 3 {
            tokio::task::yield_now().await;
        }
        drop(held);
        for one in waiting {
            one.await.unwrap().unwrap_err();
        }
        assert_eq!(folder.syncs(), 1);
        folder.make(true).unwrap();
        folder.after_rename().await.unwrap();
    }

    #[test]
    fn a_folder_is_made_once_and_an_older_one_is_taken() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("ab");
        let first = folder(path.clone());
        first.make(true).unwrap();
        folder(path.clone()).make(true).unwrap();
        std::fs::remove_dir(&path).unwrap();
        first.make(true).unwrap();
        assert!(!path.exists(), "it was not looked for again");
        folder(place.path().join("no/where")).make(true).unwrap_err();
    }
}
