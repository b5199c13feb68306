//! AppendObject, sequential uploads, tags, and overwriting that is forbidden.

use vodferry_oss::crc64::crc64;
use vodferry_oss::etag::{content_md5, md5};
use vodferry_oss::{Method, Response, ServiceError};

use crate::support::{Build, Server, Upload, element, elements, noise, refused, text};

async fn append(server: &Server, key: &str, position: &str, bytes: &[u8]) -> Response {
    let request = server
        .request(Method::Post, key)
        .query("append", "")
        .query("position", position)
        .with("x-oss-meta-a", position)
        .body(bytes);
    server.send(key, request).await
}

#[tokio::test]
async fn an_object_grows_at_its_end() {
    let server = Server::start().await;
    let mut whole = Vec::new();
    for (round, length) in [0usize, 1, 70_000, 5].into_iter().enumerate() {
        let more = noise(length, round as u64);
        let response = append(&server, "log", &whole.len().to_string(), &more).await;
        assert_eq!(response.status, 200, "{}", text(&response));
        whole.extend(more);
        let next = whole.len().to_string();
        assert_eq!(response.header("x-oss-next-append-position"), Some(next.as_str()));
        assert_eq!(response.crc64(), Some(crc64(&whole)));
        assert!(response.header("etag").is_some());
    }
    let get = server.get("log").await;
    assert!(get.body == whole);
    assert_eq!(get.header("x-oss-object-type"), Some("Appendable"));
    assert_eq!(get.header("x-oss-meta-a"), Some("0"), "as the first request said");
    assert_eq!(get.crc64(), Some(crc64(&whole)));
    let range = server.request(Method::Get, "log").with("range", "bytes=0-9");
    assert_eq!(server.send("log", range).await.body, whole[..10]);
    let head = server.head("log").await;
    assert_eq!(head.header("x-oss-next-append-position"), Some("70006"));

    for position in ["70005", "0", "70007"] {
        let response = append(&server, "log", position, b"x").await;
        assert_eq!(refused(&response, 409), "PositionNotEqualToLength");
        assert_eq!(response.header("x-oss-next-append-position"), Some("70006"));
    }
    for position in ["", "-1", "x", "1.5"] {
        let response = append(&server, "log", position, b"x").await;
        assert_eq!(refused(&response, 400), "InvalidArgument", "{position}");
    }
    let early = append(&server, "other", "1", b"x").await;
    assert_eq!(refused(&early, 409), "PositionNotEqualToLength");
    assert_eq!(early.header("x-oss-next-append-position"), Some("0"));
    server.put("plain", b"x").await;
    assert_eq!(refused(&append(&server, "plain", "1", b"x").await, 409), "ObjectNotAppendable");

    // A copy, and what is put in its place, grow no more.
    let copy = server.request(Method::Put, "copy").with("x-oss-copy-source", "/vod-media/log");
    assert_eq!(server.send("copy", copy).await.status, 200);
    assert!(server.get("copy").await.body == whole);
    assert_eq!(refused(&append(&server, "copy", "70006", b"x").await, 409), "ObjectNotAppendable");
    server.put("log", b"new").await;
    assert_eq!(refused(&append(&server, "log", "3", b"x").await, 409), "ObjectNotAppendable");
    assert!(server.get("copy").await.body == whole);
}

#[tokio::test]
async fn bytes_appended_at_once_at_one_position_are_taken_once() {
    let server = Server::start().await;
    assert_eq!(append(&server, "log", "0", b"begin").await.status, 200);
    let tries: Vec<_> = (0..8).map(|_| append(&server, "log", "5", b"next")).collect();
    let answers = futures_util::future::join_all(tries).await;
    assert_eq!(answers.iter().filter(|response| response.status == 200).count(), 1);
    for lost in answers.iter().filter(|response| response.status != 200) {
        assert_eq!(refused(lost, 409), "PositionNotEqualToLength");
        assert_eq!(lost.header("x-oss-next-append-position"), Some("9"));
    }
    assert_eq!(server.get("log").await.body, b"beginnext");
}

#[tokio::test]
async fn parts_of_a_sequential_upload_come_in_order() {
    let server = Server::start().await;
    let begin = server.request(Method::Post, "k").query("uploads", "").query("sequential", "");
    let id = element(&server.send("k", begin).await, "UploadId");
    let upload = Upload { server: &server, who: server.operator(), key: "k".into(), id };
    let part = async |number: &str, bytes: &[u8]| {
        upload.send(upload.request(Method::Put).query("partNumber", number).body(bytes)).await
    };
    assert_eq!(refused(&part("2", b"two").await, 400), "PartNotSequential");
    let one = part("1", b"one").await;
    assert_eq!(one.status, 200);
    let etag = one.header("etag").unwrap().trim_matches('"').to_owned();
    let again = part("1", b"one").await;
    assert_eq!(refused(&again, 409), "PartAlreadyExist");
    let error = ServiceError::from_response(&again);
    assert_eq!(error.context("PartNumber"), Some("1"));
    assert_eq!(error.context("PartEtag"), Some(etag.as_str()));
    assert_eq!(refused(&part("3", b"three").await, 400), "PartNotSequential");
    assert_eq!(part("2", b"two").await.status, 200);
    let all = upload.request(Method::Post).with("x-oss-complete-all", "yes");
    assert_eq!(upload.send(all).await.status, 200);
    assert_eq!(server.get("k").await.body, b"onetwo");
    let head = server.head("k").await;
    assert_eq!(head.header("x-oss-object-type"), Some("Multipart"));
    assert_eq!(head.header("content-md5"), Some(content_md5(&md5(b"onetwo")).as_str()));
}

#[tokio::test]
async fn tags_are_kept_beside_an_object() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    let tagging = async |method: Method, body: &str| {
        let request = server.request(method, "k").query("tagging", "").body(body.as_bytes());
        server.send("k", request).await
    };
    let none = tagging(Method::Get, "").await;
    assert!(text(&none).contains("<Tagging><TagSet></TagSet></Tagging>"), "{}", text(&none));
    assert!(server.head("k").await.header("x-oss-tagging-count").is_none());
    let body = "<Tagging><TagSet><Tag><Key>a b</Key><Value>1+2</Value></Tag>\
                <Tag><Key>c</Key><Value></Value></Tag></TagSet></Tagging>";
    assert_eq!(tagging(Method::Put, body).await.status, 200);
    let shown = tagging(Method::Get, "").await;
    assert_eq!(elements(&shown, "Key"), ["a b", "c"]);
    assert_eq!(elements(&shown, "Value"), ["1+2", ""]);
    let head = server.head("k").await;
    assert_eq!(head.header("x-oss-tagging-count"), Some("2"));
    assert!(head.header("x-oss-tagging").is_none());
    assert_eq!(tagging(Method::Delete, "").await.status, 204);
    assert_eq!(elements(&tagging(Method::Get, "").await, "Key").len(), 0);

    for (body, code) in [
        ("<Tagging><TagSet><Tag><Value>1</Value></Tag></TagSet></Tagging>", "MalformedXML"),
        ("<Tagging><TagSet><Tag><Key></Key></Tag></TagSet></Tagging>", "InvalidTag"),
        (
            "<Tagging><TagSet><Tag><Key>a</Key></Tag><Tag><Key>a</Key></Tag></TagSet></Tagging>",
            "InvalidTag",
        ),
        ("", "MalformedXML"),
    ] {
        assert_eq!(refused(&tagging(Method::Put, body).await, 400), code, "{body}");
    }
    let put = server.request(Method::Put, "k").with("x-oss-tagging", "a=1&a=2").body(b"y");
    assert_eq!(refused(&server.send("k", put).await, 400), "InvalidTag");
    let put = server.request(Method::Put, "k").with("x-oss-tagging", "a=1&b=%C3%BC").body(b"y");
    assert_eq!(server.send("k", put).await.status, 200);
    assert_eq!(elements(&tagging(Method::Get, "").await, "Value"), ["1", "ü"]);
    let missing = server.request(Method::Get, "no").query("tagging", "");
    assert_eq!(refused(&server.send("no", missing).await, 404), "NoSuchKey");
}

#[tokio::test]
async fn an_upload_is_not_begun_where_overwriting_is_forbidden() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    let begin = |key: &str| {
        server
            .request(Method::Post, key)
            .query("uploads", "")
            .with("x-oss-forbid-overwrite", "true")
    };
    assert_eq!(refused(&server.send("k", begin("k")).await, 409), "FileAlreadyExists");
    assert_eq!(server.send("free", begin("free")).await.status, 200);
}

#[tokio::test]
async fn an_acl_may_come_with_each_way_to_make_an_object() {
    let server = Server::start().await;
    let anonymous =
        async |key: &str| server.send_raw(&server.request(Method::Get, key)).await.status;
    let public = |request: vodferry_oss::Request| request.with("x-oss-object-acl", "public-read");
    server.send("put", public(server.request(Method::Put, "put").body(b"x"))).await;
    assert_eq!(anonymous("put").await, 200);
    let upload = Upload::begin(&server, server.operator(), "parts").await;
    upload.part(1, b"x").await;
    let all = upload.request(Method::Post).with("x-oss-complete-all", "yes");
    assert_eq!(upload.send(public(all)).await.status, 200);
    assert_eq!(anonymous("parts").await, 200);
    let odd = server.request(Method::Put, "odd").with("x-oss-object-acl", "everybody").body(b"x");
    assert_eq!(refused(&server.send("odd", odd).await, 400), "InvalidArgument");
}
