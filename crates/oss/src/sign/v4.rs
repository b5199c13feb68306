//! V4 (OSS4-HMAC-SHA256): HMAC-SHA256 over path, whole query and chosen headers, with a key derived for one day and
//! one region.

use alloc::string::String;
use alloc::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::canonical::{
    Asked, CONTENT_SHA256, Listing, SIGNATURE, UNSIGNED_PAYLOAD, canonical_request_v4,
    is_always_signed, is_listing,
};
use super::key_block;
use super::presented::{ClaimV4, Form, Presented};
use super::scope::{PRODUCT, Scope, VERSION};
use crate::credential::{Credential, Secret};
use crate::message::Request;
use crate::text::{decimal, hex};
use crate::time::format_iso_basic;

/// How a request is signed with V4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OptionsV4<'a> {
    /// Of the bucket, for example `cn-hangzhou`, without `oss-`.
    pub region: &'a str,
    /// Names of headers to sign besides those that always are (`content-type`, `content-md5`, `x-oss-*`): usually
    /// none, or `host`. Those that the request does not have are passed over.
    pub additional_headers: &'a [&'a str],
}

/// Signs `request` for `bucket` and `key` (empty for a bucket call) as made at `at_ms` (milliseconds since 1970 on the
/// server's clock). Sets `x-oss-date`, `x-oss-security-token` and `authorization`, and `x-oss-content-sha256` to
/// `UNSIGNED-PAYLOAD` where it is missing; signing again replaces them.
pub fn sign_v4(
    request: &mut Request,
    bucket: &str,
    key: &str,
    credential: &Credential,
    options: OptionsV4<'_>,
    at_ms: i64,
) {
    let timestamp = format_iso_basic(at_ms);
    request.headers.retain(|(name, _)| {
        !matches!(name.as_str(), "authorization" | "x-oss-security-token" | "date")
    });
    request.set_header("x-oss-date", timestamp.as_str());
    if request.header(CONTENT_SHA256).is_none() {
        request.set_header(CONTENT_SHA256, UNSIGNED_PAYLOAD);
    }
    if let Some(token) = &credential.security_token {
        request.set_header("x-oss-security-token", token.expose());
    }
    let scope = Scope::at(&timestamp, options.region);
    let additional = additional_headers(request, options);
    let signature = sign(
        request,
        &additional,
        (bucket, key),
        &scope,
        &timestamp,
        &credential.access_key_secret,
    );

    let mut value = String::from(ALGORITHM);
    value.push_str(" Credential=");
    value.push_str(&scope.of(&credential.access_key_id));
    if !additional.is_empty() {
        value.push_str(",AdditionalHeaders=");
        value.push_str(&additional.join(";"));
    }
    value.push_str(",Signature=");
    value.push_str(&signature);
    request.set_header("authorization", value);
}

/// Signs `request` in its query, so that its URL alone gives the right to it for `lifetime_s` seconds (1 to 604,800;
/// a server refuses others) from `at_ms` on. Headers that the user of the URL has to send (`content-type`, `x-oss-*`,
/// additional ones) must be in `request` already.
pub fn presign_v4(
    request: &mut Request,
    bucket: &str,
    key: &str,
    credential: &Credential,
    options: OptionsV4<'_>,
    at_ms: i64,
    lifetime_s: u32,
) {
    request.query.retain(|(name, _)| !PRESIGNED.contains(&name.as_str()));
    let timestamp = format_iso_basic(at_ms);
    let scope = Scope::at(&timestamp, options.region);
    let additional = additional_headers(request, options);
    let mut add = |name: &str, value: String| request.query.push((name.into(), value));
    add("x-oss-signature-version", ALGORITHM.into());
    add("x-oss-credential", scope.of(&credential.access_key_id));
    add("x-oss-date", timestamp.clone());
    add("x-oss-expires", decimal(lifetime_s.into()));
    if !additional.is_empty() {
        add("x-oss-additional-headers", additional.join(";"));
    }
    if let Some(token) = &credential.security_token {
        add("x-oss-security-token", token.expose().into());
    }
    let signature = sign(
        request,
        &additional,
        (bucket, key),
        &scope,
        &timestamp,
        &credential.access_key_secret,
    );
    request.query.push((SIGNATURE.into(), signature));
}

/// What V4 signs: `timestamp` is `x-oss-date` as it stands in the request.
pub fn string_to_sign_v4(timestamp: &str, scope: &Scope, canonical_request: &str) -> String {
    let mut out = String::from(ALGORITHM);
    out.push('\n');
    out.push_str(timestamp.trim());
    out.push('\n');
    scope.push(&mut out);
    out.push('\n');
    out.push_str(&hex(&Sha256::digest(canonical_request)));
    out
}

/// The MAC of `string_to_sign` in lower-case hex.
pub fn signature_v4(secret: &Secret, scope: &Scope, string_to_sign: &str) -> String {
    hex(&mac(&*signing_key(secret, scope), string_to_sign).finalize().into_bytes())
}

pub(super) const ALGORITHM: &str = "OSS4-HMAC-SHA256";
const PRESIGNED: [&str; 7] = [
    "x-oss-additional-headers",
    "x-oss-credential",
    "x-oss-date",
    "x-oss-expires",
    "x-oss-security-token",
    SIGNATURE,
    "x-oss-signature-version",
];

pub(super) fn verify(
    presented: &Presented,
    claim: &ClaimV4,
    secret: &Secret,
    asked: &Asked<'_>,
) -> bool {
    let Some(signature) = parse_hex(presented.signature.expose()) else {
        return false;
    };
    let key = signing_key(secret, &claim.scope);
    let matches = |listing| {
        let text = string_to_sign_v4(&presented.date, &claim.scope, &asked.canonical(listing));
        mac(&*key, &text).verify_slice(&signature).is_ok()
    };
    // One client signs empty listing parameters in its own ways. Nothing else is let through unsigned, and nothing
    // may be glued onto a URL, which may be in anybody's hands.
    let lenient = matches!(presented.form, Form::Header { .. })
        && asked.query.iter().any(|(name, value)| value.is_empty() && is_listing(name));
    matches(Listing::Regular)
        || lenient && (matches(Listing::WithSign) || matches(Listing::Dropped))
}

fn sign(
    request: &Request,
    additional_headers: &[String],
    (bucket, key): (&str, &str),
    scope: &Scope,
    timestamp: &str,
    secret: &Secret,
) -> String {
    let mut headers = request.headers.clone();
    if request.header(HOST).is_none() {
        // The shell's HTTP library sets it.
        headers.push((HOST.into(), request.authority.clone()));
    }
    let (method, query) = (request.method.as_str(), &request.query);
    let canonical = canonical_request_v4(method, &headers, query, additional_headers, bucket, key);
    signature_v4(secret, scope, &string_to_sign_v4(timestamp, scope, &canonical))
}

/// In lower case, sorted, without those that are signed anyway and those that the request does not have.
fn additional_headers(request: &Request, options: OptionsV4<'_>) -> Vec<String> {
    let mut names: Vec<String> = options
        .additional_headers
        .iter()
        .map(|name| name.to_ascii_lowercase())
        .filter(|name| !is_always_signed(name))
        .filter(|name| name == HOST || request.header(name).is_some())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

const HOST: &str = "host";

fn signing_key(secret: &Secret, scope: &Scope) -> Zeroizing<[u8; 32]> {
    let secret = secret.expose();
    let mut first = Zeroizing::new(String::with_capacity(PREFIX.len() + secret.len()));
    first.push_str(PREFIX);
    first.push_str(secret);
    let mut key = derive(first.as_bytes(), &scope.date);
    for word in [scope.region.as_str(), PRODUCT, VERSION] {
        key = derive(&*key, word);
    }
    key
}

const PREFIX: &str = "aliyun_v4";

fn derive(key: &[u8], word: &str) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(mac(key, word).finalize().into_bytes().into())
}

fn mac(key: &[u8], text: &str) -> Hmac<Sha256> {
    let block = key_block::<Sha256>(key);
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(text.as_bytes());
    mac
}

/// 64 hex digits in lower case: there is one spelling of a signature.
fn parse_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; 32];
    if text.len() != 64 {
        return None;
    }
    for (to, [high, low]) in out.iter_mut().zip(text.as_bytes().as_chunks().0) {
        *to = digit(*high)? << 4 | digit(*low)?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Style;
    use crate::credential::Target;
    use crate::message::Method;
    use alloc::string::ToString;

    const AT: i64 = 1_795_168_800_000;
    const OPTIONS: OptionsV4<'_> = OptionsV4 { region: "cn-hangzhou", additional_headers: &[] };

    fn scope() -> Scope {
        Scope { date: "20261120".into(), region: "cn-hangzhou".into() }
    }

    fn credential(token: Option<&str>) -> Credential {
        Credential {
            access_key_id: "AKIDEXAMPLE".into(),
            access_key_secret: "SecretExample0123456789".into(),
            security_token: token.map(Secret::from),
        }
    }

    fn request(method: Method, endpoint: &str) -> Request {
        let (bucket, key) = ("demo-bkt".to_string(), "sv/a b.mp4".to_string());
        Request::to(method, &Target { endpoint: endpoint.into(), bucket, key }, Style::Auto)
            .unwrap()
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
    }

    fn verifies(request: &Request, headers: &[(String, String)], key: &str) -> bool {
        let presented = Presented::of(headers, &request.query).unwrap().unwrap();
        let secret = "SecretExample0123456789".into();
        let method = request.method.as_str();
        presented.verify(&secret, method, headers, &request.query, "demo-bkt", key)
    }

    #[test]
    fn vector_of_the_key() {
        assert_eq!(
            hex(&*signing_key(&"SecretExample0123456789".into(), &scope())),
            "b9e9e86f8c6d243cd10da4d96a93260e7fab4cad339fca4f8a4b5e3be6e4f671"
        );
    }

    #[test]
    fn vector_of_a_part() {
        let mut request = request(Method::Put, "http://127.0.0.1:9000");
        request.query = pairs(&[("uploadId", "0004B9895DBBB6EC98E36"), ("partNumber", "1")]);
        let credential = credential(Some("TOKEN+/="));
        for at in [0, AT] {
            sign_v4(&mut request, "demo-bkt", "sv/a b.mp4", &credential, OPTIONS, at);
        }
        let canonical = canonical_request_v4(
            "PUT",
            &request.headers,
            &request.query,
            &[],
            "demo-bkt",
            "sv/a b.mp4",
        );
        assert_eq!(
            canonical,
            "PUT\n/demo-bkt/sv/a%20b.mp4\npartNumber=1&uploadId=0004B9895DBBB6EC98E36\n\
             x-oss-content-sha256:UNSIGNED-PAYLOAD\nx-oss-date:20261120T100000Z\n\
             x-oss-security-token:TOKEN+/=\n\n\nUNSIGNED-PAYLOAD"
        );
        assert_eq!(
            string_to_sign_v4("20261120T100000Z", &scope(), &canonical),
            "OSS4-HMAC-SHA256\n20261120T100000Z\n20261120/cn-hangzhou/oss/aliyun_v4_request\n\
             1069d511fea14843c683576bcde2d88d808066de845fcc16179c278655ced40c"
        );
        assert_eq!(
            request.header("authorization"),
            Some(
                "OSS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261120/cn-hangzhou/oss/aliyun_v4_request,\
                 Signature=d941cb4c5bfce69bb977c57a09d9e0d1bff90b949bf2ac2b5dc65efa56190b52"
            )
        );
        assert!(verifies(&request, &request.headers, "sv/a b.mp4"));
    }

    #[test]
    fn vector_of_a_url() {
        let mut request = request(Method::Get, "http://oss.example.com");
        let options = OptionsV4 { additional_headers: &["Host", "absent", "x-oss-a"], ..OPTIONS };
        for lifetime_s in [1, 900] {
            let credential = credential(None);
            presign_v4(
                &mut request,
                "demo-bkt",
                "sv/a b.mp4",
                &credential,
                options,
                AT,
                lifetime_s,
            );
        }
        let mut headers = pairs(&[("host", "demo-bkt.oss.example.com"), ("accept", "*/*")]);
        let canonical = canonical_request_v4(
            "GET",
            &headers,
            &request.query,
            &["host".to_string()],
            "demo-bkt",
            "sv/a b.mp4",
        );
        assert_eq!(
            canonical,
            "GET\n/demo-bkt/sv/a%20b.mp4\nx-oss-additional-headers=host\
             &x-oss-credential=AKIDEXAMPLE%2F20261120%2Fcn-hangzhou%2Foss%2Faliyun_v4_request\
             &x-oss-date=20261120T100000Z&x-oss-expires=900&x-oss-signature-version=OSS4-HMAC-SHA256\n\
             host:demo-bkt.oss.example.com\n\nhost\nUNSIGNED-PAYLOAD"
        );
        assert_eq!(
            hex(&Sha256::digest(&canonical)),
            "af9fe3aa36b8c35135b0c1baf1d245e1d85ebd3dc34c1636e50c47dde60c17bf"
        );
        assert_eq!(
            request.query.last(),
            Some(&(
                "x-oss-signature".to_string(),
                "d9c74f926d2b618273c0bc622961576a0f4b6c57c4f75e79db545030ae854fd4".to_string()
            ))
        );
        assert!(verifies(&request, &headers, "sv/a b.mp4"));
        headers[0].1 = "another.example.com".into();
        assert!(!verifies(&request, &headers, "sv/a b.mp4"));
    }

    #[test]
    fn a_declared_hash_of_the_body_is_signed_and_told() {
        let mut request = request(Method::Put, "http://127.0.0.1:9000");
        let hash = hex(&Sha256::digest(b"body"));
        request.set_header(CONTENT_SHA256, hash.as_str());
        sign_v4(&mut request, "demo-bkt", "k", &credential(None), OPTIONS, AT);
        assert!(verifies(&request, &request.headers, "k"));
        let told = |request: &Request| {
            let presented = Presented::of(&request.headers, &request.query).unwrap().unwrap();
            presented.content_sha256().map(String::from)
        };
        assert_eq!(told(&request), Some(hash));
        request.set_header(CONTENT_SHA256, UNSIGNED_PAYLOAD);
        assert!(!verifies(&request, &request.headers, "k"));
        assert_eq!(told(&request), None);
    }

    /// Signs a listing the way `listing` says and lets the regular request be verified.
    fn odd_listing(query: &[(&str, &str)], listing: Listing) -> bool {
        let mut request = request(Method::Get, "http://127.0.0.1:9000");
        request.query = pairs(query);
        sign_v4(&mut request, "demo-bkt", "", &credential(None), OPTIONS, AT);
        let canonical = Asked {
            method: "GET",
            headers: &request.headers,
            query: &request.query,
            additional_headers: &[],
            bucket: "demo-bkt",
            key: "",
        }
        .canonical(listing);
        let text = string_to_sign_v4("20261120T100000Z", &scope(), &canonical);
        let signature = signature_v4(&"SecretExample0123456789".into(), &scope(), &text);
        let mut value = String::from("OSS4-HMAC-SHA256 Credential=");
        value.push_str(&scope().of("AKIDEXAMPLE"));
        value.push_str(",Signature=");
        value.push_str(&signature);
        request.set_header("authorization", value);
        verifies(&request, &request.headers, "")
    }

    #[test]
    fn empty_listing_parameters_verify_in_every_spelling() {
        let query = [("marker", ""), ("prefix", ""), ("max-keys", "3")];
        for listing in [Listing::Regular, Listing::WithSign, Listing::Dropped] {
            assert!(odd_listing(&query, listing));
        }
    }

    #[test]
    fn nothing_else_may_be_added() {
        let mut by_header = request(Method::Get, "http://127.0.0.1:9000");
        sign_v4(&mut by_header, "demo-bkt", "", &credential(None), OPTIONS, AT);
        let mut by_url = request(Method::Get, "http://127.0.0.1:9000");
        presign_v4(&mut by_url, "demo-bkt", "", &credential(None), OPTIONS, AT, 60);
        let verifies_with = |request: &Request, name: &str, value: &str| {
            let mut request = request.clone();
            request.query.push((name.into(), value.into()));
            verifies(&request, &request.headers, "")
        };
        assert!(verifies_with(&by_header, "prefix", ""));
        assert!(!verifies_with(&by_header, "prefix", "x"));
        for name in ["acl", "uploads", "list-type", "max-uploads"] {
            assert!(!verifies_with(&by_header, name, ""), "{name}");
        }
        for name in ["acl", "prefix"] {
            assert!(!verifies_with(&by_url, name, ""), "{name}");
        }
    }

    #[test]
    fn a_date_text_is_signed_as_it_stands() {
        // The client that sends no x-oss-date.
        let date = "Fri, 20 Nov 2026 10:00:00 GMT";
        let mut headers = pairs(&[("date", date), ("content-type", "a/b")]);
        let canonical = canonical_request_v4("PUT", &headers, &[], &[], "demo-bkt", "k");
        let text = string_to_sign_v4(date, &scope(), &canonical);
        let signature = signature_v4(&"SecretExample0123456789".into(), &scope(), &text);
        let value = [
            "OSS4-HMAC-SHA256 Credential=".to_string(),
            scope().of("AKIDEXAMPLE"),
            ",Signature=".to_string(),
            signature,
        ];
        headers.push(("authorization".into(), value.concat()));
        let request = request(Method::Put, "http://127.0.0.1:9000");
        assert!(verifies(&request, &headers, "k"));
        let presented = Presented::of(&headers, &[]).unwrap().unwrap();
        assert_eq!(presented.check_time(AT), Ok(()));
        headers[0].1 = "Fri, 20 Nov 2026 10:00:01 GMT".into();
        assert!(!verifies(&request, &headers, "k"));
    }

    #[test]
    fn signatures_have_one_spelling() {
        let text = "d941cb4c5bfce69bb977c57a09d9e0d1bff90b949bf2ac2b5dc65efa56190b52";
        assert_eq!(hex(&parse_hex(text).unwrap()), text);
        for bad in ["", "d9", &text[1..], &text.to_ascii_uppercase(), &text.replace('d', "é")] {
            assert_eq!(parse_hex(bad), None, "{bad}");
        }
    }
}
