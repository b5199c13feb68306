//! Operations on objects: which one a request asks for, and the errors that all of them share.

mod multipart;
mod put;
mod read;
mod receive;

use std::sync::Arc;

use axum::body::Body as ReplyBody;
use http::{Method, Response};
use vodferry_oss::address::valid_key;
use vodferry_oss::{Code, ServiceError};

use super::App;
use super::auth::Place;
use super::body::{Body, BodyError};
use super::call::Call;
use crate::store::{BlobError, MetaError};

/// The operations of this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// `DELETE /key?uploadId=…`
    AbortMultipartUpload,
    /// `POST /key?uploadId=…`
    CompleteMultipartUpload,
    /// `DELETE /key`
    DeleteObject,
    /// `GET /key`
    GetObject,
    /// `HEAD /key?objectMeta`
    GetObjectMeta,
    /// `HEAD /key`
    HeadObject,
    /// `POST /key?uploads`
    InitiateMultipartUpload,
    /// `GET /key?uploadId=…`
    ListParts,
    /// `PUT /key`
    PutObject,
    /// `PUT /key?partNumber=…&uploadId=…`
    UploadPart,
}

impl Operation {
    /// What a request about `place` asks for.
    pub(crate) fn of(call: &Call, place: &Place) -> Result<Operation, ServiceError> {
        if place.key.is_empty() {
            return Err(not_implemented("operations on buckets and on the service"));
        }
        if let Some((name, _)) = call.query.iter().find(|(n, v)| is_foreign(n, v)) {
            return Err(not_implemented(&format!("the sub-resource {name}")));
        }
        if let Some(name) = FOREIGN_HEADERS.iter().find(|name| call.headers.contains_key(**name)) {
            return Err(not_implemented(&format!("the header {name}")));
        }
        let has = |name| call.parameter(name).is_some();
        Ok(match call.method {
            Method::PUT if has("uploadId") || has("partNumber") => Operation::UploadPart,
            Method::PUT => Operation::PutObject,
            Method::POST if has("uploads") => Operation::InitiateMultipartUpload,
            Method::POST if has("uploadId") => Operation::CompleteMultipartUpload,
            Method::GET if has("uploadId") => Operation::ListParts,
            Method::GET => Operation::GetObject,
            Method::HEAD if has("objectMeta") => Operation::GetObjectMeta,
            Method::HEAD => Operation::HeadObject,
            Method::DELETE if has("uploadId") => Operation::AbortMultipartUpload,
            Method::DELETE => Operation::DeleteObject,
            _ => {
                return Err(ServiceError::of(Code::MethodNotAllowed)
                    .with_context("Method", call.method.as_str())
                    .with_context("ResourceType", "OBJECT"));
            }
        })
    }

    /// The right that it needs.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Operation::AbortMultipartUpload => "oss:AbortMultipartUpload",
            Operation::DeleteObject => "oss:DeleteObject",
            Operation::GetObject | Operation::GetObjectMeta | Operation::HeadObject => {
                "oss:GetObject"
            }
            Operation::ListParts => "oss:ListParts",
            Operation::CompleteMultipartUpload
            | Operation::InitiateMultipartUpload
            | Operation::PutObject
            | Operation::UploadPart => "oss:PutObject",
        }
    }

    /// Does it.
    pub(crate) async fn run(
        self,
        app: &Arc<App>,
        call: &Call,
        place: &Place,
        body: &mut Body,
    ) -> Result<Response<ReplyBody>, ServiceError> {
        if !valid_key(&place.key) {
            return Err(ServiceError::of(Code::InvalidObjectName)
                .with_context("ObjectName", place.key.clone()));
        }
        match self {
            Operation::AbortMultipartUpload => multipart::abort(app, call, place).await,
            Operation::CompleteMultipartUpload => multipart::complete(app, call, place, body).await,
            Operation::DeleteObject => put::delete_object(app, place).await,
            Operation::GetObject => read::get_object(app, call, place).await,
            Operation::GetObjectMeta => read::get_object_meta(app, call, place).await,
            Operation::HeadObject => read::head_object(app, call, place).await,
            Operation::InitiateMultipartUpload => multipart::initiate(app, call, place).await,
            Operation::ListParts => multipart::list_parts(app, call, place).await,
            Operation::PutObject => put::put_object(app, call, place, body).await,
            Operation::UploadPart => multipart::upload_part(app, call, place, body).await,
        }
    }
}

/// Refuses what is about a bucket that is not there.
pub(crate) async fn require_bucket(app: &App, place: &Place) -> Result<(), ServiceError> {
    match app.meta.bucket_exists(&place.bucket).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(service_error(MetaError::NoSuchBucket(place.bucket.clone()))),
        Err(error) => Err(service_error(error)),
    }
}

/// A failure of the database in the words of the protocol.
fn service_error(error: MetaError) -> ServiceError {
    match error {
        MetaError::FileAlreadyExists { key } => {
            ServiceError::of(Code::FileAlreadyExists).with_context("Key", key)
        }
        MetaError::EntityTooSmall { number, length, minimum } => {
            ServiceError::of(Code::EntityTooSmall)
                .with_context("PartNumber", number.to_string())
                .with_context("MinSizeAllowed", minimum.to_string())
                .with_context("ProposedSize", length.to_string())
        }
        MetaError::InvalidPart { number, etag } => ServiceError::of(Code::InvalidPart)
            .with_context("PartNumber", number.to_string())
            .with_context("ETag", etag),
        MetaError::InvalidPartOrder => ServiceError::of(Code::InvalidPartOrder),
        MetaError::NoSuchBucket(bucket) => {
            ServiceError::of(Code::NoSuchBucket).with_context("BucketName", bucket)
        }
        MetaError::NoSuchKey(key) => ServiceError::of(Code::NoSuchKey).with_context("Key", key),
        MetaError::NoSuchUpload(upload_id) => {
            ServiceError::of(Code::NoSuchUpload).with_context("UploadId", upload_id)
        }
        MetaError::Full { .. } => full(&error),
        MetaError::Closed => ServiceError::of(Code::ServiceUnavailable),
        other => internal(&other),
    }
}

/// A failure of the blob store in the words of the protocol.
fn blob_error(error: BlobError) -> ServiceError {
    match error {
        BlobError::Full { .. } => full(&error),
        BlobError::Closed => ServiceError::of(Code::ServiceUnavailable),
        other => internal(&other),
    }
}

/// A body that did not arrive, in the words of the protocol.
fn body_error(error: BodyError) -> ServiceError {
    ServiceError::of(match error {
        BodyError::Cut => Code::IncompleteBody,
        BodyError::Idle => Code::RequestTimeout,
        BodyError::TooLarge => Code::EntityTooLarge,
    })
}

/// A failure of ours: the log has the cause, the client learns that it may try again.
fn internal(cause: &(dyn std::error::Error + 'static)) -> ServiceError {
    tracing::error!(error = cause, "request failed");
    ServiceError::of(Code::InternalError)
}

/// No space left: the client slows down and tries again, and an operator makes room.
fn full(cause: &(dyn std::error::Error + 'static)) -> ServiceError {
    tracing::error!(error = cause, "no space left");
    ServiceError::of(Code::ServiceUnavailable)
        .with_message("The disk of this server is full. Nothing was stored. Try again later.")
}

fn argument(name: &'static str, value: &str, rule: &str) -> ServiceError {
    ServiceError::of(Code::InvalidArgument)
        .with_message(rule)
        .with_context("ArgumentName", name)
        .with_context("ArgumentValue", value)
}

fn not_implemented(what: &str) -> ServiceError {
    ServiceError::of(Code::NotImplemented)
        .with_message(format!("This server does not have {what}."))
}

/// Parameters that ask for another operation than the ones above; to ignore one would be to do
/// something else than was asked.
fn is_foreign(name: &str, value: &str) -> bool {
    // The one version of an object that was never versioned.
    FOREIGN_PARAMETERS.contains(&name) && (name, value) != ("versionId", "null")
}

const FOREIGN_PARAMETERS: &[&str] = &[
    "acl",
    "append",
    "asyncFetch",
    "callback",
    "cors",
    "delete",
    "encryption",
    "img",
    "lifecycle",
    "link",
    "live",
    "policy",
    "position",
    "qos",
    "restore",
    "rtc",
    "seal",
    "sequential",
    "style",
    "symlink",
    "tagging",
    "versionId",
    "versions",
    "vod",
    "worm",
    "x-oss-async-process",
    "x-oss-process",
    "x-oss-rename",
    "x-oss-write-get-object-response",
];

const FOREIGN_HEADERS: &[&str] = &[
    "x-oss-callback",
    "x-oss-copy-source",
    "x-oss-server-side-encryption",
    "x-oss-server-side-encryption-key-id",
    "x-oss-symlink-target",
    "x-oss-tagging",
];
