//! The query parameters that V1 signs.
//!
//! The lists of the clients in the field differ a little; their union verifies all of them, because a name that is
//! absent from one client's list is also a parameter that this client never sends.

/// Whether V1 signs a query parameter of this name: one that names a sub-resource, or changes what is done or answered.
pub fn is_signed(name: &str) -> bool {
    SIGNED.binary_search(&name).is_ok()
}

/// Whether some clients send this parameter without signing it. A callback is an order to this server, so one that nobody
/// signed is none; clients that do not sign it in the query send it in headers.
pub(crate) fn is_sometimes_unsigned(name: &str) -> bool {
    matches!(name, "continuation-token" | "sequential")
}

/// In byte order.
const SIGNED: &[&str] = &[
    "accessPoint",
    "accessPointPolicy",
    "acl",
    "append",
    "asyncFetch",
    "bucketArchiveDirectRead",
    "bucketInfo",
    "callback",
    "callback-var",
    "cloudboxes",
    "cname",
    "comp",
    "continuation-token",
    "cors",
    "delete",
    "encryption",
    "endTime",
    "group",
    "httpsConfig",
    "img",
    "inventory",
    "inventoryId",
    "lifecycle",
    "link",
    "live",
    "location",
    "logging",
    "metaQuery",
    "objectInfo",
    "objectMeta",
    "partNumber",
    "policy",
    "policyStatus",
    "position",
    "processConfiguration",
    "publicAccessBlock",
    "qos",
    "qosInfo",
    "qosRequester",
    "redundancyTransition",
    "referer",
    "regionList",
    "replication",
    "replicationLocation",
    "replicationProgress",
    "requestPayment",
    "requesterQosInfo",
    "resourceGroup",
    "resourcePool",
    "resourcePoolBuckets",
    "resourcePoolInfo",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
    "responseHeader",
    "restore",
    "rtc",
    "seal",
    "security-token",
    "sequential",
    "startTime",
    "stat",
    "status",
    "style",
    "styleName",
    "symlink",
    "tagging",
    "transferAcceleration",
    "udf",
    "udfApplication",
    "udfApplicationLog",
    "udfId",
    "udfImage",
    "udfImageDesc",
    "udfName",
    "uploadId",
    "uploads",
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
    "x-oss-enable-md5",
    "x-oss-enable-sha1",
    "x-oss-enable-sha256",
    "x-oss-hash-ctx",
    "x-oss-md5-ctx",
    "x-oss-process",
    "x-oss-redundancy-transition-taskid",
    "x-oss-rename",
    "x-oss-request-payer",
    "x-oss-security-token",
    "x-oss-sign-origin-only",
    "x-oss-target-redundancy-type",
    "x-oss-traffic-limit",
    "x-oss-write-get-object-response",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_is_sorted_and_whole() {
        assert!(SIGNED.is_sorted_by(|a, b| a < b));
        assert_eq!(SIGNED.len(), 113);
    }

    #[test]
    fn listing_parameters_are_not_signed() {
        for name in ["partNumber", "uploadId", "uploads", "security-token", "x-oss-process"] {
            assert!(is_signed(name), "{name}");
        }
        for name in ["max-parts", "part-number-marker", "encoding-type", "Expires", "uploadid", ""]
        {
            assert!(!is_signed(name), "{name}");
        }
    }
}
