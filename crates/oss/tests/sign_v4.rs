//! V4 signatures through the wire and back: what is signed verifies, and nothing that is signed can be changed.

use proptest::prelude::*;
use proptest::sample::Index;
use vodferry_oss::encode::decode_query;
use vodferry_oss::sign::{
    OptionsV4, Presented, PresentedError, Region, Scope, canonical_request_v4, presign_v4, sign_v4,
    signature_v4, string_to_sign_v4,
};
use vodferry_oss::{Code, Credential, Method, Request, Secret, ServiceError, Style, Target};

const AT: i64 = 1_795_168_800_000;
const BUCKET: &str = "demo-bkt";
const SECRET: &str = "SecretExample0123456789";
const REGION: &str = "cn-hangzhou";
/// What the keys of the field hold: Chinese, emoji, percent and plus signs, doubled slashes, dots.
const KEY: &str = "([a-z]|测|🎬|%|%2F|\\+|//|\\.|\\.\\./| |[&=?#;,:~\"'*])([a-z/]|测|🎬|%|%2F|\\+|//|\\.|\\.\\./| |[&=?#;,:~\"'*]){0,12}";

fn options(additional_headers: &'static [&'static str]) -> OptionsV4<'static> {
    OptionsV4 { region: REGION, additional_headers }
}

fn credential(token: Option<&str>) -> Credential {
    Credential {
        access_key_id: "AKIDEXAMPLE".into(),
        access_key_secret: SECRET.into(),
        security_token: token.map(Secret::from),
    }
}

fn request(query: Vec<(String, String)>, headers: Vec<(String, String)>) -> Request {
    let endpoint = "http://oss.example.com".into();
    let target = Target { endpoint, bucket: BUCKET.into(), key: "k".into() };
    let mut request = Request::to(Method::Put, &target, Style::Auto).unwrap();
    request.query = query;
    request.headers = headers;
    request
}

/// A request as the server has it, with everything that its signature covers.
#[derive(Clone, Debug, PartialEq)]
struct Received {
    method: String,
    headers: Vec<(String, String)>,
    query: Vec<(String, String)>,
    bucket: String,
    key: String,
}

impl Received {
    fn new(request: &Request, key: &str) -> Received {
        let target = request.target();
        let mut headers = request.headers.clone();
        headers.push(("host".into(), request.authority.clone()));
        Received {
            method: request.method.as_str().into(),
            headers,
            query: decode_query(target.split_once('?').map_or("", |(_, query)| query)).unwrap(),
            bucket: BUCKET.into(),
            key: key.into(),
        }
    }

    /// Reads and checks it at `now_ms` as a server does.
    fn check(&self, now_ms: i64) -> Result<(), ServiceError> {
        let Received { method, headers, query, bucket, key } = self;
        let presented =
            Presented::of(headers, query)?.ok_or(ServiceError::of(Code::AccessDenied))?;
        if presented.access_key_id != "AKIDEXAMPLE" {
            return Err(ServiceError::of(Code::InvalidAccessKeyId));
        }
        presented.check_time(now_ms)?;
        presented.check_region(Region::Only(REGION))?;
        if !presented.verify(&SECRET.into(), method, headers, query, bucket, key) {
            return Err(presented.mismatch(method, headers, query, bucket, key));
        }
        Ok(())
    }

    /// The texts that the signature covers, and the signature itself.
    fn covered(&mut self, additional: &[&str]) -> Vec<&mut String> {
        let signed = |name: &String| {
            let name = name.as_str();
            matches!(name, "content-type" | "content-md5" | "authorization")
                || name.starts_with("x-oss-")
                || additional.contains(&name)
        };
        let headers = self.headers.iter_mut().filter(|(name, _)| signed(name));
        let query = self.query.iter_mut().flat_map(|(name, value)| [name, value]);
        headers
            .map(|(_, value)| value)
            .chain(query)
            .chain([&mut self.method, &mut self.bucket, &mut self.key])
            .collect()
    }
}

/// Replaces the character at `at` (modulo the length) by `by`, or inserts it into an empty text. Whether that changed
/// more than the blanks around the text, which are not signed.
fn tamper(text: &mut String, at: Index, by: char) -> bool {
    let before = text.trim().to_string();
    let mut chars: Vec<char> = text.chars().collect();
    if chars.is_empty() {
        chars.push(by);
    } else {
        let index = at.index(chars.len());
        chars[index] = by;
    }
    *text = chars.into_iter().collect();
    text.trim() != before
}

fn queries() -> impl Strategy<Value = Vec<(String, String)>> {
    let name = "[a-wyzA-Z-]{1,9}|uploads|uploadId|prefix|acl|测|a b\\+";
    proptest::collection::vec((name, "|[ -~]{1,9}|测🎬|%2B\\+"), 0..5)
}

fn headers() -> impl Strategy<Value = Vec<(String, String)>> {
    proptest::collection::vec(
        ("x-oss-meta-[a-z]{1,5}|range|content-type|content-md5", "[ -~]{0,9}"),
        0..5,
    )
}

proptest! {
    #[test]
    fn what_is_signed_verifies(
        key in KEY,
        query in queries(),
        headers in headers(),
        token in proptest::option::of("[!-~]{1,30}"),
        at in 0..253_402_300_799_000i64,
        lifetime_s in 1..=604_800u32,
        additional in any::<bool>(),
    ) {
        let credential = credential(token.as_deref());
        let options = options(if additional { &["host", "range"] } else { &[] });
        let mut by_header = request(query, headers);
        let mut by_url = by_header.clone();
        sign_v4(&mut by_header, BUCKET, &key, &credential, options, at);
        prop_assert_eq!(Received::new(&by_header, &key).check(at), Ok(()));
        presign_v4(&mut by_url, BUCKET, &key, &credential, options, at, lifetime_s);
        let last = at + i64::from(lifetime_s) * 1_000;
        let received = Received::new(&by_url, &key);
        prop_assert_eq!(received.check(last), Ok(()));
        let dead = received.check(last + 1_000).unwrap_err();
        prop_assert_eq!(dead.message, "Request has expired.");
        let presented = Presented::of(&received.headers, &received.query).unwrap().unwrap();
        prop_assert_eq!(presented.security_token.as_ref().map(Secret::expose), token.as_deref());
    }

    #[test]
    fn no_signed_character_can_be_changed(
        key in KEY,
        query in queries(),
        headers in headers(),
        url in any::<bool>(),
        which in any::<Index>(),
        at in any::<Index>(),
        by in "[ -~]|测",
    ) {
        let mut request = request(query, headers);
        let options = options(&["host", "range"]);
        let credential = credential(Some("TOKEN"));
        if url {
            presign_v4(&mut request, BUCKET, &key, &credential, options, AT, 60);
        } else {
            sign_v4(&mut request, BUCKET, &key, &credential, options, AT);
        }
        let good = Received::new(&request, &key);
        prop_assert_eq!(good.check(AT), Ok(()));
        let mut bad = good.clone();
        let mut covered = bad.covered(&["host", "range"]);
        let index = which.index(covered.len());
        let changed = tamper(covered[index], at, by.chars().next().unwrap());
        prop_assume!(changed && !same_claim(&good, &bad));
        prop_assert!(bad.check(AT).is_err(), "{:?}\n{:?}", good, bad);
    }

    #[test]
    fn a_header_or_parameter_more_is_refused(
        query in queries(),
        name in "[a-z]{1,8}",
        value in "[a-z0-9]{1,8}",
        url in any::<bool>(),
    ) {
        let mut request = request(query, vec![]);
        if url {
            presign_v4(&mut request, BUCKET, "k", &credential(None), options(&[]), AT, 60);
        } else {
            sign_v4(&mut request, BUCKET, "k", &credential(None), options(&[]), AT);
        }
        let good = Received::new(&request, "k");
        let mut more = good.clone();
        more.query.push((name.clone(), value.clone()));
        prop_assert_eq!(more.check(AT).unwrap_err().code, "SignatureDoesNotMatch");
        let mut more = good.clone();
        more.headers.push((format!("x-oss-{name}"), value.clone()));
        prop_assert!(more.check(AT).is_err());
        let mut more = good;
        more.headers.push((name, value));
        prop_assert_eq!(more.check(AT), Ok(()), "what is not signed may be added");
    }

    #[test]
    fn odd_authorization_headers_are_documented_errors(
        text in "(OSS4-HMAC-SHA256|OSS2?|Basic|) ?((Credential|Signature|AdditionalHeaders|x)[=:]?[a-zA-Z0-9/;=测 ]{0,40}[,;]? ?){0,5}|\\PC{0,40}",
        date in "20261120T100000Z|Fri, 20 Nov 2026 10:00:00 GMT|\\PC{0,20}",
    ) {
        let headers = [("authorization".to_string(), text), ("x-oss-date".to_string(), date)];
        match Presented::of(&headers, &[]) {
            Err(error) => {
                let v2 = error == PresentedError::Version;
                let answer = ServiceError::from(error);
                let code = if v2 { "NotImplemented" } else { "InvalidArgument" };
                prop_assert_eq!((answer.status, answer.code.as_str()), (400, code));
            }
            Ok(None) => prop_assert!(false, "a signed request is not anonymous"),
            Ok(Some(presented)) => {
                let _ = presented.check_time(AT);
                let _ = presented.check_region(Region::Only(REGION));
                prop_assert!(!presented.verify(&SECRET.into(), "GET", &headers, &[], BUCKET, "k"));
                let refusal = presented.mismatch("GET", &headers, &[], BUCKET, "k");
                prop_assert_eq!(refusal.status, 403);
            }
        }
    }

    #[test]
    fn odd_presigned_queries_never_panic(
        pairs in proptest::collection::vec(
            (
                "x-oss-(signature-version|credential|date|expires|signature|additional-headers|security-token)|Expires",
                "OSS4-HMAC-SHA256|AKIDEXAMPLE/20261120/cn-hangzhou/oss/aliyun_v4_request|20261120T100000Z|[0-9]{1,20}|\\PC{0,20}",
            ),
            0..8,
        ),
    ) {
        match Presented::of(&[], &pairs) {
            Err(error) => prop_assert!(matches!(ServiceError::from(error).status, 400 | 403)),
            Ok(None) => {}
            Ok(Some(presented)) => {
                let _ = presented.check_time(AT);
                prop_assert!(!presented.verify(&SECRET.into(), "GET", &[], &pairs, BUCKET, "k"));
            }
        }
    }
}

/// Whether two requests claim and mean the same: the fields of a header have blanks that mean nothing, and the names
/// of additional headers have no case.
fn same_claim(one: &Received, other: &Received) -> bool {
    let read =
        |received: &Received| Presented::of(&received.headers, &received.query).ok().flatten();
    let without = |received: &Received| {
        let mut received = received.clone();
        received.headers.retain(|(name, _)| name != "authorization");
        received
    };
    read(one) == read(other) && without(one) == without(other)
}

/// One good request, and for each thing signed of it one change with the answer that it gets.
#[test]
fn each_change_has_its_answer() {
    let mut request = request(
        vec![("partNumber".into(), "7".into()), ("uploadId".into(), "0004".into())],
        vec![("content-type".into(), "video/mp4".into()), ("range".into(), "bytes=0-1".into())],
    );
    let options = options(&["host", "range"]);
    sign_v4(&mut request, BUCKET, "sv/测.mp4", &credential(Some("TOKEN")), options, AT);
    let good = Received::new(&request, "sv/测.mp4");
    assert_eq!(good.check(AT), Ok(()));
    type Change = fn(&mut Received);
    fn set(received: &mut Received, name: &str, from: &str, to: &str) {
        let header = received.headers.iter_mut().find(|(n, _)| n == name).unwrap();
        assert!(header.1.contains(from), "{} has no {from}", header.1);
        header.1 = header.1.replacen(from, to, 1);
    }
    let changes: &[(Change, &str)] = &[
        (|r| r.method = "GET".into(), "SignatureDoesNotMatch"),
        (|r| r.bucket = "demo-bkx".into(), "SignatureDoesNotMatch"),
        (|r| r.key = "sv/測.mp4".into(), "SignatureDoesNotMatch"),
        (|r| r.key.push('/'), "SignatureDoesNotMatch"),
        (|r| r.query[0].1 = "8".into(), "SignatureDoesNotMatch"),
        (|r| drop(r.query.remove(1)), "SignatureDoesNotMatch"),
        (|r| set(r, "content-type", "mp4", "mp5"), "SignatureDoesNotMatch"),
        (|r| set(r, "range", "0-1", "0-2"), "SignatureDoesNotMatch"),
        (|r| set(r, "host", "demo", "demi"), "SignatureDoesNotMatch"),
        (|r| set(r, "x-oss-security-token", "TOKEN", "TOKEM"), "SignatureDoesNotMatch"),
        (|r| set(r, "x-oss-date", "100000", "100001"), "SignatureDoesNotMatch"),
        (|r| set(r, "x-oss-date", "20261120T1", "20261119T1"), "InvalidArgument"),
        (|r| set(r, "x-oss-date", "T10", "T11"), "RequestTimeTooSkewed"),
        (|r| set(r, "x-oss-date", "T10", "T99"), "AccessDenied"),
        (|r| set(r, "x-oss-content-sha256", "UNSIGNED", "unsigned"), "SignatureDoesNotMatch"),
        (|r| set(r, "authorization", "AKID", "AKIE"), "InvalidAccessKeyId"),
        (|r| set(r, "authorization", "/20261120/", "/20261121/"), "InvalidArgument"),
        (|r| set(r, "authorization", "cn-hangzhou", "cn-shanghai"), "InvalidArgument"),
        (|r| set(r, "authorization", "/oss/", "/ots/"), "InvalidArgument"),
        (|r| set(r, "authorization", "host;range", "host"), "SignatureDoesNotMatch"),
        (|r| set(r, "authorization", "Signature=", "Signature=0"), "SignatureDoesNotMatch"),
    ];
    for (index, (change, code)) in changes.iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        assert_ne!(bad, good, "change {index}");
        assert_eq!(bad.check(AT).unwrap_err().code, *code, "change {index}");
    }
}

/// What each client of the field sends, in its own spelling.
#[test]
fn authorization_headers_of_the_field() {
    let date = ("x-oss-date".to_string(), "20261120T100000Z".to_string());
    let unsigned = ("x-oss-content-sha256".to_string(), "UNSIGNED-PAYLOAD".to_string());
    let host = ("host".to_string(), "h".to_string());
    let headers = vec![date, unsigned, host];
    let scope = Scope { date: "20261120".into(), region: REGION.into() };
    let canonical = canonical_request_v4("PUT", &headers, &[], &["host".into()], BUCKET, "k");
    let text = string_to_sign_v4("20261120T100000Z", &scope, &canonical);
    let signature = signature_v4(&SECRET.into(), &scope, &text);
    let credential = "Credential=AKIDEXAMPLE/20261120/cn-hangzhou/oss/aliyun_v4_request";
    for value in [
        format!("{credential},AdditionalHeaders=host,Signature={signature}"),
        format!("{credential}, Signature={signature}, AdditionalHeaders=host"),
        format!("AdditionalHeaders=host,Signature={signature},{credential}"),
    ] {
        let mut headers = headers.clone();
        headers.push(("authorization".into(), format!("OSS4-HMAC-SHA256 {value}")));
        let presented = Presented::of(&headers, &[]).unwrap().unwrap();
        assert!(presented.verify(&SECRET.into(), "PUT", &headers, &[], BUCKET, "k"), "{value}");
    }
}
