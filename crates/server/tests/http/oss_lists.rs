//! ListObjects in both versions, ListObjectVersions, ListMultipartUploads, DeleteMultipleObjects.

use vodferry_oss::etag::{content_md5, md5};
use vodferry_oss::xml::ListMultipartUploadsResult;
use vodferry_oss::{Method, Response};

use crate::support::{BUCKET, Build, Server, Upload, element, elements, refused, text};

async fn list(server: &Server, query: &[(&str, &str)]) -> Response {
    let mut request = server.request(Method::Get, "");
    for (name, value) in query {
        request = request.query(name, value);
    }
    server.send("", request).await
}

/// Keys and common prefixes.
fn names(response: &Response) -> (Vec<String>, Vec<String>) {
    let groups = elements(response, "CommonPrefixes").join("");
    let prefixes = groups
        .split("<Prefix>")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap().to_owned())
        .collect();
    (elements(response, "Key"), prefixes)
}

#[tokio::test]
async fn objects_are_listed_by_their_bytes() {
    let server = Server::start().await;
    for key in ["b", "a/2", "a/1", "a", "a!", "é", "z/x/1", "z/x/2", "z/y"] {
        server.put(key, key.as_bytes()).await;
    }
    let all = list(&server, &[]).await;
    assert_eq!(all.status, 200, "{}", text(&all));
    assert_eq!(all.header("content-type"), Some("application/xml"));
    assert!(!text(&all).contains("xmlns"));
    let (keys, prefixes) = names(&all);
    assert_eq!(keys, ["a", "a!", "a/1", "a/2", "b", "z/x/1", "z/x/2", "z/y", "é"]);
    assert!(prefixes.is_empty());
    for (name, value) in [
        ("Name", BUCKET),
        ("Prefix", ""),
        ("Marker", ""),
        ("MaxKeys", "100"),
        ("Delimiter", ""),
        ("IsTruncated", "false"),
        ("Type", "Normal"),
        ("Size", "1"),
        ("StorageClass", "Standard"),
        ("ETag", "\"0CC175B9C0F1B6A831C399E269772661\""),
    ] {
        assert_eq!(element(&all, name), value);
    }
    let modified = element(&all, "LastModified");
    assert!(modified.ends_with(".000Z") && modified.len() == 24, "{modified}");
    assert_eq!(elements(&all, "Owner").len(), 9);

    let (keys, prefixes) = names(&list(&server, &[("delimiter", "/")]).await);
    assert_eq!(keys, ["a", "a!", "b", "é"]);
    assert_eq!(prefixes, ["a/", "z/"]);
    let (keys, prefixes) = names(&list(&server, &[("delimiter", "/"), ("prefix", "z/")]).await);
    assert_eq!((keys, prefixes), (vec!["z/y".to_owned()], vec!["z/x/".to_owned()]));
    let (keys, _) = names(&list(&server, &[("prefix", "a/")]).await);
    assert_eq!(keys, ["a/1", "a/2"]);
    let (keys, prefixes) = names(&list(&server, &[("delimiter", "x/"), ("prefix", "z")]).await);
    assert_eq!((keys, prefixes), (vec!["z/y".to_owned()], vec!["z/x/".to_owned()]));
    assert_eq!(names(&list(&server, &[("prefix", "none")]).await).0.len(), 0);
}

#[tokio::test]
async fn pages_join_without_gap_or_overlap() {
    let server = Server::start().await;
    let keys = ["a", "b/1", "b/2", "b0", "c/1", "c/2", "d", "e/1"];
    for key in keys {
        server.put(key, b"x").await;
    }
    for (delimiter, whole) in [("", keys.to_vec()), ("/", vec!["a", "b/", "b0", "c/", "d", "e/"])] {
        for size in ["1", "2", "3", "5", "6", "8", "1000"] {
            for second in [false, true] {
                let (mut seen, mut next) = (Vec::new(), String::new());
                for page in 0.. {
                    assert!(page < 20, "pages without end");
                    let at = if second { "continuation-token" } else { "marker" };
                    let version = if second { "2" } else { "" };
                    let query = [
                        ("list-type", version),
                        ("delimiter", delimiter),
                        ("max-keys", size),
                        (at, &next),
                    ];
                    let response = list(&server, &query).await;
                    assert_eq!(response.status, 200, "{}", text(&response));
                    let (keys, prefixes) = names(&response);
                    let mut both = [keys, prefixes].concat();
                    both.sort();
                    if second {
                        assert_eq!(element(&response, "KeyCount"), both.len().to_string());
                    }
                    seen.extend(both);
                    if element(&response, "IsTruncated") == "false" {
                        assert!(elements(&response, "NextMarker").is_empty());
                        break;
                    }
                    let name = if second { "NextContinuationToken" } else { "NextMarker" };
                    next = element(&response, name);
                }
                assert_eq!(seen, whole, "{delimiter} by {size}");
            }
        }
    }
    let (keys, _) = names(&list(&server, &[("list-type", "2"), ("start-after", "c/1")]).await);
    assert_eq!(keys, ["c/2", "d", "e/1"]);
    let after = list(&server, &[("list-type", "2"), ("start-after", "d")]).await;
    assert_eq!(element(&after, "StartAfter"), "d");
    assert!(elements(&after, "Owner").is_empty());
    let owned = list(&server, &[("list-type", "2"), ("fetch-owner", "true")]).await;
    assert_eq!(elements(&owned, "Owner").len(), 8);
}

#[tokio::test]
async fn every_object_is_listed_as_its_one_version() {
    let server = Server::start().await;
    for key in ["a", "b/1", "b/2", "ü +"] {
        server.put(key, key.as_bytes()).await;
    }
    let (mut seen, mut next) = (Vec::new(), String::new());
    for page in 0.. {
        assert!(page < 10, "pages without end");
        let query = [("versions", ""), ("max-keys", "2"), ("key-marker", &next)];
        let response = list(&server, &query).await;
        assert_eq!(response.status, 200, "{}", text(&response));
        assert!(text(&response).contains("<ListVersionsResult>"), "{}", text(&response));
        let keys = elements(&response, "Key");
        assert_eq!(elements(&response, "VersionId"), vec!["null"; keys.len()]);
        assert_eq!(elements(&response, "IsLatest"), vec!["true"; keys.len()]);
        assert_eq!(elements(&response, "Version").len(), keys.len());
        assert_eq!(elements(&response, "Owner").len(), keys.len());
        assert_eq!(element(&response, "KeyMarker"), next);
        seen.extend(keys);
        if element(&response, "IsTruncated") == "false" {
            assert!(elements(&response, "NextKeyMarker").is_empty());
            break;
        }
        assert_eq!(element(&response, "NextVersionIdMarker"), "null");
        next = element(&response, "NextKeyMarker");
    }
    assert_eq!(seen, ["a", "b/1", "b/2", "ü +"]);
    let query = [("versions", ""), ("delimiter", "/"), ("encoding-type", "url"), ("prefix", "")];
    let grouped = list(&server, &query).await;
    assert_eq!(elements(&grouped, "Key"), ["a", "%C3%BC%20%2B"]);
    assert!(text(&grouped).contains("<CommonPrefixes><Prefix>b/</Prefix>"), "{}", text(&grouped));
    // What is listed can be deleted as it was listed.
    let request = server.request(Method::Delete, "a").query("versionId", "null");
    assert_eq!(server.send("a", request).await.status, 204);
    assert_eq!(elements(&list(&server, &[("versions", "")]).await, "Key").len(), 3);

    let channels = list(&server, &[("live", ""), ("max-keys", "7"), ("prefix", "p")]).await;
    assert_eq!((channels.status, element(&channels, "MaxKeys")), (200, "7".into()));
    assert!(text(&channels).contains("<ListLiveChannelResult>"), "{}", text(&channels));
    assert_eq!(element(&channels, "IsTruncated"), "false");
    for name in ["live", "versions"] {
        let change = server.request(Method::Put, "").query(name, "");
        assert_eq!(refused(&server.send("", change).await, 405), "MethodNotAllowed", "{name}");
    }
}

#[tokio::test]
async fn names_are_encoded_where_asked_for_and_arguments_have_bounds() {
    let server = Server::start().await;
    server.put("a b/ü&<.mp4", b"x").await;
    let plain = list(&server, &[("prefix", "a b")]).await;
    assert_eq!(element(&plain, "Key"), "a b/ü&amp;&lt;.mp4");
    let query = [("encoding-type", "url"), ("prefix", "a b"), ("marker", "a "), ("delimiter", "=")];
    let encoded = list(&server, &query).await;
    assert_eq!(element(&encoded, "EncodingType"), "url");
    assert_eq!(element(&encoded, "Key"), "a%20b/%C3%BC%26%3C.mp4");
    assert_eq!(element(&encoded, "Prefix"), "a%20b");
    assert_eq!(element(&encoded, "Marker"), "a%20");
    assert_eq!(element(&encoded, "Delimiter"), "%3D");
    for query in [
        ("max-keys", "0"),
        ("max-keys", "1001"),
        ("max-keys", "x"),
        ("encoding-type", "base64"),
        ("list-type", "3"),
    ] {
        assert_eq!(refused(&list(&server, &[query]).await, 400), "InvalidArgument", "{query:?}");
    }
    let token = [("list-type", "2"), ("continuation-token", "not base64!")];
    assert_eq!(refused(&list(&server, &token).await, 400), "InvalidArgument");
    // A client that decodes it finds the same token; the usual alphabet would have a plus and a slash.
    for key in ["t/???", "t/~~~", "t/~~~~"] {
        server.put(key, b"x").await;
    }
    for (key, rest) in [("t/???", &["t/~~~", "t/~~~~"][..]), ("t/~~~", &["t/~~~~"])] {
        let before = [("list-type", "2"), ("prefix", "t/"), ("max-keys", "1")];
        let start = [&before[..], &[("start-after", &key[..4])]].concat();
        let page = list(&server, &start).await;
        assert_eq!(element(&page, "Key"), key);
        let token = element(&page, "NextContinuationToken");
        let unreserved = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        assert!(token.chars().all(unreserved), "{token}");
        let query = [("list-type", "2"), ("prefix", "t/"), ("continuation-token", token.as_str())];
        assert_eq!(names(&list(&server, &query).await).0, rest);
    }
    // A plus in a query is a blank.
    let mut request = server.request(Method::Get, "");
    request.query.push(("prefix".into(), "a b".into()));
    vodferry_oss::sign::sign_v1(
        &mut request,
        BUCKET,
        "",
        &server.operator(),
        crate::support::now_ms(),
    );
    let wire = String::from_utf8(crate::support::wire(&request)).unwrap().replace("a%20b", "a+b");
    let response = crate::support::exchange(server.addr(), Method::Get, wire.as_bytes()).await;
    assert_eq!(elements(&response, "Key").len(), 1, "{}", text(&response));
}

#[tokio::test]
async fn uploads_are_listed_by_key_and_id() {
    let server = Server::start().await;
    let mut begun = Vec::new();
    for key in ["a", "a", "b/1", "b/2", "c"] {
        let upload = Upload::begin(&server, server.operator(), key).await;
        begun.push((key.to_owned(), upload.id));
    }
    begun.sort();
    let page = async |query: &[(&str, &str)]| {
        let mut request = server.request(Method::Get, "").query("uploads", "");
        for (name, value) in query {
            request = request.query(name, value);
        }
        let response = server.send("", request).await;
        assert_eq!(response.status, 200, "{}", text(&response));
        ListMultipartUploadsResult::decode(&response.body).unwrap()
    };
    let pair = |page: &ListMultipartUploadsResult| {
        page.uploads.iter().map(|u| (u.key.clone(), u.upload_id.clone())).collect::<Vec<_>>()
    };
    let all = page(&[]).await;
    assert_eq!(pair(&all), begun);
    assert_eq!((all.max_uploads, all.is_truncated), (1000, false));
    assert!(all.uploads.iter().all(|upload| upload.initiated_ms > 0));
    let (mut seen, mut key, mut id) = (Vec::new(), String::new(), String::new());
    loop {
        let page =
            page(&[("max-uploads", "2"), ("key-marker", &key), ("upload-id-marker", &id)]).await;
        seen.extend(pair(&page));
        (key, id) = (page.next_key_marker.clone(), page.next_upload_id_marker.clone());
        if !page.is_truncated {
            break;
        }
    }
    assert_eq!(seen, begun);
    let without_key = page(&[("upload-id-marker", &begun[4].1)]).await;
    assert_eq!(pair(&without_key), begun, "an id alone is ignored");
    assert_eq!(pair(&page(&[("key-marker", "a")]).await), begun[2..]);
    let grouped = page(&[("delimiter", "/")]).await;
    assert_eq!(grouped.common_prefixes, ["b/"]);
    assert_eq!(grouped.uploads.len(), 3);
    assert_eq!(pair(&page(&[("prefix", "b")]).await), begun[2..4]);
}

async fn delete(server: &Server, body: &str, quiet_query: &[(&str, &str)]) -> Response {
    let mut request = server
        .request(Method::Post, "")
        .query("delete", "")
        .with("content-md5", &content_md5(&md5(body.as_bytes())))
        .body(body.as_bytes());
    for (name, value) in quiet_query {
        request = request.query(name, value);
    }
    server.send("", request).await
}

#[tokio::test]
async fn many_objects_are_deleted_at_once() {
    let server = Server::start().await;
    for key in ["a", "b ü", "c"] {
        server.put(key, b"x").await;
    }
    let body = "<Delete><Quiet>false</Quiet><Object><Key>a</Key></Object>\
                <Object><Key>b ü</Key></Object><Object><Key>never</Key></Object></Delete>";
    let response = delete(&server, body, &[("encoding-type", "url")]).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    assert_eq!(elements(&response, "Key"), ["a", "b%20%C3%BC", "never"]);
    assert_eq!(element(&response, "EncodingType"), "url");
    for key in ["a", "b ü"] {
        assert_eq!(refused(&server.get(key).await, 404), "NoSuchKey");
    }
    let quiet = "<Delete><Quiet>true</Quiet><Object><Key>c</Key></Object></Delete>";
    let response = delete(&server, quiet, &[]).await;
    assert_eq!((response.status, response.body.len()), (200, 0));
    assert_eq!(response.header("content-length"), Some("0"));
    assert_eq!(refused(&server.get("c").await, 404), "NoSuchKey");
}

#[tokio::test]
async fn bad_lists_delete_nothing() {
    let server = Server::start().await;
    server.put("a", b"x").await;
    let body = "<Delete><Object><Key>a</Key></Object></Delete>";
    let bare = server.request(Method::Post, "").query("delete", "").body(body.as_bytes());
    assert_eq!(refused(&server.send("", bare.clone()).await, 400), "MissingArgument");
    let wrong = bare.with("content-md5", &content_md5(&md5(b"other")));
    assert_eq!(refused(&server.send("", wrong).await, 400), "InvalidDigest");
    let many: String = (0..1001).map(|n| format!("<Object><Key>{n}</Key></Object>")).collect();
    for body in [
        "<Delete></Delete>",
        "<Delete><Object></Object></Delete>",
        "<Delete><Object><Key></Key></Object><Object><Key>a</Key></Object></Delete>",
        "<Delete><Object><Key>a</Key>",
        "<Other><Object><Key>a</Key></Object></Other>",
        "",
        "<!DOCTYPE x [<!ENTITY y SYSTEM \"file:///etc/passwd\">]><Delete><Object><Key>&y;</Key></Object></Delete>",
        &format!("<Delete>{many}</Delete>"),
    ] {
        let body: String = body.into();
        assert_eq!(refused(&delete(&server, &body, &[]).await, 400), "MalformedXML", "{body:.80}");
    }
    let version = "<Delete><Object><Key>a</Key><VersionId>x</VersionId></Object></Delete>";
    assert_eq!(refused(&delete(&server, version, &[]).await, 400), "NotImplemented");
    assert_eq!(server.get("a").await.body, b"x");

    let grant = server.create("film.mp4").await;
    let request = server
        .request(Method::Post, "")
        .query("delete", "")
        .with("content-md5", &content_md5(&md5(body.as_bytes())))
        .body(body.as_bytes());
    let response = server.send_as(&grant.credential, "", request).await;
    assert_eq!(refused(&response, 403), "AccessDenied");
    assert_eq!(server.get("a").await.body, b"x");
}
