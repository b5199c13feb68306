//! Heads that are no HTTP or too much of it, and bodies whose end one reader would see elsewhere than
//! another. Each is refused with a code, a reason and a request id, and nothing behind it is taken for a
//! request.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vodferry_oss::sign::{presign_v1, sign_v1};
use vodferry_oss::{Method, Request, Response, ServiceError};

use crate::support::{
    BUCKET, Build, Server, Upload, exchange, files, now_ms, read_response, refused, text, wire,
};

/// A signed request as text, with a connection that may go on.
fn signed(server: &Server, key: &str, mut request: Request) -> String {
    sign_v1(&mut request, BUCKET, key, &server.operator(), now_ms());
    String::from_utf8(wire(&request)).unwrap().replace("Connection: close\r\n", "")
}

/// What these bytes are answered, when no request may come of them and the connection must end.
async fn ends_with(server: &Server, bytes: &[u8]) -> Response {
    let stream = TcpStream::connect(server.addr()).await.unwrap();
    ends_on(stream, bytes).await
}

/// As [`ends_with`], on a connection that served a good request before.
async fn ends_with_the_second(server: &Server, bytes: &[u8]) -> Response {
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let good = signed(server, "k", server.request(Method::Head, "k"));
    stream.write_all(good.as_bytes()).await.unwrap();
    assert!(read_response(&mut stream, true).await.is_some());
    ends_on(stream, bytes).await
}

async fn ends_on(mut stream: TcpStream, bytes: &[u8]) -> Response {
    let _ = stream.write_all(bytes).await;
    let response = read_response(&mut stream, false).await.expect("a reply");
    let mut rest = Vec::new();
    let ended =
        tokio::time::timeout(std::time::Duration::from_secs(10), stream.read_to_end(&mut rest));
    assert!(ended.await.is_ok(), "the connection is still open");
    assert!(rest.is_empty(), "a second reply: {}", String::from_utf8_lossy(&rest));
    response
}

fn message(response: &Response) -> String {
    ServiceError::from_response(response).message
}

#[tokio::test]
async fn floods_of_headers_are_refused_by_count_and_by_size() {
    let server = Server::start().await;
    let flood = |lines: &str| format!("GET /k HTTP/1.1\r\nHost: x\r\n{lines}\r\n");
    for (head, status, says) in [
        (flood(&"A: b\r\n".repeat(100)), 431, "more than 100 headers"),
        (flood(&"A: b\r\n".repeat(40_000)), 431, "more than 100 headers"),
        (flood(&format!("A: {}\r\n", "b".repeat(300_000))), 431, "more than 262144 bytes"),
        (flood(&format!("{}: b\r\n", "A".repeat(300_000))), 431, "more than 262144 bytes"),
        (format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "k".repeat(70_000)), 414, "target"),
    ] {
        let response = ends_with(&server, head.as_bytes()).await;
        assert_eq!(refused(&response, status), "InvalidRequest");
        assert!(message(&response).contains(says), "{}", text(&response));
    }
    // As many as are allowed: Host, Connection, and these.
    let most = format!("Connection: close\r\n{}", "A: b\r\n".repeat(98));
    let response = ends_with(&server, flood(&most).as_bytes()).await;
    assert_eq!(refused(&response, 403), "AccessDenied");
}

#[tokio::test]
async fn what_is_no_http_is_told_so() {
    let server = Server::start().await;
    for (bytes, says) in [
        (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], "token"),
        (b"<html>hello</html>\r\n\r\n", "token"),
        (b"GET /k HTTP/9.9\r\nHost: x\r\n\r\n", "version"),
        (b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n", "token"),
        (b"GET /k HTTP/1.1\r\nHost: x\r\nx-oss-meta-a: a\x00b\r\n\r\n", "header value"),
        (b"GET /k HTTP/1.1\r\nHost: x\r\nx-oss-meta-a: a\rb\r\n\r\n", "header value"),
        (b"GET /k HTTP/1.1\r\nHost: x\r\nx-oss meta: a\r\n\r\n", "header name"),
        (b"GET /k HTTP/1.1\r\nHost: x\r\n folded: a\r\n\r\n", "header name"),
        (b"GET http:// HTTP/1.1\r\nHost: x\r\n\r\n", "target"),
    ] {
        let response = ends_with(&server, bytes).await;
        let shown = String::from_utf8_lossy(bytes);
        assert_eq!(refused(&response, 400), "InvalidRequest", "{shown}");
        assert!(message(&response).contains(says), "{shown} {}", text(&response));
        let response = ends_with_the_second(&server, bytes).await;
        assert_eq!(refused(&response, 400), "InvalidRequest", "{shown}");
        assert!(message(&response).contains(says), "{shown} {}", text(&response));
    }
}

#[tokio::test]
async fn a_request_names_one_host() {
    let server = Server::start().await;
    server.put("k", b"film").await;
    let plain = signed(&server, "k", server.request(Method::Get, "k"));
    let host = format!("Host: {}\r\n", server.addr());
    assert!(plain.contains(&host));
    let close = "Connection: close\r\n";
    for (lines, says) in [(String::new(), "must have a Host"), (host.repeat(2), "one Host only")] {
        let bytes = plain.replace(&host, &format!("{lines}{close}"));
        let response = exchange(server.addr(), Method::Get, bytes.as_bytes()).await;
        assert_eq!(refused(&response, 400), "InvalidRequest", "{lines}");
        assert!(message(&response).contains(says), "{}", text(&response));
    }
    // The version before knew no Host, and its connections end.
    let bytes = plain.replace(&host, "").replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(ends_with(&server, bytes.as_bytes()).await.body, b"film");
    let put = server.request(Method::Put, "old").body(b"1.0");
    let bytes = signed(&server, "old", put).replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(ends_with(&server, bytes.as_bytes()).await.status, 200);
    assert_eq!(server.get("old").await.body, b"1.0");
}

/// A URL that is signed for one type stores no other.
#[tokio::test]
async fn what_is_signed_or_kept_comes_once() {
    let server = Server::start().await;
    let mut request = server.request(Method::Put, "k").with("content-type", "video/mp4");
    presign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms() as u64 / 1000 + 60);
    request.headers.push(("content-type".into(), "text/html".into()));
    let response = server.send_raw(&request.body(b"<script>")).await;
    assert_eq!(refused(&response, 400), "InvalidRequest");
    assert!(message(&response).contains("one content-type only"), "{}", text(&response));
    for (name, value) in [
        ("authorization", "OSS a:b"),
        ("content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        ("x-oss-date", "Fri, 20 Nov 2026 10:00:00 GMT"),
        ("x-oss-meta-a", "1"),
        ("x-oss-storage-class", "IA"),
        ("cache-control", "no-cache"),
        ("content-disposition", "attachment"),
    ] {
        let put = server.request(Method::Put, "k").with(name, value);
        let mut bytes = signed(&server, "k", put);
        bytes = bytes.replacen("\r\n", &format!("\r\nConnection: close\r\n{name}: other\r\n"), 1);
        let response = ends_with(&server, bytes.as_bytes()).await;
        assert_eq!(refused(&response, 400), "InvalidRequest", "{name}");
        assert!(message(&response).contains(name), "{}", text(&response));
    }
    assert_eq!(refused(&server.get("k").await, 404), "NoSuchKey");
    // No parameter does: which one counts would be anybody's guess.
    for name in ["partNumber", "prefix", "x-oss-process", "anything"] {
        let mut get = server.request(Method::Get, "k").query(name, "1").query(name, "1");
        sign_v1(&mut get, BUCKET, "k", &server.operator(), now_ms());
        let response = server.send_raw(&get).await;
        assert_eq!(refused(&response, 400), "InvalidArgument", "{name}");
        assert!(message(&response).contains("twice"), "{}", text(&response));
    }
    // Other headers may come twice.
    let get = signed(&server, "k", server.request(Method::Get, "k"));
    let lines = "\r\nConnection: close\r\nCache-Control: no-cache\r\nCache-Control: max-age=0\r\n";
    let response = ends_with(&server, get.replacen("\r\n", lines, 1).as_bytes()).await;
    assert_eq!(refused(&response, 404), "NoSuchKey");
}

#[tokio::test]
async fn lengths_that_contradict_are_refused_and_nothing_behind_them_is_served() {
    let server = Server::start().await;
    let smuggled = signed(&server, "smuggled", server.request(Method::Put, "smuggled"));
    let put = signed(&server, "k", server.request(Method::Put, "k").body(b"film"));
    let length = "Content-Length: 4\r\n";
    assert!(put.contains(length));
    for lines in [
        "Content-Length: -4\r\n",
        "Content-Length: +4\r\n",
        "Content-Length: 0x4\r\n",
        "Content-Length: 4 4\r\n",
        "Content-Length: \r\n",
        "Content-Length: 18446744073709551620\r\n",
        "Content-Length: 4\r\nContent-Length: 5\r\n",
        "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n",
        "Transfer-Encoding: chunked, identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: chunked, chunked\r\n",
        "Transfer-Encoding: chunked,\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
    ] {
        let bytes = format!("{}{smuggled}", put.replace(length, lines));
        let response = ends_with(&server, bytes.as_bytes()).await;
        assert_eq!(refused(&response, 400), "InvalidRequest", "{lines}");
        let response = ends_with_the_second(&server, bytes.as_bytes()).await;
        assert_eq!(refused(&response, 400), "InvalidRequest", "{lines}");
    }
    assert_eq!(refused(&server.get("smuggled").await, 404), "NoSuchKey");
    let chunked = put.replace(length, "Transfer-Encoding: chunked\r\n");
    let old = chunked.replace("HTTP/1.1", "HTTP/1.0");
    assert_eq!(refused(&ends_with(&server, old.as_bytes()).await, 400), "InvalidRequest");
}

#[tokio::test]
async fn a_body_ends_where_it_was_said_to_end() {
    let server = Server::start().await;
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    let put = server.request(Method::Put, "k").with("content-length", "4").body(b"film and more");
    stream.write_all(signed(&server, "k", put).as_bytes()).await.unwrap();
    assert_eq!(read_response(&mut stream, false).await.unwrap().status, 200);
    // The rest is no request.
    let next = read_response(&mut stream, false).await;
    assert!(next.is_none_or(|response| response.status == 400));
    assert_eq!(server.get("k").await.body, b"film");

    let upload = Upload::begin(&server, server.operator(), "k").await;
    for body in ["zz\r\nfilm\r\n0\r\n\r\n", "-4\r\nfilm\r\n0\r\n\r\n", "4\r\nfilm0\r\n\r\n"] {
        let part = upload.request(Method::Put).query("partNumber", "1");
        let part = part.with("transfer-encoding", "chunked").body(body.as_bytes());
        let response = ends_with(&server, signed(&server, "k", part).as_bytes()).await;
        assert_eq!(refused(&response, 400), "IncompleteBody", "{body}");
    }
    assert!(upload.list().await.parts.is_empty());
    assert_eq!(files(&server), 0);
}

#[tokio::test]
async fn line_ends_and_nul_stay_what_they_are() {
    let server = Server::start().await;
    let key = "a\r\nx-oss-meta-evil: 1\r\n\r\n\0b";
    let put = server.put(key, b"film").await;
    assert_eq!(put.status, 200, "{}", text(&put));
    let got = server.get(key).await;
    assert_eq!(got.body, b"film");
    assert!(got.header("x-oss-meta-evil").is_none());
    assert_eq!(refused(&server.get("a").await, 404), "NoSuchKey");
    // The key is told in the refusal of another one, and breaks neither the reply's head nor its XML.
    let gone = server.head(&format!("{key}2")).await;
    assert_eq!(refused(&gone, 404), "NoSuchKey");
    assert!(gone.header("x-oss-meta-evil").is_none());
    assert_eq!(refused(&server.get(&format!("{key}2")).await, 404), "NoSuchKey");

    for evil in ["a\r\nset-cookie: b", "a\0b", "\n"] {
        let request = server
            .request(Method::Get, key)
            .query("response-content-type", evil)
            .query("response-content-disposition", evil);
        let response = server.send(key, request).await;
        assert!(response.header("set-cookie").is_none(), "{}", text(&response));
        assert_eq!(refused(&response, 400), "InvalidArgument", "{evil:?}");
        let request = server.request(Method::Get, key).query("uploadId", evil);
        assert_eq!(refused(&server.send(key, request).await, 404), "NoSuchUpload");
        let request =
            server.request(Method::Put, key).query("uploadId", "x").query("partNumber", evil);
        assert_eq!(refused(&server.send(key, request).await, 400), "InvalidArgument");
    }
}

#[tokio::test]
async fn a_query_is_decoded_once() {
    let server = Server::start().await;
    server.put("k", b"film").await;
    for (sent, got) in [("a%252Fb", "a%2Fb"), ("a%2Fb", "a/b"), ("a%25252Fb", "a%252Fb")] {
        let mut request = server.request(Method::Get, "k").query("response-content-language", got);
        sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms());
        let plain = String::from_utf8(wire(&request)).unwrap();
        let (start, rest) = plain.split_once("response-content-language=").unwrap();
        let (_, rest) = rest.split_once(' ').unwrap();
        let bytes = format!("{start}response-content-language={sent} {rest}");
        let response = exchange(server.addr(), Method::Get, bytes.as_bytes()).await;
        assert_eq!(response.status, 200, "{sent} {}", text(&response));
        assert_eq!(response.header("content-language"), Some(got));
    }
}
