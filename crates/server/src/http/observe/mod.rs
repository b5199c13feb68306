//! What an operator gets to see of requests: numbers, and a line for each.
//!
//! A request carries [`Notes`], into which whoever finds something out writes it down. When its reply
//! has left, or when it was cut, [`Watched`] tells the [metrics](Metrics) and the [access log](AccessLog).
//! Signatures, tokens and queries never get here.

mod access_log;
mod metrics;
mod scrape;

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::Body as ReplyBody;
use bytes::Bytes;
use http::Response;
use hyper::body::{Body, Frame, SizeHint};

use super::App;
use super::auth::Place;
use super::call::{Call, Peer};
use super::request_id::RequestId;
pub(crate) use access_log::AccessLog;
use access_log::Record;
pub(crate) use metrics::Metrics;
use metrics::Request;
pub(crate) use scrape::serve as serve_metrics;

/// What is found out about a request while it is answered.
#[derive(Default)]
pub(crate) struct Notes {
    found: Mutex<Found>,
    /// Bytes of its body so far.
    received: AtomicU64,
}

/// The parts of [`Notes`] that are texts; empty is unknown.
#[derive(Default)]
pub(crate) struct Found {
    /// As the protocol names it. One of a fixed set: it becomes a label.
    operation: String,
    /// The code of a refusal, likewise.
    code: String,
    place: Option<Place>,
    part: Option<u32>,
    access_key_id: String,
    /// What became of its callback.
    callback: &'static str,
}

impl Notes {
    /// Which operation it is. `name` must be known to this server: a client must not make labels.
    pub(crate) fn operation(&self, name: impl Into<String>) {
        self.found().operation = name.into();
    }

    /// The code that it is refused with.
    pub(crate) fn code(&self, code: &str) {
        code.clone_into(&mut self.found().code);
    }

    /// Which object or bucket it is about.
    pub(crate) fn place(&self, place: &Place) {
        self.found().place = Some(place.clone());
    }

    /// Which part it is about.
    pub(crate) fn part(&self, number: u32) {
        self.found().part = Some(number);
    }

    /// The access key that it names, which exists.
    pub(crate) fn access_key_id(&self, id: &str) {
        id.clone_into(&mut self.found().access_key_id);
    }

    /// What became of the callback that it asked for.
    pub(crate) fn callback(&self, outcome: &'static str) {
        self.found().callback = outcome;
    }

    /// More of its body arrived.
    pub(crate) fn received(&self, bytes: usize) {
        self.received.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn found(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request from its arrival to the last byte of its reply. Dropped, it is told.
pub(crate) struct Watched {
    app: Arc<App>,
    began: Instant,
    notes: Arc<Notes>,
    record: Record,
    /// None as long as there is no reply.
    status: Option<u16>,
    sent: u64,
}

impl Watched {
    pub(crate) fn new(app: &Arc<App>, call: &Call, began: Instant) -> Watched {
        app.metrics.arrived();
        Watched {
            app: app.clone(),
            began,
            notes: call.notes.clone(),
            record: Record::of(call, app.now_ms()),
            status: None,
            sent: 0,
        }
    }

    /// Watches the reply leave.
    pub(crate) fn replied(mut self, response: Response<ReplyBody>) -> Response<ReplyBody> {
        self.status = Some(response.status().as_u16());
        response.map(|body| ReplyBody::new(WatchedBody { body, watched: self }))
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let received = self.notes.received.load(Ordering::Relaxed);
        let found = std::mem::take(&mut *self.notes.found());
        let spent = self.began.elapsed();
        let request = Request {
            operation: found.operation.as_str(),
            status: self.status,
            code: found.code.as_str(),
            received,
            sent: self.sent,
            spent,
        };
        self.app.metrics.left(&request);
        if let Some(log) = &self.app.access_log {
            let record = std::mem::take(&mut self.record);
            log.write(record.with(found, self.status, received, self.sent, spent));
        }
    }
}

/// Tells of what was refused before it became a request.
pub(crate) fn refused(app: &App, id: RequestId, peer: Peer, status: u16, code: &str) {
    app.metrics.refused(status, code);
    if let Some(log) = &app.access_log {
        let found = Found { code: code.to_owned(), ..Found::default() };
        let record = Record::of_nothing(id, peer, app.now_ms());
        log.write(record.with(found, Some(status), 0, 0, Duration::ZERO));
    }
}

/// A reply whose bytes are counted as they leave.
struct WatchedBody {
    body: ReplyBody,
    watched: Watched,
}

impl Body for WatchedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Poll::Ready(Some(Ok(frame))) = &polled
            && let Some(data) = frame.data_ref()
        {
            self.watched.sent += data.len() as u64;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
