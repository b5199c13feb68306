//! Requests that come through a proxy: whose word is taken for who asked, and what follows from it.

use serde_json::Value;
use vodferry_oss::{Method, Response};

use crate::observe::lines;
use crate::sts_assume::assume;
use crate::support::{BUCKET, Build, Server, Upload, element, exchange, refused, text};

const OFFICE: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:*","Resource":"*",
    "Condition":{"IpAddress":{"acs:SourceIp":"192.0.2.0/24"}}}]}"#;
const SECURE: &str = r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"oss:*","Resource":"*",
    "Condition":{"Bool":{"acs:SecureTransport":"true"}}}]}"#;

/// The tests' own connections come from the proxy.
async fn behind_a_proxy() -> Server {
    Server::with(|config| config.trusted_proxies = vec!["127.0.0.1".into(), "10.0.0.0/8".into()])
        .await
}

/// What becomes of an upload that `policy` allows, with these headers.
async fn put(server: &Server, policy: &str, headers: &[(&str, &str)]) -> Response {
    let who = assume(server, Some(policy)).await;
    let mut request = server.request(Method::Put, "k").body(b"x");
    for (name, value) in headers {
        request = request.with(name, value);
    }
    server.send_as(&who, "k", request).await
}

#[tokio::test]
async fn a_condition_on_the_address_means_the_client_behind_the_proxy() {
    let server = behind_a_proxy().await;
    for (forwarded, may) in [
        ("192.0.2.7", true),
        ("192.0.2.7, 10.0.0.2", true),
        ("::ffff:192.0.2.7", true),
        ("198.51.100.1", false),
        // Written by the client in front of what the proxy wrote.
        ("192.0.2.7, 198.51.100.1", false),
        ("192.0.2.7, 198.51.100.1, 10.0.0.2", false),
        ("192.0.2.7, nonsense", false),
        ("nonsense", false),
    ] {
        let response = put(&server, OFFICE, &[("x-forwarded-for", forwarded)]).await;
        assert_eq!(response.status == 200, may, "{forwarded}: {}", text(&response));
    }
    let forwarded = "for=198.51.100.1, for=\"192.0.2.7:4711\";proto=https";
    assert_eq!(put(&server, OFFICE, &[("forwarded", forwarded)]).await.status, 200);
    assert_eq!(put(&server, SECURE, &[("forwarded", forwarded)]).await.status, 200);
    let both = [("forwarded", "for=192.0.2.7"), ("x-forwarded-for", "198.51.100.1")];
    assert_eq!(refused(&put(&server, OFFICE, &both).await, 400), "InvalidRequest");
    assert_eq!(refused(&put(&server, OFFICE, &[]).await, 403), "AccessDenied");
}

#[tokio::test]
async fn whether_it_was_encrypted_is_the_word_of_the_proxy() {
    let server = behind_a_proxy().await;
    for (proto, may) in [("https", true), ("http", false), ("https, http", false)] {
        let headers = [("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", proto)];
        let response = put(&server, SECURE, &headers).await;
        assert_eq!(response.status == 200, may, "{proto}: {}", text(&response));
    }
    // URLs in replies say so, as nobody said which address clients know this server by.
    let upload = Upload::begin(&server, server.operator(), "film").await;
    let etag = upload.part(1, b"film").await;
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = upload.request(Method::Post).body(list.as_bytes());
    let response = upload.send(complete.with("x-forwarded-proto", "https")).await;
    let location = element(&response, "Location");
    assert_eq!(location, format!("https://{}/{BUCKET}/film", server.addr()));
}

#[tokio::test]
async fn a_program_behind_a_proxy_is_not_one_on_this_machine() {
    let server = behind_a_proxy().await;
    let body = r#"{"FileName":"film.mp4"}"#;
    for header in [
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: https",
        "Forwarded: for=127.0.0.1",
        "X-A: b",
    ] {
        let head = format!(
            "POST /api/upload-auth/create HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n{header}\r\nConnection: close\r\n\r\n{body}",
            body.len()
        );
        let response = exchange(server.addr(), Method::Post, head.as_bytes()).await;
        assert_eq!(response.status, 401, "{header}: {}", text(&response));
    }
}

#[tokio::test]
async fn the_access_log_tells_client_and_proxy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let server = Server::with(|config| {
        config.access_log = Some(path.clone());
        config.trusted_proxies = vec!["127.0.0.0/8".into()];
    })
    .await;
    let request = server.request(Method::Get, "k").with("x-forwarded-for", "1.1.1.1, 2001:db8::7");
    server.send("k", request.with("x-forwarded-proto", "https")).await;
    server.get("k").await;
    let seen: Vec<Value> = lines(&path, 2).await;
    assert_eq!((&seen[0]["remote"], &seen[0]["tls"]), (&"2001:db8::7".into(), &true.into()));
    assert_eq!(seen[0]["via"], "127.0.0.1");
    assert_eq!((&seen[1]["remote"], &seen[1]["tls"]), (&"127.0.0.1".into(), &false.into()));
}
