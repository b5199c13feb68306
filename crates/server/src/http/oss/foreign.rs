//! What the original has and this server has not, or not there. To ignore one of these would be to do
//! something else than was asked, so each is refused by name. Parameters that the original does not
//! know either are ignored.

use http::Method;
use vodferry_oss::sign::is_signed;
use vodferry_oss::{Code, ServiceError};

use super::super::auth::Place;
use super::super::call::Call;
use super::callback;
use super::errors::not_implemented;

/// Refuses a request that asks for what is not here.
pub(super) fn refuse(call: &Call, place: &Place) -> Result<(), ServiceError> {
    let (ours, kind) = match (place.bucket.as_str(), place.key.as_str()) {
        ("", _) => (&[][..], "SERVICE"),
        (_, "") => (OF_BUCKETS, "BUCKET"),
        _ => (OF_OBJECTS, "OBJECT"),
    };
    for (name, value) in &call.query {
        if !is_known(name) || is_modifier(name, value) {
            continue;
        }
        match ours.iter().find(|(ours, _)| ours == name) {
            Some((_, methods)) if methods.contains(&call.method.as_str()) => {}
            Some(_) => return Err(not_allowed(call, kind)),
            None => {
                let of = format!("{}s", kind.to_ascii_lowercase());
                return Err(not_implemented(&format!("the sub-resource {name} of {of}")));
            }
        }
    }
    if let Some(name) = HEADERS.iter().find(|name| call.headers.contains_key(**name)) {
        return Err(not_implemented(&format!("the header {name}")));
    }
    if callback::is_asked_for(call) && !callback::is_possible(call, place) {
        return Err(not_implemented("callbacks after this operation"));
    }
    // A bucket is not to be made or deleted by a request that means some other thing of it, even one
    // that is newer than this server.
    let changes = matches!(call.method, Method::PUT | Method::DELETE | Method::POST);
    if changes && place.key.is_empty() {
        let known = |name: &str| {
            ours.iter().any(|(ours, _)| *ours == name)
                || SIGNATURE.contains(&name)
                || name == "encoding-type"
        };
        if let Some((name, _)) = call.query.iter().find(|(name, _)| !known(name)) {
            return Err(not_implemented(&format!("the sub-resource {name} of buckets")));
        }
    }
    Ok(())
}

/// The answer to a method that there is not for a service, a bucket or an object (`kind`).
pub(super) fn not_allowed(call: &Call, kind: &str) -> ServiceError {
    ServiceError::of(Code::MethodNotAllowed)
        .with_context("Method", call.method.as_str())
        .with_context("ResourceType", kind)
}

/// Whether the original has a use for a parameter of this name that changes what is done.
fn is_known(name: &str) -> bool {
    is_signed(name) || NEWER.contains(&name)
}

/// Parameters that come along with an operation and choose none.
fn is_modifier(name: &str, value: &str) -> bool {
    // The one version of an object that was never versioned.
    (name, value) == ("versionId", "null")
        || name.starts_with("response-")
        || MODIFIERS.contains(&name)
}

/// Our sub-resources of buckets, and the methods of each.
const OF_BUCKETS: &[(&str, &[&str])] = &[
    ("acl", &["GET", "PUT"]),
    ("bucketInfo", &["GET"]),
    ("cors", &["GET", "PUT", "DELETE"]),
    ("delete", &["POST"]),
    ("lifecycle", &["GET", "PUT", "DELETE"]),
    // Clean-up code of SDKs lists them, also where they never were.
    ("live", &["GET"]),
    ("location", &["GET"]),
    ("stat", &["GET"]),
    ("uploads", &["GET"]),
    ("versions", &["GET"]),
];

/// Those of objects.
const OF_OBJECTS: &[(&str, &[&str])] = &[
    ("acl", &["GET", "PUT"]),
    ("append", &["POST"]),
    ("objectMeta", &["HEAD"]),
    ("partNumber", &["PUT"]),
    ("tagging", &["GET", "PUT", "DELETE"]),
    ("uploadId", &["GET", "PUT", "POST", "DELETE"]),
    ("uploads", &["POST"]),
];

const MODIFIERS: &[&str] = &[
    "callback",
    "callback-var",
    "continuation-token",
    "position",
    "security-token",
    "sequential",
    "x-oss-enable-md5",
    "x-oss-enable-sha1",
    "x-oss-enable-sha256",
    "x-oss-request-payer",
    "x-oss-security-token",
    "x-oss-sign-origin-only",
    "x-oss-traffic-limit",
];

/// What V1 does not sign.
const NEWER: &[&str] = &["accessmonitor", "regions", "userDefinedLogFieldsConfig"];

/// The parameters of signatures.
const SIGNATURE: &[&str] = &[
    "Expires",
    "OSSAccessKeyId",
    "Signature",
    "security-token",
    "x-oss-additional-headers",
    "x-oss-credential",
    "x-oss-date",
    "x-oss-expires",
    "x-oss-security-token",
    "x-oss-signature",
    "x-oss-signature-version",
];

const HEADERS: &[&str] = &[
    "x-oss-server-side-encryption",
    "x-oss-server-side-encryption-key-id",
    "x-oss-symlink-target",
];
