//! CopyObject, UploadPartCopy.

use vodferry_oss::crc64::crc64;
use vodferry_oss::etag::{etag_of_md5, md5, quote};
use vodferry_oss::{Method, Request, Response};

use crate::support::{BUCKET, Build, Server, Upload, element, files, noise, refused, text};

fn copy(server: &Server, key: &str, source: &str) -> Request {
    server.request(Method::Put, key).with("x-oss-copy-source", source)
}

async fn copied(server: &Server, key: &str, request: Request) -> Response {
    let response = server.send(key, request).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    response
}

#[tokio::test]
async fn a_copy_has_the_bytes_and_the_headers_and_moves_nothing() {
    let server = Server::start().await;
    let bytes = noise(200_000, 1);
    let put = server
        .request(Method::Put, "from/a b+ü.mp4")
        .with("content-type", "video/mp4")
        .with("x-oss-meta-a", "1")
        .with("x-oss-tagging", "t=1")
        .with("x-oss-object-acl", "public-read")
        .body(&bytes);
    assert_eq!(server.send("from/a b+ü.mp4", put).await.status, 200);
    let before = files(&server);
    let source = "/vod-media/from%2Fa%20b%2B%C3%BC.mp4";
    let response = copied(&server, "to", copy(&server, "to", source)).await;
    let etag = quote(&etag_of_md5(&md5(&bytes)));
    assert_eq!(element(&response, "ETag"), etag);
    assert!(element(&response, "LastModified").ends_with(".000Z"));
    assert!(text(&response).contains("<CopyObjectResult>"));
    assert_eq!(response.header("etag"), Some(etag.as_str()));
    assert_eq!(response.crc64(), Some(crc64(&bytes)));
    assert_eq!(files(&server), before, "both name the same bytes");
    let head = server.head("to").await;
    for (name, value) in
        [("content-type", "video/mp4"), ("x-oss-meta-a", "1"), ("x-oss-tagging-count", "1")]
    {
        assert_eq!(head.header(name), Some(value));
    }
    let acl = server.request(Method::Get, "to").query("acl", "");
    assert_eq!(element(&server.send("to", acl).await, "Grant"), "default", "an ACL is not copied");
    // A blank may be a plus there, too.
    copied(&server, "plus", copy(&server, "plus", "/vod-media/from/a+b%2B%C3%BC.mp4")).await;

    // The original may go.
    let source = "from/a b+ü.mp4";
    assert_eq!(server.send(source, server.request(Method::Delete, source)).await.status, 204);
    assert!(server.get("to").await.body == bytes);
}

#[tokio::test]
async fn directives_tell_whose_headers_a_copy_has() {
    let server = Server::start().await;
    let put = server
        .request(Method::Put, "a")
        .with("content-type", "video/mp4")
        .with("x-oss-meta-a", "1")
        .with("x-oss-tagging", "t=1")
        .body(b"x");
    server.send("a", put).await;
    let from = |to: &str| copy(&server, to, "/vod-media/a").with("content-type", "text/plain");
    copied(&server, "kept", from("kept")).await;
    let kept = server.head("kept").await;
    assert_eq!(kept.header("content-type"), Some("video/mp4"));
    let replace = from("replaced")
        .with("x-oss-metadata-directive", "REPLACE")
        .with("x-oss-meta-b", "2")
        .with("x-oss-tagging-directive", "Replace")
        .with("x-oss-tagging", "u=2&v=3")
        .with("x-oss-object-acl", "private");
    copied(&server, "replaced", replace).await;
    let replaced = server.head("replaced").await;
    assert_eq!(replaced.header("content-type"), Some("text/plain"));
    assert_eq!(replaced.header("x-oss-meta-b"), Some("2"));
    assert_eq!(replaced.header("x-oss-tagging-count"), Some("2"));
    assert!(replaced.header("x-oss-meta-a").is_none());
    // Onto itself: the way to change headers.
    copied(&server, "a", from("a").with("x-oss-meta-c", "3")).await;
    let changed = server.head("a").await;
    assert_eq!(changed.header("content-type"), Some("text/plain"));
    assert_eq!(changed.header("x-oss-meta-c"), Some("3"));
    assert_eq!(changed.header("x-oss-tagging-count"), Some("1"));
    assert_eq!(server.get("a").await.body, b"x");
    let odd = from("b").with("x-oss-metadata-directive", "MERGE");
    assert_eq!(refused(&server.send("b", odd).await, 400), "InvalidArgument");
}

#[tokio::test]
async fn copies_have_conditions_and_refusals() {
    let server = Server::start().await;
    let etag = server.put("a", b"x").await.header("etag").unwrap().to_owned();
    server.put("taken", b"y").await;
    let past = "Fri, 20 Nov 2020 10:00:00 GMT";
    for (name, value, status) in [
        ("x-oss-copy-source-if-match", etag.as_str(), 200),
        ("x-oss-copy-source-if-match", "\"other\"", 412),
        ("x-oss-copy-source-if-none-match", etag.as_str(), 304),
        ("x-oss-copy-source-if-none-match", "\"other\"", 200),
        ("x-oss-copy-source-if-modified-since", past, 200),
        ("x-oss-copy-source-if-unmodified-since", past, 412),
    ] {
        let response = server.send("b", copy(&server, "b", "/vod-media/a").with(name, value)).await;
        assert_eq!(response.status, status, "{name}: {value}");
    }
    for (source, status, code) in [
        ("/vod-media/none", 404, "NoSuchKey"),
        ("/no-such-bucket/a", 404, "NoSuchBucket"),
        ("/vod-media/", 400, "InvalidArgument"),
        ("vod-media", 400, "InvalidArgument"),
        ("/vod-media/%zz", 400, "InvalidArgument"),
        ("/vod-media/a?versionId=1", 400, "NotImplemented"),
    ] {
        let response = server.send("b", copy(&server, "b", source)).await;
        assert_eq!(refused(&response, status), code, "{source}");
    }
    copied(&server, "b", copy(&server, "b", "/vod-media/a?versionId=null")).await;
    let keep = copy(&server, "taken", "/vod-media/a").with("x-oss-forbid-overwrite", "true");
    assert_eq!(refused(&server.send("taken", keep).await, 409), "FileAlreadyExists");
    assert_eq!(server.get("taken").await.body, b"y");

    // Who may write one key may not read another through it.
    let grant = server.create("film.mp4").await;
    let key = &grant.target.key;
    let steal = copy(&server, key, "/vod-media/a");
    assert_eq!(refused(&server.send_as(&grant.credential, key, steal).await, 403), "AccessDenied");
    let upload = Upload::begin(&server, grant.credential.clone(), key).await;
    let steal = upload
        .request(Method::Put)
        .query("partNumber", "1")
        .with("x-oss-copy-source", "/vod-media/a");
    assert_eq!(refused(&upload.send(steal).await, 403), "AccessDenied");
}

#[tokio::test]
async fn a_copy_is_of_one_version_of_its_source() {
    let server = Server::start().await;
    let write = async |version: u32| {
        let text = version.to_string();
        let put = server.request(Method::Put, "a").with("x-oss-meta-version", &text);
        assert_eq!(server.send("a", put.body(text.as_bytes())).await.status, 200);
    };
    write(0).await;
    let writing = async {
        for version in 1.. {
            write(version).await;
        }
    };
    let copying = async {
        for _ in 0..150 {
            copied(&server, "b", copy(&server, "b", "/vod-media/a")).await;
            let got = server.get("b").await;
            let body = String::from_utf8(got.body.clone()).unwrap();
            assert_eq!(got.header("x-oss-meta-version"), Some(body.as_str()));
        }
    };
    tokio::select! {
        () = writing => {}
        () = copying => {}
    }
}

#[tokio::test]
async fn parts_are_copied_whole_or_by_range() {
    let server = Server::start().await;
    let first = Upload::begin(&server, server.operator(), "source").await;
    let one = first.part(1, &noise(150_000, 1)).await;
    let two = first.part(2, &noise(1_000, 2)).await;
    assert_eq!(first.complete(&[(1, &one), (2, &two)]).await.status, 200);
    let bytes = [noise(150_000, 1), noise(1_000, 2)].concat();

    let upload = Upload::begin(&server, server.operator(), "k").await;
    let part = async |number: &str, range: &str| {
        let mut request = upload
            .request(Method::Put)
            .query("partNumber", number)
            .with("x-oss-copy-source", "/vod-media/source");
        if !range.is_empty() {
            request = request.with("x-oss-copy-source-range", range);
        }
        upload.send(request).await
    };
    let mut etags = Vec::new();
    for (number, range, expected) in [
        ("1", "", &bytes[..]),
        ("2", "bytes=149990-150009", &bytes[149_990..150_010]),
        ("3", "bytes=0-", &bytes[..]),
        ("4", "bytes=150999-999999", &bytes[150_999..]),
    ] {
        let response = part(number, range).await;
        assert_eq!(response.status, 200, "{range}: {}", text(&response));
        let etag = etag_of_md5(&md5(expected));
        assert_eq!(element(&response, "ETag"), quote(&etag), "{range}");
        assert_eq!(response.header("etag"), Some(quote(&etag).as_str()));
        assert!(text(&response).contains("<CopyPartResult>"));
        etags.push(etag);
    }
    assert_eq!(refused(&part("5", "bytes=151000-").await, 416), "InvalidRange");
    assert_eq!(refused(&part("5", "lines=1-2").await, 400), "InvalidArgument");
    assert_eq!(refused(&part("0", "").await, 400), "InvalidArgument");
    let list: Vec<(u32, &str)> = (1..).zip(etags.iter().map(String::as_str)).collect();
    assert_eq!(upload.complete(&list).await.status, 200);
    let whole = [&bytes[..], &bytes[149_990..150_010], &bytes[..], &bytes[150_999..]].concat();
    assert!(server.get("k").await.body == whole);

    let gone = upload
        .request(Method::Put)
        .query("partNumber", "1")
        .with("x-oss-copy-source", &format!("/{BUCKET}/source"));
    assert_eq!(refused(&upload.send(gone).await, 404), "NoSuchUpload");
}
