//! The signature that a request presents, and the checks it has to pass.

use alloc::string::String;
use alloc::vec::Vec;

use super::canonical::{Asked, Listing};
use super::scope::{Region, Scope, ScopeFlaw};
use super::{string_to_sign_v1, string_to_sign_v4, v1, v4};
use crate::code::Code;
use crate::credential::Secret;
use crate::error::ServiceError;
use crate::limits::MAX_SKEW_MS;
use crate::time::{format_iso_basic, format_iso_ms};

/// The signature that a request presents, not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Who claims to have signed.
    pub access_key_id: String,
    /// The MAC as it came: base64 (V1) or hex (V4).
    pub signature: Secret,
    /// Where it was found.
    pub form: Form,
    /// The date line of the string to sign, as it came; empty when the request has none.
    pub date: String,
    /// Of a temporary credential.
    pub security_token: Option<Secret>,
    /// What V4 claims besides; `None` for V1.
    pub v4: Option<ClaimV4>,
}

/// What a V4 signature claims besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimV4 {
    /// What the key was derived for.
    pub scope: Scope,
    /// Names of the headers signed besides those that always are, in lower case and sorted.
    pub additional_headers: Vec<String>,
    /// `x-oss-content-sha256` as it came, unless it is missing or `UNSIGNED-PAYLOAD`.
    pub content_sha256: Option<String>,
}

/// Where a signature was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// In the `Authorization` header.
    Header {
        /// When the request was made, in milliseconds since 1970; `None` when its date cannot be read.
        at_ms: Option<i64>,
    },
    /// In the query of a presigned URL.
    Url {
        /// When the URL was made, in milliseconds since 1970; V1 does not tell.
        at_ms: Option<i64>,
        /// When the URL dies, in seconds since 1970.
        expires_s: i64,
    },
}

impl Presented {
    /// The hash of the body that the signer declared, as it came; the caller compares it with the body. Only V4 has
    /// one, and `UNSIGNED-PAYLOAD` is none.
    pub fn content_sha256(&self) -> Option<&str> {
        self.v4.as_ref()?.content_sha256.as_deref()
    }

    /// Whether `secret` made this signature for `method` on `bucket` and `key` (empty for a bucket call). Takes the
    /// same time wherever the MACs differ.
    pub fn verify(
        &self,
        secret: &Secret,
        method: &str,
        headers: &[(String, String)],
        query: &[(String, String)],
        bucket: &str,
        key: &str,
    ) -> bool {
        let Some(claim) = &self.v4 else {
            return v1::verify(self, secret, method, headers, query, bucket, key);
        };
        let additional_headers = &claim.additional_headers;
        let asked = Asked { method, headers, query, additional_headers, bucket, key };
        v4::verify(self, claim, secret, &asked)
    }

    /// What to answer when no candidate verifies: it shows what was expected to be signed, which is what the author of
    /// a client needs.
    pub fn mismatch(
        &self,
        method: &str,
        headers: &[(String, String)],
        query: &[(String, String)],
        bucket: &str,
        key: &str,
    ) -> ServiceError {
        let canonical = self.v4.as_ref().map(|claim| {
            let additional_headers = &claim.additional_headers;
            let asked = Asked { method, headers, query, additional_headers, bucket, key };
            (claim, asked.canonical(Listing::Regular))
        });
        let to_sign = match &canonical {
            Some((claim, request)) => string_to_sign_v4(&self.date, &claim.scope, request),
            None => string_to_sign_v1(method, headers, query, &self.date, bucket, key),
        };
        let error = ServiceError::of(Code::SignatureDoesNotMatch)
            .with_context("OSSAccessKeyId", self.access_key_id.as_str())
            .with_context("SignatureProvided", self.signature.expose())
            .with_context("StringToSign", to_sign.as_str())
            .with_context("StringToSignBytes", spaced_hex(&to_sign));
        match canonical {
            Some((_, request)) => error.with_context("CanonicalRequest", request),
            None => error,
        }
    }

    /// Whether the request is recent, or the URL still alive.
    ///
    /// # Errors
    /// `AccessDenied` for a date that is missing or unreadable and for a dead URL, `RequestTimeTooSkewed` for a
    /// request more than 15 minutes away and for a V4 URL of the future, `InvalidArgument` for a V4 key of another day.
    pub fn check_time(&self, now_ms: i64) -> Result<(), ServiceError> {
        let (at_ms, in_url) = match self.form {
            Form::Header { at_ms: None } => return Err(undated(self.v4.is_some())),
            Form::Header { at_ms } => (at_ms, false),
            Form::Url { at_ms, .. } => (at_ms, true),
        };
        if let (Some(at), Some(claim)) = (at_ms, &self.v4)
            && format_iso_basic(at).get(..8) != Some(claim.scope.date.as_str())
        {
            return Err(ScopeFlaw::Date.refusal(in_url));
        }
        match (self.form, at_ms) {
            (Form::Header { .. }, Some(at)) if at.abs_diff(now_ms) > MAX_SKEW_MS as u64 => {
                Err(skewed(at, now_ms))
            }
            (Form::Url { .. }, Some(at)) if at > now_ms.saturating_add(MAX_SKEW_MS) => {
                Err(skewed(at, now_ms))
            }
            (Form::Url { expires_s, .. }, _) if now_ms.div_euclid(1_000) > expires_s => {
                Err(ServiceError::of(Code::AccessDenied)
                    .with_message("Request has expired.")
                    .with_context("Expires", format_iso_ms(expires_s.saturating_mul(1_000)))
                    .with_context("ServerTime", format_iso_ms(now_ms))
                    .with_context("EC", "0002-00000069"))
            }
            _ => Ok(()),
        }
    }

    /// Whether the signature is for a region of this server. V1 names none.
    ///
    /// # Errors
    /// `InvalidArgument` for another region, even when the MAC is right.
    pub fn check_region(&self, region: Region<'_>) -> Result<(), ServiceError> {
        match (&self.v4, region) {
            (Some(claim), Region::Only(name)) if claim.scope.region != name => {
                Err(ScopeFlaw::Region.refusal(matches!(self.form, Form::Url { .. })))
            }
            _ => Ok(()),
        }
    }
}

/// The refusal of a request without a date that can be read; V4 has a number for it.
pub(super) fn undated(is_v4: bool) -> ServiceError {
    let error = ServiceError::of(Code::AccessDenied)
        .with_message("OSS authentication requires a valid Date.");
    if is_v4 { error.with_context("EC", "0002-00000503") } else { error }
}

fn skewed(at_ms: i64, now_ms: i64) -> ServiceError {
    ServiceError::of(Code::RequestTimeTooSkewed)
        .with_context("MaxAllowedSkewMilliseconds", "900000")
        .with_context("RequestTime", format_iso_ms(at_ms))
        .with_context("ServerTime", format_iso_ms(now_ms))
}

fn spaced_hex(text: &str) -> String {
    let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value & 15)]);
    let mut out = String::new();
    for byte in text.bytes() {
        if !out.is_empty() {
            out.push(' ');
        }
        out.extend([digit(byte >> 4), digit(byte)]);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    const NOW: i64 = 1_795_168_800_000;
    const DATE: &str = "Fri, 20 Nov 2026 10:00:00 GMT";

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
    }

    fn presented(form: Form) -> Presented {
        Presented {
            access_key_id: "AKID".into(),
            signature: "c2ln".into(),
            form,
            date: DATE.into(),
            security_token: None,
            v4: None,
        }
    }

    fn presented_v4(form: Form) -> Presented {
        let scope = Scope { date: "20261120".into(), region: "cn-hangzhou".into() };
        let additional_headers = Vec::from(["host".to_string()]);
        let claim = ClaimV4 { scope, additional_headers, content_sha256: None };
        Presented { date: "20261120T100000Z".into(), v4: Some(claim), ..presented(form) }
    }

    const BY_HEADER: Form = Form::Header { at_ms: Some(NOW) };
    const BY_URL: Form = Form::Url { at_ms: Some(NOW), expires_s: NOW / 1_000 + 900 };

    #[test]
    fn time_is_checked_to_the_limit() {
        for (distance, fine) in [(0, true), (900_000, true), (-900_000, true), (900_001, false)] {
            let request = presented(Form::Header { at_ms: Some(NOW + distance) });
            assert_eq!(request.check_time(NOW).is_ok(), fine, "{distance}");
        }
        let skewed = presented(Form::Header { at_ms: Some(i64::MIN) }).check_time(NOW).unwrap_err();
        assert_eq!(skewed.code, "RequestTimeTooSkewed");
        assert_eq!(skewed.context("ServerTime"), Some("2026-11-20T10:00:00.000Z"));
        let undated = presented(Form::Header { at_ms: None }).check_time(NOW).unwrap_err();
        assert_eq!((undated.status, undated.code.as_str()), (403, "AccessDenied"));
    }

    #[test]
    fn a_url_dies_after_its_last_second() {
        let url = presented(Form::Url { at_ms: None, expires_s: NOW / 1_000 });
        assert!(url.check_time(NOW + 999).is_ok());
        let dead = url.check_time(NOW + 1_000).unwrap_err();
        assert_eq!(
            (dead.code.as_str(), dead.message.as_str()),
            ("AccessDenied", "Request has expired.")
        );
        assert!(presented(Form::Url { at_ms: None, expires_s: i64::MAX }).check_time(NOW).is_ok());
        assert!(presented(Form::Url { at_ms: None, expires_s: i64::MIN }).check_time(NOW).is_err());
    }

    #[test]
    fn a_mismatch_shows_what_was_expected() {
        let error = presented(Form::Header { at_ms: None }).mismatch("GET", &[], &[], "bkt", "k");
        assert_eq!(error.code, "SignatureDoesNotMatch");
        assert_eq!(
            error.context("StringToSign"),
            Some("GET\n\n\nFri, 20 Nov 2026 10:00:00 GMT\n/bkt/k")
        );
        assert!(error.context("StringToSignBytes").unwrap().starts_with("47 45 54 0A 0A 0A 46"));
    }

    #[test]
    fn a_v4_url_lives_as_long_as_it_says() {
        let url = presented_v4(BY_URL);
        for (after_ms, code) in [
            (-900_001, Some("RequestTimeTooSkewed")),
            (-900_000, None),
            (0, None),
            (900_999, None),
            (901_000, Some("AccessDenied")),
        ] {
            let code_of = |error: ServiceError| error.code;
            let found = url.check_time(NOW + after_ms).map_err(code_of).err();
            assert_eq!(found.as_deref(), code, "{after_ms}");
        }
    }

    #[test]
    fn a_v4_key_of_another_day_is_refused() {
        let mut request = presented_v4(BY_HEADER);
        assert_eq!(request.check_time(NOW), Ok(()));
        request.v4.as_mut().unwrap().scope.date = "20261119".into();
        let error = request.check_time(NOW).unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (400, "InvalidArgument"));
        assert_eq!(error.message, "Invalid signing date in Authorization header.");
        request.form = Form::Header { at_ms: None };
        let error = request.check_time(NOW).unwrap_err();
        assert_eq!(
            (error.code.as_str(), error.context("EC")),
            ("AccessDenied", Some("0002-00000503"))
        );
    }

    #[test]
    fn another_region_is_refused_unless_any_will_do() {
        let by_header = presented_v4(BY_HEADER);
        for region in [Region::Only("cn-hangzhou"), Region::Any] {
            assert_eq!(by_header.check_region(region), Ok(()));
        }
        let error = by_header.check_region(Region::Only("cn-shanghai")).unwrap_err();
        assert_eq!((error.status, error.code.as_str()), (400, "InvalidArgument"));
        assert_eq!(error.message, "Invalid signing region in Authorization header.");
        assert_eq!(error.context("EC"), Some("0002-00000226"));
        let by_url = presented_v4(BY_URL).check_region(Region::Only("cn-shanghai")).unwrap_err();
        assert_eq!(by_url.message, "The signing region in credential is invalid.");
        let v1 = presented(Form::Header { at_ms: None });
        assert_eq!(v1.check_region(Region::Only("cn-shanghai")), Ok(()));
    }

    #[test]
    fn a_v4_mismatch_shows_the_canonical_request() {
        let presented = presented_v4(BY_HEADER);
        let headers = pairs(&[("host", "h")]);
        let error = presented.mismatch("GET", &headers, &[], "bkt", "a b");
        let canonical = "GET\n/bkt/a%20b\n\nhost:h\n\nhost\nUNSIGNED-PAYLOAD";
        assert_eq!(error.context("CanonicalRequest"), Some(canonical));
        let start =
            "OSS4-HMAC-SHA256\n20261120T100000Z\n20261120/cn-hangzhou/oss/aliyun_v4_request\n";
        assert!(error.context("StringToSign").unwrap().starts_with(start));
    }

    #[test]
    fn debug_hides_signature_and_token() {
        let request = presented(Form::Url { at_ms: None, expires_s: 0 });
        assert!(!alloc::format!("{request:?}").contains("c2ln"));
    }
}
