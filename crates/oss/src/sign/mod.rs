//! Signatures of requests: who asks, and that nobody changed what is asked.
//!
//! A client signs with [`sign_v1`] (headers) or [`presign_v1`] (a URL for somebody else). A server reads what is
//! claimed with [`Presented::of`], looks the key up, checks the time with [`Presented::check_time`] and then the MAC
//! with [`Presented::verify`], once for each (bucket, key) the request may mean.

mod subresource;
mod v1;

use alloc::string::String;

use crate::code::Code;
use crate::credential::Secret;
use crate::error::ServiceError;
use crate::limits::MAX_SKEW_MS;
use crate::time::{format_iso_ms, parse_http, parse_iso};

pub use v1::{presign_v1, sign_v1, signature_v1, string_to_sign_v1};

/// The signature that a request presents, not verified yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Presented {
    /// Who claims to have signed.
    pub access_key_id: String,
    /// Base64 of the MAC, as it came.
    pub signature: Secret,
    /// Where it was found.
    pub form: Form,
    /// The date line of the string to sign, as it came; empty when the request has none.
    pub date: String,
    /// Of a temporary credential.
    pub security_token: Option<Secret>,
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
        /// When the URL dies, in seconds since 1970.
        expires_s: i64,
    },
}

/// Why a request's signature cannot even be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresentedError {
    /// In the header and in the query at once.
    #[error("the request is signed in its header and in its query")]
    Twice,
    /// The header is not `OSS id:signature`.
    #[error("the Authorization header is not OSS AccessKeyId:Signature")]
    Malformed,
    /// Another version of signature.
    #[error("the version of the signature is not supported")]
    Version,
    /// The query lacks OSSAccessKeyId, Expires or Signature, or Expires is no number.
    #[error("the query needs OSSAccessKeyId, Expires and Signature")]
    Incomplete,
}

impl PresentedError {
    /// What the server answers.
    pub fn code(self) -> Code {
        match self {
            PresentedError::Twice | PresentedError::Malformed | PresentedError::Version => {
                Code::InvalidArgument
            }
            PresentedError::Incomplete => Code::AccessDenied,
        }
    }
}

impl Presented {
    /// Reads the signature of a request from its headers (names in lower case) and decoded query; `None` when the
    /// request is anonymous.
    ///
    /// # Errors
    /// Signed twice, half or in a form that is not known.
    pub fn of(
        headers: &[(String, String)],
        query: &[(String, String)],
    ) -> Result<Option<Presented>, PresentedError> {
        let in_query = ["OSSAccessKeyId", "Signature", "Expires"].map(|name| find(query, name));
        let other_version = find(query, "x-oss-signature-version").is_some();
        match find(headers, "authorization") {
            Some(_) if other_version || in_query.iter().any(Option::is_some) => {
                Err(PresentedError::Twice)
            }
            Some(text) => Presented::from_header(text, headers).map(Some),
            None if other_version => Err(PresentedError::Version),
            None if in_query.iter().all(Option::is_none) => Ok(None),
            None => Presented::from_query(in_query, headers, query).map(Some),
        }
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
        v1::verify(self, secret, method, headers, query, bucket, key)
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
        let to_sign = string_to_sign_v1(method, headers, query, &self.date, bucket, key);
        let bytes = to_sign.bytes().fold(String::new(), |mut out, byte| {
            let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value & 15)]);
            if !out.is_empty() {
                out.push(' ');
            }
            out.extend([digit(byte >> 4), digit(byte)]);
            out
        });
        ServiceError::of(Code::SignatureDoesNotMatch)
            .with_context("OSSAccessKeyId", self.access_key_id.as_str())
            .with_context("SignatureProvided", self.signature.expose())
            .with_context("StringToSign", to_sign)
            .with_context("StringToSignBytes", bytes)
    }

    /// Whether the request is recent, or the URL still alive.
    ///
    /// # Errors
    /// `AccessDenied` for a date that is missing or unreadable and for a dead URL, `RequestTimeTooSkewed` for a
    /// request more than 15 minutes away.
    pub fn check_time(&self, now_ms: i64) -> Result<(), ServiceError> {
        match self.form {
            Form::Header { at_ms: None } => Err(ServiceError::of(Code::AccessDenied)
                .with_message("OSS authentication requires a valid Date.")),
            Form::Header { at_ms: Some(at) } if at.abs_diff(now_ms) > MAX_SKEW_MS as u64 => {
                Err(ServiceError::of(Code::RequestTimeTooSkewed)
                    .with_context("MaxAllowedSkewMilliseconds", "900000")
                    .with_context("RequestTime", format_iso_ms(at))
                    .with_context("ServerTime", format_iso_ms(now_ms)))
            }
            Form::Url { expires_s } if now_ms.div_euclid(1_000) > expires_s => {
                Err(ServiceError::of(Code::AccessDenied)
                    .with_message("Request has expired.")
                    .with_context("Expires", format_iso_ms(expires_s.saturating_mul(1_000)))
                    .with_context("ServerTime", format_iso_ms(now_ms)))
            }
            _ => Ok(()),
        }
    }

    fn from_header(text: &str, headers: &[(String, String)]) -> Result<Presented, PresentedError> {
        let (scheme, rest) = text.trim().split_once(' ').ok_or(PresentedError::Malformed)?;
        if scheme != "OSS" {
            return Err(match scheme {
                "OSS2" | "OSS4-HMAC-SHA256" => PresentedError::Version,
                _ => PresentedError::Malformed,
            });
        }
        let (id, signature) = rest.trim().split_once(':').ok_or(PresentedError::Malformed)?;
        if id.is_empty() || signature.is_empty() {
            return Err(PresentedError::Malformed);
        }
        let date = find(headers, "x-oss-date").or(find(headers, "date")).unwrap_or("");
        Ok(Presented {
            access_key_id: id.into(),
            signature: signature.into(),
            form: Form::Header { at_ms: parse_http(date).or_else(|| parse_iso(date)) },
            date: date.into(),
            security_token: header_token(headers),
        })
    }

    fn from_query(
        [id, signature, expires]: [Option<&str>; 3],
        headers: &[(String, String)],
        query: &[(String, String)],
    ) -> Result<Presented, PresentedError> {
        let (Some(id), Some(signature), Some(expires)) = (id, signature, expires) else {
            return Err(PresentedError::Incomplete);
        };
        let expires_s = expires.parse().map_err(|_| PresentedError::Incomplete)?;
        let token = find(query, "security-token").or(find(query, "x-oss-security-token"));
        Ok(Presented {
            access_key_id: id.into(),
            signature: signature.into(),
            form: Form::Url { expires_s },
            date: expires.into(),
            security_token: token.map(Secret::from).or_else(|| header_token(headers)),
        })
    }
}

/// One client sends the token in a header `security-token`, which is not signed; the token's own MAC and its tie to
/// the key id keep that safe.
fn header_token(headers: &[(String, String)]) -> Option<Secret> {
    find(headers, "x-oss-security-token").or(find(headers, "security-token")).map(Secret::from)
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use alloc::vec::Vec;

    const NOW: i64 = 1_795_168_800_000;
    const DATE: &str = "Fri, 20 Nov 2026 10:00:00 GMT";

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
    }

    fn of(
        headers: &[(&str, &str)],
        query: &[(&str, &str)],
    ) -> Result<Option<Presented>, PresentedError> {
        Presented::of(&pairs(headers), &pairs(query))
    }

    #[test]
    fn reads_the_header_form() {
        let auth = ("authorization", "OSS AKID:c2ln");
        let found = of(&[auth, ("date", DATE)], &[("uploads", "")]).unwrap().unwrap();
        assert_eq!(found.access_key_id, "AKID");
        assert_eq!(found.signature.expose(), "c2ln");
        assert_eq!(found.form, Form::Header { at_ms: Some(NOW) });
        assert_eq!(found.security_token, None);
    }

    #[test]
    fn x_oss_date_wins_over_date() {
        let auth = ("authorization", "OSS AKID:c2ln");
        let both = [auth, ("date", "Fri, 20 Nov 2026 11:00:00 GMT"), ("x-oss-date", DATE)];
        let found = of(&both, &[]).unwrap().unwrap();
        assert_eq!(found.date, DATE);
        assert_eq!(found.form, Form::Header { at_ms: Some(NOW) });
    }

    #[test]
    fn both_spellings_of_the_token_header_count() {
        let auth = ("authorization", "OSS AKID:c2ln");
        for name in ["x-oss-security-token", "security-token"] {
            let found = of(&[auth, (name, "T")], &[]).unwrap().unwrap();
            assert_eq!(found.security_token, Some("T".into()));
        }
    }

    #[test]
    fn reads_the_url_form() {
        let query = [
            ("OSSAccessKeyId", "AKID"),
            ("Expires", "1795170000"),
            ("Signature", "c2ln"),
            ("security-token", "T"),
        ];
        let found = of(&[], &query).unwrap().unwrap();
        assert_eq!(found.form, Form::Url { expires_s: 1_795_170_000 });
        assert_eq!(found.date, "1795170000");
        assert_eq!(found.security_token, Some("T".into()));
    }

    #[test]
    fn anonymous_is_not_an_error() {
        assert_eq!(of(&[("date", DATE)], &[("uploads", "")]), Ok(None));
    }

    #[test]
    fn half_signatures_are_errors() {
        use PresentedError::*;
        let auth = |text| [("authorization", text)];
        for text in ["", "OSS", "OSS ", "OSS AKID", "OSS :sig", "OSS AKID:", "Basic abc:def"] {
            assert_eq!(of(&auth(text), &[]), Err(Malformed), "{text}");
        }
        for text in ["OSS2 AccessKeyId:a,Signature:b", "OSS4-HMAC-SHA256 Credential=a"] {
            assert_eq!(of(&auth(text), &[]), Err(Version), "{text}");
        }
        assert_eq!(of(&auth("OSS a:b"), &[("Signature", "x")]), Err(Twice));
        assert_eq!(of(&[], &[("Signature", "x"), ("OSSAccessKeyId", "a")]), Err(Incomplete));
        let query = [("Signature", "x"), ("OSSAccessKeyId", "a"), ("Expires", "soon")];
        assert_eq!(of(&[], &query), Err(Incomplete));
        assert_eq!(of(&[], &[("x-oss-signature-version", "OSS2")]), Err(Version));
        assert_eq!(Twice.code().status(), 400);
        assert_eq!(Incomplete.code().status(), 403);
    }

    fn presented(form: Form) -> Presented {
        Presented {
            access_key_id: "AKID".into(),
            signature: "c2ln".into(),
            form,
            date: DATE.into(),
            security_token: None,
        }
    }

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
        let url = presented(Form::Url { expires_s: NOW / 1_000 });
        assert!(url.check_time(NOW + 999).is_ok());
        let dead = url.check_time(NOW + 1_000).unwrap_err();
        assert_eq!(
            (dead.code.as_str(), dead.message.as_str()),
            ("AccessDenied", "Request has expired.")
        );
        assert!(presented(Form::Url { expires_s: i64::MAX }).check_time(NOW).is_ok());
        assert!(presented(Form::Url { expires_s: i64::MIN }).check_time(NOW).is_err());
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
    fn debug_hides_signature_and_token() {
        let request = presented(Form::Url { expires_s: 0 });
        assert!(!alloc::format!("{request:?}").contains("c2ln"));
    }
}
