//! Arguments that several operations have: numbers, flags, documents.

use vodferry_oss::etag::{md5, parse_content_md5};
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::body::{Body, BodyError};
use super::super::call::Call;
use super::errors::{argument, body_error};

/// A number up to `most`; an empty one is as good as none.
pub(super) fn bounded(
    call: &Call,
    name: &'static str,
    most: u32,
) -> Result<Option<u32>, ServiceError> {
    match call.parameter(name) {
        None | Some("") => Ok(None),
        Some(text) => decimal(text).filter(|number| *number <= most).map(Some).ok_or_else(|| {
            argument(name, text, &format!("{name} must be an integer of at most {most}."))
        }),
    }
}

/// Entries of a page: 1 to 1000.
pub(super) fn page_limit(
    call: &Call,
    name: &'static str,
    default: u32,
) -> Result<u32, ServiceError> {
    const MOST: u32 = vodferry_oss::limits::MAX_PAGE;
    match bounded(call, name, MOST)? {
        None => Ok(default),
        Some(0) => Err(argument(name, "0", &format!("{name} must be 1 to {MOST}."))),
        Some(limit) => Ok(limit),
    }
}

/// Digits and nothing else.
pub(super) fn decimal<N: std::str::FromStr>(text: &str) -> Option<N> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

/// Whether names in the reply are to be percent-encoded.
pub(super) fn wants_url(call: &Call) -> Result<bool, ServiceError> {
    match call.parameter("encoding-type") {
        None | Some("") => Ok(false),
        Some("url") => Ok(true),
        Some(other) => Err(argument("encoding-type", other, "encoding-type must be url.")),
    }
}

/// The text of a parameter; empty when there is none.
pub(super) fn text<'a>(call: &'a Call, name: &str) -> &'a str {
    call.parameter(name).unwrap_or_default()
}

/// The whole of a body that is a document, compared with its Content-MD5 if it has one.
pub(super) async fn document(
    app: &App,
    call: &Call,
    body: &mut Body,
) -> Result<bytes::Bytes, ServiceError> {
    let bytes = body.whole(app.config.limits.control_body).await.map_err(|error| match error {
        BodyError::TooLarge => ServiceError::of(Code::MalformedXML)
            .with_message("The document is longer than this server reads."),
        other => body_error(other),
    })?;
    if let Some(told) = call.header("content-md5")
        && parse_content_md5(&told) != Some(md5(&bytes))
    {
        return Err(ServiceError::of(Code::InvalidDigest));
    }
    Ok(bytes)
}
