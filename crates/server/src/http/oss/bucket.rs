//! Buckets: make, list, look at, delete.

use axum::body::Body as ReplyBody;
use http::Response;
use vodferry_oss::address::valid_bucket;
use vodferry_oss::xml::{
    BucketInfo, BucketStat, CreateBucketConfiguration, ListAllMyBucketsResult, ListedBucket, Owner,
    location_constraint,
};
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::auth::Place;
use super::super::body::Body;
use super::super::call::Call;
use super::super::caller::Caller;
use super::super::reply::{XML, empty, reply, set};
use super::super::video::as_i64;
use super::acl::bucket_acl_header;
use super::arguments::{document, page_limit, text};
use super::errors::{malformed, not_implemented, service_error};
use super::receive::known_class;
use crate::keys::account_of;
use crate::store::{Bucket, BucketQuery};

/// `GET /` on the service's own host: the caller's buckets.
pub(super) async fn list_buckets(
    app: &App,
    caller: &Caller,
    call: &Call,
) -> Result<Response<ReplyBody>, ServiceError> {
    let max_keys = page_limit(call, "max-keys", 100)?;
    let query = BucketQuery {
        owner: Some(caller.tenant().to_owned()),
        prefix: text(call, "prefix").to_owned(),
        after: text(call, "marker").to_owned(),
        limit: max_keys as usize,
    };
    let result = ListAllMyBucketsResult {
        owner: owner_named(caller.tenant()),
        prefix: query.prefix.clone(),
        marker: query.after.clone(),
        max_keys,
        ..ListAllMyBucketsResult::default()
    };
    let page = app.meta.list_buckets(query).await.map_err(service_error)?;
    let next = page.entries.last().filter(|_| page.truncated).map(|bucket| bucket.name.clone());
    let result = ListAllMyBucketsResult {
        is_truncated: page.truncated,
        next_marker: next.unwrap_or_default(),
        buckets: page.entries.iter().map(|bucket| listed(app, bucket)).collect(),
        ..result
    };
    Ok(reply(200, XML, result.encode()))
}

/// `PUT /`
pub(super) async fn put_bucket(
    app: &App,
    caller: &Caller,
    call: &Call,
    place: &Place,
    body: &mut Body,
) -> Result<Response<ReplyBody>, ServiceError> {
    let bytes = document(app, call, body).await?;
    let wanted = match bytes.is_empty() {
        true => CreateBucketConfiguration::default(),
        false => CreateBucketConfiguration::decode(&bytes).map_err(malformed)?,
    };
    if !valid_bucket(&place.bucket) {
        return Err(ServiceError::of(Code::InvalidBucketName)
            .with_context("BucketName", place.bucket.clone()));
    }
    if !wanted.location.is_empty() && wanted.location != location(app) {
        return Err(not_implemented("other regions than its own"));
    }
    let storage_class = match wanted.storage_class.as_str() {
        "" => "Standard".to_owned(),
        class => known_class("StorageClass", class)?.to_owned(),
    };
    let acl = bucket_acl_header(call)?;
    if acl.is_some() {
        caller.require("oss:PutBucketAcl", place)?;
    }
    let bucket = Bucket {
        name: place.bucket.clone(),
        owner: caller.tenant().to_owned(),
        acl: acl.clone().unwrap_or_else(|| "private".to_owned()),
        storage_class,
        created_ms: app.now_ms(),
    };
    let new = app.meta.make_bucket(bucket).await.map_err(service_error)?;
    // Made again, it stays as it is but for what is asked.
    if let (false, Some(acl)) = (new, acl) {
        app.meta.set_bucket_acl(&place.bucket, &acl).await.map_err(service_error)?;
    }
    Ok(made(place))
}

/// ali-oss takes the name of the bucket that it made from `Location`.
fn made(place: &Place) -> Response<ReplyBody> {
    let mut reply = empty(200);
    set(&mut reply, "location", &format!("/{}", place.bucket));
    reply
}

/// `DELETE /`
pub(super) async fn delete_bucket(
    app: &App,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    app.meta.delete_bucket(&place.bucket).await.map_err(service_error)?;
    Ok(empty(204))
}

/// `GET /?bucketInfo`
pub(super) async fn get_bucket_info(
    app: &App,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let bucket = app.meta.get_bucket(&place.bucket).await.map_err(service_error)?;
    let info = BucketInfo {
        bucket: listed(app, &bucket),
        owner: owner_named(&bucket.owner),
        acl: bucket.acl,
    };
    Ok(reply(200, XML, info.encode()))
}

/// `GET /?location`
pub(super) fn get_bucket_location(app: &App) -> Response<ReplyBody> {
    reply(200, XML, location_constraint(&location(app)))
}

/// `GET /?stat`
pub(super) async fn get_bucket_stat(
    app: &App,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let used = app.meta.bucket_use(&place.bucket).await.map_err(service_error)?;
    let stat = BucketStat {
        storage: used.bytes,
        object_count: used.objects,
        multipart_upload_count: used.uploads,
        last_modified_s: app.now_ms() / 1000,
    };
    Ok(reply(200, XML, stat.encode()))
}

/// A tenant as replies tell it.
pub(super) fn owner_named(tenant: &str) -> Owner {
    let id = account_of(tenant);
    Owner { display_name: id.clone(), id }
}

fn location(app: &App) -> String {
    format!("oss-{}", app.config.region)
}

fn listed(app: &App, bucket: &Bucket) -> ListedBucket {
    let host = app.endpoint.split_once("://").map_or(app.endpoint.as_str(), |(_, host)| host);
    ListedBucket {
        name: bucket.name.clone(),
        created_ms: as_i64(bucket.created_ms),
        extranet_endpoint: host.to_owned(),
        intranet_endpoint: host.to_owned(),
        location: location(app),
        region: app.config.region.clone(),
        storage_class: bucket.storage_class.clone(),
    }
}
