//! CopyObject and UploadPartCopy.
//!
//! A copy names the blobs of its source and moves no byte. A copied part is written anew: it may be
//! any range, and has a hash of its own.

use std::sync::Arc;

use axum::body::Body as ReplyBody;
use futures_util::TryStreamExt;
use http::Response;
use vodferry_oss::encode::decode_path;
use vodferry_oss::etag::{etag_of_md5, quote};
use vodferry_oss::limits::MAX_PART_SIZE;
use vodferry_oss::xml::{copy_object_result, copy_part_result};
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::auth::Place;
use super::super::call::Call;
use super::super::caller::Caller;
use super::super::reply::{XML, empty, reply, set};
use super::super::video::as_i64;
use super::acl::OBJECT_ACL;
use super::conditions::{OF_COPIES, Verdict};
use super::errors::{argument, blob_error, internal, not_implemented, service_error};
use super::multipart::{part_number, upload_id};
use super::read::{Unsatisfiable, pieces, range_of, stream};
use super::receive::{CRC64, STORAGE_CLASS, forbids_overwrite, object_headers, refused, too_large};
use super::tagging::TAGGING;
use super::{Operation, admitted};
use crate::store::{Blob, CopyObject, Intake, MetaError, Object, ObjectInfo};

/// Names the source: `/bucket/key`, encoded.
pub(super) const COPY_SOURCE: &str = "x-oss-copy-source";

/// `PUT /key` with `x-oss-copy-source`
pub(super) async fn copy_object(
    app: &Arc<App>,
    caller: &Caller,
    call: &Call,
    place: &Place,
    class: &str,
) -> Result<Response<ReplyBody>, ServiceError> {
    let from = source(app, caller, call).await?;
    // A copy is rows alone, perhaps as many as an object has parts.
    app.blobs.room(0).await.map_err(blob_error)?;
    let mut looks = 0;
    let copied = loop {
        let info = app.meta.head_object(&from.bucket, &from.key).await.map_err(service_error)?;
        if OF_COPIES.check(call, &info)? == Verdict::NotModified {
            return Ok(not_modified(&info));
        }
        let copy = CopyObject {
            headers: headers(caller, call, place, class, &info, from == *place)?,
            seen: Some(info),
            from_bucket: from.bucket.clone(),
            from_key: from.key.clone(),
            bucket: place.bucket.clone(),
            key: place.key.clone(),
            forbid_overwrite: forbids_overwrite(call),
            now_ms: app.now_ms(),
        };
        match app.meta.copy_object(copy).await {
            // Its headers would be those of one version and its bytes those of another.
            Err(MetaError::Changed(_)) if looks < MOST_LOOKS => looks += 1,
            copied => break copied.map_err(service_error)?,
        }
    };
    let result = copy_object_result(as_i64(copied.modified_ms), &copied.etag);
    let mut response = reply(200, XML, result);
    set(&mut response, "etag", &quote(&copied.etag));
    set(&mut response, CRC64, &copied.crc64.to_string());
    Ok(response)
}

/// How often a source is looked at anew that is changed while it is copied.
const MOST_LOOKS: usize = 20;

/// `PUT /key?partNumber=N&uploadId=ID` with `x-oss-copy-source`
pub(super) async fn upload_part_copy(
    app: &App,
    caller: &Caller,
    call: &Call,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let upload_id = upload_id(call)?;
    let number = part_number(call)?;
    let from = source(app, caller, call).await?;
    let check = app.meta.check_part(&place.bucket, &place.key, upload_id, number);
    check.await.map_err(service_error)?;
    let object = app.meta.get_object(&from.bucket, &from.key).await.map_err(service_error)?;
    if OF_COPIES.check(call, &object.info)? == Verdict::NotModified {
        return Ok(not_modified(&object.info));
    }
    let blob = copied_range(app, call, object, Intake::of_part(&*app.blobs, number)).await?;
    let (id, etag, crc64, now_ms) =
        (blob.id().cloned(), etag_of_md5(&blob.md5), blob.crc64, app.now_ms());
    let put = app.meta.put_part(&place.bucket, &place.key, upload_id, number, blob, now_ms);
    if let Err(error) = put.await {
        return Err(refused(app, id.as_ref(), error).await);
    }
    let mut response = reply(200, XML, copy_part_result(as_i64(now_ms), &etag));
    set(&mut response, "etag", &quote(&etag));
    set(&mut response, CRC64, &crc64.to_string());
    Ok(response)
}

/// Writes the bytes that a part is to have once more.
async fn copied_range(
    app: &App,
    call: &Call,
    object: Object,
    mut intake: Intake<'_>,
) -> Result<Blob, ServiceError> {
    let length = object.info.length;
    let range = match call.header("x-oss-copy-source-range") {
        None => None,
        Some(text) => {
            let range = range_of(&text, length, true).map_err(|Unsatisfiable| {
                ServiceError::of(Code::InvalidRange)
                    .with_context("ActualObjectSize", length.to_string())
            })?;
            let rule = "The range must be bytes=first-last.";
            Some(range.ok_or_else(|| argument("x-oss-copy-source-range", &text, rule))?)
        }
    };
    let bytes = range.unwrap_or(0..length);
    let size = bytes.end.saturating_sub(bytes.start);
    if size > MAX_PART_SIZE {
        return Err(too_large(size));
    }
    if let Some(mut stream) = stream(app, pieces(object.extents, &bytes)).await? {
        while let Some(chunk) = stream.try_next().await.map_err(blob_error)? {
            intake.write(chunk).await.map_err(blob_error)?;
        }
    }
    let blob = intake.finish().await.map_err(blob_error)?;
    if blob.length != size {
        return Err(internal(&std::io::Error::other("a copy is not as long as its source")));
    }
    Ok(blob)
}

/// The object to copy, which the caller must be allowed to read.
async fn source(app: &App, caller: &Caller, call: &Call) -> Result<Place, ServiceError> {
    let text = call.header(COPY_SOURCE).unwrap_or_default();
    let bad = || argument(COPY_SOURCE, &text, "x-oss-copy-source must be /bucket/key, encoded.");
    let (path, version) = text.split_once("?versionId=").unwrap_or((&text, "null"));
    if version != "null" {
        return Err(not_implemented("versions of objects"));
    }
    let path = decode_path(&path.replace('+', "%20")).map_err(|_| bad())?;
    let path = path.strip_prefix('/').unwrap_or(&path);
    let (bucket, key) = path.split_once('/').filter(|(_, key)| !key.is_empty()).ok_or_else(bad)?;
    let place = Place { bucket: bucket.to_owned(), key: key.to_owned() };
    admitted(app, Operation::GetObject, caller, &place).await?;
    caller.require("oss:GetObject", &place)?;
    Ok(place)
}

/// The headers of a copy: the source's, or as the request says. An object that is copied onto itself
/// is always given what the request says, since nothing else would come of it.
fn headers(
    caller: &Caller,
    call: &Call,
    place: &Place,
    class: &str,
    source: &ObjectInfo,
    onto_itself: bool,
) -> Result<Vec<(String, String)>, ServiceError> {
    let replace = directive(call, "x-oss-metadata-directive")? || onto_itself;
    let replace_tags = directive(call, "x-oss-tagging-directive")?;
    let asked = object_headers(caller, call, place, class)?;
    let own = |name: &str| name == OBJECT_ACL || name == TAGGING;
    let class_asked = asked.iter().find(|(name, _)| name == STORAGE_CLASS).cloned();
    let mut headers: Vec<(String, String)> =
        if replace { asked.clone() } else { source.headers.clone() };
    headers.retain(|(name, _)| !own(name));
    headers.extend(
        asked.into_iter().filter(|(name, _)| name == OBJECT_ACL || replace_tags && name == TAGGING),
    );
    if !replace_tags && let Some(tags) = source.header(TAGGING) {
        headers.push((TAGGING.to_owned(), tags.to_owned()));
    }
    // It has the class that is asked for, else that of its bucket, whatever its source has.
    headers.retain(|(name, _)| name != STORAGE_CLASS);
    headers.extend(class_asked);
    Ok(headers)
}

/// Whether what the source has is to be replaced.
fn directive(call: &Call, name: &'static str) -> Result<bool, ServiceError> {
    match call.header(name) {
        None => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("COPY") => Ok(false),
        Some(text) if text.eq_ignore_ascii_case("REPLACE") => Ok(true),
        Some(text) => Err(argument(name, &text, "A directive is COPY or REPLACE.")),
    }
}

fn not_modified(info: &ObjectInfo) -> Response<ReplyBody> {
    let mut response = empty(304);
    set(&mut response, "etag", &quote(&info.etag));
    response
}
