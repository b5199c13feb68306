//! Blobs on a local disk.
//!
//! ```text
//! lock               held while a server uses the folder
//! tmp/<id>           being written; whatever is here at start is left over and removed
//! blobs/ab/ab<…>     finished; never changed again
//! ```
//!
//! A writer hashes and writes on blocking threads, a batch at a time, while the next batch arrives.
//! To finish means: sync the file, rename it, sync the folder that holds its new name. Blobs that
//! finish at the same time share the last step, and so that they can, those of one moment get names
//! in one folder: the first two digits of a name change only every few hundred blobs.

mod sync;
mod writer;

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use futures_util::stream;
use tokio::task::spawn_blocking;

use self::sync::FolderSync;
use self::writer::DiskWriter;
use super::{BlobError, BlobId, BlobStore, BlobStream, BlobWriter, BoxFuture};

/// A folder of blobs.
pub struct DiskBlobs {
    inner: Arc<Inner>,
}

struct Inner {
    blobs: PathBuf,
    tmp: PathBuf,
    durable: bool,
    begun: AtomicU64,
    syncs: Vec<FolderSync>,
    /// Locked as long as it is open.
    _lock: File,
}

impl DiskBlobs {
    /// Opens the blobs of `folder`, which exists; removes what an earlier run left half-written.
    /// Without `durable` nothing is synced: for tests and throw-away data.
    ///
    /// # Errors
    /// [`BlobError::Locked`] when another server uses the folder, and still does so after two
    /// seconds: one that is ending needs a moment to let go.
    pub fn open(folder: &Path, durable: bool) -> Result<DiskBlobs, BlobError> {
        let lock_path = folder.join("lock");
        let lock = File::create(&lock_path).map_err(|e| BlobError::io("create", &lock_path, e))?;
        wait_for(&lock, folder, &lock_path)?;
        let (blobs, tmp) = (folder.join("blobs"), folder.join("tmp"));
        make_folder(&tmp)?;
        make_folder(&blobs)?;
        for leftover in list(&tmp)? {
            let path = tmp.join(leftover);
            fs::remove_file(&path).map_err(|e| BlobError::io("remove", &path, e))?;
        }
        let mut syncs = Vec::with_capacity(FOLDERS);
        for prefix in 0..FOLDERS {
            let path = blobs.join(format!("{prefix:02x}"));
            make_folder(&path)?;
            syncs.push(FolderSync::new(path));
        }
        if durable {
            sync::sync_folder(&blobs)?;
            sync::sync_folder(folder)?;
        }
        let mut seed = [0u8; 8];
        getrandom::fill(&mut seed)
            .map_err(|e| BlobError::io("draw a name in", folder, io::Error::other(e)))?;
        let begun = AtomicU64::new(u64::from_be_bytes(seed));
        Ok(DiskBlobs { inner: Arc::new(Inner { blobs, tmp, durable, begun, syncs, _lock: lock }) })
    }

    /// How many times a folder was synced for finished blobs.
    pub fn folder_syncs(&self) -> u64 {
        self.inner.syncs.iter().map(FolderSync::count).sum()
    }
}

impl BlobStore for DiskBlobs {
    fn writer(&self) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, BlobError>> {
        Box::pin(async move {
            let begun = self.inner.begun.fetch_add(1, Ordering::Relaxed);
            let prefix = (begun / BLOBS_PER_FOLDER % FOLDERS as u64) as u8;
            let writer: Box<dyn BlobWriter> =
                Box::new(DiskWriter::new(self.inner.clone(), prefix)?);
            Ok(writer)
        })
    }

    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<BlobStream, BlobError>> {
        let path = self.inner.path(id);
        Box::pin(async move {
            let reader =
                Reader { id: id.clone(), path, rest: range.end.saturating_sub(range.start) };
            let opened = blocking(move || reader.open(range.start)).await?;
            let next = |state: Option<(File, Reader)>| async move {
                let (file, reader) = state.filter(|(_, reader)| reader.rest > 0)?;
                match blocking(move || reader.next(file)).await {
                    Ok((bytes, state)) => Some((Ok(bytes), Some(state))),
                    Err(e) => Some((Err(e), None)),
                }
            };
            let stream: BlobStream = Box::pin(stream::unfold(Some(opened), next));
            Ok(stream)
        })
    }

    fn delete<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<(), BlobError>> {
        let path = self.inner.path(id);
        Box::pin(blocking(move || match fs::remove_file(&path) {
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
        let blobs = self.inner.blobs.clone();
        let after = after.cloned();
        Box::pin(blocking(move || older_than(&blobs, age, after, limit)))
    }
}

impl Inner {
    fn path(&self, id: &BlobId) -> PathBuf {
        self.blobs.join(id.prefix()).join(id.as_str())
    }
}

struct Reader {
    id: BlobId,
    path: PathBuf,
    rest: u64,
}

impl Reader {
    fn open(self, start: u64) -> Result<(File, Reader), BlobError> {
        let mut file = match File::open(&self.path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(BlobError::Missing(self.id));
            }
            opened => opened.map_err(|e| BlobError::io("open", &self.path, e))?,
        };
        if start > 0 {
            file.seek(SeekFrom::Start(start)).map_err(|e| BlobError::io("read", &self.path, e))?;
        }
        Ok((file, self))
    }

    fn next(mut self, mut file: File) -> Result<(Bytes, (File, Reader)), BlobError> {
        let want = self.rest.min(READ);
        let mut bytes = Vec::with_capacity(want as usize);
        (&mut file)
            .take(want)
            .read_to_end(&mut bytes)
            .map_err(|e| BlobError::io("read", &self.path, e))?;
        if (bytes.len() as u64) < want {
            return Err(BlobError::Short(self.id));
        }
        self.rest -= want;
        Ok((Bytes::from(bytes), (file, self)))
    }
}

const READ: u64 = 256 * 1024;
const FOLDERS: usize = 256;
const BLOBS_PER_FOLDER: u64 = 512;

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BlobError> + Send + 'static,
) -> Result<T, BlobError> {
    spawn_blocking(work).await.map_err(|_| BlobError::Closed)?
}

fn wait_for(lock: &File, folder: &Path, lock_path: &Path) -> Result<(), BlobError> {
    let give_up = Instant::now() + Duration::from_secs(2);
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < give_up => {
                std::thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => return Err(BlobError::Locked(folder.to_owned())),
            Err(TryLockError::Error(e)) => return Err(BlobError::io("lock", lock_path, e)),
        }
    }
}

fn make_folder(path: &Path) -> Result<(), BlobError> {
    fs::create_dir_all(path).map_err(|e| BlobError::io("create", path, e))
}

/// Names in a folder, sorted; those that are not ours are left out.
fn list(folder: &Path) -> Result<Vec<String>, BlobError> {
    let failed = |e| BlobError::io("list", folder, e);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        names.extend(name.to_str().filter(|name| BlobId::parse(name).is_some()).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

fn older_than(
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
        for id in list(&folder)?.iter().filter_map(|name| BlobId::parse(name)) {
            if after.as_ref().is_some_and(|after| id <= *after) {
                continue;
            }
            let modified = fs::metadata(folder.join(id.as_str())).and_then(|m| m.modified());
            // One that is gone was deleted meanwhile; one from the future is not old.
            let Ok(modified) = modified else { continue };
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
