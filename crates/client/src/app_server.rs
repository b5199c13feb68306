//! The application server as an authorizer: `POST {base}/api/upload-auth/create` and `…/refresh`.

use std::fmt;
use std::sync::Arc;

use vodferry_oss::Secret;

use crate::{Authorizer, BoxFuture, Error, GrantRequest, Http, UploadGrant};

/// An application server that hands out upload address and upload auth.
///
/// It is asked by `POST {base}/api/upload-auth/create` with `{"Title", "FileName", "FileSize"}` and by
/// `POST {base}/api/upload-auth/refresh` with `{"VideoId"}`, and answers `{"RequestId", "VideoId", "UploadAddress", "UploadAuth"}`, or
/// `{"RequestId", "Code", "Message"}` with a status of 400 or more.
#[derive(Clone)]
pub struct AppServer {
    base: String,
    bearer: Option<Secret>,
    http: Option<Arc<dyn Http>>,
}

impl AppServer {
    /// The server at `base`, for example `https://video.example.com` or `http://127.0.0.1:8080/app`.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when `base` is not an `http://` or `https://` URL, or has a query.
    #[allow(clippy::unimplemented)]
    pub fn new(base: impl Into<String>) -> Result<AppServer, Error> {
        let _ = base.into();
        unimplemented!()
    }

    /// Sends this token as `Authorization: Bearer …`.
    pub fn bearer(mut self, token: impl Into<Secret>) -> AppServer {
        self.bearer = Some(token.into());
        self
    }

    /// Sends through `http` instead of a client of its own; see [`http_client`](crate::http_client).
    pub fn http(mut self, http: Arc<dyn Http>) -> AppServer {
        self.http = Some(http);
        self
    }
}

impl fmt::Debug for AppServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppServer").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Authorizer for AppServer {
    #[allow(clippy::unimplemented)]
    fn authorize(&self, request: GrantRequest) -> BoxFuture<'_, Result<UploadGrant, Error>> {
        let _ = request;
        unimplemented!()
    }
}
