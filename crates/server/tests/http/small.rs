//! Objects of few bytes, which need no file, and those that are made of both kinds.

use std::ops::Range;

use vodferry_oss::encode::encode_component;
use vodferry_oss::etag::{content_md5, etag_of_md5, md5, normalise};
use vodferry_oss::{Method, Response};
use vodferry_server::serve;
use vodferry_server::store::{FsckOptions, fsck};

use crate::support::{BUCKET, Build, Server, Upload, config, element, files, noise, refused, text};

async fn append(server: &Server, key: &str, position: usize, bytes: &[u8]) -> Response {
    let request = server
        .request(Method::Post, key)
        .query("append", "")
        .query("position", &position.to_string())
        .body(bytes);
    server.send(key, request).await
}

async fn copy(server: &Server, from: &str, to: &str) -> Response {
    let source = format!("/{BUCKET}/{}", encode_component(from));
    let request = server.request(Method::Put, to).with("x-oss-copy-source", &source);
    server.send(to, request).await
}

/// Each range as it is, and the whole.
async fn holds(server: &Server, key: &str, bytes: &[u8], ranges: &[Range<usize>]) {
    let whole = server.get(key).await;
    assert!(whole.status == 200 && whole.body == bytes, "{key}: {}", text(&whole));
    assert_eq!(whole.crc64(), Some(vodferry_oss::crc64::crc64(bytes)));
    let head = server.head(key).await;
    let length = bytes.len().to_string();
    assert_eq!(head.header("content-length"), Some(length.as_str()));
    for range in ranges {
        let text = format!("bytes={}-{}", range.start, range.end - 1);
        let got = server.send(key, server.request(Method::Get, key).with("range", &text)).await;
        assert!(got.status == 206 && got.body == bytes[range.clone()], "{key} {text}");
    }
}

#[tokio::test]
async fn an_object_of_few_bytes_is_like_any_other_and_has_no_file() {
    let server = Server::start().await;
    let film = noise(16 << 10, 1);
    let put = server.put("k", &film).await;
    assert_eq!(put.status, 200);
    assert_eq!(normalise(put.header("etag").unwrap()), etag_of_md5(&md5(&film)));
    assert_eq!(put.header("content-md5"), Some(content_md5(&md5(&film)).as_str()));
    holds(&server, "k", &film, &[0..1, 5000..9000, 16_383..16_384]).await;
    let chunked = server
        .request(Method::Put, "chunked")
        .with("transfer-encoding", "chunked")
        .body(b"4\r\nfilm\r\n5\r\n part\r\n0\r\n\r\n");
    assert_eq!(server.send("chunked", chunked).await.status, 200);
    holds(&server, "chunked", b"film part", &[3..6, 8..9]).await;
    assert_eq!(server.put("empty", b"").await.status, 200);
    holds(&server, "empty", b"", &[]).await;

    let copied = copy(&server, "k", "a copy").await;
    assert_eq!(
        normalise(&element(&copied, "ETag").replace("&quot;", "")),
        etag_of_md5(&md5(&film))
    );
    let delete = server.request(Method::Delete, "k");
    assert_eq!(server.send("k", delete).await.status, 204);
    assert_eq!(refused(&server.get("k").await, 404), "NoSuchKey");
    holds(&server, "a copy", &film, &[1..2, 3..9]).await;
    // The same content by a part that is copied, and one that is a range of it.
    let upload = Upload::begin(&server, server.operator(), "of parts").await;
    let mut etags = Vec::new();
    for (number, range) in [("1", "bytes=0-16383"), ("2", "bytes=10-19")] {
        let part = upload
            .request(Method::Put)
            .query("partNumber", number)
            .with("x-oss-copy-source", &format!("/{BUCKET}/a%20copy"))
            .with("x-oss-copy-source-range", range);
        let response = upload.send(part).await;
        assert_eq!(response.status, 200, "{}", text(&response));
        etags.push(normalise(response.header("etag").unwrap()));
    }
    assert_eq!(upload.complete(&[(1, &etags[0]), (2, &etags[1])]).await.status, 200);
    let whole = [&film[..], &film[10..20]].concat();
    holds(&server, "of parts", &whole, &[16_380..16_390, 16_384..16_394]).await;
    assert_eq!(files(&server), 0);
    // One more byte, and it has one.
    assert_eq!(server.put("k", &noise((16 << 10) + 1, 2)).await.status, 200);
    assert_eq!(files(&server), 1);
    assert_eq!(server.put("k", &film).await.status, 200);

    let folder = server.folder;
    server.running.shutdown().await;
    let whole_look = FsckOptions { verify_hashes: true, repair: false };
    let report = fsck(folder.path(), whole_look).unwrap();
    assert!(report.is_clean() && report.garbage == 1, "{report}");
    let running = serve(config(folder.path())).await.unwrap();
    let server = Server { running, folder, keys: server.keys };
    holds(&server, "k", &film, &[7..8, 0..16_384]).await;
    holds(&server, "of parts", &whole, &[]).await;
}

#[tokio::test]
async fn an_object_may_be_made_of_both_kinds() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let parts = [noise(100, 1), noise(300_000, 2), noise(16_000, 3), noise(20_000, 4), noise(1, 5)];
    let mut etags = Vec::new();
    for (number, bytes) in (1..).zip(&parts) {
        etags.push((number, upload.part(number, bytes).await));
    }
    let list: Vec<(u32, &str)> = etags.iter().map(|(n, etag)| (*n, etag.as_str())).collect();
    assert_eq!(upload.complete(&list).await.status, 200);
    let whole = parts.concat();
    let ranges = [0..100, 99..101, 50..330_000, 300_100..316_100, 336_099..336_101, 5..6];
    holds(&server, "k", &whole, &ranges).await;
    assert_eq!(files(&server), 2);

    let (mut log, mut kept) = (Vec::new(), Vec::new());
    for n in 0..60 {
        let bytes = noise(if n % 10 == 5 { 30_000 } else { 1 + n }, n as u64);
        let answer = append(&server, "log", log.len(), &bytes).await;
        assert_eq!(answer.status, 200, "{}", text(&answer));
        kept.push(log.len());
        log.extend(bytes);
        assert_eq!(answer.crc64(), Some(vodferry_oss::crc64::crc64(&log)));
    }
    let borders: Vec<_> = kept[1..].iter().map(|at| at - 1..at + 1).collect();
    holds(&server, "log", &log, &borders).await;
    assert_eq!(files(&server), 8);
    assert_eq!(copy(&server, "log", "copy").await.status, 200);
    holds(&server, "copy", &log, &[0..log.len(), 1..9]).await;
    assert_eq!(files(&server), 8);
}

/// So that a reader never gets more than a bounded number of bytes in one piece.
#[tokio::test]
async fn what_is_appended_far_behind_has_a_file_again() {
    let server = Server::start().await;
    let begin = noise(1 << 20, 1);
    assert_eq!(append(&server, "log", 0, &begin[..1_048_570]).await.status, 200);
    assert_eq!(append(&server, "log", 1_048_570, &begin[1_048_570..]).await.status, 200);
    assert_eq!(files(&server), 1);
    assert_eq!(append(&server, "log", 1 << 20, b"end").await.status, 200);
    assert_eq!(files(&server), 2);
    let whole = [&begin[..], b"end"].concat();
    holds(&server, "log", &whole, &[1_048_560..1_048_579, 1_048_577..1_048_578]).await;
}
