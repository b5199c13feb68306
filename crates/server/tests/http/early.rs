//! Refusals that leave before the body has arrived: who writes everything first still gets to read them, who
//! reads early need not write on, and connections are kept where that is cheap.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use vodferry_oss::sign::sign_v1;
use vodferry_oss::{Method, Request};

use crate::support::{BUCKET, Build, Server, Upload, now_ms, read_response, refused, wire};

const LARGE: usize = 8 << 20;
/// More than the server swallows beside the reply.
const HUGE: usize = 80 << 20;

/// As bytes, on a connection that the client would use again.
fn signed(server: &Server, key: &str, mut request: Request) -> Vec<u8> {
    sign_v1(&mut request, BUCKET, key, &server.operator(), now_ms());
    let close = b"Connection: close\r\n";
    let mut bytes = wire(&request);
    let at = bytes.windows(close.len()).position(|window| window == close).unwrap();
    bytes.drain(at..at + close.len());
    bytes
}

/// Requests with this body that are refused, with status and code.
async fn bad_ones(server: &Server, body: &[u8]) -> Vec<(Vec<u8>, u16, &'static str)> {
    let put = || server.request(Method::Put, "k").body(body);
    let mut elsewhere = put();
    elsewhere.path = "/no-such-bucket/k".into();
    sign_v1(&mut elsewhere, "no-such-bucket", "k", &server.operator(), now_ms());
    let part = put().query("partNumber", "1").query("uploadId", "0123456789ABCDEF0123456789ABCDEF");
    let wrong =
        put().query("partNumber", "0").query("uploadId", "0123456789ABCDEF0123456789ABCDEF");
    let post = server.request(Method::Post, "k").body(body);
    vec![
        (wire(&elsewhere), 404, "NoSuchBucket"),
        (signed(server, "other", put()), 403, "SignatureDoesNotMatch"),
        (wire(&put()), 403, "AccessDenied"),
        (signed(server, "k", part), 404, "NoSuchUpload"),
        (signed(server, "k", wrong), 400, "InvalidArgument"),
        (signed(server, "k", put().with("content-md5", "none")), 400, "InvalidDigest"),
        (signed(server, "k", post), 405, "MethodNotAllowed"),
    ]
}

/// Whether the other end closes within a generous time.
async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    timeout(Duration::from_secs(30), stream.read_to_end(&mut rest)).await.is_ok() && rest.is_empty()
}

#[tokio::test]
async fn who_writes_everything_first_reads_the_refusal() {
    let server = Server::start().await;
    for (bytes, status, code) in bad_ones(&server, &vec![b'x'; LARGE]).await {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let response = read_response(&mut stream, false).await.unwrap();
        assert_eq!(refused(&response, status), code);
        assert_eq!(response.header("connection"), Some("close"), "{code}");
        assert!(is_closed(&mut stream).await, "{code}: the connection is still open");
    }
}

#[tokio::test]
async fn a_huge_body_does_not_cost_the_refusal() {
    let server = Server::start().await;
    let put = server.request(Method::Put, "k").body(&vec![b'x'; HUGE]);
    let bytes = signed(&server, "other", put);
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    // The server closes before everything is written, or after.
    let _ = stream.write_all(&bytes).await;
    let response = read_response(&mut stream, false).await.unwrap();
    assert_eq!(refused(&response, 403), "SignatureDoesNotMatch");
}

#[tokio::test]
async fn who_reads_early_need_not_write_on() {
    let server = Server::start().await;
    for (bytes, status, code) in bad_ones(&server, &vec![b'x'; LARGE]).await {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(&bytes[..LARGE / 100]).await.unwrap();
        let response = timeout(Duration::from_secs(5), read_response(&mut stream, false)).await;
        let response = response.expect("a reply at once").unwrap();
        assert_eq!(refused(&response, status), code);
        assert_eq!(response.header("connection"), Some("close"), "{code}");
        // Nothing of it is in the way of what the server does next.
        drop(stream);
    }
    assert_eq!(server.put("k", b"x").await.status, 200);
}

#[tokio::test]
async fn a_small_rest_leaves_the_connection_usable() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    for (bytes, status, code) in bad_ones(&server, &[b'x'; 100_000]).await {
        if bytes.windows(17).any(|window| window == b"Connection: close") {
            continue;
        }
        stream.write_all(&bytes).await.unwrap();
        let response = read_response(&mut stream, false).await.unwrap();
        assert_eq!(refused(&response, status), code);
        assert_eq!(response.header("connection"), Some("keep-alive"), "{code}");
    }
    let part = upload.request(Method::Put).query("partNumber", "1").body(b"film");
    stream.write_all(&signed(&server, "k", part)).await.unwrap();
    let response = read_response(&mut stream, false).await.unwrap();
    assert_eq!((response.status, response.header("connection")), (200, Some("keep-alive")));
}

#[tokio::test]
async fn who_asks_first_is_told_without_the_body() {
    let server = Server::start().await;
    let put = server.request(Method::Put, "k").with("expect", "100-continue");
    let head = signed(&server, "other", put.with("content-length", "4"));
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&head).await.unwrap();
    let response = read_response(&mut stream, false).await.unwrap();
    assert_eq!(refused(&response, 403), "SignatureDoesNotMatch");
    // Whether the body comes nobody knows, so that nothing may follow it.
    assert_eq!(response.header("connection"), Some("close"));
    assert!(is_closed(&mut stream).await, "the connection is still open");
}
