//! Operations on objects and buckets: which one a request asks for, and what right it needs. What each
//! does is in the file of its family.

mod acl;
mod append;
mod arguments;
mod bucket;
mod callback;
mod conditions;
mod copy;
mod delete;
mod errors;
mod foreign;
mod form;
mod form_grammar;
mod form_policy;
mod list;
mod multipart;
mod post;
mod put;
mod read;
mod receive;
mod rules;
mod tagging;
mod unsigned;

use std::sync::Arc;

use axum::body::Body as ReplyBody;
use http::{Method, Response};
use vodferry_oss::address::valid_key;
use vodferry_oss::{Code, ServiceError};

use super::App;
use super::auth::Place;
use super::body::Body;
use super::call::Call;
use super::caller::Caller;
use crate::store::BucketDocument::{Cors, Lifecycle};
use crate::store::MetaError;
pub(crate) use receive::is_kept;
pub(crate) use unsigned::{answer as answer_unsigned, is_unsigned};

/// The operations of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// `DELETE /key?uploadId=…`
    AbortMultipartUpload,
    /// `POST /key?append`
    AppendObject,
    /// `POST /key?uploadId=…`
    CompleteMultipartUpload,
    /// `PUT /key` with a source
    CopyObject,
    /// `DELETE /`
    DeleteBucket,
    /// `DELETE /?cors`
    DeleteBucketCors,
    /// `DELETE /?lifecycle`
    DeleteBucketLifecycle,
    /// `POST /?delete`
    DeleteMultipleObjects,
    /// `DELETE /key`
    DeleteObject,
    /// `DELETE /key?tagging`
    DeleteObjectTagging,
    /// `GET /?acl`
    GetBucketAcl,
    /// `GET /?cors`
    GetBucketCors,
    /// `GET /?bucketInfo`
    GetBucketInfo,
    /// `GET /?lifecycle`
    GetBucketLifecycle,
    /// `GET /?location`
    GetBucketLocation,
    /// `GET /?stat`
    GetBucketStat,
    /// `GET /key`
    GetObject,
    /// `GET /key?acl`
    GetObjectAcl,
    /// `HEAD /key?objectMeta`
    GetObjectMeta,
    /// `GET /key?tagging`
    GetObjectTagging,
    /// `GET /` of the service
    GetService,
    /// `HEAD /key`
    HeadObject,
    /// `POST /key?uploads`
    InitiateMultipartUpload,
    /// `GET /?live`
    ListLiveChannel,
    /// `GET /?uploads`
    ListMultipartUploads,
    /// `GET /?versions`
    ListObjectVersions,
    /// `GET /`
    ListObjects,
    /// `GET /key?uploadId=…`
    ListParts,
    /// `PUT /`
    PutBucket,
    /// `PUT /?acl`
    PutBucketAcl,
    /// `PUT /?cors`
    PutBucketCors,
    /// `PUT /?lifecycle`
    PutBucketLifecycle,
    /// `PUT /key`
    PutObject,
    /// `PUT /key?acl`
    PutObjectAcl,
    /// `PUT /key?tagging`
    PutObjectTagging,
    /// `PUT /key?partNumber=…&uploadId=…`
    UploadPart,
    /// The same with a source
    UploadPartCopy,
}

impl Operation {
    /// What a request about `place` asks for.
    pub(crate) fn of(call: &Call, place: &Place) -> Result<Operation, ServiceError> {
        foreign::refuse(call, place)?;
        let (found, kind) = match (place.bucket.as_str(), place.key.as_str()) {
            ("", _) => (of_service(call), "SERVICE"),
            (_, "") => (of_bucket(call), "BUCKET"),
            _ => (of_object(call), "OBJECT"),
        };
        found.ok_or_else(|| foreign::not_allowed(call, kind))
    }

    /// Refuses what `caller` may not do.
    pub(crate) fn authorize(self, caller: &Caller, place: &Place) -> Result<(), ServiceError> {
        match self {
            // Asked for each of the objects.
            Operation::DeleteMultipleObjects => Ok(()),
            _ => caller.require(self.action(), place),
        }
    }

    /// That the bucket is not there, if so: this is told to everybody, whatever else they may not do.
    pub(crate) async fn without_bucket(self, app: &App, place: &Place) -> Option<ServiceError> {
        if matches!(self, Operation::PutBucket | Operation::GetService) {
            return None;
        }
        match app.meta.bucket_exists(&place.bucket).await {
            Ok(true) => None,
            Ok(false) => Some(errors::service_error(MetaError::NoSuchBucket(place.bucket.clone()))),
            Err(error) => Some(errors::service_error(error)),
        }
    }

    /// As the protocol names it.
    pub(crate) fn name(self) -> String {
        format!("{self:?}")
    }

    /// The right that it needs.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Operation::AbortMultipartUpload => "oss:AbortMultipartUpload",
            Operation::DeleteBucket => "oss:DeleteBucket",
            Operation::DeleteBucketCors => "oss:DeleteBucketCors",
            Operation::DeleteBucketLifecycle => "oss:DeleteBucketLifecycle",
            Operation::DeleteMultipleObjects | Operation::DeleteObject => "oss:DeleteObject",
            Operation::DeleteObjectTagging => "oss:DeleteObjectTagging",
            Operation::GetBucketAcl => "oss:GetBucketAcl",
            Operation::GetBucketCors => "oss:GetBucketCors",
            Operation::GetBucketLifecycle => "oss:GetBucketLifecycle",
            Operation::GetBucketInfo => "oss:GetBucketInfo",
            Operation::GetBucketLocation => "oss:GetBucketLocation",
            Operation::GetBucketStat => "oss:GetBucketStat",
            Operation::GetObject | Operation::GetObjectMeta | Operation::HeadObject => {
                "oss:GetObject"
            }
            Operation::GetObjectAcl => "oss:GetObjectAcl",
            Operation::GetObjectTagging => "oss:GetObjectTagging",
            Operation::GetService => "oss:ListBuckets",
            Operation::ListLiveChannel => "oss:ListLiveChannel",
            Operation::ListMultipartUploads => "oss:ListMultipartUploads",
            Operation::ListObjectVersions => "oss:ListObjectVersions",
            Operation::ListObjects => "oss:ListObjects",
            Operation::ListParts => "oss:ListParts",
            Operation::PutBucket => "oss:PutBucket",
            Operation::PutBucketAcl => "oss:PutBucketAcl",
            Operation::PutBucketCors => "oss:PutBucketCors",
            Operation::PutBucketLifecycle => "oss:PutBucketLifecycle",
            Operation::PutObjectAcl => "oss:PutObjectAcl",
            Operation::PutObjectTagging => "oss:PutObjectTagging",
            Operation::AppendObject
            | Operation::CompleteMultipartUpload
            | Operation::CopyObject
            | Operation::InitiateMultipartUpload
            | Operation::PutObject
            | Operation::UploadPart
            | Operation::UploadPartCopy => "oss:PutObject",
        }
    }

    /// Does it, for a caller who may.
    pub(crate) async fn run(
        self,
        app: &Arc<App>,
        caller: &Caller,
        call: &Call,
        place: &Place,
        body: &mut Body,
    ) -> Result<Response<ReplyBody>, ServiceError> {
        let (guest, class) = match self {
            Operation::PutBucket | Operation::GetService => (None, String::new()),
            _ => admitted(app, self, caller, place).await?,
        };
        let (caller, class) = (guest.as_ref().unwrap_or(caller), class.as_str());
        if !place.key.is_empty() && !valid_key(&place.key) {
            return Err(ServiceError::of(Code::InvalidObjectName)
                .with_context("ObjectName", place.key.clone()));
        }
        match self {
            Operation::AbortMultipartUpload => multipart::abort(app, call, place).await,
            Operation::AppendObject => {
                append::append_object(app, caller, call, place, class, body).await
            }
            Operation::CompleteMultipartUpload => {
                multipart::complete(app, caller, call, place, body).await
            }
            Operation::CopyObject => copy::copy_object(app, caller, call, place, class).await,
            Operation::DeleteBucket => bucket::delete_bucket(app, place).await,
            Operation::DeleteBucketCors => rules::delete(app, place, Cors).await,
            Operation::DeleteBucketLifecycle => rules::delete(app, place, Lifecycle).await,
            Operation::DeleteMultipleObjects => {
                delete::delete_objects(app, caller, call, place, body).await
            }
            Operation::DeleteObject => delete::delete_object(app, place).await,
            Operation::DeleteObjectTagging => tagging::delete_object_tagging(app, place).await,
            Operation::GetBucketAcl => acl::get_bucket_acl(app, place).await,
            Operation::GetBucketCors => rules::get(app, place, Cors).await,
            Operation::GetBucketLifecycle => rules::get(app, place, Lifecycle).await,
            Operation::GetBucketInfo => bucket::get_bucket_info(app, place).await,
            Operation::GetBucketLocation => Ok(bucket::get_bucket_location(app)),
            Operation::GetBucketStat => bucket::get_bucket_stat(app, place).await,
            Operation::GetObject => read::get_object(app, call, place).await,
            Operation::GetObjectAcl => acl::get_object_acl(app, place).await,
            Operation::GetObjectMeta => read::get_object_meta(app, call, place).await,
            Operation::GetObjectTagging => tagging::get_object_tagging(app, place).await,
            Operation::GetService => bucket::list_buckets(app, caller, call).await,
            Operation::HeadObject => read::head_object(app, call, place).await,
            Operation::InitiateMultipartUpload => {
                multipart::initiate(app, caller, call, place, class).await
            }
            Operation::ListLiveChannel => list::list_live_channels(call),
            Operation::ListMultipartUploads => list::list_uploads(app, call, place).await,
            Operation::ListObjectVersions => list::list_object_versions(app, call, place).await,
            Operation::ListObjects => list::list_objects(app, call, place).await,
            Operation::ListParts => multipart::list_parts(app, call, place).await,
            Operation::PutBucket => bucket::put_bucket(app, caller, call, place, body).await,
            Operation::PutBucketAcl => acl::put_bucket_acl(app, call, place).await,
            Operation::PutBucketCors => rules::put(app, call, place, body, Cors).await,
            Operation::PutBucketLifecycle => rules::put(app, call, place, body, Lifecycle).await,
            Operation::PutObject => put::put_object(app, caller, call, place, class, body).await,
            Operation::PutObjectAcl => acl::put_object_acl(app, call, place).await,
            Operation::PutObjectTagging => {
                tagging::put_object_tagging(app, call, place, body).await
            }
            Operation::UploadPart => multipart::upload_part(app, call, place, body).await,
            Operation::UploadPartCopy => copy::upload_part_copy(app, caller, call, place).await,
        }
    }
}

/// The class of the bucket; refuses one that is not there, or another's that its ACL does not open. Whom only the ACL lets in goes on as a
/// guest, who may do this one thing: neither publish nor tag what is written.
async fn admitted(
    app: &App,
    operation: Operation,
    caller: &Caller,
    place: &Place,
) -> Result<(Option<Caller>, String), ServiceError> {
    let bucket = app.meta.get_bucket(&place.bucket).await.map_err(errors::service_error)?;
    if bucket.owner == caller.tenant() {
        return Ok((None, bucket.storage_class));
    }
    if unsigned::is_public(app, operation, place, &bucket).await? {
        let guest = caller.as_guest(unsigned::only(operation, place));
        return Ok((Some(guest), bucket.storage_class));
    }
    Err(ServiceError::of(Code::AccessDenied)
        .with_message("The bucket you access does not belong to you."))
}

fn of_service(call: &Call) -> Option<Operation> {
    (call.method == Method::GET).then_some(Operation::GetService)
}

fn of_bucket(call: &Call) -> Option<Operation> {
    let has = |name| call.parameter(name).is_some();
    Some(match call.method {
        Method::GET if has("acl") => Operation::GetBucketAcl,
        Method::GET if has("cors") => Operation::GetBucketCors,
        Method::GET if has("lifecycle") => Operation::GetBucketLifecycle,
        Method::GET if has("bucketInfo") => Operation::GetBucketInfo,
        Method::GET if has("location") => Operation::GetBucketLocation,
        Method::GET if has("stat") => Operation::GetBucketStat,
        Method::GET if has("live") => Operation::ListLiveChannel,
        Method::GET if has("uploads") => Operation::ListMultipartUploads,
        Method::GET if has("versions") => Operation::ListObjectVersions,
        Method::GET => Operation::ListObjects,
        Method::PUT if has("acl") => Operation::PutBucketAcl,
        Method::PUT if has("cors") => Operation::PutBucketCors,
        Method::PUT if has("lifecycle") => Operation::PutBucketLifecycle,
        Method::PUT => Operation::PutBucket,
        Method::POST if has("delete") => Operation::DeleteMultipleObjects,
        Method::DELETE if has("cors") => Operation::DeleteBucketCors,
        Method::DELETE if has("lifecycle") => Operation::DeleteBucketLifecycle,
        Method::DELETE => Operation::DeleteBucket,
        _ => return None,
    })
}

fn of_object(call: &Call) -> Option<Operation> {
    let has = |name| call.parameter(name).is_some();
    let part = has("uploadId") || has("partNumber");
    let copies = call.headers.contains_key(copy::COPY_SOURCE);
    Some(match call.method {
        Method::PUT if has("acl") => Operation::PutObjectAcl,
        Method::PUT if has("tagging") => Operation::PutObjectTagging,
        Method::PUT if part && copies => Operation::UploadPartCopy,
        Method::PUT if part => Operation::UploadPart,
        Method::PUT if copies => Operation::CopyObject,
        Method::PUT => Operation::PutObject,
        Method::POST if has("append") => Operation::AppendObject,
        Method::POST if has("uploads") => Operation::InitiateMultipartUpload,
        Method::POST if has("uploadId") => Operation::CompleteMultipartUpload,
        Method::GET if has("acl") => Operation::GetObjectAcl,
        Method::GET if has("tagging") => Operation::GetObjectTagging,
        Method::GET if has("uploadId") => Operation::ListParts,
        Method::GET => Operation::GetObject,
        Method::HEAD if has("objectMeta") => Operation::GetObjectMeta,
        Method::HEAD => Operation::HeadObject,
        Method::DELETE if has("tagging") => Operation::DeleteObjectTagging,
        Method::DELETE if has("uploadId") => Operation::AbortMultipartUpload,
        Method::DELETE => Operation::DeleteObject,
        _ => return None,
    })
}
