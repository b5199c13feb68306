//! PutObject.

use std::sync::Arc;

use axum::body::Body as ReplyBody;
use http::Response;
use vodferry_oss::ServiceError;
use vodferry_oss::etag::{content_md5, quote};

use super::super::App;
use super::super::auth::Place;
use super::super::body::Body;
use super::super::call::Call;
use super::super::caller::Caller;
use super::super::reply::{empty, set};
use super::callback::{self, Uploaded};
use super::receive::{
    Announced, CRC64, forbids_overwrite, keeps, object_headers, receive, refused,
};
use crate::store::{Intake, PutObject};

/// `PUT /key`: the body becomes the object.
pub(super) async fn put_object(
    app: &Arc<App>,
    caller: &Caller,
    call: &Call,
    place: &Place,
    class: &str,
    body: &mut Body,
) -> Result<Response<ReplyBody>, ServiceError> {
    let callback = callback::asked_for(call)?;
    let announced = Announced::of(call)?;
    let headers = object_headers(caller, call, place, class)?;
    let forbid_overwrite = forbids_overwrite(call);
    // Spares the client the bytes; the store decides when they are there.
    keeps(app, place, forbid_overwrite).await?;
    let blob = receive(app, announced, body, Intake::new(&*app.blobs, 0), None).await?;
    let (id, md5) = (blob.id().cloned(), blob.md5);
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
        Err(error) => return Err(refused(app, id.as_ref(), error).await),
    };
    let mut response = empty(200);
    set(&mut response, "etag", &quote(&info.etag));
    set(&mut response, "content-md5", &content_md5(&md5));
    set(&mut response, CRC64, &info.crc64.to_string());
    callback::answer(app, call, "PutObject", callback, place, Uploaded::from(&info), response).await
}
