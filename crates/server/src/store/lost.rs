//! A data folder whose database is gone is not a new one, nor is a backup that was cut.

use std::io::ErrorKind;
use std::path::Path;

use super::disk::{self, BLOBS, FOLDERS};
use super::fsck::{DATABASE_FILE, LOG_FILE};
use super::{BlobError, Fs, OpenError};

/// The database of a backup before it has its name.
pub(super) const DRAFT_FILE: &str = "meta.sqlite.new";

/// Why no database may be made in `data`: it has none, but blobs, which the janitor of a new database would
/// take for garbage, or commits, which SQLite would remove; or it is a backup that was cut.
pub(crate) fn lost(fs: &dyn Fs, data: &Path) -> Result<Option<OpenError>, BlobError> {
    let path = data.join(DATABASE_FILE);
    match std::fs::metadata(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        // SQLite makes a new database of an empty file, and removes the log beside it.
        Ok(found) if found.len() == 0 => {}
        _ => return Ok(None),
    }
    if data.join(DRAFT_FILE).exists() {
        return Ok(Some(OpenError::HalfBackup(data.to_owned())));
    }
    // A database is more than an empty file before it gets its first log.
    let log = data.join(LOG_FILE);
    if std::fs::metadata(&log).is_ok_and(|found| found.len() > 0) {
        return Ok(Some(OpenError::OnlyLog { path, log }));
    }
    let blobs = data.join(BLOBS);
    for prefix in 0..FOLDERS {
        if !disk::list(fs, &blobs.join(format!("{prefix:02x}")))?.is_empty() {
            return Ok(Some(OpenError::Lost { path, blobs }));
        }
    }
    Ok(None)
}
