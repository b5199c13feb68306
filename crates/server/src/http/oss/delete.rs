//! Deletions: of one object, and of up to 1000.

use axum::body::Body as ReplyBody;
use http::Response;
use vodferry_oss::xml::{Delete, delete_result};
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::auth::Place;
use super::super::body::Body;
use super::super::call::Call;
use super::super::caller::Caller;
use super::super::reply::{XML, empty, reply};
use super::arguments::{document, wants_url};
use super::errors::{malformed, missing, not_implemented, service_error};

/// `DELETE /key`: 204, whether there was an object or not.
pub(super) async fn delete_object(
    app: &App,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    app.meta.delete_object(&place.bucket, &place.key, app.now_ms()).await.map_err(service_error)?;
    Ok(empty(204))
}

/// `POST /?delete`: all or, when one may not be deleted, none.
pub(super) async fn delete_objects(
    app: &App,
    caller: &Caller,
    call: &Call,
    place: &Place,
    body: &mut Body,
) -> Result<Response<ReplyBody>, ServiceError> {
    if call.header("content-md5").is_none() {
        return Err(missing("Content-MD5"));
    }
    if call.content_length().is_none() {
        return Err(ServiceError::of(Code::MissingContentLength));
    }
    let url = wants_url(call)?;
    let bytes = document(app, call, body).await?;
    let asked = Delete::decode(&bytes).map_err(malformed)?;
    if asked.objects.is_empty() || asked.objects.len() > MOST {
        return Err(ServiceError::of(Code::MalformedXML)
            .with_message(format!("1 to {MOST} objects can be deleted at once.")));
    }
    if asked.objects.iter().any(|object| object.key.is_empty()) {
        return Err(ServiceError::of(Code::MalformedXML).with_message("A key is empty."));
    }
    let versions = |id: &str| !matches!(id, "" | "null");
    if asked.objects.iter().any(|object| versions(&object.version_id)) {
        return Err(not_implemented("versions of objects"));
    }
    let keys: Vec<String> = asked.objects.into_iter().map(|object| object.key).collect();
    for key in &keys {
        let object = Place { bucket: place.bucket.clone(), key: key.clone() };
        caller.require("oss:DeleteObject", &object)?;
    }
    app.meta
        .delete_objects(&place.bucket, keys.clone(), None, app.now_ms())
        .await
        .map_err(service_error)?;
    if asked.quiet {
        return Ok(empty(200));
    }
    Ok(reply(200, XML, delete_result(&keys, url)))
}

const MOST: usize = 1000;
