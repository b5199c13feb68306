//! From a range of a file to a request's body and digests.
//!
//! Without an MD5, which goes out before the bytes, the range is read once, window by window, while it is sent. With one, and room in the
//! memory budget, it is read once, hashed while it is in the cache, and sent from where it lies; without room, or where the source itself is
//! in memory, it is read twice: hashed in windows, then sent in windows.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest as Crc64};
use vodferry_engine::Fault;
use vodferry_exchange::Digests;
use vodferry_lanes::{Lanes, Md5};

use crate::Body;
use crate::buffers::Buffers;
use crate::limit::PIECE;
use crate::source::Source;
use crate::windows::{Told, Windows, cut};

/// How the MD5 of parts is computed.
#[derive(Clone, Debug)]
pub(crate) enum PartMd5 {
    /// Not at all.
    Off,
    /// By whoever reads the part, while it is in the cache.
    Alone,
    /// That of parts in memory together with others that wait; that of others alone.
    Together(Arc<Lanes>),
}

/// A body that can be sent.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) body: Body,
    pub(crate) digests: Digests,
    /// Where the CRC64 will be that `digests` lacks, when the body went out whole.
    pub(crate) crc64: Option<Told>,
}

/// Reads and hashes `range` of `source`, as far as that is done beforehand; the source is looked at before and after.
pub(crate) async fn prepare(
    source: Arc<Source>,
    range: Range<u64>,
    buffers: Arc<Buffers>,
    md5: PartMd5,
) -> Result<Prepared, Fault> {
    if let PartMd5::Off = md5
        && !range.is_empty()
    {
        let length = range.end - range.start;
        let (windows, crc64) = Windows::only(source, range, buffers);
        let digests = Digests { length, md5: None, crc64: None };
        return Ok(Prepared { body: Body::from_windows(windows), digests, crc64: Some(crc64) });
    }
    let way = md5.clone();
    let blocking = move || read(source, range, &buffers, &way);
    let read = tokio::task::spawn_blocking(blocking).await.unwrap_or_else(|_| Err(cut()));
    let (bytes, body, mut digests) = read?;
    if let (PartMd5::Together(lanes), Some(bytes)) = (md5, bytes) {
        digests.md5 = Some(lanes.md5(bytes).await.ok_or_else(cut)?);
    }
    Ok(Prepared { body, digests, crc64: None })
}

/// The bytes where they are in memory, the body, and the digests but for an MD5 that is computed together.
fn read(
    source: Arc<Source>,
    range: Range<u64>,
    buffers: &Arc<Buffers>,
    md5: &PartMd5,
) -> Result<(Option<Bytes>, Body, Digests), Fault> {
    source.check()?;
    let length = range.end.saturating_sub(range.start);
    let fitting = usize::try_from(length).ok().filter(|_| !source.is_buffered());
    let buffer = fitting.and_then(|length| buffers.take(length));
    let mut hashes = Hashes::new(match md5 {
        PartMd5::Off => false,
        PartMd5::Alone => true,
        PartMd5::Together(_) => buffer.is_none(),
    });
    let (bytes, body) = match buffer {
        Some(mut buffer) => {
            let mut at = range.start;
            for window in buffer.as_mut().chunks_mut(PIECE) {
                source.read(window, at)?;
                hashes.update(window);
                at += window.len() as u64;
            }
            source.check()?;
            let bytes = Bytes::from_owner(buffer);
            (Some(bytes.clone()), Body::from_bytes(bytes))
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
            let crc64 = hashes.crc64.finalize();
            let windows = Windows::second(source, range, buffers.clone(), crc64);
            (None, Body::from_windows(windows))
        }
    };
    Ok((bytes, body, hashes.finish(length)))
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
            md5: self.md5.map(|md5| md5.finalize()),
            crc64: Some(self.crc64.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::source::Origin;

    const LENGTH: usize = 700_001;

    fn bytes() -> Vec<u8> {
        (0..LENGTH).map(|i| (i * 31 + i / 257) as u8).collect()
    }

    fn source() -> (tempfile::NamedTempFile, Arc<Source>) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes()).unwrap();
        let source = Arc::new(Source::open(&Origin::Path(file.path().into())).unwrap());
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
            let rich = Buffers::new(1 << 20, 1);
            let poor = Buffers::new(0, 1);
            let want = &bytes()[range.start as usize..range.end as usize];
            let mut before = None;
            for buffers in [rich, poor] {
                for md5 in [PartMd5::Alone, PartMd5::Together(Arc::default()), PartMd5::Off] {
                    let (source, range, buffers) = (source.clone(), range.clone(), buffers.clone());
                    let asked = !matches!(md5, PartMd5::Off);
                    let Prepared { body, mut digests, crc64 } =
                        prepare(source, range, buffers, md5).await.unwrap();
                    assert_eq!((body.remaining(), digests.md5.is_some()), (digests.length, asked));
                    assert_eq!(crc64.as_ref().and_then(|told| told.get()), None);
                    assert_eq!(collect(body).await.unwrap(), want);
                    digests.crc64 = digests.crc64.or(crc64.and_then(|told| told.get().copied()));
                    let all: &Digests = before.get_or_insert(digests);
                    digests.md5 = digests.md5.or(all.md5);
                    assert_eq!(all, &digests);
                }
            }
        }
    }

    #[tokio::test]
    async fn beyond_the_budget_parts_take_windows_not_memory() {
        let (_file, source) = source();
        let part = 200_000;
        let buffers = Buffers::new(2 * part, 2);
        let together = PartMd5::Together(Arc::default());
        let mut prepared = Vec::new();
        for at in 0..3 {
            let range = at * part..(at + 1) * part;
            let (source, md5) = (source.clone(), together.clone());
            prepared.push(prepare(source, range, buffers.clone(), md5).await.unwrap());
            assert_eq!(buffers.held(), part * (at + 1).min(2), "two in memory, the third is not");
        }
        for (at, Prepared { body, digests, .. }) in prepared.into_iter().enumerate() {
            let want = &bytes()[at * part as usize..(at + 1) * part as usize];
            assert_eq!(digests.md5, Some(<md5::Md5 as md5::Digest>::digest(want).into()));
            assert_eq!(collect(body).await.unwrap(), want);
        }
        // A part larger than the whole budget takes nothing of it.
        let all = 0..LENGTH as u64;
        let Prepared { body, .. } = prepare(source, all, buffers.clone(), together).await.unwrap();
        assert_eq!(buffers.held(), 2 * part);
        assert_eq!(collect(body).await.unwrap(), bytes());
    }

    #[tokio::test]
    async fn bytes_that_change_under_way_never_leave_whole() {
        for md5 in [PartMd5::Alone, PartMd5::Off] {
            let (file, source) = source();
            let all = 0..LENGTH as u64;
            let prepared = prepare(source, all, Buffers::new(0, 1), md5).await.unwrap();
            let Prepared { mut body, crc64, .. } = prepared;
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
            assert_eq!(crc64.and_then(|told| told.get().copied()), None);
        }
    }

    #[tokio::test]
    async fn a_range_beyond_the_end_is_an_error() {
        let (_file, source) = source();
        let beyond = LENGTH as u64 - 1..LENGTH as u64 + 1;
        assert!(prepare(source, beyond, Buffers::new(1 << 20, 1), PartMd5::Alone).await.is_err());
    }
}
