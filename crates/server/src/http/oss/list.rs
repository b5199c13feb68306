//! ListObjects in both versions, ListObjectVersions, ListMultipartUploads, and ListLiveChannel of none.

use axum::body::Body as ReplyBody;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Response;
use vodferry_oss::ServiceError;
use vodferry_oss::limits::MAX_PAGE;
use vodferry_oss::xml::{
    ListBucketResult, ListMultipartUploadsResult, ListedObject, ListedUpload, Owner, Paging,
    no_live_channels,
};

use super::super::App;
use super::super::auth::Place;
use super::super::call::Call;
use super::super::reply::{XML, reply};
use super::super::video::as_i64;
use super::arguments::{page_limit, text, wants_url};
use super::bucket::owner_named;
use super::errors::{argument, service_error};
use super::receive::STORAGE_CLASS;
use crate::store::{Entry, KeyQuery, ObjectInfo};

/// `GET /`, of version 2 with `list-type=2`.
pub(super) async fn list_objects(
    app: &App,
    call: &Call,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let second = match text(call, "list-type") {
        "" | "1" => false,
        "2" => true,
        other => return Err(argument("list-type", other, "list-type must be 2.")),
    };
    let after = if second { after_token(call)? } else { text(call, "marker").to_owned() };
    let owners = !second || text(call, "fetch-owner") == "true";
    listing(app, call, place, after, owners, |next| match second {
        true => Paging::Token {
            token: text(call, "continuation-token").to_owned(),
            next: URL_SAFE_NO_PAD.encode(next),
            start_after: text(call, "start-after").to_owned(),
        },
        false => Paging::Marker { marker: text(call, "marker").to_owned(), next },
    })
    .await
}

/// `GET /?versions`: one of each object, as in a bucket that never had more.
pub(super) async fn list_object_versions(
    app: &App,
    call: &Call,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let after = text(call, "key-marker").to_owned();
    listing(app, call, place, after, true, |next| Paging::Versions {
        key_marker: text(call, "key-marker").to_owned(),
        version_id_marker: text(call, "version-id-marker").to_owned(),
        next,
    })
    .await
}

/// A page of what follows the key `after`. `paging` is given where the next one begins.
async fn listing(
    app: &App,
    call: &Call,
    place: &Place,
    after: String,
    owners: bool,
    paging: impl FnOnce(String) -> Paging,
) -> Result<Response<ReplyBody>, ServiceError> {
    let url = wants_url(call)?;
    let max_keys = page_limit(call, "max-keys", 100)?;
    let query = KeyQuery {
        prefix: text(call, "prefix").to_owned(),
        delimiter: text(call, "delimiter").to_owned(),
        after,
        after_upload: String::new(),
        limit: max_keys as usize,
    };
    let bucket = app.meta.get_bucket(&place.bucket).await.map_err(service_error)?;
    let page = app.meta.list_objects(&place.bucket, query).await.map_err(service_error)?;

    let next = page.entries.last().filter(|_| page.truncated).map(Entry::name).unwrap_or_default();
    let owner = owners.then(|| owner_named(&bucket.owner));
    let mut result = ListBucketResult {
        name: place.bucket.clone(),
        prefix: text(call, "prefix").to_owned(),
        delimiter: text(call, "delimiter").to_owned(),
        max_keys,
        is_truncated: page.truncated,
        paging: paging(next.to_owned()),
        ..ListBucketResult::default()
    };
    for entry in page.entries {
        match entry {
            Entry::CommonPrefix(prefix) => result.common_prefixes.push(prefix),
            Entry::Key(key, info) => result.contents.push(listed(key, info, &owner)),
        }
    }
    Ok(reply(200, XML, result.encode(url)))
}

/// `GET /?live`: there are none.
pub(super) fn list_live_channels(call: &Call) -> Result<Response<ReplyBody>, ServiceError> {
    let max_keys = page_limit(call, "max-keys", 100)?;
    let none = no_live_channels(text(call, "prefix"), text(call, "marker"), max_keys);
    Ok(reply(200, XML, none))
}

/// `GET /?uploads`
pub(super) async fn list_uploads(
    app: &App,
    call: &Call,
    place: &Place,
) -> Result<Response<ReplyBody>, ServiceError> {
    let url = wants_url(call)?;
    let max_uploads = page_limit(call, "max-uploads", MAX_PAGE)?;
    let query = KeyQuery {
        prefix: text(call, "prefix").to_owned(),
        delimiter: text(call, "delimiter").to_owned(),
        after: text(call, "key-marker").to_owned(),
        after_upload: text(call, "upload-id-marker").to_owned(),
        limit: max_uploads as usize,
    };
    let page = app.meta.list_uploads(&place.bucket, query).await.map_err(service_error)?;
    let mut result = ListMultipartUploadsResult {
        bucket: place.bucket.clone(),
        key_marker: text(call, "key-marker").to_owned(),
        upload_id_marker: text(call, "upload-id-marker").to_owned(),
        delimiter: text(call, "delimiter").to_owned(),
        prefix: text(call, "prefix").to_owned(),
        max_uploads,
        is_truncated: page.truncated,
        ..ListMultipartUploadsResult::default()
    };
    if let Some(last) = page.entries.last().filter(|_| page.truncated) {
        result.next_key_marker = last.name().to_owned();
        if let Entry::Key(_, upload) = last {
            result.next_upload_id_marker = upload.upload_id.clone();
        }
    }
    for entry in page.entries {
        match entry {
            Entry::CommonPrefix(prefix) => result.common_prefixes.push(prefix),
            Entry::Key(key, upload) => result.uploads.push(ListedUpload {
                key,
                storage_class: upload.header(STORAGE_CLASS).unwrap_or_default().to_owned(),
                initiated_ms: as_i64(upload.initiated_ms),
                upload_id: upload.upload_id,
            }),
        }
    }
    Ok(reply(200, XML, result.encode(url)))
}

/// After which key a page of version 2 begins: the token tells, which is base64 of a key, else
/// `start-after`. The alphabet is the one for URLs: a client that asked for encoded names decodes
/// the token, too, which would make a blank of a plus.
fn after_token(call: &Call) -> Result<String, ServiceError> {
    match text(call, "continuation-token") {
        "" => Ok(text(call, "start-after").to_owned()),
        token => URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| argument("continuation-token", token, "The token is none of ours.")),
    }
}

fn listed(key: String, info: ObjectInfo, owner: &Option<Owner>) -> ListedObject {
    ListedObject {
        key,
        last_modified_ms: as_i64(info.modified_ms),
        kind: info.kind().to_owned(),
        size: info.length,
        storage_class: info.header(STORAGE_CLASS).unwrap_or_default().to_owned(),
        owner: owner.clone(),
        etag: info.etag,
    }
}
