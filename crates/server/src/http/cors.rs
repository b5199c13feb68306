//! What browsers need to be told before a page of another origin may use this server.
//!
//! Every request of OSS and of the VOD API is signed and no cookie means anything here, so that any origin may try. The application
//! server is the exception: it trusts its own machine, hence no page but one of its own origin may speak to it.

use axum::body::Body;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN,
};
use http::{Method, Response};

use super::app_server;
use super::call::Call;
use super::reply::empty;

/// Whether this asks for leave to send another request.
pub(crate) fn is_preflight(call: &Call) -> bool {
    call.method == Method::OPTIONS
}

/// Answers a preflight; `None` when it is not one that can be answered.
pub(crate) fn preflight(call: &Call) -> Option<Response<Body>> {
    if !call.headers.contains_key(ORIGIN)
        || !call.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
        || call.path.starts_with(app_server::PREFIX)
    {
        return None;
    }
    let mut response = empty(200);
    let headers = response.headers_mut();
    if let Some(asked) = call.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Some(response)
}

/// Lets the page behind a request read the reply.
pub(crate) fn expose(call: &Call, response: &mut Response<Body>) {
    if !call.headers.contains_key(ORIGIN) || call.path.starts_with(app_server::PREFIX) {
        return;
    }
    let headers = response.headers_mut();
    let text = HeaderValue::from_static;
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, text("*"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, text("GET, HEAD, PUT, POST, DELETE"));
    headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, text(EXPOSED));
}

const EXPOSED: &str = "ETag, x-oss-request-id, x-oss-hash-crc64ecma, Date, Content-MD5, \
                       Content-Range, x-oss-object-type, x-oss-server-time, x-oss-ec";
