//! A copy of a data folder, taken while its server runs: a data folder of its own, on which a server
//! can be started.
//!
//! First the database, as it was at one moment, with the small bodies in it; then every blob that it
//! names. Blobs are never changed, so that a link is as good as a copy, and one that a row of that moment
//! named is deleted no earlier than some minutes after the row is gone. A copy that takes longer may come
//! too late for some; then the database is taken anew, and only what came since is left to do. The
//! database gets its name when everything it names is there, and the keys come last: a backup that was
//! cut is one that no server starts on.

use std::cell::Cell;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::disk::{self, BLOBS, FOLDERS, TMP};
use super::fsck::DATABASE_FILE;
use super::lost::{DRAFT_FILE, lost};
use super::sqlite::{Inspection, NamedBlob, SnapshotError, snapshot};
use super::{BlobError, BlobId, Fs, OpenError, RealFs};
use crate::callback::KEY_FILE;
use crate::keys::{KEYS_FILE, KeysError, create_private, read_private};

/// How a [`backup`] gets its blobs.
#[derive(Clone, Debug, Default)]
pub struct BackupOptions {
    /// Bytes of their own for all blobs, also where a link would do. A link costs nothing and holds what is
    /// deleted later; it does not outlive the disk. Default off: linked where that is possible.
    pub copy: bool,
    /// An earlier backup, on the same disk as the new one: what it has is linked from there and not copied
    /// again. Default none.
    pub previous: Option<PathBuf>,
}

/// What a [`backup`] holds; its `Display` is one line per problem and one that sums up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// Objects.
    pub objects: u64,
    /// Videos.
    pub videos: u64,
    /// Unfinished uploads.
    pub uploads: u64,
    /// Blobs of objects and uploads.
    pub blobs: u64,
    /// Small bodies; they are copied with the database.
    pub small: u64,
    /// Bytes of both.
    pub bytes: u64,
    /// How many blobs were copied; the others share their bytes with the data folder or with the previous
    /// backup.
    pub copied: u64,
    /// What the data folder itself lacks; one line each.
    pub problems: Vec<String>,
}

/// Why there is no backup.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackupError {
    /// There is no database in it.
    #[error("{0} is no data folder: it has no {DATABASE_FILE}")]
    NoData(PathBuf),
    /// A backup makes its folder, or takes an empty one.
    #[error("{0} is not empty")]
    NotEmpty(PathBuf),
    /// The janitor and the next backup would take it for part of what it is a copy of, and what destroys the one
    /// destroys the other.
    #[error("{to} lies in the data folder {data}; choose a place outside of it")]
    Inside {
        /// The place of the backup.
        to: PathBuf,
        /// The data folder.
        data: PathBuf,
    },
    /// What was named as an earlier backup has no blobs.
    #[error("{0} is no earlier backup: it has no folder {BLOBS}")]
    NoPrevious(PathBuf),
    /// A file of the backup cannot be written, or one of the data folder not be read.
    #[error(transparent)]
    Files(#[from] BlobError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The database cannot be copied.
    #[error("the database could not be copied")]
    Sqlite(#[from] rusqlite::Error),
    /// Time and again blobs were deleted before it was their turn.
    #[error("blobs were deleted faster than they could be copied")]
    Unsettled,
    /// The keys cannot be copied.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// Copies the data folder of a server, which may be at work, to `to`: everything that was acknowledged
/// before this was called. Blocks; needs the rights of the server's user.
///
/// # Errors
/// [`BackupError`]. What the data folder lacks is in the report.
pub fn backup(
    data: &Path,
    to: &Path,
    options: &BackupOptions,
) -> Result<BackupReport, BackupError> {
    if let Some(error) = lost(&RealFs, data)? {
        return Err(error.into());
    }
    let database = data.join(DATABASE_FILE);
    if !database.is_file() {
        return Err(BackupError::NoData(data.to_owned()));
    }
    refuse_inside(data, to)?;
    // One that was cut has no database, but is as good to link from.
    if let Some(previous) = options.previous.as_ref().filter(|path| !path.join(BLOBS).is_dir()) {
        return Err(BackupError::NoPrevious(previous.clone()));
    }
    make_empty(to)?;
    // No server starts on what is half a backup.
    let _lock = disk::lock(&RealFs, to)?;
    // Before all else: it tells what was cut from the folder of a server that has yet to start.
    let draft = to.join(DRAFT_FILE);
    File::create(&draft).map_err(|e| BlobError::io("create", &draft, e))?;
    for name in [TMP, BLOBS] {
        make_folder(&to.join(name))?;
    }
    let copy = Copy { data, to, options, copied: Cell::new(0) };
    let mut report = settle(|| {
        snapshot(&database, &draft)?;
        copy.blobs_of(&draft)
    })?;
    sync_blobs(&to.join(BLOBS))?;
    let place = to.join(DATABASE_FILE);
    fs::rename(&draft, &place).map_err(|e| BlobError::io("name", &place, e))?;
    sync(to)?;
    copy_keys(data, to)?;
    report.copied = copy.copied.get();
    Ok(report)
}

impl fmt::Display for BackupReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        let BackupReport { objects, videos, uploads, blobs, small, bytes, copied, .. } = self;
        write!(
            f,
            "{objects} objects, {videos} videos, {uploads} unfinished uploads, {blobs} blobs ({copied} copied), {small} small bodies, {bytes} bytes: {}",
            match self.problems.len() {
                0 => "whole".to_owned(),
                1 => "1 problem".to_owned(),
                n => format!("{n} problems"),
            }
        )
    }
}

/// Repeats `pass`, which tells the blobs that it did not find, until there are none but lost ones.
fn settle(
    mut pass: impl FnMut() -> Result<(BackupReport, BTreeSet<BlobId>), BackupError>,
) -> Result<BackupReport, BackupError> {
    let mut gone = BTreeSet::new();
    for _ in 0..MOST_PASSES {
        let (report, missing) = pass()?;
        // What is named by a database that is newer than the look is not deleted, it is lost.
        if missing.is_subset(&gone) {
            return Ok(report);
        }
        gone = missing;
    }
    Err(BackupError::Unsettled)
}

/// Each does what came since the one before it, so that two or three are many.
const MOST_PASSES: usize = 20;

struct Copy<'a> {
    data: &'a Path,
    to: &'a Path,
    options: &'a BackupOptions,
    copied: Cell<u64>,
}

impl Copy<'_> {
    /// Gets what the database at `draft` names and is not here yet, and removes what it does not name;
    /// the second answer is what was nowhere.
    fn blobs_of(&self, draft: &Path) -> Result<(BackupReport, BTreeSet<BlobId>), BackupError> {
        let (mut report, mut missing) = (BackupReport::default(), BTreeSet::new());
        // A server that died before its first request has a database without tables.
        let Some(inspection) = Inspection::open(draft)? else { return Ok((report, missing)) };
        (report.objects, report.uploads, _) = inspection.counts()?;
        report.videos = inspection.video_count()?;
        (report.small, report.bytes) = inspection.small_use()?;
        inspection.each_small(false, |body| {
            if body.found != Some(body.length) {
                let what = format!("small body {}, {}, is not whole", body.small, body.of);
                report.problems.push(what);
            }
        })?;
        for prefix in 0..FOLDERS {
            let prefix = format!("{prefix:02x}");
            let mut named = inspection.named(&prefix)?;
            // A copy names the blobs of its original.
            named.dedup_by(|a, b| a.id == b.id);
            let folder = self.to.join(BLOBS).join(&prefix);
            for id in disk::list(&RealFs, &folder)? {
                if named.binary_search_by(|blob| blob.id.cmp(&id)).is_err() {
                    remove(&folder.join(id.as_str()))?;
                }
            }
            if named.is_empty() {
                continue;
            }
            make_folder(&folder)?;
            for blob in &named {
                match self.get(blob, &folder.join(blob.id.as_str()))? {
                    Some(length) if length == blob.length => {
                        report.blobs += 1;
                        report.bytes += length;
                    }
                    Some(length) => report.problems.push(format!(
                        "blob {}, {}, has {length} bytes in place of {}",
                        blob.id, blob.of, blob.length
                    )),
                    None => {
                        report.problems.push(format!("blob {}, {}, is missing", blob.id, blob.of));
                        missing.insert(blob.id.clone());
                    }
                }
            }
        }
        Ok((report, missing))
    }

    /// Gets a blob unless it is here; the length of what is here then.
    fn get(&self, blob: &NamedBlob, place: &Path) -> Result<Option<u64>, BlobError> {
        if let Some(length) = length(place) {
            return Ok(Some(length));
        }
        if let Some(previous) = &self.options.previous {
            let from = path(previous, &blob.id);
            let whole = length(&from) == Some(blob.length);
            if whole && fs::hard_link(&from, place).is_ok() {
                return Ok(Some(blob.length));
            }
        }
        let from = path(self.data, &blob.id);
        let got = match self.options.copy {
            true => self.copy(&blob.id, &from, place),
            // Another disk, a file system without links, somebody else's file, too many links.
            false => match fs::hard_link(&from, place) {
                Err(e) if e.kind() != ErrorKind::NotFound => self.copy(&blob.id, &from, place),
                linked => linked,
            },
        };
        match got {
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(BlobError::io("copy", from, e)),
            Ok(()) => Ok(length(place)),
        }
    }

    /// Whole or not at all.
    fn copy(&self, id: &BlobId, from: &Path, place: &Path) -> io::Result<()> {
        let draft = self.to.join(TMP).join(id.as_str());
        fs::copy(from, &draft)?;
        File::open(&draft)?.sync_all()?;
        self.copied.set(self.copied.get() + 1);
        fs::rename(&draft, place)
    }
}

fn path(data: &Path, id: &BlobId) -> PathBuf {
    data.join(BLOBS).join(id.prefix()).join(id.as_str())
}

fn length(path: &Path) -> Option<u64> {
    fs::metadata(path).ok().map(|metadata| metadata.len())
}

fn copy_keys(data: &Path, to: &Path) -> Result<(), BackupError> {
    match read_private(&data.join(KEY_FILE)) {
        // No callback was ever signed.
        Err(KeysError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => {}
        key => create_private(&to.join(KEY_FILE), &key?)?,
    }
    Ok(create_private(&to.join(KEYS_FILE), &read_private(&data.join(KEYS_FILE))?)?)
}

/// Before anything is made there.
fn refuse_inside(data: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |path| move |e| BlobError::io("find", path, e);
    let folder = fs::canonicalize(data).map_err(failed(data))?;
    let place = std::path::absolute(to).map_err(failed(to))?;
    let exists = place.ancestors().find_map(|path| fs::canonicalize(path).ok());
    match exists.is_some_and(|path| path.starts_with(&folder)) {
        true => Err(BackupError::Inside { to: to.to_owned(), data: data.to_owned() }),
        false => Ok(()),
    }
}

fn make_empty(folder: &Path) -> Result<(), BackupError> {
    let failed = |e| BlobError::io("make", folder, e);
    disk::make_private_folder(folder).map_err(failed)?;
    match fs::read_dir(folder).map_err(failed)?.next() {
        None => Ok(()),
        Some(_) => Err(BackupError::NotEmpty(folder.to_owned())),
    }
}

fn make_folder(path: &Path) -> Result<(), BlobError> {
    RealFs.make_folder(path).map_err(|e| BlobError::io("make", path, e))
}

fn remove(path: &Path) -> Result<(), BlobError> {
    RealFs.remove(path).map_err(|e| BlobError::io("remove", path, e))
}

fn sync_blobs(blobs: &Path) -> Result<(), BlobError> {
    for prefix in 0..FOLDERS {
        let folder = blobs.join(format!("{prefix:02x}"));
        if folder.is_dir() {
            sync(&folder)?;
        }
    }
    sync(blobs)
}

fn sync(folder: &Path) -> Result<(), BlobError> {
    RealFs.sync_folder(folder).map_err(|e| BlobError::io("sync", folder, e))
}

impl From<SnapshotError> for BackupError {
    fn from(error: SnapshotError) -> BackupError {
        match error {
            SnapshotError::File(error) => error.into(),
            SnapshotError::Open(error) => error.into(),
            SnapshotError::Sqlite(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is gone in one pass after the other; how many there were, and whether that ended it.
    fn settled(passes: &[&[u8]]) -> (usize, bool) {
        let mut count = 0;
        let done = settle(|| {
            let gone = passes.get(count).copied().unwrap_or(&[]);
            count += 1;
            let ids = gone.iter().map(|id| BlobId::parse(&format!("{id:032x}")).unwrap());
            Ok((BackupReport::default(), ids.collect()))
        });
        (count, done.is_ok())
    }

    #[test]
    fn what_is_gone_is_looked_for_in_a_newer_database() {
        assert_eq!(settled(&[&[]]), (1, true));
        assert_eq!(settled(&[&[1, 2], &[]]), (2, true));
        assert_eq!(settled(&[&[1, 2], &[2, 3], &[3]]), (3, true));
        assert_eq!(settled(&[&[1, 2], &[2]]), (2, true));
        let ever: Vec<[u8; 1]> = (0..50).map(|id| [id]).collect();
        let ever: Vec<&[u8]> = ever.iter().map(<[u8; 1]>::as_slice).collect();
        assert_eq!(settled(&ever), (MOST_PASSES, false));
    }
}
