//! What an operator sees: `/metrics` and the access log.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use vodferry_oss::Method;
use vodferry_oss::sign::presign_v1;

use crate::support::{BUCKET, Build, Server, Upload, exchange, noise, now_ms, text};

pub(crate) async fn metrics(server: &Server) -> String {
    let addr = server.running.metrics_addr().unwrap();
    let head = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let response = exchange(addr, Method::Get, head).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    let kind = response.header("content-type").unwrap();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    String::from_utf8(response.body).unwrap()
}

/// The value of the line that begins so; none is 0.
pub(crate) fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |value| value.parse().unwrap())
}

/// Waits until the metrics are so: a request is counted after its reply has left.
pub(crate) async fn until(server: &Server, good: impl Fn(&str) -> bool) -> String {
    let mut last = String::new();
    for _ in 0..200 {
        last = metrics(server).await;
        if good(&last) {
            return last;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never so: {last}")
}

/// The lines of a log, once there are so many.
pub(crate) async fn lines(path: &Path, count: usize) -> Vec<Value> {
    for _ in 0..200 {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        if text.lines().count() >= count && text.ends_with('\n') {
            return text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no {count} lines in {}", path.display())
}

#[tokio::test]
async fn requests_parts_and_bytes_are_counted() {
    let server =
        Server::with(|config| config.metrics_listen = Some(([127, 0, 0, 1], 0).into())).await;
    let upload = Upload::begin(&server, server.operator(), "film").await;
    let etag = upload.part(1, &noise(70_000, 1)).await;
    assert_eq!(upload.complete(&[(1, &etag)]).await.status, 200);
    assert_eq!(server.get("film").await.body.len(), 70_000);
    assert_eq!(server.get("nothing").await.status, 404);
    // No label is of a client's making.
    let odd = "GET /?Action=Invented\"Label&Version=2015-04-01 HTTP/1.1\r\nHost: x\r\n\r\n";
    exchange(server.addr(), Method::Get, odd.replace('"', "%22").as_bytes()).await;
    exchange(server.addr(), Method::Get, b"\x16\x03\x01 no HTTP\r\n\r\n").await;

    let seen = until(&server, |text| {
        value(text, "vodferry_requests_in_flight") == 0.0
            && value(text, "vodferry_janitor_rounds_total") >= 1.0
            && value(text, "vodferry_connections") == 0.0
    })
    .await;
    let count = |labels: &str| value(&seen, &format!("vodferry_requests_total{{{labels}}}"));
    assert_eq!(count("operation=\"UploadPart\",status=\"200\",code=\"\""), 1.0, "{seen}");
    assert_eq!(count("operation=\"GetObject\",status=\"404\",code=\"NoSuchKey\""), 1.0, "{seen}");
    assert_eq!(count("operation=\"none\",status=\"400\",code=\"InvalidRequest\""), 1.0, "{seen}");
    let strange = "operation=\"none\",status=\"404\",code=\"InvalidAction.NotFound\"";
    assert_eq!(count(strange), 1.0, "{seen}");
    assert_eq!(value(&seen, "vodferry_parts_total"), 1.0);
    assert_eq!(value(&seen, "vodferry_part_bytes_total"), 70_000.0);
    assert!(value(&seen, "vodferry_sent_bytes_total") >= 70_000.0);
    assert!(value(&seen, "vodferry_received_bytes_total") >= 70_000.0);
    assert_eq!(value(&seen, "vodferry_request_seconds_count{operation=\"UploadPart\"}"), 1.0);
    assert!(value(&seen, "vodferry_janitor_last_round_seconds") > 1.0e9, "{seen}");
    let secret = server.operator();
    assert!(!seen.contains(&secret.access_key_id) && !seen.contains("Invented"), "{seen}");
    assert!(!seen.contains(BUCKET) && !seen.contains("film"), "{seen}");
}

#[tokio::test]
async fn metrics_are_on_their_own_address_only() {
    let server =
        Server::with(|config| config.metrics_listen = Some(([127, 0, 0, 1], 0).into())).await;
    let head = b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let response = exchange(server.addr(), Method::Get, head).await;
    assert_eq!(response.status, 404, "a bucket of this name, which is not there");
    let addr = server.running.metrics_addr().unwrap();
    for (head, status) in [("GET /", 404), ("POST /metrics", 405), ("GET /vod-media/film", 404)] {
        let head = format!("{head} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(exchange(addr, Method::Get, head.as_bytes()).await.status, status, "{head}");
    }
    assert_eq!(Server::start().await.running.metrics_addr(), None);
}

#[tokio::test]
async fn a_request_that_was_cut_is_counted_and_is_no_longer_in_flight() {
    let server =
        Server::with(|config| config.metrics_listen = Some(([127, 0, 0, 1], 0).into())).await;
    let head = crate::support::wire(&{
        let mut request = server.request(Method::Put, "film").with("content-length", "1000");
        vodferry_oss::sign::sign_v1(&mut request, BUCKET, "film", &server.operator(), now_ms());
        request
    });
    let mut stream = TcpStream::connect(server.addr()).await.unwrap();
    stream.write_all(&head).await.unwrap();
    stream.write_all(b"half").await.unwrap();
    until(&server, |text| value(text, "vodferry_requests_in_flight") == 1.0).await;
    drop(stream);
    let seen = until(&server, |text| value(text, "vodferry_requests_in_flight") == 0.0).await;
    let put =
        seen.lines().filter(|l| l.starts_with("vodferry_requests_total{operation=\"PutObject\""));
    assert_eq!(put.count(), 1, "{seen}");
}

#[tokio::test]
async fn each_request_has_a_line_without_a_secret() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let server = Server::with(|config| config.access_log = Some(path.clone())).await;
    let id = server.operator().access_key_id.clone();
    assert_eq!(server.put("a \"film\"", b"bytes").await.status, 200);
    assert_eq!(server.get("nothing").await.status, 404);
    let grant = server.create("film.mp4").await;
    let mut presigned = server.request(Method::Get, "a \"film\"");
    let until = now_ms() as u64 / 1000 + 60;
    presign_v1(&mut presigned, BUCKET, "a \"film\"", &server.operator(), until);
    assert_eq!(server.send_raw(&presigned).await.status, 200);
    exchange(server.addr(), Method::Get, b"no HTTP\r\n\r\n").await;

    let lines = lines(&path, 5).await;
    let [put, missing, create, url, refused] = lines.as_slice() else { panic!("{lines:?}") };
    assert_eq!(
        (&put["method"], &put["bucket"], &put["key"], &put["operation"], &put["status"]),
        (&"PUT".into(), &BUCKET.into(), &"a \"film\"".into(), &"PutObject".into(), &200.into())
    );
    assert_eq!((&put["received"], &put["sent"]), (&5.into(), &0.into()));
    assert_eq!((&put["access_key_id"], &put["remote"]), (&id.as_str().into(), &"127.0.0.1".into()));
    assert_eq!(put["request_id"].as_str().unwrap().len(), 24);
    assert!(put["ms"].is_u64() && put["time"].as_str().unwrap().ends_with('Z'), "{put}");
    assert_eq!((&put["tls"], &put["protocol"]), (&false.into(), &"HTTP/1.1".into()));
    assert_eq!((&missing["status"], &missing["code"]), (&404.into(), &"NoSuchKey".into()));
    assert_eq!((&create["operation"], &create["status"]), (&"UploadAuth".into(), &200.into()));
    assert_eq!((&url["operation"], &url["sent"]), (&"GetObject".into(), &5.into()));
    assert_eq!((&refused["status"], &refused["code"]), (&400.into(), &"InvalidRequest".into()));

    let whole = std::fs::read_to_string(&path).unwrap();
    let keys = &server.keys;
    for secret in [
        server.operator().access_key_secret.expose(),
        grant.credential.security_token.as_ref().unwrap().expose(),
        grant.credential.access_key_secret.expose(),
        keys.app_server_token.expose(),
        "Signature",
        "OSS ",
        "Expires",
        "?",
    ] {
        assert!(!whole.contains(secret), "{secret} in {whole}");
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_access_log_is_for_its_owner_and_goes_on_after_a_move() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let server = Server::with(|config| config.access_log = Some(path.clone())).await;
    server.get("one").await;
    lines(&path, 1).await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o007, 0);
    std::fs::rename(&path, folder.path().join("old")).unwrap();
    server.running.reload();
    server.get("two").await;
    assert_eq!(lines(&path, 1).await[0]["key"], "two");
    server.running.shutdown().await;
}

#[tokio::test]
async fn an_access_log_that_cannot_be_written_is_told_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = crate::support::config(&folder.path().join("data"));
    config.access_log = Some(folder.path().join("not/there"));
    let error = vodferry_server::serve(config).await.unwrap_err().to_string();
    assert!(error.starts_with("cannot write the access log") && error.contains("there"), "{error}");
}
