//! What the record directory holds, and which of it a command line means.

use std::path::{Path, PathBuf};

use vodferry::{CheckpointInfo, Checkpoints, Options};

use crate::error::Failure;
use crate::exit_code::ExitCode;

/// The unfinished uploads, the latest first.
pub(crate) fn unfinished(options: &Options) -> Result<Vec<CheckpointInfo>, Failure> {
    match &options.record_dir {
        Some(folder) => Checkpoints::open(folder).list().map_err(Failure::from),
        None => Ok(Vec::new()),
    }
}

/// The unfinished uploads of the file at `path`, by where it was; where there is none, by what it is, as it may have been moved.
pub(crate) fn of_file<'a>(path: &Path, records: &'a [CheckpointInfo]) -> Vec<&'a CheckpointInfo> {
    let of: Vec<_> = records.iter().filter(|record| is_of(record, path)).collect();
    if !of.is_empty() {
        return of;
    }
    records.iter().filter(|record| record.is_of(path).is_ok_and(|same| same)).collect()
}

/// The uploads that go on with the file at `path`: those begun from there of what it is now; else those of what it is, as it may have been
/// moved, perhaps into the place of another; else those begun from there, which say that it changed.
pub(crate) fn to_resume<'a>(path: &Path, records: &'a [CheckpointInfo]) -> Vec<&'a CheckpointInfo> {
    let (here, elsewhere): (Vec<_>, Vec<_>) = records
        .iter()
        .filter(|record| record.is_of(path).is_ok_and(|same| same))
        .partition(|record| is_of(record, path));
    match (here.is_empty(), elsewhere.is_empty()) {
        (false, _) => here,
        (true, false) => elsewhere,
        (true, true) => of_file(path, records),
    }
}

/// Removes records and tells each that is gone. One that cannot be removed is told on stderr and does not keep the others; the exit code
/// is that of the worst.
pub(crate) fn remove(
    folder: &Path,
    doomed: &[&CheckpointInfo],
    tell: impl Fn(&CheckpointInfo),
) -> ExitCode {
    let mut worst = ExitCode::Success;
    for record in doomed {
        match Checkpoints::open(folder).remove(&record.id) {
            Ok(()) => tell(record),
            Err(error) => {
                let failure = Failure::from(error);
                failure.print();
                worst = worst.worse(failure.exit);
            }
        }
    }
    worst
}

/// What stands where the file of an unfinished upload was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Now {
    /// The file as it was.
    Unchanged,
    /// Another, or the same with other content.
    Changed,
    /// None, or nobody knows where it was.
    Missing,
    /// Something that cannot be read.
    Unreadable,
    /// Nobody can tell: it was sent while it was written.
    Growing,
    /// Nothing: it came on standard input.
    Stream,
}

impl Now {
    /// Looks.
    pub(crate) fn of(record: &CheckpointInfo) -> Now {
        if record.is_open_ended() {
            return if record.path.is_some() { Now::Growing } else { Now::Stream };
        }
        match record.path.as_deref().map(|path| record.is_of(path)) {
            Some(Ok(true)) => Now::Unchanged,
            Some(Ok(false)) => Now::Changed,
            Some(Err(error)) if error.code() != NOT_FOUND => Now::Unreadable,
            Some(Err(_)) | None => Now::Missing,
        }
    }

    /// The word in `resume --list`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Now::Unchanged => "unchanged",
            Now::Changed => "changed",
            Now::Missing => "missing",
            Now::Unreadable => "unreadable",
            Now::Growing => "growing",
            Now::Stream => "stream",
        }
    }
}

/// The client's code for a file that is not there.
pub(crate) const NOT_FOUND: &str = "FileNotFound";

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
