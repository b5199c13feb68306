//! What the blobs ask of a file system, small enough to be played by another one.
//!
//! The tests play one whose power fails: what was not synced is lost or comes back in another order.
//! So this is also the list of what the store relies on: data is durable after [`FsFile::sync`], a
//! name after [`Fs::sync_folder`] of the folder that holds it, and nothing is before.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::SystemTime;

/// A file system. Every call may block.
pub trait Fs: Send + Sync {
    /// Makes a file that was not there. Its bytes need not be in memory as well.
    ///
    /// # Errors
    /// As all here: what the system says, so `AlreadyExists`, `NotFound`, `StorageFull`, …
    fn create(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;

    /// Opens a file to read it. It can be read to its end even when it is removed meanwhile.
    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>>;

    /// Gives a file another name, in place of the one that had it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a folder in one that exists; one that is there already is fine.
    fn make_folder(&self, path: &Path) -> io::Result<()>;

    /// Makes the names inside a folder durable, and the removal of others.
    fn sync_folder(&self, path: &Path) -> io::Result<()>;

    /// Names of the files and folders inside a folder, in no order; those that are no UTF-8 are left
    /// out.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    /// Length in bytes and the time of the last write.
    fn look(&self, path: &Path) -> io::Result<(u64, SystemTime)>;

    /// Bytes that may still be written to the disk of a folder. Default any number.
    fn free(&self, path: &Path) -> io::Result<u64> {
        let _ = path;
        Ok(u64::MAX)
    }

    /// Takes the one lock that there is on `path`, which is made when missing; it lasts until the
    /// answer is dropped. `None`: another process has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>>;
}

/// An open file.
pub trait FsFile: Send {
    /// Writes at the end.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes the bytes durable, not the name.
    fn sync(&mut self) -> io::Result<()>;

    /// Fills `into` with the bytes from `start` on, and tells how many; fewer only where the file ends.
    fn read(&mut self, start: u64, into: &mut [u8]) -> io::Result<usize>;

    /// As [`read`](FsFile::read), but of bytes that are in memory, perhaps only some of them; `None` where there are
    /// none, or when that cannot be known. This one does not block.
    fn read_at_hand(&mut self, start: u64, into: &mut [u8]) -> Option<usize> {
        let _ = (start, into);
        None
    }
}

/// Bytes given to the page cache at once: 64 KiB. For a write of megabytes the system looks for runs of free pages as long, and those are the ones
/// that a virtual machine has given back to its host and has to fetch again, page by page: three to six times the CPU.
const CACHED: usize = 64 << 10;

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

impl Fs for RealFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        #[cfg(target_os = "linux")]
        let made = super::direct::Direct::create(path)?;
        #[cfg(not(target_os = "linux"))]
        let made = File::create_new(path)?;
        Ok(Box::new(made))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        Ok(Box::new(File::open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
            made => made,
        }
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn look(&self, path: &Path) -> io::Result<(u64, SystemTime)> {
        let metadata = fs::metadata(path)?;
        Ok((metadata.len(), metadata.modified()?))
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        fs4::available_space(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        let file = File::options().create(true).truncate(false).write(true).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

impl FsFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        bytes.chunks(CACHED).try_for_each(|bytes| self.write_all(bytes))
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn read(&mut self, start: u64, into: &mut [u8]) -> io::Result<usize> {
        self.seek(SeekFrom::Start(start))?;
        let mut filled = 0;
        while let Some(rest) = into.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match Read::read(self, rest) {
                Ok(0) => break,
                Ok(more) => filled += more,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(filled)
    }

    // What goes wrong here goes wrong again where one may wait, and is told there; so does the end of the file.
    #[cfg(target_os = "linux")]
    fn read_at_hand(&mut self, start: u64, into: &mut [u8]) -> Option<usize> {
        use rustix::io::{ReadWriteFlags, preadv2};
        let into = &mut [io::IoSliceMut::new(into)];
        preadv2(&*self, into, start, ReadWriteFlags::NOWAIT).ok().filter(|length| *length > 0)
    }
}
