//! Files whose bytes go to the disk past the page cache.
//!
//! Bytes that nobody reads next gain nothing from being copied into memory first: finding pages for them and writing those back costs more
//! than everything else that is done with a part. Whole blocks that lie on the boundary of one go directly, the rest of the last block
//! through the cache; a file system that does not take them so gets everything through the cache. When they are read they are
//! in memory like others.

use std::fs::File;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::io::Errno;

use super::FsFile;
use super::buffers::BLOCK;

/// A file being written, and whether blocks still go past the cache.
pub(super) struct Direct {
    file: File,
    direct: bool,
}

impl Direct {
    /// Makes a file that was not there.
    pub(super) fn create(path: &Path) -> io::Result<Direct> {
        let mut options = File::options();
        options.read(true).write(true).create_new(true);
        let past = OFlags::DIRECT.bits().cast_signed();
        match options.clone().custom_flags(past).open(path) {
            Ok(file) => Ok(Direct { file, direct: true }),
            Err(e) if refused(&e) => {
                // Some make the file before they look at the flag.
                match std::fs::remove_file(path) {
                    Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
                    _ => Ok(Direct { file: options.open(path)?, direct: false }),
                }
            }
            Err(e) => Err(e),
        }
    }

    /// From now on everything goes through the cache: what is not a block is followed by nothing on the boundary of one.
    fn through_the_cache(&mut self) -> io::Result<()> {
        if self.direct {
            fcntl_setfl(&self.file, fcntl_getfl(&self.file)? - OFlags::DIRECT)?;
            self.direct = false;
        }
        Ok(())
    }
}

impl FsFile for Direct {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let rest = match self.direct {
            true => write_blocks(bytes, |blocks| self.file.write(blocks))?,
            false => bytes,
        };
        if rest.is_empty() {
            return Ok(());
        }
        self.through_the_cache()?;
        self.file.append(rest)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }

    fn read(&mut self, start: u64, into: &mut [u8]) -> io::Result<usize> {
        self.through_the_cache()?;
        self.file.read(start, into)
    }
}

/// Writes whole blocks as long as they are taken; what is left.
fn write_blocks(
    mut bytes: &[u8],
    mut write: impl FnMut(&[u8]) -> io::Result<usize>,
) -> io::Result<&[u8]> {
    while bytes.len() >= BLOCK {
        let blocks = bytes.len() - bytes.len() % BLOCK;
        match write(bytes.get(..blocks).unwrap_or(bytes)) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            // After a part of a block the next write is refused.
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if refused(&e) => break,
            Err(e) => return Err(e),
        }
    }
    Ok(bytes)
}

/// What a file system says that does not write past the cache, or not so.
fn refused(e: &io::Error) -> bool {
    matches!(Errno::from_io_error(e), Some(Errno::INVAL | Errno::OPNOTSUPP))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::disk::fs::{Fs as _, RealFs};

    /// A folder on the disk of the build: one for temporary files may be memory, which takes everything directly.
    fn folder() -> tempfile::TempDir {
        let program = std::env::current_exe().unwrap();
        tempfile::tempdir_in(program.parent().unwrap()).unwrap()
    }

    /// Whether the file system there opens a file for writing past the cache.
    fn takes(folder: &Path) -> bool {
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let flags = OFlags::CREATE | OFlags::WRONLY | OFlags::DIRECT;
        rustix::fs::open(folder.join("asked"), flags, mode).is_ok()
    }

    const TMPFS: rustix::fs::FsWord = 0x0102_1994;

    /// So many bytes that begin on the boundary of a block, or `off` behind one.
    fn content(memory: &mut Vec<u8>, length: usize, off: usize) -> &[u8] {
        *memory = (0..length + 2 * BLOCK).map(|at| (at % 251) as u8).collect();
        let start = memory.as_ptr().align_offset(BLOCK) + off;
        &memory[start..start + length]
    }

    #[test]
    fn whatever_the_lengths_and_places_the_bytes_arrive() {
        let folder = folder();
        let lengths = [
            &[BLOCK][..],
            &[BLOCK, 1],
            &[BLOCK - 1, 1, BLOCK],
            &[3 * BLOCK, 2 * BLOCK + 7, BLOCK],
            &[0, 1],
            &[],
        ];
        for (number, lengths) in lengths.into_iter().enumerate() {
            for off in [0, 1, 512] {
                let path = folder.path().join(format!("{number}-{off}"));
                let mut file = Direct::create(&path).unwrap();
                let (mut memory, mut want) = (Vec::new(), Vec::new());
                for length in lengths {
                    let bytes = content(&mut memory, *length, off);
                    file.append(bytes).unwrap();
                    want.extend_from_slice(bytes);
                }
                file.sync().unwrap();
                let mut found = vec![0; want.len() + 1];
                assert_eq!(file.read(0, &mut found).unwrap(), want.len());
                assert!(found.starts_with(&want), "{lengths:?} from {off} on");
                assert!(std::fs::read(&path).unwrap() == want);
            }
        }
    }

    #[test]
    fn blocks_go_past_the_cache_until_something_else_comes() {
        let folder = folder();
        let (path, mut memory) = (folder.path().join("blocks"), Vec::new());
        let mut file = Direct::create(&path).unwrap();
        let takes = takes(folder.path());
        assert_eq!(file.direct, takes);
        for length in [BLOCK, 8 * BLOCK] {
            file.append(content(&mut memory, length, 0)).unwrap();
            assert_eq!(file.direct, takes);
        }
        // What is kept in memory is in memory.
        if takes && rustix::fs::statfs(&path).unwrap().f_type != TMPFS {
            let mut opened = File::open(&path).unwrap();
            assert_eq!(opened.read_at_hand(0, &mut [0; BLOCK]), None, "in memory as well");
        }
        file.append(&[1]).unwrap();
        assert!(!file.direct);
        assert!(Direct::create(&path).is_err(), "there is one already");
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 9 * BLOCK as u64 + 1);
    }

    #[test]
    fn the_files_of_this_machine_are_made_so() {
        let folder = folder();
        let (path, mut memory) = (folder.path().join("made"), Vec::new());
        RealFs.create(&path).unwrap().append(content(&mut memory, 8 * BLOCK, 0)).unwrap();
        if takes(folder.path()) && rustix::fs::statfs(&path).unwrap().f_type != TMPFS {
            let mut opened = RealFs.open(&path).unwrap();
            assert_eq!(opened.read_at_hand(0, &mut [0; BLOCK]), None, "in memory as well");
        }
    }

    #[test]
    fn what_is_not_taken_is_left_and_what_fails_is_told() {
        let bytes = vec![7; 4 * BLOCK + 5];
        // What each write answers, how many bytes are left, and in how many writes.
        let played = |answers: &[Result<usize, Errno>]| {
            let mut answers = answers.iter();
            let rest = write_blocks(&bytes, |blocks| {
                assert_eq!(blocks.len() % BLOCK, 0);
                (*answers.next().unwrap()).map_err(io::Error::from)
            });
            assert!(answers.next().is_none(), "not asked for");
            rest.map(<[u8]>::len).map_err(|e| e.kind())
        };
        assert_eq!(played(&[Ok(4 * BLOCK)]), Ok(5));
        assert_eq!(played(&[Ok(BLOCK), Err(Errno::INTR), Ok(3 * BLOCK)]), Ok(5));
        assert_eq!(played(&[Ok(BLOCK + 512), Err(Errno::INVAL)]), Ok(3 * BLOCK - 507));
        assert_eq!(played(&[Err(Errno::OPNOTSUPP)]), Ok(4 * BLOCK + 5));
        assert_eq!(played(&[Ok(BLOCK), Err(Errno::NOSPC)]), Err(io::ErrorKind::StorageFull));
        assert_eq!(played(&[Ok(0)]), Err(io::ErrorKind::WriteZero));
    }

    #[test]
    fn a_file_system_that_takes_nothing_so_gets_it_through_the_cache() {
        let folder = folder();
        let path = folder.path().join("plain");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let mut file = Direct { file, direct: false };
        let mut memory = Vec::new();
        let bytes = content(&mut memory, 2 * BLOCK, 0);
        file.append(bytes).unwrap();
        file.sync().unwrap();
        assert!(std::fs::read(&path).unwrap() == bytes);
    }
}
