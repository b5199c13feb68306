//! The bytes of a request on their way out: in pieces, at the permitted rate, counted, and watched.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;
use vodferry_engine::Fault;

use crate::limit::{Limit, PIECE};
use crate::watch::Watch;
use crate::windows::Windows;

/// The bytes of a request: a known length, handed out in pieces. It is an [`http_body::Body`].
pub struct Body {
    bytes: Bytes,
    windows: Option<Windows>,
    remaining: u64,
    meter: Option<Meter>,
    /// A piece that waits for its turn at the limit.
    held: Option<(Bytes, Pin<Box<Sleep>>)>,
}

/// Why a body broke off; the reason itself is kept by whoever made the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyError;

impl Body {
    /// Bytes in memory.
    pub fn from_bytes(bytes: impl Into<Bytes>) -> Body {
        let bytes = bytes.into();
        let remaining = bytes.len() as u64;
        Body { bytes, windows: None, remaining, meter: None, held: None }
    }

    /// Bytes of a file, read window by window.
    pub(crate) fn from_windows(windows: Windows) -> Body {
        let remaining = windows.length();
        Body { bytes: Bytes::new(), windows: Some(windows), remaining, meter: None, held: None }
    }

    /// Counts, limits and watches what goes out.
    pub(crate) fn metered(mut self, meter: Meter) -> Body {
        self.meter = Some(meter);
        self
    }

    /// Bytes still to come.
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// To be told of the reply while the body is on its way; taken before the body is.
    pub fn reply_watch(&self) -> ReplyWatch {
        ReplyWatch(self.meter.as_ref().map(|meter| meter.watch.clone()))
    }

    /// The next piece; `None` at the end, and after an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, BodyError>> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, BodyError>>> {
        if self.held.is_none() {
            let piece = match ready!(self.poll_piece(cx)) {
                None => return Poll::Ready(None),
                Some(Ok(piece)) => piece,
                Some(Err(fault)) => {
                    self.remaining = 0;
                    self.windows = None;
                    if let Some(meter) = &self.meter {
                        meter.watch.fail(fault);
                    }
                    return Poll::Ready(Some(Err(BodyError)));
                }
            };
            let wait = match &self.meter {
                Some(meter) => meter.limit.reserve(piece.len()),
                None => Duration::ZERO,
            };
            if wait.is_zero() {
                return Poll::Ready(Some(Ok(self.gone(piece))));
            }
            if let Some(meter) = &self.meter {
                meter.watch.hold();
            }
            self.held = Some((piece, Box::pin(tokio::time::sleep(wait))));
        }
        if let Some((_, turn)) = &mut self.held {
            ready!(turn.as_mut().poll(cx));
        }
        let piece = self.held.take().map(|(piece, _)| piece);
        Poll::Ready(piece.map(|piece| Ok(self.gone(piece))))
    }

    /// The next piece, before anybody asked whether it may go.
    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        if self.bytes.is_empty()
            && let Some(windows) = &mut self.windows
        {
            match ready!(windows.poll_next(cx)) {
                None => {}
                Some(Ok(window)) => self.bytes = window,
                Some(Err(fault)) => return Poll::Ready(Some(Err(fault))),
            }
        }
        if self.bytes.is_empty() {
            return Poll::Ready(None);
        }
        let most = self.meter.as_ref().map_or(PIECE, |meter| meter.limit.piece());
        let piece = self.bytes.split_to(most.min(self.bytes.len()));
        Poll::Ready(Some(Ok(piece)))
    }

    /// A piece leaves.
    fn gone(&mut self, piece: Bytes) -> Bytes {
        self.remaining = self.remaining.saturating_sub(piece.len() as u64);
        if let Some(meter) = &mut self.meter {
            meter.sent += piece.len() as u64;
            meter.watch.moved(self.remaining == 0);
            (meter.tell)(meter.sent);
        }
        piece
    }
}

/// Where an [`Http`](crate::Http) tells that a reply moves, so that one that is slow is not taken for silence:
/// [`Timeouts::idle`](crate::Timeouts::idle) counts from the last time. Who tells nothing has `idle` for the whole reply.
#[derive(Clone, Debug)]
pub struct ReplyWatch(Option<Arc<Watch>>);

impl ReplyWatch {
    /// The head of the reply came (0 bytes), or so many bytes more of its body.
    pub fn moved(&self, bytes: usize) {
        if let Some(watch) = &self.0 {
            watch.replied(bytes as u64);
        }
    }
}

/// What a body on its way out is held against.
pub(crate) struct Meter {
    /// The bandwidth limit of the uploader.
    pub(crate) limit: Arc<Limit>,
    /// The watch over this request.
    pub(crate) watch: Arc<Watch>,
    /// Is told the bytes handed out so far.
    pub(crate) tell: Box<dyn Fn(u64) + Send + Sync>,
    sent: u64,
}

impl Meter {
    pub(crate) fn new(
        limit: Arc<Limit>,
        watch: Arc<Watch>,
        tell: impl Fn(u64) + Send + Sync + 'static,
    ) -> Meter {
        Meter { limit, watch, tell: Box::new(tell), sent: 0 }
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.get_mut().poll_next(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body").field("remaining", &self.remaining).finish_non_exhaustive()
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the body could not be read")
    }
}

impl std::error::Error for BodyError {}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use tokio::time::Instant;

    use super::*;
    use crate::Timeouts;

    #[tokio::test(start_paused = true)]
    async fn pieces_are_counted_and_keep_to_the_rate() {
        let told = Arc::new(Mutex::new(Vec::new()));
        let watch = Arc::new(Watch::new(Timeouts::default(), 1000));
        let seen = told.clone();
        let meter = Meter::new(Arc::new(Limit::new(1000)), watch, move |sent| {
            seen.lock().unwrap().push(sent);
        });
        let mut body = Body::from_bytes(vec![7; 1000]).metered(meter);
        let begun = Instant::now();
        let mut sizes = Vec::new();
        while let Some(Ok(piece)) = body.next().await {
            sizes.push(piece.len());
        }
        assert_eq!(sizes, [100; 10]);
        assert_eq!(begun.elapsed().as_millis() / 10, 90);
        assert_eq!(told.lock().unwrap().as_slice(), (1..=10).map(|n| n * 100).collect::<Vec<_>>());
        assert_eq!(body.remaining(), 0);
    }

    #[tokio::test]
    async fn without_a_limit_pieces_are_large() {
        let mut body = Body::from_bytes(vec![1; PIECE + 1]);
        assert_eq!(body.next().await.unwrap().unwrap().len(), PIECE);
        assert_eq!(body.next().await.unwrap().unwrap().len(), 1);
        assert!(body.next().await.is_none());
    }
}
