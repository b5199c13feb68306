//! Signature version 3 of the RPC-style APIs: `ACS3-HMAC-SHA256`, over headers, query and body.
//!
//! ```text
//! canonical request = METHOD \n / \n canonical query \n name:value \n … \n signed names \n SHA-256 of the body
//! string to sign    = "ACS3-HMAC-SHA256" \n hex(SHA-256(canonical request))
//! Signature         = hex(HMAC-SHA256(secret, string to sign))
//! ```
//!
//! As with version 1, both sides work on decoded names and values.

use alloc::string::String;
use alloc::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use vodferry_oss::encode::encode_component;
use vodferry_oss::{Credential, Method};

use crate::text::{equal, hex};

/// The word that the header `Authorization` begins with.
pub const ALGORITHM: &str = "ACS3-HMAC-SHA256";

/// A call of an RPC API, before it is signed. Its parameters go into the query, its body is empty.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Host, with the port where there is one.
    pub host: &'a str,
    /// For example `CreateUploadVideo`.
    pub action: &'a str,
    /// Of the API: `2017-03-21` for VOD, `2015-04-01` for STS.
    pub version: &'a str,
    /// Parameters of the action, not percent-encoded.
    pub parameters: &'a [(String, String)],
    /// Never used twice: a random text.
    pub nonce: &'a str,
    /// The time of the call as `2026-11-20T10:00:00Z`.
    pub date: &'a str,
}

/// All headers to send, `host` first and `authorization` last, names in lower case.
pub fn signed_headers(
    method: Method,
    call: &Call<'_>,
    credential: &Credential,
) -> Vec<(String, String)> {
    let body = body_hash(b"");
    let id = credential.access_key_id.as_str();
    let token = credential.security_token.as_ref().map(|token| token.expose());
    // In the order of their names.
    let headers: Vec<(String, String)> = [
        ("host", Some(call.host)),
        ("x-acs-accesskey-id", token.map(|_| id)),
        ("x-acs-action", Some(call.action)),
        ("x-acs-content-sha256", Some(body.as_str())),
        ("x-acs-date", Some(call.date)),
        ("x-acs-security-token", token),
        ("x-acs-signature-nonce", Some(call.nonce)),
        ("x-acs-version", Some(call.version)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((String::from(name), String::from(value?))))
    .collect();
    let mut names = String::new();
    for (name, _) in &headers {
        if !names.is_empty() {
            names.push(';');
        }
        names.push_str(name);
    }
    let signed = Signed { names: &names, headers: &headers, query: call.parameters, body: &body };
    // Every name is there once, so that there is a canonical request.
    let signature = signed.sign(method, credential.access_key_secret.expose()).unwrap_or_default();
    let mut authorization = String::from(ALGORITHM);
    for piece in [" Credential=", id, ",SignedHeaders=", &names, ",Signature=", &signature] {
        authorization.push_str(piece);
    }
    let mut headers = headers;
    headers.push((String::from("authorization"), authorization));
    headers
}

/// What a request claims in its header `Authorization`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Presented<'a> {
    /// The key that signed.
    pub access_key_id: &'a str,
    /// Names of the signed headers, joined by `;`.
    pub signed_headers: &'a str,
    /// 64 hexadecimal digits.
    pub signature: &'a str,
}

impl<'a> Presented<'a> {
    /// Reads the value of `Authorization`; none when it is of another kind or lacks something.
    pub fn of(authorization: &'a str) -> Option<Presented<'a>> {
        let fields = authorization.strip_prefix(ALGORITHM)?.strip_prefix(' ')?;
        let (mut id, mut names, mut signature) = (None, None, None);
        for field in fields.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            let slot = match name {
                "Credential" => &mut id,
                "SignedHeaders" => &mut names,
                "Signature" => &mut signature,
                _ => return None,
            };
            if slot.replace(value).is_some() || value.is_empty() {
                return None;
            }
        }
        Some(Presented { access_key_id: id?, signed_headers: names?, signature: signature? })
    }

    /// Whether a header is signed; `name` in lower case.
    pub fn covers(&self, name: &str) -> bool {
        self.signed_headers.split(';').any(|signed| signed == name)
    }
}

/// What a signature covers.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// Names of the signed headers in lower case, joined by `;`.
    pub names: &'a str,
    /// All headers, names in lower case.
    pub headers: &'a [(String, String)],
    /// All parameters of the query, not percent-encoded.
    pub query: &'a [(String, String)],
    /// SHA-256 of the body, in hexadecimal: the value of `x-acs-content-sha256`, after it was compared.
    pub body: &'a str,
}

impl Signed<'_> {
    /// The request in canonical form; none when a signed header is missing or comes twice.
    pub fn canonical_request(&self, method: Method) -> Option<String> {
        let mut out = String::from(method.as_str());
        out.push_str("\n/\n");
        let mut sorted: Vec<&(String, String)> = self.query.iter().collect();
        sorted.sort();
        for (at, (name, value)) in sorted.into_iter().enumerate() {
            if at > 0 {
                out.push('&');
            }
            out.push_str(&encode_component(name));
            out.push('=');
            out.push_str(&encode_component(value));
        }
        out.push('\n');
        for name in self.names.split(';') {
            let mut found = self.headers.iter().filter(|(n, _)| n == name);
            let (Some((_, value)), None) = (found.next(), found.next()) else { return None };
            out.push_str(name);
            out.push(':');
            out.push_str(value.trim());
            out.push('\n');
        }
        out.push('\n');
        out.push_str(self.names);
        out.push('\n');
        out.push_str(self.body);
        Some(out)
    }

    /// The signature; none where there is no canonical request.
    pub fn sign(&self, method: Method, secret: &str) -> Option<String> {
        // HMAC takes keys of any length, so there is no error to hand on.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).ok()?;
        mac.update(string_to_sign(&self.canonical_request(method)?).as_bytes());
        Some(hex(&mac.finalize().into_bytes()))
    }

    /// Whether `signature` is the one that `secret` makes. Takes the same time for every wrong signature.
    pub fn verify(&self, method: Method, secret: &str, signature: &str) -> bool {
        self.sign(method, secret).is_some_and(|right| equal(right.as_bytes(), signature.as_bytes()))
    }
}

/// What is signed, of a request in canonical form. Holds no secret.
pub fn string_to_sign(canonical_request: &str) -> String {
    let mut out = String::from(ALGORITHM);
    out.push('\n');
    out.push_str(&body_hash(canonical_request.as_bytes()));
    out
}

/// SHA-256 in lower-case hexadecimal, as `x-acs-content-sha256` has it.
pub fn body_hash(body: &[u8]) -> String {
    hex(&Sha256::digest(body))
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;

    use proptest::prelude::*;
    use vodferry_oss::Secret;

    use super::*;

    const SECRET: &str = "SecretExample0123456789";

    fn pairs(list: &[(&str, &str)]) -> Pairs {
        list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
    }

    type Pairs = Vec<(String, String)>;

    /// Headers and query of a call.
    fn headers(token: Option<&str>) -> (Pairs, Pairs) {
        let query = pairs(&[("Title", "测试 a+b*~"), ("FileName", "a.mp4")]);
        let call = Call {
            host: "vod.example.com",
            action: "CreateUploadVideo",
            version: "2017-03-21",
            parameters: &query,
            nonce: "n-1",
            date: "2026-11-20T10:00:00Z",
        };
        let credential = Credential {
            access_key_id: "AKIDEXAMPLE".to_string(),
            access_key_secret: Secret::from(SECRET),
            security_token: token.map(Secret::from),
        };
        (signed_headers(Method::Post, &call, &credential), query)
    }

    #[test]
    fn the_published_vector() {
        let (headers, query) = headers(None);
        let names =
            "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";
        let (_, authorization) = headers.last().unwrap();
        let presented = Presented::of(authorization).unwrap();
        assert_eq!(presented.access_key_id, "AKIDEXAMPLE");
        assert_eq!(presented.signed_headers, names);
        assert_eq!(
            presented.signature,
            "c8db6f2de225b279b8eed545c4961006c5572de2c578d6f60093f4cf9b57c7a2"
        );
        assert!(presented.covers("host") && !presented.covers("hos"));
        let body = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(body_hash(b""), body);
        let signed = Signed { names, headers: &headers, query: &query, body };
        assert_eq!(
            string_to_sign(&signed.canonical_request(Method::Post).unwrap()),
            "ACS3-HMAC-SHA256\n5244eb0844ee325d9897d5522973b6530c31bb08da76682580fc7d0468b0f32c"
        );
        assert!(signed.verify(Method::Post, SECRET, presented.signature));
    }

    #[test]
    fn anything_altered_is_refused() {
        let (headers, query) = headers(Some("CAIS+/="));
        let (_, authorization) = headers.last().unwrap();
        let presented = Presented::of(authorization).unwrap();
        assert!(presented.covers("x-acs-security-token") && presented.covers("x-acs-accesskey-id"));
        let body = body_hash(b"");
        let good = Signed {
            names: presented.signed_headers,
            headers: &headers,
            query: &query,
            body: &body,
        };
        let right = presented.signature;
        assert!(good.verify(Method::Post, SECRET, right));
        assert!(!good.verify(Method::Get, SECRET, right), "method");
        assert!(!good.verify(Method::Post, "SecretExample012345678", right), "secret");
        assert!(!good.verify(Method::Post, SECRET, &right.to_uppercase()), "case");
        assert!(!good.verify(Method::Post, SECRET, ""), "none");
        for at in 0..headers.len() - 1 {
            let mut altered = headers.clone();
            altered[at].1.push('x');
            assert!(!Signed { headers: &altered, ..good }.verify(Method::Post, SECRET, right));
            let mut missing = headers.clone();
            missing.remove(at);
            assert!(!Signed { headers: &missing, ..good }.verify(Method::Post, SECRET, right));
            let mut twice = headers.clone();
            twice.push(headers[at].clone());
            assert!(!Signed { headers: &twice, ..good }.verify(Method::Post, SECRET, right));
        }
        let mut added = query.clone();
        added.push((String::new(), String::new()));
        assert!(!Signed { query: &added, ..good }.verify(Method::Post, SECRET, right));
        assert!(!Signed { body: &body_hash(b"x"), ..good }.verify(Method::Post, SECRET, right));
    }

    #[test]
    fn headers_that_lack_something_are_none() {
        for value in [
            "",
            "ACS3-HMAC-SHA256",
            "ACS3-HMAC-SHA256 ",
            "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host",
            "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=,Signature=b",
            "ACS3-HMAC-SHA256 Credential=a,Credential=b,SignedHeaders=host,Signature=b",
            "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=b,Other=c",
            "ACS3-HMAC-SM3 Credential=a,SignedHeaders=host,Signature=b",
            "OSS a:b",
        ] {
            assert_eq!(Presented::of(value), None, "{value}");
        }
        assert!(
            Presented::of("ACS3-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=b")
                .is_some()
        );
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies_in_any_order(
            query in proptest::collection::vec((any::<String>(), any::<String>()), 0..6),
            secret in any::<String>(),
        ) {
            let headers = pairs(&[("host", "h")]);
            let signed = Signed { names: "host", headers: &headers, query: &query, body: "" };
            let signature = signed.sign(Method::Get, &secret).unwrap();
            let reversed: Vec<_> = query.iter().rev().cloned().collect();
            let turned = Signed { query: &reversed, ..signed };
            prop_assert!(turned.verify(Method::Get, &secret, &signature));
        }
    }
}
