//! Keys are bytes, not file names.

use vodferry_oss::encode::encode_component;
use vodferry_oss::sign::sign_v1;
use vodferry_oss::{Method, Style, Target};

use crate::support::{BUCKET, Build, Server, Upload, now_ms, refused, text};

const AWKWARD: &[&str] = &[
    "plain",
    "with space and  two",
    "percent%20sign%",
    "plus+and=equals&more?question#hash",
    "测试/影片.mp4",
    "🎬/🚢.mp4",
    "a//b",
    "a/../../../../etc/passwd",
    "..",
    ".",
    "./a/.",
    "trailing/",
    "quote\"'<&>",
    "tab\tand\u{1}control",
    "back\\slash",
    "~!$*'();:@,[]",
];

#[tokio::test]
async fn every_key_is_its_own_object() {
    let server = Server::start().await;
    for (n, key) in AWKWARD.iter().enumerate() {
        let put = server.put(key, format!("object {n}").as_bytes()).await;
        assert_eq!(put.status, 200, "{key}: {}", text(&put));
    }
    for (n, key) in AWKWARD.iter().enumerate() {
        assert_eq!(server.get(key).await.body, format!("object {n}").as_bytes(), "{key}");
    }
    let server_folder = std::fs::read_dir(server.folder.path()).unwrap();
    let names: Vec<_> = server_folder.map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| name != "etc" && name != "a"), "{names:?}");
}

#[tokio::test]
async fn every_key_can_be_uploaded_in_parts() {
    let server = Server::start().await;
    // XML cannot carry control characters: see below for how these are asked for.
    for key in AWKWARD.iter().filter(|key| !key.contains('\u{1}')) {
        let upload = Upload::begin(&server, server.operator(), key).await;
        let etag = upload.part(1, key.as_bytes()).await;
        assert_eq!(upload.list().await.key, *key);
        let done = upload.complete(&[(1, &etag)]).await;
        assert_eq!(done.status, 200, "{key}: {}", text(&done));
        assert_eq!(server.get(key).await.body, key.as_bytes());
    }
}

#[tokio::test]
async fn names_come_percent_encoded_when_asked_for() {
    let server = Server::start().await;
    let request =
        server.request(Method::Post, "a b\u{1}").query("uploads", "").query("encoding-type", "url");
    let response = server.send("a b\u{1}", request).await;
    let body = String::from_utf8(response.body).unwrap();
    assert!(body.contains("<Key>a%20b%01</Key>"), "{body}");
    assert!(body.contains("<EncodingType>url</EncodingType>"), "{body}");
    let request =
        server.request(Method::Post, "k").query("uploads", "").query("encoding-type", "x");
    assert_eq!(refused(&server.send("k", request).await, 400), "InvalidArgument");
}

#[tokio::test]
async fn a_slash_may_come_encoded() {
    let server = Server::start().await;
    let mut request = server.request(Method::Put, "a/b c").body(b"x");
    request.path = format!("/{BUCKET}/{}", encode_component("a/b c"));
    assert!(request.path.contains("a%2Fb%20c"));
    assert_eq!(server.send("a/b c", request).await.status, 200);
    assert_eq!(server.get("a/b c").await.body, b"x");
}

#[tokio::test]
async fn illegal_keys_are_refused() {
    let server = Server::start().await;
    for key in ["/leading", "\\leading", "x".repeat(1024).as_str()] {
        let mut request = server.request(Method::Put, "").body(b"x");
        request.path = format!("/{BUCKET}/{}", encode_component(key));
        assert_eq!(refused(&server.send(key, request).await, 400), "InvalidObjectName", "{key}");
    }
    assert_eq!(server.put(&"x".repeat(1023), b"x").await.status, 200);
    for path in ["/vod-media/%ff", "/vod-media/%zz", "/vod-media/%"] {
        let mut request = server.request(Method::Put, "").body(b"x");
        request.path = path.into();
        assert_eq!(refused(&server.send("?", request).await, 400), "InvalidObjectName", "{path}");
    }
}

#[tokio::test]
async fn an_unknown_bucket_is_told_before_the_key() {
    let server = Server::start().await;
    let target = Target { bucket: "nowhere".into(), ..server.target("k") };
    for method in [Method::Get, Method::Put, Method::Head, Method::Delete] {
        let mut request = vodferry_oss::Request::to(method, &target, Style::Auto).unwrap();
        sign_v1(&mut request, "nowhere", "k", &server.operator(), now_ms());
        assert_eq!(refused(&server.send_raw(&request).await, 404), "NoSuchBucket");
    }
}
