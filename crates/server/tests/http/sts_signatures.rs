//! Both signatures of RPC calls, and that none is carried out twice.

use vodferry_oss::encode::encode_query;
use vodferry_oss::time::format_iso;
use vodferry_oss::{Credential, Method, Response};
use vodferry_vod::acs3::{Call, Presented, Signed, body_hash, signed_headers};

use crate::rpc::{get, nonce, parameters, refused, resigned_by};
use crate::sts_assume::{ARN, assume, credential};
use crate::support::{Server, exchange, now_ms, text};

type Pairs = Vec<(String, String)>;

/// Headers and query of an AssumeRole that is signed by its headers.
fn signed(who: &Credential, method: Method, at_ms: i64) -> (Pairs, Pairs) {
    let query: Pairs = [("RoleArn", ARN), ("RoleSessionName", "a@b"), ("Policy", &all())]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec();
    let call = Call {
        host: "sts.test",
        action: "AssumeRole",
        version: "2015-04-01",
        parameters: &query,
        nonce: &nonce(),
        date: &format_iso(at_ms),
    };
    (signed_headers(method, &call, who), query)
}

fn all() -> String {
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#.to_owned()
}

async fn send(
    server: &Server,
    method: Method,
    (headers, query): &(Pairs, Pairs),
    body: &str,
) -> Response {
    // As the SDK writes a space.
    let query = encode_query(query).replace("%20", "+");
    let mut head = format!("{} /?{query} HTTP/1.1\r\nConnection: close\r\n", method.as_str());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    exchange(server.addr(), method, head.as_bytes()).await
}

#[tokio::test]
async fn a_call_signed_by_its_headers_is_as_good() {
    let server = Server::start().await;
    for method in [Method::Post, Method::Get] {
        let call = signed(&server.operator(), method, now_ms());
        let response = send(&server, method, &call, "").await;
        assert_eq!(response.header("content-type"), Some("application/json"));
        let who = credential(&response);
        // And a temporary credential signs so, too.
        let call = signed(&who, method, now_ms());
        let response = send(&server, method, &call, "").await;
        assert_eq!(refused(&response, 403), "NoPermission");
    }
}

#[tokio::test]
async fn a_form_counts_when_its_bytes_are_signed() {
    let server = Server::start().await;
    let who = server.operator();
    let form = encode_query(&[("RoleArn", ARN), ("RoleSessionName", "a@b")]);
    let kind = ("content-type".to_owned(), "application/x-www-form-urlencoded".to_owned());
    let (mut headers, _) = signed(&who, Method::Post, now_ms());
    headers.pop();
    headers.iter_mut().find(|(name, _)| name == "x-acs-content-sha256").unwrap().1 =
        body_hash(form.as_bytes());
    let sign = |headers: &Pairs, names: &str| {
        let body = body_hash(form.as_bytes());
        let signed = Signed { names, headers, query: &[], body: &body };
        let signature = signed.sign(Method::Post, who.access_key_secret.expose()).unwrap();
        let id = &who.access_key_id;
        let mut headers = headers.clone();
        headers.push((
            "authorization".to_owned(),
            format!("ACS3-HMAC-SHA256 Credential={id},SignedHeaders={names},Signature={signature}"),
        ));
        (headers, Pairs::new())
    };
    headers.push(kind);
    let names =
        "host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version";
    let without = sign(&headers, names);
    let response = send(&server, Method::Post, &without, &form).await;
    assert_eq!(refused(&response, 400), "IncompleteSignature", "the kind of body is not signed");
    let whole = sign(&headers, &format!("content-type;{names}"));
    let other = form.replace("a%40b", "a%40c");
    assert_ne!(other, form);
    let response = send(&server, Method::Post, &whole, &other).await;
    assert_eq!(refused(&response, 400), "SignatureDoesNotMatch");
    credential(&send(&server, Method::Post, &whole, &form).await);
}

#[tokio::test]
async fn anything_altered_is_refused() {
    let server = Server::start().await;
    let who = server.operator();
    let set = |call: &mut (Pairs, Pairs), name: &str, value: &str| {
        call.0.iter_mut().find(|(n, _)| n == name).unwrap().1 = value.to_owned();
    };
    type Change<'a> = Box<dyn Fn(&mut (Pairs, Pairs)) + 'a>;
    let changes: Vec<(Change<'_>, u16, &str)> = vec![
        (Box::new(|c| set(c, "host", "other.test")), 400, "SignatureDoesNotMatch"),
        (Box::new(|c| set(c, "x-acs-action", "GetCallerIdentity")), 400, "SignatureDoesNotMatch"),
        (Box::new(|c| set(c, "x-acs-signature-nonce", "n")), 400, "SignatureDoesNotMatch"),
        (Box::new(|c| set(c, "x-acs-content-sha256", "00")), 400, "SignatureDoesNotMatch"),
        (Box::new(|c| set(c, "x-acs-date", "soon")), 400, "InvalidTimeStamp.Format"),
        (Box::new(|c| set(c, "x-acs-version", "1999-01-01")), 400, "InvalidVersion"),
        (Box::new(|c| set(c, "x-acs-action", "")), 400, "MissingAction"),
        (Box::new(|c| c.1.retain(|(n, _)| n != "Policy")), 400, "SignatureDoesNotMatch"),
        (Box::new(|c| c.1.push(("X".into(), "".into()))), 400, "SignatureDoesNotMatch"),
        (Box::new(|c| c.1.push(("RoleArn".into(), ARN.into()))), 400, "InvalidParameter"),
        // A header that counts, but that is not signed, or comes twice.
        (
            Box::new(|c| c.0.push(("x-acs-security-token".into(), "CAISx".into()))),
            400,
            "InvalidSecurityToken.MismatchWithAccessKey",
        ),
        (
            Box::new(|c| c.0.push(("x-acs-region-id".into(), "x".into()))),
            400,
            "IncompleteSignature",
        ),
        (
            Box::new(|c| c.0.push(("x-acs-action".into(), "AssumeRole".into()))),
            400,
            "SignatureDoesNotMatch",
        ),
        (Box::new(|c| set(c, "authorization", "ACS3-HMAC-SHA256 x")), 400, "IncompleteSignature"),
        (
            Box::new(|c| {
                let value = c.0.last().unwrap().1.replace("host;", "");
                set(c, "authorization", &value);
            }),
            400,
            "IncompleteSignature",
        ),
        (
            Box::new(|c| {
                let value = c.0.last().unwrap().1.replace("Credential=VF", "Credential=XX");
                set(c, "authorization", &value);
            }),
            404,
            "InvalidAccessKeyId.NotFound",
        ),
    ];
    for (at, (change, status, code)) in changes.into_iter().enumerate() {
        let mut call = signed(&who, Method::Post, now_ms());
        change(&mut call);
        let response = send(&server, Method::Post, &call, "").await;
        assert_eq!(refused(&response, status), code, "change {at}: {}", text(&response));
        assert!(!text(&response).contains(who.access_key_secret.expose()));
    }
    let far = now_ms() - 16 * 60_000;
    let response = send(&server, Method::Post, &signed(&who, Method::Post, far), "").await;
    assert_eq!(refused(&response, 400), "InvalidTimeStamp.Expired");
    let call = signed(&who, Method::Post, now_ms());
    assert!(Presented::of(&call.0.last().unwrap().1).is_some());
    let response = send(&server, Method::Get, &call, "").await;
    assert_eq!(refused(&response, 400), "SignatureDoesNotMatch", "another method");
}

#[tokio::test]
async fn a_call_is_carried_out_once() {
    let server = Server::start().await;
    let who = server.operator();
    // By its parameters …
    let call = parameters(&who, "CreateUploadVideo", &[("Title", "t"), ("FileName", "a.mp4")]);
    assert_eq!(get(&server, &call).await.status, 200);
    assert_eq!(refused(&get(&server, &call).await, 400), "SignatureNonceUsed");
    // … whatever else is changed and signed again, and also when it failed.
    let again = resigned_by(&who, call, |p| p.retain(|(n, _)| n != "Title"));
    assert_eq!(refused(&get(&server, &again).await, 400), "SignatureNonceUsed");
    let lost = parameters(&who, "GetVideoInfo", &[("VideoId", "x")]);
    assert_eq!(refused(&get(&server, &lost).await, 404), "InvalidVideo.NotFound");
    assert_eq!(refused(&get(&server, &lost).await, 400), "SignatureNonceUsed");
    // … by its headers …
    let call = signed(&who, Method::Post, now_ms());
    credential(&send(&server, Method::Post, &call, "").await);
    let response = send(&server, Method::Post, &call, "").await;
    assert_eq!(refused(&response, 400), "SignatureNonceUsed");
    // … and without a time, which temporary keys need not sign.
    let temporary = assume(&server, None).await;
    let call =
        parameters(&temporary, "CreateUploadVideo", &[("Title", "t"), ("FileName", "a.mp4")]);
    let call = resigned_by(&temporary, call, |p| p.retain(|(n, _)| n != "Timestamp"));
    assert_eq!(get(&server, &call).await.status, 200);
    assert_eq!(refused(&get(&server, &call).await, 400), "SignatureNonceUsed");
}

#[tokio::test]
async fn a_forged_call_uses_up_no_nonce() {
    let server = Server::start().await;
    let who = server.operator();
    let good = parameters(&who, "CreateUploadVideo", &[("Title", "t"), ("FileName", "a.mp4")]);
    let mut forged = good.clone();
    forged.iter_mut().find(|(n, _)| n == "Title").unwrap().1 = "u".into();
    assert_eq!(refused(&get(&server, &forged).await, 400), "SignatureDoesNotMatch");
    assert_eq!(get(&server, &good).await.status, 200);
}

#[tokio::test]
async fn the_window_of_a_replay_is_that_of_the_time() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    let now = Arc::new(AtomicU64::new(now_ms() as u64));
    let clock = now.clone();
    let environment = vodferry_server::Environment {
        clock: Arc::new(move || clock.load(Ordering::SeqCst)),
        ..Default::default()
    };
    let server = Server::within(environment, |_| ()).await;
    let call = parameters(&server.operator(), "GetVideoInfo", &[("VideoId", "x")]);
    let minutes = |n: i64| {
        now.store((now_ms() + n * 60_000) as u64, Ordering::SeqCst);
    };
    minutes(-14);
    assert_eq!(refused(&get(&server, &call).await, 404), "InvalidVideo.NotFound");
    for later in [-14, 0, 14] {
        minutes(later);
        assert_eq!(refused(&get(&server, &call).await, 400), "SignatureNonceUsed", "{later}");
    }
    minutes(17);
    assert_eq!(refused(&get(&server, &call).await, 400), "InvalidTimeStamp.Expired");
}
