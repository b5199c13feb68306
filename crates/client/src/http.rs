//! The port to the network: one method, from a request and its body to a response.
//!
//! The engine decides about retries; whatever implements [`Http`] sends once, follows no redirect and answers every status as it is.
//! [`http_client`] gives the one that is used by default.

use std::fmt;
use std::sync::Arc;

use vodferry_engine::{ErrorKind, FaultKind};
use vodferry_oss::{Request, Response};

use crate::body::Meter;
use crate::limit::Limit;
use crate::watch::Watch;
use crate::{Body, BoxFuture, Error, Options, Timeouts};

/// Sends one request and reads the response to its end. One that wraps another passes all methods on, also those with a default.
pub trait Http: Send + Sync + 'static {
    /// Sends `request` with `body`; dropping the future cuts the request.
    ///
    /// The response's body must be bounded (1 MiB is plenty for this protocol), its header names in lower case. A body that fails
    /// under way makes the request fail; why, the body remembers. A success is believed only when the body was taken to its end. How the
    /// reply comes is told to [`Body::reply_watch`].
    fn send(
        &self,
        request: Request,
        body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>>;

    /// The way to the network changed: connections kept from before are not to be used again.
    fn network_changed(&self) {}

    /// Whether this machine reaches its servers from another address than when this was last asked: the old one is gone, or a better
    /// way was found. Asked every two seconds while requests are under way; true is followed by
    /// [`network_changed`](Http::network_changed).
    fn route_changed(&self) -> bool {
        false
    }

    /// How long those wait for a reply who have no [`Options`] of their own: a [`Download`](crate::Download), an
    /// [`AppServer`](crate::AppServer), a [`VodApi`](crate::VodApi). Default: [`Timeouts::default`]; [`http_client`] gives those of the
    /// options that it was made with.
    fn timeouts(&self) -> Timeouts {
        Timeouts::default()
    }
}

/// The client used by default: HTTP/1.1 by reqwest, TLS by rustls with ring, the system's certificates and those of
/// [`Options::ca_file`], no redirects, no retries.
///
/// # Errors
///
/// Kind `Io` when the CA file cannot be read, `Misuse` when it holds no certificate or the proxy is not a URL.
pub fn http_client(options: &Options) -> Result<Arc<dyn Http>, Error> {
    Ok(Arc::new(crate::net::Net::new(options)?))
}

/// Sends a request with these bytes, as fast as they go, and waits as long as [`Http::timeouts`] says.
pub(crate) async fn send_in_time(
    http: &dyn Http,
    request: Request,
    bytes: Vec<u8>,
) -> Result<Response, TransportError> {
    let host = request.authority.clone();
    let watch = Arc::new(Watch::new(http.timeouts(), bytes.len() as u64));
    let meter = Meter::new(Arc::new(Limit::new(0)), watch.clone(), |_| {});
    tokio::select! {
        reply = http.send(request, Body::from_bytes(bytes).metered(meter)) => reply,
        why = watch.expired() => {
            let text = format!("no reply from {host}: {why}");
            Err(TransportError::new(TransportErrorKind::Timeout, text))
        }
    }
}

/// Why there is no response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TransportErrorKind {
    /// The request's own body failed.
    Body,
    /// The server's certificate is not trusted. Does not heal by itself.
    Certificate,
    /// Nobody answers at the address.
    Connect,
    /// The name is not known.
    Dns,
    /// The connection broke after it had been made.
    Lost,
    /// What came is not HTTP, or more than anyone should buffer.
    Protocol,
    /// The reply broke off in its middle.
    ReplyCut,
    /// The request is not one that can be sent.
    Request,
    /// Too slow.
    Timeout,
    /// TLS could not be agreed upon.
    Tls,
}

/// There is no response: why, and a line of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransportError {
    /// Why.
    pub kind: TransportErrorKind,
    /// For people; names the host, never the query or a header.
    pub message: String,
}

impl TransportError {
    /// An error of `kind`.
    pub fn new(kind: TransportErrorKind, message: impl Into<String>) -> TransportError {
        TransportError { kind, message: message.into() }
    }

    /// The code that the application sees.
    pub fn code(&self) -> &'static str {
        match self.kind {
            TransportErrorKind::Body => "BodyFailed",
            TransportErrorKind::Certificate => "CertificateInvalid",
            TransportErrorKind::Connect => "ConnectFailed",
            TransportErrorKind::Dns => "DnsFailed",
            TransportErrorKind::Lost => "ConnectionLost",
            TransportErrorKind::Protocol => "NotHttp",
            TransportErrorKind::ReplyCut => "ReplyCut",
            TransportErrorKind::Request => "BadRequestUrl",
            TransportErrorKind::Timeout => "TimedOut",
            TransportErrorKind::Tls => "TlsFailed",
        }
    }

    /// What to do about it: all but a wrong certificate and an impossible request may heal.
    pub fn fault_kind(&self) -> FaultKind {
        match self.kind {
            TransportErrorKind::Certificate => FaultKind::Fatal(ErrorKind::Network),
            TransportErrorKind::Request => FaultKind::Fatal(ErrorKind::Misuse),
            TransportErrorKind::Protocol => FaultKind::Transient(ErrorKind::Protocol),
            _ => FaultKind::Transient(ErrorKind::Network),
        }
    }
}

impl fmt::Display for TransportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for TransportError {}
