//! The record directory: can checkpoints be written there, does a lock keep a second process out, is there room.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::Path;

use super::report::Report;
use crate::exit_code::ExitCode;
use crate::{fresh, units};

const CHECK: &str = "record directory";
/// A checkpoint takes about 100 bytes per part; less than this and other things fail first.
const LITTLE_SPACE: u64 = 16 << 20;

pub(crate) fn check(folder: Option<&Path>, report: &mut Report) {
    let Some(folder) = folder else {
        let text = "there is no home to keep checkpoints in: nothing survives this process";
        return report.warn(CHECK, text, Some("--record-dir names a folder"));
    };
    let shown = folder.display();
    match try_it(folder) {
        Ok(true) => {}
        Ok(false) => {
            let text = format!("{shown} is writable, but locks do not work there");
            let fix = "two processes could disturb each other: use a local disk, by --record-dir";
            return report.warn(CHECK, &text, Some(fix));
        }
        Err(error) => {
            let text = format!("{shown} cannot be written: {error}");
            let fix = "uploads work, but cannot be resumed: name another folder by --record-dir";
            return report.fail(CHECK, &text, ExitCode::File, Some(fix));
        }
    }
    match fs4::available_space(nearest(folder)) {
        Ok(free) if free < LITTLE_SPACE => {
            let text = format!("{shown} has {} left", units::size(free));
            report.warn(CHECK, &text, Some("make room: checkpoints need a little"));
        }
        Ok(free) => report.ok(CHECK, &format!("{shown} is writable, {} free", units::size(free))),
        Err(_) => report.ok(CHECK, &format!("{shown} is writable")),
    }
}

/// Writes a file as a checkpoint is written, and looks whether its lock holds. Folders that were not there are gone again afterwards.
fn try_it(folder: &Path) -> io::Result<bool> {
    let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
    std::fs::create_dir_all(folder)?;
    // Under a name of its own: what a killed run left is no obstacle.
    let tried = fresh::create(folder, "doctor").and_then(|(path, file)| {
        let tried = try_file(&path, file);
        let _ = std::fs::remove_file(&path);
        tried
    });
    for folder in missing {
        let _ = std::fs::remove_dir(folder);
    }
    tried
}

fn try_file(path: &Path, mut file: File) -> io::Result<bool> {
    file.write_all(b"written by vodferry doctor\n")?;
    file.sync_data()?;
    if file.try_lock().is_err() {
        return Ok(false);
    }
    Ok(matches!(File::open(path)?.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The folder, or what of the way to it exists.
fn nearest(folder: &Path) -> &Path {
    folder.ancestors().find(|path| path.exists()).unwrap_or(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_stays_behind() {
        let folder = tempfile::tempdir().unwrap();
        assert!(try_it(&folder.path().join("a/b")).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(try_it(folder.path()).unwrap());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        // As a run that was killed left it, before this one got the same process id.
        let left = folder.path().join(format!(".doctor-{}", std::process::id()));
        std::fs::write(&left, "").unwrap();
        assert!(try_it(folder.path()).unwrap());
        assert!(left.exists());
        std::fs::write(folder.path().join("taken"), "").unwrap();
        assert!(try_it(&folder.path().join("taken")).is_err());
    }
}
