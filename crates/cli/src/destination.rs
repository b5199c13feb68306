//! Where a download goes: to a file, whole or not at all, or to stdout as it comes.
//!
//! For a file, bytes go to a temporary name beside it, are verified, synced and only then named. That name is new and nobody else's: two
//! downloads to one place do not write into each other. What is no regular file is never replaced; a symbolic link stays, and the file
//! that it names is replaced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::error::Failure;
use crate::exit_code::ExitCode;
use crate::{fresh, output};

/// A place for the bytes of one object.
pub(crate) enum Destination {
    /// A file under its temporary name.
    Draft(Draft),
    /// Whoever reads stdout: the exit code tells whether what was read is right.
    Stdout,
}

impl Destination {
    /// The file at `path`; one that is there already only with `force`.
    pub(crate) fn file(path: &Path, force: bool) -> Result<Destination, Failure> {
        Draft::create(path, force).map(Destination::Draft)
    }

    /// Stdout.
    pub(crate) fn stdout() -> Destination {
        Destination::Stdout
    }

    /// The next bytes.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        match self {
            Destination::Draft(draft) => {
                let written = draft.file.write_all(bytes);
                written.map_err(|error| Failure::file("write", &draft.target, &error))
            }
            Destination::Stdout => {
                let mut stdout = io::stdout().lock();
                let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
                written.map_err(|error| output::unwritten(&error))
            }
        }
    }

    /// All bytes came and are right: a file gets its name.
    pub(crate) fn publish(self) -> Result<(), Failure> {
        match self {
            Destination::Draft(draft) => draft.publish(),
            Destination::Stdout => Ok(()),
        }
    }
}

/// A file under its temporary name; deleted unless it was published.
pub(crate) struct Draft {
    file: File,
    path: PathBuf,
    target: PathBuf,
    force: bool,
    published: bool,
}

impl Draft {
    fn create(path: &Path, force: bool) -> Result<Draft, Failure> {
        let target = real(path, force)?;
        let name = target.file_name().ok_or_else(|| refuse(path, "has no file name"))?;
        // Of `new/` the name is `new` to the library, and a folder to the system: told before anything is downloaded.
        if !target.as_os_str().as_encoded_bytes().ends_with(name.as_encoded_bytes()) {
            return Err(refuse(path, "names a folder").hint("name the file inside it"));
        }
        let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        if !folder.is_dir() {
            return Err(refuse(folder, "is no folder").hint("make it, or name another place"));
        }
        let created = fresh::create(folder, "part");
        let (path, file) = created.map_err(|error| Failure::file("create", &target, &error))?;
        Ok(Draft { file, path, target, force, published: false })
    }

    fn publish(mut self) -> Result<(), Failure> {
        let target = &self.target;
        self.file.sync_all().map_err(|error| Failure::file("write", target, &error))?;
        // Something may have come there meanwhile.
        real(target, self.force)?;
        fs::rename(&self.path, target).map_err(|error| Failure::file("name", target, &error))?;
        self.published = true;
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if !self.published {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// The path at which a rename leaves links alone and replaces nothing but a regular file, and that only with `force`.
fn real(path: &Path, force: bool) -> Result<PathBuf, Failure> {
    let looked = |error: &io::Error| Failure::file("look at", path, error);
    let is_link = match path.symlink_metadata() {
        Ok(itself) => itself.is_symlink(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path.to_owned()),
        Err(error) => return Err(looked(&error)),
    };
    let meta = match path.metadata() {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(refuse(path, "is a symbolic link to nothing").hint("name its target"));
        }
        Err(error) => return Err(looked(&error)),
    };
    if meta.is_dir() {
        return Err(refuse(path, "is a folder").hint("name the file inside it"));
    }
    if !meta.is_file() {
        return Err(refuse(path, "is not a regular file").hint("`-o -` writes to stdout"));
    }
    if !force {
        return Err(refuse(path, "is already there").hint("add --force to replace it"));
    }
    match is_link {
        true => path.canonicalize().map_err(|error| looked(&error)),
        false => Ok(path.to_owned()),
    }
}

fn refuse(path: &Path, what: &str) -> Failure {
    Failure::new(ExitCode::File, format!("{} {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fetch(path: &Path, force: bool) -> Result<(), Failure> {
        let mut destination = Destination::file(path, force)?;
        destination.write(b"new")?;
        destination.publish()
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.mp4");
        drop(Destination::file(&target, false).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        fetch(&target, false).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(fetch(&target, false).unwrap_err().hint.unwrap().contains("--force"));
        fetch(&target, true).unwrap();
    }

    #[test]
    fn a_file_that_came_meanwhile_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.mp4");
        let destination = Destination::file(&target, false).unwrap();
        fs::write(&target, "other").unwrap();
        destination.publish().unwrap_err();
        assert_eq!(fs::read(&target).unwrap(), b"other");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_folder_is_refused_without_talk_of_force() {
        let folder = tempfile::tempdir().unwrap();
        for force in [false, true] {
            let refused = fetch(folder.path(), force).unwrap_err();
            assert_eq!(refused.exit, ExitCode::File);
            assert!(!refused.hint.unwrap().contains("--force"));
        }
    }

    #[test]
    fn two_drafts_of_one_file_do_not_touch_each_other() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.mp4");
        let [mut one, mut other] = [(); 2].map(|()| Destination::file(&target, true).unwrap());
        one.write(b"all of ").unwrap();
        other.write(b"other").unwrap();
        drop(other);
        one.write(b"one").unwrap();
        one.publish().unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"all of one");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_name_may_be_as_long_as_names_can_be() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("n".repeat(255));
        fetch(&target, false).unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
    }

    #[test]
    fn a_folder_that_is_not_there_is_told_before_anything_comes() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("file"), "").unwrap();
        for (path, told) in [
            ("no/a.mp4", "no is no folder"),
            ("no/", "names a folder"),
            ("no/.", "names a folder"),
            ("file/a.mp4", "cannot look at"),
        ] {
            let refused = Destination::file(&folder.path().join(path), true).err().unwrap();
            assert_eq!(refused.exit, ExitCode::File);
            assert!(refused.message.contains(told), "{refused}");
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_stay_and_what_is_no_file_is_left_alone() {
        use std::os::unix::fs::{FileTypeExt, symlink};
        let folder = tempfile::tempdir().unwrap();
        let [pipe, link, inner] = ["pipe", "link", "inner/a.mp4"].map(|n| folder.path().join(n));
        fs::create_dir(folder.path().join("inner")).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let refused = fetch(&pipe, true).unwrap_err();
        assert!(refused.message.contains("not a regular file"), "{refused}");
        assert!(pipe.symlink_metadata().unwrap().file_type().is_fifo());
        fetch(Path::new("/dev/null"), true).unwrap_err();

        symlink("inner/a.mp4", &link).unwrap();
        assert!(fetch(&link, true).unwrap_err().message.contains("link to nothing"));
        fs::write(&inner, "old").unwrap();
        assert!(fetch(&link, false).is_err());
        fetch(&link, true).unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(fs::read(&inner).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path().join("inner")).unwrap().count(), 1);
    }
}
