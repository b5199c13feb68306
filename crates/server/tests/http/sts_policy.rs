//! Session policies at work: what they let through, and what nobody gets around.

use std::net::SocketAddr;

use vodferry_oss::sign::sign_v1;
use vodferry_oss::{Credential, Method, Response};

use crate::rpc::{get, parameters, refused as refused_call};
use crate::sts_assume::{ARN, assume, credential, sts};
use crate::support::{BUCKET, Build, Server, Upload, exchange, now_ms, refused, text, wire};

fn policy(statements: &str) -> String {
    format!(r#"{{"Version":"1","Statement":[{statements}]}}"#)
}

fn allow(action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"Allow","Action":"{action}","Resource":"{resource}"}}"#)
}

fn deny(action: &str, resource: &str) -> String {
    format!(r#"{{"Effect":"Deny","Action":"{action}","Resource":"{resource}"}}"#)
}

async fn put(server: &Server, who: &Credential, key: &str) -> Response {
    server.send_as(who, key, server.request(Method::Put, key).body(b"x")).await
}

async fn may_put(server: &Server, who: &Credential, key: &str) -> bool {
    let response = put(server, who, key).await;
    match response.status {
        200 => true,
        _ => {
            assert_eq!(refused(&response, 403), "AccessDenied", "{key}");
            false
        }
    }
}

#[tokio::test]
async fn wildcards_reach_as_far_as_they_say() {
    let server = Server::start().await;
    for (resource, inside, outside) in [
        ("vod-media/up/*", vec!["up/a", "up/a/b", "up/"], vec!["up", "upx", "x/up/a", "UP/a"]),
        ("vod-media/*.mp4", vec!["a.mp4", "a/b.mp4"], vec!["a.mp4x", "mp4"]),
        ("vod-media/a?c", vec!["abc", "a/c", "a中c"], vec!["ac", "abbc"]),
        ("vod-media/u-*/v?/*", vec!["u-1/v2/x", "u-1/a/v2/x"], vec!["u-1/v/x", "u1/v2/x"]),
        ("*", vec!["any/thing"], vec![]),
        ("vod-medi?/k", vec!["k"], vec!["kk"]),
        ("vod-media", vec![], vec!["k"]),
        ("other/*", vec![], vec!["k", "other/k"]),
    ] {
        let whole = allow("oss:PutObject", &format!("acs:oss:*:*:{resource}"));
        let who = assume(&server, Some(&policy(&whole))).await;
        for key in inside {
            assert!(may_put(&server, &who, key).await, "{resource} {key}");
        }
        for key in outside {
            assert!(!may_put(&server, &who, key).await, "{resource} {key}");
        }
    }
}

#[tokio::test]
async fn an_explicit_deny_wins() {
    let server = Server::start().await;
    let both = [allow("oss:*", "*"), deny("oss:putobject", "acs:oss:*:*:vod-media/locked/*")];
    for order in [[0, 1], [1, 0]] {
        let statements = order.map(|at: usize| both[at].clone()).join(",");
        let who = assume(&server, Some(&policy(&statements))).await;
        assert!(may_put(&server, &who, "open/a").await);
        assert!(!may_put(&server, &who, "locked/a").await);
        // Nor in parts, nor by a path that says the same in other letters.
        let request = server.request(Method::Post, "locked/a").query("uploads", "");
        let response = server.send_as(&who, "locked/a", request).await;
        assert_eq!(refused(&response, 403), "AccessDenied");
        let mut request = server.request(Method::Put, "locked/a").body(b"x");
        request.path = format!("/{BUCKET}/%6c%6Fcked%2Fa");
        assert_eq!(refused(&server.send_as(&who, "locked/a", request).await, 403), "AccessDenied");
    }
}

#[tokio::test]
async fn every_operation_asks_for_its_own_action() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    let upload = Upload::begin(&server, server.operator(), "k").await;
    let etag = upload.part(1, b"x").await;
    drop(etag);
    let id = upload.id.as_str();
    // Those that change nothing when they are allowed come first.
    let calls = || {
        [
            ("oss:GetObject", server.request(Method::Get, "k")),
            ("oss:GetObject", server.request(Method::Head, "k")),
            ("oss:GetObject", server.request(Method::Head, "k").query("objectMeta", "")),
            ("oss:ListParts", server.request(Method::Get, "k").query("uploadId", id)),
            ("oss:PutObject", server.request(Method::Put, "k").body(b"x")),
            ("oss:PutObject", server.request(Method::Post, "k").query("uploads", "")),
            (
                "oss:PutObject",
                server
                    .request(Method::Put, "k")
                    .query("partNumber", "1")
                    .query("uploadId", id)
                    .body(b"x"),
            ),
            ("oss:AbortMultipartUpload", server.request(Method::Delete, "k").query("uploadId", id)),
            ("oss:DeleteObject", server.request(Method::Delete, "k")),
        ]
    };
    let resource = "acs:oss:*:*:vod-media/k";
    for (action, request) in calls() {
        let all_but = format!("{},{}", allow("oss:*", resource), deny(action, resource));
        let who = assume(&server, Some(&policy(&all_but))).await;
        let response = server.send_as(&who, "k", request).await;
        assert_eq!(response.status, 403, "{action}: {}", text(&response));
    }
    for (action, request) in calls() {
        let who = assume(&server, Some(&policy(&allow(action, resource)))).await;
        let response = server.send_as(&who, "k", request).await;
        assert!(response.status < 300, "{action}: {}", text(&response));
    }
}

#[tokio::test]
async fn who_may_not_publish_does_not_by_making_the_bucket_again() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    let mine = format!("{},{}", allow("oss:*", "*"), deny("oss:PutBucketAcl", "*"));
    let who = assume(&server, Some(&policy(&mine))).await;
    let make = |acl: Option<&str>| {
        let request = server.request(Method::Put, "");
        acl.map_or(request.clone(), |acl| request.with("x-oss-acl", acl))
    };
    for acl in ["public-read-write", "public-read", "private"] {
        let response = server.send_as(&who, "", make(Some(acl))).await;
        assert_eq!(refused(&response, 403), "AccessDenied", "{acl}");
    }
    assert_eq!(server.send_as(&who, "", make(None)).await.status, 200);
    let anybody = wire(&server.request(Method::Get, "k"));
    let response = exchange(server.addr(), Method::Get, &anybody).await;
    assert_eq!(response.status, 403, "nobody published it");
    let response = server.send_as(&server.operator(), "", make(Some("public-read"))).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    let response = server.send_as(&who, "", make(None)).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    let response = exchange(server.addr(), Method::Get, &anybody).await;
    assert_eq!(response.status, 200, "made again without a word of it, it stays published");
}

/// A 403 says that the credential is no good, and clients would ask for another.
#[tokio::test]
async fn a_bucket_that_is_not_there_is_told_to_a_narrow_credential() {
    let server = Server::start().await;
    let narrow = policy(&allow("oss:PutObject", "acs:oss:*:*:vod-media/up/*"));
    let who = assume(&server, Some(&narrow)).await;
    for (method, key) in [(Method::Put, "up/a"), (Method::Get, "k"), (Method::Get, "")] {
        let mut request = server.request(method, "");
        request.path = format!("/no-such-bucket/{key}");
        sign_v1(&mut request, "no-such-bucket", key, &who, now_ms());
        assert_eq!(refused(&server.send_raw(&request).await, 404), "NoSuchBucket", "{key}");
    }
    let source = "/no-such-bucket/k";
    let copy = server.request(Method::Put, "up/a").with("x-oss-copy-source", source);
    assert_eq!(refused(&server.send_as(&who, "up/a", copy).await, 404), "NoSuchBucket");
    // To make one is a right like others.
    let mut make = server.request(Method::Put, "");
    make.path = "/no-such-bucket/".into();
    sign_v1(&mut make, "no-such-bucket", "", &who, now_ms());
    assert_eq!(refused(&server.send_raw(&make).await, 403), "AccessDenied");
}

#[tokio::test]
async fn the_source_address_counts() {
    let on = |condition: &str| {
        policy(&format!(
            r#"{{"Effect":"Allow","Action":"oss:*","Resource":"*","Condition":{condition}}}"#
        ))
    };
    let loopback = r#"{"IpAddress":{"acs:SourceIp":["127.0.0.0/8","::1"]}}"#;
    let not_loopback = r#"{"NotIpAddress":{"acs:SourceIp":["127.0.0.0/8","::1"]}}"#;
    let mapped = r#"{"IpAddress":{"acs:SourceIp":"::ffff:127.0.0.1"}}"#;
    let elsewhere = r#"{"IpAddress":{"acs:SourceIp":"192.0.2.0/24"}}"#;
    let insecure = r#"{"Bool":{"acs:SecureTransport":"false"}}"#;
    let secure = r#"{"Bool":{"acs:SecureTransport":"true"}}"#;
    let both = r#"{"IpAddress":{"acs:SourceIp":"127.0.0.1"},"Bool":{"acs:SecureTransport":true}}"#;
    let server = Server::start().await;
    for (condition, may) in [
        (loopback, true),
        (not_loopback, false),
        (mapped, true),
        (elsewhere, false),
        (insecure, true),
        (secure, false),
        (both, false),
    ] {
        let who = assume(&server, Some(&on(condition))).await;
        assert_eq!(may_put(&server, &who, "k").await, may, "{condition}");
        // What a client says of itself is not where it is.
        let request = server.request(Method::Put, "k").body(b"x");
        let request =
            request.with("x-forwarded-for", "192.0.2.1").with("x-forwarded-proto", "https");
        assert_eq!(server.send_as(&who, "k", request).await.status == 200, may, "{condition}");
    }
}

#[tokio::test]
async fn an_address_that_came_mapped_is_the_one_it_stands_for() {
    let any: SocketAddr = "[::]:0".parse().unwrap();
    // A machine without IPv6 cannot play this.
    if std::net::TcpListener::bind(any).is_err() {
        return;
    }
    let server = Server::with(|config| config.listen = any).await;
    let port = server.addr().port();
    let policy = policy(
        r#"{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"IpAddress":{"acs:SourceIp":"127.0.0.0/8"}}}"#,
    );
    let at = SocketAddr::from(([127, 0, 0, 1], port));
    let signed = |who: &Credential| {
        let mut request = server.request(Method::Put, "k").body(b"x");
        vodferry_oss::sign::sign_v1(&mut request, BUCKET, "k", who, crate::support::now_ms());
        wire(&request)
    };
    // Asked from this machine by IPv4, the listener sees ::ffff:127.0.0.1.
    let pairs = crate::rpc::resigned_by(
        &server.operator(),
        parameters(
            &server.operator(),
            "AssumeRole",
            &[("RoleArn", ARN), ("RoleSessionName", "tests"), ("Policy", &policy)],
        ),
        |pairs| {
            pairs.iter_mut().find(|(n, _)| n == "Version").unwrap().1 = "2015-04-01".into();
        },
    );
    let head = format!(
        "GET /?{} HTTP/1.1\r\nHost: sts.test\r\nConnection: close\r\n\r\n",
        vodferry_oss::encode::encode_query(&pairs)
    );
    let who = credential(&exchange(at, Method::Get, head.as_bytes()).await);
    let response = exchange(at, Method::Put, &signed(&who)).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    let by_v6 = SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port));
    let response = exchange(by_v6, Method::Put, &signed(&who)).await;
    assert_eq!(refused(&response, 403), "AccessDenied");
}

#[tokio::test]
async fn a_policy_of_one_service_opens_no_other() {
    let server = Server::start().await;
    let who = assume(&server, Some(&policy(&allow("*", "acs:oss:*:*:*")))).await;
    assert!(may_put(&server, &who, "k").await);
    let given = [("Title", "t"), ("FileName", "a.mp4")];
    let response = get(&server, &parameters(&who, "CreateUploadVideo", &given)).await;
    assert_eq!(refused_call(&response, 403), "Forbidden.RAM");
    let who = assume(&server, Some(&policy(&allow("vod:CreateUploadVideo", "*")))).await;
    assert!(!may_put(&server, &who, "k").await);
    let response = get(&server, &parameters(&who, "CreateUploadVideo", &given)).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    let response = get(&server, &parameters(&who, "GetVideoInfo", &[("VideoId", "x")])).await;
    assert_eq!(refused_call(&response, 403), "Forbidden.RAM");
}

#[tokio::test]
async fn a_session_has_no_more_than_its_role() {
    let server = Server::start().await;
    let role = vodferry_server::keys::NewRole {
        name: "reader".to_owned(),
        policy: policy(&allow("oss:GetObject", "acs:oss:*:*:vod-media/public/*")),
        ..Default::default()
    };
    vodferry_server::keys::edit(server.folder.path(), |keys| keys.create_role(role).map(|_| ()))
        .unwrap();
    server.put("public/a", b"x").await;
    let everything = policy(&allow("*", "*"));
    let given = [
        ("RoleArn", "acs:ram::1:role/reader"),
        ("RoleSessionName", "tests"),
        ("Policy", everything.as_str()),
    ];
    let who = credential(&sts(&server, &server.operator(), "AssumeRole", &given).await);
    let got = server.send_as(&who, "public/a", server.request(Method::Get, "public/a")).await;
    assert_eq!(got.status, 200, "{}", text(&got));
    assert!(!may_put(&server, &who, "public/a").await);
    let nothing = policy(&deny("*", "*"));
    let given = [given[0], given[1], ("Policy", nothing.as_str())];
    let who = credential(&sts(&server, &server.operator(), "AssumeRole", &given).await);
    let got = server.send_as(&who, "public/a", server.request(Method::Get, "public/a")).await;
    assert_eq!(refused(&got, 403), "AccessDenied");
}

#[tokio::test]
async fn a_token_cannot_be_changed_nor_lent() {
    let server = Server::start().await;
    let narrow = policy(&allow("oss:PutObject", "acs:oss:*:*:vod-media/mine"));
    let who = assume(&server, Some(&narrow)).await;
    let wide = assume(&server, None).await;
    let token = who.security_token.clone().unwrap().expose().to_owned();
    // Every character, changed to another one of the alphabet.
    for at in (0..token.len()).step_by(7) {
        let other = if token.as_bytes()[at] == b'A' { "B" } else { "A" };
        let mut forged = token.clone();
        forged.replace_range(at..=at, other);
        let forged = Credential { security_token: Some(forged.as_str().into()), ..who.clone() };
        let code = refused(&put(&server, &forged, "mine").await, 403);
        assert_eq!(code, "InvalidSecurityToken", "at {at}");
    }
    for (id, secret, token, code) in [
        (&who, &wide, &wide, "AccessKeyIdAndSecurityTokenNotMatch"),
        (&who, &who, &wide, "AccessKeyIdAndSecurityTokenNotMatch"),
        (&wide, &who, &wide, "SignatureDoesNotMatch"),
        (&who, &wide, &who, "SignatureDoesNotMatch"),
    ] {
        let mixed = Credential {
            access_key_id: id.access_key_id.clone(),
            access_key_secret: secret.access_key_secret.clone(),
            security_token: token.security_token.clone(),
        };
        assert_eq!(refused(&put(&server, &mixed, "other").await, 403), code);
    }
    assert!(may_put(&server, &who, "mine").await);
}
