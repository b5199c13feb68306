//! Compares rows with blobs, blobs with their hashes, and videos with their objects, while no server
//! runs.
//!
//! What a crash leaves (half-written files, blobs that no row names, garbage not yet deleted) is no
//! problem: the next start and the janitor remove it. A problem is what a server could not serve, or
//! would wrongly delete.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use crc_fast::CrcAlgorithm;
use vodferry_lanes::Md5;

use super::disk::{self, BLOBS, FOLDERS, TMP};
use super::lost::lost;
use super::sqlite::{Inspection, NamedBlob, NamedSmall, WrongVideo};
use super::{BlobError, BlobId, Fs, OpenError, RealFs};

/// Name of the database inside the data folder.
pub(crate) const DATABASE_FILE: &str = "meta.sqlite";
/// Its log, as SQLite calls it.
pub(crate) const LOG_FILE: &str = "meta.sqlite-wal";

/// What [`fsck`] does beside looking.
#[derive(Clone, Copy, Debug, Default)]
pub struct FsckOptions {
    /// Moves blobs and small bodies that no row names to the folder `unnamed` beside `blobs`, removes
    /// half-written files, takes blobs that a row names off the garbage list, and lets videos say what
    /// their objects say. Bytes are never deleted that were once whole, nor a row. Default off: nothing
    /// is changed.
    pub repair: bool,
    /// Reads every blob and small body and compares its MD5 and CRC64 with its row. Default off: only
    /// lengths are compared.
    pub verify_hashes: bool,
}

/// What [`fsck`] found; its `Display` is one line per finding and one that sums up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FsckReport {
    /// Objects.
    pub objects: u64,
    /// Videos.
    pub videos: u64,
    /// Unfinished uploads.
    pub uploads: u64,
    /// Parts of both; each is one blob or small body.
    pub parts: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// What a server could not serve or would wrongly delete, and what was not repaired of it; one
    /// line each.
    pub problems: Vec<String>,
    /// What was repaired; one line each.
    pub repairs: Vec<String>,
    /// Half-written files; the next start removes them.
    pub drafts: u64,
    /// Blobs that no row names; the janitor removes them.
    pub unnamed: u64,
    /// Blobs that were replaced or aborted; the janitor removes them.
    pub garbage: u64,
}

/// Why a folder could not be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FsckError {
    /// There is no database in it.
    #[error("{0} is no data folder: it has no {DATABASE_FILE}")]
    NoData(PathBuf),
    /// A server uses the folder, or its files cannot be listed or moved.
    #[error(transparent)]
    Blobs(#[from] BlobError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] OpenError),
    /// The database cannot be read.
    #[error("the database could not be checked")]
    Sqlite(#[from] rusqlite::Error),
}

/// Checks the data folder of a server that does not run. Blocks; with `verify_hashes` for as long as
/// it takes to read all bytes.
///
/// # Errors
/// [`FsckError`]: it could not be checked. What is wrong with its content is in the report.
pub fn fsck(data: &Path, options: FsckOptions) -> Result<FsckReport, FsckError> {
    fsck_on(&RealFs, data, options)
}

/// As [`fsck`], with the blobs on another file system than this machine's.
///
/// # Errors
/// As [`fsck`].
pub fn fsck_on(fs: &dyn Fs, data: &Path, options: FsckOptions) -> Result<FsckReport, FsckError> {
    if let Some(error) = lost(fs, data)? {
        return Err(error.into());
    }
    let database = data.join(DATABASE_FILE);
    if !database.is_file() {
        return Err(FsckError::NoData(data.to_owned()));
    }
    let _lock = disk::lock(fs, data)?;
    let mut report = FsckReport::default();
    drafts(fs, &data.join(TMP), options, &mut report)?;
    let inspection = Inspection::open(&database)?;
    if let Some(inspection) = &inspection {
        (report.objects, report.uploads, report.parts) = inspection.counts()?;
        report.problems.extend(inspection.flaws()?);
        report.problems.extend(inspection.inconsistent()?);
        report.videos = inspection.video_count()?;
        for video in inspection.wrong_videos()? {
            wrong_video(inspection, &video, options, &mut report)?;
        }
        inspection.each_small(options.verify_hashes, |small| look_at_small(&small, &mut report))?;
        for small in inspection.unnamed_small()? {
            unnamed_small(fs, data, inspection, small, options, &mut report)?;
        }
    }
    for prefix in 0..FOLDERS {
        let prefix = format!("{prefix:02x}");
        let folder = data.join(BLOBS).join(&prefix);
        let (named, garbage) = match &inspection {
            Some(inspection) => (inspection.named(&prefix)?, inspection.garbage(&prefix)?),
            None => Default::default(),
        };
        let there = disk::list(fs, &folder)?;
        for blob in &named {
            report.bytes += blob.length;
            look(fs, &folder, blob, options, &mut report);
            if let (true, Some(inspection)) = (blob.doomed, &inspection) {
                doomed(inspection, blob, options, &mut report)?;
            }
        }
        for id in &there {
            if named.binary_search_by(|blob| blob.id.cmp(id)).is_ok() {
                continue;
            }
            if garbage.binary_search(id).is_ok() {
                report.garbage += 1;
            } else {
                unnamed(fs, data, &folder, id, options, &mut report)?;
            }
        }
    }
    Ok(report)
}

impl FsckReport {
    /// Whether there are no problems left.
    pub fn is_clean(&self) -> bool {
        self.problems.is_empty()
    }
}

impl fmt::Display for FsckReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problem in &self.problems {
            writeln!(f, "problem: {problem}")?;
        }
        for repair in &self.repairs {
            writeln!(f, "repaired: {repair}")?;
        }
        let FsckReport { objects, videos, uploads, parts, bytes, drafts, unnamed, garbage, .. } =
            self;
        writeln!(
            f,
            "left over, removed by the server: {drafts} half-written, {unnamed} unnamed, \
             {garbage} replaced or aborted"
        )?;
        write!(
            f,
            "{objects} objects, {videos} videos, {uploads} unfinished uploads, {parts} parts, {bytes} bytes: {}",
            match self.problems.len() {
                0 => "clean".to_owned(),
                1 => "1 problem".to_owned(),
                n => format!("{n} problems"),
            }
        )
    }
}

/// Bytes read at a time.
const READ: usize = 1 << 20;
/// Where unnamed blobs are moved.
const UNNAMED: &str = "unnamed";

fn drafts(
    fs: &dyn Fs,
    tmp: &Path,
    options: FsckOptions,
    report: &mut FsckReport,
) -> Result<(), FsckError> {
    for id in disk::list(fs, tmp)? {
        if options.repair {
            let path = tmp.join(id.as_str());
            fs.remove(&path).map_err(|e| BlobError::io("remove", &path, e))?;
            report.repairs.push(format!("the half-written file {id} was removed"));
        } else {
            report.drafts += 1;
        }
    }
    Ok(())
}

/// One blob against its row.
fn look(
    fs: &dyn Fs,
    folder: &Path,
    blob: &NamedBlob,
    options: FsckOptions,
    report: &mut FsckReport,
) {
    let path = folder.join(blob.id.as_str());
    let NamedBlob { id, of, .. } = blob;
    let problem = match fs.look(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => format!("blob {id}, {of}, is missing"),
        Err(e) => format!("blob {id}, {of}, cannot be read: {e}"),
        Ok((length, _)) if length != blob.length => {
            format!("blob {id}, {of}, has {length} bytes in place of {}", blob.length)
        }
        Ok(_) if !options.verify_hashes => return,
        Ok(_) => match hash(fs, &path) {
            Err(e) => format!("blob {id}, {of}, cannot be read: {e}"),
            Ok((md5, crc64)) if (md5, crc64) == (blob.md5, blob.crc64) => return,
            Ok(_) => format!("blob {id}, {of}, has other bytes than were sent"),
        },
    };
    report.problems.push(problem);
}

fn hash(fs: &dyn Fs, path: &Path) -> io::Result<([u8; 16], u64)> {
    let mut file = fs.open(path)?;
    let (mut md5, mut crc64) = (Md5::new(), crc_fast::Digest::new(CrcAlgorithm::Crc64Xz));
    let (mut at, mut buffer) = (0, vec![0; READ]);
    loop {
        let length = file.read(at, &mut buffer)?;
        let bytes = buffer.get(..length).unwrap_or_default();
        if bytes.is_empty() {
            return Ok((md5.finalize(), crc64.finalize()));
        }
        md5.update(bytes);
        crc64.update(bytes);
        at += length as u64;
    }
}

/// A blob that a row names and that is to be deleted.
fn doomed(
    inspection: &Inspection,
    blob: &NamedBlob,
    options: FsckOptions,
    report: &mut FsckReport,
) -> Result<(), FsckError> {
    let what = format!("blob {}, {}, is on the garbage list", blob.id, blob.of);
    if options.repair {
        inspection.pardon(&blob.id)?;
        report.repairs.push(format!("{what} no more"));
    } else {
        report.problems.push(what);
    }
    Ok(())
}

/// One small body against its row.
fn look_at_small(body: &NamedSmall, report: &mut FsckReport) {
    report.bytes += body.length;
    let hashes = body.bytes.as_deref().map(hash_of);
    let problem = match (body.found, hashes) {
        (None, _) => "is missing".to_owned(),
        (Some(found), _) if found != body.length => {
            format!("has {found} bytes in place of {}", body.length)
        }
        (_, Some(hashes)) if hashes != (body.md5, body.crc64) => {
            "has other bytes than were sent".to_owned()
        }
        _ => return,
    };
    report.problems.push(format!("small body {}, {}, {problem}", body.small, body.of));
}

/// No crash leaves one, and no janitor looks for them.
fn unnamed_small(
    fs: &dyn Fs,
    data: &Path,
    inspection: &Inspection,
    small: i64,
    options: FsckOptions,
    report: &mut FsckReport,
) -> Result<(), FsckError> {
    if !options.repair {
        report.problems.push(format!("no row names the small body {small}"));
        return Ok(());
    }
    let bytes = inspection.small(small)?;
    let name = BlobId::random_in(0)?;
    let path = aside(fs, data)?.join(name.as_str());
    let write = || {
        let mut file = fs.create(&path)?;
        file.append(&bytes)?;
        file.sync()?;
        fs.sync_folder(&data.join(UNNAMED))
    };
    write().map_err(|e| BlobError::io("write", &path, e))?;
    inspection.forget_small(small)?;
    let what = format!("the small body {small}, which no row names, was moved to {UNNAMED}/{name}");
    report.repairs.push(what);
    Ok(())
}

fn hash_of(bytes: &[u8]) -> ([u8; 16], u64) {
    (vodferry_lanes::md5(bytes), crc_fast::checksum(CrcAlgorithm::Crc64Xz, bytes))
}

fn wrong_video(
    inspection: &Inspection,
    video: &WrongVideo,
    options: FsckOptions,
    report: &mut FsckReport,
) -> Result<(), FsckError> {
    if options.repair && video.curable {
        inspection.cure(video)?;
        report.repairs.push(format!("{}: it says what the object says now", video.says));
    } else {
        report.problems.push(video.says.clone());
    }
    Ok(())
}

fn unnamed(
    fs: &dyn Fs,
    data: &Path,
    folder: &Path,
    id: &BlobId,
    options: FsckOptions,
    report: &mut FsckReport,
) -> Result<(), FsckError> {
    if !options.repair {
        report.unnamed += 1;
        return Ok(());
    }
    let aside = aside(fs, data)?;
    fs.rename(&folder.join(id.as_str()), &aside.join(id.as_str()))
        .and_then(|()| fs.sync_folder(&aside))
        .map_err(|e| BlobError::io("move", folder.join(id.as_str()), e))?;
    report.repairs.push(format!("blob {id}, which no row names, was moved to {UNNAMED}/"));
    Ok(())
}

/// The folder of what nothing names; its name is as durable as what will be moved there.
fn aside(fs: &dyn Fs, data: &Path) -> Result<PathBuf, BlobError> {
    let aside = data.join(UNNAMED);
    fs.make_folder(&aside)
        .and_then(|()| fs.sync_folder(data))
        .map_err(|e| BlobError::io("create", &aside, e))?;
    Ok(aside)
}
