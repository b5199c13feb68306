//! The VOD API.

use std::sync::atomic::{AtomicU64, Ordering};

use vodferry_oss::encode::encode_query;
use vodferry_oss::time::format_iso;
use vodferry_oss::{Credential, Method, Response};
use vodferry_vod::rpc::{Call, sign, signed_parameters};

use crate::support::{Build, Grant, Server, exchange, now_ms, text};

/// Calls an action with the operator's key.
pub(crate) async fn call(server: &Server, action: &str, given: &[(&str, &str)]) -> Response {
    get(server, &parameters(&server.operator(), action, given)).await
}

/// Signed parameters of a call of the VOD API.
pub(crate) fn parameters(
    who: &Credential,
    action: &str,
    given: &[(&str, &str)],
) -> Vec<(String, String)> {
    let call = Call {
        action,
        version: "2017-03-21",
        parameters: given,
        nonce: &nonce(),
        timestamp: &format_iso(now_ms()),
    };
    signed_parameters(Method::Get, &call, who)
}

/// A text that was not used before.
pub(crate) fn nonce() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", now_ms(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Sends parameters as the query of a GET.
pub(crate) async fn get(server: &Server, parameters: &[(String, String)]) -> Response {
    let target = encode_query(parameters);
    let head = format!("GET /?{target} HTTP/1.1\r\nHost: vod.test\r\nConnection: close\r\n\r\n");
    exchange(server.addr(), Method::Get, head.as_bytes()).await
}

/// Signs again after a change, with the operator's key and another nonce.
fn resigned(
    server: &Server,
    parameters: Vec<(String, String)>,
    change: impl FnOnce(&mut Vec<(String, String)>),
) -> Vec<(String, String)> {
    resigned_by(&server.operator(), parameters, change)
}

pub(crate) fn resigned_by(
    who: &Credential,
    mut parameters: Vec<(String, String)>,
    change: impl FnOnce(&mut Vec<(String, String)>),
) -> Vec<(String, String)> {
    parameters.retain(|(name, _)| name != "Signature");
    change(&mut parameters);
    let secret = &who.access_key_secret;
    parameters.push(("Signature".into(), sign(Method::Get, &parameters, secret.expose())));
    parameters
}

/// The code of a refusal in JSON.
pub(crate) fn refused(response: &Response, status: u16) -> String {
    assert_eq!(response.status, status, "{}", text(response));
    let reply: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(reply["RequestId"].as_str().unwrap().len(), 36);
    assert!(!reply["Message"].as_str().unwrap().is_empty());
    assert!(reply["HostId"].is_string());
    reply["Code"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn create_refresh_and_get() {
    let server = Server::start().await;
    let given = [
        ("Title", "测试 a+b*~"),
        ("FileName", "/home/me/影片.mov"),
        ("FileSize", "12"),
        ("Tags", "a,b"),
        ("CateId", "7"),
        ("Description", "<&>"),
        ("TemplateGroupId", "VOD_NO_TRANSCODE"),
    ];
    let created = Grant::of(&call(&server, "CreateUploadVideo", &given).await);
    assert!(created.target.key.ends_with(".mov"));
    let refreshed = call(&server, "RefreshUploadVideo", &[("VideoId", &created.video_id)]).await;
    assert_eq!(Grant::of(&refreshed).target, created.target);
    let info = call(&server, "GetVideoInfo", &[("VideoId", &created.video_id)]).await;
    let info: serde_json::Value = serde_json::from_slice(&info.body).unwrap();
    let video = &info["Video"];
    assert_eq!(video["Title"], "测试 a+b*~");
    assert_eq!(video["Size"], 12);
    assert_eq!(video["CateId"], 7);
    assert_eq!(video["Tags"], "a,b");
    assert_eq!(video["Status"], "Uploading");
    assert!(video.get("CoverURL").is_none(), "absent members are left out");
}

#[tokio::test]
async fn replies_are_xml_unless_json_is_asked_for() {
    let server = Server::start().await;
    let all = parameters(
        &server.operator(),
        "CreateUploadVideo",
        &[("Title", "t"), ("FileName", "a.mp4")],
    );
    let all = resigned(&server, all, |p| p.retain(|(name, _)| name != "Format"));
    let response = get(&server, &all).await;
    let body = String::from_utf8(response.body.clone()).unwrap();
    assert_eq!(response.header("content-type"), Some("application/xml"));
    assert!(body.contains("<CreateUploadVideoResponse><RequestId>"), "{body}");
    assert!(
        body.contains("<UploadAuth>") && body.ends_with("</CreateUploadVideoResponse>"),
        "{body}"
    );

    let lost = parameters(&server.operator(), "GetVideoInfo", &[("VideoId", "x<y")]);
    let lost = resigned(&server, lost, |p| p.retain(|(name, _)| name != "Format"));
    let response = get(&server, &lost).await;
    let body = String::from_utf8(response.body.clone()).unwrap();
    assert_eq!(response.status, 404);
    assert!(body.contains("<Error><Code>InvalidVideo.NotFound</Code>"), "{body}");
    assert!(body.contains("x&lt;y"), "{body}");
}

#[tokio::test]
async fn a_form_is_as_good_as_a_query() {
    let server = Server::start().await;
    let given = [("Title", "a b"), ("FileName", "a.mp4")];
    let mut pairs = parameters(&server.operator(), "CreateUploadVideo", &given);
    pairs.retain(|(name, _)| name != "Signature");
    // Some SDKs send an empty parameter along.
    pairs.push(("SignatureType".into(), String::new()));
    let secret = server.operator().access_key_secret;
    pairs.push(("Signature".into(), sign(Method::Post, &pairs, secret.expose())));
    let form = encode_query(&pairs).replace("SignatureType", "SignatureType=").replace("%20", "+");
    let head = format!(
        "POST / HTTP/1.1\r\nHost: vod.test\r\nConnection: close\r\nContent-Length: {}\r\n\
         Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n\r\n{form}",
        form.len()
    );
    Grant::of(&exchange(server.addr(), Method::Post, head.as_bytes()).await);
}

#[tokio::test]
async fn callers_are_checked_before_their_wishes() {
    let server = Server::start().await;
    let operator = server.operator();
    let good = || parameters(&operator, "GetVideoInfo", &[("VideoId", "x")]);
    let without =
        |name: &'static str| resigned(&server, good(), move |p| p.retain(|(n, _)| n != name));
    let changed = |name: &'static str, value: &'static str| {
        resigned(&server, good(), move |p| {
            p.retain(|(n, _)| n != name);
            p.push((name.into(), value.into()));
        })
    };
    let mut unsigned = good();
    unsigned.retain(|(name, _)| name != "Signature");
    let mut altered = good();
    altered.iter_mut().find(|(n, _)| n == "VideoId").unwrap().1 = "y".into();
    let mut twice = good();
    twice.push(twice.last().unwrap().clone());
    for (sent, status, code) in [
        (without("Action"), 400, "MissingAction"),
        (without("Version"), 400, "MissingVersion"),
        (changed("Version", "2014-05-26"), 400, "InvalidVersion"),
        (changed("Action", "DropEverything"), 404, "InvalidAction.NotFound"),
        (without("AccessKeyId"), 400, "MissingAccessKeyId"),
        (without("Timestamp"), 400, "MissingTimestamp"),
        (without("SignatureNonce"), 400, "MissingSignatureNonce"),
        (changed("AccessKeyId", "nobody"), 404, "InvalidAccessKeyId.NotFound"),
        (changed("AccessKeyId", "STS.nobody"), 400, "MissingSecurityToken"),
        (unsigned, 400, "MissingSignature"),
        (changed("SignatureMethod", "MD5"), 400, "InvalidSignatureMethod"),
        (changed("SignatureVersion", "2.0"), 400, "InvalidParameter.SignatureVersion"),
        (changed("Timestamp", "yesterday"), 400, "InvalidTimeStamp.Format"),
        (changed("Timestamp", "2020-01-01T00:00:00Z"), 400, "InvalidTimeStamp.Expired"),
        (altered, 400, "SignatureDoesNotMatch"),
        (twice, 400, "SignatureDoesNotMatch"),
        (without("VideoId"), 400, "MissingVideoId"),
        (changed("VideoId", "x"), 404, "InvalidVideo.NotFound"),
    ] {
        let response = get(&server, &sent).await;
        assert_eq!(refused(&response, status), code);
        let body = String::from_utf8(response.body).unwrap();
        assert!(!body.contains(operator.access_key_secret.expose()), "{body}");
    }
}

#[tokio::test]
async fn what_is_wished_for_is_checked() {
    let server = Server::start().await;
    let long = "x".repeat(129);
    for (given, code) in [
        (vec![("FileName", "a.mp4")], "MissingTitle"),
        (vec![("Title", "t")], "MissingFileName"),
        (vec![("Title", "t"), ("FileName", "a.exe")], "InvalidFileName.Extension"),
        (vec![("Title", "t"), ("FileName", "none")], "InvalidFileName.Extension"),
        (vec![("Title", &long), ("FileName", "a.mp4")], "LengthExceededMax"),
        (vec![("Title", "t"), ("FileName", "a.mp4"), ("FileSize", "many")], "InvalidParameter"),
    ] {
        let response = call(&server, "CreateUploadVideo", &given).await;
        assert_eq!(refused(&response, 400), code, "{given:?}");
    }
}

#[tokio::test]
async fn an_uploader_may_not_call_the_api() {
    let server = Server::start().await;
    let grant = server.create("a.mp4").await;
    let given = [("VideoId", grant.video_id.as_str())];
    let response = get(&server, &parameters(&grant.credential, "GetVideoInfo", &given)).await;
    assert_eq!(refused(&response, 403), "Forbidden.RAM");
    let mut garbled = grant.credential.clone();
    garbled.security_token = Some("CAISgarbled".into());
    let response = get(&server, &parameters(&garbled, "GetVideoInfo", &given)).await;
    assert_eq!(refused(&response, 400), "InvalidSecurityToken.Malformed");
    let mut swapped = grant.credential.clone();
    swapped.security_token = server.create("b.mp4").await.credential.security_token;
    let response = get(&server, &parameters(&swapped, "GetVideoInfo", &given)).await;
    assert_eq!(refused(&response, 400), "InvalidSecurityToken.MismatchWithAccessKey");
}

#[tokio::test]
async fn an_object_request_with_an_action_parameter_is_still_one() {
    let server = Server::start().await;
    server.put("a", b"x").await;
    let request = server.request(Method::Get, "a").query("Action", "GetVideoInfo");
    assert_eq!(server.send("a", request).await.body, b"x");
}

#[tokio::test]
async fn an_image_is_created_and_is_no_video() {
    let server = Server::start().await;
    let given = [("ImageType", "default"), ("ImageExt", "GIF"), ("Title", "T")];
    let response = call(&server, "CreateUploadImage", &given).await;
    assert_eq!(response.status, 200, "{}", text(&response));
    let made: serde_json::Value = serde_json::from_slice(&response.body).unwrap();
    let id = made["ImageId"].as_str().unwrap();
    let url = made["ImageURL"].as_str().unwrap();
    assert!(url.ends_with(&format!("/image/default/{id}.gif")), "{url}");
    assert_eq!(made["FileURL"], made["ImageURL"]);
    let info = call(&server, "GetVideoInfo", &[("VideoId", id)]).await;
    assert_eq!(refused(&info, 404), "InvalidVideo.NotFound");
    let nothing = call(&server, "CreateUploadImage", &[]).await;
    assert_eq!(refused(&nothing, 400), "MissingImageType");
}
