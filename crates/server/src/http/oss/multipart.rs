//! Multipart uploads: initiate, upload part, list parts, complete, abort.

use std::sync::Arc;

use axum::body::Body as ReplyBody;
use http::Response;
use vodferry_oss::encode::encode_path;
use vodferry_oss::etag::{content_md5, etag_of_md5, quote};
use vodferry_oss::limits::{MAX_PAGE, MAX_PART_NUMBER, MIN_PART_NUMBER};
use vodferry_oss::xml::{
    CompleteMultipartUpload, CompleteMultipartUploadResult, InitiateMultipartUploadResult,
    ListPartsResult, ListedPart,
};
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::auth::Place;
use super::super::body::Body;
use super::super::call::Call;
use super::super::caller::Caller;
use super::super::reply::{XML, empty, reply, set};
use super::super::video::as_i64;
use super::acl::{OBJECT_ACL, object_acl_header};
use super::arguments::{bounded, decimal, document, page_limit, wants_url};
use super::callback::{self, Uploaded};
use super::errors::{argument, blob_error, internal, malformed, service_error};
use super::receive::{
    Announced, CRC64, STORAGE_CLASS, forbids_overwrite, keeps, object_headers, receive, refused,
};
use crate::store::{Complete, Intake, MetaError, PartList};

/// `POST /key?uploads`
pub(super) async fn initiate(
    app: &App,
    caller: &Caller,
    call: &Call,
    place: &Place,
    class: &str,
) -> Result<Response<ReplyBody>, ServiceError> {
    let headers = object_headers(caller, call, place, class)?;
    keeps(app, place, forbids_overwrite(call)).await?;
    // Of no use when its parts are refused, and a row of it would take what is kept for deletions.
    app.blobs.room(0).await.map_err(blob_error)?;
    let (bucket, key, now_ms) = (place.bucket.as_str(), place.key.as_str(), app.now_ms());
    let begun = match call.parameter("sequential") {
        None => app.meta.initiate(bucket, key, headers, now_ms),
        Some(_) => app.meta.initiate_sequential(bucket, key, headers, now_ms),
    };
    let upload_id = begun.await.map_err(service_error)?;
    let result = InitiateMultipartUploadResult {
        bucket: place.bucket.clone(),
        key: place.key.clone(),
        upload_id,
    };
    Ok(reply(200, XML, result.encode(wants_url(call)?)))
}

/// `PUT /key?partNumber=N&uploadId=ID`
pub(super) async fn upload_part(
    app: &App,
    call: &Call,
    place: &Place,
    body: &mut Body,
) -> Result<Response<ReplyBody>, ServiceError> {
    let upload_id = upload_id(call)?;
    let number = part_number(call)?;
    let announced = Announced::of(call)?;
    // Asked before the bytes travel, and again by the store once they are here.
    let check = app.meta.check_part(&place.bucket, &place.key, upload_id, number);
    let mut whole = check.await.map_err(service_error)?;
    let intake = Intake::of_part(&*app.blobs, number);
    let blob = receive(app, announced, body, intake, whole.as_mut()).await?;
    let (id, md5, crc64) = (blob.id().cloned(), blob.md5, blob.crc64);
    let now_ms = app.now_ms();
    let (meta, bucket, key) = (&app.meta, place.bucket.as_str(), place.key.as_str());
    let put = match whole {
        Some(whole) => meta.put_next_part(bucket, key, upload_id, number, (blob, whole), now_ms),
        None => meta.put_part(bucket, key, upload_id, number, blob, now_ms),
    };
    if let Err(error) = put.await {
        return Err(refused(app, id.as_ref(), error).await);
    }
    let mut response = empty(200);
    set(&mut response, "etag", &quote(&etag_of_md5(&md5)));
    set(&mut response, "content-md5", &content_md5(&md5));
    set(&mut response, CRC64, &crc64.to_string());
    Ok(response)
}

/// `GET /key?uploadId=ID`
pub(super) async fn list_parts(
    app: &App,
    call: &Call,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let upload_id = upload_id(call)?;
    let max_parts = page_limit(call, "max-parts", MAX_PAGE)?;
    let marker = bounded(call, "part-number-marker", MAX_PART_NUMBER)?.unwrap_or(0);
    let url = wants_url(call)?;
    let limit = usize::try_from(max_parts).unwrap_or(usize::MAX);
    let page = app
        .meta
        .list_parts(&place.bucket, &place.key, upload_id, marker, limit)
        .await
        .map_err(service_error)?;
    let result = ListPartsResult {
        bucket: place.bucket.clone(),
        key: place.key.clone(),
        upload_id: upload_id.to_owned(),
        part_number_marker: marker,
        next_part_number_marker: page.parts.last().map_or(0, |part| part.number),
        max_parts,
        is_truncated: page.truncated,
        storage_class: page.header(STORAGE_CLASS).unwrap_or_default().to_owned(),
        parts: page
            .parts
            .into_iter()
            .map(|part| ListedPart {
                number: part.number,
                last_modified_ms: as_i64(part.modified_ms),
                etag: part.etag,
                crc64: Some(part.crc64),
                size: part.length,
            })
            .collect(),
    };
    Ok(reply(200, XML, result.encode(url)))
}

/// `POST /key?uploadId=ID`
pub(super) async fn complete(
    app: &Arc<App>,
    caller: &Caller,
    call: &Call,
    place: &Place,
    body: &mut Body,
) -> Result<Response<ReplyBody>, ServiceError> {
    let upload_id = upload_id(call)?.to_owned();
    let callback = callback::asked_for(call)?;
    let url = wants_url(call)?;
    let acl = object_acl_header(call)?;
    if acl.is_some() {
        caller.require("oss:PutObjectAcl", place)?;
    }
    let parts = part_list(app, call, body).await?;
    let headers = acl.map(|acl| (OBJECT_ACL.to_owned(), Some(acl).filter(|acl| acl != "default")));
    let headers = headers.into_iter().collect();
    let complete = Complete {
        bucket: place.bucket.clone(),
        key: place.key.clone(),
        upload_id: upload_id.clone(),
        parts,
        headers,
        forbid_overwrite: forbids_overwrite(call),
        now_ms: app.now_ms(),
    };
    // A task of its own: begun is done, even when the client hangs up meanwhile.
    let store = app.meta.clone();
    let done = tokio::spawn(async move { store.complete(complete).await })
        .await
        .map_err(|error| internal(&error))?
        .map_err(service_error)?;
    if done.replayed && app.config.strict {
        return Err(service_error(MetaError::NoSuchUpload(upload_id)));
    }
    let result = CompleteMultipartUploadResult {
        location: format!("{}/{}/{}", app.endpoint_of(call), place.bucket, encode_path(&place.key)),
        bucket: place.bucket.clone(),
        key: place.key.clone(),
        etag: done.etag.clone(),
    };
    let mut response = reply(200, XML, result.encode(url));
    set(&mut response, "etag", &quote(&done.etag));
    set(&mut response, CRC64, &done.crc64.to_string());
    const NAME: &str = "CompleteMultipartUpload";
    callback::answer(app, call, NAME, callback, place, Uploaded::from(&done), response).await
}

/// `DELETE /key?uploadId=ID`
pub(super) async fn abort(
    app: &App,
    call: &Call,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    app.meta
        .abort(&place.bucket, &place.key, upload_id(call)?, app.now_ms())
        .await
        .map_err(service_error)?;
    Ok(empty(204))
}

/// The parts that a Complete names: a document, or all that are there.
async fn part_list(app: &App, call: &Call, body: &mut Body) -> Result<PartList, ServiceError> {
    let bytes = document(app, call, body).await?;
    let all = match call.header("x-oss-complete-all").as_deref() {
        None => false,
        Some("yes") => true,
        Some(other) => {
            return Err(argument("x-oss-complete-all", other, "x-oss-complete-all must be yes."));
        }
    };
    if all && bytes.is_empty() {
        return Ok(PartList::All);
    }
    let list = CompleteMultipartUpload::decode(&bytes).map_err(malformed)?;
    match (all, list.parts.is_empty()) {
        // Some clients send an empty list along.
        (true, true) => Ok(PartList::All),
        (true, false) => Err(ServiceError::of(Code::InvalidArgument)
            .with_message("x-oss-complete-all and a list of parts exclude each other.")),
        (false, _) => Ok(PartList::Listed(
            list.parts.into_iter().map(|part| (part.number, part.etag)).collect(),
        )),
    }
}

/// The upload that a request is about.
pub(super) fn upload_id(call: &Call) -> Result<&str, ServiceError> {
    match call.parameter("uploadId") {
        Some(id) if !id.is_empty() => Ok(id),
        _ => Err(argument("uploadId", "", "uploadId is missing.")),
    }
}

/// The part that a request is about.
pub(super) fn part_number(call: &Call) -> Result<u32, ServiceError> {
    let text = call.parameter("partNumber").unwrap_or_default();
    decimal(text)
        .filter(|number: &u32| (MIN_PART_NUMBER..=MAX_PART_NUMBER).contains(number))
        .inspect(|number| call.notes.part(*number))
        .ok_or_else(|| {
            argument(
                "partNumber",
                text,
                "Part number must be an integer between 1 and 10000, inclusive.",
            )
        })
}
