//! GetObject, HeadObject and GetObjectMeta.

use std::ops::Range;

use axum::body::Body as ReplyBody;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use http::Response;
use vodferry_oss::etag::{content_md5, normalise, quote};
use vodferry_oss::time::{format_http, parse_http, whole_seconds};
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::auth::Place;
use super::super::call::Call;
use super::super::reply::{empty, set};
use super::super::video::as_i64;
use super::acl::OBJECT_ACL;
use super::conditions::{OF_READS, Verdict};
use super::errors::{blob_error, service_error};
use super::receive::{CRC64, STANDARD, STORAGE_CLASS};
use super::tagging::{TAGGING, tags};
use crate::store::{BlobError, BlobId, BlobStore, BlobStream, Content, Extent, ObjectInfo};

/// `GET /key`
pub(super) async fn get_object(
    app: &App,
    call: &Call,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let object = app.meta.get_object(&place.bucket, &place.key).await.map_err(service_error)?;
    let info = &object.info;
    if let Some(response) = check_conditions(call, info)? {
        return Ok(response);
    }
    let standard = call.header("x-oss-range-behavior").as_deref() == Some("standard");
    let asked = call.header("range").filter(|_| still_same(call, info));
    let range = match asked {
        Some(text) => range_of(&text, info.length, standard).map_err(|Unsatisfiable| {
            ServiceError::of(Code::InvalidRange)
                .with_context("ActualObjectSize", info.length.to_string())
        })?,
        None => None,
    };
    let bytes = range.clone().unwrap_or(0..info.length);
    let mut response = object_response(if range.is_some() { 206 } else { 200 }, info);
    set(&mut response, "content-length", &(bytes.end - bytes.start).to_string());
    if let Some(Range { start, end }) = range {
        let value = format!("bytes {start}-{}/{}", end.saturating_sub(1), info.length);
        set(&mut response, "content-range", &value);
    }
    for name in OVERRIDES {
        let parameter = format!("response-{name}");
        if let Some(value) = call.parameter(&parameter) {
            if http::HeaderValue::from_bytes(value.as_bytes()).is_err() {
                return Err(ServiceError::of(Code::InvalidArgument)
                    .with_message("A header cannot hold this value.")
                    .with_context("ArgumentName", parameter)
                    .with_context("ArgumentValue", value));
            }
            set(&mut response, name, value);
        }
    }
    *response.body_mut() = content(app, pieces(object.extents, &bytes)).await?;
    Ok(response)
}

/// `HEAD /key`
pub(super) async fn head_object(
    app: &App,
    call: &Call,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let info = app.meta.head_object(&place.bucket, &place.key).await.map_err(service_error)?;
    if let Some(response) = check_conditions(call, &info)? {
        return Ok(response);
    }
    let mut response = object_response(200, &info);
    set(&mut response, "content-length", &info.length.to_string());
    Ok(response)
}

/// `HEAD /key?objectMeta`: only what is known without looking at what the client said.
pub(super) async fn get_object_meta(
    app: &App,
    call: &Call,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let info = app.meta.head_object(&place.bucket, &place.key).await.map_err(service_error)?;
    if let Some(response) = check_conditions(call, &info)? {
        return Ok(response);
    }
    let mut response = empty(200);
    validators(&mut response, &info);
    set(&mut response, "content-length", &info.length.to_string());
    Ok(response)
}

fn object_response(status: u16, info: &ObjectInfo) -> Response<ReplyBody> {
    let mut response = empty(status);
    for (name, value) in
        info.headers.iter().filter(|(name, _)| name != OBJECT_ACL && name != TAGGING)
    {
        set(&mut response, name, value);
    }
    validators(&mut response, info);
    set(&mut response, "x-oss-object-type", info.kind());
    let tags = tags(info).len();
    if tags > 0 {
        set(&mut response, "x-oss-tagging-count", &tags.to_string());
    }
    if info.appendable {
        set(&mut response, "x-oss-next-append-position", &info.length.to_string());
    }
    if !response.headers().contains_key(STORAGE_CLASS) {
        set(&mut response, STORAGE_CLASS, STANDARD);
    }
    set(&mut response, "accept-ranges", "bytes");
    if let Some(md5) = &info.md5 {
        set(&mut response, "content-md5", &content_md5(md5));
    }
    response
}

fn validators(response: &mut Response<ReplyBody>, info: &ObjectInfo) {
    set(response, "etag", &quote(&info.etag));
    set(response, "last-modified", &format_http(as_i64(info.modified_ms)));
    set(response, CRC64, &info.crc64.to_string());
}

/// `Err` for 412, `Some` for 304.
fn check_conditions(
    call: &Call,
    info: &ObjectInfo,
) -> Result<Option<Response<ReplyBody>>, ServiceError> {
    Ok(match OF_READS.check(call, info)? {
        Verdict::Proceed => None,
        Verdict::NotModified => {
            let mut response = empty(304);
            validators(&mut response, info);
            Some(response)
        }
    })
}

/// Whether a range still belongs to the object that the client has the other bytes of.
fn still_same(call: &Call, info: &ObjectInfo) -> bool {
    let Some(seen) = call.header("if-range") else { return true };
    match parse_http(&seen) {
        Some(at) => at == whole_seconds(as_i64(info.modified_ms)),
        None => normalise(&seen) == normalise(&info.etag),
    }
}

/// Nothing of the object is in the range that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unsatisfiable;

/// The bytes that a `Range` header asks for; `None` for the whole object. Of several ranges the
/// first counts.
///
/// Without `standard` a range that reaches beyond the object gives all of it, as the original does.
pub(super) fn range_of(
    text: &str,
    length: u64,
    standard: bool,
) -> Result<Option<Range<u64>>, Unsatisfiable> {
    let Some((first, last)) = text
        .strip_prefix("bytes=")
        .and_then(|ranges| ranges.split(',').next())
        .and_then(|range| range.trim().split_once('-'))
    else {
        return Ok(None);
    };
    let range = match (position(first), position(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1),
        (Some(first), None) if last.is_empty() => first..length.max(first.saturating_add(1)),
        (None, Some(count)) if first.is_empty() => match length.checked_sub(count) {
            // More than there is: everything.
            None => return Ok(if standard && length > 0 { Some(0..length) } else { None }),
            Some(start) => start..length,
        },
        _ => return Ok(None),
    };
    match (range.start < length && !range.is_empty(), standard) {
        (true, true) => Ok(Some(range.start..range.end.min(length))),
        (true, false) => Ok(Some(range).filter(|range| range.end <= length)),
        (false, true) => Err(Unsatisfiable),
        (false, false) => Ok(None),
    }
}

fn position(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // A number of more than 20 digits is beyond any object all the same.
    Some(text.parse().unwrap_or(u64::MAX))
}

/// A run of bytes to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// These.
    Bytes(Bytes),
    /// Some of a blob.
    Blob(BlobId, Range<u64>),
}

/// What makes up `bytes` of an object.
pub(super) fn pieces(extents: Vec<Extent>, bytes: &Range<u64>) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut begin = 0u64;
    for extent in extents {
        let end = begin.saturating_add(extent.length);
        let (first, last) = (bytes.start.max(begin), bytes.end.min(end));
        if first < last {
            let range = first - begin..last - begin;
            pieces.push(match extent.content {
                Content::Blob(id) => Piece::Blob(id, range),
                Content::Small(bytes) => Piece::Bytes(cut(&bytes, range)),
            });
        }
        begin = end;
    }
    pieces
}

fn cut(bytes: &Bytes, range: Range<u64>) -> Bytes {
    let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(within(range.start)..within(range.end))
}

/// The bytes, read while they are sent.
async fn content(app: &App, mut pieces: Vec<Piece>) -> Result<ReplyBody, ServiceError> {
    if let [Piece::Bytes(all)] = pieces.as_mut_slice() {
        return Ok(ReplyBody::from(std::mem::take(all)));
    }
    let Some(bytes) = stream(app, pieces).await? else { return Ok(ReplyBody::empty()) };
    let span = tracing::Span::current();
    Ok(ReplyBody::from_stream(bytes.inspect_err(move |error| {
        span.in_scope(|| {
            tracing::error!(error = error as &dyn std::error::Error, "a download was cut");
        });
    })))
}

/// The bytes of pieces in a row; none of no pieces. The first blob is opened here, so that what cannot
/// be read is an error and not a cut reply.
pub(super) async fn stream(
    app: &App,
    pieces: Vec<Piece>,
) -> Result<Option<BlobStream>, ServiceError> {
    let mut pieces = pieces.into_iter();
    let Some(first) = pieces.next() else { return Ok(None) };
    let first = open(&*app.blobs, first).await.map_err(blob_error)?;
    let blobs = app.blobs.clone();
    let rest = stream::iter(pieces)
        .then(move |piece| {
            let blobs = blobs.clone();
            async move { open(&*blobs, piece).await }
        })
        .try_flatten();
    Ok(Some(Box::pin(first.chain(rest))))
}

async fn open(blobs: &dyn BlobStore, piece: Piece) -> Result<BlobStream, BlobError> {
    match piece {
        Piece::Bytes(bytes) => Ok(Box::pin(stream::iter([Ok(bytes)]))),
        Piece::Blob(id, range) => blobs.read(&id, range).await,
    }
}

const OVERRIDES: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_as_the_original_reads_them() {
        let of = |text| range_of(text, 10, false);
        assert_eq!(of("bytes=0-0"), Ok(Some(0..1)));
        assert_eq!(of("bytes=2-9"), Ok(Some(2..10)));
        assert_eq!(of("bytes=4-"), Ok(Some(4..10)));
        assert_eq!(of("bytes=-3"), Ok(Some(7..10)));
        assert_eq!(of("bytes=-10"), Ok(Some(0..10)));
        assert_eq!(of("bytes=1-2,5-6"), Ok(Some(1..3)));
        for whole in [
            "bytes=0-10",
            "bytes=10-",
            "bytes=10-12",
            "bytes=-11",
            "bytes=-0",
            "bytes=3-2",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "0-1",
            "bytes=+1-2",
            "bytes=0-99999999999999999999999",
        ] {
            assert_eq!(of(whole), Ok(None), "{whole}");
        }
        assert_eq!(range_of("bytes=0-0", 0, false), Ok(None));
    }

    #[test]
    fn ranges_by_the_standard() {
        let of = |text| range_of(text, 10, true);
        assert_eq!(of("bytes=2-100"), Ok(Some(2..10)));
        assert_eq!(of("bytes=0-99999999999999999999999"), Ok(Some(0..10)));
        assert_eq!(of("bytes=-11"), Ok(Some(0..10)));
        assert_eq!(of("bytes=10-"), Err(Unsatisfiable));
        assert_eq!(of("bytes=18446744073709551615-"), Err(Unsatisfiable));
        assert_eq!(of("bytes=-0"), Err(Unsatisfiable));
        assert_eq!(of("bytes=3-2"), Ok(None));
    }

    #[test]
    fn a_range_is_cut_out_of_what_an_object_is_made_of() {
        let blob = |digit: char| BlobId::parse(&digit.to_string().repeat(32)).unwrap();
        let small = Content::Small(Bytes::from_static(b"0123456789"));
        let extents: Vec<Extent> = [Content::Blob(blob('a')), small, Content::Blob(blob('c'))]
            .map(|content| Extent { content, length: 10 })
            .into();
        let of = |range: Range<u64>| pieces(extents.clone(), &range);
        let bytes = |text: &'static str| Piece::Bytes(Bytes::from_static(text.as_bytes()));
        assert_eq!(
            of(5..25),
            [Piece::Blob(blob('a'), 5..10), bytes("0123456789"), Piece::Blob(blob('c'), 0..5)]
        );
        assert_eq!(of(10..11), [bytes("0")]);
        assert_eq!(of(13..17), [bytes("3456")]);
        assert_eq!(of(19..21), [bytes("9"), Piece::Blob(blob('c'), 0..1)]);
        assert_eq!(of(3..3), []);
    }
}
