//! `/metrics`, on an address of its own: who may read it is a matter of who can reach it. Whether the server
//! lives is told here, too, so that whoever watches over it is not one of those who wait when it is full.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::http::reply::{empty, reply, set};
use crate::http::{App, health};

/// Who scrapes is few.
const CONNECTIONS: usize = 32;
/// For one request and its reply, and between two of them.
const PATIENCE: Duration = Duration::from_secs(60);
const LONGEST_HEAD: usize = 16 << 10;
const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers until `stop`.
pub(crate) async fn serve(listener: TcpListener, app: Arc<App>, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    let accepting = async {
        while let Ok(place) = places.clone().acquire_owned().await {
            while connections.try_join_next().is_some() {}
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let app = app.clone();
            connections.spawn(async move {
                let _place = place;
                let service = service_fn(move |request| {
                    let app = app.clone();
                    async move { Ok::<_, Infallible>(answer(&app, &request).await) }
                });
                let served = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(PATIENCE)
                    .max_buf_size(LONGEST_HEAD)
                    // One request per connection, so that the bound on its time is one on all.
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service);
                let _ = timeout(PATIENCE * 2, served).await;
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
}

async fn answer(app: &App, request: &Request<Incoming>) -> Response<Body> {
    let path = request.uri().path();
    if path.starts_with(health::PREFIX) {
        return health::handle(app, path).await;
    }
    if path != "/metrics" {
        return empty(404);
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = empty(405);
        set(&mut response, "allow", "GET, HEAD");
        return response;
    }
    match app.metrics.text() {
        Ok(text) => reply(200, CONTENT_TYPE, text),
        Err(_) => empty(500),
    }
}
