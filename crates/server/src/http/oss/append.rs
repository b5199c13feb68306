//! AppendObject.

use axum::body::Body as ReplyBody;
use http::Response;
use vodferry_oss::ServiceError;
use vodferry_oss::etag::quote;

use super::super::App;
use super::super::auth::Place;
use super::super::body::Body;
use super::super::call::Call;
use super::super::caller::Caller;
use super::super::reply::{empty, set};
use super::arguments::{decimal, text};
use super::errors::{argument, service_error};
use super::receive::{Announced, CRC64, object_headers, receive, refused};
use crate::store::{AppendObject, Intake, MetaError};

const NEXT: &str = "x-oss-next-append-position";

/// `POST /key?append&position=N`
pub(super) async fn append_object(
    app: &App,
    caller: &Caller,
    call: &Call,
    place: &Place,
    class: &str,
    body: &mut Body,
) -> Result<Response<ReplyBody>, ServiceError> {
    let asked = text(call, "position");
    let position: u64 = decimal(asked)
        .ok_or_else(|| argument("position", asked, "position must be an integer, zero or more."))?;
    // The object has what the first request said; what later ones say does not count.
    let headers = match position {
        0 => object_headers(caller, call, place, class)?,
        _ => Vec::new(),
    };
    let announced = Announced::of(call)?.after(position)?;
    check(app, place, position).await.map_err(service_error)?;
    let blob = receive(app, announced, body, Intake::new(&*app.blobs, position), None).await?;
    let id = blob.id().cloned();
    let append = AppendObject {
        bucket: place.bucket.clone(),
        key: place.key.clone(),
        position,
        headers,
        blob,
        now_ms: app.now_ms(),
    };
    let info = match app.meta.append_object(append).await {
        Ok(info) => info,
        Err(error) => return Err(refused(app, id.as_ref(), error).await),
    };
    let mut response = empty(200);
    set(&mut response, "etag", &quote(&info.etag));
    set(&mut response, NEXT, &info.length.to_string());
    set(&mut response, CRC64, &info.crc64.to_string());
    Ok(response)
}

/// Spares the client the bytes; the store decides when they are there.
async fn check(app: &App, place: &Place, position: u64) -> Result<(), MetaError> {
    let length = match app.meta.head_object(&place.bucket, &place.key).await {
        Ok(info) if !info.appendable => {
            return Err(MetaError::ObjectNotAppendable(place.key.clone()));
        }
        Ok(info) => info.length,
        Err(MetaError::NoSuchKey(_)) => 0,
        Err(error) => return Err(error),
    };
    match length == position {
        true => Ok(()),
        false => Err(MetaError::PositionNotEqualToLength { position, length }),
    }
}
