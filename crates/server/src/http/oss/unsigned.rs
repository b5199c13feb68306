//! Requests that nobody signed: forms, which have a signature of their own inside, and whatever the
//! ACL of a bucket or an object lets everybody do.

use std::sync::Arc;

use axum::body::Body as ReplyBody;
use http::{Method, Response};
use vodferry_oss::encode::decode_path;
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::auth::Place;
use super::super::body::Body;
use super::super::call::Call;
use super::super::caller::{Caller, Circumstances};
use super::acl::effective;
use super::errors::service_error;
use super::{Operation, foreign, post};
use crate::policy::{Pattern, Policy, object_resource};
use crate::store::{Bucket, MetaError};

/// Whether a request bears no sign of a signature.
pub(crate) fn is_unsigned(call: &Call) -> bool {
    let marks = [
        "OSSAccessKeyId",
        "Signature",
        "Expires",
        "x-oss-signature-version",
        "x-oss-credential",
        "x-oss-signature",
    ];
    !call.headers.contains_key("authorization")
        && !marks.iter().any(|name| call.parameter(name).is_some())
}

/// Answers such a request.
pub(crate) async fn answer(
    app: &Arc<App>,
    call: &Call,
    body: &mut Body,
) -> Result<Response<ReplyBody>, ServiceError> {
    let place = place(app, call).await?;
    call.notes.place(&place);
    if call.method == Method::POST && place.key.is_empty() && call.parameter("delete").is_none() {
        foreign::refuse(call, &place)?;
        call.notes.operation("PostObject");
        return post::post_object(app, call, &place.bucket, body).await;
    }
    let operation = Operation::of(call, &place)?;
    call.notes.operation(operation.name());
    let bucket = app.meta.get_bucket(&place.bucket).await.map_err(service_error)?;
    if !is_public(app, operation, &place, &bucket).await? {
        return Err(refusal());
    }
    if call.query.iter().any(|(name, _)| name.starts_with("response-")) {
        return Err(ServiceError::of(Code::InvalidRequest)
            .with_message("Requests that are not signed cannot override headers of the reply."));
    }
    let request = Circumstances::of(call, app.now_ms());
    let everybody = Caller::anonymous(&bucket.owner, only(operation, &place), request);
    operation.run(app, &everybody, call, &place, body).await
}

/// What a request means: the first candidate whose bucket exists.
async fn place(app: &App, call: &Call) -> Result<Place, ServiceError> {
    let path = decode_path(&call.path).map_err(|error| {
        ServiceError::of(Code::InvalidObjectName)
            .with_message(format!("The path of the request cannot be decoded: {error}."))
    })?;
    let places = app.candidates(call, &path);
    for (bucket, key) in &places {
        if app.meta.bucket_exists(bucket).await.map_err(service_error)? {
            return Ok(Place { bucket: bucket.clone(), key: key.clone() });
        }
    }
    match places.into_iter().next() {
        Some((bucket, _)) => Err(service_error(MetaError::NoSuchBucket(bucket))),
        None => Err(refusal()),
    }
}

/// Whether everybody may do this.
pub(super) async fn is_public(
    app: &App,
    operation: Operation,
    place: &Place,
    bucket: &Bucket,
) -> Result<bool, ServiceError> {
    let info = match place.key.as_str() {
        "" => None,
        key => match app.meta.head_object(&place.bucket, key).await {
            Ok(info) => Some(info),
            Err(MetaError::NoSuchKey(_)) => None,
            Err(error) => return Err(service_error(error)),
        },
    };
    let acl = effective(&bucket.acl, info.as_ref());
    let readable = matches!(acl, "public-read" | "public-read-write");
    Ok(match operation {
        Operation::GetObject
        | Operation::GetObjectMeta
        | Operation::HeadObject
        | Operation::ListObjectVersions
        | Operation::ListObjects => readable,
        Operation::AbortMultipartUpload
        | Operation::AppendObject
        | Operation::CompleteMultipartUpload
        | Operation::DeleteObject
        | Operation::InitiateMultipartUpload
        | Operation::ListParts
        | Operation::PutObject
        | Operation::UploadPart => acl == "public-read-write",
        _ => false,
    })
}

/// The right to this one thing.
pub(super) fn only(operation: Operation, place: &Place) -> Policy {
    let resource = match place.key.as_str() {
        "" => place.bucket.clone(),
        key => object_resource(&place.bucket, key),
    };
    let mut policy = Policy::everything();
    for statement in &mut policy.statements {
        statement.actions = vec![Pattern::Literal(operation.action().to_owned())];
        statement.resources = vec![Pattern::Literal(resource.clone())];
    }
    policy
}

fn refusal() -> ServiceError {
    ServiceError::of(Code::AccessDenied)
        .with_message("Anonymous access is forbidden: the request is not signed.")
}
