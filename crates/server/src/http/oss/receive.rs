//! Bytes on their way in: from a request's body to a blob, checked against whatever the client said
//! about them.

use vodferry_oss::etag::parse_content_md5;
use vodferry_oss::limits::{MAX_PART_SIZE, MAX_USER_METADATA};
use vodferry_oss::{Code, ServiceError};

use super::super::App;
use super::super::auth::Place;
use super::super::body::Body;
use super::super::call::Call;
use super::super::caller::Caller;
use super::acl::{OBJECT_ACL, object_acl_header};
use super::errors::{argument, blob_error, body_error, service_error};
use super::tagging::{TAGGING, tagging_header};
use crate::store::{Blob, BlobId, Intake, MetaError, RunningMd5};

/// What a client says about a body before it sends it.
pub(super) struct Announced {
    length: Option<u64>,
    md5: Option<[u8; 16]>,
    crc64: Option<u64>,
    /// Most bytes that may come.
    most: u64,
}

impl Announced {
    /// Reads the headers and refuses what cannot end well before a byte travels.
    pub(super) fn of(call: &Call) -> Result<Announced, ServiceError> {
        let length = match (call.content_length(), call.is_chunked()) {
            (length @ Some(_), false) => length,
            (_, true) => None,
            (None, false) => return Err(ServiceError::of(Code::MissingContentLength)),
        };
        if let Some(length) = length.filter(|length| *length > MAX_PART_SIZE) {
            return Err(too_large(length));
        }
        let md5 = match call.header("content-md5") {
            Some(text) => Some(parse_content_md5(&text).ok_or_else(|| {
                ServiceError::of(Code::InvalidDigest)
                    .with_message("The Content-MD5 you specified is not base64 of 16 bytes.")
            })?),
            None => None,
        };
        let crc64 = match call.header(CRC64) {
            Some(text) => Some(text.parse().map_err(|_| {
                argument(CRC64, &text, "The CRC64 you specified is not a decimal number.")
            })?),
            None => None,
        };
        Ok(Announced { length, md5, crc64, most: MAX_PART_SIZE })
    }

    /// Of bytes that come after so many others, which count with them.
    pub(super) fn after(mut self, position: u64) -> Result<Announced, ServiceError> {
        let length = position.saturating_add(self.length.unwrap_or(0));
        if length > MAX_PART_SIZE {
            return Err(too_large(length));
        }
        self.most = MAX_PART_SIZE - position;
        Ok(self)
    }
}

/// Takes the body in, into `whole` too where its bytes go on with others. What it returns is named by nobody yet; on an error nothing is left behind.
pub(super) async fn receive(
    app: &App,
    announced: Announced,
    body: &mut Body,
    intake: Intake<'_>,
    mut whole: Option<&mut RunningMd5>,
) -> Result<Blob, ServiceError> {
    let mut intake = intake.expecting(announced.length);
    while let Some(bytes) = body.next(announced.most).await.map_err(body_error)? {
        if let Some(whole) = &mut whole {
            whole.update(&bytes);
        }
        intake.write(bytes).await.map_err(blob_error)?;
    }
    let blob = intake.finish().await.map_err(blob_error)?;
    let flaw = if announced.length.is_some_and(|length| length != blob.length) {
        Some(ServiceError::of(Code::IncompleteBody))
    } else if announced.md5.is_some_and(|md5| md5 != blob.md5) {
        Some(ServiceError::of(Code::InvalidDigest))
    } else if announced.crc64.is_some_and(|crc64| crc64 != blob.crc64) {
        Some(ServiceError::of(Code::InvalidCRC64))
    } else {
        None
    };
    let Some(flaw) = flaw else { return Ok(blob) };
    remove(app, blob.id()).await;
    Err(flaw)
}

/// What the refusal of a blob by the database tells the client. A blob that was refused for good is
/// removed at once; what became of one after a failure is for the janitor to find out.
pub(super) async fn refused(app: &App, id: Option<&BlobId>, error: MetaError) -> ServiceError {
    if error.is_refusal() {
        remove(app, id).await;
    }
    service_error(error)
}

/// A small body is nowhere yet.
async fn remove(app: &App, id: Option<&BlobId>) {
    let Some(id) = id else { return };
    if let Err(error) = app.blobs.delete(id).await {
        // The janitor finds it, since no row names it.
        tracing::warn!(error = &error as &dyn std::error::Error, "a refused body was not removed");
    }
}

/// The headers that an object keeps, its ACL and tags among them, which not everybody may give it, and
/// `class`, that of its bucket, where the request names none.
pub(super) fn object_headers(
    caller: &Caller,
    call: &Call,
    place: &Place,
    class: &str,
) -> Result<Vec<(String, String)>, ServiceError> {
    let acl = object_acl_header(call)?.filter(|acl| acl != "default");
    if acl.is_some() {
        caller.require("oss:PutObjectAcl", place)?;
    }
    let tags = tagging_header(call)?;
    if tags.is_some() {
        caller.require("oss:PutObjectTagging", place)?;
    }
    let mut headers = call.header_list();
    headers.retain(|(name, _)| is_kept(name));
    match headers.iter().find(|(name, _)| name == STORAGE_CLASS) {
        Some((_, class)) => {
            known_class(STORAGE_CLASS, class)?;
        }
        None if class == STANDARD => {}
        None => headers.push((STORAGE_CLASS.to_owned(), class.to_owned())),
    }
    if !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), "application/octet-stream".to_owned()));
    }
    let user: usize = headers
        .iter()
        .filter_map(|(name, value)| Some(name.strip_prefix(META)?.len() + value.len()))
        .sum();
    if user > MAX_USER_METADATA {
        let rule = "The user metadata is longer than 8192 bytes.";
        return Err(argument("x-oss-meta-*", &user.to_string(), rule));
    }
    headers.extend(acl.map(|acl| (OBJECT_ACL.to_owned(), acl)));
    headers.extend(tags.map(|tags| (TAGGING.to_owned(), tags)));
    Ok(headers)
}

/// Whether an object keeps the header of this name.
pub(crate) fn is_kept(name: &str) -> bool {
    KEPT.contains(&name) || name.starts_with(META)
}

/// Whether an object that is already there is to be kept.
pub(super) fn forbids_overwrite(call: &Call) -> bool {
    call.header("x-oss-forbid-overwrite").is_some_and(|value| value.eq_ignore_ascii_case("true"))
}

/// Refuses a key that is taken, when overwriting is forbidden.
pub(super) async fn keeps(app: &App, place: &Place, forbid: bool) -> Result<(), ServiceError> {
    if !forbid {
        return Ok(());
    }
    match app.meta.head_object(&place.bucket, &place.key).await {
        Ok(_) => {
            let key = place.key.clone();
            Err(service_error(MetaError::FileAlreadyExists { key }))
        }
        Err(MetaError::NoSuchKey(_)) => Ok(()),
        Err(error) => Err(service_error(error)),
    }
}

/// The CRC-64 of bodies and objects, in decimal.
pub(super) const CRC64: &str = "x-oss-hash-crc64ecma";

const META: &str = "x-oss-meta-";
const KEPT: &[&str] = &[
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    STORAGE_CLASS,
];

/// The class of an object, which is a name here and nothing more.
pub(super) const STORAGE_CLASS: &str = "x-oss-storage-class";
/// That of objects which keep no name of one.
pub(super) const STANDARD: &str = "Standard";
const CLASSES: &[&str] = &[STANDARD, "IA", "Archive", "ColdArchive", "DeepColdArchive"];

/// Refuses a class, given as `name`, that the original has not.
pub(super) fn known_class<'a>(name: &'static str, class: &'a str) -> Result<&'a str, ServiceError> {
    match CLASSES.contains(&class) {
        true => Ok(class),
        false => Err(argument(name, class, "The storage class is not known.")),
    }
}

/// More bytes than an upload may have.
pub(super) fn too_large(length: u64) -> ServiceError {
    ServiceError::of(Code::EntityTooLarge)
        .with_context("MaxSizeAllowed", MAX_PART_SIZE.to_string())
        .with_context("ProposedSize", length.to_string())
}
