//! A reader's bytes in pieces, each of which takes about as much memory as it has bytes.

use std::io;
use std::pin::Pin;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt};

use crate::limit::PIECE;

/// A writer that pauses is not waited for once so many bytes are there.
const LEAST: usize = 16 << 10;

/// Reads to the end.
pub(super) struct Intake {
    reader: Pin<Box<dyn AsyncRead + Send>>,
    /// Empty between two pieces.
    buffer: BytesMut,
}

impl Intake {
    pub(super) fn new(reader: impl AsyncRead + Send + 'static) -> Intake {
        Intake { reader: Box::pin(reader), buffer: BytesMut::new() }
    }

    /// The next piece: so many bytes, fewer when the writer pauses, or has ended: `true`.
    pub(super) async fn next(&mut self, most: u64) -> io::Result<(Bytes, bool)> {
        let size = usize::try_from(most).unwrap_or(PIECE).min(PIECE);
        self.buffer.reserve(size);
        let ended = self.fill(size).await?;
        let piece = match self.buffer.len() {
            PIECE => std::mem::take(&mut self.buffer).freeze(),
            // What is not full would hold on to the memory of a full one.
            _ => Bytes::copy_from_slice(&self.buffer),
        };
        self.buffer.clear();
        Ok((piece, ended))
    }

    async fn fill(&mut self, size: usize) -> io::Result<bool> {
        let mut limited = (&mut self.reader).take(size as u64);
        while self.buffer.len() < size {
            tokio::select! {
                biased;
                read = limited.read_buf(&mut self.buffer) => if read? == 0 { return Ok(true) },
                () = std::future::ready(()), if self.buffer.len() >= LEAST => break,
            }
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn pieces_take_no_more_memory_than_they_have_bytes() {
        let (mut writer, reader) = tokio::io::duplex(2 * PIECE);
        let mut intake = Intake::new(reader);
        // A writer that pauses after so many.
        for length in [LEAST, 20_000, PIECE, 100_000, PIECE] {
            writer.write_all(&vec![7; length]).await.unwrap();
            let (piece, ended) = intake.next(u64::MAX).await.unwrap();
            assert_eq!((piece.len(), ended), (length, false));
            assert!(piece.iter().all(|byte| *byte == 7));
            let memory = piece.try_into_mut().unwrap().capacity();
            assert!(memory <= length + length / 8, "{length} bytes in {memory}");
        }
        writer.write_all(&[8; 100]).await.unwrap();
        assert_eq!(intake.next(60).await.unwrap().0.len(), 60);
        drop(writer);
        let (piece, ended) = intake.next(u64::MAX).await.unwrap();
        assert_eq!((piece.len(), ended), (40, true));
        assert!(intake.next(u64::MAX).await.unwrap().0.is_empty());
    }
}
