//! Who may do what, and what everybody else is told.

use std::time::Duration;

use vodferry_oss::sign::{OptionsV4, presign_v1, presign_v4, sign_v1, sign_v4, string_to_sign_v1};
use vodferry_oss::{Credential, Method, Request, ServiceError};
use vodferry_server::policy::{Effect, Pattern, Policy, Statement};
use vodferry_server::token::issue;

use crate::support::{BUCKET, Build, Server, Upload, now_ms, refused, text, wire};

#[tokio::test]
async fn an_uploader_may_upload_its_object_and_nothing_else() {
    let server = Server::start().await;
    let grant = server.create("a.mp4").await;
    let (key, who) = (grant.target.key.as_str(), &grant.credential);
    let upload = Upload::begin(&server, who.clone(), key).await;
    let etag = upload.part(1, b"x").await;
    assert_eq!(upload.list().await.parts.len(), 1);
    assert_eq!(upload.complete(&[(1, &etag)]).await.status, 200);
    let other = Upload::begin(&server, who.clone(), key).await;
    assert_eq!(other.send(other.request(Method::Delete)).await.status, 204);

    for method in [Method::Get, Method::Head, Method::Delete] {
        let response = server.send_as(who, key, server.request(method, key)).await;
        assert_eq!(refused(&response, 403), "AccessDenied", "{method:?}");
    }
    let foreign = server.create("b.mp4").await.target.key;
    let longer = format!("{key}x");
    for key in [foreign.as_str(), &longer, "sv/", &key[..key.len() - 1], "*"] {
        for request in [
            server.request(Method::Put, key).body(b"stolen"),
            server.request(Method::Post, key).query("uploads", ""),
            server.request(Method::Get, key).query("uploadId", "X"),
            server.request(Method::Post, key).query("uploadId", "X"),
            server.request(Method::Delete, key).query("uploadId", "X"),
        ] {
            let response = server.send_as(who, key, request).await;
            assert_eq!(refused(&response, 403), "AccessDenied", "{key}");
        }
    }
    assert_eq!(refused(&server.get(&foreign).await, 404), "NoSuchKey");
}

#[tokio::test]
async fn an_uploader_may_not_leave_its_bucket() {
    let server = Server::start().await;
    let grant = server.create("a.mp4").await;
    let key = grant.target.key.as_str();
    let elsewhere = || {
        let mut request = server.request(Method::Put, key).body(b"x");
        request.path = request.path.replace(BUCKET, "other-bucket");
        sign_v1(&mut request, "other-bucket", key, &grant.credential, now_ms());
        request
    };
    assert_eq!(refused(&server.send_raw(&elsewhere()).await, 404), "NoSuchBucket");
    let mut make = server.request(Method::Put, "");
    make.path = "/other-bucket/".into();
    sign_v1(&mut make, "other-bucket", "", &server.operator(), now_ms());
    assert_eq!(server.send_raw(&make).await.status, 200);
    assert_eq!(refused(&server.send_raw(&elsewhere()).await, 403), "AccessDenied");
    // A key made to look like another bucket's path.
    let mut request = server.request(Method::Put, key).body(b"x");
    request.path = format!("/{BUCKET}/../other/{key}");
    let response = server.send_as(&grant.credential, &format!("../other/{key}"), request).await;
    assert_eq!(refused(&response, 403), "AccessDenied");
}

#[tokio::test]
async fn keys_and_tokens_are_checked_in_order() {
    let server = Server::start().await;
    let grant = server.create("a.mp4").await;
    let (key, who) = (grant.target.key.clone(), grant.credential.clone());
    let operator = server.operator();
    let token = who.security_token.clone().unwrap();
    let with = |change: &dyn Fn(&mut Credential)| {
        let mut credential = who.clone();
        change(&mut credential);
        credential
    };
    let mut flipped = token.expose().to_owned().into_bytes();
    let middle = flipped.len() / 2;
    flipped[middle] = if flipped[middle] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).unwrap();
    let other = server.create("b.mp4").await.credential.security_token;
    for (credential, code) in [
        (with(&|c| c.access_key_id = "nobody".into()), "InvalidAccessKeyId"),
        (with(&|c| c.access_key_id = "STS.nobody".into()), "AccessKeyIdAndSecurityTokenNotMatch"),
        (with(&|c| c.security_token = None), "InvalidAccessKeyId"),
        (with(&|c| c.security_token = Some("garbled".into())), "InvalidSecurityToken"),
        (with(&|c| c.security_token = Some("CAIS".into())), "InvalidSecurityToken"),
        (with(&|c| c.security_token = Some(flipped.as_str().into())), "InvalidSecurityToken"),
        (with(&|c| c.security_token = Some("CAIS%F0%9F".into())), "InvalidSecurityToken"),
        (with(&|c| c.security_token = other.clone()), "AccessKeyIdAndSecurityTokenNotMatch"),
        (with(&|c| c.access_key_secret = "wrong".into()), "SignatureDoesNotMatch"),
        (
            Credential { security_token: Some(token.clone()), ..operator.clone() },
            "SecurityTokenNotSupported",
        ),
        (
            Credential { access_key_secret: "wrong".into(), ..operator.clone() },
            "SignatureDoesNotMatch",
        ),
    ] {
        let request = server.request(Method::Put, &key).body(b"x");
        let response = server.send_as(&credential, &key, request).await;
        assert_eq!(refused(&response, 403), code);
        let body = text(&response);
        for secret in [&who.access_key_secret, &operator.access_key_secret] {
            assert!(!body.contains(secret.expose()), "{body}");
        }
    }
    let anonymous = server.request(Method::Put, &key).body(b"x");
    assert_eq!(refused(&server.send_raw(&anonymous).await, 403), "AccessDenied");
    assert_eq!(refused(&server.get(&key).await, 404), "NoSuchKey");
}

#[tokio::test]
async fn tokens_run_out() {
    let server = Server::start().await;
    let policy = Policy::upload_only(BUCKET, "k");
    let now = now_ms() as u64;
    let (dead, _) =
        issue(&server.keys.masters, &policy, Duration::from_secs(60), now - 61_000).unwrap();
    let request = server.request(Method::Put, "k").body(b"x");
    let response = server.send_as(&dead, "k", request).await;
    assert_eq!(refused(&response, 403), "SecurityTokenExpired");
    let body = text(&response);
    assert!(body.contains("The security token you provided has expired."), "{body}");

    // One that dies while a large part travels was good when it began.
    let (short, _) =
        issue(&server.keys.masters, &policy, Duration::from_millis(1500), now_ms() as u64).unwrap();
    let upload = Upload::begin(&server, short.clone(), "k").await;
    let mut part = upload.request(Method::Put).query("partNumber", "1").body(&[7; 10]);
    sign_v1(&mut part, BUCKET, "k", &short, now_ms());
    let bytes = wire(&part);
    let (head, tail) = bytes.split_at(bytes.len() - 5);
    let mut stream = tokio::net::TcpStream::connect(server.addr()).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut stream, head).await.unwrap();
    tokio::time::sleep(Duration::from_millis(1700)).await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, tail).await.unwrap();
    let response = crate::support::read_response(&mut stream, false).await.unwrap();
    assert_eq!(response.status, 200, "{}", text(&response));
    let request = upload.request(Method::Get);
    assert_eq!(refused(&upload.send(request).await, 403), "SecurityTokenExpired");
}

#[tokio::test]
async fn a_token_of_other_masters_is_no_token() {
    let (server, stranger) = (Server::start().await, Server::start().await);
    let grant = stranger.create("a.mp4").await;
    let key = grant.target.key.as_str();
    let request = server.request(Method::Put, key).body(b"x");
    let response = server.send_as(&grant.credential, key, request).await;
    assert_eq!(refused(&response, 403), "InvalidSecurityToken");
}

#[tokio::test]
async fn deny_wins() {
    let server = Server::start().await;
    let glob = |text: &str| vec![Pattern::Glob(text.into())];
    let statement = |effect, actions: &str, resources: &str| Statement {
        effect,
        actions: glob(actions),
        resources: glob(resources),
        conditions: vec![],
    };
    let policy = Policy {
        statements: vec![
            statement(Effect::Allow, "oss:*", "vod-media/films/*"),
            statement(Effect::Deny, "oss:DeleteObject", "*"),
        ],
    };
    let life = Duration::from_secs(60);
    let (who, _) = issue(&server.keys.masters, &policy, life, now_ms() as u64).unwrap();
    let send = |method, key: &'static str| {
        let request = server.request(method, key).body(b"");
        let (server, who) = (&server, &who);
        async move { server.send_as(who, key, request).await }
    };
    assert_eq!(send(Method::Put, "films/a").await.status, 200);
    assert_eq!(send(Method::Get, "films/a").await.status, 200);
    assert_eq!(refused(&send(Method::Delete, "films/a").await, 403), "AccessDenied");
    assert_eq!(refused(&send(Method::Get, "other/a").await, 403), "AccessDenied");
}

#[tokio::test]
async fn a_mismatch_shows_what_should_have_been_signed() {
    let server = Server::start().await;
    let mut request = server.request(Method::Put, "a b").with("x-oss-meta-a", "1").body(b"x");
    sign_v1(&mut request, BUCKET, "another", &server.operator(), now_ms());
    let date = request.header("x-oss-date").unwrap().to_owned();
    let expected = string_to_sign_v1("PUT", &request.headers, &request.query, &date, BUCKET, "a b");
    let response = server.send_raw(&request).await;
    assert_eq!(refused(&response, 403), "SignatureDoesNotMatch");
    let error = ServiceError::from_response(&response);
    assert_eq!(error.context("StringToSign"), Some(expected.as_str()));
    let bytes = error.context("StringToSignBytes").unwrap();
    assert!(bytes.starts_with("50 55 54 0A"), "{bytes}");
    assert_eq!(error.context("OSSAccessKeyId"), Some(server.operator().access_key_id.as_str()));
    assert!(error.context("SignatureProvided").is_some());
    let mut head = server.request(Method::Head, "a b");
    sign_v1(&mut head, BUCKET, "another", &server.operator(), now_ms());
    let response = server.send_raw(&head).await;
    assert_eq!(refused(&response, 403), "SignatureDoesNotMatch");
    let error = ServiceError::from_response(&response);
    assert!(error.context("StringToSign").is_some());
    assert!(error.context("StringToSignBytes").is_none(), "headers are bounded");
}

#[tokio::test]
async fn anything_altered_breaks_the_signature() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    let signed = |change: &dyn Fn(&mut Request)| {
        let mut request = server
            .request(Method::Put, "k")
            .query("partNumber", "1")
            .query("uploadId", "U")
            .with("content-type", "a/b")
            .with("x-oss-meta-a", "1")
            .body(b"y");
        sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms());
        change(&mut request);
        request
    };
    let set = |request: &mut Request, name: &str, value: &str| request.set_header(name, value);
    let changes: &[&dyn Fn(&mut Request)] = &[
        &|r| r.method = Method::Post,
        &|r| r.path.push('x'),
        &|r| r.query[0].1 = "2".into(),
        &|r| r.query.push(("acl".into(), String::new())),
        &|r| set(r, "content-type", "c/d"),
        &|r| set(r, "content-md5", "1B2M2Y8AsgTpgAmY7PhCfg=="),
        &|r| set(r, "x-oss-meta-a", "2"),
        &|r| set(r, "x-oss-meta-b", "2"),
        &|r| set(r, "x-oss-date", &vodferry_oss::time::format_http(now_ms() + 5000)),
    ];
    for (n, change) in changes.iter().enumerate() {
        let response = server.send_raw(&signed(*change)).await;
        assert_eq!(refused(&response, 403), "SignatureDoesNotMatch", "change {n}");
    }
    assert_eq!(refused(&server.send_raw(&signed(&|_| ())).await, 404), "NoSuchUpload");
}

#[tokio::test]
async fn clocks_may_differ_by_a_quarter_of_an_hour() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    for (minutes, good) in [(0, true), (14, true), (-14, true), (16, false), (-16, false)] {
        let mut request = server.request(Method::Get, "k");
        sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms() + minutes * 60_000);
        let response = server.send_raw(&request).await;
        if good {
            assert_eq!(response.status, 200, "{minutes}");
            continue;
        }
        assert_eq!(refused(&response, 403), "RequestTimeTooSkewed", "{minutes}");
        let error = ServiceError::from_response(&response);
        let server_time = vodferry_oss::time::parse_iso(error.context("ServerTime").unwrap());
        assert!((server_time.unwrap() - now_ms()).abs() < 10_000);
        assert_eq!(error.context("MaxAllowedSkewMilliseconds"), Some("900000"));
        assert!((response.date_ms().unwrap() - now_ms()).abs() < 10_000);
    }
    let mut request = server.request(Method::Get, "k");
    sign_v1(&mut request, BUCKET, "k", &server.operator(), now_ms());
    request.set_header("x-oss-date", "some day");
    assert_eq!(refused(&server.send_raw(&request).await, 403), "AccessDenied");
}

#[tokio::test]
async fn links_work_until_they_die() {
    let server = Server::start().await;
    server.put("k", b"x").await;
    let now = now_ms() as u64 / 1000;
    let link = |expires: u64, who: &Credential| {
        let mut request = server.request(Method::Get, "k").query("response-content-type", "a/b");
        presign_v1(&mut request, BUCKET, "k", who, expires);
        request
    };
    let operator = server.operator();
    let good = server.send_raw(&link(now + 60, &operator)).await;
    assert_eq!((good.status, good.header("content-type")), (200, Some("a/b")));
    let dead = server.send_raw(&link(now - 1, &operator)).await;
    assert_eq!(refused(&dead, 403), "AccessDenied");
    assert!(text(&dead).contains("Request has expired."));
    assert!(ServiceError::from_response(&dead).context("Expires").is_some());

    let mut longer = link(now + 60, &operator);
    longer.query.iter_mut().find(|(n, _)| n == "Expires").unwrap().1 = (now + 6000).to_string();
    assert_eq!(refused(&server.send_raw(&longer).await, 403), "SignatureDoesNotMatch");
    let mut put = link(now + 60, &operator);
    put.method = Method::Put;
    assert_eq!(refused(&server.send_raw(&put).await, 403), "SignatureDoesNotMatch");
    for missing in ["Expires", "Signature", "OSSAccessKeyId"] {
        let mut half = link(now + 60, &operator);
        half.query.retain(|(name, _)| name != missing);
        assert_eq!(refused(&server.send_raw(&half).await, 403), "AccessDenied", "{missing}");
    }
    let mut twice = link(now + 60, &operator);
    sign_v1(&mut twice, BUCKET, "k", &operator, now_ms());
    assert_eq!(refused(&server.send_raw(&twice).await, 400), "InvalidArgument");

    // A link made with a temporary credential carries its token.
    let policy = Policy::everything();
    let (who, _) =
        issue(&server.keys.masters, &policy, Duration::from_secs(60), now_ms() as u64).unwrap();
    assert_eq!(server.send_raw(&link(now + 60, &who)).await.status, 200);
}

#[tokio::test]
async fn the_newer_signature_is_as_good() {
    let server = Server::start().await;
    server.put("a b/测", b"x").await;
    let v4 = |region: &'static str| OptionsV4 { region, additional_headers: &["host"] };
    let by_header = |region, who: &Credential| {
        let mut request =
            server.request(Method::Get, "a b/测").query("response-content-type", "a/b");
        sign_v4(&mut request, BUCKET, "a b/测", who, v4(region), now_ms());
        request
    };
    let by_url = |region, made_s: i64| {
        let mut request = server.request(Method::Get, "a b/测");
        let (who, at) = (server.operator(), now_ms() + made_s * 1_000);
        presign_v4(&mut request, BUCKET, "a b/测", &who, v4(region), at, 60);
        request
    };
    let operator = server.operator();
    assert_eq!(server.send_raw(&by_header("cn-shanghai", &operator)).await.status, 200);
    assert_eq!(server.send_raw(&by_url("cn-shanghai", 0)).await.status, 200);
    let (temporary, _) = issue(
        &server.keys.masters,
        &Policy::everything(),
        Duration::from_secs(60),
        now_ms() as u64,
    )
    .unwrap();
    assert_eq!(server.send_raw(&by_header("cn-shanghai", &temporary)).await.status, 200);

    for request in [by_header("cn-hangzhou", &operator), by_url("cn-hangzhou", 0)] {
        assert_eq!(refused(&server.send_raw(&request).await, 400), "InvalidArgument");
    }
    assert!(text(&server.send_raw(&by_url("cn-shanghai", -61)).await).contains("has expired"));
    for mut request in [by_header("cn-shanghai", &operator), by_url("cn-shanghai", 0)] {
        request.query.push(("acl".into(), "".into()));
        let response = server.send_raw(&request).await;
        assert_eq!(refused(&response, 403), "SignatureDoesNotMatch");
        assert!(ServiceError::from_response(&response).context("CanonicalRequest").is_some());
    }
}

#[tokio::test]
async fn odd_authorization_headers_are_explained() {
    let server = Server::start().await;
    for (value, status, code) in [
        ("OSS", 400, "InvalidArgument"),
        ("OSS x", 400, "InvalidArgument"),
        ("OSS :", 400, "InvalidArgument"),
        ("OSS a:b", 403, "InvalidAccessKeyId"),
        ("Basic dXNlcjpwYXNz", 400, "InvalidArgument"),
        ("OSS2 AccessKeyId:a,Signature:b", 400, "NotImplemented"),
        ("OSS4-HMAC-SHA256 Credential=a,Signature=0", 400, "InvalidArgument"),
        (
            "OSS4-HMAC-SHA256 Credential=a/20260101/x/oss/aliyun_v4_request,Signature=0",
            403,
            "InvalidAccessKeyId",
        ),
    ] {
        let request = server
            .request(Method::Get, "k")
            .with("authorization", value)
            .with("date", &vodferry_oss::time::format_http(now_ms()));
        assert_eq!(refused(&server.send_raw(&request).await, status), code, "{value}");
    }
}
