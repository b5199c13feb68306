//! A connection that speaks HTTP/2.
//!
//! What bounds a connection of HTTP/1.1 must bound this one, too: how long it may be silent between
//! requests (and before the first), how long a client may take nothing of a reply that is there, how
//! large a head may be. Bodies on their way in have bounds of their own, whatever they come by.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as ReplyBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;

use super::places::{self, Place};
use crate::config::Limits;
use crate::http::App;
use crate::http::call::Peer;
use crate::http::pipeline::handle;

/// Bytes that may be under way to this server, of one stream and of all together: a long line is kept
/// full, and a connection holds no more than this in memory.
const WINDOW: u32 = 8 << 20;
/// Larger ones than the least that everybody must take, so that a body comes in fewer pieces.
const FRAME: u32 = 64 << 10;
/// A reply is handed over in pieces of this size: a client that takes one in time is not given up.
const PIECE: usize = 16 << 10;

/// For what is on its way to a connection that was told to go.
const GOING: Duration = Duration::from_secs(1);

/// Serves a connection until `stop`, until it is silent for too long, or until it ends.
pub(super) async fn serve<S>(
    stream: S,
    peer: Peer,
    app: Arc<App>,
    stop: CancellationToken,
    place: Place,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = app.config.limits.clone();
    let alive = CancellationToken::new();
    // What it asked for ends with it.
    let _ends = alive.clone().drop_guard();
    let (open, opened) = watch::channel(0_usize);
    let open = Arc::new(open);
    let own = place.clone();
    let service = service_fn(move |request| {
        let (app, busy) = (app.clone(), (Busy::new(&open), own.busy()));
        async move {
            let response = handle(app, peer, request).await;
            let progress = PROGRESS.try_with(Arc::clone).unwrap_or_default();
            progress.handed_over();
            Ok::<_, Infallible>(response.map(|body| {
                ReplyBody::new(Sending { body, rest: Bytes::new(), progress, _busy: busy })
            }))
        }
    });
    let streams = Streams { alive, patience: limits.idle_reply };
    let connection = http_of(&limits, streams).serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
        () = silence(opened.clone(), limits.header_time) => {
            connection.as_mut().graceful_shutdown();
            // Somebody may have asked for something in the same moment.
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = silence(opened, limits.header_time) => Ok(()),
            }
        }
        () = place.told_to_go() => {
            connection.as_mut().graceful_shutdown();
            // As above; but somebody else waits for the place.
            tokio::select! {
                ended = connection.as_mut() => ended,
                () = silence(opened, GOING) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.ip, %error, "connection ended early");
    }
}

fn http_of(limits: &Limits, streams: Streams) -> http2::Builder<Streams> {
    let mut http = http2::Builder::new(streams);
    http.timer(TokioTimer::new())
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
        // Of a peer that vanished nothing else tells while a reply is made.
        .keep_alive_interval(Some(limits.header_time))
        .keep_alive_timeout(limits.header_time);
    http
}

/// Resolves when no request was open for this long.
async fn silence(mut open: watch::Receiver<usize>, patience: Duration) {
    loop {
        if open.wait_for(|open| *open == 0).await.is_err() {
            return;
        }
        let asked = async { open.wait_for(|open| *open > 0).await.map(drop) };
        if !matches!(timeout(patience, asked).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Counts a request as open until its reply was handed over.
struct Busy(Arc<watch::Sender<usize>>);

impl Busy {
    fn new(open: &Arc<watch::Sender<usize>>) -> Busy {
        open.send_modify(|open| *open += 1);
        Busy(open.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|open| *open = open.saturating_sub(1));
    }
}

/// Runs the streams of one connection.
#[derive(Clone)]
struct Streams {
    alive: CancellationToken,
    patience: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn execute(&self, stream: F) {
        let Streams { alive, patience } = self.clone();
        let progress = Arc::<Progress>::default();
        let watched = progress.clone();
        let run = async move {
            tokio::select! {
                _ = stream => {}
                () = watched.stalled(patience) => {
                    tracing::debug!("the client takes nothing of a reply");
                }
                () = alive.cancelled() => {}
            }
        };
        tokio::spawn(PROGRESS.scope(progress, run));
    }
}

tokio::task_local! {
    /// Of the stream that this task is.
    static PROGRESS: Arc<Progress>;
}

/// Since when a stream waits for its client to take what is there; none while it waits for this server.
#[derive(Default)]
struct Progress(Mutex<Option<Instant>>);

impl Progress {
    fn handed_over(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn not_yet(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Resolves when the client has taken nothing for so long.
    async fn stalled(&self, patience: Duration) {
        loop {
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            match since {
                None => sleep(patience).await,
                Some(since) if since.elapsed() >= patience => return,
                Some(since) => sleep_until(since + patience).await,
            }
        }
    }
}

/// A reply on its way, in pieces.
struct Sending {
    body: ReplyBody,
    rest: Bytes,
    progress: Arc<Progress>,
    _busy: (Busy, places::Busy),
}

impl Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        while self.rest.is_empty() {
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => {
                    self.progress.not_yet();
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.rest = data,
                    Err(other) => return Poll::Ready(Some(Ok(other))),
                },
                Poll::Ready(ended) => return Poll::Ready(ended),
            }
        }
        self.progress.handed_over();
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower() + rest);
        if let Some(upper) = body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
