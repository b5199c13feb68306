//! Blobs: immutable runs of bytes under random names.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use futures_util::Stream;
use md5::{Digest, Md5};

use super::BoxFuture;

/// A place for blobs.
pub trait BlobStore: Send + Sync {
    /// Begins a blob, of so many bytes where that is known. It has no name before
    /// [`BlobWriter::finish`]; dropped before, it leaves nothing.
    fn writer(&self, length: Option<u64>) -> BoxFuture<'_, Result<Box<dyn BlobWriter>, BlobError>>;

    /// Refuses with [`BlobError::Full`] when bytes that are stored elsewhere on the same disk, so many of
    /// them, would take what is kept free there. Blobs are refused so while they are written.
    fn room(&self, bytes: u64) -> BoxFuture<'_, Result<(), BlobError>>;

    /// The bytes of `range` of a blob, in pieces of at most 256 KiB. The blob is opened before this
    /// returns, so a deletion that comes later does not cut the stream.
    ///
    /// A range that reaches beyond the blob ends the stream with [`BlobError::Short`].
    fn read<'a>(
        &'a self,
        id: &'a BlobId,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<BlobStream, BlobError>>;

    /// Removes a blob; one that is not there is a success.
    fn delete<'a>(&'a self, id: &'a BlobId) -> BoxFuture<'a, Result<(), BlobError>>;

    /// Up to `limit` blobs that were finished at least `age` ago, in no order that means anything,
    /// beginning after the one named by `after`.
    fn older_than<'a>(
        &'a self,
        age: Duration,
        after: Option<&'a BlobId>,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<BlobId>, BlobError>>;
}

/// A blob being written.
pub trait BlobWriter: Send {
    /// Appends `bytes`. Waits when the disk is slower than the caller. After an error the writer is
    /// of no use but to be dropped.
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), BlobError>>;

    /// Makes the blob durable under its name. Dropping the future half-way may leave a named blob
    /// that no row names; the janitor finds it.
    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Blob, BlobError>>;
}

/// Bytes of a blob; after an error nothing more comes.
pub type BlobStream = Pin<Box<dyn Stream<Item = Result<Bytes, BlobError>> + Send>>;

/// Bytes that arrived whole, before a row names them: a finished blob, or a small body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    /// Where they are.
    pub content: Content,
    /// How many.
    pub length: u64,
    /// MD5 of the bytes.
    pub md5: [u8; 16],
    /// CRC-64/XZ of the bytes.
    pub crc64: u64,
}

impl Blob {
    /// A small body.
    pub fn small(bytes: Bytes) -> Blob {
        Blob {
            length: bytes.len() as u64,
            md5: Md5::digest(&bytes).into(),
            crc64: crc_fast::checksum(CrcAlgorithm::Crc64Xz, &bytes),
            content: Content::Small(bytes),
        }
    }

    /// The name of its file; a small body has none.
    pub fn id(&self) -> Option<&BlobId> {
        match &self.content {
            Content::Blob(id) => Some(id),
            Content::Small(_) => None,
        }
    }
}

/// Where bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// In a file of the blob store.
    Blob(BlobId),
    /// Here, and in the database once a row has them: they come and go with it.
    Small(Bytes),
}

/// Names a blob: 32 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BlobId(String);

impl BlobId {
    /// A new name from the operating system's randomness, beginning with the two digits of `prefix`.
    pub(crate) fn random_in(prefix: u8) -> Result<BlobId, BlobError> {
        let mut raw = [0u8; 16];
        getrandom::fill(&mut raw)
            .map_err(|e| BlobError::io("draw a name for", "a blob", io::Error::other(e)))?;
        raw[0] = prefix;
        Ok(BlobId(format!("{:032x}", u128::from_be_bytes(raw))))
    }

    /// `text` as a name, if it is one.
    pub fn parse(text: &str) -> Option<BlobId> {
        let hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
        (text.len() == 32 && text.bytes().all(hex)).then(|| BlobId(text.to_owned()))
    }

    /// The 32 digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The value of the first two digits.
    pub(crate) fn folder(&self) -> u8 {
        u8::from_str_radix(self.prefix(), 16).unwrap_or_default()
    }

    /// The first two digits.
    pub(crate) fn prefix(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }
}

impl fmt::Display for BlobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a blob could not be written, read or removed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BlobError {
    /// The disk, or the quota on it, is full.
    #[error("no space left to {doing} {path}")]
    Full {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Any other failure of the file system.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A row names this blob, but it is not there.
    #[error("blob {0} is missing")]
    Missing(BlobId),
    /// The blob ends before the range does.
    #[error("blob {0} is shorter than its row says")]
    Short(BlobId),
    /// Another server uses the folder.
    #[error("another server uses {0}")]
    Locked(PathBuf),
    /// The store is shutting down.
    #[error("the blob store is closed")]
    Closed,
}

impl BlobError {
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
        source: io::Error,
    ) -> BlobError {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                BlobError::Full { doing, path, source }
            }
            _ => BlobError::Io { doing, path, source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let id = BlobId::random_in(0xab).unwrap();
        assert_eq!(id.prefix(), "ab");
        assert_eq!(BlobId::parse(id.as_str()), Some(id.clone()));
        assert_ne!(BlobId::random_in(0xab).unwrap(), id);
        let long = "a".repeat(33);
        for bad in
            ["", "ab", &"A".repeat(32), &"g".repeat(32), &long, "../../../../../../etc/passwd/.//"]
        {
            assert_eq!(BlobId::parse(bad), None, "{bad}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_told_apart() {
        let full = std::fs::write("/dev/full", b"x").unwrap_err();
        let told = BlobError::io("write", "/dev/full", full);
        assert!(matches!(told, BlobError::Full { .. }));
        assert_eq!(told.to_string(), "no space left to write /dev/full");
        let other = std::fs::read("/dev/full/x").unwrap_err();
        let told = BlobError::io("read", "/dev/full/x", other);
        assert!(matches!(told, BlobError::Io { .. }));
        assert_eq!(told.to_string(), "cannot read /dev/full/x");
    }
}
