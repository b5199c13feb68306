//! A blob on its way out.
//!
//! What the system has in memory is copied on the task that sends it: most reads are of that kind, since
//! the system reads ahead by itself, and to wake another thread for each piece would cost more than the
//! copy. What is not in memory, and every read on a system that cannot tell, is waited for on a blocking
//! thread, for one piece. So a client that takes nothing holds one piece and no thread.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;

use super::buffers::{Buffers, Lent};
use super::{Fs, FsFile, blocking};
use crate::store::{BlobError, BlobId, BlobStream};

/// A blob that was opened, and what is still to be read of it.
pub(super) struct Reader {
    file: Box<dyn FsFile>,
    id: BlobId,
    path: PathBuf,
    at: u64,
    rest: u64,
    buffers: Arc<Buffers>,
}

impl Reader {
    /// Blocks.
    pub(super) fn open(
        fs: &dyn Fs,
        id: BlobId,
        path: PathBuf,
        range: Range<u64>,
        buffers: Arc<Buffers>,
    ) -> Result<Reader, BlobError> {
        let (at, rest) = (range.start, range.end.saturating_sub(range.start));
        match fs.open(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Err(BlobError::Missing(id)),
            Err(e) => Err(BlobError::io("open", path, e)),
            Ok(file) => Ok(Reader { file, id, path, at, rest, buffers }),
        }
    }

    /// The bytes, piece by piece.
    pub(super) fn into_stream(self) -> BlobStream {
        Box::pin(stream::unfold(Some(self), |reader| async move {
            let reader = reader.filter(|reader| reader.rest > 0)?;
            match reader.next().await {
                Ok((bytes, reader)) => Some((Ok(bytes), Some(reader))),
                Err(e) => Some((Err(e), None)),
            }
        }))
    }

    async fn next(mut self) -> Result<(Bytes, Reader), BlobError> {
        let most = self.rest.min(PIECE as u64) as usize;
        let mut buffer = self.buffers.lend(most).ok_or(BlobError::Closed)?;
        if let Some(length) = self.file.read_at_hand(self.at, buffer.room(most)) {
            return self.read(buffer, length);
        }
        blocking(move || {
            let length = self
                .file
                .read(self.at, buffer.room(most))
                .map_err(|e| BlobError::io("read", &self.path, e))?;
            self.read(buffer, length)
        })
        .await
    }

    fn read(mut self, mut buffer: Lent, length: usize) -> Result<(Bytes, Reader), BlobError> {
        if length == 0 {
            return Err(BlobError::Short(self.id));
        }
        buffer.set_used(length);
        self.at += length as u64;
        self.rest = self.rest.saturating_sub(length as u64);
        Ok((Bytes::from_owner(buffer), self))
    }
}

/// Bytes read at a time.
pub(super) const PIECE: usize = 256 * 1024;
