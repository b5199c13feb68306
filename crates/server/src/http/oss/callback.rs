//! Where uploads meet callbacks: the argument of a request, and the application's answer as reply.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body as ReplyBody;
use bytes::Bytes;
use futures_util::TryStreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{Method, Response, StatusCode};
use vodferry_oss::etag::content_md5;
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::auth::Place;
use super::super::call::Call;
use super::super::reply::JSON;
use super::copy::COPY_SOURCE;
use super::errors::internal;
use super::read::{Piece, pieces, stream};
use crate::callback::{Callback, Image, Value, Values};
use crate::store::{Completed, Object, ObjectInfo};

const HEADERS: [&str; 2] = ["x-oss-callback", "x-oss-callback-var"];
const PARAMETERS: [&str; 2] = ["callback", "callback-var"];

/// What an application is told of an upload.
pub(super) struct Uploaded {
    etag: String,
    length: u64,
    crc64: u64,
    md5: Option<[u8; 16]>,
    /// None: the one that the object has.
    mime_type: Option<String>,
}

impl From<&ObjectInfo> for Uploaded {
    fn from(info: &ObjectInfo) -> Uploaded {
        Uploaded {
            etag: info.etag.clone(),
            length: info.length,
            crc64: info.crc64,
            md5: info.md5,
            mime_type: Some(info.header("content-type").unwrap_or(OCTETS).to_owned()),
        }
    }
}

impl From<&Completed> for Uploaded {
    fn from(done: &Completed) -> Uploaded {
        let (length, crc64) = (done.length, done.crc64);
        Uploaded { etag: done.etag.clone(), length, crc64, md5: None, mime_type: None }
    }
}

const OCTETS: &str = "application/octet-stream";

/// Whether a request has an argument of a callback in its headers or its query.
pub(super) fn is_asked_for(call: &Call) -> bool {
    call.headers.contains_key(HEADERS[0]) || call.parameter(PARAMETERS[0]).is_some()
}

/// Whether a request may have one: those that end an upload, and those on the way to its end, which
/// some clients send with the same headers.
pub(super) fn is_possible(call: &Call, place: &Place) -> bool {
    let has = |name| call.parameter(name).is_some();
    let copies = call.headers.contains_key(COPY_SOURCE);
    match call.method {
        Method::PUT => !place.key.is_empty() && !copies && !has("acl") && !has("tagging"),
        // Without a key it is a form.
        Method::POST if place.key.is_empty() => !has("delete"),
        Method::POST => (has("uploadId") || has("uploads")) && !has("append"),
        _ => false,
    }
}

/// The callback that headers or query ask for.
pub(super) fn asked_for(call: &Call) -> Result<Option<Callback>, ServiceError> {
    let in_headers = HEADERS.iter().any(|name| call.headers.contains_key(*name));
    let in_query = PARAMETERS.iter().any(|name| call.parameter(name).is_some());
    if in_headers && in_query {
        return Err(invalid("The callback is in the headers and in the query."));
    }
    if HEADERS.iter().any(|name| call.headers.get_all(*name).iter().count() > 1) {
        return Err(invalid("The callback is there twice."));
    }
    match in_headers {
        true => read(call.header(HEADERS[0]).as_deref(), call.header(HEADERS[1]).as_deref()),
        false => read(call.parameter(PARAMETERS[0]), call.parameter(PARAMETERS[1])),
    }
}

/// The callback that fields of a form ask for, whose names are in lower case.
pub(super) fn asked_for_by_form(
    call: &Call,
    fields: &[(String, String)],
) -> Result<Option<Callback>, ServiceError> {
    if is_asked_for(call) {
        return Err(invalid("The callback of a form is a field of it."));
    }
    let field = |name| fields.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str());
    let mut callback = read(field(PARAMETERS[0]), field(PARAMETERS[1]))?;
    if let Some(callback) = &mut callback {
        let own = fields.iter().filter(|(name, _)| name.starts_with("x:"));
        own.for_each(|(name, value)| callback.add_variable(name, value));
    }
    Ok(callback)
}

/// Makes the callback, if there is one: the application's answer in place of `response`, with the same
/// headers. It runs to its end even when the client hangs up.
pub(super) async fn answer(
    app: &Arc<App>,
    call: &Call,
    operation: &'static str,
    callback: Option<Callback>,
    place: &Place,
    uploaded: Uploaded,
    mut response: Response<ReplyBody>,
) -> Result<Response<ReplyBody>, ServiceError> {
    let Some(callback) = callback else { return Ok(response) };
    let mut values: Values = vec![
        ("bucket", Value::Text(place.bucket.clone())),
        ("object", Value::Text(place.key.clone())),
        ("etag", Value::Text(uploaded.etag.clone())),
        ("size", Value::Number(uploaded.length)),
        ("crc64", Value::Text(uploaded.crc64.to_string())),
        ("contentMd5", Value::Text(uploaded.md5.as_ref().map(content_md5).unwrap_or_default())),
        ("clientIp", Value::Text(call.peer.ip.to_canonical().to_string())),
        ("reqId", Value::Text(call.id.to_string())),
        ("operation", Value::Text(operation.to_owned())),
    ];
    let (app, place) = (app.clone(), place.clone());
    let task = tokio::spawn(async move {
        let began = Instant::now();
        values.extend(of_content(&app, &place, &uploaded, &callback).await);
        let (callbacks, metrics) = (app.callbacks.clone(), app.metrics.clone());
        // A server that stops lets go of its folder, however long an application takes.
        drop(app);
        let answered = callbacks.perform(&callback, &values).await;
        let outcome = answered.as_ref().err().map_or("answered", |failure| failure.word());
        metrics.callback(outcome, began.elapsed());
        (answered, outcome)
    });
    let (answered, outcome) = task.await.map_err(|error| internal(&error))?;
    call.notes.callback(outcome);
    let body = answered.map_err(|failure| {
        ServiceError::of(Code::CallbackFailed).with_message(failure.to_string())
    })?;
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.remove(LOCATION);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    *response.body_mut() = ReplyBody::from(Bytes::from(body));
    Ok(response)
}

/// What takes a look at the object. One that was replaced meanwhile is not the one that was uploaded.
async fn of_content(app: &App, place: &Place, uploaded: &Uploaded, callback: &Callback) -> Values {
    let measures = callback.wants("imageInfo.");
    let found = match (measures, &uploaded.mime_type) {
        (true, _) => app.meta.get_object(&place.bucket, &place.key).await.ok(),
        (false, None) => {
            let info = app.meta.head_object(&place.bucket, &place.key).await.ok();
            info.map(|info| Object { info, extents: Vec::new() })
        }
        (false, Some(_)) => None,
    };
    let is_same = |info: &ObjectInfo| (&info.etag, info.crc64) == (&uploaded.etag, uploaded.crc64);
    let object = found.filter(|object| is_same(&object.info));
    let kind = object.as_ref().and_then(|object| object.info.header("content-type"));
    let kind = uploaded.mime_type.as_deref().or(kind).unwrap_or(OCTETS);
    let mut values = vec![("mimeType", Value::Text(kind.to_owned()))];
    if let Some(object) = object.filter(|_| measures) {
        let head = 0..object.info.length.min(Image::HEAD);
        if let Some(image) = Image::of(&bytes(app, pieces(object.extents, &head)).await) {
            values.push(("imageInfo.width", Value::Number(image.width)));
            values.push(("imageInfo.height", Value::Number(image.height)));
            values.push(("imageInfo.format", Value::Text(image.format.to_owned())));
        }
    }
    values
}

/// What cannot be read is no picture.
async fn bytes(app: &App, pieces: Vec<Piece>) -> Vec<u8> {
    let Ok(Some(stream)) = stream(app, pieces).await else { return Vec::new() };
    let pieces: Vec<Bytes> = stream.try_collect().await.unwrap_or_default();
    pieces.concat()
}

/// The callback of these arguments.
fn read(argument: Option<&str>, variables: Option<&str>) -> Result<Option<Callback>, ServiceError> {
    argument.map(|text| Callback::read(text, variables)).transpose().map_err(|m| invalid(&m))
}

fn invalid(message: &str) -> ServiceError {
    ServiceError::of(Code::InvalidArgument)
        .with_message(message)
        .with_context("ArgumentName", PARAMETERS[0])
}
