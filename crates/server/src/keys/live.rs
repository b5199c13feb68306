//! The keys of a running server: as they stand in the file now.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use super::{KEYS_FILE, Keys};

/// Keys that follow their file. A file that was damaged or removed changes nothing: the server goes on
/// with the keys that it has, and says so in its log.
#[derive(Debug)]
pub struct LiveKeys {
    path: PathBuf,
    seen: RwLock<Seen>,
}

#[derive(Clone, Debug)]
struct Seen {
    stamp: Option<Stamp>,
    keys: Arc<Keys>,
}

/// Changes whenever the file does: a rename brings another file, an editor another time or length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, i64, i64),
    length: u64,
    modified: Option<SystemTime>,
}

impl LiveKeys {
    /// Follows the file in `folder`, whose keys are `keys` now.
    pub fn new(folder: &Path, keys: Keys) -> LiveKeys {
        // Without a stamp: the first request looks for itself.
        let seen = Seen { stamp: None, keys: Arc::new(keys) };
        LiveKeys { path: folder.join(KEYS_FILE), seen: RwLock::new(seen) }
    }

    /// The keys as they are now. Costs one look at the file's metadata, and a read when it changed.
    pub fn current(&self) -> Arc<Keys> {
        let stamp = stamp(&self.path);
        {
            let seen = self.seen.read().unwrap_or_else(PoisonError::into_inner);
            if stamp.is_some() && seen.stamp == stamp {
                return seen.keys.clone();
            }
        }
        let mut seen = self.seen.write().unwrap_or_else(PoisonError::into_inner);
        // Taken before the file is read: when it changes in between, the next request reads again.
        let stamp = self::stamp(&self.path);
        if seen.stamp == stamp && stamp.is_some() {
            return seen.keys.clone();
        }
        match Keys::load(&self.path) {
            Ok(keys) => {
                if seen.stamp.is_some() {
                    tracing::info!(path = %self.path.display(), "the keys were read again");
                }
                *seen = Seen { stamp, keys: Arc::new(keys) };
            }
            Err(error) => {
                if seen.stamp != stamp {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(error, "the keys cannot be read; those from before stay");
                }
                seen.stamp = stamp;
            }
        }
        seen.keys.clone()
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    #[cfg(unix)]
    let file = {
        use std::os::unix::fs::MetadataExt;
        (metadata.ino(), metadata.ctime(), metadata.ctime_nsec())
    };
    #[cfg(not(unix))]
    let file = (0, 0, 0);
    Some(Stamp { file, length: metadata.len(), modified: metadata.modified().ok() })
}

#[cfg(test)]
mod tests {
    use super::super::edit;
    use super::*;

    #[test]
    fn what_changes_is_seen_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, _) = Keys::open(folder.path()).unwrap();
        let live = LiveKeys::new(folder.path(), keys);
        assert!(Arc::ptr_eq(&live.current(), &live.current()), "not read each time");
        for count in 2..30 {
            edit(folder.path(), |keys| keys.create_key(None, 0).map(|_| ())).unwrap();
            assert_eq!(live.current().access_keys().len(), count);
        }
    }

    #[test]
    fn a_file_that_cannot_be_read_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (keys, _) = Keys::open(folder.path()).unwrap();
        let live = LiveKeys::new(folder.path(), keys);
        let root = live.current().root().unwrap().clone();
        let path = folder.path().join(KEYS_FILE);
        let good = fs::read(&path).unwrap();
        fs::write(&path, "garbage").unwrap();
        assert_eq!(live.current().root(), Some(&root));
        fs::remove_file(&path).unwrap();
        assert_eq!(live.current().root(), Some(&root));
        fs::write(&path, &good).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        edit(folder.path(), |keys| keys.disable_key(&root.id)).unwrap();
        assert!(live.current().root().is_none());
    }
}
