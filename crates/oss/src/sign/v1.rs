//! V1: HMAC-SHA1 over method, MD5, type, date, `x-oss-*` headers and the resource.

use alloc::string::String;
use alloc::vec::Vec;

use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

use super::{Form, Presented, find, key_block};
use crate::base64::decode;
use crate::credential::{Credential, Secret};
use crate::message::Request;
use crate::sign::subresource::{is_signed, is_sometimes_unsigned};
use crate::text::{base64, push_u64};
use crate::time::format_http;

/// Signs `request` for `bucket` and `key` (empty for a bucket call) as made at `at_ms` (milliseconds since 1970 on the
/// server's clock). Sets `x-oss-date`, `x-oss-security-token` and `authorization`; signing again replaces them.
///
/// The date goes into `x-oss-date` and not into `Date`, because browsers do not let a page set the latter.
pub fn sign_v1(
    request: &mut Request,
    bucket: &str,
    key: &str,
    credential: &Credential,
    at_ms: i64,
) {
    sign_v1_among(request, bucket, key, credential, at_ms, is_signed);
}

/// [`sign_v1`] for a caller who sends so few kinds of requests that it knows which of their query parameters the
/// protocol signs: the browser's module need not carry the names of all.
pub fn sign_v1_among(
    request: &mut Request,
    bucket: &str,
    key: &str,
    credential: &Credential,
    at_ms: i64,
    signed: fn(&str) -> bool,
) {
    let date = format_http(at_ms);
    request.headers.retain(|(name, _)| {
        !matches!(name.as_str(), "authorization" | "x-oss-security-token" | "date")
    });
    request.set_header("x-oss-date", date.as_str());
    if let Some(token) = &credential.security_token {
        request.set_header("x-oss-security-token", token.expose());
    }
    let to_sign = string_to_sign(
        request.method.as_str(),
        &request.headers,
        &request.query,
        &date,
        bucket,
        key,
        signed,
    );
    let mut value = String::from("OSS ");
    value.push_str(&credential.access_key_id);
    value.push(':');
    value.push_str(&signature_v1(&credential.access_key_secret, &to_sign));
    request.set_header("authorization", value);
}

/// Signs `request` in its query, so that its URL alone gives the right to it until `expires_s` (seconds since 1970).
/// Headers that the user of the URL has to send (`content-type`, `x-oss-*`) must be in `request` already.
pub fn presign_v1(
    request: &mut Request,
    bucket: &str,
    key: &str,
    credential: &Credential,
    expires_s: u64,
) {
    request.query.retain(|(name, _)| {
        !matches!(name.as_str(), "OSSAccessKeyId" | "Expires" | "Signature" | "security-token")
    });
    if let Some(token) = &credential.security_token {
        request.query.push(("security-token".into(), token.expose().into()));
    }
    let mut expires = String::new();
    push_u64(&mut expires, expires_s);
    let to_sign = string_to_sign_v1(
        request.method.as_str(),
        &request.headers,
        &request.query,
        &expires,
        bucket,
        key,
    );
    let signature = signature_v1(&credential.access_key_secret, &to_sign);
    request.query.push(("OSSAccessKeyId".into(), credential.access_key_id.clone()));
    request.query.push(("Expires".into(), expires));
    request.query.push(("Signature".into(), signature));
}

/// What V1 signs. `headers` have lower-case names, `query` is decoded, `date` is the value of `x-oss-date`, else of
/// `Date`, else the `Expires` of a URL; `key` is decoded and empty for a bucket call.
pub fn string_to_sign_v1(
    method: &str,
    headers: &[(String, String)],
    query: &[(String, String)],
    date: &str,
    bucket: &str,
    key: &str,
) -> String {
    string_to_sign(method, headers, query, date, bucket, key, is_signed)
}

/// The base64 of the MAC.
pub fn signature_v1(secret: &Secret, string_to_sign: &str) -> String {
    base64(&mac(secret, string_to_sign).finalize().into_bytes())
}

pub(super) fn verify(
    presented: &Presented,
    secret: &Secret,
    method: &str,
    headers: &[(String, String)],
    query: &[(String, String)],
    bucket: &str,
    key: &str,
) -> bool {
    let Some(signature) = decode(presented.signature.expose()) else {
        return false;
    };
    let matches = |signed: fn(&str) -> bool| {
        let text = string_to_sign(method, headers, query, &presented.date, bucket, key, signed);
        mac(secret, &text).verify_slice(&signature).is_ok()
    };
    // A URL may be in anybody's hands: nothing is taken from it that its maker did not sign.
    let lenient = matches!(presented.form, Form::Header { .. })
        && query.iter().any(|(name, _)| is_sometimes_unsigned(name));
    matches(is_signed) || lenient && matches(|name| is_signed(name) && !is_sometimes_unsigned(name))
}

fn string_to_sign(
    method: &str,
    headers: &[(String, String)],
    query: &[(String, String)],
    date: &str,
    bucket: &str,
    key: &str,
    signed: fn(&str) -> bool,
) -> String {
    let mut out = String::from(method);
    out.push('\n');
    out.push_str(find(headers, "content-md5").unwrap_or("").trim());
    out.push('\n');
    out.push_str(find(headers, "content-type").unwrap_or("").trim());
    out.push('\n');
    out.push_str(date.trim());
    out.push('\n');
    let oss = headers.iter().filter(|(name, _)| name.starts_with("x-oss-"));
    for (name, value) in sorted(oss) {
        out.push_str(name);
        out.push(':');
        out.push_str(value.trim());
        out.push('\n');
    }
    out.push('/');
    if !bucket.is_empty() {
        out.push_str(bucket);
        out.push('/');
        out.push_str(key);
    }
    let mut separator = '?';
    for (name, value) in sorted(query.iter().filter(|(name, _)| signed(name))) {
        out.push(separator);
        out.push_str(name);
        if !value.is_empty() {
            out.push('=');
            out.push_str(value);
        }
        separator = '&';
    }
    out
}

/// By insertion: there are a handful, and the library's sort is kilobytes on wasm.
fn sorted<'a>(pairs: impl Iterator<Item = &'a (String, String)>) -> Vec<&'a (String, String)> {
    let mut out = Vec::new();
    for pair in pairs {
        out.insert(out.partition_point(|other| *other <= pair), pair);
    }
    out
}

fn mac(secret: &Secret, text: &str) -> Hmac<Sha1> {
    let block = key_block::<Sha1>(secret.expose().as_bytes());
    let mut mac = Hmac::<Sha1>::new((&*block).into());
    mac.update(text.as_bytes());
    mac
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Style;
    use crate::credential::Target;
    use crate::encode::decode_query;
    use crate::message::Method;
    use alloc::string::ToString;
    use proptest::prelude::*;
    use sha1::Digest;

    const DATE: &str = "Fri, 20 Nov 2026 10:00:00 GMT";
    const AT: i64 = 1_795_168_800_000;

    fn credential(token: Option<&str>) -> Credential {
        Credential {
            access_key_id: "AKIDEXAMPLE".into(),
            access_key_secret: "SecretExample0123456789".into(),
            security_token: token.map(Secret::from),
        }
    }

    fn request(method: Method, query: &[(&str, &str)], headers: &[(&str, &str)]) -> Request {
        let target = Target {
            endpoint: "http://127.0.0.1:9000".into(),
            bucket: "demo-bkt".into(),
            key: "sv/a b.mp4".into(),
        };
        let mut request = Request::to(method, &target, Style::Auto).unwrap();
        request.query = pairs(query);
        request.headers = pairs(headers);
        request
    }

    fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
        list.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect()
    }

    /// String to sign and signature of `request` with this date line.
    fn signed(request: &Request, date: &str) -> (String, String) {
        let text = string_to_sign_v1(
            request.method.as_str(),
            &request.headers,
            &request.query,
            date,
            "demo-bkt",
            "sv/a b.mp4",
        );
        let signature = signature_v1(&"SecretExample0123456789".into(), &text);
        (text, signature)
    }

    fn verifies(request: &Request, bucket: &str, key: &str) -> bool {
        let presented = Presented::of(&request.headers, &request.query).unwrap().unwrap();
        let secret = "SecretExample0123456789".into();
        let method = request.method.as_str();
        presented.verify(&secret, method, &request.headers, &request.query, bucket, key)
    }

    #[test]
    fn vector_of_a_part() {
        let request = request(
            Method::Put,
            &[("uploadId", "0004B9895DBBB6EC98E36"), ("max-parts", "7"), ("partNumber", "1")],
            &[("x-oss-security-token", " TOKEN+/= "), ("content-type", "video/mp4"), ("host", "h")],
        );
        let (text, signature) = signed(&request, DATE);
        assert_eq!(
            text,
            "PUT\n\nvideo/mp4\nFri, 20 Nov 2026 10:00:00 GMT\nx-oss-security-token:TOKEN+/=\n\
             /demo-bkt/sv/a b.mp4?partNumber=1&uploadId=0004B9895DBBB6EC98E36"
        );
        assert_eq!(signature, "9ckCYlOa2bhSLUBXj3ul/Q/FP7U=");
    }

    #[test]
    fn vector_of_initiate() {
        let request = request(
            Method::Post,
            &[("uploads", "")],
            &[("content-type", "application/octet-stream")],
        );
        let (text, signature) = signed(&request, DATE);
        assert_eq!(
            text,
            "POST\n\napplication/octet-stream\nFri, 20 Nov 2026 10:00:00 GMT\n/demo-bkt/sv/a b.mp4?uploads"
        );
        assert_eq!(signature, "+blUKYwbUNJ5ltwPH7xI8LqSuhE=");
    }

    #[test]
    fn vector_of_a_url() {
        let mut request = request(Method::Get, &[("response-content-type", "text/plain")], &[]);
        let credential = credential(Some("TOKEN+/="));
        for _ in 0..2 {
            presign_v1(&mut request, "demo-bkt", "sv/a b.mp4", &credential, 1_795_170_000);
        }
        assert_eq!(
            request.url(),
            "http://127.0.0.1:9000/demo-bkt/sv/a%20b.mp4?response-content-type=text%2Fplain\
             &security-token=TOKEN%2B%2F%3D&OSSAccessKeyId=AKIDEXAMPLE&Expires=1795170000\
             &Signature=k2SVZvDe2SJeakrWwCKEVhZtnpU%3D"
        );
        assert!(verifies(&request, "demo-bkt", "sv/a b.mp4"));
    }

    #[test]
    fn signing_again_replaces() {
        let mut request =
            request(Method::Put, &[], &[("content-type", "video/mp4"), ("date", "x")]);
        sign_v1(&mut request, "demo-bkt", "k", &credential(Some("OLD")), 0);
        sign_v1(&mut request, "demo-bkt", "k", &credential(None), AT);
        let names: Vec<_> = request.headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["content-type", "x-oss-date", "authorization"]);
        assert_eq!(request.header("x-oss-date"), Some(DATE));
        assert!(verifies(&request, "demo-bkt", "k"));
    }

    #[test]
    fn any_change_breaks_the_mac() {
        let mut good = request(Method::Put, &[("partNumber", "1")], &[("content-type", "a/b")]);
        sign_v1(&mut good, "demo-bkt", "k", &credential(Some("TOKEN")), AT);
        assert!(verifies(&good, "demo-bkt", "k"));
        assert!(!verifies(&good, "demo-bkt", "K"));
        assert!(!verifies(&good, "demo-bkx", "k"));
        let broken = |change: fn(&mut Request)| {
            let mut request = good.clone();
            change(&mut request);
            !verifies(&request, "demo-bkt", "k")
        };
        assert!(broken(|r| r.method = Method::Get));
        assert!(broken(|r| r.query[0].1 = "2".into()));
        assert!(broken(|r| r.query.push(("acl".into(), "".into()))));
        assert!(broken(|r| r.query.push(("callback".into(), "e30=".into()))));
        assert!(broken(|r| r.query.push(("callback-var".into(), "e30=".into()))));
        assert!(broken(|r| r.set_header("content-type", "a/c")));
        assert!(broken(|r| r.set_header("content-md5", "x")));
        assert!(broken(|r| r.set_header("x-oss-security-token", "OTHER")));
        assert!(broken(|r| r.set_header("x-oss-meta-a", "")));
        assert!(broken(|r| r.set_header("x-oss-date", "Fri, 20 Nov 2026 10:00:01 GMT")));
        assert!(broken(|r| r.set_header("authorization", "OSS AKIDEXAMPLE:AAAA")));
        assert!(broken(|r| r.set_header("authorization", "OSS AKIDEXAMPLE:not base64")));
        assert!(!broken(|r| r.query.push(("max-parts".into(), "7".into()))));
    }

    #[test]
    fn parameters_that_some_clients_do_not_sign() {
        let unsigned = |mut request: Request| {
            request.query.push(("continuation-token".into(), "x".into()));
            verifies(&request, "demo-bkt", "")
        };
        let mut by_header = request(Method::Get, &[], &[]);
        sign_v1(&mut by_header, "demo-bkt", "", &credential(None), AT);
        assert!(unsigned(by_header));
        let mut by_url = request(Method::Get, &[], &[]);
        presign_v1(&mut by_url, "demo-bkt", "", &credential(None), 1);
        assert!(!unsigned(by_url), "nothing may be glued onto a URL");
    }

    #[test]
    fn headers_and_parameters_are_sorted() {
        let request = request(
            Method::Get,
            &[("callback-var", "v"), ("callback", "c"), ("uploadId", "1")],
            &[("x-oss-b", "2"), ("x-oss-notification", ""), ("x-oss-a", "1"), ("x-ossx", "no")],
        );
        assert_eq!(
            signed(&request, DATE).0,
            "GET\n\n\nFri, 20 Nov 2026 10:00:00 GMT\nx-oss-a:1\nx-oss-b:2\nx-oss-notification:\n\
             /demo-bkt/sv/a b.mp4?callback=c&callback-var=v&uploadId=1"
        );
        let service = string_to_sign_v1("GET", &[], &[], DATE, "", "");
        assert!(service.ends_with("GMT\n/"));
    }

    #[test]
    fn a_long_secret_is_hashed_first() {
        // RFC 2202 has long keys too, but of bytes that no text can hold.
        let long = "k".repeat(65);
        let hashed = Sha1::digest(long.as_bytes());
        let mut by_hand = [0; 64];
        by_hand[..20].copy_from_slice(&hashed);
        let mut mac = Hmac::<Sha1>::new(&by_hand.into());
        mac.update(b"text");
        let expected = base64(&mac.finalize().into_bytes());
        assert_eq!(signature_v1(&Secret::new(long), "text"), expected);
        // RFC 2202, test case 2.
        assert_eq!(
            signature_v1(&"Jefe".into(), "what do ya want for nothing?"),
            "7/zfauXrL6LSdBbV8YTfnCWafHk="
        );
    }

    proptest! {
        #[test]
        fn what_is_signed_verifies(
            key in any::<String>(),
            query in proptest::collection::vec(("[a-zA-Z-]{1,12}|uploads|uploadId|callback", any::<String>()), 0..5),
            headers in proptest::collection::vec(("(x-oss-)?[a-z-]{1,9}", "[ -~]*"), 0..5),
            token in proptest::option::of("[ -~]+"),
            at in 0..253_402_300_799_999i64,
        ) {
            let mut request = request(Method::Put, &[], &[]);
            request.query = query;
            request.headers = headers;
            let credential = credential(token.as_deref());
            let mut url = request.clone();
            sign_v1(&mut request, "demo-bkt", &key, &credential, at);
            prop_assert!(verifies(&request, "demo-bkt", &key));
            presign_v1(&mut url, "demo-bkt", &key, &credential, at as u64);
            // Through the wire: the query is encoded and decoded again.
            let target = url.target();
            url.query = decode_query(target.split_once('?').unwrap().1).unwrap();
            prop_assert!(verifies(&url, "demo-bkt", &key));
        }
    }
}
