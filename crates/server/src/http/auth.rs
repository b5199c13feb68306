//! Who asks, and for which object: the two are found together.
//!
//! Host and path alone do not tell the bucket (it may be in either, or in neither), but the
//! signature covers it. So every place that the request may mean is tried, and the one whose
//! signature verifies wins.

use vodferry_oss::encode::decode_path;
use vodferry_oss::sign::{Presented, Region};
use vodferry_oss::{Code, Secret, ServiceError};

use super::App;
use super::call::Call;
use super::caller::{Caller, Circumstances, KeyError};
use super::video::as_i64;
use crate::config::Config;
use crate::token::TokenError;

/// What a request is about. Without a key: a bucket; without a bucket: the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Bucket name, or empty.
    pub(crate) bucket: String,
    /// Object key, decoded, or empty.
    pub(crate) key: String,
}

/// A request whose signature verified.
pub(crate) struct Authentic {
    /// Who asks.
    pub(crate) caller: Caller,
    /// What about.
    pub(crate) place: Place,
    /// The body that was signed, where the signature covers it.
    pub(crate) content_sha256: Option<[u8; 32]>,
}

/// Checks, in this order: a signature is there, its key is known, its token is good, its time is
/// near, it verifies.
pub(crate) fn authenticate(app: &App, call: &Call) -> Result<Authentic, ServiceError> {
    let path = decode_path(&call.path).map_err(|error| {
        ServiceError::of(Code::InvalidObjectName)
            .with_message(format!("The path of the request cannot be decoded: {error}."))
    })?;
    let headers = call.header_list();
    let presented = Presented::of(&headers, &call.query)?.ok_or_else(|| {
        ServiceError::of(Code::AccessDenied)
            .with_message("Anonymous access is forbidden: the request is not signed.")
    })?;
    let now = app.now_ms();
    let (secret, caller) = key(app, call, &presented, now)?;
    presented.check_time(as_i64(now))?;
    presented.check_region(accepted(&app.config, &presented))?;
    let content_sha256 = presented.content_sha256().map(read_sha256).transpose()?;

    let places = places(app, call, &path, &caller);
    let method = call.method.as_str();
    let signed = |place: &&Place| {
        presented.verify(&secret, method, &headers, &call.query, &place.bucket, &place.key)
    };
    if let Some(place) = places.iter().find(signed) {
        return Ok(Authentic { caller, place: place.clone(), content_sha256 });
    }
    let Some(first) = places.first() else {
        let name = path.split('/').nth(1).unwrap_or_default();
        return Err(ServiceError::of(Code::InvalidBucketName).with_context("BucketName", name));
    };
    Err(presented.mismatch(method, &headers, &call.query, &first.bucket, &first.key))
}

impl Place {
    fn service() -> Place {
        Place { bucket: String::new(), key: String::new() }
    }
}

/// The regions that are good enough for this signature.
pub(super) fn accepted<'a>(config: &'a Config, presented: &Presented) -> Region<'a> {
    let claimed = presented.v4.as_ref().map(|claim| claim.scope.region.as_str());
    match config.accepted_regions.iter().find(|r| *r == "*" || Some(r.as_str()) == claimed) {
        Some(_) => Region::Any,
        None => Region::Only(&config.region),
    }
}

/// Reads the 64 hexadecimal digits of a SHA-256.
fn read_sha256(text: &str) -> Result<[u8; 32], ServiceError> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut hash = [0; 32];
    let (pairs, odd) = text.as_bytes().as_chunks::<2>();
    let all = pairs.len() == hash.len() && odd.is_empty();
    let read = pairs.iter().zip(&mut hash).try_for_each(|([high, low], byte)| {
        *byte = digit(*high)? << 4 | digit(*low)?;
        Some(())
    });
    match (all, read) {
        (true, Some(())) => Ok(hash),
        _ => Err(ServiceError::of(Code::InvalidArgument)
            .with_message("x-oss-content-sha256 must be UNSIGNED-PAYLOAD or 64 hexadecimal digits.")
            .with_context("ArgumentName", "x-oss-content-sha256")
            .with_context("ArgumentValue", text)),
    }
}

/// The secret that must have signed, and who that is.
pub(super) fn key(
    app: &App,
    call: &Call,
    presented: &Presented,
    now: u64,
) -> Result<(Secret, Caller), ServiceError> {
    let id = &presented.access_key_id;
    let unknown = |message: &str| {
        ServiceError::of(Code::InvalidAccessKeyId)
            .with_message(message)
            .with_context("OSSAccessKeyId", id.clone())
    };
    let token = presented.security_token.as_ref().map(Secret::expose);
    let found = Caller::find(&app.keys.current(), id, token, Circumstances::of(call, now));
    if found.is_ok() {
        call.notes.access_key_id(id);
    }
    found.map_err(|error| match error {
        KeyError::Unknown => {
            unknown("The OSS Access Key Id you provided does not exist in our records.")
        }
        KeyError::Inactive => unknown("The OSS Access Key Id you provided is disabled."),
        KeyError::TokenMissing => unknown("A temporary access key needs its security token."),
        KeyError::TokenUnwanted => ServiceError::of(Code::SecurityTokenNotSupported),
        KeyError::Token(TokenError::Invalid) => ServiceError::of(Code::InvalidSecurityToken),
        KeyError::Token(TokenError::KeyMismatch) => {
            ServiceError::of(Code::AccessKeyIdAndSecurityTokenNotMatch)
        }
        KeyError::Token(TokenError::Expired) => ServiceError::of(Code::SecurityTokenExpired),
        // A client that is able to asks for another credential.
        KeyError::Revoked => ServiceError::of(Code::SecurityTokenExpired)
            .with_message("The security token you provided has been revoked."),
    })
}

/// Everything that the request may mean, likeliest first.
fn places(app: &App, call: &Call, path: &str, caller: &Caller) -> Vec<Place> {
    let mut places: Vec<Place> =
        app.candidates(call, path).into_iter().map(|(bucket, key)| Place { bucket, key }).collect();
    // A domain that is bound to a bucket without this server's knowledge names it nowhere, but many
    // credentials, those for uploads among them, are good for one bucket only.
    if let Some(bucket) = caller.sole_bucket() {
        let key = path.strip_prefix('/').unwrap_or(path);
        let place = Place { bucket: bucket.to_owned(), key: key.to_owned() };
        if !places.contains(&place) {
            places.push(place);
        }
    }
    if path == "/" || path.is_empty() {
        places.push(Place::service());
    }
    places
}
