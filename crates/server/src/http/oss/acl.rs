//! Who may use a bucket or an object without a signature.

use axum::body::Body as ReplyBody;
use http::Response;
use vodferry_oss::ServiceError;
use vodferry_oss::xml::access_control_policy;

use super::super::App;
use super::super::auth::Place;
use super::super::call::Call;
use super::super::reply::{XML, empty, reply};
use super::bucket::owner_named;
use super::errors::{argument, missing, service_error};
use crate::store::ObjectInfo;

/// Where an object keeps its own ACL; one that has none goes by its bucket's.
pub(super) const OBJECT_ACL: &str = "x-oss-object-acl";
const BUCKET_ACL: &str = "x-oss-acl";
const DEFAULT: &str = "default";

/// `GET /?acl`
pub(super) async fn get_bucket_acl(
    app: &App,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let bucket = app.meta.get_bucket(&place.bucket).await.map_err(service_error)?;
    Ok(reply(200, XML, access_control_policy(&owner_named(&bucket.owner), &bucket.acl)))
}

/// `PUT /?acl`
pub(super) async fn put_bucket_acl(
    app: &App,
    call: &Call,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let acl = bucket_acl_header(call)?.ok_or_else(|| missing(BUCKET_ACL))?;
    app.meta.set_bucket_acl(&place.bucket, &acl).await.map_err(service_error)?;
    Ok(empty(200))
}

/// `GET /key?acl`
pub(super) async fn get_object_acl(
    app: &App,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let info = app.meta.head_object(&place.bucket, &place.key).await.map_err(service_error)?;
    let bucket = app.meta.get_bucket(&place.bucket).await.map_err(service_error)?;
    let grant = info.header(OBJECT_ACL).unwrap_or(DEFAULT);
    Ok(reply(200, XML, access_control_policy(&owner_named(&bucket.owner), grant)))
}

/// `PUT /key?acl`
pub(super) async fn put_object_acl(
    app: &App,
    call: &Call,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let acl = object_acl_header(call)?.ok_or_else(|| missing(OBJECT_ACL))?;
    let kept = Some(acl).filter(|acl| acl != DEFAULT);
    app.meta
        .set_object_header(&place.bucket, &place.key, OBJECT_ACL, kept)
        .await
        .map_err(service_error)?;
    Ok(empty(200))
}

/// The ACL that a request has for a bucket.
pub(super) fn bucket_acl_header(call: &Call) -> Result<Option<String>, ServiceError> {
    acl_header(call, BUCKET_ACL, &[])
}

/// The ACL that a request has for an object.
pub(super) fn object_acl_header(call: &Call) -> Result<Option<String>, ServiceError> {
    acl_header(call, OBJECT_ACL, &[DEFAULT])
}

/// The ACL that counts for an object: its own, else that of its bucket.
pub(super) fn effective<'a>(bucket_acl: &'a str, info: Option<&'a ObjectInfo>) -> &'a str {
    info.and_then(|info| info.header(OBJECT_ACL)).unwrap_or(bucket_acl)
}

fn acl_header(
    call: &Call,
    name: &'static str,
    more: &[&str],
) -> Result<Option<String>, ServiceError> {
    let Some(acl) = call.header(name) else { return Ok(None) };
    let known = ["private", "public-read", "public-read-write"];
    if !known.contains(&acl.as_ref()) && !more.contains(&acl.as_ref()) {
        return Err(argument(name, &acl, "The ACL is not known."));
    }
    Ok(Some(acl.into_owned()))
}
