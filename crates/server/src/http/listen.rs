//! From a socket to requests: accepting, the HTTP settings of a connection, and an end that
//! finishes what is under way.

mod head;
mod http2;
mod places;
mod requests;

use std::convert::Infallible;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body as ReplyBody;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::head::First;
use self::places::{Busy, Place, Places};
use self::requests::{Refusal, Requests};
use super::App;
use super::body::{DRAIN_BYTES, DRAIN_TIME};
use super::call::Peer;
use super::patient::Patient;
use super::pipeline::handle;
use super::tls::{HTTP2, Offer};
use crate::config::Limits;

/// Serves connections until `stop`, then finishes requests under way, at most as long as the
/// configuration says. Dropping the future drops every connection at once, as the death of the
/// process would.
pub(crate) async fn accept(listener: TcpListener, app: Arc<App>, stop: CancellationToken) {
    let limits = &app.config.limits;
    let places = Places::new(limits.connections, limits.address_connections);
    let mut connections = JoinSet::new();
    while let Some((stream, peer)) = next(&listener, &stop).await {
        while connections.try_join_next().is_some() {}
        let admitted = match app.proxies.trusts(peer.ip()) {
            // Many clients come from there.
            true => Some(places.admit_any()),
            false => places.admit(peer.ip()),
        };
        let Some(admitted) = admitted else {
            tracing::debug!(peer = %peer.ip(), "closed: its address has all connections that it may");
            continue;
        };
        let taken = stop.run_until_cancelled(Places::take(admitted)).await;
        let Some(place) = taken.flatten() else { break };
        connections.spawn(serve_connection(stream, peer, app.clone(), stop.clone(), place));
    }
    drop(listener);
    let patience = app.config.limits.shutdown;
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(patience, all).await.is_err() {
        tracing::warn!(open = connections.len(), "requests still under way were cut");
    }
}

/// The next connection, and who is there; `None` when it is time to stop.
async fn next(listener: &TcpListener, stop: &CancellationToken) -> Option<(TcpStream, SocketAddr)> {
    let accepting = async {
        loop {
            match listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if is_about_the_connection(&error) => {}
                // Out of file handles, most likely: nothing to do but wait until some are closed.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accepting).await
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Arc<App>,
    stop: CancellationToken,
    place: Place,
) {
    // Replies are small and waited for; a failure costs some milliseconds, not correctness.
    let _ = stream.set_nodelay(true);
    let _open = app.metrics.connection();
    let peer = Peer { ip: peer.ip(), secure: app.tls.is_some(), via: None };
    let patience = app.config.limits.idle_reply;
    let Some(tls) = app.tls.clone() else {
        return serve_http1(Patient::new(stream, patience), peer, app, stop, place).await;
    };
    let Offer { config, http2 } = tls.offer();
    let handshake = TlsAcceptor::from(config).accept(stream);
    let accepted = tokio::select! {
        accepted = timeout(app.config.limits.header_time, handshake) => accepted,
        () = stop.cancelled() => return,
        () = place.told_to_go() => return,
    };
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(peer = %peer.ip, %error, "no TLS came about"),
        Err(_) => return tracing::debug!(peer = %peer.ip, "no TLS came about in time"),
    };
    let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    let stream = Patient::new(stream, patience);
    match http2.filter(|_| speaks_http2) {
        Some(_place) => http2::serve(stream, peer, app, stop, place).await,
        None => serve_http1(stream, peer, app, stop, place).await,
    }
}

async fn serve_http1<S>(
    mut stream: Patient<S>,
    peer: Peer,
    app: Arc<App>,
    stop: CancellationToken,
    place: Place,
) where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = &app.config.limits;
    let http = http_of(limits);
    let first = tokio::select! {
        first = head::read(&mut stream, limits) => first,
        // Nothing was asked yet.
        () = stop.cancelled() => return,
        () = place.told_to_go() => return,
    };
    let refusal = Arc::<Refusal>::default();
    let stream = match first {
        First::Head(bytes) => TokioIo::new(Requests::new(stream, bytes, limits, refusal.clone())),
        First::Nothing => return,
        First::Refused(error) => {
            head::refuse(&mut stream, &app, peer, *error).await;
            return linger(stream).await;
        }
    };
    let (shared, own) = (app.clone(), place.clone());
    let service = service_fn(move |request| {
        let (app, busy) = (shared.clone(), own.busy());
        Box::pin(async move {
            let response = handle(app, peer, request).await;
            Ok::<_, Infallible>(response.map(|body| ReplyBody::new(Sending { body, _busy: busy })))
        })
    });
    let mut connection = http.serve_connection(stream, service);
    let ended = tokio::select! {
        // First, so that a head that is there is a request before anything else is looked at.
        biased;
        ended = poll_fn(|cx| connection.poll_without_shutdown(cx)) => Some(ended),
        () = refusal.told() => None,
        () = stop.cancelled() => None,
        () = place.told_to_go() => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            Pin::new(&mut connection).graceful_shutdown();
            poll_fn(|cx| connection.poll_without_shutdown(cx)).await
        }
    };
    let requests = connection.into_parts().io.into_inner();
    let whole = requests.are_whole();
    let mut stream = requests.into_inner();
    match (ended, refusal.take()) {
        (Ok(()), Some(error)) => {
            head::refuse(&mut stream, &app, peer, *error).await;
            linger(stream).await;
        }
        (Err(error), _) if !error.is_parse() => {
            tracing::debug!(peer = %peer.ip, %error, "connection ended early");
        }
        // Whoever sent nothing more has nothing to lose, and somebody else waits for the place of one who
        // was told to go.
        _ if whole || place.is_told_to_go() => drop(stream.shutdown().await),
        _ => linger(stream).await,
    }
}

/// A reply on its way. Its connection has a request until it was handed over.
struct Sending {
    body: ReplyBody,
    _busy: Busy,
}

impl Body for Sending {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Ends a connection so that the client can still read the last reply: as long as bytes of it arrive that
/// nobody reads, its system throws away what it has not read yet.
async fn linger(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let ended = async {
        stream.shutdown().await?;
        tokio::io::copy(&mut stream.take(DRAIN_BYTES), &mut tokio::io::sink()).await
    };
    // Whoever is not done by then misses only a reply.
    let _ = timeout(DRAIN_TIME, ended).await;
}

fn http_of(limits: &Limits) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(limits.header_time)
        .max_buf_size(limits.header_bytes)
        .max_headers(limits.headers);
    http
}

fn is_about_the_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}
