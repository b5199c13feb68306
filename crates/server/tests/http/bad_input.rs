//! Requests that no client should send, and connections that end too early.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vodferry_oss::sign::sign_v1;
use vodferry_oss::{Method, Request};

use crate::support::{
    BUCKET, Build, Server, Upload, exchange, files, now_ms, read_response, refused, text, wire,
};

fn signed(server: &Server, key: &str, mut request: Request) -> Request {
    sign_v1(&mut request, BUCKET, key, &server.operator(), now_ms());
    request
}

/// Waits until the server has cleaned up behind a connection that was cut.
async fn until_no_files(server: &Server) {
    for _ in 0..200 {
        if files(server) == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{} files are left", files(server));
}

#[tokio::test]
async fn garbage_gets_an_answer_or_a_closed_connection() {
    let server = Server::start().await;
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(200_000));
    let many = format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(1000));
    for (bytes, statuses) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], &[400][..]),
        (b"<html>hello</html>\r\n\r\n", &[400]),
        (b"GET / HTTP/9.9\r\n\r\n", &[400, 505]),
        (b"GET /\x01 HTTP/1.1\r\nHost: x\r\n\r\n", &[400]),
        (b"PUT /vod-media/k HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", &[400]),
        (b"PUT /vod-media/k HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", &[400]),
        (b"BREW /vod-media/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &[403, 405]),
        (b"GET * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &[400, 403]),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", &[400, 403, 405]),
        (b"GET / HTTP/1.0\r\n\r\n", &[403]),
        (b"GET /?a=%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", &[400]),
        (long.as_bytes(), &[414, 431]),
        (many.as_bytes(), &[431]),
    ] {
        let response = exchange(server.addr(), Method::Get, bytes).await;
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]);
        assert!(statuses.contains(&response.status), "{shown} {}", text(&response));
    }
    assert_eq!(server.put("k", b"alive").await.status, 200);
}

#[tokio::test]
async fn an_unknown_method_is_told_when_it_is_signed() {
    let server = Server::start().await;
    let now = vodferry_oss::time::format_http(now_ms());
    let who = server.operator();
    let to_sign = format!("PATCH\n\n\n{now}\n/{BUCKET}/k");
    let signature = vodferry_oss::sign::signature_v1(&who.access_key_secret, &to_sign);
    let head = format!(
        "PATCH /{BUCKET}/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\nDate: {now}\r\n\
         Authorization: OSS {}:{signature}\r\n\r\n",
        who.access_key_id
    );
    let response = exchange(server.addr(), Method::Put, head.as_bytes()).await;
    assert_eq!(refused(&response, 405), "MethodNotAllowed");
}

#[tokio::test]
async fn an_upload_needs_a_length() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    for request in
        [server.request(Method::Put, "k"), upload.request(Method::Put).query("partNumber", "1")]
    {
        let bytes = wire(&signed(&server, "k", request));
        let text = String::from_utf8(bytes).unwrap().replace("Content-Length: 0\r\n", "");
        let response = exchange(server.addr(), Method::Put, text.as_bytes()).await;
        assert_eq!(refused(&response, 411), "MissingContentLength");
    }
    assert_eq!(files(&server), 0);
}

#[tokio::test]
async fn more_than_five_gigabytes_are_refused_before_they_travel() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    for request in
        [server.request(Method::Put, "k"), upload.request(Method::Put).query("partNumber", "1")]
    {
        let request = request.with("content-length", "5368709121");
        let bytes = wire(&signed(&server, "k", request));
        let response = exchange(server.addr(), Method::Put, &bytes).await;
        assert_eq!(refused(&response, 400), "EntityTooLarge");
    }
    for (position, length) in [("0", "5368709121"), ("5368709000", "121"), ("5368709121", "0")] {
        let append = server.request(Method::Post, "log").query("append", "");
        let append = append.query("position", position).with("content-length", length);
        let bytes = wire(&signed(&server, "log", append));
        let response = exchange(server.addr(), Method::Post, &bytes).await;
        assert_eq!(refused(&response, 400), "EntityTooLarge", "{length} from {position} on");
    }
}

#[tokio::test]
async fn a_body_that_was_cut_leaves_nothing() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let half = vec![b'x'; 700_000];
    for request in [
        server.request(Method::Put, "k").with("content-length", "1400000").body(&half),
        server.request(Method::Put, "k").with("transfer-encoding", "chunked").body(b"10\r\nabc"),
        upload
            .request(Method::Put)
            .query("partNumber", "1")
            .with("content-length", "1400000")
            .body(&half),
    ] {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(&wire(&signed(&server, "k", request))).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(stream);
        until_no_files(&server).await;
    }
    assert_eq!(refused(&server.get("k").await, 404), "NoSuchKey");
    assert!(upload.list().await.parts.is_empty());
}

#[tokio::test]
async fn a_body_that_stands_still_is_given_up() {
    let server = Server::with(|config| config.limits.idle_body = Duration::from_millis(200)).await;
    let request = server.request(Method::Put, "k").with("content-length", "10").body(b"12345");
    let bytes = wire(&signed(&server, "k", request));
    let response = exchange(server.addr(), Method::Put, &bytes).await;
    assert_eq!(refused(&response, 400), "RequestTimeout");
    until_no_files(&server).await;
}

#[tokio::test]
async fn a_head_that_stands_still_is_given_up() {
    let server =
        Server::with(|config| config.limits.header_time = Duration::from_millis(200)).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost:").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn control_bodies_are_bounded() {
    let server = Server::with(|config| config.limits.control_body = 1000).await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let etag = upload.part(1, b"x").await;
    let list = format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
    // Nothing else is wrong with it.
    let long = |bytes: usize| {
        let list = format!("<CompleteMultipartUpload>{list}</CompleteMultipartUpload>");
        upload.request(Method::Post).body(format!("{list:<bytes$}").as_bytes())
    };
    let response = upload.send(long(1001)).await;
    assert_eq!(refused(&response, 400), "MalformedXML");
    assert!(text(&response).contains("longer than this server reads"), "{}", text(&response));
    assert_eq!(upload.send(long(1000)).await.status, 200);
}

#[tokio::test]
async fn a_refusal_is_readable_although_the_body_still_travels() {
    let server = Server::start().await;
    // More than the buffers of both ends hold.
    let body = vec![b'x'; 20 << 20];
    let mut request = server.request(Method::Put, "k").body(&body);
    sign_v1(&mut request, BUCKET, "another", &server.operator(), now_ms());
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&wire(&request)).await.unwrap();
    let response = read_response(&mut stream, false).await.unwrap();
    assert_eq!(refused(&response, 403), "SignatureDoesNotMatch");
}

#[tokio::test]
async fn a_careful_client_asks_before_it_sends() {
    let server = Server::start().await;
    let begin = async |key: &str| {
        let request = server
            .request(Method::Put, "k")
            .with("expect", "100-continue")
            .with("content-length", "4");
        let mut request = request;
        sign_v1(&mut request, BUCKET, key, &server.operator(), now_ms());
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(&wire(&request)).await.unwrap();
        let first = read_response(&mut stream, false).await.unwrap();
        (stream, first)
    };
    let (mut stream, first) = begin("k").await;
    assert_eq!(first.status, 100);
    stream.write_all(b"film").await.unwrap();
    assert_eq!(read_response(&mut stream, false).await.unwrap().status, 200);
    assert_eq!(server.get("k").await.body, b"film");
    let (_, first) = begin("another").await;
    assert_eq!(refused(&first, 403), "SignatureDoesNotMatch");
}

#[tokio::test]
async fn a_connection_serves_many_requests() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    for (method, body) in [
        (Method::Put, &b"one"[..]),
        (Method::Get, b""),
        // A client that sends a length with a GET and no body.
        (Method::Head, b""),
        (Method::Delete, b""),
        (Method::Get, b""),
        (Method::Put, b"two"),
    ] {
        let request = signed(&server, "k", server.request(method, "k").body(body));
        let bytes = String::from_utf8(wire(&request)).unwrap().replace("Connection: close\r\n", "");
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let response = read_response(&mut stream, method == Method::Head).await;
        assert!(response.is_some(), "{method:?}");
    }
    assert_eq!(server.get("k").await.body, b"two");
}

#[tokio::test]
async fn a_body_that_was_announced_with_a_get_is_not_waited_for() {
    let server = Server::start().await;
    server.put("k", b"film").await;
    let request = server.request(Method::Get, "k").with("content-length", "5");
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&wire(&signed(&server, "k", request))).await.unwrap();
    assert_eq!(read_response(&mut stream, false).await.unwrap().body, b"film");
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is kept for a body that never comes");
}

#[tokio::test]
async fn user_metadata_is_bounded() {
    let server = Server::start().await;
    let request = |length: usize| {
        server.request(Method::Put, "k").with("x-oss-meta-a", &"v".repeat(length)).body(b"x")
    };
    assert_eq!(refused(&server.send("k", request(8192)).await, 400), "InvalidArgument");
    assert_eq!(server.send("k", request(8191)).await.status, 200);
}

#[tokio::test]
async fn part_lists_have_bounds() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let etag = upload.part(1, b"x").await;
    let part = |n: u32| format!("<Part><PartNumber>{n}</PartNumber><ETag>{etag}</ETag></Part>");
    let list = |inner: &str| format!("<CompleteMultipartUpload>{inner}</CompleteMultipartUpload>");
    let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
    for body in [
        list(&deep),
        list(&(1..=10_001).map(part).collect::<String>()),
        list(&part(0)),
        list(&part(10_001)),
        // Nothing else is wrong with it.
        list(&format!("{}{}", part(1), " ".repeat(2 << 20))),
    ] {
        let response = upload.send(upload.request(Method::Post).body(body.as_bytes())).await;
        let code = refused(&response, 400);
        assert!(
            ["MalformedXML", "InvalidArgument", "InvalidPart"].contains(&code.as_str()),
            "{code}"
        );
    }
    assert_eq!(upload.complete(&[(1, &etag)]).await.status, 200, "the upload lives on");
}

#[tokio::test]
async fn a_target_may_be_a_whole_url() {
    let server = Server::start().await;
    server.put("k", b"film").await;
    let request = signed(&server, "k", server.request(Method::Get, "k"));
    let plain = String::from_utf8(wire(&request)).unwrap();
    for (target, status) in [
        (format!("http://{}/{BUCKET}/k", server.addr()), 200),
        // The bucket in the host of the target; the Host header says something else.
        (format!("http://{BUCKET}.localhost/k"), 200),
        (format!("HTTP://{BUCKET}.LOCALHOST:80/k"), 200),
        ("http://".to_owned(), 400),
        ("http:///k".to_owned(), 400),
        (format!("http://user@{}/{BUCKET}/other", server.addr()), 403),
        (format!("//{}/{BUCKET}/k", server.addr()), 400),
    ] {
        let bytes = plain.replacen(&format!("GET /{BUCKET}/k "), &format!("GET {target} "), 1);
        assert_ne!(bytes, plain);
        let response = exchange(server.addr(), Method::Get, bytes.as_bytes()).await;
        assert_eq!(response.status, status, "{target} {}", text(&response));
    }
}

#[tokio::test]
async fn what_is_encoded_twice_is_decoded_once() {
    let server = Server::start().await;
    for (path, key) in [
        ("a%252Fb", "a%2Fb"),
        ("a%25252Fb", "a%252Fb"),
        ("%252e%252e/x", "%2e%2e/x"),
        ("%25", "%"),
        ("%2500", "%00"),
    ] {
        let mut request = server.request(Method::Put, "").body(path.as_bytes());
        request.path = format!("/{BUCKET}/{path}");
        assert_eq!(server.send(key, request).await.status, 200, "{path}");
        assert_eq!(server.get(key).await.body, path.as_bytes(), "{path}");
    }
    assert_eq!(refused(&server.get("a/b").await, 404), "NoSuchKey");
    assert_eq!(refused(&server.get("../x").await, 404), "NoSuchKey");
}
