//! Free space that bodies leave to the database.
//!
//! A database on a full disk can commit nothing, not even the deletions that would make room, so that a
//! disk that was filled to its last byte stays full. Bodies are refused before that.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::Fs;
use crate::store::BlobError;

/// Counts down what bodies may still take, and asks the file system when that, or a second, is used up.
pub(super) struct Reserve {
    fs: Arc<dyn Fs>,
    folder: PathBuf,
    kept: AtomicU64,
    /// The database's log, which lives in what is kept.
    log: OnceLock<PathBuf>,
    /// When the file system was asked, and how much of its answer is left.
    seen: Mutex<Option<(Instant, u64)>>,
}

impl Reserve {
    /// Keeps nothing yet of the disk of `folder`.
    pub(super) fn new(fs: Arc<dyn Fs>, folder: PathBuf) -> Reserve {
        let (kept, log, seen) = Default::default();
        Reserve { fs, folder, kept, log, seen }
    }

    pub(super) fn keep(&self, bytes: u64, log: &Path) {
        self.log.set(log.to_owned()).ok();
        self.kept.store(bytes, Ordering::Relaxed);
        *self.seen() = None;
    }

    /// Takes room for `bytes` and their row, if that is known to be there without asking.
    pub(super) fn take_at_hand(&self, bytes: u64) -> bool {
        if self.kept.load(Ordering::Relaxed) == 0 {
            return true;
        }
        match &mut *self.seen() {
            Some((at, left)) if at.elapsed() < FRESH => match left.checked_sub(bytes + ROW) {
                Some(rest) => {
                    *left = rest;
                    true
                }
                None => false,
            },
            _ => false,
        }
    }

    /// Takes room for `bytes` and their row. May block.
    pub(super) fn take(&self, bytes: u64) -> Result<(), BlobError> {
        if self.take_at_hand(bytes) {
            return Ok(());
        }
        // A file system that does not tell is asked again, and tells by itself when it is full.
        let Ok(free) = self.fs.free(&self.folder) else { return Ok(()) };
        let kept = self.kept.load(Ordering::Relaxed);
        // A log of any length is written over from its start again and again, but the next one needs room beside it.
        let used = self.log.get().and_then(|log| std::fs::metadata(log).ok());
        let used = used.map_or(0, |log| log.len().min(kept / 2));
        let left = free.saturating_sub(kept - used);
        *self.seen() = Some((Instant::now(), left));
        if self.take_at_hand(bytes) {
            return Ok(());
        }
        let full = std::io::ErrorKind::StorageFull.into();
        Err(BlobError::io("take bytes beside the reserve of", &self.folder, full))
    }

    fn seen(&self) -> std::sync::MutexGuard<'_, Option<(Instant, u64)>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Others write to the disk, too.
const FRESH: Duration = Duration::from_secs(1);
/// A page of the database.
const ROW: u64 = 4096;
