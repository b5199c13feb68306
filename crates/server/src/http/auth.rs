//! Who asks, and for which object: the two are found together.
//!
//! Host and path alone do not tell the bucket (it may be in either, or in neither), but the
//! signature covers it. So every place that the request may mean is tried, and the one whose
//! signature verifies wins.

use vodferry_oss::address::candidates;
use vodferry_oss::encode::decode_path;
use vodferry_oss::sign::{Presented, Region};
use vodferry_oss::{Code, Secret, ServiceError};

use super::App;
use super::call::Call;
use super::video::as_i64;
use crate::policy::{Policy, object_resource};
use crate::token::{self, TokenError};

/// What a request is about. Without a key: a bucket; without a bucket: the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Bucket name, or empty.
    pub(crate) bucket: String,
    /// Object key, decoded, or empty.
    pub(crate) key: String,
}

/// Who asks, verified.
#[derive(Debug)]
pub(crate) struct Caller {
    policy: Policy,
}

impl Caller {
    /// Somebody who may do what `policy` says.
    pub(crate) fn of(policy: Policy) -> Caller {
        Caller { policy }
    }

    /// Refuses what the policy does not allow.
    pub(crate) fn require(&self, action: &str, place: &Place) -> Result<(), ServiceError> {
        let resource = match place.key.as_str() {
            "" => place.bucket.clone(),
            key => object_resource(&place.bucket, key),
        };
        if self.policy.allows(action, &resource) {
            return Ok(());
        }
        let message = format!("This credential does not allow {action} on {resource}.");
        Err(ServiceError::of(Code::AccessDenied).with_message(message))
    }
}

/// Checks, in this order: a signature is there, its key is known, its token is good, its time is
/// near, it verifies.
pub(crate) fn authenticate(app: &App, call: &Call) -> Result<(Caller, Place), ServiceError> {
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
    let (secret, policy) = key(app, &presented, now)?;
    presented.check_time(as_i64(now))?;
    presented.check_region(Region::Only(&app.config.region))?;
    if presented.content_sha256().is_some() {
        // Accepting a declared hash that nobody compares would promise too much.
        return Err(ServiceError::of(Code::NotImplemented)
            .with_message("x-oss-content-sha256 must be UNSIGNED-PAYLOAD."));
    }

    let places = places(app, call, &path, &policy);
    let method = call.method.as_str();
    let signed = |place: &&Place| {
        presented.verify(&secret, method, &headers, &call.query, &place.bucket, &place.key)
    };
    if let Some(place) = places.iter().find(signed) {
        return Ok((Caller { policy }, place.clone()));
    }
    let first = places.first().cloned().unwrap_or(Place::service());
    Err(presented.mismatch(method, &headers, &call.query, &first.bucket, &first.key))
}

impl Place {
    fn service() -> Place {
        Place { bucket: String::new(), key: String::new() }
    }
}

/// The secret that must have signed, and what it may do.
fn key(app: &App, presented: &Presented, now: u64) -> Result<(Secret, Policy), ServiceError> {
    let id = &presented.access_key_id;
    let unknown = |message: &str| {
        ServiceError::of(Code::InvalidAccessKeyId)
            .with_message(message)
            .with_context("OSSAccessKeyId", id.clone())
    };
    if !token::is_temporary(id) {
        let key = app.keys.access_key(id).ok_or_else(|| {
            unknown("The OSS Access Key Id you provided does not exist in our records.")
        })?;
        if presented.security_token.is_some() {
            return Err(ServiceError::of(Code::SecurityTokenNotSupported));
        }
        return Ok((key.secret.clone(), Policy::everything()));
    }
    let Some(token) = &presented.security_token else {
        return Err(unknown("A temporary access key needs its security token."));
    };
    let claims = token::verify(&app.keys.masters, id, token.expose(), now).map_err(|error| {
        ServiceError::of(match error {
            TokenError::Invalid => Code::InvalidSecurityToken,
            TokenError::KeyMismatch => Code::AccessKeyIdAndSecurityTokenNotMatch,
            TokenError::Expired => Code::SecurityTokenExpired,
        })
    })?;
    Ok((claims.secret, claims.policy))
}

/// Everything that the request may mean, likeliest first.
fn places(app: &App, call: &Call, path: &str, policy: &Policy) -> Vec<Place> {
    let mut places: Vec<Place> = candidates(&call.authority, path, &app.base_domains, &[])
        .into_iter()
        .map(|(bucket, key)| Place { bucket, key })
        .collect();
    // A domain bound to one bucket names it nowhere, but an upload credential is good for one
    // bucket only.
    if let Some((bucket, _)) = policy.sole_object() {
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
