//! PutObject, GetObject, HeadObject, DeleteObject.

use vodferry_oss::crc64::crc64;
use vodferry_oss::etag::{content_md5, etag_of_md5, md5};
use vodferry_oss::{Method, Response};

use crate::support::{Build, Server, Upload, exchange, noise, refused, text, wire};

#[tokio::test]
async fn what_is_put_comes_back_with_its_headers() {
    let server = Server::start().await;
    let bytes = noise(300_000, 1);
    let request = server
        .request(Method::Put, "a/b.mp4")
        .with("content-type", "video/mp4")
        .with("cache-control", "no-cache")
        .with("content-disposition", "attachment; filename=b.mp4")
        .with("x-oss-meta-camera", "hand held")
        .with("x-oss-storage-class", "IA")
        .with("content-md5", &content_md5(&md5(&bytes)))
        .with("x-oss-hash-crc64ecma", &crc64(&bytes).to_string())
        .body(&bytes);
    let put = server.send("a/b.mp4", request).await;
    assert_eq!(put.status, 200, "{}", text(&put));
    let etag = format!("\"{}\"", etag_of_md5(&md5(&bytes)));
    assert_eq!(put.header("etag"), Some(etag.as_str()));
    assert_eq!(put.header("content-md5"), Some(content_md5(&md5(&bytes)).as_str()));
    assert_eq!(put.crc64(), Some(crc64(&bytes)));

    let get = server.get("a/b.mp4").await;
    assert!(get.body == bytes);
    let head = server.head("a/b.mp4").await;
    for reply in [&get, &head] {
        assert_eq!(reply.status, 200);
        for (name, value) in [
            ("etag", etag.as_str()),
            ("content-length", "300000"),
            ("content-type", "video/mp4"),
            ("cache-control", "no-cache"),
            ("content-disposition", "attachment; filename=b.mp4"),
            ("x-oss-meta-camera", "hand held"),
            ("x-oss-storage-class", "IA"),
            ("x-oss-object-type", "Normal"),
            ("accept-ranges", "bytes"),
            ("x-oss-hash-crc64ecma", &crc64(&bytes).to_string()),
            ("content-md5", &content_md5(&md5(&bytes))),
        ] {
            assert_eq!(reply.header(name), Some(value), "{name}");
        }
        assert!(reply.header("last-modified").unwrap().ends_with(" GMT"));
    }
    let meta = server
        .send("a/b.mp4", server.request(Method::Head, "a/b.mp4").query("objectMeta", ""))
        .await;
    assert_eq!(meta.header("content-length"), Some("300000"));
    assert_eq!(meta.header("etag"), Some(etag.as_str()));
    assert!(meta.header("x-oss-meta-camera").is_none());
}

#[tokio::test]
async fn a_replaced_object_is_the_new_one_whole() {
    let server = Server::start().await;
    server.put("k", b"old and long").await;
    server.put("k", b"new").await;
    assert_eq!(server.get("k").await.body, b"new");
    let keep = server.request(Method::Put, "k").with("x-oss-forbid-overwrite", "true").body(b"3");
    assert_eq!(refused(&server.send("k", keep).await, 409), "FileAlreadyExists");
    assert_eq!(server.get("k").await.body, b"new");
    let fresh = server.request(Method::Put, "f").with("x-oss-forbid-overwrite", "true").body(b"3");
    assert_eq!(server.send("f", fresh).await.status, 200);
}

#[tokio::test]
async fn nothing_is_an_object_too() {
    let server = Server::start().await;
    assert_eq!(server.put("empty", b"").await.status, 200);
    let get = server.get("empty").await;
    assert_eq!((get.status, get.header("content-length"), get.body.len()), (200, Some("0"), 0));
    assert_eq!(get.header("etag"), Some("\"D41D8CD98F00B204E9800998ECF8427E\""));
    let ranged = server.request(Method::Get, "empty").with("range", "bytes=0-0");
    assert_eq!(server.send("empty", ranged).await.status, 200);
}

#[tokio::test]
async fn a_body_in_chunks_has_no_length_before_it_ends() {
    let server = Server::start().await;
    let request = server.request(Method::Put, "c").with("transfer-encoding", "chunked");
    let signed = sign(&server, "c", request);
    let mut bytes = wire(&signed);
    bytes.extend(b"4\r\nmovi\r\n3;ext=1\r\nng \r\n8\r\npictures\r\n0\r\n\r\n");
    let put = exchange(server.addr(), Method::Put, &bytes).await;
    assert_eq!(put.status, 200, "{}", text(&put));
    assert_eq!(server.get("c").await.body, b"moving pictures");
}

#[tokio::test]
async fn damaged_bytes_leave_nothing() {
    // In a file, and without one.
    for (length, files) in [(20_000, 1), (4, 0)] {
        damaged(&noise(length, 1), &noise(length, 2), files).await;
    }
}

async fn damaged(good: &[u8], bad: &[u8], files: usize) {
    let server = Server::start().await;
    server.put("k", good).await;
    for (name, value, code) in [
        ("content-md5", content_md5(&md5(b"other")).as_str(), "InvalidDigest"),
        ("content-md5", "not base64", "InvalidDigest"),
        ("content-md5", "AAAA", "InvalidDigest"),
        ("x-oss-hash-crc64ecma", "1", "InvalidCRC64"),
        ("x-oss-hash-crc64ecma", "x", "InvalidArgument"),
    ] {
        let request = server.request(Method::Put, "k").with(name, value).body(bad);
        assert_eq!(refused(&server.send("k", request).await, 400), code, "{name}: {value}");
    }
    assert!(server.get("k").await.body == good);
    assert_eq!(blobs(&server), files, "refused bodies are removed");
}

#[tokio::test]
async fn ranges() {
    let server = Server::start().await;
    // Three small bodies, so that ranges cross their borders.
    let upload = Upload::begin(&server, server.operator(), "r").await;
    let one = upload.part(1, b"0123").await;
    let two = upload.part(2, b"4567").await;
    let three = upload.part(3, b"89").await;
    upload.complete(&[(1, &one), (2, &two), (3, &three)]).await;
    let get = async |range: &str, standard: bool| {
        let mut request = server.request(Method::Get, "r").with("range", range);
        if standard {
            request = request.with("x-oss-range-behavior", "standard");
        }
        server.send("r", request).await
    };
    for (range, body, shown) in [
        ("bytes=0-0", "0", "bytes 0-0/10"),
        ("bytes=3-4", "34", "bytes 3-4/10"),
        ("bytes=2-", "23456789", "bytes 2-9/10"),
        ("bytes=-3", "789", "bytes 7-9/10"),
        ("bytes=1-2,4-5", "12", "bytes 1-2/10"),
    ] {
        for standard in [false, true] {
            let response = get(range, standard).await;
            assert_eq!(response.status, 206, "{range}");
            assert_eq!(response.body, body.as_bytes(), "{range}");
            assert_eq!(response.header("content-range"), Some(shown));
            assert_eq!(response.header("content-length"), Some(body.len().to_string().as_str()));
        }
    }
    for range in ["bytes=5-10", "bytes=10-", "bytes=-11", "bytes=4-3", "lines=1-2", "bytes=x"] {
        let response = get(range, false).await;
        assert_eq!((response.status, response.body.len()), (200, 10), "{range}");
        assert!(response.header("content-range").is_none());
    }
    assert_eq!(get("bytes=5-10", true).await.body, b"56789");
    assert_eq!(refused(&get("bytes=10-", true).await, 416), "InvalidRange");
}

#[tokio::test]
async fn conditions() {
    let server = Server::start().await;
    let etag = server.put("k", b"x").await.header("etag").unwrap().trim_matches('"').to_owned();
    let lower = etag.to_ascii_lowercase();
    let modified = server.head("k").await.header("last-modified").unwrap().to_owned();
    let long_ago = "Fri, 20 Nov 2020 10:00:00 GMT";
    for (name, value, status) in [
        ("if-match", etag.as_str(), 200),
        ("if-match", &format!("\"{lower}\""), 200),
        ("if-match", "\"other\"", 412),
        ("if-none-match", &lower, 304),
        ("if-none-match", "*", 304),
        ("if-none-match", "\"other\"", 200),
        ("if-modified-since", &modified, 304),
        ("if-modified-since", long_ago, 200),
        ("if-modified-since", "not a date", 200),
        ("if-unmodified-since", &modified, 200),
        ("if-unmodified-since", long_ago, 412),
    ] {
        for method in [Method::Get, Method::Head] {
            let request = server.request(method, "k").with(name, value);
            let response = server.send("k", request).await;
            match status {
                412 => assert_eq!(refused(&response, 412), "PreconditionFailed", "{name}: {value}"),
                status => assert_eq!(response.status, status, "{name}: {value}"),
            }
            if status == 304 {
                assert!(response.body.is_empty() && response.header("etag").is_some());
            }
        }
    }
}

#[tokio::test]
async fn a_range_of_another_object_gives_the_whole_new_one() {
    let server = Server::start().await;
    let etag = server.put("k", b"0123456789").await.header("etag").unwrap().to_owned();
    let modified = server.head("k").await.header("last-modified").unwrap().to_owned();
    let statuses = async |condition: &str| {
        let request = server.request(Method::Get, "k").with("range", "bytes=5-");
        let response = server.send("k", request.with("if-range", condition)).await;
        (response.status, response.body.len())
    };
    assert_eq!(statuses(&etag).await, (206, 5));
    assert_eq!(statuses(&modified).await, (206, 5));
    assert_eq!(statuses("\"other\"").await, (200, 10));
    assert_eq!(statuses("Fri, 20 Nov 2020 10:00:00 GMT").await, (200, 10));
}

#[tokio::test]
async fn a_link_may_override_headers() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    let request = server
        .request(Method::Get, "k")
        .query("response-content-type", "text/plain")
        .query("response-content-disposition", "attachment; filename=\"a b.mp4\"");
    let response = server.send("k", request).await;
    assert_eq!(response.header("content-type"), Some("text/plain"));
    assert_eq!(response.header("content-disposition"), Some("attachment; filename=\"a b.mp4\""));
    // A line break cannot become a header of its own.
    let request = server.request(Method::Get, "k").query("response-content-type", "a\r\nx-evil: 1");
    let response = server.send("k", request).await;
    assert_eq!(refused(&response, 400), "InvalidArgument");
    assert!(response.header("x-evil").is_none());
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_missing() {
    let server = Server::start().await;
    assert_eq!(refused(&server.get("no").await, 404), "NoSuchKey");
    let head = server.head("no").await;
    assert!(head.header("x-oss-err").is_some() && head.body.is_empty());
    assert_eq!(refused(&head, 404), "NoSuchKey");
    let gone = |response: Response| assert_eq!(response.status, 204, "{}", text(&response));
    gone(server.send("no", server.request(Method::Delete, "no")).await);
    server.put("yes", b"x").await;
    let null = server.request(Method::Delete, "yes").query("versionId", "null");
    gone(server.send("yes", null).await);
    assert_eq!(refused(&server.get("yes").await, 404), "NoSuchKey");
}

#[tokio::test]
async fn what_this_server_lacks_it_says() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    for name in ["symlink", "restore", "x-oss-process", "img", "versions"] {
        for method in [Method::Get, Method::Put, Method::Post] {
            let request = server.request(method, "k").query(name, "");
            assert_eq!(refused(&server.send("k", request).await, 400), "NotImplemented", "{name}");
        }
    }
    for (name, value) in
        [("x-oss-symlink-target", "other"), ("x-oss-server-side-encryption", "AES256")]
    {
        let request = server.request(Method::Put, "k").with(name, value).body(b"y");
        assert_eq!(refused(&server.send("k", request).await, 400), "NotImplemented", "{name}");
    }
    let bucket = server.request(Method::Get, "").query("website", "");
    assert_eq!(refused(&server.send("", bucket).await, 400), "NotImplemented");
    let post = server.request(Method::Post, "k");
    assert_eq!(refused(&server.send("k", post).await, 405), "MethodNotAllowed");
    assert_eq!(server.get("k").await.body, b"x");
}

fn sign(server: &Server, key: &str, mut request: vodferry_oss::Request) -> vodferry_oss::Request {
    let now = crate::support::now_ms();
    vodferry_oss::sign::sign_v1(&mut request, crate::support::BUCKET, key, &server.operator(), now);
    request
}

/// Files below `blobs`, and none may be in `tmp`.
fn blobs(server: &Server) -> usize {
    let files = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap().count();
    assert_eq!(files(&server.folder.path().join("tmp")), 0);
    std::fs::read_dir(server.folder.path().join("blobs"))
        .unwrap()
        .map(|folder| files(&folder.unwrap().path()))
        .sum()
}
