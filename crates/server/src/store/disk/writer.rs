//! A blob on its way: gathered in a buffer, from there to a draft in `tmp/`, the draft to its name.
//!
//! A short body fits into its buffer: it is written in one go, and hashed meanwhile side by side with others that wait. Of a longer one, or
//! when all large buffers are lent, a batch is hashed and written while the next one is gathered.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use tokio::task::{JoinHandle, spawn_blocking};
use vodferry_lanes::Md5;

use super::buffers::Lent;
use super::{FsFile, Inner, PIECE, blocking};
use crate::store::{Blob, BlobError, BlobId, BlobWriter, BoxFuture, Content};

pub(super) struct DiskWriter {
    store: Arc<Inner>,
    /// What came last, all of it so far as long as the body is short.
    gathered: Lent,
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
            let mut rest = bytes.as_ref();
            loop {
                let taken = self.gathered.push(rest);
                rest = rest.get(taken..).unwrap_or_default();
                if rest.is_empty() {
                    return Ok(());
                }
                self.hand_over().await?;
            }
        })
    }

    fn finish(mut self: Box<Self>) -> BoxFuture<'static, Result<Blob, BlobError>> {
        Box::pin(async move {
            let mut draft = self.idle().await?;
            let id = draft.id.clone();
            let last = self.gathered;
            let blob = if draft.length == 0 {
                draft.publish_whole(Bytes::from_owner(last)).await?
            } else {
                blocking(move || {
                    draft.append(last.as_ref())?;
                    draft.publish()
                })
                .await?
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
    /// Nothing is on the disk before the first buffer is full.
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
        // Whoever only announces much does not hold much: a whole piece is lent when there is something for it.
        let piece = || store.pieces.lend(short.map_or(FIRST, |length| length.min(PIECE)));
        let gathered = whole.or_else(piece).ok_or(BlobError::Closed)?;
        Ok(DiskWriter { store, gathered, draft })
    }

    /// Has what was gathered written, and gathers anew.
    async fn hand_over(&mut self) -> Result<(), BlobError> {
        let mut draft = self.idle().await?;
        let next = self.store.pieces.lend(PIECE).ok_or(BlobError::Closed)?;
        let batch = std::mem::replace(&mut self.gathered, next);
        self.draft =
            State::Writing(spawn_blocking(move || draft.append(batch.as_ref()).map(|()| draft)));
        Ok(())
    }

    /// The draft, once the batch on its way is written.
    async fn idle(&mut self) -> Result<Box<Draft>, BlobError> {
        if let State::Writing(work) = &mut self.draft {
            let written = work.await;
            self.draft = State::Failed;
            return written.map_err(|_| BlobError::Closed)?;
        }
        match std::mem::replace(&mut self.draft, State::Failed) {
            State::Idle(draft) => Ok(draft),
            _ => Err(BlobError::Closed),
        }
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

    fn append(&mut self, batch: &[u8]) -> Result<(), BlobError> {
        self.write(batch)?;
        self.md5.update(batch);
        Ok(())
    }

    /// All but the MD5.
    fn write(&mut self, batch: &[u8]) -> Result<(), BlobError> {
        let Draft { store, path, file, .. } = self;
        store.reserve.take(batch.len() as u64)?;
        let failed = |e| BlobError::io("write", &*path, e);
        let file = match file {
            Some(file) => file,
            none => none.insert(store.fs.create(path).map_err(failed)?),
        };
        file.append(batch).map_err(failed)?;
        self.crc64.update(batch);
        self.length += batch.len() as u64;
        Ok(())
    }

    /// Writes all of it while it is hashed elsewhere, and [publishes](Draft::publish) it.
    async fn publish_whole(mut self: Box<Self>, whole: Bytes) -> Result<Blob, BlobError> {
        let lanes = self.store.lanes.clone();
        let batch = whole.clone();
        let written = blocking(move || {
            self.write(&batch)?;
            self.publish()
        });
        let (blob, md5) = tokio::join!(written, lanes.md5(whole.clone()));
        let md5 = md5.unwrap_or_else(|| vodferry_lanes::md5(&whole));
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
            md5: std::mem::take(&mut self.md5).finalize(),
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
/// Gathered first of a long body.
const FIRST: usize = 64 << 10;
