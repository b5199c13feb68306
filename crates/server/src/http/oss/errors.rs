//! Failures in the words of the protocol.

use vodferry_oss::xml::XmlError;
use vodferry_oss::{Code, ServiceError};

use super::super::body::BodyError;
use crate::store::{BlobError, MetaError};

/// A failure of the database.
pub(super) fn service_error(error: MetaError) -> ServiceError {
    match error {
        MetaError::BucketAlreadyExists(bucket) => {
            ServiceError::of(Code::BucketAlreadyExists).with_context("BucketName", bucket)
        }
        MetaError::BucketNotEmpty(bucket) => {
            ServiceError::of(Code::BucketNotEmpty).with_context("BucketName", bucket)
        }
        MetaError::Changed(_) => ServiceError::of(Code::ServiceUnavailable).with_message(
            "The source was changed each time that it was looked at. Nothing was copied. Try again.",
        ),
        MetaError::FileAlreadyExists { key } => {
            ServiceError::of(Code::FileAlreadyExists).with_context("Key", key)
        }
        MetaError::EntityTooSmall { number, length, minimum } => {
            ServiceError::of(Code::EntityTooSmall)
                .with_context("PartNumber", number.to_string())
                .with_context("MinSizeAllowed", minimum.to_string())
                .with_context("ProposedSize", length.to_string())
        }
        MetaError::InvalidPart { number, etag, upload_id } => ServiceError::of(Code::InvalidPart)
            .with_context("PartNumber", number.to_string())
            .with_context("ETag", etag)
            .with_context("UploadId", upload_id),
        MetaError::InvalidPartOrder => ServiceError::of(Code::InvalidPartOrder),
        MetaError::NoPartsListed => {
            ServiceError::of(Code::MalformedXML).with_message("The part list is empty.")
        }
        MetaError::NoSuchBucket(bucket) => {
            ServiceError::of(Code::NoSuchBucket).with_context("BucketName", bucket)
        }
        MetaError::NoSuchKey(key) => ServiceError::of(Code::NoSuchKey).with_context("Key", key),
        MetaError::NoSuchUpload(upload_id) => {
            ServiceError::of(Code::NoSuchUpload).with_context("UploadId", upload_id)
        }
        MetaError::ObjectNotAppendable(key) => {
            ServiceError::of(Code::ObjectNotAppendable).with_context("Key", key)
        }
        MetaError::PartAlreadyExists { number, etag } => ServiceError::of(Code::PartAlreadyExist)
            .with_context("PartNumber", number.to_string())
            .with_context("PartEtag", etag),
        MetaError::PartNotSequential { number, expected } => {
            ServiceError::of(Code::PartNotSequential)
                .with_context("PartNumber", number.to_string())
                .with_context("ExpectedPartNumber", expected.to_string())
        }
        MetaError::PositionNotEqualToLength { position, length } => {
            ServiceError::of(Code::PositionNotEqualToLength)
                .with_context("Position", position.to_string())
                .with_context("ObjectLength", length.to_string())
        }
        MetaError::QuotaExceeded { tenant, what, most } => quota_exceeded(&tenant, what, most),
        MetaError::TooManyBuckets { tenant, most } => ServiceError::of(Code::TooManyBuckets)
            .with_message(format!("The account may have {most} buckets at most."))
            .with_context("Account", tenant)
            .with_context("Quota", most.to_string()),
        MetaError::Full { .. } => full(&error),
        MetaError::Closed => ServiceError::of(Code::ServiceUnavailable),
        other => internal(&other),
    }
}

/// A refusal that no repeat changes, and that is not about who asks. The original has none like it.
fn quota_exceeded(tenant: &str, what: &str, most: u64) -> ServiceError {
    let mut error = ServiceError::of(Code::InvalidRequest);
    (error.status, error.code) = (409, "QuotaExceeded".to_owned());
    error
        .with_message(format!("The account may store {most} {what} at most. Nothing was stored."))
        .with_context("Account", tenant)
        .with_context("Quota", most.to_string())
        .with_context("EC", "0090-00000100")
}

/// A failure of the blob store.
pub(super) fn blob_error(error: BlobError) -> ServiceError {
    match error {
        BlobError::Full { .. } => full(&error),
        BlobError::Closed => ServiceError::of(Code::ServiceUnavailable),
        other => internal(&other),
    }
}

/// A body that did not arrive.
pub(super) fn body_error(error: BodyError) -> ServiceError {
    ServiceError::of(match error {
        BodyError::Cut => Code::IncompleteBody,
        BodyError::Idle => Code::RequestTimeout,
        BodyError::TooLarge => Code::EntityTooLarge,
    })
}

/// A failure of ours: the log has the cause, the client learns that it may try again.
pub(super) fn internal(cause: &(dyn std::error::Error + 'static)) -> ServiceError {
    tracing::error!(error = cause, "request failed");
    ServiceError::of(Code::InternalError)
}

/// A document that is not what was expected.
pub(super) fn malformed(error: XmlError) -> ServiceError {
    ServiceError::of(Code::MalformedXML)
        .with_message(format!("The body is not understood: {error}."))
}

/// An argument that breaks its `rule`.
pub(super) fn argument(name: &'static str, value: &str, rule: &str) -> ServiceError {
    ServiceError::of(Code::InvalidArgument)
        .with_message(rule)
        .with_context("ArgumentName", name)
        .with_context("ArgumentValue", value)
}

/// An argument that is not there.
pub(super) fn missing(name: &'static str) -> ServiceError {
    ServiceError::of(Code::MissingArgument)
        .with_message(format!("{name} is missing."))
        .with_context("ArgumentName", name)
}

/// Something that the original has and this server has not.
pub(super) fn not_implemented(what: &str) -> ServiceError {
    ServiceError::of(Code::NotImplemented)
        .with_message(format!("This server does not have {what}."))
}

/// No space left: the client slows down and tries again, and an operator makes room.
fn full(cause: &(dyn std::error::Error + 'static)) -> ServiceError {
    tracing::error!(error = cause, "no space left");
    ServiceError::of(Code::ServiceUnavailable)
        .with_message("The disk of this server is full. Nothing was stored. Try again later.")
}
