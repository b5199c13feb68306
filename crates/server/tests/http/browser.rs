//! What browsers ask for before they let a page upload.

use vodferry_oss::{Method, Response};

use crate::support::{Build, Server, exchange, refused, text};

async fn options(server: &Server, path: &str, lines: &str) -> Response {
    let head = format!(
        "OPTIONS {path} HTTP/1.1\r\nHost: vod-media.localhost\r\nConnection: close\r\n{lines}\r\n"
    );
    exchange(server.addr(), Method::Options, head.as_bytes()).await
}

#[tokio::test]
async fn preflights_are_answered_without_a_signature() {
    let server = Server::start().await;
    let lines = "Origin: https://app.example\r\nAccess-Control-Request-Method: PUT\r\n\
                 Access-Control-Request-Headers: authorization,x-oss-date\r\n";
    for path in ["/sv/a.mp4?partNumber=1&uploadId=X", "/", "/?Action=CreateUploadVideo"] {
        let response = options(&server, path, lines).await;
        assert_eq!(response.status, 200, "{}", text(&response));
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        assert!(response.header("access-control-allow-methods").unwrap().contains("PUT"));
        let allowed = response.header("access-control-allow-headers");
        assert_eq!(allowed, Some("authorization,x-oss-date"));
    }
    for lines in ["", "Origin: https://app.example\r\n"] {
        assert_eq!(refused(&options(&server, "/k", lines).await, 400), "BadRequest");
    }
}

#[tokio::test]
async fn pages_may_read_what_they_need() {
    let server = Server::start().await;
    let put = server.request(Method::Put, "k").with("origin", "https://app.example").body(b"x");
    let missing = server.request(Method::Get, "no").with("origin", "https://app.example");
    for (response, status) in
        [(server.send("k", put).await, 200), (server.send("no", missing).await, 404)]
    {
        assert_eq!(response.status, status);
        assert_eq!(response.header("access-control-allow-origin"), Some("*"));
        let exposed = response.header("access-control-expose-headers").unwrap();
        for name in ["ETag", "x-oss-request-id", "x-oss-hash-crc64ecma", "Date"] {
            assert!(exposed.split(", ").any(|n| n == name), "{name} in {exposed}");
        }
    }
    assert!(server.get("k").await.header("access-control-allow-origin").is_none());
}
