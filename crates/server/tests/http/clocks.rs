//! The server's clock jumps; what it promised by the clock is judged by the clock, and nothing else
//! changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use vodferry_oss::sign::sign_v1;
use vodferry_oss::{Credential, Method, Response};
use vodferry_server::Environment;

use crate::support::{BUCKET, Build, Server, Upload, now_ms, refused};

const SECOND: i64 = 1000;
const DAY: i64 = 86_400 * SECOND;

struct Jumping {
    server: Server,
    ahead: Arc<AtomicI64>,
}

impl Jumping {
    async fn start() -> Jumping {
        let ahead: Arc<AtomicI64> = Arc::default();
        let reads = ahead.clone();
        let clock = Arc::new(move || (now_ms() + reads.load(Ordering::SeqCst)).max(0) as u64);
        let environment = Environment { clock, ..Environment::default() };
        Jumping { server: Server::within(environment, |_| ()).await, ahead }
    }

    fn jump(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::SeqCst);
    }

    /// A client whose clock runs with the server's, as one that learned the offset.
    async fn put(&self, who: &Credential, key: &str) -> Response {
        let mut request = self.server.request(Method::Put, key).body(b"x");
        let now = now_ms() + self.ahead.load(Ordering::SeqCst);
        sign_v1(&mut request, BUCKET, key, who, now);
        self.server.send_raw(&request).await
    }
}

#[tokio::test]
async fn a_credential_lives_by_the_servers_clock() {
    let jumping = Jumping::start().await;
    let grant = jumping.server.create("a.mp4").await;
    let (who, key) = (grant.credential, grant.target.key);
    for (ahead, code) in [
        (0, None),
        (2_900 * SECOND, None),
        (3_100 * SECOND, Some("SecurityTokenExpired")),
        (3_650 * DAY, Some("SecurityTokenExpired")),
        // Set right again, and wrong the other way: what was not yet made is not expired.
        (0, None),
        (-DAY, None),
        (0, None),
    ] {
        jumping.jump(ahead);
        let response = jumping.put(&who, &key).await;
        match code {
            None => assert_eq!(response.status, 200, "{ahead}"),
            Some(code) => assert_eq!(refused(&response, 403), code, "{ahead}"),
        }
    }
}

#[tokio::test]
async fn requests_must_be_near_the_servers_clock_and_nothing_is_lost_meanwhile() {
    let jumping = Jumping::start().await;
    let server = &jumping.server;
    let upload = Upload::begin(server, server.operator(), "k").await;
    let etag = upload.part(1, b"part").await;
    for ahead in [365 * DAY, -365 * DAY, -50 * 365 * DAY] {
        jumping.jump(ahead);
        assert_eq!(refused(&server.put("k", b"x").await, 403), "RequestTimeTooSkewed", "{ahead}");
        assert_eq!(jumping.put(&server.operator(), "other").await.status, 200, "{ahead}");
    }
    jumping.jump(0);
    assert_eq!(upload.list().await.parts.len(), 1);
    let done = upload.complete(&[(1, &etag)]).await;
    assert_eq!(done.status, 200);
    assert_eq!(upload.complete(&[(1, &etag)]).await.header("etag"), done.header("etag"));
    assert_eq!(server.get("k").await.body, b"part");
}
