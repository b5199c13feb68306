//! A blob on its way out.
//!
//! What the system has in memory is copied on the task that sends it: most reads are of that kind, since
//! the system reads ahead by itself, and to wake another thread for each piece would cost more than the
//! copy. What is not in memory, and every read on a system that cannot tell, is waited for on a blocking
//! thread, for one piece. So a client that takes nothing holds one piece and no thread.
//!
//! Pieces lie in buffers that are used again: fresh memory of this size costs as much as its content.

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::stream;

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
        let mut buffer = Buffers::lend(&self.buffers, self.rest.min(PIECE as u64) as usize);
        if let Some(length) = self.file.read_at_hand(self.at, &mut buffer.bytes) {
            return self.read(buffer, length);
        }
        blocking(move || {
            let length = self
                .file
                .read(self.at, &mut buffer.bytes)
                .map_err(|e| BlobError::io("read", &self.path, e))?;
            self.read(buffer, length)
        })
        .await
    }

    fn read(mut self, mut buffer: Lent, length: usize) -> Result<(Bytes, Reader), BlobError> {
        if length == 0 {
            return Err(BlobError::Short(self.id));
        }
        let length = length.min(buffer.bytes.len());
        buffer.used = length;
        self.at += length as u64;
        self.rest = self.rest.saturating_sub(length as u64);
        Ok((Bytes::from_owner(buffer), self))
    }
}

/// Buffers that wait to be used again.
#[derive(Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// `length` bytes, at most [`PIECE`], with any content.
    fn lend(home: &Arc<Buffers>, length: usize) -> Lent {
        let bytes = match length {
            PIECE => home.0.lock().unwrap_or_else(PoisonError::into_inner).pop(),
            _ => None,
        };
        let bytes = bytes.unwrap_or_else(|| vec![0; length]);
        Lent { bytes, used: 0, home: home.clone() }
    }
}

/// A buffer, until everybody has let go of what was read into it.
struct Lent {
    bytes: Vec<u8>,
    used: usize,
    home: Arc<Buffers>,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.used).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if self.bytes.len() == PIECE {
            let mut kept = self.home.0.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() < KEPT {
                kept.push(std::mem::take(&mut self.bytes));
            }
        }
    }
}

/// Bytes read at a time.
const PIECE: usize = 256 * 1024;
/// Buffers that are kept when nobody reads.
const KEPT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_is_used_again_when_its_bytes_are_let_go_of() {
        let home = Arc::<Buffers>::default();
        let mut lent = Buffers::lend(&home, PIECE);
        lent.bytes.fill(7);
        lent.used = 10;
        let bytes = Bytes::from_owner(lent);
        let part = bytes.slice(2..5);
        drop(bytes);
        assert_eq!((&part[..], home.0.lock().unwrap().len()), (&[7, 7, 7][..], 0));
        drop(part);
        assert_eq!(home.0.lock().unwrap().len(), 1);
        assert_eq!(Buffers::lend(&home, PIECE).bytes[0], 7);
        assert!(Buffers::lend(&home, 3).bytes.len() == 3);
        let many: Vec<_> = (0..2 * KEPT).map(|_| Buffers::lend(&home, PIECE)).collect();
        drop(many);
        assert_eq!(home.0.lock().unwrap().len(), KEPT);
    }
}
