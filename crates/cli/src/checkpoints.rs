//! `vodferry checkpoints`: what unfinished uploads go on from, seen and cleared without a word to the server.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use vodferry::{CheckpointInfo, Checkpoints};

use crate::cli::{CheckpointsArgs, CheckpointsVerb, RecordArgs};
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::settings::Settings;
use crate::{listing, records, transfer};

/// The least of an id that names a checkpoint; shorter it could as well be a file's name.
const LEAST_ID: usize = 6;

/// Lists, shows, drops or exports.
pub(crate) fn run(args: &CheckpointsArgs, settings: &Settings) -> Result<ExitCode, Failure> {
    match &args.verb {
        CheckpointsVerb::Ls { records, json } => {
            let all = Folder::open(records, settings)?.all;
            all.iter().for_each(|record| listing::row(record, *json));
            Ok(ExitCode::Success)
        }
        CheckpointsVerb::Show { which, records, json } => {
            let folder = Folder::open(records, settings)?;
            for record in folder.chosen(which)? {
                listing::show(record, *json);
            }
            Ok(ExitCode::Success)
        }
        CheckpointsVerb::Rm { which, older_than, records, json } => {
            let folder = Folder::open(records, settings)?;
            let doomed = match older_than {
                Some(age) => folder.older_than(*age),
                None if which.is_empty() => {
                    return Err(Failure::usage("no checkpoint named").hint(
                        "name ids or files, or --older-than; `vodferry checkpoints ls` shows them",
                    ));
                }
                None => folder.chosen(which)?,
            };
            folder.remove(doomed, *json)
        }
    }
}

/// The record directory and what is in it.
struct Folder {
    path: Option<PathBuf>,
    all: Vec<CheckpointInfo>,
}

impl Folder {
    fn open(flags: &RecordArgs, settings: &Settings) -> Result<Folder, Failure> {
        let path = transfer::record_dir(flags, settings);
        let all = match &path {
            Some(path) => Checkpoints::open(path).list()?,
            None => Vec::new(),
        };
        Ok(Folder { path, all })
    }

    /// Those named, each once.
    fn chosen(&self, which: &[PathBuf]) -> Result<Vec<&CheckpointInfo>, Failure> {
        let mut chosen: Vec<&CheckpointInfo> = Vec::new();
        for name in which {
            for record in self.named(name)? {
                if !chosen.iter().any(|one| one.id == record.id) {
                    chosen.push(record);
                }
            }
        }
        Ok(chosen)
    }

    /// By an id, or by the file.
    fn named(&self, name: &Path) -> Result<Vec<&CheckpointInfo>, Failure> {
        if let Some(id) = as_id(name) {
            let mut of = self.all.iter().filter(|record| record.id.starts_with(&id));
            if let Some(first) = of.next() {
                return match of.next() {
                    None => Ok(vec![first]),
                    Some(_) => {
                        Err(Failure::usage(format!("more than one checkpoint begins with {id}"))
                            .hint("name more of the id"))
                    }
                };
            }
        }
        let of = records::of_file(name, &self.all);
        if of.is_empty() {
            let folder = self.path.as_deref().unwrap_or(Path::new("memory")).display();
            let message = format!("no checkpoint of {} in {folder}", name.display());
            return Err(Failure::new(ExitCode::File, message)
                .hint("`vodferry checkpoints ls` shows those there are"));
        }
        Ok(of)
    }

    fn older_than(&self, age: Duration) -> Vec<&CheckpointInfo> {
        let before = SystemTime::now().checked_sub(age);
        let old = |record: &&CheckpointInfo| before.is_some_and(|before| record.modified < before);
        self.all.iter().filter(old).collect()
    }

    /// Removes, and prints what is gone. One that cannot be removed does not keep the others.
    fn remove(&self, doomed: Vec<&CheckpointInfo>, json: bool) -> Result<ExitCode, Failure> {
        let Some(path) = &self.path else { return Ok(ExitCode::Success) };
        Ok(records::remove(path, &doomed, |record| listing::row(record, json)))
    }
}

/// A word that may be (the beginning of) an id.
fn as_id(name: &Path) -> Option<String> {
    let text = name.to_str()?;
    let hex = text.len() >= LEAST_ID && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    hex.then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_could_be_an_id_is_one() {
        assert_eq!(as_id(Path::new("ABCDEF0")).as_deref(), Some("abcdef0"));
        for name in ["abc", "film.mp4", "./abcdef", "abcdefg"] {
            assert_eq!(as_id(Path::new(name)), None, "{name}");
        }
    }
}
