//! The folder of checkpoints, for those who want to see or clear what can be resumed.

use std::path::PathBuf;
use std::time::SystemTime;

use vodferry_engine::Target;

use crate::Error;

/// The checkpoints in one folder.
///
/// ```no_run
/// # fn main() -> Result<(), vodferry::Error> {
/// if let Some(dir) = vodferry::Checkpoints::default_dir() {
///     for found in vodferry::Checkpoints::open(dir).list()? {
///         println!("{:?}: {} of {} bytes", found.path, found.bytes, found.length);
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
    /// The file's length in bytes.
    pub length: u64,
    /// Bytes per part.
    pub part_size: u64,
    /// Parts acknowledged so far, as far as the checkpoint knows.
    pub parts: u32,
    /// Bytes acknowledged so far, as far as the checkpoint knows.
    pub bytes: u64,
    /// When something was last acknowledged.
    pub modified: SystemTime,
}

#[allow(clippy::unimplemented)]
impl Checkpoints {
    /// The checkpoints in `dir`, which need not exist.
    pub fn open(dir: impl Into<PathBuf>) -> Checkpoints {
        Checkpoints { dir: dir.into() }
    }

    /// `$XDG_STATE_HOME/vodferry/uploads`, or `~/.local/state/vodferry/uploads`; `None` when there is no home.
    pub fn default_dir() -> Option<PathBuf> {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|p| p.is_absolute());
        let state = absolute("XDG_STATE_HOME")
            .or_else(|| std::env::home_dir().map(|home| home.join(".local/state")))?;
        Some(state.join("vodferry/uploads"))
    }

    /// All that can be read, the latest first; files that are no checkpoints are passed over.
    ///
    /// # Errors
    ///
    /// Kind `Storage` when the folder exists and cannot be read.
    pub fn list(&self) -> Result<Vec<CheckpointInfo>, Error> {
        unimplemented!()
    }

    /// Deletes one. The parts at the server stay.
    ///
    /// # Errors
    ///
    /// Kind `Busy` while an upload holds it, `Misuse` when there is none of this id, `Storage` when it cannot be deleted.
    pub fn remove(&self, id: &str) -> Result<(), Error> {
        let _ = (id, &self.dir);
        unimplemented!()
    }
}
