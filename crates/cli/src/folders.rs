//! The files below a folder, in the order of their names, so that two runs see the same list.
//!
//! Symbolic links are followed. What cannot be read is an error before anything is sent: a folder of which a part was passed over would
//! look as if it had been uploaded. What is excluded is not looked at, so that it can be left out.

use std::path::{Component, Path, PathBuf};

use globset::{Glob, GlobSet, GlobSetBuilder};
use walkdir::WalkDir;

use crate::cli::SelectArgs;
use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::output;

/// A file of the command line, or below a folder of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    /// The way to it from the folder that was named; `None` where the file itself was.
    pub(crate) below: Option<PathBuf>,
}

/// Puts the files below each folder in its place.
pub(crate) fn expand(named: &[PathBuf], select: &SelectArgs) -> Result<Vec<Found>, Failure> {
    let patterns = Patterns::of(select)?;
    let mut found = Vec::with_capacity(named.len());
    for path in named {
        match path.is_dir() && path.as_os_str() != "-" {
            false => found.push(Found { path: path.clone(), below: None }),
            true if select.recursive => walk(path, &patterns, &mut found)?,
            true => {
                // It fails as a file that cannot be read, and the others arrive.
                let hint = "--recursive uploads the files in it";
                output::say(&format!("{} is a folder: {hint}", output::name(path)));
                found.push(Found { path: path.clone(), below: None });
            }
        }
    }
    Ok(found)
}

fn walk(folder: &Path, patterns: &Patterns, found: &mut Vec<Found>) -> Result<(), Failure> {
    let below = |path: &Path| path.strip_prefix(folder).unwrap_or(path).to_path_buf();
    let entries = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
    let kept =
        |entry: &walkdir::DirEntry| entry.depth() == 0 || !patterns.exclude(&below(entry.path()));
    for entry in entries.filter_entry(kept) {
        let entry = match entry {
            Ok(entry) => entry,
            // A link that leads nowhere comes as an error before anyone is asked whether it is wanted.
            Err(error) if error.path().is_some_and(|path| patterns.exclude(&below(path))) => {
                continue;
            }
            Err(error) => return Err(unreadable(folder, &error)),
        };
        if entry.file_type().is_dir() {
            continue;
        }
        let below = below(entry.path());
        if !patterns.include(&below) {
            continue;
        }
        if !entry.file_type().is_file() {
            output::say(&format!("passed over: {} is no regular file", output::name(entry.path())));
            continue;
        }
        found.push(Found { path: entry.into_path(), below: Some(below) });
    }
    Ok(())
}

fn unreadable(folder: &Path, error: &walkdir::Error) -> Failure {
    let path = error.path().unwrap_or(folder).display();
    let failure = match (error.loop_ancestor(), error.io_error()) {
        (Some(_), _) => {
            Failure::new(ExitCode::File, format!("{path} is a link to a folder that it is in"))
        }
        (None, Some(error)) => {
            Failure::new(ExitCode::File, format!("cannot look at {path}: {error}"))
        }
        (None, None) => Failure::new(ExitCode::File, format!("cannot look at {path}")),
    };
    failure.hint("--exclude leaves it out; nothing was sent")
}

/// What is wanted of a folder. A pattern with a `/` in it is about the way from the folder, another one about names.
struct Patterns {
    include: Option<Two>,
    exclude: Two,
}

struct Two {
    names: GlobSet,
    ways: GlobSet,
}

impl Patterns {
    fn of(select: &SelectArgs) -> Result<Patterns, Failure> {
        let include = match select.include.is_empty() {
            true => None,
            false => Some(Two::of(&select.include)?),
        };
        Ok(Patterns { include, exclude: Two::of(&select.exclude)? })
    }

    fn include(&self, below: &Path) -> bool {
        self.include.as_ref().is_none_or(|two| two.match_any(below))
    }

    fn exclude(&self, below: &Path) -> bool {
        self.exclude.match_any(below)
    }
}

impl Two {
    fn of(globs: &[Glob]) -> Result<Two, Failure> {
        let set = |ways: bool| {
            let mut set = GlobSetBuilder::new();
            for glob in globs.iter().filter(|glob| glob.glob().contains('/') == ways) {
                set.add(glob.clone());
            }
            set.build().map_err(|error| Failure::usage(format!("too much of patterns: {error}")))
        };
        Ok(Two { names: set(false)?, ways: set(true)? })
    }

    fn match_any(&self, below: &Path) -> bool {
        below.file_name().is_some_and(|name| self.names.is_match(name)) || self.ways.is_match(below)
    }
}

/// A way as it stands in a key: with `/` in between, whatever the system has there.
pub(crate) fn key_of(below: &Path) -> String {
    let names = below.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_string_lossy()),
        _ => None,
    });
    names.collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::values::parse_glob;

    fn select(include: &[&str], exclude: &[&str]) -> SelectArgs {
        let globs = |texts: &[&str]| texts.iter().map(|text| parse_glob(text).unwrap()).collect();
        SelectArgs { recursive: true, include: globs(include), exclude: globs(exclude) }
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.mp4", "a/z.mp4", "a/B.txt", "a/raw/1.mp4", ".hidden/x.mp4", "a b/c%.mp4"] {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, name).unwrap();
        }
        folder
    }

    fn ways(folder: &Path, include: &[&str], exclude: &[&str]) -> Vec<String> {
        let found = expand(&[folder.to_owned()], &select(include, exclude)).unwrap();
        found.iter().map(|found| key_of(found.below.as_ref().unwrap())).collect()
    }

    #[test]
    fn files_come_in_the_order_of_their_names() {
        let folder = tree();
        let all = [".hidden/x.mp4", "a/B.txt", "a/raw/1.mp4", "a/z.mp4", "a b/c%.mp4", "b.mp4"];
        assert_eq!(ways(folder.path(), &[], &[]), all);
    }

    #[test]
    fn patterns_choose() {
        let folder = tree();
        let ways = |include: &[&str], exclude: &[&str]| ways(folder.path(), include, exclude);
        assert_eq!(ways(&["*.txt"], &[]), ["a/B.txt"]);
        assert_eq!(ways(&["a/*.mp4", "b.*"], &[]), ["a/z.mp4", "b.mp4"]);
        assert_eq!(ways(&["*.mp4"], &[".*", "raw", "b.mp4"]), ["a/z.mp4", "a b/c%.mp4"]);
        assert_eq!(ways(&[], &["a/**", "a b/", ".hidden"]), ["b.mp4"]);
        assert!(ways(&["*.avi"], &[]).is_empty());
    }

    #[test]
    fn a_folder_needs_the_flag() {
        let folder = tree();
        let select = SelectArgs { recursive: false, include: vec![], exclude: vec![] };
        let itself = folder.path().to_owned();
        let found = expand(std::slice::from_ref(&itself), &select).unwrap();
        assert_eq!(found, [Found { path: itself, below: None }]);
        let file = folder.path().join("b.mp4");
        let found = expand(std::slice::from_ref(&file), &select).unwrap();
        assert_eq!(found, [Found { path: file, below: None }]);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_and_those_that_lead_nowhere_are_told() {
        use std::os::unix::fs::symlink;
        let folder = tree();
        let at = |name: &str| folder.path().join(name);
        symlink("../b.mp4", at("a/link.mp4")).unwrap();
        assert!(ways(folder.path(), &["link.mp4"], &[]) == ["a/link.mp4"]);
        for (target, told) in [("nowhere", "cannot look at"), ("..", "folder that it is in")] {
            symlink(target, at("a/odd")).unwrap();
            let refused = expand(&[folder.path().to_owned()], &select(&[], &[])).unwrap_err();
            assert_eq!(refused.exit, ExitCode::File);
            assert!(refused.message.contains(told), "{refused}");
            assert_eq!(ways(folder.path(), &["z*"], &["odd"]), ["a/z.mp4"]);
            std::fs::remove_file(at("a/odd")).unwrap();
        }
    }
}
