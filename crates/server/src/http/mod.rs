//! The server on the wire.
//!
//! [`serve`](crate::serve) opens the data folder and a socket; `listen` turns connections into
//! requests; `pipeline` tells in one function what becomes of a request; `oss` holds the operations
//! on objects, `rpc` the VOD API and STS, `app_server` the JSON interface that hands out credentials. No
//! file below this folder keeps state: what lasts is in [`crate::store`], what is secret in
//! [`crate::keys`].

mod admin;
mod app_server;
mod auth;
mod body;
mod call;
mod caller;
mod cors;
mod first_start;
mod health;
mod json;
mod listen;
mod observe;
mod oss;
mod patient;
mod pipeline;
mod proxies;
mod reply;
mod reports;
mod request_id;
mod rpc;
mod serve;
mod serve_error;
mod sts;
mod tls;
mod video;

use std::borrow::Cow;
use std::sync::Arc;

use vodferry_oss::address::candidates;

use self::call::Call;
use self::observe::{AccessLog, Metrics};
use self::proxies::Proxies;
use self::tls::Tls;
use crate::callback::Callbacks;
use crate::config::Config;
use crate::keys::LiveKeys;
use crate::store::{BlobStore, Clock, MetaStore};

pub use first_start::FirstStart;
pub use serve::{Environment, Running, serve, serve_in};
pub use serve_error::ServeError;
pub use tls::TlsError;

/// What all requests share.
pub(crate) struct App {
    pub(crate) config: Config,
    /// Where clients are told to reach this server, without a slash at the end; to one of them, see
    /// [`endpoint_of`](App::endpoint_of).
    pub(crate) endpoint: String,
    /// Whose word is taken for who asked.
    pub(crate) proxies: Proxies,
    /// Domains under which a bucket is the first label of the host.
    pub(crate) base_domains: Vec<String>,
    /// Domains that are bound to a bucket each, with it.
    pub(crate) cnames: Vec<(String, String)>,
    pub(crate) keys: LiveKeys,
    pub(crate) nonces: rpc::Nonces,
    pub(crate) blobs: Arc<dyn BlobStore>,
    pub(crate) meta: Arc<dyn MetaStore>,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) access_log: Option<AccessLog>,
    pub(crate) callbacks: Arc<Callbacks>,
}

impl App {
    /// Where the client of this call is told to reach this server: encrypted when its proxy says that it
    /// is, unless an operator said something else.
    pub(crate) fn endpoint_of(&self, call: &Call) -> Cow<'_, str> {
        let by_default = self.config.public_endpoint.is_none();
        match self.endpoint.strip_prefix("http://") {
            Some(host) if by_default && call.peer.via.is_some() && call.peer.secure => {
                format!("https://{host}").into()
            }
            _ => self.endpoint.as_str().into(),
        }
    }

    /// What host and path of a request may mean, likeliest first: pairs of bucket and key.
    pub(crate) fn candidates(&self, call: &Call, path: &str) -> Vec<(String, String)> {
        candidates(&call.authority, path, &self.base_domains, &self.cnames)
    }

    /// The server's clock, in milliseconds since 1970.
    pub(crate) fn now_ms(&self) -> u64 {
        (self.clock)()
    }
}
