//! What the record directory holds, and which of it a command line means.

use std::path::{Path, PathBuf};

use vodferry::{CheckpointInfo, Checkpoints, Options};

use crate::error::Failure;

/// The unfinished uploads, the latest first.
pub(crate) fn unfinished(options: &Options) -> Result<Vec<CheckpointInfo>, Failure> {
    match &options.record_dir {
        Some(folder) => Checkpoints::open(folder).list().map_err(Failure::from),
        None => Ok(Vec::new()),
    }
}

/// Whether an upload was begun from this path. Both are made absolute first: the command may run in another folder now.
pub(crate) fn is_of(record: &CheckpointInfo, path: &Path) -> bool {
    record.path.as_deref().is_some_and(|begun| same(begun, path))
}

fn same(a: &Path, b: &Path) -> bool {
    whole(a) == whole(b)
}

fn whole(path: &Path) -> PathBuf {
    path.canonicalize().or_else(|_| std::path::absolute(path)).unwrap_or_else(|_| path.to_owned())
}
