//! The default HTTP client against sockets that misbehave.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use vodferry::{
    AppServer, Authorizer, Body, Download, GrantRequest, Http, Method, Options, Proxy, Request,
    Response, TransportError, TransportErrorKind as Kind, http_client,
};

fn client() -> std::sync::Arc<dyn Http> {
    let mut options = Options::default();
    options.proxy = Proxy::Direct;
    options.timeouts.connect = Duration::from_secs(2);
    http_client(&options).unwrap()
}

fn request(authority: &str) -> Request {
    Request {
        method: Method::Put,
        scheme: "http".into(),
        authority: authority.into(),
        path: "/films/a%20b.mp4".into(),
        query: vec![("partNumber".into(), "1".into()), ("uploadId".into(), "u+1".into())],
        headers: vec![("x-oss-meta-a".into(), "1".into())],
        body: Vec::new(),
    }
}

/// Reads one request, head and body.
async fn read_request(stream: &mut TcpStream, body: usize) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        if text.split_once("\r\n\r\n").is_some_and(|(_, rest)| rest.len() >= body) {
            return text;
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(0) | Err(_) => return text,
            Ok(read) => bytes.extend_from_slice(&more[..read]),
        }
    }
}

/// Answers one request with `reply`, then closes. Gives what the client made of it, and the request.
async fn answered_by(reply: Vec<u8>) -> (Result<Response, TransportError>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let text = read_request(&mut stream, 5).await;
        stream.write_all(&reply).await.unwrap();
        text
    });
    let result = client().send(request(&authority), Body::from_bytes("hello")).await;
    (result, server.await.unwrap())
}

fn kind(result: Result<Response, TransportError>) -> Kind {
    result.expect_err("no response").kind
}

#[tokio::test]
async fn a_request_goes_out_as_it_is() {
    let reply = "HTTP/1.1 200 OK\r\nETag: \"X\"\r\nContent-Length: 2\r\n\r\nok";
    let (response, request) = answered_by(reply.into()).await;
    let response = response.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, b"ok".as_slice()));
    assert_eq!(response.header("etag"), Some("\"X\""));
    let request = request.to_ascii_lowercase();
    assert!(
        request.starts_with("put /films/a%20b.mp4?partnumber=1&uploadid=u%2b1 http/1.1\r\n"),
        "{request}"
    );
    assert!(request.contains("\r\ncontent-length: 5\r\n") && request.contains("x-oss-meta-a: 1"));
    assert!(request.contains("user-agent: vodferry/") && request.ends_with("\r\n\r\nhello"));
    assert!(!request.contains("transfer-encoding") && !request.contains("accept-encoding"));
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let reply = "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answered_by(reply.into()).await.0.unwrap().status, 302);
}

#[tokio::test]
async fn half_a_body_is_told() {
    let reply = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";
    assert_eq!(kind(answered_by(reply.into()).await.0), Kind::ReplyCut);
}

#[tokio::test]
async fn a_closed_connection_is_told() {
    assert_eq!(kind(answered_by(Vec::new()).await.0), Kind::Lost);
}

#[tokio::test]
async fn what_is_not_http_is_told() {
    assert_eq!(kind(answered_by(b"SSH-2.0-dropbear\r\n\r\n".to_vec()).await.0), Kind::Protocol);
}

#[tokio::test]
async fn a_reply_without_end_is_not_buffered() {
    let mut reply = b"HTTP/1.1 200 OK\r\nContent-Length: 1100000\r\n\r\n".to_vec();
    reply.resize(reply.len() + 1_100_000, b'x');
    assert_eq!(kind(answered_by(reply).await.0), Kind::Protocol);
}

#[tokio::test]
async fn nobody_there_is_told_with_the_address() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = client().send(request(&authority), Body::from_bytes("")).await.unwrap_err();
    assert_eq!(error.kind, Kind::Connect);
    assert!(error.message.contains(&authority), "{error}");
}

#[tokio::test]
async fn an_unknown_name_is_told() {
    let error = client().send(request("no-such-host.invalid"), Body::from_bytes("")).await;
    assert_eq!(kind(error), Kind::Dns);
}

#[tokio::test]
async fn plain_http_where_tls_is_expected_is_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut request = request(&listener.local_addr().unwrap().to_string());
    request.scheme = "https".into();
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    });
    assert_eq!(kind(client().send(request, Body::from_bytes("")).await), Kind::Tls);
    server.await.unwrap();
}

#[tokio::test]
async fn a_changed_network_means_new_connections() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    let server = tokio::spawn(async move {
        let mut connections = 0;
        let mut requests = 0;
        while requests < 3 {
            let (mut stream, _) = listener.accept().await.unwrap();
            connections += 1;
            loop {
                let request = read_request(&mut stream, 0).await;
                if request.is_empty() {
                    break;
                }
                requests += 1;
                let reply = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(reply).await.unwrap();
                if requests == 3 {
                    break;
                }
            }
        }
        connections
    });
    let http = client();
    for at in 0..3 {
        if at == 2 {
            http.network_changed();
        }
        http.send(request(&authority), Body::from_bytes("")).await.unwrap();
    }
    assert_eq!(server.await.unwrap(), 2);
}

#[tokio::test]
async fn a_reply_that_stalls_is_given_the_idle_time_of_the_options() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        // A question, which gets no answer; a range, of which half comes; the same range, which comes.
        let mut kept = Vec::new();
        for half in ["", "ab", "abcd"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_request(&mut stream, 0).await;
            if !half.is_empty() {
                let head = "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 4\r\n\r\n";
                stream.write_all(format!("{head}{half}").as_bytes()).await.unwrap();
            }
            kept.push(stream);
        }
        std::future::pending::<()>().await;
    });
    let mut options = Options::default();
    options.proxy = Proxy::Direct;
    options.timeouts.idle = Duration::from_millis(300);
    let http = http_client(&options).unwrap();
    assert_eq!(http.timeouts(), options.timeouts);
    let both = async {
        let app = AppServer::new(&url).unwrap().http(http.clone());
        let question = GrantRequest::refresh(Some("v".into()), None);
        let error = app.authorize(question).await.unwrap_err();
        assert_eq!(error.code(), "TimedOut", "{error}");
        let mut download = Download::open(http, &format!("{url}/b/k")).await.unwrap();
        assert_eq!(download.next().await.unwrap().unwrap(), b"abcd");
    };
    tokio::time::timeout(Duration::from_secs(20), both).await.expect("neither waits longer");
}
