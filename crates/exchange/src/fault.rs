//! The table from what a server said to what the engine does about it. See `docs/adr/0005-faults-and-errors.md`.
//!
//! The code decides; the status only where the code says nothing. What never reached a server is classified by the shell.

use alloc::string::String;

use vodferry_engine::{ErrorKind, Fault, FaultKind};

/// Code of a fault for a reply that is not the service's: HTML, nothing, half a document.
pub const BAD_REPLY: &str = "BadReply";
/// Code of a fault for bytes that arrived other than they were sent.
pub const CHECKSUM_MISMATCH: &str = "ChecksumMismatch";
/// Code of a fault for a target, a header or a credential of which no request can be made.
pub const BAD_REQUEST: &str = "UnusableRequest";

/// What to do about an error of the service. `with_token`: the request was signed with a temporary credential.
pub fn classify(status: u16, code: &str, message: &str, with_token: bool) -> FaultKind {
    use ErrorKind::{Auth, Integrity, Service};
    match code {
        "SecurityTokenExpired" | "InvalidSecurityToken.Expired" => return FaultKind::Expired,
        "InvalidAccessKeyId" if with_token => return FaultKind::Expired,
        "RequestTimeTooSkewed" => return FaultKind::ClockSkew,
        "InvalidArgument" if message.starts_with("Invalid signing date") => {
            return FaultKind::ClockSkew;
        }
        "NoSuchUpload" => return FaultKind::NoSuchUpload,
        "InvalidPart" => return FaultKind::Relist,
        "RequestTimeout" | "IncompleteBody" | "BadRequest" => return FaultKind::Transient(Service),
        "InvalidDigest" | "InvalidCRC64" => return FaultKind::Transient(Integrity),
        "SlowDown" => return FaultKind::SlowDown,
        _ if code.ends_with("LimitExceeded") || code.starts_with("Throttling") => {
            return FaultKind::SlowDown;
        }
        "AccessDenied"
        | "AccessKeyIdAndSecurityTokenNotMatch"
        | "InvalidAccessKeyId"
        | "InvalidSecurityToken"
        | "SecurityTokenNotSupported"
        | "SignatureDoesNotMatch"
        | "UserDisable" => return FaultKind::Fatal(Auth),
        _ => {}
    }
    match status {
        429 | 503 => FaultKind::SlowDown,
        408 | 500.. => FaultKind::Transient(Service),
        401 | 403 => FaultKind::Fatal(Auth),
        _ => FaultKind::Fatal(Service),
    }
}

/// As [`classify`], about a call of the RPC-style APIs (VOD, STS), whose gateway has codes of its own. A function of its own: who
/// never makes such a call does not link it.
pub fn classify_api(status: u16, code: &str, message: &str, with_token: bool) -> FaultKind {
    use ErrorKind::{Auth, Service};
    match code {
        "InvalidSecurityToken.Expired" => FaultKind::Expired,
        "InvalidTimeStamp.Expired" => FaultKind::ClockSkew,
        "InvalidVideo.NotFound" => FaultKind::NoSuchUpload,
        // The call goes out again with another nonce.
        "SignatureNonceUsed" => FaultKind::Transient(Service),
        _ if with_token && code.starts_with("InvalidAccessKeyId") => FaultKind::Expired,
        "IncompleteSignature"
        | "InvalidSignatureMethod"
        | "MissingAccessKeyId"
        | "MissingSecurityToken"
        | "NoPermission" => FaultKind::Fatal(Auth),
        _ if ["Forbidden", "InvalidAccessKeyId", "InvalidSecurityToken", "OperationDenied"]
            .iter()
            .any(|family| code.starts_with(family)) =>
        {
            FaultKind::Fatal(Auth)
        }
        _ => classify(status, code, message, with_token),
    }
}

/// A fault without a reply of the service behind it.
pub(crate) fn fault(kind: FaultKind, code: &str, message: String) -> Fault {
    Fault {
        kind,
        code: String::from(code),
        message,
        request_id: String::new(),
        retry_after_ms: None,
    }
}

#[cfg(test)]
mod tests {
    use vodferry_engine::{ErrorKind, FaultKind};

    use super::{classify, classify_api};

    const EXPIRED: FaultKind = FaultKind::Expired;
    const AUTH: FaultKind = FaultKind::Fatal(ErrorKind::Auth);
    const SERVICE: FaultKind = FaultKind::Fatal(ErrorKind::Service);
    const AGAIN: FaultKind = FaultKind::Transient(ErrorKind::Service);
    const INTEGRITY: FaultKind = FaultKind::Transient(ErrorKind::Integrity);

    #[test]
    fn every_code_has_its_fault() {
        let table = [
            (403, "SecurityTokenExpired", EXPIRED),
            (400, "InvalidSecurityToken.Expired", EXPIRED),
            (403, "InvalidAccessKeyId", EXPIRED),
            (403, "RequestTimeTooSkewed", FaultKind::ClockSkew),
            (404, "NoSuchUpload", FaultKind::NoSuchUpload),
            (400, "InvalidPart", FaultKind::Relist),
            (400, "RequestTimeout", AGAIN),
            (400, "IncompleteBody", AGAIN),
            (400, "BadRequest", AGAIN),
            (500, "InternalError", AGAIN),
            (502, "", AGAIN),
            (504, "", AGAIN),
            (408, "", AGAIN),
            (400, "InvalidDigest", INTEGRITY),
            (400, "InvalidCRC64", INTEGRITY),
            (503, "SlowDown", FaultKind::SlowDown),
            (503, "ServiceUnavailable", FaultKind::SlowDown),
            (503, "QpsLimitExceeded", FaultKind::SlowDown),
            (503, "UploadTrafficRateLimitExceeded", FaultKind::SlowDown),
            (503, "DownloadTrafficRateLimitExceeded", FaultKind::SlowDown),
            (400, "Throttling", FaultKind::SlowDown),
            (400, "Throttling.User", FaultKind::SlowDown),
            (400, "Throttling.Api", FaultKind::SlowDown),
            (429, "", FaultKind::SlowDown),
            (503, "", FaultKind::SlowDown),
            (403, "AccessDenied", AUTH),
            (403, "SignatureDoesNotMatch", AUTH),
            (403, "InvalidSecurityToken", AUTH),
            (403, "SecurityTokenNotSupported", AUTH),
            (403, "AccessKeyIdAndSecurityTokenNotMatch", AUTH),
            (403, "UserDisable", AUTH),
            (401, "", AUTH),
            (403, "", AUTH),
            (400, "InvalidArgument", SERVICE),
            (400, "InvalidBucketName", SERVICE),
            (400, "InvalidObjectName", SERVICE),
            (400, "InvalidPartOrder", SERVICE),
            (400, "EntityTooSmall", SERVICE),
            (400, "EntityTooLarge", SERVICE),
            (400, "MalformedXML", SERVICE),
            (404, "NoSuchBucket", SERVICE),
            (404, "NoSuchKey", SERVICE),
            (405, "MethodNotAllowed", SERVICE),
            (409, "FileAlreadyExists", SERVICE),
            (411, "MissingContentLength", SERVICE),
            (412, "PreconditionFailed", SERVICE),
            (203, "CallbackFailed", SERVICE),
        ];
        for (status, code, kind) in table {
            assert_eq!(classify(status, code, "", true), kind, "{status} {code}");
        }
    }

    #[test]
    fn an_unknown_key_is_expiry_only_with_a_token() {
        assert_eq!(classify(403, "InvalidAccessKeyId", "", false), AUTH);
    }

    #[test]
    fn a_refused_signing_date_is_skew() {
        let message = "Invalid signing date in Authorization header.";
        assert_eq!(classify(400, "InvalidArgument", message, true), FaultKind::ClockSkew);
    }

    #[test]
    fn every_code_of_the_gateway_has_its_fault() {
        let table = [
            (400, "MissingParameter", SERVICE),
            (400, "MissingTitle", SERVICE),
            (400, "MissingSecurityToken", AUTH),
            (400, "InvalidParameter.FileName", SERVICE),
            (400, "InvalidVersion", SERVICE),
            (404, "InvalidAction.NotFound", SERVICE),
            (400, "UnsupportedOperation", SERVICE),
            (404, "InvalidAccessKeyId.NotFound", EXPIRED),
            (400, "InvalidAccessKeyId.Inactive", EXPIRED),
            (400, "SignatureDoesNotMatch", AUTH),
            (400, "IncompleteSignature", AUTH),
            (400, "InvalidTimeStamp.Format", SERVICE),
            (400, "InvalidTimeStamp.Expired", FaultKind::ClockSkew),
            (400, "SignatureNonceUsed", AGAIN),
            (400, "InvalidSecurityToken.Expired", EXPIRED),
            (400, "InvalidSecurityToken.Malformed", AUTH),
            (400, "InvalidSecurityToken.MismatchWithAccessKey", AUTH),
            (400, "Throttling", FaultKind::SlowDown),
            (400, "Throttling.User", FaultKind::SlowDown),
            (429, "Throttling.Api", FaultKind::SlowDown),
            (403, "UnsupportedHTTPMethod", AUTH),
            (403, "Forbidden.RAM", AUTH),
            (403, "NoPermission", AUTH),
            (403, "OperationDenied.Suspended", AUTH),
            (500, "InternalError", AGAIN),
            (503, "ServiceUnAvailable", FaultKind::SlowDown),
            (503, "AddVideoFailed", FaultKind::SlowDown),
            (404, "InvalidVideo.NotFound", FaultKind::NoSuchUpload),
            (400, "InvalidVideo.Damaged", SERVICE),
            (502, "", AGAIN),
        ];
        for (status, code, kind) in table {
            assert_eq!(classify_api(status, code, "", true), kind, "{status} {code}");
        }
        assert_eq!(classify_api(404, "InvalidAccessKeyId.NotFound", "", false), AUTH);
    }
}
