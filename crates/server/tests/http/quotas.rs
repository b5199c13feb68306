//! A tenant that would have more than it may.

use vodferry_oss::Method;
use vodferry_oss::sign::sign_v1;
use vodferry_server::store::Quota;

use crate::support::{Build, Server, Upload, files, noise, now_ms, refused, text};

fn quota(bytes: Option<u64>, objects: Option<u64>) -> Quota {
    Quota { bytes, objects, ..Quota::default() }
}

#[tokio::test]
async fn what_exceeds_a_quota_is_refused_and_leaves_nothing() {
    let server = Server::with(|config| {
        config.quotas.insert("main".into(), quota(Some(100_000), Some(2)));
    })
    .await;
    assert_eq!(server.put("k", &noise(60_000, 1)).await.status, 200);
    let kept = files(&server);
    let response = server.put("too-much", &noise(40_001, 2)).await;
    assert_eq!(refused(&response, 409), "QuotaExceeded");
    assert!(text(&response).contains("may store 100000 bytes at most"), "{}", text(&response));
    assert_eq!(files(&server), kept, "its bytes are gone at once");
    let upload = Upload::begin(&server, server.operator(), "film").await;
    let etag = upload.part(1, &noise(30_000, 3)).await;
    let more = upload.request(Method::Put).query("partNumber", "2").body(&noise(10_001, 4));
    assert_eq!(refused(&upload.send(more).await, 409), "QuotaExceeded");
    assert_eq!(upload.complete(&[(1, &etag)]).await.status, 200);
    assert_eq!(refused(&server.put("third", b"").await, 409), "QuotaExceeded");
    assert_eq!(server.get("third").await.status, 404);
    assert_eq!(server.get("k").await.body, noise(60_000, 1));
}

#[tokio::test]
async fn uploads_that_are_only_begun_are_bounded() {
    let server = Server::with(|config| config.quota.uploads = 3).await;
    let mut begun = Vec::new();
    for n in 0..3 {
        begun.push(Upload::begin(&server, server.operator(), &n.to_string()).await);
    }
    let initiate = || server.request(Method::Post, "more").query("uploads", "");
    let response = server.send("more", initiate()).await;
    assert_eq!(refused(&response, 409), "QuotaExceeded");
    assert!(text(&response).contains("may store 3 unfinished uploads at most"));
    let etag = begun[0].part(1, b"x").await;
    assert_eq!(begun[0].complete(&[(1, &etag)]).await.status, 200);
    Upload::begin(&server, server.operator(), "more").await;
    assert_eq!(refused(&server.send("more", initiate()).await, 409), "QuotaExceeded");
}

#[tokio::test]
async fn headers_that_are_kept_count_as_bytes() {
    let server = Server::with(|config| config.quota = quota(Some(100_000), None)).await;
    let long = "a".repeat(8000);
    let begin = |key: &str| {
        server.request(Method::Post, key).query("uploads", "").with("x-oss-meta-a", &long)
    };
    let mut statuses = Vec::new();
    for n in 0..20 {
        let key = n.to_string();
        statuses.push(server.send(&key, begin(&key)).await.status);
    }
    assert_eq!(statuses, [vec![200; 12], vec![409; 8]].concat());
    let put = server.request(Method::Put, "k").with("x-oss-meta-a", &long).body(b"x");
    assert_eq!(refused(&server.send("k", put).await, 409), "QuotaExceeded");
    assert_eq!(server.put("k", b"x").await.status, 200);
}

#[tokio::test]
async fn a_tenant_has_so_many_buckets() {
    let server = Server::with(|config| config.quota.buckets = 2).await;
    let make = |name: &'static str| {
        let server = &server;
        async move {
            let mut request = server.request(Method::Put, "");
            request.path = format!("/{name}/");
            sign_v1(&mut request, name, "", &server.operator(), now_ms());
            server.send_raw(&request).await
        }
    };
    assert_eq!(make("second").await.status, 200);
    let response = make("third").await;
    assert_eq!(refused(&response, 400), "TooManyBuckets");
    assert!(text(&response).contains("may have 2 buckets at most"), "{}", text(&response));
    assert_eq!(make("second").await.status, 200, "it has that one");
}
