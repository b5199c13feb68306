//! From a socket to requests: accepting, the HTTP settings of a connection, and an end that
//! finishes what is under way.

mod head;
mod http2;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::head::First;
use super::App;
use super::call::Peer;
use super::patient::Patient;
use super::pipeline::handle;
use super::tls::{HTTP2, Offer};
use crate::config::Limits;

/// Serves connections until `stop`, then finishes requests under way, at most as long as the
/// configuration says. Dropping the future drops every connection at once, as the death of the
/// process would.
pub(crate) async fn accept(listener: TcpListener, app: Arc<App>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(app.config.limits.connections));
    let mut connections = JoinSet::new();
    while let Some((stream, peer, place)) = next(&listener, &places, &stop).await {
        while connections.try_join_next().is_some() {}
        let (app, stop) = (app.clone(), stop.clone());
        connections.spawn(async move {
            serve_connection(stream, peer, app, stop).await;
            drop(place);
        });
    }
    drop(listener);
    let patience = app.config.limits.shutdown;
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(patience, all).await.is_err() {
        tracing::warn!(open = connections.len(), "requests still under way were cut");
    }
}

/// The next connection, who is there, and its place among the allowed ones; `None` when it is time
/// to stop.
async fn next(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
    stop: &CancellationToken,
) -> Option<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let accepting = async {
        let place = places.clone().acquire_owned().await.ok()?;
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => return Some((stream, peer, place)),
                Err(error) if is_about_the_connection(&error) => {}
                // Out of file handles, most likely: nothing to do but wait until some are closed.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => None,
        accepted = accepting => accepted,
    }
}

async fn serve_connection(
    stream: TcpStream,
    peer: SocketAddr,
    app: Arc<App>,
    stop: CancellationToken,
) {
    // Replies are small and waited for; a failure costs some milliseconds, not correctness.
    let _ = stream.set_nodelay(true);
    let _open = app.metrics.connection();
    let peer = Peer { ip: peer.ip(), secure: app.tls.is_some() };
    let patience = app.config.limits.idle_reply;
    let Some(tls) = app.tls.clone() else {
        return serve_http1(Patient::new(stream, patience), peer, app, stop).await;
    };
    let Offer { config, http2 } = tls.offer();
    let handshake = TlsAcceptor::from(config).accept(stream);
    let accepted = tokio::select! {
        accepted = timeout(app.config.limits.header_time, handshake) => accepted,
        () = stop.cancelled() => return,
    };
    let stream = match accepted {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(peer = %peer.ip, %error, "no TLS came about"),
        Err(_) => return tracing::debug!(peer = %peer.ip, "no TLS came about in time"),
    };
    let speaks_http2 = stream.get_ref().1.alpn_protocol() == Some(HTTP2);
    let stream = Patient::new(stream, patience);
    match http2.filter(|_| speaks_http2) {
        Some(_place) => http2::serve(stream, peer, app, stop).await,
        None => serve_http1(stream, peer, app, stop).await,
    }
}

async fn serve_http1<S>(mut stream: Patient<S>, peer: Peer, app: Arc<App>, stop: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let limits = &app.config.limits;
    let http = http_of(limits);
    let first = tokio::select! {
        first = head::read(&mut stream, limits) => first,
        // Nothing was asked yet.
        () = stop.cancelled() => return,
    };
    let stream = match first {
        First::Head(bytes) => TokioIo::new(stream.beginning_with(bytes)),
        First::Nothing => return,
        First::Refused(error) => return head::refuse(&mut stream, &app, peer, *error).await,
    };
    let service = service_fn(move |request| {
        let app = app.clone();
        async move { Ok::<_, Infallible>(handle(app, peer, request).await) }
    });
    let connection = http.serve_connection(stream, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %peer.ip, %error, "connection ended early");
    }
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
