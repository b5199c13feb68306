//! From a range of a file to a request's body and digests.
//!
//! With room in the memory budget the range is read once, hashed while it is in the cache, and sent from where it lies. Without, it is
//! read twice: hashed in windows, then sent in windows.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest as Crc64};
use md5::{Digest as _, Md5};
use vodferry_engine::Fault;
use vodferry_exchange::Digests;

use crate::Body;
use crate::buffers::Buffers;
use crate::limit::PIECE;
use crate::source::Source;
use crate::windows::{Windows, cut};

/// Reads and hashes `range` of `source`; the source is looked at before and after.
pub(crate) async fn prepare(
    source: Arc<Source>,
    range: Range<u64>,
    buffers: Arc<Buffers>,
    with_md5: bool,
) -> Result<(Body, Digests), Fault> {
    let blocking = move || read(source, range, &buffers, with_md5);
    tokio::task::spawn_blocking(blocking).await.unwrap_or_else(|_| Err(cut()))
}

fn read(
    source: Arc<Source>,
    range: Range<u64>,
    buffers: &Arc<Buffers>,
    with_md5: bool,
) -> Result<(Body, Digests), Fault> {
    source.check()?;
    let length = range.end.saturating_sub(range.start);
    let mut hashes = Hashes::new(with_md5);
    let buffer = usize::try_from(length).ok().and_then(|length| buffers.take(length));
    let body = match buffer {
        Some(mut buffer) => {
            let mut at = range.start;
            for window in buffer.as_mut().chunks_mut(PIECE) {
                source.read(window, at)?;
                hashes.update(window);
                at += window.len() as u64;
            }
            source.check()?;
            Body::from_bytes(Bytes::from_owner(buffer))
        }
        None => {
            let mut window = vec![0; PIECE];
            let mut at = range.start;
            while at < range.end {
                let size = usize::try_from(range.end - at).unwrap_or(PIECE).min(PIECE);
                let window = window.get_mut(..size).unwrap_or_default();
                source.read(window, at)?;
                hashes.update(window);
                at += size as u64;
            }
            source.check()?;
            Body::from_windows(Windows::new(source, range, hashes.crc64.finalize()))
        }
    };
    Ok((body, hashes.finish(length)))
}

struct Hashes {
    md5: Option<Md5>,
    crc64: Crc64,
}

impl Hashes {
    fn new(with_md5: bool) -> Hashes {
        Hashes { md5: with_md5.then(Md5::new), crc64: Crc64::new(CrcAlgorithm::Crc64Xz) }
    }

    fn update(&mut self, bytes: &[u8]) {
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
        self.crc64.update(bytes);
    }

    fn finish(self, length: u64) -> Digests {
        Digests {
            length,
            md5: self.md5.map(|md5| md5.finalize().into()),
            crc64: Some(self.crc64.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const LENGTH: usize = 700_001;

    fn bytes() -> Vec<u8> {
        (0..LENGTH).map(|i| (i * 31 + i / 257) as u8).collect()
    }

    fn source() -> (tempfile::NamedTempFile, Arc<Source>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes()).unwrap();
        let source = Arc::new(Source::open(file.path()).unwrap());
        (file, source)
    }

    async fn collect(mut body: Body) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(piece) = body.next().await {
            all.extend_from_slice(&piece.ok()?);
        }
        Some(all)
    }

    #[test]
    fn the_hashes_are_the_wire_s() {
        let mut hashes = Hashes::new(true);
        hashes.update(b"123456789");
        let digests = hashes.finish(9);
        assert_eq!(digests.crc64, Some(0x995d_c9bb_df19_39fa));
        let md5 = digests.md5.unwrap();
        assert_eq!(md5[..4], [0x25, 0xf9, 0xe7, 0x94]);
        assert_eq!(Hashes::new(false).finish(0).md5, None);
    }

    #[tokio::test]
    async fn both_ways_give_the_same_bytes_and_digests() {
        let (_file, source) = source();
        for range in [0..LENGTH as u64, 5..6, 7..7, 100_000..100_000 + PIECE as u64] {
            let rich = Buffers::new(1 << 20);
            let poor = Buffers::new(0);
            let (once, a) = prepare(source.clone(), range.clone(), rich, true).await.unwrap();
            let (twice, b) = prepare(source.clone(), range.clone(), poor, true).await.unwrap();
            assert_eq!(a, b);
            assert_eq!((once.remaining(), twice.remaining()), (a.length, a.length));
            let want = &bytes()[range.start as usize..range.end as usize];
            assert_eq!(collect(once).await.unwrap(), want);
            assert_eq!(collect(twice).await.unwrap(), want);
        }
    }

    #[tokio::test]
    async fn bytes_that_change_between_the_passes_never_leave_whole() {
        let (file, source) = source();
        let all = 0..LENGTH as u64;
        let (mut body, _) = prepare(source.clone(), all, Buffers::new(0), false).await.unwrap();
        let mut changed = bytes();
        changed[LENGTH - 1] ^= 1;
        std::fs::write(file.path(), changed).unwrap();
        let mut left = 0;
        let end = loop {
            match body.next().await {
                Some(Ok(piece)) => left += piece.len(),
                other => break other,
            }
        };
        assert!(matches!(end, Some(Err(_))) && left < LENGTH, "{left}");
        assert!(body.next().await.is_none());
    }

    #[tokio::test]
    async fn a_range_beyond_the_end_is_an_error() {
        let (_file, source) = source();
        let beyond = LENGTH as u64 - 1..LENGTH as u64 + 1;
        assert!(prepare(source, beyond, Buffers::new(1 << 20), true).await.is_err());
    }
}
