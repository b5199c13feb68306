//! Initiate, UploadPart, ListParts, Complete, Abort.

use vodferry_oss::crc64::{combine, crc64};
use vodferry_oss::etag::{content_md5, md5, multipart_etag, quote};
use vodferry_oss::xml::{CompleteMultipartUploadResult, ListPartsResult};
use vodferry_oss::{Method, ServiceError};

use crate::support::{Build, Server, Upload, noise, refused, text};

#[tokio::test]
async fn parts_become_an_object_in_the_order_of_their_numbers() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    assert!(upload.id.len() == 32 && upload.id.bytes().all(|b| b.is_ascii_hexdigit()));
    let parts = [(2u32, noise(5000, 2)), (10_000, noise(70, 3)), (1, noise(4000, 1))];
    let mut etags = Vec::new();
    for (number, bytes) in &parts {
        etags.push(upload.part(*number, bytes).await);
    }
    let done = upload.complete(&[(1, &etags[2]), (2, &etags[0]), (10_000, &etags[1])]).await;
    let etag = multipart_etag([&etags[2], &etags[0], &etags[1]]);
    let result = CompleteMultipartUploadResult::decode(&done.body).unwrap();
    assert_eq!(result.etag, etag);
    assert_eq!(done.header("etag"), Some(quote(&etag).as_str()));
    let whole = [&parts[2].1[..], &parts[0].1, &parts[1].1].concat();
    let sum = combine(crc64(&parts[2].1), crc64(&parts[0].1), 5000);
    assert_eq!(done.crc64(), Some(combine(sum, crc64(&parts[1].1), 70)));
    let get = server.get("k").await;
    assert!(get.body == whole);
    assert_eq!(get.header("x-oss-object-type"), Some("Multipart"));
    assert_eq!(get.crc64(), Some(crc64(&whole)));
    assert!(get.header("content-md5").is_none());
}

#[tokio::test]
async fn headers_of_initiate_are_the_objects() {
    let server = Server::start().await;
    let request = server
        .request(Method::Post, "k")
        .query("uploads", "")
        .with("content-type", "video/webm")
        .with("x-oss-meta-a", "b");
    let response = server.send("k", request).await;
    let id = vodferry_oss::xml::InitiateMultipartUploadResult::decode(&response.body).unwrap();
    let upload =
        Upload { server: &server, who: server.operator(), key: "k".into(), id: id.upload_id };
    let part = upload.request(Method::Put).query("partNumber", "1").with("content-type", "x/y");
    let etag = upload.send(part.body(b"1")).await.header("etag").unwrap().to_owned();
    assert_eq!(upload.complete(&[(1, etag.trim_matches('"'))]).await.status, 200);
    let head = server.head("k").await;
    assert_eq!(head.header("content-type"), Some("video/webm"));
    assert_eq!(head.header("x-oss-meta-a"), Some("b"));
}

#[tokio::test]
async fn a_part_sent_again_replaces_the_first() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let old = upload.part(1, b"old").await;
    let new = upload.part(1, b"newer").await;
    assert_eq!(upload.list().await.parts.len(), 1);
    let refusal = upload.complete(&[(1, &old)]).await;
    assert_eq!(refused(&refusal, 400), "InvalidPart");
    let error = ServiceError::from_response(&refusal);
    assert_eq!(error.context("PartNumber"), Some("1"));
    assert_eq!(upload.complete(&[(1, &new)]).await.status, 200);
    assert_eq!(server.get("k").await.body, b"newer");
}

#[tokio::test]
async fn a_listing_comes_in_pages() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    for number in [1, 2, 3, 7, 9] {
        upload.part(number, &[number as u8]).await;
    }
    let page = async |max: &str, marker: &str| {
        let request =
            upload.request(Method::Get).query("max-parts", max).query("part-number-marker", marker);
        upload.send(request).await
    };
    let mut seen = Vec::new();
    let mut marker = String::new();
    loop {
        let response = page("2", &marker).await;
        let listed = ListPartsResult::decode(&response.body).unwrap();
        assert_eq!(listed.max_parts, 2);
        seen.extend(listed.parts.iter().map(|part| part.number));
        marker = listed.next_part_number_marker.to_string();
        if !listed.is_truncated {
            break;
        }
    }
    assert_eq!(seen, [1, 2, 3, 7, 9]);
    let empty = ListPartsResult::decode(&page("", "9").await.body).unwrap();
    assert!(empty.parts.is_empty() && !empty.is_truncated);
    assert_eq!((empty.max_parts, empty.next_part_number_marker), (1000, 0));
    for (max, marker) in
        [("0", "0"), ("1001", "0"), ("-1", "0"), ("x", "0"), ("1", "x"), ("1", "10001")]
    {
        let response = page(max, marker).await;
        assert_eq!(refused(&response, 400), "InvalidArgument", "{max} {marker}");
    }
}

#[tokio::test]
async fn part_numbers_have_bounds() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    for number in ["0", "10001", "-1", "+1", "x", "", "1.0", "99999999999999999999"] {
        let request = upload.request(Method::Put).query("partNumber", number).body(b"x");
        let response = upload.send(request).await;
        assert_eq!(refused(&response, 400), "InvalidArgument", "{number}");
        let error = ServiceError::from_response(&response);
        assert_eq!(error.context("ArgumentName"), Some("partNumber"));
        assert_eq!(error.context("ArgumentValue").unwrap_or_default(), number);
    }
    let alone = server.request(Method::Put, "k").query("partNumber", "1").body(b"x");
    assert_eq!(refused(&server.send("k", alone).await, 400), "InvalidArgument");
    let alone = upload.request(Method::Put).body(b"x");
    assert_eq!(refused(&upload.send(alone).await, 400), "InvalidArgument");
    upload.part(10_000, b"x").await;
    assert_eq!(upload.list().await.parts.len(), 1);
}

#[tokio::test]
async fn a_damaged_part_is_not_kept() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let etag = upload.part(1, b"good").await;
    let put = |name: &str, value: &str| {
        upload.request(Method::Put).query("partNumber", "1").with(name, value).body(b"evil")
    };
    let response = upload.send(put("content-md5", &content_md5(&md5(b"else")))).await;
    assert_eq!(refused(&response, 400), "InvalidDigest");
    let response = upload.send(put("x-oss-hash-crc64ecma", "17")).await;
    assert_eq!(refused(&response, 400), "InvalidCRC64");
    let listed = upload.list().await;
    assert_eq!((listed.parts.len(), &listed.parts[0].etag), (1, &etag));
}

#[tokio::test]
async fn wrong_part_lists_are_refused_and_the_upload_lives_on() {
    let server = Server::with(|config| config.min_part_size = 100).await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let one = upload.part(1, &[1; 100]).await;
    let two = upload.part(2, &[2; 99]).await;
    let three = upload.part(3, &[3; 5]).await;
    let other = "0".repeat(32);
    for (list, code) in [
        (vec![(2, &two), (1, &one)], "InvalidPartOrder"),
        (vec![(1, &one), (1, &one)], "InvalidPartOrder"),
        (vec![(1, &one), (4, &two)], "InvalidPart"),
        (vec![(1, &other)], "InvalidPart"),
        (vec![(1, &one), (2, &two), (3, &three)], "EntityTooSmall"),
    ] {
        let list: Vec<(u32, &str)> = list.into_iter().map(|(n, etag)| (n, etag.as_str())).collect();
        assert_eq!(refused(&upload.complete(&list).await, 400), code);
    }
    let complete =
        async |body: &str| upload.send(upload.request(Method::Post).body(body.as_bytes())).await;
    for body in [
        "",
        "not xml",
        "<html><body>502</body></html>",
        "<CompleteMultipartUpload>",
        // An empty list.
        "<CompleteMultipartUpload></CompleteMultipartUpload>",
        "<CompleteMultipartUpload />",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber>one</PartNumber><ETag>x</ETag></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x</ETag><ETag>y</ETag></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>x<b/></ETag></Part></CompleteMultipartUpload>",
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><CompleteMultipartUpload>&b;</CompleteMultipartUpload>",
        "\u{fffe}",
    ] {
        assert_eq!(refused(&complete(body).await, 400), "MalformedXML", "{body}");
    }
    // Every way in which clients write an ETag.
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<CompleteMultipartUpload xmlns=\"http://x\">\n \
         <Part><PartNumber>1</PartNumber><ETag>&#34;{}&#34;</ETag></Part>\n \
         <Part><ETag>&quot;{two}&quot;</ETag><PartNumber>2</PartNumber></Part></CompleteMultipartUpload>",
        one.to_ascii_lowercase()
    );
    let done = complete(&body).await;
    assert_eq!(done.status, 200, "{}", text(&done));
    assert_eq!(server.get("k").await.body.len(), 199, "the part that is not listed is dropped");
}

#[tokio::test]
async fn all_parts_can_be_completed_without_a_list() {
    let server = Server::start().await;
    for body in ["", "<CompleteMultipartUpload />"] {
        let upload = Upload::begin(&server, server.operator(), "k").await;
        upload.part(3, b"3").await;
        let etag = upload.part(1, b"1").await;
        let all = |body: &str, value: &str| {
            let request = upload.request(Method::Post).with("x-oss-complete-all", value);
            upload.send(request.body(body.as_bytes()))
        };
        assert_eq!(refused(&all("", "maybe").await, 400), "InvalidArgument");
        let list = format!(
            "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
        );
        assert_eq!(refused(&all(&list, "yes").await, 400), "InvalidArgument");
        assert_eq!(all(body, "yes").await.status, 200);
        assert_eq!(server.get("k").await.body, b"13");
    }
}

/// Clients rely on it where there is nothing to lose.
#[tokio::test]
async fn an_upload_without_parts_makes_an_empty_object_of_an_empty_list() {
    let server = Server::start().await;
    for body in
        ["<CompleteMultipartUpload></CompleteMultipartUpload>", "<CompleteMultipartUpload />"]
    {
        server.put("k", b"before").await;
        let upload = Upload::begin(&server, server.operator(), "k").await;
        let complete = || upload.send(upload.request(Method::Post).body(body.as_bytes()));
        let done = complete().await;
        assert_eq!((done.status, done.crc64()), (200, Some(0)), "{}", text(&done));
        let get = server.get("k").await;
        assert_eq!((get.status, get.body.len(), get.crc64()), (200, 0, Some(0)));
        assert_eq!(get.header("etag"), done.header("etag"));
        assert_eq!(complete().await.status, 200, "replayed");
    }
}

#[tokio::test]
async fn the_acl_of_a_complete_is_the_objects_and_a_replay_leaves_it() {
    let server = Server::start().await;
    let anonymous =
        async || server.send_raw(&server.request(Method::Get, "k").body(b"")).await.status;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let etag = upload.part(1, b"film").await;
    let list = format!(
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part></CompleteMultipartUpload>"
    );
    let complete = |acl: &str| {
        let request = upload.request(Method::Post).with("x-oss-object-acl", acl);
        upload.send(request.body(list.as_bytes()))
    };
    assert_eq!(refused(&complete("everybody").await, 400), "InvalidArgument");
    assert_eq!(complete("public-read").await.status, 200);
    assert_eq!(anonymous().await, 200);
    // Replaced since: what was completed before has no say any more.
    server.put("k", b"private").await;
    assert_eq!(complete("public-read").await.status, 200);
    assert_eq!(anonymous().await, 403);
}

#[tokio::test]
async fn a_repeated_complete_is_answered_alike() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let etag = upload.part(1, b"first").await;
    let first = upload.complete(&[(1, &etag)]).await;
    server.put("k", b"replaced since").await;
    let again = upload.complete(&[(1, &etag)]).await;
    assert_eq!(again.status, 200);
    assert_eq!(again.body, first.body);
    assert_eq!((again.header("etag"), again.crc64()), (first.header("etag"), first.crc64()));
    assert_eq!(server.get("k").await.body, b"replaced since", "a replay changes nothing");
    let other = upload.complete(&[(1, &"0".repeat(32))]).await;
    assert_eq!(refused(&other, 404), "NoSuchUpload");
}

#[tokio::test]
async fn a_strict_server_remembers_nothing() {
    let server = Server::with(|config| config.strict = true).await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let etag = upload.part(1, b"x").await;
    assert_eq!(upload.complete(&[(1, &etag)]).await.status, 200);
    assert_eq!(refused(&upload.complete(&[(1, &etag)]).await, 404), "NoSuchUpload");
}

#[tokio::test]
async fn an_existing_object_can_be_protected() {
    let server = Server::start().await;
    server.put("k", b"old").await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let etag = upload.part(1, b"x").await;
    let list = vodferry_oss::xml::CompleteMultipartUpload {
        parts: vec![vodferry_oss::xml::CompletePart { number: 1, etag }],
    };
    let request = upload
        .request(Method::Post)
        .with("x-oss-forbid-overwrite", "true")
        .body(list.encode().as_bytes());
    assert_eq!(refused(&upload.send(request).await, 409), "FileAlreadyExists");
    assert_eq!(server.get("k").await.body, b"old");
}

#[tokio::test]
async fn an_aborted_upload_is_gone() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let etag = upload.part(1, b"x").await;
    assert_eq!(upload.send(upload.request(Method::Delete)).await.status, 204);
    let part = upload.request(Method::Put).query("partNumber", "2").body(b"x");
    for response in [
        upload.send(upload.request(Method::Delete)).await,
        upload.send(upload.request(Method::Get)).await,
        upload.send(part).await,
        upload.complete(&[(1, &etag)]).await,
    ] {
        assert_eq!(refused(&response, 404), "NoSuchUpload");
        let error = ServiceError::from_response(&response);
        assert_eq!(error.context("UploadId"), Some(upload.id.as_str()));
    }
    assert_eq!(refused(&server.get("k").await, 404), "NoSuchKey");
}

#[tokio::test]
async fn an_upload_belongs_to_its_key() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    upload.part(1, b"x").await;
    for id in [upload.id.as_str(), "NOPE", "../..", "'; DROP TABLE uploads; --"] {
        let request = server.request(Method::Get, "other").query("uploadId", id);
        assert_eq!(refused(&server.send("other", request).await, 404), "NoSuchUpload", "{id}");
    }
    assert_eq!(upload.list().await.parts.len(), 1);
}
