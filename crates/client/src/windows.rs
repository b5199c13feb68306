//! A part that is read window by window while it is sent.
//!
//! Where its digests were taken in a first pass, as the MD5 goes out before the bytes, this pass compares: bytes that changed in between
//! fail the request. Where no digest goes out beforehand there is one pass, and its CRC64 is known at its end. Either way the last
//! window leaves only after that look, so that the server never holds a part that is not the file's.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use tokio::task::JoinHandle;
use vodferry_engine::Fault;

use crate::buffers::{Buffer, Buffers};
use crate::limit::PIECE;
use crate::source::{Source, fault};

/// A pass over a range of a source. What is not in the system's memory is read ahead, one window.
#[derive(Debug)]
pub(crate) struct Windows {
    source: Arc<Source>,
    rest: Range<u64>,
    buffers: Arc<Buffers>,
    length: u64,
    passed: u64,
    seen: Digest,
    crc64: Crc64,
    ahead: Option<JoinHandle<Result<Buffer, Fault>>>,
}

/// The CRC64 of the whole range.
#[derive(Debug)]
enum Crc64 {
    /// From the first pass.
    Known(u64),
    /// To be told.
    Asked(Told),
}

/// The CRC64 of a range that was read to its end.
pub(crate) type Told = Arc<OnceLock<u64>>;

impl Windows {
    /// The second pass over `range` of `source`, whose CRC64 is known.
    pub(crate) fn second(
        source: Arc<Source>,
        range: Range<u64>,
        buffers: Arc<Buffers>,
        crc64: u64,
    ) -> Windows {
        Windows::new(source, range, buffers, Crc64::Known(crc64))
    }

    /// The only pass over `range` of `source`, and where its CRC64 will be. An empty range has no pass.
    pub(crate) fn only(
        source: Arc<Source>,
        range: Range<u64>,
        buffers: Arc<Buffers>,
    ) -> (Windows, Told) {
        let told = Told::default();
        (Windows::new(source, range, buffers, Crc64::Asked(told.clone())), told)
    }

    fn new(source: Arc<Source>, rest: Range<u64>, buffers: Arc<Buffers>, crc64: Crc64) -> Windows {
        let (length, passed) = (rest.end.saturating_sub(rest.start), 0);
        let seen = Digest::new(CrcAlgorithm::Crc64Xz);
        Windows { source, rest, buffers, length, passed, seen, crc64, ahead: None }
    }

    /// Bytes of the range.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// The next window; `None` at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        if self.ahead.is_none() {
            let Some(next) = self.next() else { return Poll::Ready(None) };
            match next.at_hand() {
                Ok(window) => return Poll::Ready(Some(self.passed(window))),
                Err(next) => self.ahead = Some(next.read()),
            }
        }
        let Some(ahead) = &mut self.ahead else { return Poll::Ready(None) };
        let window = ready!(Pin::new(ahead).poll(cx)).unwrap_or_else(|_| Err(cut()));
        // Where one had to be waited for, so will be those behind it.
        self.ahead = self.next().map(Next::read);
        Poll::Ready(Some(window.and_then(|window| self.passed(window))))
    }

    /// The CRC64 goes on; behind the last window it is compared or told.
    fn passed(&mut self, window: Buffer) -> Result<Bytes, Fault> {
        self.seen.update(window.as_ref());
        self.passed += window.as_ref().len() as u64;
        if self.passed == self.length {
            match &self.crc64 {
                Crc64::Known(first) if *first != self.seen.finalize() => {
                    return Err(self.source.changed());
                }
                Crc64::Known(_) => {}
                Crc64::Asked(told) => {
                    told.set(self.seen.finalize()).ok();
                }
            }
        }
        Ok(Bytes::from_owner(window))
    }

    /// The next window to read; `None` when there is none.
    fn next(&mut self) -> Option<Next> {
        if self.rest.is_empty() {
            return None;
        }
        let at = self.rest.start;
        self.rest.start = self.rest.end.min(at.saturating_add(PIECE as u64));
        let length = usize::try_from(self.rest.start - at).ok()?;
        let (source, buffer) = (self.source.clone(), self.buffers.window(length));
        Some(Next { source, at, buffer, last: self.rest.is_empty() })
    }
}

/// A window that is not read yet.
struct Next {
    source: Arc<Source>,
    at: u64,
    buffer: Buffer,
    last: bool,
}

impl Next {
    /// The window, if reading it waits for nobody.
    fn at_hand(mut self) -> Result<Buffer, Next> {
        let filled = self.source.read_at_hand(self.buffer.as_mut(), self.at);
        if filled && (!self.last || self.source.check().is_ok()) {
            Ok(self.buffer)
        } else {
            Err(self)
        }
    }

    /// Reads it, whatever that waits for. Behind the last one the source is looked at.
    fn read(mut self) -> JoinHandle<Result<Buffer, Fault>> {
        tokio::task::spawn_blocking(move || {
            self.source.read(self.buffer.as_mut(), self.at)?;
            if self.last {
                self.source.check()?;
            }
            Ok(self.buffer)
        })
    }
}

/// A read that the runtime gave up: it is shutting down.
pub(crate) fn cut() -> Fault {
    let kind = vodferry_engine::FaultKind::Transient(vodferry_engine::ErrorKind::Io);
    fault(kind, "ReadFailed", "a read was cut short")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::source::Origin;

    async fn collect(mut windows: Windows) -> Result<Vec<u8>, Fault> {
        let mut all = Vec::new();
        while let Some(window) = std::future::poll_fn(|cx| windows.poll_next(cx)).await {
            all.extend_from_slice(&window?);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn one_pass_uses_its_buffers_again_and_tells_what_it_saw() {
        let bytes: Vec<u8> = (0..5 * PIECE + 7).map(|i| (i * 31 + i / 257) as u8).collect();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(&bytes).unwrap();
        let source = Arc::new(Source::open(&Origin::Path(file.path().into())).unwrap());
        for budget in [0, 1 << 20] {
            let buffers = Buffers::new(budget, 1);
            let range = 3..bytes.len() as u64;
            let (windows, told) = Windows::only(source.clone(), range, buffers.clone());
            assert_eq!((windows.length(), told.get()), (bytes.len() as u64 - 3, None));
            assert_eq!(collect(windows).await.unwrap(), &bytes[3..]);
            let crc64 = crc_fast::checksum(CrcAlgorithm::Crc64Xz, &bytes[3..]);
            assert_eq!(told.get(), Some(&crc64));
            assert!(buffers.held() <= budget.min(3 * PIECE as u64), "{}", buffers.held());
        }
        let other = Windows::second(source.clone(), 0..1, Buffers::new(0, 1), 1);
        assert!(collect(other).await.is_err());
    }
}
