//! Opens the database file, and brings its tables up to date.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior};

use super::{SqliteOptions, int};
use crate::store::{Fs, RealFs};

/// One script per schema version, oldest first; a database of version n has seen the first n.
const SCRIPTS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("schema_2.sql"),
    include_str!("schema_3.sql"),
    include_str!("schema_4.sql"),
];
/// `VFRY`: tells our databases from others.
const APPLICATION_ID: i32 = 0x5646_5259;

/// Why the database could not be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file holds something else.
    #[error("{path} is not a database of this server")]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The blobs of the folder had a database.
    #[error(
        "{path} is missing or empty, but {blobs} holds blobs; a new database would name none of them, and they would be deleted: \
         restore the file from a backup, or, to begin anew, take an empty folder"
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// What shows that there was one.
        blobs: PathBuf,
    },
    /// The database is gone, its log is not.
    #[error(
        "{path} is missing or empty, but {log} holds what was committed to it; a new database would have nothing of it, and the log \
         would be removed: restore both files, or, to begin anew, take an empty folder"
    )]
    OnlyLog {
        /// The file.
        path: PathBuf,
        /// Its log.
        log: PathBuf,
    },
    /// A backup that was cut is no data folder.
    #[error(
        "{0} holds a backup that was interrupted: remove it and take the backup again, or restore from a whole one"
    )]
    HalfBackup(PathBuf),
    /// A newer release wrote it.
    #[error("{path} has schema version {found}, this release knows up to {known}; use a newer one")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest that is known here.
        known: i64,
    },
    /// What an earlier server committed cannot be made durable.
    #[error("cannot sync the database's log {path}")]
    Log {
        /// The log.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// SQLite cannot use it.
    #[error("cannot open the database {path}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite said.
        source: rusqlite::Error,
    },
    /// The thread that writes could not be started.
    #[error("cannot start the database's thread")]
    Thread(#[source] std::io::Error),
}

/// The connection that writes. Makes the file when it is not there.
pub(super) fn open_writer(path: &Path, options: &SqliteOptions) -> Result<Connection, OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    if options.durable {
        let log = log_of(path);
        sync_log(&log).map_err(|source| OpenError::Log { path: log, source })?;
    }
    let mut connection = Connection::open(path).map_err(failed)?;
    let version = check(&connection, path)?;
    configure(&connection, options, version == 0)
        .and_then(|()| update(&mut connection, version))
        .map_err(failed)?;
    Ok(connection)
}

/// Makes durable what the log holds, and the log's name. A server that was killed may have written a commit and not synced it. SQLite
/// takes what it finds in the log for committed, and syncs none of it before a commit or a checkpoint of its own: an answer
/// that rests on it would not survive the next loss of power.
fn sync_log(log: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(log) {
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        log => log?.sync_all()?,
    }
    match log.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => RealFs.sync_folder(folder),
        None => RealFs.sync_folder(Path::new(".")),
    }
}

fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

/// The version of a database that this release can use; 0 when it is still empty.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<i64, OpenError> {
    let failed = |source| OpenError::Sqlite { path: path.to_owned(), source };
    let (version, application, tables) = look_at(connection).map_err(failed)?;
    let known = SCRIPTS.len() as i64;
    let foreign = application != i64::from(APPLICATION_ID) && (application != 0 || tables > 0);
    if foreign || version < 0 {
        return Err(OpenError::Foreign { path: path.to_owned() });
    }
    if version > known {
        return Err(OpenError::Newer { path: path.to_owned(), found: version, known });
    }
    Ok(version)
}

/// A connection that only reads.
pub(super) fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "query_only", true)?;
    common(&connection)?;
    Ok(connection)
}

fn look_at(connection: &Connection) -> rusqlite::Result<(i64, i64, i64)> {
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i64>(0));
    Ok((
        number("PRAGMA user_version")?,
        number("PRAGMA application_id")?,
        number("SELECT count(*) FROM sqlite_schema")?,
    ))
}

fn configure(connection: &Connection, options: &SqliteOptions, new: bool) -> rusqlite::Result<()> {
    if let Some(most) = options.max_bytes {
        let page: i64 = connection.query_row("PRAGMA page_size", [], |row| row.get(0))?;
        connection.pragma_update(None, "max_page_count", (int(most) / page.max(1)).max(1))?;
    }
    // Before the first table; later it has no effect, but writes, which on a full disk no start could do.
    if new {
        connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", if options.durable { "FULL" } else { "OFF" })?;
    connection.pragma_update(None, "foreign_keys", true)?;
    // Every commit writes the same few pages beside its own, which a longer log spares the database; and
    // a checkpoint syncs the database once.
    connection.pragma_update(None, "wal_autocheckpoint", LOG_PAGES)?;
    // A log that one great transaction blew up is cut back at the next checkpoint.
    connection.pragma_update(None, "journal_size_limit", 64 << 20)?;
    common(connection)
}

/// From this many pages on the log is brought into the database: 16 MiB of it, some thousand small bodies.
const LOG_PAGES: u32 = 4096;

/// How long whoever finds the database locked waits for it.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

fn common(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(())
}

fn update(connection: &mut Connection, version: i64) -> rusqlite::Result<()> {
    let seen = usize::try_from(version).unwrap_or(0);
    for (script, version) in SCRIPTS.iter().zip(1i64..).skip(seen) {
        let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        change.execute_batch(script)?;
        change.pragma_update(None, "user_version", version)?;
        change.pragma_update(None, "application_id", APPLICATION_ID)?;
        change.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No test can cut the power of SQLite's disk, so what it must be told is looked at.
    #[test]
    fn a_durable_database_syncs_each_commit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.sqlite");
        for (durable, level) in [(true, 2), (false, 0)] {
            let options = SqliteOptions { durable, ..SqliteOptions::default() };
            let connection = open_writer(&path, &options).unwrap();
            let ask = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get(0));
            assert_eq!(ask("synchronous"), Ok(level));
            let mode: String =
                connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
            assert_eq!(mode, "wal");
        }
    }

    /// What a killed server left in the log is synced before anybody reads it: a log that cannot be is found out.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_log_that_is_there_is_synced_before_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.sqlite");
        let options = SqliteOptions::default();
        open_writer(&path, &options).unwrap();
        std::os::unix::fs::symlink("/dev/null", log_of(&path)).unwrap();
        let error = open_writer(&path, &options).unwrap_err();
        assert!(matches!(&error, OpenError::Log { path, .. } if path.ends_with("meta.sqlite-wal")));
        std::fs::remove_file(log_of(&path)).unwrap();
        open_writer(&path, &options).unwrap();
    }

    #[test]
    fn a_start_of_a_database_in_order_writes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("meta.sqlite");
        for start in 0..3 {
            let db = open_writer(&path, &SqliteOptions::default()).unwrap();
            let pages = std::fs::metadata(log_of(&path)).map_or(0, |log| log.len());
            assert_eq!(pages > 0, start == 0, "start {start}: a log of {pages} bytes");
            assert_eq!(db.pragma_query_value(None, "auto_vacuum", |row| row.get(0)), Ok(2));
        }
    }
}
