//! A data folder whose database is gone is not a new one.

use std::io::ErrorKind;
use std::path::Path;

use super::disk::{self, BLOBS, FOLDERS};
use super::fsck::DATABASE_FILE;
use super::{BlobError, Fs, OpenError};

/// Why no database may be made in `data`: it has none, but blobs, which the janitor of a new database would
/// take for garbage.
pub(crate) fn lost(fs: &dyn Fs, data: &Path) -> Result<Option<OpenError>, BlobError> {
    let path = data.join(DATABASE_FILE);
    match std::fs::metadata(&path) {
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        // SQLite makes a new database of an empty file, and removes the log beside it.
        Ok(found) if found.len() == 0 => {}
        _ => return Ok(None),
    }
    let blobs = data.join(BLOBS);
    for prefix in 0..FOLDERS {
        if !disk::list(fs, &blobs.join(format!("{prefix:02x}")))?.is_empty() {
            return Ok(Some(OpenError::Lost { path, blobs }));
        }
    }
    Ok(None)
}
