//! The folder of checkpoints, for those who want to see, move or clear what can be resumed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use vodferry_engine::{Checkpoint, ErrorKind, FaultKind, PartInfo, Source as Identity, Target};

use crate::Error;
use crate::exported::Exported;
use crate::journal::{Contents, Journal, Refusal};
use crate::source::{Origin, Source, checkpoint_name};

use crate::store::{SEQUENTIAL, make_folder};

/// The checkpoints in one folder.
///
/// ```no_run
/// # fn main() -> Result<(), vodferry::Error> {
/// if let Some(dir) = vodferry::Checkpoints::default_dir() {
///     for found in vodferry::Checkpoints::open(dir).list()? {
///         println!("{:?}: {} of {:?} bytes", found.path, found.bytes, found.length);
///     }
/// }
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoints {
    dir: PathBuf,
}

/// One upload that can be resumed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CheckpointInfo {
    /// Names it in [`Checkpoints::remove`].
    pub id: String,
    /// Where the file was when the upload began: a hint, it is found by its content.
    pub path: Option<PathBuf>,
    /// Its video, where it has one.
    pub video_id: Option<String>,
    /// Where it goes.
    pub target: Target,
    /// Whether the place was fixed by the caller ([`File::to`](crate::File::to), [`File::grant`](crate::File::grant),
    /// [`File::upload_auth`](crate::File::upload_auth)) and must be given in the same way to resume.
    pub target_fixed: bool,
    /// The file's length in bytes; `None` where it was read from a stream that had not ended.
    pub length: Option<u64>,
    /// Bytes per part.
    pub part_size: u64,
    /// The upload that it goes on with: what [`Bucket::list_parts`](crate::Bucket::list_parts) and
    /// [`Bucket::abort_multipart_upload`](crate::Bucket::abort_multipart_upload) name it by.
    pub upload_id: String,
    /// Whether its parts go in order only; see [`ResumableUpload::sequential`](crate::ResumableUpload::sequential).
    pub sequential: bool,
    /// Parts acknowledged so far, as far as the checkpoint knows.
    pub parts: u32,
    /// Bytes acknowledged so far, as far as the checkpoint knows.
    pub bytes: u64,
    /// When something was last acknowledged; of one that was imported, when it was imported.
    pub modified: SystemTime,
    pub(crate) stored: Checkpoint,
}

/// What is stored of the upload of the file at `path`, in the folder that uploaders use by default; the latest, where it is on its way
/// to several places (`getCheckpoint` of the web SDK). `None`: nothing, so that it would begin at its beginning. Blocks.
///
/// # Errors
///
/// As [`Checkpoints::of`].
pub fn checkpoint_of(path: impl AsRef<Path>) -> Result<Option<CheckpointInfo>, Error> {
    let Some(dir) = Checkpoints::default_dir() else { return Ok(None) };
    Ok(Checkpoints::open(dir).of(path)?.into_iter().next())
}

impl CheckpointInfo {
    /// The parts acknowledged so far, by number, as far as the checkpoint knows. The server is asked before the upload goes on.
    pub fn done(&self) -> &[PartInfo] {
        &self.stored.parts
    }

    /// How long ago something was last acknowledged, or, where nothing was since, it was [imported](Checkpoints::import): an export does
    /// not say how old it is, so that the service may have dropped what looks young here. Services drop unfinished uploads after some days; see
    /// [`Bucket::abort_after_days`](crate::Bucket::abort_after_days).
    pub fn age(&self) -> Duration {
        // A clock that was set back says that it was this moment.
        self.modified.elapsed().unwrap_or_default()
    }

    /// Whether it was begun of something whose length was not known: a stream ([`File::reader`](crate::File::reader)), which has no
    /// [`path`](CheckpointInfo::path), or a file while it was written ([`File::growing`](crate::File::growing)). Such an upload goes on
    /// when it is fed again from the beginning, or announced again.
    pub fn is_open_ended(&self) -> bool {
        self.stored.begin.source.length.is_none()
    }

    /// Whether the file at `path` is the one whose upload was begun: by its length, modification time and samples of its content; one
    /// that was sent while it was written is known by its path. Blocks.
    ///
    /// # Errors
    ///
    /// Kind `Io` when it cannot be read; its code is `FileNotFound` when nothing is there.
    pub fn is_of(&self, path: &Path) -> Result<bool, Error> {
        let begun = &self.stored.begin.source;
        if self.is_open_ended() {
            return Ok(grown_at(path).as_ref() == Some(begun));
        }
        Ok(identity_of(path)?.as_ref() == Some(begun))
    }
}

impl Checkpoints {
    /// The checkpoints in `dir`, which need not exist.
    pub fn open(dir: impl Into<PathBuf>) -> Checkpoints {
        Checkpoints { dir: dir.into() }
    }

    /// `$XDG_STATE_HOME/vodferry/uploads`, or `~/.local/state/vodferry/uploads`; `None` when there is no home.
    pub fn default_dir() -> Option<PathBuf> {
        let state = std::env::var_os("XDG_STATE_HOME")
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
            .or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))?;
        Some(state.join("vodferry/uploads"))
    }

    /// All of them, the latest first. Passed over is what is no checkpoint, and what is deleted at this moment.
    ///
    /// # Errors
    ///
    /// Kind `Storage` when the folder exists and cannot be read, or one of the checkpoints in it: the error names it. What cannot be
    /// read is not nothing: an upload may be unfinished.
    pub fn list(&self) -> Result<Vec<CheckpointInfo>, Error> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(storage("cannot read", &self.dir, error)),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|error| storage("cannot read", &self.dir, error))?;
            found.extend(look(&entry.path())?);
        }
        found.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.id.cmp(&b.id)));
        Ok(found)
    }

    /// The one of this id; `None` when there is none.
    ///
    /// # Errors
    ///
    /// Kind `Storage` when it, or the folder, exists and cannot be read.
    pub fn get(&self, id: &str) -> Result<Option<CheckpointInfo>, Error> {
        if !is_name(id) {
            return Ok(None);
        }
        look(&self.dir.join(id))
    }

    /// Those of the file at `path`, the latest first: more than one where it is on its way to several places. It is known by what it
    /// is, not by where; only one that grew while it was sent is known by its path: see [`CheckpointInfo::is_of`]. What a reader fed ([`File::reader`](crate::File::reader)) has no
    /// path and is found by [`list`](Checkpoints::list) alone. Blocks.
    ///
    /// # Errors
    ///
    /// Kind `Io` when the file cannot be read (code `FileNotFound` when nothing is there) and did not grow, `Storage` as
    /// [`list`](Checkpoints::list).
    pub fn of(&self, path: impl AsRef<Path>) -> Result<Vec<CheckpointInfo>, Error> {
        let (identity, grown) = (identity_of(path.as_ref()), grown_at(path.as_ref()));
        let mut found = self.list()?;
        found.retain(|info| {
            let begun = &info.stored.begin.source;
            grown.as_ref() == Some(begun) || matches!(&identity, Ok(Some(known)) if known == begun)
        });
        match identity {
            // It need not be there yet, or may be written at this moment.
            Err(error) if found.is_empty() => Err(error),
            _ => Ok(found),
        }
    }

    /// The one of this id as JSON (see `docs/reference/checkpoints.md`), to be kept, looked at, or [imported](Checkpoints::import)
    /// elsewhere. No credential is in it. `None` when there is none.
    ///
    /// # Errors
    ///
    /// As [`get`](Checkpoints::get).
    pub fn export(&self, id: &str) -> Result<Option<String>, Error> {
        Ok(self.get(id)?.map(|info| Exported::of(&info).to_json()))
    }

    /// Stores what [`export`](Checkpoints::export) gave, so that the upload of the same file goes on from here; gives its id. The folder
    /// is made where it is missing.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is no such JSON, or a checkpoint of this id is there already; `Busy` while an upload holds that, `Storage`
    /// when it cannot be written.
    pub fn import(&self, json: &str) -> Result<String, Error> {
        let exported = Exported::read(json)?;
        let (id, records) = exported.records()?;
        make_folder(&self.dir).map_err(|error| storage("cannot make", &self.dir, error))?;
        let path = self.dir.join(&id);
        let (mut journal, contents) = open(&path, &id)?;
        if !contents.records.is_empty() {
            return Err(Error::misuse(format!("there is a checkpoint {id} already")));
        }
        let hint = exported.path.as_deref().map(Path::new);
        let last = records.len().saturating_sub(1);
        for (at, record) in records.iter().enumerate() {
            if let Err(error) = journal.append(record, hint, at == last) {
                // Half of it would be taken for all that is known.
                let _ = journal.delete();
                return Err(storage("cannot write", &path, error));
            }
        }
        Ok(id)
    }

    /// Deletes one. The parts at the server stay.
    ///
    /// # Errors
    ///
    /// Kind `Busy` while an upload holds it, `Misuse` when there is none of this id, `Storage` when it cannot be deleted.
    pub fn remove(&self, id: &str) -> Result<(), Error> {
        let path = self.dir.join(id);
        if !is_name(id) || !path.is_file() {
            return Err(Error::misuse(format!("there is no checkpoint {id:?}")));
        }
        let (journal, _) = open(&path, id)?;
        journal.delete().map_err(|error| storage("cannot delete", &path, error))
    }
}

fn open(path: &Path, id: &str) -> Result<(Journal, Contents), Error> {
    Journal::open(path).map_err(|refusal| match refusal {
        Refusal::Busy => {
            Error::new(ErrorKind::Busy, "Busy", format!("an upload holds the checkpoint {id}"))
        }
        Refusal::Foreign => Error::misuse(format!("{} is not a checkpoint", path.display())),
        Refusal::Io(error) => storage("cannot open", path, error),
    })
}

/// What the file at `path` is; `None` when that cannot be said, as it is being written.
fn identity_of(path: &Path) -> Result<Option<Identity>, Error> {
    match Source::open(&Origin::Path(path.to_owned())) {
        Ok(source) => Ok(Some(source.identity().clone())),
        Err(fault) if fault.kind == FaultKind::SourceChanged => Ok(None),
        Err(fault) => Err(Error::from(fault)),
    }
}

/// What a file that grows at `path` is known by.
fn grown_at(path: &Path) -> Option<Identity> {
    let (growing, _) = Origin::growing(path);
    Source::open(&growing).ok().map(|source| source.identity().clone())
}

/// What is stored at `path`; `None` where that is no checkpoint, or nothing (any more).
fn look(path: &Path) -> Result<Option<CheckpointInfo>, Error> {
    let Some(id) = path.file_name().and_then(|name| name.to_str()).filter(|id| is_name(id)) else {
        return Ok(None);
    };
    match read(path) {
        Ok(read) => Ok(read.and_then(|(bytes, modified)| info_of(id, &bytes, modified))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(storage("cannot read", path, error)),
    }
}

/// The bytes of a file, and when it was written; `None` for what is no file.
fn read(path: &Path) -> io::Result<Option<(Vec<u8>, SystemTime)>> {
    let metadata = path.metadata()?;
    match metadata.is_file() {
        true => Ok(Some((std::fs::read(path)?, metadata.modified()?))),
        false => Ok(None),
    }
}

fn info_of(id: &str, bytes: &[u8], modified: SystemTime) -> Option<CheckpointInfo> {
    let contents = Contents::read(bytes)?;
    let stored = Checkpoint::replay(contents.records)?;
    let Checkpoint { begin, parts, length } = &stored;
    Some(CheckpointInfo {
        id: id.to_owned(),
        path: contents.path,
        // Only a name made with the place is another than the one made without.
        target_fixed: checkpoint_name(&begin.source, None) != id.trim_end_matches(SEQUENTIAL),
        sequential: id.ends_with(SEQUENTIAL),
        video_id: begin.video_id.clone(),
        target: begin.target.clone(),
        upload_id: begin.upload_id.clone(),
        length: begin.source.length.or(*length),
        part_size: begin.part_size,
        parts: u32::try_from(parts.len()).unwrap_or(u32::MAX),
        bytes: parts.iter().map(|part| part.length).fold(0, u64::saturating_add),
        modified,
        stored,
    })
}

fn is_name(id: &str) -> bool {
    let hash = id.strip_suffix(SEQUENTIAL).unwrap_or(id);
    hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit())
}

fn storage(what: &str, path: &Path, error: io::Error) -> Error {
    let text = format!("{what} {}: {error}", path.display());
    Error::new(ErrorKind::Storage, "RecordDir", text).with_source(error)
}

#[cfg(test)]
mod tests {
    use vodferry_engine::{Begin, PartInfo, Record, Source};

    use super::*;

    fn write(dir: &Path, name: &str) -> Journal {
        let source = Source { length: Some(300_000), modified_ms: 7, fingerprint: "ab".into() };
        write_of(dir, name, source)
    }

    fn write_of(dir: &Path, name: &str, source: Source) -> Journal {
        let begin = Begin {
            source,
            target: Target { endpoint: "e".into(), bucket: "b".into(), key: "k".into() },
            video_id: Some("v".into()),
            part_size: 102_400,
            grows_to: None,
            upload_id: "u".into(),
        };
        let part = PartInfo { number: 2, length: 102_400, etag: "E".into(), crc64: None };
        let (mut journal, _) = Journal::open(&dir.join(name)).unwrap();
        let hint = Path::new("/films/ä b.mp4");
        journal.append(&Record::Begin(begin), Some(hint), false).unwrap();
        journal.append(&Record::Part(part), Some(hint), false).unwrap();
        journal
    }

    #[test]
    fn lists_what_can_be_resumed_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let here = Checkpoints::open(dir.path());
        assert!(Checkpoints::open(dir.path().join("none")).list().unwrap().is_empty());
        let source = Source { length: Some(300_000), modified_ms: 7, fingerprint: "ab".into() };
        let name = checkpoint_name(&source, None);
        let held = write(dir.path(), &name);
        std::fs::write(dir.path().join("a".repeat(64)), "foreign\n").unwrap();
        std::fs::write(dir.path().join("readme"), "x").unwrap();
        std::fs::create_dir(dir.path().join("b".repeat(64))).unwrap();

        let list = here.list().unwrap();
        assert_eq!(list.len(), 1);
        let found = &list[0];
        assert_eq!((found.parts, found.bytes, found.length), (1, 102_400, Some(300_000)));
        assert_eq!(found.path.as_deref(), Some(Path::new("/films/ä b.mp4")));
        assert_eq!((found.video_id.as_deref(), found.target_fixed), (Some("v"), false));

        assert_eq!(here.remove(&found.id).unwrap_err().kind(), ErrorKind::Busy);
        drop(held);
        here.remove(&found.id).unwrap();
        assert!(here.list().unwrap().is_empty());
        for wrong in ["", "..", "../x", &found.id, "readme", &"a".repeat(64)] {
            assert_eq!(here.remove(wrong).unwrap_err().kind(), ErrorKind::Misuse, "{wrong}");
        }
        assert!(dir.path().join("a".repeat(64)).exists());
    }

    /// By a link to itself, as nobody is kept from reading what root may read.
    #[cfg(unix)]
    #[test]
    fn what_cannot_be_read_is_not_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let here = Checkpoints::open(dir.path());
        drop(write(dir.path(), &"c".repeat(64)));
        // What went away between the listing and the look.
        std::os::unix::fs::symlink("gone", dir.path().join("d".repeat(64))).unwrap();
        std::os::unix::fs::symlink("loop", dir.path().join("loop")).unwrap();
        assert_eq!(here.list().unwrap().len(), 1);
        let id = "e".repeat(64);
        std::os::unix::fs::symlink(&id, dir.path().join(&id)).unwrap();
        for error in [here.list().unwrap_err(), here.get(&id).unwrap_err()] {
            assert_eq!((error.kind(), error.code()), (ErrorKind::Storage, "RecordDir"));
            assert!(error.to_string().contains(&id), "{error}");
        }
        assert_eq!(here.get(&"d".repeat(64)).unwrap(), None);
    }

    #[test]
    fn a_place_fixed_by_the_caller_is_told() {
        let dir = tempfile::tempdir().unwrap();
        drop(write(dir.path(), &"c".repeat(64)));
        assert!(Checkpoints::open(dir.path()).list().unwrap()[0].target_fixed);
    }

    #[test]
    fn a_file_is_known_by_what_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let [file, moved] = ["a", "b"].map(|name| dir.path().join(name));
        std::fs::write(&file, [7; 1000]).unwrap();
        let origin = Origin::Path(file.clone());
        let identity = crate::source::Source::open(&origin).unwrap().identity().clone();
        let target = Target { endpoint: "e".into(), bucket: "b".into(), key: "k".into() };
        let mut of_other_place = None;
        for fixed in [None, Some(&target)] {
            let name = checkpoint_name(&identity, fixed);
            drop(write_of(dir.path(), &name, identity.clone()));
            let info = look(&dir.path().join(&name)).unwrap().unwrap();
            assert!(info.is_of(&file).unwrap(), "{fixed:?}");
            of_other_place = Some(info);
        }
        let info = of_other_place.unwrap();
        std::fs::rename(&file, &moved).unwrap();
        assert_eq!(info.is_of(&file).unwrap_err().code(), "FileNotFound");
        assert!(info.is_of(&moved).unwrap());
        std::fs::write(&moved, [7; 999]).unwrap();
        assert!(!info.is_of(&moved).unwrap());
    }
}
