//! Blobs on a local disk.
//!
//! ```text
//! lock               held while a server uses the folder
//! tmp/<id>           being written; whatever is here at start is left over and removed
//! blobs/ab/ab<…>     finished; never changed again
//! ```
//!
//! A writer hashes and writes on blocking threads, a batch at a time, while the next batch arrives; a
//! body of at most 1 MiB, in one piece, and its MD5 is taken side by side with those of others. Both go
//! past the page cache.
//! To finish means: sync the file, rename it, sync the folder that holds its new name. Blobs that
//! finish at the same time share the last step, and so that they can, those of one moment get names
//! in one folder: the first two digits of a name change only every few hundred blobs. A folder is made
//! with the first blob that needs it.

mod buffers;
#[cfg(target_os = "linux")]
mod direct;
mod folder;
mod fs;
mod reader;
mod reserve;
mod writer;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use tokio::task::spawn_blocking;

use vodferry_lanes::Lanes;

use self::buffers::Buffers;
use self::folder::Folder;
pub use self::fs::{Fs, FsFile, RealFs};
use self::reader::{PIECE, Reader};
use self::reserve::Reserve;
use self::writer::{DiskWriter, WHOLE};
use super::{BlobError, BlobId, BlobStore, BlobStream, BlobWriter, BoxFuture};

/// A folder of blobs.
pub struct DiskBlobs {
    inner: Arc<Inner>,
}

struct Inner {
    fs: Arc<dyn Fs>,
    blobs: PathBuf,
    tmp: PathBuf,
    durable: bool,
    begun: AtomicU64,
    folders: Vec<Folder>,
    reserve: Reserve,
    /// For what is read, and for batches of long bodies.
    pieces: Arc<Buffers>,
    /// For bodies that are written in one piece.
    wholes: Arc<Buffers>,
    lanes: Arc<Lanes>,
    _lock: Box<dyn Send + Sync>,
}

impl DiskBlobs {
    /// Opens the blobs of `folder`, which exists; removes what an earlier run left half-written.
    /// Without `durable` nothing is synced: for tests and throw-away data.
    ///
    /// # Errors
    /// [`BlobError::Locked`] when another server uses the folder, and still does so after two
    /// seconds: one that is ending needs a moment to let go.
    pub fn open(folder: &Path, durable: bool) -> Result<DiskBlobs, BlobError> {
        DiskBlobs::open_on(Arc::new(RealFs), folder, durable)
    }

    /// As [`open`](DiskBlobs::open), on another file system than this machine's.
    ///
    /// # Errors
    /// As [`open`](DiskBlobs::open).
    pub fn open_on(fs: Arc<dyn Fs>, folder: &Path, durable: bool) -> Result<DiskBlobs, BlobError> {
        let lock = lock(&*fs, folder)?;
        let (blobs, tmp) = (folder.join(BLOBS), folder.join(TMP));
        for path in [&tmp, &blobs] {
            fs.make_folder(path).map_err(|e| BlobError::io("create", path, e))?;
        }
        for leftover in list(&*fs, &tmp)? {
            let path = tmp.join(leftover.as_str());
            fs.remove(&path).map_err(|e| BlobError::io("remove", &path, e))?;
        }
        if durable {
            fs.sync_folder(folder).map_err(|e| BlobError::io("sync", folder, e))?;
        }
        let folders = (0..FOLDERS)
            .map(|prefix| Folder::new(fs.clone(), blobs.join(format!("{prefix:02x}"))))
            .collect();
        let mut seed = [0u8; 8];
        getrandom::fill(&mut seed)
            .map_err(|e| BlobError::io("draw a name in", folder, io::Error::other(e)))?;
        let begun = AtomicU64::new(u64::from_be_bytes(seed));
        let reserve = Reserve::new(fs.clone(), folder.to_owned());
        let inner = Inner {
            fs,
            blobs,
            tmp,
            durable,
            begun,
            folders,
            reserve,
            pieces: Buffers::new(PIECE, KEPT_PIECES, usize::MAX),
            wholes: Buffers::new(WHOLE, KEPT_WHOLES, MOST_WHOLES),
            lanes: Arc::default(),
            _lock: lock,
        };
        Ok(DiskBlobs { inner: Arc::new(inner) })
    }

    /// Refuses bodies from now on that would leave less than so many bytes free on the disk, as if it were
    /// full; what the database's `log` has of them already, up to a half, is as good as free. Before, it takes
    /// bodies as long as there is any space.
    pub fn keep_free(&self, bytes: u64, log: &Path) {
        self.inner.reserve.keep(bytes, log);
    }

    /// How many times a folder was synced for finished blobs.
    pub fn folder_syncs(&self) -> u64 {
        self.inner.folders.iter().map(Folder::syncs).sum()
    }
}

impl BlobStore for DiskBlobs {
    fn writer(&self, length: Option<u64>) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, BlobError>> {
        Box::pin(async move {
            let begun = self.inner.begun.fetch_add(1, Ordering::Relaxed);
            let prefix = (begun / BLOBS_PER_FOLDER % FOLDERS as u64) as u8;
            let writer: Box<dyn BlobWriter> =
                Box::new(DiskWriter::new(self.inner.clone(), prefix, length)?);
            Ok(writer)
        })
    }

    fn room(&self, bytes: u64) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            if self.inner.reserve.take_at_hand(bytes) {
                return Ok(());
            }
            let inner = self.inner.clone();
            blocking(move || inner.reserve.take(bytes)).await
        })
    }

    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<BlobStream, BlobError>> {
        let (fs, path) = (self.inner.fs.clone(), self.inner.path(id));
        let (id, buffers) = (id.clone(), self.inner.pieces.clone());
        Box::pin(async move {
            let opening = move || Reader::open(&*fs, id, path, range, buffers);
            Ok(blocking(opening).await?.into_stream())
        })
    }

    fn delete<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<(), BlobError>> {
        let (fs, path) = (self.inner.fs.clone(), self.inner.path(id));
        Box::pin(blocking(move || match fs.remove(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(BlobError::io("remove", path, e)),
            _ => Ok(()),
        }))
    }

    fn older_than<'a>(
        &'a self,
        age: Duration,
        after: Option<&'a BlobId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<BlobId>, BlobError>> {
        let (fs, blobs) = (self.inner.fs.clone(), self.inner.blobs.clone());
        let after = after.cloned();
        Box::pin(blocking(move || older_than(&*fs, &blobs, age, after, limit)))
    }
}

impl Inner {
    fn path(&self, id: &BlobId) -> PathBuf {
        self.blobs.join(id.prefix()).join(id.as_str())
    }
}

/// Makes a folder and those above it, durably and for its owner alone: everything that will be acknowledged
/// lies in it.
pub(crate) fn make_private_folder(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    let mut missing: Vec<_> = path.ancestors().take_while(|folder| !folder.exists()).collect();
    if missing.is_empty() {
        // A file that stands there is an error, an unfinished start's folder is not yet durable.
        std::fs::read_dir(&path)?;
        missing.push(&path);
    }
    let mut builder = std::fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    for folder in missing.into_iter().rev() {
        match builder.create(folder) {
            Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
            _ => {}
        }
        let Some(parent) = folder.parent() else { continue };
        match RealFs.sync_folder(parent) {
            // A folder that this user may enter but not read: whoever made it keeps it.
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// Takes the lock of a data folder; waits two seconds for one who is ending to let go of it.
pub(crate) fn lock(fs: &dyn Fs, folder: &Path) -> Result<Box<dyn Send + Sync>, BlobError> {
    let path = folder.join("lock");
    let give_up = Instant::now() + Duration::from_secs(2);
    loop {
        match fs.lock(&path).map_err(|e| BlobError::io("lock", &path, e))? {
            Some(lock) => return Ok(lock),
            None if Instant::now() < give_up => std::thread::sleep(Duration::from_millis(20)),
            None => return Err(BlobError::Locked(folder.to_owned())),
        }
    }
}

/// The blobs in a folder, sorted; files that are not ours, and a folder that is not there, are none.
pub(crate) fn list(fs: &dyn Fs, folder: &Path) -> Result<Vec<BlobId>, BlobError> {
    let mut ids: Vec<BlobId> = match fs.list(folder) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(BlobError::io("list", folder, e)),
        Ok(names) => names.iter().filter_map(|name| BlobId::parse(name)).collect(),
    };
    ids.sort_unstable();
    Ok(ids)
}

/// Holds the finished blobs, in a folder for each two digits.
pub(crate) const BLOBS: &str = "blobs";
/// Holds those being written.
pub(crate) const TMP: &str = "tmp";
/// One for each value of the first two digits.
pub(crate) const FOLDERS: usize = 256;

const BLOBS_PER_FOLDER: u64 = 512;
/// Buffers of 256 KiB that are kept when nobody needs them: 8 MiB.
const KEPT_PIECES: usize = 32;
/// Short bodies that are gathered at once, and buffers for them that are kept: 64 and 16 MiB.
const MOST_WHOLES: usize = 64;
const KEPT_WHOLES: usize = 16;

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    spawn_blocking(work).await.map_err(|_| BlobError::Closed)?
}

fn older_than(
    fs: &dyn Fs,
    blobs: &Path,
    age: Duration,
    after: Option<BlobId>,
    limit: usize,
) -> Result<Vec<BlobId>, BlobError> {
    let now = SystemTime::now();
    let mut found = Vec::new();
    for prefix in 0..FOLDERS {
        let prefix = format!("{prefix:02x}");
        if after.as_ref().is_some_and(|after| prefix.as_str() < after.prefix()) {
            continue;
        }
        let folder = blobs.join(&prefix);
        for id in list(fs, &folder)? {
            if after.as_ref().is_some_and(|after| id <= *after) {
                continue;
            }
            // One that is gone was deleted meanwhile; one from the future is not old.
            let Ok((_, modified)) = fs.look(&folder.join(id.as_str())) else { continue };
            if now.duration_since(modified).is_ok_and(|old| old >= age) {
                found.push(id);
                if found.len() >= limit {
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}
