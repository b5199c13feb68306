//! PutObject and DeleteObject.

use axum::body::Body as ReplyBody;
use http::Response;
use vodferry_oss::ServiceError;
use vodferry_oss::etag::{content_md5, quote};

use super::super::App;
use super::super::auth::Place;
use super::super::body::Body;
use super::super::call::Call;
use super::super::reply::{empty, set};
use super::receive::{Announced, CRC64, forbids_overwrite, object_headers, receive, refused};
use super::service_error;
use crate::store::{MetaError, PutObject};

/// `PUT /key`: the body becomes the object.
pub(super) async fn put_object(
    app: &App,
    call: &Call,
    place: &Place,
    body: &mut Body,
) -> Result<Response<ReplyBody>, ServiceError> {
    let announced = Announced::of(call)?;
    let headers = object_headers(call)?;
    let forbid_overwrite = forbids_overwrite(call);
    if forbid_overwrite {
        // Spares the client the bytes; the store decides when they are there.
        match app.meta.head_object(&place.bucket, &place.key).await {
            Ok(_) => {
                let key = place.key.clone();
                return Err(service_error(MetaError::FileAlreadyExists { key }));
            }
            Err(MetaError::NoSuchKey(_)) => {}
            Err(error) => return Err(service_error(error)),
        }
    }
    let blob = receive(app, announced, body).await?;
    let (id, md5) = (blob.id.clone(), blob.md5);
    let put = PutObject {
        bucket: place.bucket.clone(),
        key: place.key.clone(),
        headers,
        blob,
        forbid_overwrite,
        now_ms: app.now_ms(),
    };
    let info = match app.meta.put_object(put).await {
        Ok(info) => info,
        Err(error) => return Err(refused(app, &id, error).await),
    };
    let mut response = empty(200);
    set(&mut response, "etag", &quote(&info.etag));
    set(&mut response, "content-md5", &content_md5(&md5));
    set(&mut response, CRC64, &info.crc64.to_string());
    Ok(response)
}

/// `DELETE /key`: 204, whether there was an object or not.
pub(super) async fn delete_object(
    app: &App,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    app.meta.delete_object(&place.bucket, &place.key, app.now_ms()).await.map_err(service_error)?;
    Ok(empty(204))
}
