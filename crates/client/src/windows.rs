//! A part too large for the memory budget, read window by window while it is sent.
//!
//! Its digests were taken in a first pass, as its headers go out before its bytes. So the second pass compares: bytes that changed in
//! between fail the request before its last window leaves, and the server never holds a part that is not the file's.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use crc_fast::{CrcAlgorithm, Digest};
use tokio::task::JoinHandle;
use vodferry_engine::Fault;

use crate::limit::PIECE;
use crate::source::{Source, fault};

type Window = Result<Vec<u8>, Fault>;

/// The second pass over a range of a file. One window is read ahead.
#[derive(Debug)]
pub(crate) struct Windows {
    source: Arc<Source>,
    rest: Range<u64>,
    /// Of the whole range, from the first pass.
    crc64: u64,
    seen: Digest,
    ahead: Option<JoinHandle<Window>>,
}

impl Windows {
    /// Over `range` of `source`, whose CRC64 is known.
    pub(crate) fn new(source: Arc<Source>, range: Range<u64>, crc64: u64) -> Windows {
        let seen = Digest::new(CrcAlgorithm::Crc64Xz);
        Windows { source, rest: range, crc64, seen, ahead: None }
    }

    /// Bytes of the range, before the first window was taken.
    pub(crate) fn remaining(&self) -> u64 {
        self.rest.end.saturating_sub(self.rest.start)
    }

    /// The next window; `None` at the end.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        if self.ahead.is_none() {
            self.ahead = self.read();
        }
        let Some(ahead) = &mut self.ahead else { return Poll::Ready(None) };
        let window = ready!(Pin::new(ahead).poll(cx));
        self.ahead = None;
        let window = match window {
            Ok(Ok(window)) => window,
            Ok(Err(fault)) => return Poll::Ready(Some(Err(fault))),
            Err(_) => return Poll::Ready(Some(Err(cut()))),
        };
        self.seen.update(&window);
        self.ahead = self.read();
        if self.ahead.is_none() && self.seen.finalize() != self.crc64 {
            return Poll::Ready(Some(Err(self.source.changed())));
        }
        Poll::Ready(Some(Ok(Bytes::from(window))))
    }

    /// Begins to read the next window; `None` when there is none.
    fn read(&mut self) -> Option<JoinHandle<Window>> {
        let begin = self.rest.start;
        let end = self.rest.end.min(begin.saturating_add(PIECE as u64));
        if begin >= end {
            return None;
        }
        self.rest.start = end;
        let source = self.source.clone();
        Some(tokio::task::spawn_blocking(move || {
            let mut window = vec![0; usize::try_from(end - begin).unwrap_or(0)];
            source.read(&mut window, begin)?;
            Ok(window)
        }))
    }
}

/// A read that the runtime gave up: it is shutting down.
pub(crate) fn cut() -> Fault {
    let kind = vodferry_engine::FaultKind::Transient(vodferry_engine::ErrorKind::Io);
    fault(kind, "ReadFailed", "a read was cut short")
}
