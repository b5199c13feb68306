//! The database as it is at one moment, in a file of its own.

use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::schema::{self, OpenError};
use crate::store::BlobError;

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub(in crate::store) enum SnapshotError {
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] BlobError),
    /// The database cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It cannot be read.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// Writes everything that is committed to the database at `path` into the file `to`, in place of one that
/// is there, and syncs it. Who uses the database meanwhile, of this process or another, is not disturbed.
pub(in crate::store) fn snapshot(path: &Path, to: &Path) -> Result<(), SnapshotError> {
    let failed = |doing| move |e| BlobError::io(doing, to, e);
    // Emptied and not removed: without it, what is here would look like no backup.
    std::fs::File::create(to).map_err(failed("replace"))?;
    let name = to.to_str().ok_or_else(|| {
        let no_text = io::Error::new(io::ErrorKind::InvalidFilename, "its name is not UTF-8");
        failed("write")(no_text)
    })?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)
        .map_err(|source| OpenError::Sqlite { path: path.to_owned(), source })?;
    db.busy_timeout(Duration::from_secs(10))?;
    schema::check(&db, path)?;
    db.execute("VACUUM INTO ?1", [name])?;
    std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(failed("sync"))?;
    Ok(())
}
