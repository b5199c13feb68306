//! Clients that are slow, endless, or too many: each is answered or cut, and none holds a place for
//! ever.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use vodferry_oss::Method;
use vodferry_oss::sign::sign_v1;

use crate::support::{
    BUCKET, Build, Server, Upload, files, noise, now_ms, read_response, refused, wire,
};

const SOON: Duration = Duration::from_millis(300);
/// Much longer than the bounds here, and much shorter than those of a default server.
const IN_TIME: Duration = Duration::from_secs(15);

/// Writes `bytes` again and again until the other end has had enough.
async fn pour(stream: &mut TcpStream, bytes: &[u8], pause: Duration) {
    let began = Instant::now();
    while stream.write_all(bytes).await.is_ok() {
        assert!(began.elapsed() < IN_TIME, "the server still listens");
        // A reply, or the end: the server has had enough and this client reads on.
        if timeout(pause, stream.readable()).await.is_ok() {
            return;
        }
    }
}

/// Reads until the connection ends.
async fn ends(stream: &mut TcpStream) -> Vec<u8> {
    let mut rest = Vec::new();
    let ended = timeout(IN_TIME, stream.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the connection is still open");
    rest
}

#[tokio::test]
async fn a_head_that_drips_is_given_up() {
    let server = Server::with(|config| config.limits.header_time = SOON).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nA: ").await.unwrap();
    pour(&mut stream, b"a", Duration::from_millis(20)).await;
    ends(&mut stream).await;
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let server = Server::start().await;
    for endless in [&b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"[..], b"a: b\r\n"] {
        let mut stream = TcpStream::connect(server.addr()).await.unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nA: ").await.unwrap();
        pour(&mut stream, &endless.repeat(500), Duration::from_millis(1)).await;
        let reply = ends(&mut stream).await;
        let reply = String::from_utf8_lossy(&reply);
        let status = reply.split(' ').nth(1).unwrap_or("none");
        assert!(["431", "none"].contains(&status), "{status}");
    }
    assert_eq!(server.put("k", b"alive").await.status, 200);
}

#[tokio::test]
async fn blank_lines_in_place_of_a_head_are_given_up() {
    let server = Server::with(|config| config.limits.header_time = SOON).await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    pour(&mut stream, b"\r\n", Duration::from_millis(20)).await;
    ends(&mut stream).await;
}

#[tokio::test]
async fn a_body_that_drips_is_given_up() {
    let server = Server::with(|config| {
        config.limits.idle_body = SOON;
        config.limits.body_rate = 1000;
    })
    .await;
    let mut request = server.request(Method::Put, "k").with("content-length", "1000000");
    sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms());
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&wire(&request)).await.unwrap();
    let began = Instant::now();
    pour(&mut stream, b"x", Duration::from_millis(30)).await;
    let response = read_response(&mut stream, false).await.unwrap();
    assert_eq!(refused(&response, 400), "RequestTimeout");
    assert!(began.elapsed() >= SOON, "given up before its time");
    assert_eq!(files(&server), 0);
}

#[tokio::test]
async fn a_slow_body_that_keeps_the_rate_arrives() {
    let server = Server::with(|config| {
        config.limits.idle_body = SOON;
        config.limits.body_rate = 100;
    })
    .await;
    let mut request = server.request(Method::Put, "k").with("content-length", "1000");
    sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms());
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&wire(&request)).await.unwrap();
    for _ in 0..10 {
        sleep(Duration::from_millis(100)).await;
        stream.write_all(&[b'x'; 100]).await.unwrap();
    }
    assert_eq!(read_response(&mut stream, false).await.unwrap().status, 200);
}

/// What was sent early is no credit for a long silence.
#[tokio::test]
async fn a_body_that_falls_silent_after_much_of_it_is_given_up() {
    let server = Server::with(|config| {
        config.limits.idle_body = SOON;
        config.limits.body_rate = 256;
    })
    .await;
    let mut request = server.request(Method::Put, "k").with("content-length", "1000000");
    sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms());
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&wire(&request)).await.unwrap();
    stream.write_all(&[b'x'; 500_000]).await.unwrap();
    let response = timeout(IN_TIME, read_response(&mut stream, false)).await;
    let response = response.expect("the server still waits").unwrap();
    assert_eq!(refused(&response, 400), "RequestTimeout");
    assert_eq!(files(&server), 0);
}

#[tokio::test]
async fn a_control_body_without_end_is_refused() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let mut request = upload.request(Method::Post).with("transfer-encoding", "chunked");
    sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms());
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&wire(&request)).await.unwrap();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
    pour(&mut stream, chunk.as_bytes(), Duration::from_millis(1)).await;
    let response = read_response(&mut stream, false).await.unwrap();
    assert_eq!(refused(&response, 400), "MalformedXML");
}

/// There is one place, and the next client gets it once the one before is given up.
#[tokio::test]
async fn who_reads_nothing_of_a_reply_loses_the_connection() {
    let server = Server::with(|config| {
        config.limits.connections = 1;
        config.limits.idle_reply = SOON;
    })
    .await;
    // More than the buffers of both ends hold.
    let film = noise(16 << 20, 1);
    assert_eq!(server.put("k", &film).await.status, 200);
    let mut request = server.request(Method::Get, "k");
    sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms());
    let mut slow = TcpStream::connect(server.addr()).await.unwrap();
    slow.write_all(&wire(&request)).await.unwrap();
    slow.readable().await.unwrap();
    assert!(timeout(IN_TIME, server.get("k")).await.expect("a place").body == film);
    let got = ends(&mut slow).await;
    assert!(got.len() < film.len(), "the slow one got everything");
}

#[tokio::test]
async fn who_asks_nothing_loses_the_connection() {
    let server = Server::with(|config| {
        config.limits.connections = 2;
        config.limits.header_time = SOON;
    })
    .await;
    let mut silent = TcpStream::connect(server.addr()).await.unwrap();
    let mut idle = TcpStream::connect(server.addr()).await.unwrap();
    idle.write_all(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    assert_eq!(read_response(&mut idle, false).await.unwrap().status, 200);
    let served = timeout(IN_TIME, server.put("k", b"x")).await.expect("a place");
    assert_eq!(served.status, 200);
    ends(&mut silent).await;
    ends(&mut idle).await;
}
