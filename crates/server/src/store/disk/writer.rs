//! A blob on its way: batches to a draft in `tmp/`, the draft to its name.
//!
//! A short body is not handed over in batches: it is gathered in one buffer, written from there in one go, and hashed meanwhile side by
//! side with others that wait. Where all those buffers are lent, it goes the way of long ones.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use md5::{Digest, Md5};
use tokio::task::{JoinHandle, spawn_blocking};

use super::buffers::Lent;
use super::{FsFile, Inner, blocking};
use crate::store::{Blob, BlobError, BlobId, BlobWriter, BoxFuture, Content};

pub(super) struct DiskWriter {
    store: Arc<Inner>,
    /// All of it so far, as long as it is short.
    whole: Option<Lent>,
    pending: Vec<Bytes>,
    pending_bytes: usize,
    draft: State,
}

/// Where the draft is; a future that is dropped half-way leaves it in one of these.
enum State {
    Idle(Box<Draft>),
    Writing(JoinHandle<Result<Box<Draft>, BlobError>>),
    Failed,
}

impl BlobWriter for DiskWriter {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), BlobError>> {
        Box::pin(async move {
            if let Some(mut whole) = self.whole.take() {
                if whole.push(&bytes) {
                    self.whole = Some(whole);
                    return Ok(());
                }
                self.pend(Bytes::from_owner(whole));
            }
            self.pend(bytes);
            if self.pending_bytes < BATCH {
                return Ok(());
            }
            self.wait().await?;
            match std::mem::replace(&mut self.draft, State::Failed) {
                State::Idle(mut draft) => {
                    let batch = std::mem::take(&mut self.pending);
                    self.pending_bytes = 0;
                    self.draft = State::Writing(spawn_blocking(move || {
                        draft.append(&batch).map(|()| draft)
                    }));
                    Ok(())
                }
                _ => Err(BlobError::Closed),
            }
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<Blob, BlobError>> {
        Box::pin(async move {
            self.wait().await?;
            let State::Idle(mut draft) = std::mem::replace(&mut self.draft, State::Failed) else {
                return Err(BlobError::Closed);
            };
            let id = draft.id.clone();
            let blob = match self.whole.take() {
                Some(whole) => draft.publish_whole(Bytes::from_owner(whole)).await?,
                None => {
                    let batch = std::mem::take(&mut self.pending);
                    blocking(move || {
                        draft.append(&batch)?;
                        draft.publish()
                    })
                    .await?
                }
            };
            if self.store.durable
                && let Some(folder) = self.store.folders.get(usize::from(id.folder()))
                && let Err(e) = folder.after_rename().await
            {
                // Its name may not survive, so it must not be used.
                let (store, path) = (self.store.clone(), self.store.path(&id));
                blocking(move || Ok(store.fs.remove(&path).ok())).await?;
                return Err(e);
            }
            Ok(blob)
        })
    }
}

impl DiskWriter {
    /// Nothing is on the disk before the first batch is full.
    pub(super) fn new(
        store: Arc<Inner>,
        prefix: u8,
        length: Option<u64>,
    ) -> Result<DiskWriter, BlobError> {
        let id = BlobId::random_in(prefix)?;
        let draft = State::Idle(Box::new(Draft::new(store.clone(), id)));
        let short = length.and_then(|length| usize::try_from(length).ok());
        let short = short.filter(|length| *length <= WHOLE);
        let whole = short.and_then(|length| store.wholes.lend(length));
        Ok(DiskWriter { store, whole, pending: Vec::new(), pending_bytes: 0, draft })
    }

    /// Puts `bytes` to the next batch.
    fn pend(&mut self, bytes: Bytes) {
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
    }

    /// Waits until the batch on its way is written.
    async fn wait(&mut self) -> Result<(), BlobError> {
        if let State::Writing(work) = &mut self.draft {
            let written = work.await;
            self.draft = State::Failed;
            self.draft = State::Idle(written.map_err(|_| BlobError::Closed)??);
        }
        Ok(())
    }
}

/// A file in `tmp/`, which is removed with it unless it was published.
struct Draft {
    store: Arc<Inner>,
    id: BlobId,
    path: PathBuf,
    file: Option<Box<dyn FsFile>>,
    md5: Md5,
    crc64: crc_fast::Digest,
    length: u64,
}

impl Draft {
    /// The file is made with its first bytes.
    fn new(store: Arc<Inner>, id: BlobId) -> Draft {
        let crc64 = crc_fast::Digest::new(CrcAlgorithm::Crc64Xz);
        let path = store.tmp.join(id.as_str());
        Draft { store, id, path, file: None, md5: Md5::new(), crc64, length: 0 }
    }

    fn append(&mut self, batch: &[Bytes]) -> Result<(), BlobError> {
        self.write(batch)?;
        batch.iter().for_each(|bytes| self.md5.update(bytes));
        Ok(())
    }

    /// All but the MD5.
    fn write(&mut self, batch: &[Bytes]) -> Result<(), BlobError> {
        self.store.reserve.take(batch.iter().map(|bytes| bytes.len() as u64).sum())?;
        let failed = |e| BlobError::io("write", &self.path, e);
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(self.store.fs.create(&self.path).map_err(failed)?),
        };
        for bytes in batch {
            file.append(bytes).map_err(failed)?;
            self.crc64.update(bytes);
            self.length += bytes.len() as u64;
        }
        Ok(())
    }

    /// Writes all of it while it is hashed elsewhere, and [publishes](Draft::publish) it.
    async fn publish_whole(mut self: Box<Self>, whole: Bytes) -> Result<Blob, BlobError> {
        let lanes = self.store.lanes.clone();
        let batch = [whole.clone()];
        let written = blocking(move || {
            self.write(&batch)?;
            self.publish()
        });
        let (blob, md5) = tokio::join!(written, lanes.md5(whole.clone()));
        let md5 = md5.unwrap_or_else(|| Md5::digest(&whole).into());
        Ok(Blob { md5, ..blob? })
    }

    fn publish(mut self) -> Result<Blob, BlobError> {
        let store = self.store.clone();
        if let (Some(file), true) = (&mut self.file, store.durable) {
            file.sync().map_err(|e| BlobError::io("sync", &self.path, e))?;
        }
        if let Some(folder) = store.folders.get(usize::from(self.id.folder())) {
            folder.make(store.durable)?;
        }
        let path = store.path(&self.id);
        store.fs.rename(&self.path, &path).map_err(|e| BlobError::io("name", path, e))?;
        self.file = None;
        Ok(Blob {
            content: Content::Blob(self.id.clone()),
            length: self.length,
            md5: std::mem::take(&mut self.md5).finalize().into(),
            crc64: self.crc64.finalize(),
        })
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        let Some(file) = self.file.take() else { return };
        let (store, path) = (self.store.clone(), std::mem::take(&mut self.path));
        let remove = move || {
            drop(file);
            if let Err(error) = store.fs.remove(&path) {
                tracing::warn!(path = %path.display(), %error, "cannot remove an unfinished blob");
            }
        };
        // Removing a large file takes its time, so not on a thread that serves others.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(remove)),
            Err(_) => remove(),
        }
    }
}

/// The longest body that is gathered: parts of 1 MiB are what the upload SDKs send.
pub(super) const WHOLE: usize = 1 << 20;
/// Handed to a blocking thread at once. A part of 1 MiB takes four hand-overs, and a connection
/// holds at most two batches.
const BATCH: usize = 256 * 1024;
