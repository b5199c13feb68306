//! A bucket is its tenant's: others do with it what its ACL opens to everybody, and no more.

use vodferry_oss::etag::{content_md5, md5};
use vodferry_oss::sign::sign_v1;
use vodferry_oss::{Credential, Method, Request, Response};

use crate::sts_assume::new_key;
use crate::support::{BUCKET, Build, Server, elements, now_ms, refused, text};

async fn send(
    server: &Server,
    who: &Credential,
    bucket: &str,
    key: &str,
    mut request: Request,
) -> Response {
    request.path = if bucket.is_empty() { "/".into() } else { format!("/{bucket}/{key}") };
    sign_v1(&mut request, bucket, key, who, now_ms());
    server.send_raw(&request).await
}

#[tokio::test]
async fn tenants_do_not_see_one_another() {
    let server = Server::start().await;
    let us = server.operator();
    let (_, them) = new_key(&server, Some("them"));
    let request = |method: Method| server.request(method, "");
    let create = send(&server, &them, "their-bkt", "", request(Method::Put)).await;
    assert_eq!(create.status, 200, "{}", text(&create));
    let put = send(&server, &them, "their-bkt", "k", request(Method::Put).body(b"theirs")).await;
    assert_eq!(put.status, 200);
    server.put("k", b"ours").await;

    let list = async |who: &Credential| {
        elements(&send(&server, who, "", "", request(Method::Get)).await, "Name")
    };
    assert_eq!(list(&us).await, [BUCKET]);
    assert_eq!(list(&them).await, ["their-bkt"]);
    for (who, bucket) in [(&us, "their-bkt"), (&them, BUCKET)] {
        let create = send(&server, who, bucket, "", request(Method::Put)).await;
        assert_eq!(refused(&create, 409), "BucketAlreadyExists");
        let body = b"<Delete><Object><Key>k</Key></Object></Delete>";
        let many = request(Method::Post)
            .query("delete", "")
            .with("content-md5", &content_md5(&md5(body)))
            .body(body);
        for (key, request) in [
            ("k", request(Method::Get)),
            ("k", request(Method::Head)),
            ("k", request(Method::Put).body(b"x")),
            ("k", request(Method::Delete)),
            ("k", request(Method::Get).query("acl", "")),
            ("k", request(Method::Put).query("acl", "").with("x-oss-object-acl", "public-read")),
            ("k", request(Method::Get).query("tagging", "")),
            ("k", request(Method::Post).query("uploads", "")),
            ("k", request(Method::Post).query("append", "").query("position", "0")),
            ("", request(Method::Get)),
            ("", request(Method::Get).query("uploads", "")),
            ("", request(Method::Get).query("bucketInfo", "")),
            ("", request(Method::Put).query("acl", "").with("x-oss-acl", "public-read")),
            ("", request(Method::Get).query("lifecycle", "")),
            ("", request(Method::Delete)),
            ("", many),
        ] {
            let shown = format!("{:?} {bucket}/{key} {:?}", request.method, request.query);
            let response = send(&server, who, bucket, key, request).await;
            assert_eq!(refused(&response, 403), "AccessDenied", "{shown}");
        }
    }
    let steal = request(Method::Put).with("x-oss-copy-source", "/their-bkt/k");
    assert_eq!(refused(&send(&server, &us, BUCKET, "copy", steal).await, 403), "AccessDenied");
    assert_eq!(server.get("k").await.body, b"ours");
    let kept = send(&server, &them, "their-bkt", "k", request(Method::Get)).await;
    assert_eq!(kept.body, b"theirs");

    // What everybody may read another tenant may read and copy, too.
    let open = request(Method::Put).query("acl", "").with("x-oss-object-acl", "public-read");
    assert_eq!(send(&server, &them, "their-bkt", "k", open).await.status, 200);
    let read = send(&server, &us, "their-bkt", "k", request(Method::Get)).await;
    assert_eq!(read.body, b"theirs");
    let copy = request(Method::Put).with("x-oss-copy-source", "/their-bkt/k");
    assert_eq!(send(&server, &us, BUCKET, "copy", copy).await.status, 200);
    assert_eq!(server.get("copy").await.body, b"theirs");
    let write = send(&server, &us, "their-bkt", "k", request(Method::Put).body(b"x")).await;
    assert_eq!(refused(&write, 403), "AccessDenied");

    // Where everybody may write, another tenant may, and may neither publish nor tag what it writes.
    let open = request(Method::Put).query("acl", "").with("x-oss-acl", "public-read-write");
    assert_eq!(send(&server, &them, "their-bkt", "", open).await.status, 200);
    let put = || request(Method::Put).body(b"a guest's");
    assert_eq!(send(&server, &us, "their-bkt", "guest", put()).await.status, 200);
    for (name, value) in [("x-oss-object-acl", "public-read-write"), ("x-oss-tagging", "k=v")] {
        let initiate = request(Method::Post).query("uploads", "");
        let append = request(Method::Post).query("append", "").query("position", "0");
        for request in [put(), initiate, append] {
            let answer = send(&server, &us, "their-bkt", "new", request.with(name, value)).await;
            assert_eq!(refused(&answer, 403), "AccessDenied", "{name}");
        }
        let own = send(&server, &them, "their-bkt", "own", put().with(name, value)).await;
        assert_eq!(own.status, 200, "{}", text(&own));
    }
}
