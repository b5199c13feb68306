//! How many parts are on their way: counted where requests are sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use vodferry::{Body, BoxFuture, Http, Method, Request, Response, Timeouts, TransportError};

/// Counts the uploads of bytes under way through an HTTP client; everything else passes through.
#[derive(Clone)]
pub(crate) struct Flights {
    http: Arc<dyn Http>,
    count: Arc<AtomicUsize>,
}

impl Flights {
    pub(crate) fn around(http: Arc<dyn Http>) -> Flights {
        Flights { http, count: Arc::default() }
    }

    /// Parts (and whole small objects) under way now.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}

impl Http for Flights {
    fn send(
        &self,
        request: Request,
        body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        let flight = (request.method == Method::Put).then(|| Flight::begin(&self.count));
        let reply = self.http.send(request, body);
        Box::pin(async move {
            let reply = reply.await;
            drop(flight);
            reply
        })
    }

    fn network_changed(&self) {
        self.http.network_changed();
    }

    fn route_changed(&self) -> bool {
        self.http.route_changed()
    }

    fn timeouts(&self) -> Timeouts {
        self.http.timeouts()
    }
}

/// Counts itself for as long as it lives, so that a request that is cut is counted down too.
struct Flight(Arc<AtomicUsize>);

impl Flight {
    fn begin(count: &Arc<AtomicUsize>) -> Flight {
        count.fetch_add(1, Ordering::Relaxed);
        Flight(count.clone())
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
