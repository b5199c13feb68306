//! Files that were not there before, hidden, in folders that others write into too.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};

/// How many names are tried: that even the second is taken means that something is wrong with the folder.
const TRIES: u32 = 16;

/// Creates one in `folder`; `kind` is the end of its name.
pub(crate) fn create(folder: &Path, kind: &str) -> io::Result<(PathBuf, File)> {
    create_named(folder, || any_name(kind))
}

/// A file that was not there before, under the first of these names that is free.
fn create_named(folder: &Path, mut name: impl FnMut() -> String) -> io::Result<(PathBuf, File)> {
    let mut tries = 0;
    loop {
        let path = folder.join(name());
        tries += 1;
        match File::create_new(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && tries < TRIES => {}
            Err(error) => return Err(error),
        }
    }
}

/// A hidden name that nobody can guess: a process id is not enough where machines or containers share the folder. Short, and not made
/// of the final name, which may be as long as names can be.
fn any_name(kind: &str) -> String {
    format!(".vodferry-{:016x}.{kind}", RandomState::new().build_hasher().finish())
}

#[cfg(all(test, unix))]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        std::os::unix::fs::symlink(&victim, folder.path().join("taken")).unwrap();
        let mut names = ["taken", "taken", "free"].into_iter();
        let (path, _) = create_named(folder.path(), || names.next().unwrap().to_owned()).unwrap();
        assert_eq!(path, folder.path().join("free"));
        assert_eq!(fs::read(&victim).unwrap(), b"mine");
        let none = create_named(folder.path(), || "taken".to_owned()).unwrap_err();
        assert_eq!(none.kind(), io::ErrorKind::AlreadyExists);
    }
}
