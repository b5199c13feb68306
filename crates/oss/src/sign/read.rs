//! Reading the signature that a request presents.

use alloc::string::String;
use alloc::vec::Vec;

use super::canonical::{CONTENT_SHA256, UNSIGNED_PAYLOAD};
use super::find;
use super::presented::{ClaimV4, Form, Presented, undated};
use super::scope::{Scope, ScopeFlaw};
use super::v4::ALGORITHM;
use crate::code::Code;
use crate::credential::Secret;
use crate::error::ServiceError;
use crate::limits::MAX_PRESIGNED_S;
use crate::time::{parse_http, parse_iso};

/// Why a request's signature cannot even be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PresentedError {
    /// In the header and in the query at once, or in two versions.
    #[error("the request is signed more than once")]
    Twice,
    /// The header is in no form that is known.
    #[error(
        "the Authorization header is neither OSS AccessKeyId:Signature nor OSS4-HMAC-SHA256 with Credential, \
         AdditionalHeaders and Signature"
    )]
    Malformed,
    /// Another version of signature.
    #[error(
        "signatures of V2 (OSS2) are not implemented: sign with V1 (OSS) or V4 (OSS4-HMAC-SHA256)"
    )]
    Version,
    /// The query lacks OSSAccessKeyId, Expires or Signature, or Expires is no number.
    #[error("the query needs OSSAccessKeyId, Expires and Signature")]
    Incomplete,
    /// The query lacks a parameter of a V4 signature.
    #[error(
        "the query needs x-oss-signature-version, x-oss-credential, x-oss-date, x-oss-expires and x-oss-signature"
    )]
    IncompleteV4,
    /// A presigned V4 URL whose date cannot be read.
    #[error("OSS authentication requires a valid Date")]
    Date,
    /// A presigned V4 URL that lives for no time, too long, or no number of seconds.
    #[error("x-oss-expires must be 1 to 604800 seconds")]
    Lifetime,
    /// A V4 credential that is not for this service.
    #[error("{flaw}")]
    Scope {
        /// What is wrong with it.
        flaw: ScopeFlaw,
        /// In the query, not in the header.
        in_url: bool,
    },
}

impl PresentedError {
    /// The code that the server answers with.
    pub fn code(self) -> Code {
        match self {
            PresentedError::Incomplete | PresentedError::IncompleteV4 | PresentedError::Date => {
                Code::AccessDenied
            }
            PresentedError::Version => Code::NotImplemented,
            _ => Code::InvalidArgument,
        }
    }
}

impl From<PresentedError> for ServiceError {
    fn from(error: PresentedError) -> ServiceError {
        match error {
            PresentedError::Scope { flaw, in_url } => flaw.refusal(in_url),
            PresentedError::Date => undated(true),
            _ => ServiceError::of(error.code()).with_message(alloc::format!("{error}")),
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
        let of_v1 = ["OSSAccessKeyId", "Signature", "Expires"].map(|name| find(query, name));
        let of_v4 = ["x-oss-signature-version", "x-oss-credential", "x-oss-signature"]
            .map(|name| find(query, name));
        let (by_v1, by_v4) = (of_v1.iter().any(Option::is_some), of_v4.iter().any(Option::is_some));
        match find(headers, "authorization") {
            Some(_) if by_v1 || by_v4 => Err(PresentedError::Twice),
            Some(text) => Presented::from_header(text, headers).map(Some),
            None if by_v1 && by_v4 => Err(PresentedError::Twice),
            None if by_v4 => Presented::from_query_v4(of_v4, headers, query).map(Some),
            None if by_v1 => Presented::from_query_v1(of_v1, headers, query).map(Some),
            None => Ok(None),
        }
    }

    fn from_header(text: &str, headers: &[(String, String)]) -> Result<Presented, PresentedError> {
        let (scheme, rest) = text.trim().split_once(' ').ok_or(PresentedError::Malformed)?;
        let date = find(headers, "x-oss-date").or(find(headers, "date")).unwrap_or("");
        let (access_key_id, signature, v4) = match scheme {
            "OSS" => {
                let (id, signature) =
                    rest.trim().split_once(':').ok_or(PresentedError::Malformed)?;
                (String::from(id), signature, None)
            }
            ALGORITHM => {
                let fields = Fields::read(rest)?;
                let (id, scope) = Scope::parse(fields.credential)
                    .map_err(|flaw| PresentedError::Scope { flaw, in_url: false })?;
                let claim = ClaimV4::new(scope, fields.additional_headers, headers);
                (id, fields.signature, Some(claim))
            }
            "OSS2" => return Err(PresentedError::Version),
            _ => return Err(PresentedError::Malformed),
        };
        if access_key_id.is_empty() || signature.is_empty() {
            return Err(PresentedError::Malformed);
        }
        Ok(Presented {
            access_key_id,
            signature: signature.into(),
            form: Form::Header { at_ms: parse_http(date).or_else(|| parse_iso(date)) },
            date: date.into(),
            security_token: header_token(headers),
            v4,
        })
    }

    fn from_query_v1(
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
            form: Form::Url { at_ms: None, expires_s },
            date: expires.into(),
            security_token: token.map(Secret::from).or_else(|| header_token(headers)),
            v4: None,
        })
    }

    fn from_query_v4(
        [version, credential, signature]: [Option<&str>; 3],
        headers: &[(String, String)],
        query: &[(String, String)],
    ) -> Result<Presented, PresentedError> {
        if version.is_some_and(|version| version != ALGORITHM) {
            return Err(PresentedError::Version);
        }
        let (Some(_), Some(credential), Some(signature), Some(date), Some(lifetime)) = (
            version,
            credential,
            signature,
            find(query, "x-oss-date"),
            find(query, "x-oss-expires"),
        ) else {
            return Err(PresentedError::IncompleteV4);
        };
        let (access_key_id, scope) = Scope::parse(credential)
            .map_err(|flaw| PresentedError::Scope { flaw, in_url: true })?;
        let at_ms = parse_iso(date).ok_or(PresentedError::Date)?;
        let lifetime_s: i64 = Some(lifetime)
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
            .and_then(|text| text.parse().ok())
            .filter(|seconds| (1..=MAX_PRESIGNED_S).contains(seconds))
            .ok_or(PresentedError::Lifetime)?;
        let additional = find(query, "x-oss-additional-headers").unwrap_or("");
        let token = find(query, "x-oss-security-token");
        Ok(Presented {
            access_key_id,
            signature: signature.into(),
            form: Form::Url { at_ms: Some(at_ms), expires_s: at_ms.div_euclid(1_000) + lifetime_s },
            date: date.into(),
            security_token: token.map(Secret::from).or_else(|| header_token(headers)),
            v4: Some(ClaimV4::new(scope, additional, headers)),
        })
    }
}

impl ClaimV4 {
    fn new(scope: Scope, additional_headers: &str, headers: &[(String, String)]) -> ClaimV4 {
        let mut names: Vec<String> = additional_headers
            .split(';')
            .map(|name| name.trim().to_ascii_lowercase())
            .filter(|name| !name.is_empty())
            .collect();
        names.sort_unstable();
        let hash = find(headers, CONTENT_SHA256).map(str::trim);
        ClaimV4 {
            scope,
            additional_headers: names,
            content_sha256: hash.filter(|hash| *hash != UNSIGNED_PAYLOAD).map(String::from),
        }
    }
}

/// `name=value` fields after the algorithm's name, in any order, with or without blanks after the commas.
struct Fields<'a> {
    credential: &'a str,
    additional_headers: &'a str,
    signature: &'a str,
}

impl<'a> Fields<'a> {
    fn read(text: &'a str) -> Result<Fields<'a>, PresentedError> {
        let (mut credential, mut additional_headers, mut signature) = (None, None, None);
        for field in text.split(',') {
            let (name, value) = field.trim().split_once('=').ok_or(PresentedError::Malformed)?;
            let place = match name {
                "Credential" => &mut credential,
                "AdditionalHeaders" => &mut additional_headers,
                "Signature" => &mut signature,
                _ => return Err(PresentedError::Malformed),
            };
            if place.replace(value).is_some() {
                return Err(PresentedError::Malformed);
            }
        }
        Ok(Fields {
            credential: credential.ok_or(PresentedError::Malformed)?,
            additional_headers: additional_headers.unwrap_or(""),
            signature: signature.ok_or(PresentedError::Malformed)?,
        })
    }
}

/// One client sends the token in a header `security-token`, which is not signed; the token's own MAC and its tie to
/// the key id keep that safe.
fn header_token(headers: &[(String, String)]) -> Option<Secret> {
    find(headers, "x-oss-security-token").or(find(headers, "security-token")).map(Secret::from)
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
        assert_eq!(found.form, Form::Url { at_ms: None, expires_s: 1_795_170_000 });
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
        assert_eq!(of(&auth("OSS2 AccessKeyId:a,Signature:b"), &[]), Err(Version));
        assert_eq!(of(&auth("OSS a:b"), &[("Signature", "x")]), Err(Twice));
        assert_eq!(of(&[], &[("Signature", "x"), ("OSSAccessKeyId", "a")]), Err(Incomplete));
        let query = [("Signature", "x"), ("OSSAccessKeyId", "a"), ("Expires", "soon")];
        assert_eq!(of(&[], &query), Err(Incomplete));
        assert_eq!(of(&[], &[("x-oss-signature-version", "OSS2")]), Err(Version));
        assert_eq!(Twice.code().status(), 400);
        let refusal = ServiceError::from(Version);
        assert_eq!(refusal.code, "NotImplemented");
        assert!(refusal.message.contains("OSS4-HMAC-SHA256"), "{refusal}");
        assert_eq!(Incomplete.code().status(), 403);
    }

    const CREDENTIAL: &str = "AKID/20261120/cn-hangzhou/oss/aliyun_v4_request";

    /// With `C` for a good credential.
    fn v4_header(fields: &str) -> Result<Presented, PresentedError> {
        let text =
            ["OSS4-HMAC-SHA256 ", &fields.replace("=C", &["=", CREDENTIAL].concat())].concat();
        let headers = [("authorization", text.as_str()), ("x-oss-date", "20261120T100000Z")];
        of(&headers, &[]).map(Option::unwrap)
    }

    #[test]
    fn reads_the_v4_header_in_every_spelling() {
        let first = v4_header("Credential=C,AdditionalHeaders=a;host,Signature=5e").unwrap();
        assert_eq!(first.access_key_id, "AKID");
        assert_eq!(first.signature.expose(), "5e");
        assert_eq!(first.form, Form::Header { at_ms: Some(NOW) });
        let claim = first.v4.as_ref().unwrap();
        assert_eq!(claim.scope, Scope { date: "20261120".into(), region: "cn-hangzhou".into() });
        assert_eq!(claim.additional_headers, ["a", "host"]);
        for fields in [
            "Credential=C, Signature=5e, AdditionalHeaders=a;host",
            "Signature=5e,AdditionalHeaders=Host; A,Credential=C",
            " Credential=C ,AdditionalHeaders=a;;host,  Signature=5e ",
        ] {
            assert_eq!(v4_header(fields).as_ref(), Ok(&first), "{fields}");
        }
    }

    #[test]
    fn malformed_v4_headers_are_told_apart() {
        for fields in [
            "",
            "x",
            "Credential=C",
            "Signature=5e",
            "Credential=C,Signature=",
            "Credential=C,Signature=5e,",
            "Credential=C,Signature=5e,Signature=5e",
            "Credential=C,Signature=5e,Else=1",
            "Credential:C,Signature:5e",
            "credential=C,Signature=5e",
        ] {
            assert_eq!(v4_header(fields), Err(PresentedError::Malformed), "{fields}");
        }
        for (credential, flaw) in [
            ("AKID", ScopeFlaw::Shape),
            ("AKID/20261120/r/oss/aws4_request", ScopeFlaw::Version),
            ("AKID/20261132/r/oss/aliyun_v4_request", ScopeFlaw::Date),
            ("AKID/20261120/r/s3/aliyun_v4_request", ScopeFlaw::Product),
        ] {
            let error =
                v4_header(&["Credential=", credential, ",Signature=5e"].concat()).unwrap_err();
            assert_eq!(error, PresentedError::Scope { flaw, in_url: false });
            let answer = ServiceError::from(error);
            assert_eq!((answer.status, answer.code.as_str()), (400, "InvalidArgument"));
        }
    }

    fn v4_url(changes: &[(&str, Option<&str>)]) -> Result<Presented, PresentedError> {
        let mut query = alloc::vec![
            ("x-oss-signature-version", "OSS4-HMAC-SHA256"),
            ("x-oss-credential", CREDENTIAL),
            ("x-oss-date", "20261120T100000Z"),
            ("x-oss-expires", "900"),
            ("x-oss-signature", "5e"),
            ("x-oss-security-token", "T"),
        ];
        for (name, value) in changes {
            query.retain(|(n, _)| n != name);
            query.extend(value.map(|value| (*name, value)));
        }
        of(&[], &query).map(Option::unwrap)
    }

    #[test]
    fn reads_the_v4_url() {
        let found = v4_url(&[("x-oss-additional-headers", Some("host;range"))]).unwrap();
        assert_eq!(found.form, Form::Url { at_ms: Some(NOW), expires_s: NOW / 1_000 + 900 });
        assert_eq!(found.date, "20261120T100000Z");
        assert_eq!(found.security_token, Some("T".into()));
        assert_eq!(found.v4.unwrap().additional_headers, ["host", "range"]);
    }

    #[test]
    fn half_v4_urls_are_errors() {
        for name in [
            "x-oss-signature-version",
            "x-oss-credential",
            "x-oss-date",
            "x-oss-expires",
            "x-oss-signature",
        ] {
            assert_eq!(v4_url(&[(name, None)]), Err(PresentedError::IncompleteV4), "{name}");
        }
        for lifetime in ["0", "604801", "-1", "+5", "", "1.5", "99999999999999999999"] {
            let error = v4_url(&[("x-oss-expires", Some(lifetime))]).unwrap_err();
            assert_eq!(
                (error, error.code().status()),
                (PresentedError::Lifetime, 400),
                "{lifetime}"
            );
        }
        for lifetime in ["1", "604800"] {
            assert!(v4_url(&[("x-oss-expires", Some(lifetime))]).is_ok(), "{lifetime}");
        }
        for date in ["", "yesterday", "Fri, 20 Nov 2026 10:00:00 GMT"] {
            let error = ServiceError::from(v4_url(&[("x-oss-date", Some(date))]).unwrap_err());
            assert_eq!((error.status, error.context("EC")), (403, Some("0002-00000503")), "{date}");
            assert_eq!(error.message, "OSS authentication requires a valid Date.");
        }
        let both = [("OSSAccessKeyId", Some("a"))];
        assert_eq!(v4_url(&both), Err(PresentedError::Twice));
        let scope = v4_url(&[("x-oss-credential", Some("a/20261120/r/x/aliyun_v4_request"))]);
        let flaw = ScopeFlaw::Product;
        assert_eq!(scope, Err(PresentedError::Scope { flaw, in_url: true }));
    }
}
