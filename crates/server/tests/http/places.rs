//! More connections than there are places: whoever asks something gets one, whoever only holds one loses it.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use vodferry_oss::Method;
use vodferry_oss::sign::sign_v1;
use vodferry_server::Config;

use crate::support::{BUCKET, Build, Server, exchange, now_ms, read_response, wire};

/// Much shorter than the time that a silent connection may stay.
const IN_TIME: Duration = Duration::from_secs(15);
const LIVE: &[u8] = b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n";

async fn with_places(places: usize, change: impl FnOnce(&mut Config)) -> Server {
    Server::with(|config| {
        config.limits.connections = places;
        config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
        change(config);
    })
    .await
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.addr()).await.unwrap()
}

async fn live(stream: &mut TcpStream) -> u16 {
    stream.write_all(LIVE).await.unwrap();
    let reply = timeout(IN_TIME, read_response(stream, false)).await.expect("no place");
    reply.expect("no reply").status
}

/// A PUT of two bytes that are still to come.
async fn put(server: &Server, key: &str) -> TcpStream {
    let mut request = server.request(Method::Put, key).with("content-length", "2");
    sign_v1(&mut request, BUCKET, key, &server.operator(), now_ms());
    let mut stream = connect(server).await;
    stream.write_all(&wire(&request)).await.unwrap();
    stream
}

async fn finish(mut put: TcpStream) -> u16 {
    put.write_all(b"ok").await.unwrap();
    timeout(IN_TIME, read_response(&mut put, false)).await.expect("late").expect("cut").status
}

async fn is_closed(stream: &mut TcpStream) {
    let ended = timeout(IN_TIME, stream.read_to_end(&mut Vec::new())).await;
    assert!(ended.is_ok(), "the connection is still open");
}

#[tokio::test]
async fn silent_connections_keep_nobody_out() {
    let server = with_places(6, |_| ()).await;
    let uploading = put(&server, "film").await;
    let half_a_head = format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}", "a".repeat(200_000));
    let mut holders = Vec::new();
    for n in 0..60 {
        let mut stream = connect(&server).await;
        if n % 2 == 0 {
            // Perhaps told to go before it has said so much.
            let _ = stream.write_all(half_a_head.as_bytes()).await;
        }
        holders.push(stream);
    }
    let mut asks = connect(&server).await;
    assert_eq!(live(&mut asks).await, 200);
    let stored = timeout(IN_TIME, server.put("k", b"x")).await.expect("no place");
    assert_eq!(stored.status, 200);
    assert_eq!(finish(uploading).await, 200, "whoever has a request is not told to go");
    for holder in &mut holders[..50] {
        is_closed(holder).await;
    }
}

#[tokio::test]
async fn idle_connections_go_in_the_order_of_their_last_request() {
    let server = with_places(3, |_| ()).await;
    let (mut one, mut two, mut three) =
        (connect(&server).await, connect(&server).await, connect(&server).await);
    for stream in [&mut one, &mut two, &mut three] {
        assert_eq!(live(stream).await, 200);
    }
    assert_eq!(live(&mut one).await, 200);
    let mut new = connect(&server).await;
    assert_eq!(live(&mut new).await, 200);
    is_closed(&mut two).await;
    for stream in [&mut one, &mut three, &mut new] {
        assert_eq!(live(stream).await, 200, "one place was wanted");
    }
}

#[tokio::test]
async fn health_is_told_beside_the_metrics_when_all_places_are_busy() {
    let server = with_places(2, |_| ()).await;
    let uploading = [put(&server, "one").await, put(&server, "other").await];
    let mut waits = connect(&server).await;
    waits.write_all(LIVE).await.unwrap();
    let metrics = server.running.metrics_addr().unwrap();
    for (path, status) in [("live", 200), ("ready", 200), ("other", 404)] {
        let head = format!("GET /health/{path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let reply = timeout(IN_TIME, exchange(metrics, Method::Get, head.as_bytes())).await;
        assert_eq!(reply.expect("no place").status, status);
    }
    let early = timeout(Duration::from_millis(300), waits.readable()).await;
    assert!(early.is_err(), "there was no place");
    for put in uploading {
        assert_eq!(finish(put).await, 200);
    }
    let reply = timeout(IN_TIME, read_response(&mut waits, false)).await.expect("no place");
    assert_eq!(reply.unwrap().status, 200);
}

#[tokio::test]
async fn an_address_may_have_fewer_than_all() {
    let server = with_places(9, |config| config.limits.address_connections = 2).await;
    let (mut one, mut other) = (connect(&server).await, connect(&server).await);
    assert_eq!((live(&mut one).await, live(&mut other).await), (200, 200));
    is_closed(&mut connect(&server).await).await;
    assert_eq!(live(&mut one).await, 200, "those that it has stay");
    drop(other);
    let mut again = None;
    for _ in 0..100 {
        let mut stream = connect(&server).await;
        let _ = stream.write_all(LIVE).await;
        again = read_response(&mut stream, false).await.map(|reply| reply.status);
        if again.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(again, Some(200), "the place that it gave up");
}

#[tokio::test]
async fn a_trusted_proxy_is_not_one_address() {
    let server = with_places(9, |config| {
        config.limits.address_connections = 1;
        config.trusted_proxies = vec!["127.0.0.1".into()];
    })
    .await;
    let (mut one, mut other) = (connect(&server).await, connect(&server).await);
    assert_eq!((live(&mut one).await, live(&mut other).await), (200, 200));
}
