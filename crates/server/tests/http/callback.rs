//! Upload callbacks: what the application is told and how it may check that, and what the uploader is
//! told. How uploads ask for them is in `callback_uploads`, where none goes in `callback_guard`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use md5::{Digest, Md5};
use rsa::pkcs8::DecodePublicKey;
use rsa::{Pkcs1v15Sign, RsaPublicKey};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use vodferry_oss::encode::decode_path;
use vodferry_oss::etag::{content_md5, etag_of_md5, md5};
use vodferry_oss::{Method, Request, Response, base64};
use vodferry_server::Config;

use crate::observe::{lines, until, value};
use crate::support::{BUCKET, Build, Server, exchange, refused, text, wire};

/// What an application answers.
pub(crate) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"seen\":true}";
pub(crate) const ANSWER: &[u8] = b"{\"seen\":true}";

/// An application that answers one request with these bytes; it returns what it was sent.
pub(crate) async fn application(answer: impl Into<Vec<u8>>) -> (SocketAddr, JoinHandle<Asked>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (addr, answer) = (listener.local_addr().unwrap(), answer.into());
    let task = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        serve(stream, &answer).await
    });
    (addr, task)
}

/// Answers one request.
pub(crate) async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &[u8]) -> Asked {
    let mut seen = Vec::new();
    while !is_whole(&seen) {
        assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
    }
    // One who refuses a long answer hangs up before its end.
    let _ = stream.write_all(answer).await;
    let _ = stream.shutdown().await;
    let seen = String::from_utf8(seen).unwrap();
    let (head, body) = seen.split_once("\r\n\r\n").unwrap();
    Asked { head: head.to_owned(), body: body.to_owned() }
}

fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}

/// What an application was sent.
pub(crate) struct Asked {
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Asked {
    fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().skip(1).map(|line| line.split_once(": ").unwrap());
        let (_, value) = lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).expect(name);
        value
    }

    /// The signature, checked as an application does it: by the key that the request names.
    async fn is_signed_by(&self, server: &Server) {
        let key_url = String::from_utf8(base64::decode(self.header("x-oss-pub-key-url")).unwrap());
        let key_url = key_url.unwrap();
        let ours = format!("http://{}", server.addr());
        let path = key_url.strip_prefix(&ours).expect("a key of this server");
        let head = format!("GET {path} HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n");
        let pem = exchange(server.addr(), Method::Get, head.as_bytes()).await;
        assert_eq!(pem.status, 200, "{}", text(&pem));
        let key =
            RsaPublicKey::from_public_key_pem(std::str::from_utf8(&pem.body).unwrap()).unwrap();
        let target = self.head.split(' ').nth(1).unwrap();
        let signed = match target.split_once('?') {
            Some((path, query)) => format!("{}?{query}", decode_path(path).unwrap()),
            None => decode_path(target).unwrap(),
        };
        let signature = base64::decode(self.header("authorization")).unwrap();
        let check = |text: String| {
            let scheme = Pkcs1v15Sign::new::<Md5>();
            key.verify(scheme, &Md5::digest(text.as_bytes()), &signature)
        };
        check(format!("{signed}\n{}", self.body)).unwrap();
        check(format!("{signed}\n{}&more=1", self.body)).unwrap_err();
    }
}

/// A server that may call this machine.
pub(crate) async fn trusting(change: impl FnOnce(&mut Config)) -> Server {
    Server::with(|config| {
        config.callback.allow = vec!["127.0.0.1".into()];
        change(config);
    })
    .await
}

/// The argument of a callback to `url` that sends this body.
pub(crate) fn argument(url: &str, body: &str, more: Value) -> String {
    let mut argument = json!({ "callbackUrl": url, "callbackBody": body });
    for (name, value) in more.as_object().unwrap() {
        argument[name.as_str()] = value.clone();
    }
    base64::encode(argument.to_string().as_bytes())
}

/// An upload that asks for a callback.
pub(crate) fn put(server: &Server, url: &str) -> Request {
    let argument = argument(url, "object=${object}", json!({}));
    server.request(Method::Put, "film.mp4").with("x-oss-callback", &argument).body(b"film")
}

/// The uploader got the application's answer.
pub(crate) fn is_answered(response: &Response) {
    assert_eq!(response.status, 200, "{}", text(response));
    assert_eq!(response.body, ANSWER);
    assert_eq!(response.header("content-type"), Some("application/json"));
    assert!(response.header("etag").is_some() && response.header("x-oss-hash-crc64ecma").is_some());
}

/// The callback failed in these words, and the object stays.
pub(crate) async fn is_failed(server: &Server, response: &Response, words: &str) {
    assert_eq!(refused(response, 203), "CallbackFailed");
    assert!(text(response).contains(words), "{words} in {}", text(response));
    assert_eq!(server.get("film.mp4").await.body, b"film");
}

#[tokio::test]
async fn an_application_is_told_by_a_form_that_it_can_check() {
    let server = trusting(|_| ()).await;
    let (addr, asked) = application(OK).await;
    let argument = argument(
        &format!("http://{addr}/c%20b/%E6%88%91?x=1%20"),
        "bucket=${bucket}&object=${object}&etag=${etag}&size=${size}&type=${mimeType}&who=${x:who}&no=${x:no}",
        json!({ "callbackHost": "app.example" }),
    );
    let request = server
        .request(Method::Put, "a b.mp4")
        .with("content-type", "video/mp4")
        .with("x-oss-callback", &argument)
        .with("x-oss-callback-var", &base64::encode(br#"{"x:who":"me & you"}"#))
        .body(b"film");
    is_answered(&server.send("a b.mp4", request).await);
    let asked = asked.await.unwrap();
    assert!(asked.head.starts_with("POST /c%20b/%E6%88%91?x=1%20 HTTP/1.1\r\n"), "{}", asked.head);
    for (name, value) in [
        ("host", "app.example"),
        ("connection", "close"),
        ("user-agent", "http-client/0.0.1"),
        ("content-type", "application/x-www-form-urlencoded"),
    ] {
        assert_eq!(asked.header(name), value);
    }
    let etag = etag_of_md5(&md5(b"film"));
    let body = "size=4&type=video%2Fmp4&who=me%20%26%20you&no=";
    assert_eq!(asked.body, format!("bucket={BUCKET}&object=a%20b.mp4&etag={etag}&{body}"));
    asked.is_signed_by(&server).await;
}

#[tokio::test]
async fn an_application_is_told_by_json_with_every_variable() {
    let server = trusting(|_| ()).await;
    let (addr, asked) = application(OK).await;
    let names = "bucket object etag size mimeType imageInfo.height imageInfo.width imageInfo.format \
                 crc64 contentMd5 vpcId clientIp reqId operation x:who x:no";
    let members = names.split_whitespace().map(|name| format!("\"{name}\":${{{name}}}"));
    let body = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    let argument =
        argument(&format!("{addr}"), &body, json!({ "callbackBodyType": "application/json" }));
    let picture = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x02\x80\0\0\x01\xe0\x08\x02\0\0\0";
    let key = "pictures/\"我\".png";
    let request = server
        .request(Method::Put, key)
        .with("x-oss-callback", &argument)
        .with("x-oss-callback-var", &base64::encode("{\"x:who\":\"\\\"我\\\"\"}".as_bytes()))
        .body(picture);
    let response = server.send(key, request).await;
    is_answered(&response);
    let asked = asked.await.unwrap();
    assert!(asked.head.starts_with("POST / HTTP/1.1\r\n"), "{}", asked.head);
    assert_eq!(asked.header("host"), addr.to_string());
    assert_eq!(asked.header("content-type"), "application/json");
    let told: Value = serde_json::from_str(&asked.body).unwrap();
    let expected = json!({
        "bucket": BUCKET, "object": key, "etag": etag_of_md5(&md5(picture)), "size": picture.len(),
        "mimeType": "application/octet-stream",
        "imageInfo.height": 480, "imageInfo.width": 640, "imageInfo.format": "png",
        "crc64": response.header("x-oss-hash-crc64ecma").unwrap(),
        "contentMd5": content_md5(&md5(picture)), "vpcId": "", "clientIp": "127.0.0.1",
        "reqId": response.header("x-oss-request-id").unwrap(), "operation": "PutObject",
        "x:who": "\"我\"", "x:no": "",
    });
    assert_eq!(told, expected);
    asked.is_signed_by(&server).await;
}

#[tokio::test]
async fn what_is_no_picture_has_no_size() {
    let server = trusting(|_| ()).await;
    let (addr, asked) = application(OK).await;
    let argument = argument(
        &addr.to_string(),
        "w=${imageInfo.width}&h=${imageInfo.height}&f=${imageInfo.format}&s=${size}",
        json!({}),
    );
    let request = server.request(Method::Put, "e").with("x-oss-callback", &argument);
    is_answered(&server.send("e", request).await);
    assert_eq!(asked.await.unwrap().body, "w=&h=&f=&s=0");
}

#[tokio::test]
async fn the_key_is_kept_and_nobody_else_may_read_it() {
    let server = Server::start().await;
    let get =
        b"GET /api/callback-public-key.pem HTTP/1.1\r\nHost: app\r\nConnection: close\r\n\r\n";
    let first = exchange(server.addr(), Method::Get, get).await;
    assert_eq!(first.status, 200, "{}", text(&first));
    assert!(first.body.starts_with(b"-----BEGIN PUBLIC KEY-----\n"));
    let Server { running, folder, .. } = server;
    running.shutdown().await;
    #[cfg(unix)]
    {
        let metadata = std::fs::metadata(folder.path().join("callback-key.pem")).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions());
        assert_eq!(mode & 0o777, 0o600);
    }
    let again = vodferry_server::serve(crate::support::config(folder.path())).await.unwrap();
    assert_eq!(exchange(again.addr(), Method::Get, get).await.body, first.body);
}

#[tokio::test]
async fn the_next_url_is_asked_when_one_fails() {
    let server = trusting(|_| ()).await;
    let (bad, first) = application("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await;
    let (good, second) = application(OK).await;
    let (spare, third) = application(OK).await;
    let request = put(&server, &format!("http://{bad}/;http://{good}/;{spare}"));
    is_answered(&server.send("film.mp4", request).await);
    assert_eq!(first.await.unwrap().body, second.await.unwrap().body);
    assert!(!third.is_finished());
    third.abort();
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_and_the_object_stays() {
    let server = trusting(|_| ()).await;
    let long = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\"{}\"", "a".repeat(2 << 20));
    let head = format!("HTTP/1.1 200 OK\r\nX-Long: {}\r\n\r\n{{}}", "a".repeat(1 << 20));
    for (answer, words) in [
        ("HTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\n{}".to_owned(), "Error status : 201."),
        ("HTTP/1.1 301 Moved\r\nContent-Length: 0\r\n\r\n".to_owned(), "Error status : 301."),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno".to_owned(), "is not valid json format."),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_owned(), "is not valid json format."),
        ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}".to_owned(), "was cut"),
        ("no HTTP\r\n\r\n".to_owned(), "did not answer in HTTP"),
        (String::new(), "did not answer in HTTP"),
        (head, "did not answer in HTTP"),
        (long, "longer than 1 MiB"),
    ] {
        let (addr, _asked) = application(answer).await;
        let request = put(&server, &format!("http://{addr}/"));
        is_failed(&server, &server.send("film.mp4", request).await, words).await;
    }
    // Both ways of telling where an answer ends.
    for answer in [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{\"seen\":true}\r\n0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n{\"seen\":true}",
    ] {
        let (addr, _asked) = application(answer).await;
        is_answered(&server.send("film.mp4", put(&server, &format!("http://{addr}/"))).await);
    }
    // Nobody listens there any more.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let request = put(&server, &format!("http://{}/", listener.local_addr().unwrap()));
    drop(listener);
    is_failed(&server, &server.send("film.mp4", request).await, "cannot be reached").await;
}

#[tokio::test]
async fn an_application_that_keeps_silent_or_drips_is_given_up() {
    let server = trusting(|_| ()).await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let dripping = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let drip_addr = dripping.local_addr().unwrap();
    let drip = tokio::spawn(async move {
        let (mut stream, _) = dripping.accept().await.unwrap();
        let begun = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";
        stream.write_all(begun).await.unwrap();
        while stream.write_all(b" ").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    let began = Instant::now();
    let first = put(&server, &format!("http://{}/", silent.local_addr().unwrap()));
    let second = put(&server, &format!("http://{drip_addr}/"));
    let (first, second) =
        tokio::join!(server.send("film.mp4", first), server.send("film.mp4", second));
    for response in [first, second] {
        is_failed(&server, &response, "did not answer in time").await;
    }
    assert!(began.elapsed() >= Duration::from_secs(5));
    // What runs out of time is hung up on.
    drip.await.unwrap();
}

#[tokio::test]
async fn an_uploader_that_hangs_up_does_not_end_the_callback() {
    let server = trusting(|config| config.metrics_listen = Some(([127, 0, 0, 1], 0).into())).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut request = put(&server, &listener.local_addr().unwrap().to_string());
    let now = crate::support::now_ms();
    vodferry_oss::sign::sign_v1(&mut request, BUCKET, "film.mp4", &server.operator(), now);
    let mut uploader = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    uploader.write_all(&wire(&request)).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    drop(uploader);
    until(&server, |text| value(text, "vodferry_requests_in_flight") == 0.0).await;
    serve(stream, OK.as_bytes()).await;
    let answered = "vodferry_callbacks_total{outcome=\"answered\"}";
    until(&server, |text| value(text, answered) == 1.0).await;
}

#[tokio::test]
async fn an_operator_sees_how_callbacks_go() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let server = trusting(|config| {
        config.metrics_listen = Some(([127, 0, 0, 1], 0).into());
        config.access_log = Some(log.clone());
    })
    .await;
    let (addr, _asked) = application(OK).await;
    server.send("film.mp4", put(&server, &format!("http://{addr}/"))).await;
    server.send("film.mp4", put(&server, "http://10.0.0.1/")).await;
    server.put("film.mp4", b"film").await;
    let seen = until(&server, |text| value(text, "vodferry_callback_seconds_count") == 2.0).await;
    for outcome in ["answered", "forbidden"] {
        let name = format!("vodferry_callbacks_total{{outcome=\"{outcome}\"}}");
        assert_eq!(value(&seen, &name), 1.0, "{seen}");
    }
    let lines = lines(&log, 3).await;
    let of = |line: usize| {
        let line = &lines[line];
        (line["status"].clone(), line["code"].clone(), line["callback"].clone())
    };
    assert_eq!(of(0), (200.into(), Value::Null, "answered".into()));
    assert_eq!(of(1), (203.into(), "CallbackFailed".into(), "forbidden".into()));
    assert_eq!(of(2), (200.into(), Value::Null, Value::Null));
}
