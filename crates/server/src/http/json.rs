//! What the JSON interfaces share: how a caller shows its token, how a body is read, how replies are
//! kept out of caches.

use axum::body::Body as ReplyBody;
use http::Response;
use serde::Deserialize;

use super::App;
use super::body::{Body, BodyError};
use super::call::Call;
use super::reply::{JSON, reply};
use super::video::ApiError;

/// Reads a body, whose content type must say that it is JSON: a page of another origin cannot send
/// that unasked.
pub(crate) async fn read(
    app: &App,
    call: &Call,
    body: &mut Body,
) -> Result<bytes::Bytes, ApiError> {
    if !is_json(call) {
        let message = "Content-Type must be application/json";
        return Err(ApiError::new(415, "UnsupportedMediaType", message));
    }
    body.whole(app.config.limits.control_body).await.map_err(|error| match error {
        BodyError::TooLarge => ApiError::bad("InvalidParameter", "the body is too long"),
        // The network's doing: whoever asks again is answered.
        BodyError::Cut | BodyError::Idle => {
            ApiError::new(408, "RequestTimeout", "the body was cut, or came too slowly")
        }
    })
}

/// What a body says.
pub(crate) fn parse<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ApiError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let code = match error.classify() {
            serde_json::error::Category::Data => "InvalidParameter",
            _ => "MalformedJSON",
        };
        ApiError::bad(code, format!("the body is not understood: {error}"))
    })
}

/// The token that a caller shows: outside, whether it shows anything; inside, none when that is no
/// bearer token.
pub(crate) fn bearer(call: &Call) -> Option<Option<String>> {
    let value = call.header("authorization")?;
    let given = value.split_once(' ').filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    Some(given.map(|(_, token)| token.trim().to_owned()))
}

/// A reply that nobody keeps. One that asks for a token says so as HTTP wants it.
pub(crate) fn answer(status: u16, members: &serde_json::Value) -> Response<ReplyBody> {
    let mut response = reply(status, JSON, members.to_string());
    let headers = response.headers_mut();
    headers.insert(http::header::CACHE_CONTROL, http::HeaderValue::from_static("no-store"));
    if status == 401 {
        let challenge = http::HeaderValue::from_static("Bearer realm=\"vodferry\"");
        headers.insert(http::header::WWW_AUTHENTICATE, challenge);
    }
    response
}

fn is_json(call: &Call) -> bool {
    call.header("content-type").is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/json")
    })
}
