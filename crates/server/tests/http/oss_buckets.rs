//! Buckets: make, list, look at, ACL, delete; and what a public one lets everybody do.

use vodferry_oss::sign::sign_v1;
use vodferry_oss::{Method, Request, Response};

use crate::support::{BUCKET, Build, Server, element, elements, now_ms, refused, text};

/// A request of the operator about another bucket, or without one about the service.
fn about(server: &Server, method: Method, bucket: &str, key: &str) -> Request {
    let mut request = server.request(method, "");
    request.path = if bucket.is_empty() { "/".into() } else { format!("/{bucket}/{key}") };
    request
}

async fn send(server: &Server, bucket: &str, key: &str, mut request: Request) -> Response {
    sign_v1(&mut request, bucket, key, &server.operator(), now_ms());
    server.send_raw(&request).await
}

async fn make(server: &Server, bucket: &str) {
    let made = send(server, bucket, "", about(server, Method::Put, bucket, "")).await;
    assert_eq!(made.status, 200, "{}", text(&made));
    assert_eq!(made.header("location"), Some(format!("/{bucket}").as_str()));
}

#[tokio::test]
async fn a_bucket_lives_and_dies() {
    let server = Server::start().await;
    let body =
        "<CreateBucketConfiguration><StorageClass>IA</StorageClass></CreateBucketConfiguration>";
    let create = about(&server, Method::Put, "other-bkt", "")
        .with("x-oss-acl", "public-read")
        .body(body.as_bytes());
    assert_eq!(send(&server, "other-bkt", "", create).await.status, 200);

    let info = about(&server, Method::Get, "other-bkt", "").query("bucketInfo", "");
    let info = send(&server, "other-bkt", "", info).await;
    assert_eq!(info.status, 200, "{}", text(&info));
    assert_eq!(info.header("content-type"), Some("application/xml"));
    for (name, value) in [
        ("Name", "other-bkt"),
        ("Location", "oss-cn-shanghai"),
        ("StorageClass", "IA"),
        ("DataRedundancyType", "LRS"),
        ("Grant", "public-read"),
        ("ExtranetEndpoint", &server.addr().to_string()),
    ] {
        assert_eq!(element(&info, name), value, "{}", text(&info));
    }
    assert!(!text(&info).contains("xmlns"));
    let location = about(&server, Method::Get, "other-bkt", "").query("location", "");
    let location = send(&server, "other-bkt", "", location).await;
    assert!(
        location.body.ends_with(b"<LocationConstraint>oss-cn-shanghai</LocationConstraint>"),
        "{}",
        text(&location)
    );

    // Made again by the same owner it stays as it is, but for an ACL that the later request names.
    make(&server, "other-bkt").await;
    let acl = || about(&server, Method::Get, "other-bkt", "").query("acl", "");
    assert_eq!(element(&send(&server, "other-bkt", "", acl()).await, "Grant"), "public-read");
    let again = about(&server, Method::Put, "other-bkt", "").with("x-oss-acl", "private");
    assert_eq!(send(&server, "other-bkt", "", again).await.status, 200);
    assert_eq!(element(&send(&server, "other-bkt", "", acl()).await, "Grant"), "private");
    let change = about(&server, Method::Put, "other-bkt", "")
        .query("acl", "")
        .with("x-oss-acl", "public-read-write");
    assert_eq!(send(&server, "other-bkt", "", change).await.status, 200);
    let shown = send(&server, "other-bkt", "", acl()).await;
    assert_eq!(element(&shown, "Grant"), "public-read-write");
    assert!(!element(&shown, "ID").is_empty() && !element(&shown, "DisplayName").is_empty());

    let put = about(&server, Method::Put, "other-bkt", "k").body(b"12345");
    assert_eq!(send(&server, "other-bkt", "k", put).await.status, 200);
    let begin = about(&server, Method::Post, "other-bkt", "m").query("uploads", "");
    assert_eq!(send(&server, "other-bkt", "m", begin).await.status, 200);
    let stat = about(&server, Method::Get, "other-bkt", "").query("stat", "");
    let stat = send(&server, "other-bkt", "", stat).await;
    for (name, value) in [("Storage", "5"), ("ObjectCount", "1"), ("MultipartUploadCount", "1")] {
        assert_eq!(element(&stat, name), value, "{}", text(&stat));
    }

    let delete = || about(&server, Method::Delete, "other-bkt", "");
    assert_eq!(refused(&send(&server, "other-bkt", "", delete()).await, 409), "BucketNotEmpty");
    let gone = about(&server, Method::Delete, "other-bkt", "k");
    assert_eq!(send(&server, "other-bkt", "k", gone).await.status, 204);
    let still = send(&server, "other-bkt", "", delete()).await;
    assert_eq!(refused(&still, 409), "BucketNotEmpty", "an upload counts, too");
    let uploads = about(&server, Method::Get, "other-bkt", "").query("uploads", "");
    let id = element(&send(&server, "other-bkt", "", uploads).await, "UploadId");
    let abort = about(&server, Method::Delete, "other-bkt", "m").query("uploadId", &id);
    assert_eq!(send(&server, "other-bkt", "m", abort).await.status, 204);
    assert_eq!(send(&server, "other-bkt", "", delete()).await.status, 204);
    assert_eq!(refused(&send(&server, "other-bkt", "", delete()).await, 404), "NoSuchBucket");
    for name in ["acl", "bucketInfo", "location", "stat", "uploads", "prefix"] {
        let gone = about(&server, Method::Get, "other-bkt", "").query(name, "");
        assert_eq!(refused(&send(&server, "other-bkt", "", gone).await, 404), "NoSuchBucket");
    }
}

#[tokio::test]
async fn buckets_are_listed_in_pages() {
    let server = Server::start().await;
    for bucket in ["aaa-1", "aaa-2", "aaa-3", "zzz"] {
        make(&server, bucket).await;
    }
    let list = async |prefix: &str, marker: &str, max: &str| {
        let request = about(&server, Method::Get, "", "")
            .query("prefix", prefix)
            .query("marker", marker)
            .query("max-keys", max);
        send(&server, "", "", request).await
    };
    let all = list("", "", "").await;
    assert_eq!(elements(&all, "Name"), ["aaa-1", "aaa-2", "aaa-3", BUCKET, "zzz"]);
    assert_eq!(element(&all, "IsTruncated"), "false");
    let first = list("aaa", "", "2").await;
    assert_eq!(elements(&first, "Name"), ["aaa-1", "aaa-2"]);
    assert_eq!(element(&first, "IsTruncated"), "true");
    assert_eq!(element(&first, "NextMarker"), "aaa-2");
    assert_eq!(elements(&list("aaa", "aaa-2", "2").await, "Name"), ["aaa-3"]);
    for max in ["0", "1001", "x", "-1"] {
        assert_eq!(refused(&list("", "", max).await, 400), "InvalidArgument", "{max}");
    }
}

#[tokio::test]
async fn what_would_change_a_bucket_otherwise_than_asked_is_refused() {
    let server = Server::start().await;
    make(&server, "other-bkt").await;
    for name in ["website", "logging", "replication", "versioning", "policy", "no-such-thing"] {
        for method in [Method::Put, Method::Delete, Method::Post] {
            let request = about(&server, method, "other-bkt", "").query(name, "");
            let response = send(&server, "other-bkt", "", request).await;
            assert_eq!(refused(&response, 400), "NotImplemented", "{method:?} {name}");
        }
    }
    let there = about(&server, Method::Get, "other-bkt", "").query("acl", "");
    assert_eq!(send(&server, "other-bkt", "", there).await.status, 200);
    for (header, value, code) in [
        ("x-oss-acl", "everybody", "InvalidArgument"),
        ("x-oss-object-acl", "private", "MissingArgument"),
    ] {
        let change =
            about(&server, Method::Put, "other-bkt", "").query("acl", "").with(header, value);
        assert_eq!(refused(&send(&server, "other-bkt", "", change).await, 400), code);
    }
    for (body, code) in [
        ("<Create", "MalformedXML"),
        ("<Other/>", "MalformedXML"),
        (
            "<CreateBucketConfiguration><StorageClass>Gold</StorageClass></CreateBucketConfiguration>",
            "InvalidArgument",
        ),
    ] {
        let create = about(&server, Method::Put, "third-bkt", "").body(body.as_bytes());
        assert_eq!(refused(&send(&server, "third-bkt", "", create).await, 400), code, "{body}");
    }
    for name in ["No", "ab", "-ab", "a_b", &"a".repeat(64)] {
        let create = about(&server, Method::Put, name, "");
        let response = send(&server, name, "", create).await;
        assert_eq!(refused(&response, 400), "InvalidBucketName", "{name}");
    }
    let head = about(&server, Method::Head, "other-bkt", "");
    assert_eq!(refused(&send(&server, "other-bkt", "", head).await, 405), "MethodNotAllowed");
}

#[tokio::test]
async fn an_acl_decides_what_everybody_may_do() {
    let server = Server::start().await;
    server.put("k", b"film").await;
    let anonymous = async |method: Method, key: &str| {
        server.send_raw(&server.request(method, key).body(b"")).await
    };
    let acl = async |key: &str, header: &str, value: &str| {
        let request = server.request(Method::Put, key).query("acl", "").with(header, value);
        assert_eq!(server.send(key, request).await.status, 200);
    };
    let shown = async || {
        let request = server.request(Method::Get, "k").query("acl", "");
        element(&server.send("k", request).await, "Grant")
    };
    assert_eq!(refused(&anonymous(Method::Get, "k").await, 403), "AccessDenied");
    assert_eq!(shown().await, "default");

    acl("k", "x-oss-object-acl", "public-read").await;
    assert_eq!(shown().await, "public-read");
    let get = anonymous(Method::Get, "k").await;
    assert_eq!((get.status, get.body.as_slice()), (200, &b"film"[..]));
    assert!(get.header("x-oss-object-acl").is_none(), "it is nobody's business");
    assert_eq!(anonymous(Method::Head, "k").await.status, 200);
    assert_eq!(refused(&anonymous(Method::Put, "k").await, 403), "AccessDenied");
    assert_eq!(refused(&anonymous(Method::Get, "").await, 403), "AccessDenied");
    assert_eq!(refused(&anonymous(Method::Get, "other").await, 403), "AccessDenied");
    let renamed = server.request(Method::Get, "k").query("response-content-type", "text/html");
    assert_eq!(refused(&server.send_raw(&renamed).await, 400), "InvalidRequest");

    acl("", "x-oss-acl", "public-read-write").await;
    assert_eq!(anonymous(Method::Get, "").await.status, 200);
    assert_eq!(
        refused(&anonymous(Method::Put, "k").await, 403),
        "AccessDenied",
        "its own ACL counts"
    );
    assert_eq!(anonymous(Method::Put, "new").await.status, 200);
    assert_eq!(anonymous(Method::Delete, "new").await.status, 204);
    assert_eq!(refused(&anonymous(Method::Get, "new").await, 404), "NoSuchKey");
    assert_eq!(refused(&anonymous(Method::Delete, "").await, 403), "AccessDenied");
    acl("", "x-oss-acl", "private").await;
    acl("k", "x-oss-object-acl", "default").await;
    assert_eq!(refused(&anonymous(Method::Get, "k").await, 403), "AccessDenied");

    let missing =
        server.request(Method::Put, "no").query("acl", "").with("x-oss-object-acl", "private");
    assert_eq!(refused(&server.send("no", missing).await, 404), "NoSuchKey");
}

#[tokio::test]
async fn an_uploader_cannot_publish_what_it_uploads() {
    let server = Server::start().await;
    let grant = server.create("film.mp4").await;
    let put = |header: &str, value: &str| {
        server.request(Method::Put, &grant.target.key).with(header, value).body(b"x")
    };
    for request in [put("x-oss-object-acl", "public-read"), put("x-oss-tagging", "a=b")] {
        let response = server.send_as(&grant.credential, &grant.target.key, request).await;
        assert_eq!(refused(&response, 403), "AccessDenied");
    }
    let plain = put("x-oss-object-acl", "default");
    assert_eq!(server.send_as(&grant.credential, &grant.target.key, plain).await.status, 200);
    let publish = server
        .request(Method::Put, &grant.target.key)
        .query("acl", "")
        .with("x-oss-object-acl", "public-read");
    let response = server.send_as(&grant.credential, &grant.target.key, publish).await;
    assert_eq!(refused(&response, 403), "AccessDenied");
}
