//! Replies: how they are made, and what every one of them carries.

use axum::body::Body;
use http::header::{CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, SERVER};
use http::{Response, StatusCode};

use super::call::Call;
use super::request_id::RequestId;

/// The name of the server in replies of the OSS API.
pub(crate) const OSS: &str = "AliyunOSS";
/// The number of an error, as a header.
pub(crate) const EC: &str = "x-oss-ec";
/// Content type of XML replies.
pub(crate) const XML: &str = "application/xml";
/// Content type of JSON replies.
pub(crate) const JSON: &str = "application/json";

/// A reply with a text.
pub(crate) fn reply(status: u16, content_type: &'static str, text: String) -> Response<Body> {
    let length = text.len();
    let mut response = empty(status);
    *response.body_mut() = Body::from(text);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    response
}

/// A reply without a body.
pub(crate) fn empty(status: u16) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response
}

/// Sets a header; one that HTTP cannot carry is left out.
pub(crate) fn set(response: &mut Response<Body>, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes());
    if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
        response.headers_mut().insert(name, value);
    }
}

/// A reply of the OSS API, whose server has the name that clients of that API know.
pub(crate) fn of_oss(mut response: Response<Body>) -> Response<Body> {
    response.headers_mut().insert(SERVER, HeaderValue::from_static(OSS));
    response
}

/// Says whether the connection can be used again. HTTP/2 has other ways to say so.
pub(crate) fn connection(call: &Call, response: &mut Response<Body>, stays: bool) {
    if !call.is_http2() {
        let value = HeaderValue::from_static(if stays { "keep-alive" } else { "close" });
        response.headers_mut().insert(CONNECTION, value);
    }
}

/// What every reply carries beside the `Date` that hyper sets.
pub(crate) fn stamp(response: &mut Response<Body>, id: RequestId, spent_ms: u128) {
    response.headers_mut().entry(SERVER).or_insert(HeaderValue::from_static("vodferry"));
    set(response, "x-oss-request-id", &id.to_string());
    set(response, "x-oss-server-time", &spent_ms.to_string());
}
