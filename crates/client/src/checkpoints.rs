//! The folder of checkpoints, for those who want to see or clear what can be resumed.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use vodferry_engine::{Checkpoint, ErrorKind, FaultKind, Target};

use crate::Error;
use crate::journal::{Contents, Journal, Refusal};
use crate::source::{Origin, Source, checkpoint_name};

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
    /// Parts acknowledged so far, as far as the checkpoint knows.
    pub parts: u32,
    /// Bytes acknowledged so far, as far as the checkpoint knows.
    pub bytes: u64,
    /// When something was last acknowledged.
    pub modified: SystemTime,
}

impl CheckpointInfo {
    /// Whether the file at `path` is the one whose upload was begun: by its length, modification time and samples of its content.
    /// Blocks.
    ///
    /// # Errors
    ///
    /// Kind `Io` when it cannot be read; its code is `FileNotFound` when nothing is there.
    pub fn is_of(&self, path: &Path) -> Result<bool, Error> {
        match Source::open(&Origin::Path(path.to_owned())) {
            Ok(source) => {
                let fixed = self.target_fixed.then_some(&self.target);
                Ok(checkpoint_name(source.identity(), fixed) == self.id)
            }
            Err(fault) if fault.kind == FaultKind::SourceChanged => Ok(false),
            Err(fault) => Err(Error::from(fault)),
        }
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

    /// All that can be read, the latest first; files that are no checkpoints are passed over.
    ///
    /// # Errors
    ///
    /// Kind `Storage` when the folder exists and cannot be read.
    pub fn list(&self) -> Result<Vec<CheckpointInfo>, Error> {
        let entries = match std::fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(storage("cannot read", &self.dir, error)),
        };
        let mut found: Vec<CheckpointInfo> =
            entries.flatten().filter_map(|entry| look(&entry.path())).collect();
        found.sort_by(|a, b| b.modified.cmp(&a.modified).then_with(|| a.id.cmp(&b.id)));
        Ok(found)
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
        match Journal::open(&path) {
            Ok((journal, _)) => {
                journal.delete().map_err(|error| storage("cannot delete", &path, error))
            }
            Err(Refusal::Busy) => {
                let text = format!("an upload holds the checkpoint {id}");
                Err(Error::new(ErrorKind::Busy, "Busy", text))
            }
            Err(Refusal::Foreign) => {
                Err(Error::misuse(format!("{} is not a checkpoint", path.display())))
            }
            Err(Refusal::Io(error)) => Err(storage("cannot open", &path, error)),
        }
    }
}

fn look(path: &Path) -> Option<CheckpointInfo> {
    let id = path.file_name()?.to_str().filter(|id| is_name(id))?;
    let modified = path.metadata().ok()?.modified().ok()?;
    let contents = Contents::read(&std::fs::read(path).ok()?)?;
    let Checkpoint { begin, parts, length } = Checkpoint::replay(contents.records)?;
    Some(CheckpointInfo {
        id: id.to_owned(),
        path: contents.path,
        // Only a name made with the place is another than the one made without.
        target_fixed: checkpoint_name(&begin.source, None) != id,
        video_id: begin.video_id,
        target: begin.target,
        length: begin.source.length.or(length),
        part_size: begin.part_size,
        parts: u32::try_from(parts.len()).unwrap_or(u32::MAX),
        bytes: parts.iter().map(|part| part.length).fold(0, u64::saturating_add),
        modified,
    })
}

fn is_name(id: &str) -> bool {
    id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())
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
            let info = look(&dir.path().join(&name)).unwrap();
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
