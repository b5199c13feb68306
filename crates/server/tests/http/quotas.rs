//! A tenant that would have more than it may.

use vodferry_oss::Method;
use vodferry_server::store::Quota;

use crate::support::{Build, Server, Upload, files, noise, refused, text};

#[tokio::test]
async fn what_exceeds_a_quota_is_refused_and_leaves_nothing() {
    let server = Server::with(|config| {
        config.quotas.insert("main".into(), Quota { bytes: Some(100_000), objects: Some(2) });
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
