//! A file of this machine: its identity, and the watch over it.
//!
//! The identity is length, modification time and sampled content, not the path: a file that was moved is the same source, a file that
//! was written to is another. The file stays open while its transfer has it and is looked at around each read.

use std::fs::{File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use vodferry_engine::{ErrorKind, Fault, FaultKind, Source as Identity};

use super::{changed, fault, sample};
use crate::Error;

/// An open file, and what it was when it was opened.
#[derive(Debug)]
pub(crate) struct RegularFile {
    file: File,
    path: PathBuf,
    modified: Option<SystemTime>,
    identity: Identity,
}

impl RegularFile {
    /// Opens and samples a file. Blocks.
    pub(crate) fn open(path: &Path) -> Result<RegularFile, Fault> {
        let shown = path.display();
        let io = |error| Error::io(format_args!("cannot read {shown}"), error).into_fault();
        regular(path, &std::fs::metadata(path).map_err(io)?)?;
        let file = File::open(path).map_err(io)?;
        let meta = file.metadata().map_err(io)?;
        let (length, modified) = (meta.len(), meta.modified().ok());
        let read = |at: u64, window: &mut [u8]| read_exact_at(&file, window, at);
        let fingerprint = sample(length, read).map_err(io)?;
        let modified_ms = modified.map_or(0, millis);
        let identity = Identity { length: Some(length), modified_ms, fingerprint };
        let source = RegularFile { file, path: path.to_owned(), modified, identity };
        source.check()?;
        Ok(source)
    }

    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether the file is what it was when it was opened, and none other stands in its place. Blocks, shortly.
    pub(crate) fn check(&self) -> Result<(), Fault> {
        let shown = self.path.display();
        let meta = self.file.metadata().map_err(|error| {
            Error::io(format_args!("cannot look at {shown}"), error).into_fault()
        })?;
        if self.is_same(&meta) && !swapped(&meta, &self.path) {
            Ok(())
        } else {
            Err(self.changed())
        }
    }

    /// Fills `buffer` from `offset`. Blocks.
    pub(crate) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Fault> {
        read_exact_at(&self.file, buffer, offset).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof && self.check().is_err() {
                return self.changed();
            }
            let shown = self.path.display();
            Error::io(format_args!("cannot read {shown} at byte {offset}"), error).into_fault()
        })
    }

    /// As [`read`](RegularFile::read), if the system has the bytes in memory; false: it does not, or does not tell.
    pub(crate) fn read_at_hand(&self, buffer: &mut [u8], offset: u64) -> bool {
        read_cached_at(&self.file, buffer, offset)
    }

    /// The fault for a file that is not what it was.
    pub(crate) fn changed(&self) -> Fault {
        changed(&self.path.display())
    }

    fn is_same(&self, meta: &Metadata) -> bool {
        Some(meta.len()) == self.identity.length && meta.modified().ok() == self.modified
    }
}

/// Refuses what is no regular file. Looked at before it is opened: opening a pipe would wait for its writer.
pub(super) fn regular(path: &Path, seen: &Metadata) -> Result<(), Fault> {
    let shown = path.display();
    if seen.is_dir() {
        return Err(refuse("IsADirectory", format!("{shown} is a directory")));
    }
    if !seen.is_file() {
        return Err(refuse("NotAFile", format!("{shown} is not a regular file")));
    }
    Ok(())
}

/// Whether another file stands where `meta`'s was. None at all is no swap: what is open stays whole.
#[cfg(unix)]
fn swapped(meta: &Metadata, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|now| (now.dev(), now.ino()) != (meta.dev(), meta.ino()))
}

/// Whether another file stands where `meta`'s was, as far as its dates tell.
#[cfg(not(unix))]
fn swapped(meta: &Metadata, path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|now| {
        now.len() != meta.len()
            || now.created().ok() != meta.created().ok()
            || now.modified().ok() != meta.modified().ok()
    })
}

#[cfg(target_os = "linux")]
fn read_cached_at(file: &File, buffer: &mut [u8], offset: u64) -> bool {
    use rustix::io::{ReadWriteFlags, preadv2};
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        let mut rest = [io::IoSliceMut::new(rest)];
        match preadv2(file, &mut rest, offset + filled as u64, ReadWriteFlags::NOWAIT) {
            Ok(0) | Err(_) => return false,
            Ok(read) => filled += read,
        }
    }
    true
}

#[cfg(not(target_os = "linux"))]
fn read_cached_at(_: &File, _: &mut [u8], _: u64) -> bool {
    false
}

#[cfg(unix)]
pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, offset)
}

#[cfg(windows)]
pub(super) fn read_exact_at(file: &File, mut buffer: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !buffer.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, buffer, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                buffer = buffer.get_mut(read..).unwrap_or_default();
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Milliseconds since 1970, before it as negative numbers.
fn millis(time: SystemTime) -> i64 {
    let of = |span: std::time::Duration| i64::try_from(span.as_millis()).unwrap_or(i64::MAX);
    time.duration_since(UNIX_EPOCH).map_or_else(|error| -of(error.duration()), of)
}

fn refuse(code: &str, message: String) -> Fault {
    fault(FaultKind::Fatal(ErrorKind::Io), code, message)
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    fn file(length: usize) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        let bytes: Vec<u8> = (0..length).map(|i| (i * 7 + i / 251) as u8).collect();
        file.write_all(&bytes).unwrap();
        file
    }

    #[test]
    fn what_cannot_be_uploaded_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let code = |path: &Path| RegularFile::open(path).unwrap_err().code;
        assert_eq!(code(dir.path()), "IsADirectory");
        assert_eq!(code(&dir.path().join("none")), "FileNotFound");
        #[cfg(unix)]
        assert_eq!(code(Path::new("/dev/null")), "NotAFile");
    }

    #[test]
    fn identity_is_content_not_path() {
        for length in [0, 1, 16_384, 1 << 20, (1 << 20) + 1, 3_000_000] {
            let a = file(length);
            let before = RegularFile::open(a.path()).unwrap().identity().clone();
            let moved = a.path().with_extension("moved");
            std::fs::rename(a.path(), &moved).unwrap();
            let after = RegularFile::open(&moved).unwrap().identity().clone();
            assert_eq!(before, after, "{length}");
            std::fs::rename(&moved, a.path()).unwrap();
        }
    }

    #[test]
    fn the_first_and_the_last_bytes_are_sampled() {
        let length = 5_000_001;
        let mut a = file(length);
        let before = RegularFile::open(a.path()).unwrap().identity().fingerprint.clone();
        for at in [0, length - 1] {
            a.as_file_mut().seek(io::SeekFrom::Start(at as u64)).unwrap();
            a.write_all(&[0xEE]).unwrap();
            let after = RegularFile::open(a.path()).unwrap().identity().fingerprint.clone();
            assert_ne!(before, after, "{at}");
        }
    }

    #[test]
    fn a_file_cut_short_or_written_to_has_changed() {
        let a = file(1000);
        let source = RegularFile::open(a.path()).unwrap();
        let mut buffer = vec![0; 100];
        source.read(&mut buffer, 900).unwrap();
        a.as_file().set_len(950).unwrap();
        assert_eq!(source.read(&mut buffer, 900).unwrap_err().kind, FaultKind::SourceChanged);
        assert_eq!(source.check().unwrap_err().kind, FaultKind::SourceChanged);
    }

    #[test]
    fn a_file_swapped_for_another_has_changed_a_moved_one_has_not() {
        let dir = tempfile::tempdir().unwrap();
        let [path, other, moved] = ["a", "b", "c"].map(|name| dir.path().join(name));
        std::fs::write(&path, "one").unwrap();
        let source = RegularFile::open(&path).unwrap();
        std::fs::rename(&path, &moved).unwrap();
        source.check().unwrap();
        std::fs::write(&other, "two").unwrap();
        std::fs::rename(&other, &path).unwrap();
        assert_eq!(source.check().unwrap_err().kind, FaultKind::SourceChanged);
    }
}
