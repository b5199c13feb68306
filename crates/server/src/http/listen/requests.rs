//! The bytes of a connection on their way to the HTTP library, one request after the other.
//!
//! A head is held back until it is whole and was looked at; bodies pass as they come, and are followed only to
//! know where the next head begins. A head that is no good is not handed on: whoever serves the connection is
//! told, lets the library finish what is under way, and refuses it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use vodferry_oss::ServiceError;

use super::head::{Framing, Gathering, Head};
use crate::config::Limits;

/// A connection that hands on good requests only.
pub(super) struct Requests<S> {
    stream: S,
    /// Read, and not handed on.
    ahead: BytesMut,
    at: At,
    limits: Limits,
    refusal: Arc<Refusal>,
}

/// Where in a request the next byte belongs.
enum At {
    Head(Gathering),
    /// A whole head with so many bytes, and what follows.
    Whole(usize, Framing),
    /// So many bytes are left of a body.
    Body(u64),
    Chunks(Chunks),
    /// In what the library will refuse by itself, or behind the end.
    Unknown,
    Refused,
}

/// Why the connection ends, once that is known.
#[derive(Default)]
pub(super) struct Refusal {
    error: Mutex<Option<Box<ServiceError>>>,
    told: Notify,
}

impl Refusal {
    /// Resolves when there is one.
    pub(super) async fn told(&self) {
        self.told.notified().await;
    }

    /// The refusal, if there is one.
    pub(super) fn take(&self) -> Option<Box<ServiceError>> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn tell(&self, error: ServiceError) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(error));
        self.told.notify_one();
    }
}

impl<S> Requests<S> {
    /// Begins with `ahead`, as if that had not been read from the stream.
    pub(super) fn new(
        stream: S,
        ahead: BytesMut,
        limits: &Limits,
        refusal: Arc<Refusal>,
    ) -> Requests<S> {
        let at = At::Head(Gathering::default());
        Requests { stream, ahead, at, limits: limits.clone(), refusal }
    }

    /// Whether every request arrived whole, and nothing of another one.
    pub(super) fn are_whole(&self) -> bool {
        matches!(self.at, At::Head(_) | At::Body(0)) && self.ahead.is_empty()
    }

    /// The connection itself; what was read ahead is dropped.
    pub(super) fn into_inner(self) -> S {
        self.stream
    }

    /// Hands on what was read ahead, at most `most` bytes; how many these were.
    fn hand_on(&mut self, most: usize, buf: &mut ReadBuf<'_>) -> usize {
        let length = self.ahead.len().min(most).min(buf.remaining());
        buf.put_slice(self.ahead.get(..length).unwrap_or_default());
        self.ahead.advance(length);
        length
    }
}

impl<S: AsyncRead + Unpin> Requests<S> {
    /// Reads into `ahead`; whether anything came.
    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut space = [0; 8192];
        let mut space = ReadBuf::new(&mut space);
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut space))?;
        self.ahead.extend_from_slice(space.filled());
        Poll::Ready(Ok(!space.filled().is_empty()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Requests<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            let before = buf.filled().len();
            match &mut this.at {
                At::Head(gathering) => match gathering.step(&mut this.ahead, &this.limits) {
                    Ok(Some(Head { length, body })) => this.at = At::Whole(length, body),
                    Ok(None) => {
                        if !ready!(this.poll_more(cx))? {
                            this.at = At::Unknown;
                        }
                    }
                    Err(error) => {
                        this.refusal.tell(error);
                        this.at = At::Refused;
                    }
                },
                At::Whole(left, body) => {
                    let (left, body) = (*left, *body);
                    let handed = this.hand_on(left, buf);
                    this.at = match (left.saturating_sub(handed), body) {
                        (0, Framing::Length(length)) => At::Body(length),
                        (0, Framing::Chunked) => At::Chunks(Chunks::default()),
                        (left, body) => At::Whole(left, body),
                    };
                    return Poll::Ready(Ok(()));
                }
                At::Body(0) => this.at = At::Head(Gathering::default()),
                At::Body(_) | At::Chunks(_) => {
                    if this.ahead.is_empty() {
                        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
                    } else {
                        this.hand_on(usize::MAX, buf);
                    }
                    let new = buf.filled().get(before..).unwrap_or_default();
                    let (own, next) = match &mut this.at {
                        At::Body(left) => {
                            let own = usize::try_from(*left).unwrap_or(usize::MAX).min(new.len());
                            *left -= own as u64;
                            (own, None)
                        }
                        At::Chunks(chunks) => match chunks.follow(new) {
                            Followed::Within => (new.len(), None),
                            Followed::Ended(own) => (own, Some(At::Head(Gathering::default()))),
                            Followed::Lost => (new.len(), Some(At::Unknown)),
                        },
                        _ => (new.len(), None),
                    };
                    if let Some(behind) = new.get(own..).filter(|behind| !behind.is_empty()) {
                        let mut ahead = BytesMut::from(behind);
                        ahead.extend_from_slice(&this.ahead);
                        this.ahead = ahead;
                        buf.set_filled(before + own);
                    }
                    this.at = match next {
                        Some(next) => next,
                        None => return Poll::Ready(Ok(())),
                    };
                    return Poll::Ready(Ok(()));
                }
                At::Unknown if this.ahead.is_empty() => {
                    return Pin::new(&mut this.stream).poll_read(cx, buf);
                }
                At::Unknown => {
                    this.hand_on(usize::MAX, buf);
                    return Poll::Ready(Ok(()));
                }
                // Whoever serves the connection was told, and ends it.
                At::Refused => return Poll::Pending,
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Requests<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// A body in chunks, of which only the end is of interest.
#[derive(Debug, Default)]
struct Chunks {
    within: Within,
    /// Bytes left of a chunk, or, while its line is read, its length so far.
    length: u64,
    /// Something stands on the line.
    line: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Within {
    #[default]
    Size,
    Extension,
    Data,
    DataEnd,
    Trailer,
}

/// What became of some bytes of a body in chunks.
#[derive(Debug, PartialEq, Eq)]
enum Followed {
    /// All are of the body.
    Within,
    /// So many were the last of the body.
    Ended(usize),
    /// This is none.
    Lost,
}

impl Chunks {
    fn follow(&mut self, bytes: &[u8]) -> Followed {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            match self.within {
                Within::Data => {
                    let rest = bytes.len() - at;
                    let own = usize::try_from(self.length).unwrap_or(usize::MAX).min(rest);
                    self.length -= own as u64;
                    at += own;
                    if self.length == 0 {
                        self.within = Within::DataEnd;
                    }
                    continue;
                }
                Within::Size => match (char::from(byte).to_digit(16), byte) {
                    (Some(digit), _) => {
                        let longer =
                            self.length.checked_mul(16).and_then(|n| n.checked_add(digit.into()));
                        let Some(longer) = longer else { return Followed::Lost };
                        (self.length, self.line) = (longer, true);
                    }
                    (None, _) if !self.line => return Followed::Lost,
                    (None, b'\n') => self.sized(),
                    (None, b';' | b' ' | b'\t' | b'\r') => self.within = Within::Extension,
                    _ => return Followed::Lost,
                },
                Within::Extension if byte == b'\n' => self.sized(),
                Within::Extension => {}
                Within::DataEnd => match byte {
                    b'\r' => {}
                    b'\n' => self.within = Within::Size,
                    _ => return Followed::Lost,
                },
                Within::Trailer => match byte {
                    b'\n' if !self.line => return Followed::Ended(at + 1),
                    b'\n' => self.line = false,
                    b'\r' => {}
                    _ => self.line = true,
                },
            }
            at += 1;
        }
        Followed::Within
    }

    /// The line with a length is over.
    fn sized(&mut self) {
        self.line = false;
        self.within = if self.length == 0 { Within::Trailer } else { Within::Data };
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// What is handed on of these bytes, which come in pieces of this size, and why it ended.
    async fn handed_on(bytes: &[u8], piece: usize) -> (Vec<u8>, Option<String>) {
        let refusal = Arc::<Refusal>::default();
        let limits = Limits { header_bytes: 8192, ..Limits::default() };
        let mut requests =
            Requests::new(Pieces(bytes, piece), BytesMut::new(), &limits, refusal.clone());
        let mut handed = Vec::new();
        tokio::select! {
            read = requests.read_to_end(&mut handed) => drop(read.unwrap()),
            () = refusal.told() => {}
        }
        (handed, refusal.take().map(|error| error.message))
    }

    /// Gives so many bytes at a time.
    struct Pieces<'a>(&'a [u8], usize);

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let length = self.0.len().min(self.1).min(buf.remaining());
            let (piece, rest) = self.0.split_at(length);
            buf.put_slice(piece);
            self.0 = rest;
            Poll::Ready(Ok(()))
        }
    }

    const GET: &str = "GET /k HTTP/1.1\r\nHost: x\r\n\r\n";
    const PUT: &str = "PUT /k HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\n\r\nGET film\r\n\r\n";
    const CHUNKED: &str =
        "PUT /k HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfilm\r\n0aB;x=\"y\"\r\n";

    #[tokio::test]
    async fn good_requests_pass_whatever_the_pieces() {
        let chunked = format!("{CHUNKED}{}\r\n0\r\nTrailer: a\r\n\r\n", "b".repeat(0xab));
        let all = [GET, PUT, &chunked, GET].concat();
        for piece in [1, 2, 3, 7, 50, 100, 1000] {
            let (handed, refused) = handed_on(all.as_bytes(), piece).await;
            assert_eq!(refused, None, "{piece}");
            assert_eq!(String::from_utf8_lossy(&handed), all, "{piece}");
        }
    }

    #[tokio::test]
    async fn a_bad_head_behind_good_requests_is_held_back() {
        let chunked = format!("{CHUNKED}{}\r\n0\r\n\r\n", "b".repeat(0xab));
        for first in [GET, PUT, &chunked] {
            for bad in
                ["GET /k HTTP/1.1\r\nA\r\n\r\n", "no HTTP\r\n\r\n", "GET /k HTTP/9.1\r\n\r\n"]
            {
                for piece in [1, 3, 1000] {
                    let bytes = format!("{first}{bad}{GET}");
                    let (handed, refused) = handed_on(bytes.as_bytes(), piece).await;
                    assert_eq!(String::from_utf8_lossy(&handed), first, "{piece} {bad}");
                    assert!(refused.unwrap().contains("not well-formed"), "{bad}");
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_no_chunked_body_is_left_to_the_library() {
        let bytes = "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nfilm\r\n0\r\n\r\nno HTTP\r\n\r\n";
        for piece in [1, 1000] {
            assert_eq!(handed_on(bytes.as_bytes(), piece).await, (bytes.into(), None));
        }
    }

    #[tokio::test]
    async fn a_connection_may_end_anywhere() {
        for end in 0..GET.len() {
            let (handed, refused) = handed_on(&GET.as_bytes()[..end], 5).await;
            assert_eq!((handed.as_slice(), refused), (&GET.as_bytes()[..end], None));
        }
    }
}
