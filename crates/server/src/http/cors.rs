//! What browsers need to be told before a page of another origin may use this server.
//!
//! Every request of OSS and of the VOD API is signed and no cookie means anything here, so that any
//! origin may try. The application server is the exception: it trusts its own machine, hence no
//! page but one of its own origin may speak to it.

use axum::body::Body;
use http::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderValue, ORIGIN,
};
use vodferry_oss::{Code, ServiceError};

use super::app_server;
use super::call::Call;
use super::reply::empty;

/// Whether pages of other origins may speak to what this request is for.
pub(crate) fn concerns(call: &Call) -> bool {
    !call.path.starts_with(app_server::PREFIX)
}

/// Answers the question whether another request may be sent.
pub(crate) fn preflight(call: &Call) -> Result<Response<Body>, ServiceError> {
    let has = |name| call.headers.contains_key(name);
    if !has(ORIGIN) || !has(ACCESS_CONTROL_REQUEST_METHOD) {
        return Err(ServiceError::of(Code::BadRequest).with_message(
            "Insufficient information. Origin and Access-Control-Request-Method are needed.",
        ));
    }
    let mut response = empty(200);
    let headers = response.headers_mut();
    if let Some(asked) = call.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    Ok(response)
}

/// Lets the page behind a request read the reply.
pub(crate) fn expose(call: &Call, response: &mut Response<Body>) {
    if !call.headers.contains_key(ORIGIN) || !concerns(call) {
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
