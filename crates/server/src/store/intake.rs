//! Bytes on their way in: few stay in memory and become a small body, more become a blob.

use bytes::{Bytes, BytesMut};

use super::{Blob, BlobError, BlobStore, BlobWriter};

/// Most bytes of a small body: 16 KiB. One costs its share of a commit in place of three syncs of its
/// own, but is written twice, to the database's log and to the database; and a commit of as many
/// commands as there may be stays below 8 MiB, so that nobody waits long for a neighbour's bytes.
pub const MAX_SMALL: u64 = 16 << 10;

/// Most bytes of all small bodies of an object together: 1 MiB. Whoever reads an object gets them in one
/// piece, since they may be gone a moment later.
pub const MAX_SMALL_OF_OBJECT: u64 = 1 << 20;

/// Takes bytes in. Dropped before [`finish`](Intake::finish), it leaves nothing.
pub struct Intake<'a> {
    blobs: &'a dyn BlobStore,
    most: u64,
    length: Option<u64>,
    held: BytesMut,
    writer: Option<Box<dyn BlobWriter>>,
}

impl<'a> Intake<'a> {
    /// For bytes that come after `before` others of their object, of which any may be those of small
    /// bodies.
    pub fn new(blobs: &'a dyn BlobStore, before: u64) -> Intake<'a> {
        let most = MAX_SMALL.min(MAX_SMALL_OF_OBJECT.saturating_sub(before));
        Intake { blobs, most, length: None, held: BytesMut::new(), writer: None }
    }

    /// For part `number` of an upload: those before it may all be small bodies.
    pub fn of_part(blobs: &'a dyn BlobStore, number: u32) -> Intake<'a> {
        Intake::new(blobs, u64::from(number.saturating_sub(1)) * MAX_SMALL)
    }

    /// So many bytes are to come, where that is known.
    #[must_use]
    pub fn expecting(mut self, length: Option<u64>) -> Intake<'a> {
        self.length = length;
        self
    }

    /// Appends `bytes`. Waits when the disk is slower than the caller. After an error it is of no use
    /// but to be dropped.
    ///
    /// # Errors
    /// Those of the blob store.
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), BlobError> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None if (self.held.len() + bytes.len()) as u64 <= self.most => {
                self.held.extend_from_slice(&bytes);
                return Ok(());
            }
            none => {
                let mut writer = self.blobs.writer(self.length).await?;
                writer.write(self.held.split().freeze()).await?;
                none.insert(writer)
            }
        };
        writer.write(bytes).await
    }

    /// What was written: a blob that is durable under its name, or a small body, which becomes durable
    /// with its row.
    ///
    /// # Errors
    /// Those of the blob store.
    pub async fn finish(self) -> Result<Blob, BlobError> {
        match self.writer {
            Some(writer) => writer.finish().await,
            None => {
                self.blobs.room(self.held.len() as u64).await?;
                Ok(Blob::small(self.held.freeze()))
            }
        }
    }
}
