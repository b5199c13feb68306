//! What requests say beside the operation: sub-resources that are not there, storage classes, numbers of
//! errors, hosts of buckets.

use vodferry_oss::sign::sign_v1;
use vodferry_oss::{Method, Request, ServiceError};

use crate::observe::until;
use crate::support::{
    BUCKET, Build, Server, Upload, element, elements, exchange, now_ms, refused, text,
};

const METHODS: [Method; 4] = [Method::Get, Method::Put, Method::Post, Method::Delete];

#[tokio::test]
async fn a_sub_resource_is_never_taken_for_something_else() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    for (key, names) in [
        ("", &["tagging", "append", "objectMeta", "partNumber", "comp", "startTime", "policy"][..]),
        ("k", &["cors", "lifecycle", "delete", "bucketInfo", "location", "stat", "live", "vod"]),
    ] {
        for method in METHODS {
            for name in names {
                let request = server.request(method, key).query(name, "").body(b"y");
                let response = server.send(key, request).await;
                assert_eq!(refused(&response, 400), "NotImplemented", "{method:?} {key}?{name}");
            }
        }
    }
    for (method, key, name) in [
        (Method::Delete, "", "acl"),
        (Method::Put, "", "stat"),
        (Method::Get, "", "delete"),
        (Method::Get, "k", "uploads"),
        (Method::Get, "k", "append"),
        (Method::Put, "k", "objectMeta"),
        (Method::Head, "k", "tagging"),
        (Method::Delete, "k", "acl"),
    ] {
        let response = server.send(key, server.request(method, key).query(name, "")).await;
        assert_eq!(refused(&response, 405), "MethodNotAllowed", "{method:?} {key}?{name}");
    }
    let unsigned = server.request(Method::Get, "").query("tagging", "");
    assert_eq!(refused(&server.send_raw(&unsigned).await, 400), "NotImplemented");
    // What nobody knows means nothing.
    let odd = server.request(Method::Get, "k").query("no-such-thing", "1").query("Cors", "");
    assert_eq!(server.send("k", odd).await.body, b"x");
    let odd = server.request(Method::Get, "").query("no-such-thing", "1");
    assert_eq!(elements(&server.send("", odd).await, "Key"), ["k"]);
}

#[tokio::test]
async fn what_names_no_class_has_that_of_its_bucket() {
    let server = Server::start().await;
    let who = server.operator();
    let send = async |method: Method, key: &str, more: &dyn Fn(Request) -> Request| {
        let mut request = more(server.request(method, key));
        request.path = request.path.replacen(BUCKET, "cold-bkt", 1);
        sign_v1(&mut request, "cold-bkt", key, &who, now_ms());
        let response = server.send_raw(&request).await;
        assert!(response.status < 300, "{}", text(&response));
        response
    };
    let made =
        "<CreateBucketConfiguration><StorageClass>IA</StorageClass></CreateBucketConfiguration>";
    send(Method::Put, "", &|request| request.body(made.as_bytes())).await;
    const CLASS: &str = "x-oss-storage-class";
    send(Method::Put, "put", &|request| request.body(b"x")).await;
    send(Method::Put, "own", &|request| request.with(CLASS, "Standard").body(b"x")).await;
    send(Method::Post, "log", &|r| r.query("append", "").query("position", "0").body(b"x")).await;
    let source = format!("/{BUCKET}/warm");
    server.put("warm", b"x").await;
    send(Method::Put, "copy", &|request| request.with("x-oss-copy-source", &source)).await;
    let begun = send(Method::Post, "up", &|request| request.query("uploads", "")).await;
    let id = element(&begun, "UploadId");
    let listed = send(Method::Get, "", &|request| request.query("uploads", "")).await;
    assert_eq!(elements(&listed, "StorageClass"), ["IA"]);
    let parts = send(Method::Get, "up", &|request| request.query("uploadId", &id)).await;
    assert_eq!(elements(&parts, "StorageClass"), ["IA"]);
    send(Method::Post, "up", &|request| {
        request.query("uploadId", &id).with("x-oss-complete-all", "yes")
    })
    .await;
    for (key, class) in
        [("put", "IA"), ("own", "Standard"), ("log", "IA"), ("copy", "IA"), ("up", "IA")]
    {
        for method in [Method::Head, Method::Get] {
            let got = send(method, key, &|request| request).await;
            assert_eq!(got.header(CLASS), Some(class), "{key}");
        }
    }
    let listed = send(Method::Get, "", &|request| request).await;
    assert_eq!(elements(&listed, "StorageClass"), ["IA", "IA", "Standard", "IA", "IA"]);
    assert_eq!(server.head("warm").await.header(CLASS), Some("Standard"));
}

#[tokio::test]
async fn only_the_first_append_says_what_the_object_has() {
    let server = Server::start().await;
    let append = async |position: &str, tags: &str| {
        let request = server.request(Method::Post, "log").query("append", "");
        let request = request.query("position", position).with("x-oss-tagging", tags);
        server.send("log", request.body(b"x")).await
    };
    assert_eq!(refused(&append("0", "a=!").await, 400), "InvalidTag");
    assert_eq!(append("0", "a=1").await.status, 200);
    let later = append("1", "b=!&b=2").await;
    assert_eq!(later.status, 200, "{}", text(&later));
    let tags = server.send("log", server.request(Method::Get, "log").query("tagging", "")).await;
    assert_eq!(
        (elements(&tags, "Key"), elements(&tags, "Value")),
        (vec!["a".into()], vec!["1".into()])
    );
}

#[tokio::test]
async fn a_storage_class_is_one_of_the_original() {
    let server = Server::start().await;
    for (request, body) in [
        (server.request(Method::Put, "k"), &b"x"[..]),
        (server.request(Method::Post, "k").query("uploads", ""), b""),
        (server.request(Method::Post, "k").query("append", "").query("position", "0"), b"x"),
    ] {
        let request = request.body(body);
        let bogus = request.clone().with("x-oss-storage-class", "Bogus");
        let response = server.send("k", bogus).await;
        assert_eq!(refused(&response, 400), "InvalidArgument");
        assert_eq!(element(&response, "ArgumentName"), "x-oss-storage-class");
        if request.method == Method::Post {
            let known = request.with("x-oss-storage-class", "DeepColdArchive");
            assert_eq!(server.send("k", known).await.status, 200);
        }
    }
}

#[tokio::test]
async fn errors_have_numbers() {
    let server =
        Server::with(|config| config.metrics_listen = Some(([127, 0, 0, 1], 0).into())).await;
    for response in [server.get("no").await, server.head("no").await] {
        assert_eq!(refused(&response, 404), "NoSuchKey");
        assert_eq!(response.header("x-oss-ec"), Some("0026-00000001"));
    }
    let nowhere = "GET /no-such-bucket/k HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    let nowhere = exchange(server.addr(), Method::Get, nowhere.as_bytes()).await;
    assert_eq!(refused(&nowhere, 404), "NoSuchBucket");
    assert_eq!(nowhere.header("x-oss-ec"), Some("0015-00000101"));
    // What is no request has one, too.
    let junk = exchange(server.addr(), Method::Get, b"NO\r\n\r\n").await;
    assert_eq!(refused(&junk, 400), "InvalidRequest", "{}", text(&junk));

    let append = server.request(Method::Post, "log").query("append", "").query("position", "7");
    let early = server.send("log", append.body(b"x")).await;
    assert_eq!(refused(&early, 409), "PositionNotEqualToLength");
    assert_eq!(early.header("x-oss-ec"), Some("0026-00000016"));
    assert_eq!(early.header("x-oss-next-append-position"), Some("0"));
    until(&server, |metrics| metrics.contains("PositionNotEqualToLength")).await;
}

#[tokio::test]
async fn a_signature_of_the_second_version_is_named_as_such() {
    let server = Server::start().await;
    let header = "OSS2 AccessKeyId:a,AdditionalHeaders:range,Signature:c2ln";
    let response =
        server.send_raw(&server.request(Method::Get, "k").with("authorization", header)).await;
    assert_eq!(refused(&response, 400), "NotImplemented");
    assert!(ServiceError::from_response(&response).message.contains("OSS4-HMAC-SHA256"));
    let url = server.request(Method::Get, "k").query("x-oss-signature-version", "OSS2");
    assert_eq!(refused(&server.send_raw(&url).await, 400), "NotImplemented");
}

#[tokio::test]
async fn the_host_of_a_bucket_has_no_services() {
    let server = Server::start().await;
    let acl = server.request(Method::Put, "").query("acl", "").with("x-oss-acl", "public-read");
    assert_eq!(server.send("", acl).await.status, 200);
    for key in
        ["health/live", "admin/v1/status", "api/upload-auth/create", "api/callback-public-key.pem"]
    {
        server.put(key, b"an object").await;
        let ask = |host: &str| {
            format!(
                "GET /{key} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nOrigin: https://a.example\r\n\r\n"
            )
        };
        let object =
            exchange(server.addr(), Method::Get, ask("vod-media.localhost").as_bytes()).await;
        assert_eq!(object.body, b"an object", "{}", text(&object));
        assert_eq!(object.header("access-control-allow-origin"), Some("*"), "{key}");
        for host in ["x", "localhost", "no-bucket.localhost"] {
            let service = exchange(server.addr(), Method::Get, ask(host).as_bytes()).await;
            assert_ne!(service.body, b"an object", "{host} {key}");
        }
    }
}

#[tokio::test]
async fn a_list_of_nothing_makes_an_object_of_nothing() {
    let server = Server::start().await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    assert_eq!(upload.complete(&[]).await.status, 200);
    assert_eq!(server.get("k").await.body, b"");
    // Parts that are there would be lost.
    let upload = Upload::begin(&server, server.operator(), "k").await;
    upload.part(1, b"x").await;
    assert_eq!(refused(&upload.complete(&[]).await, 400), "MalformedXML");
}
