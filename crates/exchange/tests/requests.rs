//! Operations to requests: one test per operation, and the server's own verifier over any of them.

mod common;

use common::{AT, ID, SECRET, authority, part, plain, upload_part};
use proptest::prelude::*;
use vodferry_engine::{ErrorKind, FaultKind, Op};
use vodferry_exchange::{Digests, Object, Signature, request, request_for};
use vodferry_oss::address::candidates;
use vodferry_oss::encode::{decode_path, decode_query};
use vodferry_oss::sign::{Presented, Region};
use vodferry_oss::{Request, Secret, Style};

fn made(op: &Op) -> Request {
    request(op, &plain(), &Digests::default(), &[], AT).unwrap()
}

fn line(request: &Request) -> String {
    format!("{} {}", request.method.as_str(), request.url())
}

const OBJECT: &str = "http://127.0.0.1:9000/demo-bkt/sv/a%20b.mp4";

#[test]
fn abort() {
    let request = made(&Op::AbortMultipartUpload { upload_id: ID.into() });
    assert_eq!(line(&request), format!("DELETE {OBJECT}?uploadId={ID}"));
}

#[test]
fn complete() {
    let parts = vec![part(1, 102_400, None), part(2, 10, None)];
    let request = made(&Op::CompleteMultipartUpload { upload_id: ID.into(), parts });
    assert_eq!(line(&request), format!("POST {OBJECT}?uploadId={ID}"));
    assert_eq!(request.header("content-type"), Some("application/xml"));
    let body = vodferry_oss::xml::CompleteMultipartUpload::decode(&request.body).unwrap();
    let parts: Vec<_> = body.parts.iter().map(|p| (p.number, p.etag.as_str())).collect();
    assert_eq!(parts, [(1, "ETAG"), (2, "ETAG")]);
}

#[test]
fn head() {
    let request = made(&Op::HeadObject { length: 0, parts: vec![] });
    assert_eq!(line(&request), format!("HEAD {OBJECT}"));
}

#[test]
fn initiate_and_put_carry_the_headers_of_the_object() {
    let headers = [
        ("Content-Type".to_string(), "video/mp4".to_string()),
        ("x-oss-meta-a".into(), "é".into()),
    ];
    for (op, expected) in [
        (Op::InitiateMultipartUpload, format!("POST {OBJECT}?uploads")),
        (Op::PutObject { length: 5 }, format!("PUT {OBJECT}")),
    ] {
        let request = request(&op, &plain(), &Digests::default(), &headers, AT).unwrap();
        assert_eq!(line(&request), expected);
        assert_eq!(request.header("content-type"), Some("video/mp4"));
        assert_eq!(request.header("x-oss-meta-a"), Some("é"));
    }
    let part = request(&upload_part(), &plain(), &Digests::default(), &headers, AT).unwrap();
    assert_eq!(part.header("content-type"), None);
    assert_eq!(part.header("x-oss-meta-a"), None);
}

#[test]
fn list_parts() {
    let list = |marker| made(&Op::ListParts { upload_id: ID.into(), marker });
    assert_eq!(line(&list(0)), format!("GET {OBJECT}?uploadId={ID}&max-parts=1000"));
    assert_eq!(
        line(&list(1000)),
        format!("GET {OBJECT}?uploadId={ID}&max-parts=1000&part-number-marker=1000")
    );
}

#[test]
fn list_uploads_asks_the_bucket() {
    assert_eq!(
        line(&made(&Op::ListMultipartUploads)),
        "GET http://127.0.0.1:9000/demo-bkt/?uploads&prefix=sv%2Fa%20b.mp4&max-uploads=1000&encoding-type=url"
    );
}

#[test]
fn upload_part_carries_the_md5_and_the_published_signature_date() {
    let digests = Digests { length: 0, md5: Some(vodferry_oss::etag::md5(b"")), crc64: None };
    let request = request(&upload_part(), &plain(), &digests, &[], AT).unwrap();
    assert_eq!(line(&request), format!("PUT {OBJECT}?partNumber=7&uploadId={ID}"));
    assert_eq!(request.header("content-md5"), Some("1B2M2Y8AsgTpgAmY7PhCfg=="));
    assert_eq!(request.header("x-oss-date"), Some("Fri, 20 Nov 2026 10:00:00 GMT"));
    assert_eq!(request.header("x-oss-security-token"), Some("TOKEN+/="));
    assert!(request.body.is_empty());
}

#[test]
fn the_default_signature_is_the_first() {
    let sign = |signature: &Signature| {
        let digests = Digests::default();
        request_for(signature, &upload_part(), &plain(), &digests, &Object::default(), AT).unwrap()
    };
    assert_eq!(sign(&Signature::default()), made(&upload_part()));
    let newer = sign(&Signature::V4 { region: "cn-hangzhou".into() });
    assert_eq!(newer.url(), made(&upload_part()).url());
    assert_eq!(newer.header("x-oss-date"), Some("20261120T100000Z"));
    let value = newer.header("authorization").unwrap();
    let start = "OSS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261120/cn-hangzhou/oss/aliyun_v4_request,Signature=";
    assert!(value.starts_with(start), "{value}");
}

#[test]
fn the_style_is_the_authoritys() {
    let mut authority = authority("https://media.example.com", "k", None);
    for (style, url) in [
        (Style::Auto, "https://demo-bkt.media.example.com/k"),
        (Style::Cname, "https://media.example.com/k"),
        (Style::Path, "https://media.example.com/demo-bkt/k"),
    ] {
        authority.style = style;
        let op = Op::PutObject { length: 0 };
        assert_eq!(request(&op, &authority, &Digests::default(), &[], AT).unwrap().url(), url);
    }
}

#[test]
fn what_cannot_be_asked_is_misuse() {
    let refused = |authority, headers: &[(String, String)]| {
        let op = Op::PutObject { length: 0 };
        let fault = request(&op, &authority, &Digests::default(), headers, AT).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Fatal(ErrorKind::Misuse));
        assert!(!fault.message.contains(['\n', '\r']) && !fault.message.ends_with('.'));
        fault.message
    };
    let good = || authority("http://h.example", "k", None);
    assert!(
        refused(authority("ftp://h", "k", None), &[]).starts_with("putting k: the endpoint is not")
    );
    assert!(refused(authority("http://h.example", "", None), &[]).contains("key"));
    assert!(refused(authority("http://h.example", "/k", None), &[]).contains("key"));
    let mut bucket = good();
    bucket.target.bucket = "No".into();
    assert!(refused(bucket, &[]).contains("bucket"));
    for (name, value) in [
        ("authorization", "x"),
        ("Content-MD5", "x"),
        ("X-Oss-Date", "x"),
        ("x-oss-content-sha256", "x"),
        ("", "x"),
        ("a b", "x"),
        ("a:b", "x"),
        ("x-oss-meta-a", "one\r\nevil: two"),
    ] {
        assert!(refused(good(), &[(name.into(), value.into())]).contains("header"), "{name}");
    }
}

fn ops() -> impl Strategy<Value = Op> {
    let id = "[0-9A-F]{32}";
    prop_oneof![
        id.prop_map(|upload_id| Op::AbortMultipartUpload { upload_id }),
        (id, 0u32..5).prop_map(|(upload_id, count)| Op::CompleteMultipartUpload {
            upload_id,
            parts: (1..=count).map(|number| part(number, 1, None)).collect(),
        }),
        Just(Op::HeadObject { length: 0, parts: vec![] }),
        Just(Op::InitiateMultipartUpload),
        Just(Op::ListMultipartUploads),
        (id, 0u32..10_000).prop_map(|(upload_id, marker)| Op::ListParts { upload_id, marker }),
        any::<u64>().prop_map(|length| Op::PutObject { length }),
        (id, 1u32..10_000).prop_map(|(upload_id, number)| Op::UploadPart {
            upload_id,
            number,
            range: 0..1,
            held: None,
        }),
    ]
}

proptest! {
    #[test]
    fn the_server_verifies_whatever_is_asked(
        op in ops(),
        key in "[^/\\\\\\p{C}]\\PC{0,40}",
        token in proptest::option::of("[A-Za-z0-9+/=]{1,40}"),
        vhost in any::<bool>(),
        md5 in any::<Option<[u8; 16]>>(),
        at in 0i64..4_000_000_000_000,
        sequential in any::<bool>(),
        signature in prop_oneof![
            Just(Signature::V1),
            Just(Signature::V4 { region: "cn-hangzhou".into() }),
        ],
    ) {
        // These two no client can send.
        prop_assume!(key != "." && key != "..");
        let endpoint = if vhost { "https://oss.example.com" } else { "http://127.0.0.1:9000" };
        let authority = authority(endpoint, &key, token.as_deref());
        let digests = Digests { md5, ..Digests::default() };
        let headers = [("content-type".to_string(), "video/mp4".to_string()), ("x-oss-meta-a".into(), "b".into())];
        let callback = [("x-oss-callback".to_string(), "e30=".to_string())];
        let object = Object { headers: &headers, callback: &callback, sequential };
        let request =
            request_for(&signature, &op, &authority, &digests, &object, at).unwrap();

        let target = request.target();
        let (path, query) = target.split_once('?').unwrap_or((&target, ""));
        let (path, query) = (decode_path(path).unwrap(), decode_query(query).unwrap());
        let presented = Presented::of(&request.headers, &query).unwrap().unwrap();
        prop_assert_eq!(&presented.access_key_id, "AKIDEXAMPLE");
        prop_assert_eq!(presented.security_token.as_ref().map(Secret::expose), token.as_deref());
        prop_assert!(presented.check_time(at).is_ok());
        prop_assert!(presented.check_region(Region::Only("cn-hangzhou")).is_ok());
        prop_assert_eq!(presented.v4.is_some(), signature != Signature::V1);
        let bases = ["oss.example.com".to_string()];
        let verified = candidates(&request.authority, &path, &bases, &[]).into_iter().find(|(bucket, key)| {
            let secret = Secret::from(SECRET);
            presented.verify(&secret, request.method.as_str(), &request.headers, &query, bucket, key)
        });
        let of_bucket = matches!(op, Op::ListMultipartUploads);
        let expected = if of_bucket { String::new() } else { key };
        prop_assert_eq!(verified, Some(("demo-bkt".to_string(), expected)));
    }
}
