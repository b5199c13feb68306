//! One checkpoint on disk: an append-only text file, a line per record, each with its checksum in front.
//!
//! ```text
//! 5c8cbf3fdb1f4d7a begin 1 length=2097152 …
//! 03a7e0f1c99d2b64 path %2Ffilms%2Fa.mp4
//! 9f20…            part 1 1048576 5D41402ABC4B2A76B9719D911017C592 11051210869376104954
//! ```
//!
//! A line is `crc64-hex SP text LF`. The records are the engine's; `path` lines are ours, a hint for people. A tail that is torn or
//! damaged is cut at the last whole line. A file whose first line is not ours is left alone. While it is open it is locked; the
//! kernel drops the lock of a dead process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use crc_fast::{CrcAlgorithm, checksum};
use vodferry_engine::Record;

use crate::hint::{path_of, word_of};

/// Larger than any journal: 10,000 parts, each recorded a few times.
const MOST: u64 = 16 << 20;
const PATH: &str = "path ";

/// An open, locked journal.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    /// Where the next line goes.
    end: u64,
    /// Why nothing can be appended, where the disk lets it be read alone.
    sealed: Option<io::ErrorKind>,
    /// The folder does not know the file durably yet.
    fresh: bool,
    /// Its upload is over, whether or not the record that says so could be written.
    ended: bool,
}

/// Why a journal cannot be used.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// Another process, or another transfer of this one, holds it.
    Busy,
    /// It is not one of ours, or of a version not known here.
    Foreign,
    /// The disk refuses.
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Refusal {
        Refusal::Io(error)
    }
}

impl Journal {
    /// Opens or makes the journal at `path`, cuts its tail where damaged, and gives what it holds. Its folder must exist. One on a
    /// disk that is read-only can be read, and takes nothing.
    pub(crate) fn open(path: &Path) -> Result<(Journal, Contents), Refusal> {
        let mut options = OpenOptions::new();
        // For writing before it is read, so that who reads it is who may cut it.
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(path) {
            Ok(file) => Journal::of(file, path, None),
            // What it holds is worth going on from all the same.
            Err(error) if is_sealing(error.kind()) && path.exists() => {
                let file = File::open(path).map_err(|_| io::Error::from(error.kind()))?;
                Journal::of(file, path, Some(error.kind()))
            }
            Err(error) => Err(Refusal::Io(error)),
        }
    }

    fn of(
        mut file: File,
        path: &Path,
        sealed: Option<io::ErrorKind>,
    ) -> Result<(Journal, Contents), Refusal> {
        if !file.metadata()?.is_file() {
            // A pipe in its place would never end.
            return Err(Refusal::Foreign);
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Refusal::Busy),
            Err(TryLockError::Error(error)) => return Err(Refusal::Io(error)),
        }
        if !still_there(&file, path)? {
            // Its last owner deleted it between our opening and locking it.
            drop(file);
            return Journal::open(path);
        }
        let mut bytes = Vec::new();
        (&mut file).take(MOST + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST {
            return Err(Refusal::Foreign);
        }
        let contents = Contents::read(&bytes).ok_or(Refusal::Foreign)?;
        // What has ended is as good as deleted: its process died before it could.
        let over = contents.records.last() == Some(&Record::End);
        let (contents, end) = match over {
            true => (Contents::default(), 0),
            false => {
                let end = contents.length;
                (contents, end)
            }
        };
        if end < bytes.len() as u64 && sealed.is_none() {
            file.set_len(end)?;
        }
        let (path, fresh) = (path.to_owned(), end == 0);
        let journal = Journal { file, path, end, sealed, fresh, ended: false };
        Ok((journal, contents))
    }

    /// Appends a record; after a Begin a hint where the file is. `sync`: it survives a power loss.
    ///
    /// A record that could not be written whole leaves no trace, so that the next one can be. An End that could not be still lets
    /// [`close`](Journal::close) delete the file: that needs no room.
    pub(crate) fn append(
        &mut self,
        record: &Record,
        hint: Option<&Path>,
        sync: bool,
    ) -> io::Result<()> {
        let ends = matches!(record, Record::End);
        self.ended |= ends;
        if let Some(why) = self.sealed {
            return Err(why.into());
        }
        let mut text = frame(&record.to_line());
        if let (Record::Begin(_), Some(hint)) = (record, hint) {
            text.push_str(&frame(&format!("{PATH}{}", word_of(hint))));
        }
        let written = self
            .file
            .seek(SeekFrom::Start(self.end))
            .and_then(|_| self.file.write_all(text.as_bytes()));
        if let Err(error) = written {
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.end += text.len() as u64;
        self.ended = ends;
        if sync {
            self.file.sync_data()?;
            if self.fresh {
                sync_folder(&self.path)?;
                self.fresh = false;
            }
        }
        Ok(())
    }

    /// Lets go of it: deleted when its upload is over, or when nothing was ever written to it.
    pub(crate) fn close(self) {
        if self.ended || self.end == 0 {
            // Deleted while locked: who opens it now sees that it is gone. What cannot be deleted is found ended.
            let _ = std::fs::remove_file(&self.path);
        }
    }

    /// Deletes it, whatever it holds.
    pub(crate) fn delete(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// What a journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Where the file was.
    pub(crate) path: Option<PathBuf>,
    /// The engine's records, in order.
    pub(crate) records: Vec<Record>,
    /// Bytes that are whole lines.
    length: u64,
}

impl Contents {
    /// Reads whole lines until the first that is not; `None` when that is the very first, or one of them says what nobody here
    /// understands.
    pub(crate) fn read(bytes: &[u8]) -> Option<Contents> {
        let mut contents = Contents::default();
        for raw in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = unframe(raw) else {
                // A first line cut short is a crash of ours while it was written: as good as none.
                let torn = contents.length == 0 && !is_begun_frame(raw);
                return (!torn).then_some(contents);
            };
            match line.strip_prefix(PATH) {
                Some(path) if !contents.records.is_empty() => {
                    contents.path = path_of(path);
                }
                _ => match Record::parse(line).ok()? {
                    Record::Begin(begin) => contents.records = vec![Record::Begin(begin)],
                    _ if contents.records.is_empty() => return None,
                    record => contents.records.push(record),
                },
            }
            contents.length += raw.len() as u64;
        }
        Some(contents)
    }
}

/// Whether a file that cannot be opened for writing for this reason may still be read.
fn is_sealing(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied)
}

/// A line with its checksum and end.
fn frame(line: &str) -> String {
    format!("{:016x} {line}\n", checksum(CrcAlgorithm::Crc64Xz, line.as_bytes()))
}

/// The text of a whole line.
fn unframe(raw: &[u8]) -> Option<&str> {
    let raw = std::str::from_utf8(raw.strip_suffix(b"\n")?).ok()?;
    let (sum, line) = raw.split_at_checked(16)?;
    let line = line.strip_prefix(' ')?;
    let same = u64::from_str_radix(sum, 16) == Ok(checksum(CrcAlgorithm::Crc64Xz, line.as_bytes()));
    (same && !sum.starts_with('+')).then_some(line)
}

/// Whether these bytes, without a line end, could be the beginning of a Begin line of ours.
fn is_begun_frame(raw: &[u8]) -> bool {
    let (sum, line) = raw.split_at(raw.len().min(16));
    let hex = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
    let begin = b" begin 1 ";
    let begun = line.len().min(begin.len());
    !raw.ends_with(b"\n") && sum.iter().all(hex) && line.get(..begun) == begin.get(..begun)
}

#[cfg(unix)]
fn still_there(file: &File, path: &Path) -> io::Result<bool> {
    use std::os::unix::fs::MetadataExt;
    let ours = file.metadata()?;
    match std::fs::metadata(path) {
        Ok(there) => Ok((there.dev(), there.ino()) == (ours.dev(), ours.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(not(unix))]
fn still_there(_file: &File, path: &Path) -> io::Result<bool> {
    path.try_exists()
}

/// Makes the name of `path` survive a power loss, where the system has a way to.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    #[cfg(not(unix))]
    let _ = path;
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vodferry_engine::{Begin, PartInfo, Source, Target};

    use super::*;

    fn begin() -> Record {
        Record::Begin(Begin {
            source: Source { length: Some(3_000_000), modified_ms: 7, fingerprint: "ab12".into() },
            target: Target {
                endpoint: "http://127.0.0.1:1".into(),
                bucket: "b".into(),
                key: "测 试%.mp4".into(),
            },
            video_id: Some("v1".into()),
            part_size: 1 << 20,
            grows_to: None,
            upload_id: "u/1".into(),
        })
    }

    fn part(number: u32) -> Record {
        let etag = format!("E{number}");
        Record::Part(PartInfo { number, length: 1 << 20, etag, crc64: Some(u64::from(number)) })
    }

    fn written() -> (tempfile::TempDir, PathBuf, Vec<Record>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let records = vec![begin(), part(1), part(2), part(3)];
        let (mut journal, contents) = Journal::open(&path).unwrap();
        assert_eq!(contents, Contents::default());
        for record in &records {
            journal.append(record, Some(Path::new("/films/a b.mp4")), true).unwrap();
        }
        journal.close();
        (dir, path, records)
    }

    /// As the versions wrote them that knew of no source without a length.
    #[test]
    fn a_journal_of_an_earlier_version_is_read() {
        let text = concat!(
            "4cdcba348e9061c3 begin 1 length=3000000 modified=7 fingerprint=ab12 part_size=1048576 ",
            "endpoint=http://127.0.0.1:1 bucket=b key=k.mp4 video=v1 upload_id=u/1\n",
            "970364ffbadc2acb path %2Ffilms%2Fa.mp4\n",
            "5bf2c6b210c14c38 part 1 1048576 E1 1\n",
        );
        let contents = Contents::read(text.as_bytes()).unwrap();
        assert_eq!(contents.length, text.len() as u64);
        assert_eq!(contents.path.as_deref(), Some(Path::new("/films/a.mp4")));
        let Some(Record::Begin(read)) = contents.records.first() else { panic!("no Begin") };
        assert_eq!((read.source.length, read.grows_to), (Some(3_000_000), None));
        assert_eq!(contents.records.get(1), Some(&part(1)));
        // And what has a length is written as it was: an earlier version reads it.
        let line = text.split('\n').next().unwrap_or_default();
        assert_eq!(frame(&Record::Begin(read.clone()).to_line()).trim_end(), line);
    }

    #[test]
    fn what_is_appended_is_read_back() {
        let (_dir, path, mut records) = written();
        let (mut journal, contents) = Journal::open(&path).unwrap();
        assert_eq!(contents.records, records);
        assert_eq!(contents.path.as_deref(), Some(Path::new("/films/a b.mp4")));
        journal.append(&part(4), Some(Path::new("x")), false).unwrap();
        drop(journal);
        records.push(part(4));
        assert_eq!(Journal::open(&path).unwrap().1.records, records);
    }

    #[test]
    fn one_owner_at_a_time() {
        let (_dir, path, _) = written();
        let held = Journal::open(&path).unwrap();
        assert!(matches!(Journal::open(&path), Err(Refusal::Busy)));
        drop(held);
        assert!(Journal::open(&path).is_ok());
    }

    #[test]
    fn a_journal_of_an_older_version_is_read() {
        // As it was written before paths were kept byte by byte.
        let old = frame(&begin().to_line()) + &frame("path %2Ffilms%2F%C3%A4%20b%EF%BF%BD.mp4");
        let contents = Contents::read(old.as_bytes()).unwrap();
        assert_eq!(contents.path.as_deref(), Some(Path::new("/films/ä b\u{fffd}.mp4")));
        let odd = frame(&begin().to_line()) + &frame("path %zz") + &frame(&part(1).to_line());
        let contents = Contents::read(odd.as_bytes()).unwrap();
        assert_eq!((contents.path, contents.records), (None, vec![begin(), part(1)]));
    }

    #[test]
    fn what_has_ended_is_deleted_or_void() {
        let (_dir, path, _) = written();
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&Record::End, Some(Path::new("x")), true).unwrap();
        drop(journal); // As a crash before the deletion.
        let (mut journal, contents) = Journal::open(&path).unwrap();
        assert_eq!(contents, Contents::default());
        journal.append(&begin(), Some(Path::new("x")), true).unwrap();
        journal.append(&Record::End, Some(Path::new("x")), true).unwrap();
        journal.close();
        assert!(!path.exists());
    }

    /// A full disk: what stays would send a file again that has long arrived.
    #[test]
    fn what_has_ended_is_deleted_though_that_cannot_be_written() {
        for sealed in [None, Some(io::ErrorKind::PermissionDenied)] {
            let (_dir, path, _) = written();
            // A handle that takes no bytes.
            let (mut journal, _) = Journal::of(File::open(&path).unwrap(), &path, sealed).unwrap();
            journal.append(&part(4), None, false).unwrap_err();
            journal.append(&Record::End, None, false).unwrap_err();
            journal.close();
            assert!(!path.exists(), "{sealed:?}");
        }
    }

    #[test]
    fn what_begins_after_an_end_that_was_not_written_stays() {
        let (_dir, path, _) = written();
        let (mut journal, _) = Journal::open(&path).unwrap();
        let writable = std::mem::replace(&mut journal.file, File::open(&path).unwrap());
        journal.append(&Record::End, None, false).unwrap_err();
        journal.file = writable;
        journal.append(&begin(), None, true).unwrap();
        journal.close();
        assert_eq!(Journal::open(&path).unwrap().1.records, [begin()]);
    }

    #[test]
    fn nothing_written_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        Journal::open(&path).unwrap().0.close();
        assert!(!path.exists());
    }

    #[test]
    fn a_foreign_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let newer = frame("begin 2 something=else");
        let later = frame(&begin().to_line()) + &frame("chorus 7");
        let huge = vec![b'a'; MOST as usize + 1];
        for bytes in [b"hello\n".as_slice(), b"hello", newer.as_bytes(), later.as_bytes(), &huge] {
            std::fs::write(&path, bytes).unwrap();
            assert!(matches!(Journal::open(&path), Err(Refusal::Foreign)));
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
        }
    }

    #[cfg(unix)]
    #[test]
    fn only_its_owner_may_read_it() {
        use std::os::unix::fs::PermissionsExt;
        let (_dir, path, _) = written();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_second_begin_voids_what_came_before() {
        let text = [begin(), part(1), begin(), part(2)].map(|r| frame(&r.to_line())).concat();
        let contents = Contents::read(text.as_bytes()).unwrap();
        assert_eq!(contents.records, [begin(), part(2)]);
    }

    proptest! {
        #[test]
        fn a_torn_tail_is_cut_and_the_rest_stands(keep in 0.0..1.0f64) {
            let (_dir, path, records) = written();
            let bytes = std::fs::read(&path).unwrap();
            let keep = (bytes.len() as f64 * keep) as usize;
            std::fs::write(&path, &bytes[..keep]).unwrap();
            let (mut journal, contents) = Journal::open(&path).unwrap();
            prop_assert!(records.starts_with(&contents.records));
            // What is appended after the cut is readable.
            let again = if contents.records.is_empty() { begin() } else { part(9) };
            journal.append(&again, Some(Path::new("x")), false).unwrap();
            drop(journal);
            let mut expected = contents.records;
            expected.push(again);
            prop_assert_eq!(Journal::open(&path).unwrap().1.records, expected);
        }

        #[test]
        fn a_flipped_byte_never_invents_a_record(at in 0.0..1.0f64, with in 1u8..) {
            let (_dir, path, records) = written();
            let mut bytes = std::fs::read(&path).unwrap();
            let at = (bytes.len() as f64 * at) as usize;
            bytes[at] ^= with;
            std::fs::write(&path, &bytes).unwrap();
            match Journal::open(&path) {
                Ok((_, contents)) => prop_assert!(records.starts_with(&contents.records)),
                Err(Refusal::Foreign) => prop_assert_eq!(std::fs::read(&path).unwrap(), bytes),
                Err(other) => prop_assert!(false, "{other:?}"),
            }
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = Contents::read(&bytes);
        }
    }

    #[test]
    fn a_sealed_journal_is_read_and_takes_nothing() {
        let (_dir, path, records) = written();
        // Torn, so that who may write would cut it.
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 3);
        std::fs::write(&path, &bytes).unwrap();
        let (mut journal, contents) =
            Journal::of(File::open(&path).unwrap(), &path, Some(io::ErrorKind::ReadOnlyFilesystem))
                .unwrap();
        assert_eq!(contents.records, records[..3]);
        let error = journal.append(&part(9), Some(Path::new("x")), true).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert!(matches!(Journal::open(&path), Err(Refusal::Busy)));
        journal.close();
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_pipe_in_its_place_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        // Not by a program: between fork and exec a child holds the locks of the tests beside this one.
        let (kind, mode) =
            (rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR);
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, mode, 0).unwrap();
        assert!(matches!(Journal::open(&path), Err(Refusal::Foreign)));
        assert!(path.exists());
    }
}
