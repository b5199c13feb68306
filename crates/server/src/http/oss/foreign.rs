//! What the original has and this server has not. To ignore one of these would be to do something
//! else than was asked, so each is refused by name.

use http::Method;
use vodferry_oss::ServiceError;

use super::super::auth::Place;
use super::super::call::Call;
use super::callback;
use super::errors::not_implemented;

/// Refuses a request that asks for what is not here.
pub(super) fn refuse(call: &Call, place: &Place) -> Result<(), ServiceError> {
    let of_bucket = place.key.is_empty() && !place.bucket.is_empty();
    let lists = |name: &str| of_bucket && call.method == Method::GET && EMPTY.contains(&name);
    let foreign = |name: &str, value: &str| is_foreign(name, value) && !lists(name);
    if let Some((name, _)) = call.query.iter().find(|(name, value)| foreign(name, value)) {
        return Err(not_implemented(&format!("the sub-resource {name}")));
    }
    if let Some(name) = HEADERS.iter().find(|name| call.headers.contains_key(**name)) {
        return Err(not_implemented(&format!("the header {name}")));
    }
    if callback::is_asked_for(call) && !callback::is_possible(call, place) {
        return Err(not_implemented("callbacks after this operation"));
    }
    // A bucket is not to be made or deleted by a request that means some other thing of it.
    let changes = matches!(call.method, Method::PUT | Method::DELETE | Method::POST);
    if changes && place.key.is_empty() {
        let unknown = |name: &str| !OF_BUCKETS.contains(&name) && !SIGNATURE.contains(&name);
        if let Some((name, _)) = call.query.iter().find(|(name, _)| unknown(name)) {
            return Err(not_implemented(&format!("the sub-resource {name} of buckets")));
        }
    }
    Ok(())
}

fn is_foreign(name: &str, value: &str) -> bool {
    // The one version of an object that was never versioned.
    PARAMETERS.contains(&name) && (name, value) != ("versionId", "null")
}

/// Clean-up code of SDKs lists them, also where they never were.
const EMPTY: &[&str] = &["live", "versions"];

/// What requests that change buckets may have.
const OF_BUCKETS: &[&str] = &["acl", "cors", "delete", "encoding-type", "lifecycle"];

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

const PARAMETERS: &[&str] = &[
    "accessPoint",
    "accessPointPolicy",
    "accessmonitor",
    "asyncFetch",
    "bucketArchiveDirectRead",
    "cloudboxes",
    "cname",
    "encryption",
    "group",
    "httpsConfig",
    "img",
    "inventory",
    "inventoryId",
    "link",
    "live",
    "logging",
    "metaQuery",
    "objectInfo",
    "policy",
    "policyStatus",
    "processConfiguration",
    "publicAccessBlock",
    "qos",
    "qosInfo",
    "qosRequester",
    "redundancyTransition",
    "referer",
    "regionList",
    "regions",
    "replication",
    "replicationLocation",
    "replicationProgress",
    "requestPayment",
    "requesterQosInfo",
    "resourceGroup",
    "resourcePool",
    "resourcePoolBuckets",
    "resourcePoolInfo",
    "responseHeader",
    "restore",
    "rtc",
    "seal",
    "status",
    "style",
    "styleName",
    "symlink",
    "transferAcceleration",
    "udf",
    "udfApplication",
    "udfApplicationLog",
    "udfId",
    "udfImage",
    "udfImageDesc",
    "udfName",
    "userDefinedLogFieldsConfig",
    "versionId",
    "versioning",
    "versions",
    "vip",
    "vod",
    "vpcip",
    "website",
    "withHashContext",
    "worm",
    "wormExtend",
    "wormId",
    "x-oss-ac-forward-allow",
    "x-oss-ac-source-ip",
    "x-oss-ac-subnet-mask",
    "x-oss-ac-vpc-id",
    "x-oss-access-point-name",
    "x-oss-async-process",
    "x-oss-delete",
    "x-oss-dir",
    "x-oss-hash-ctx",
    "x-oss-md5-ctx",
    "x-oss-process",
    "x-oss-redundancy-transition-taskid",
    "x-oss-rename",
    "x-oss-target-redundancy-type",
    "x-oss-write-get-object-response",
];

const HEADERS: &[&str] = &[
    "x-oss-server-side-encryption",
    "x-oss-server-side-encryption-key-id",
    "x-oss-symlink-target",
];
