//! How uploads ask for callbacks: by headers, queries and forms, after PutObject, PostObject and
//! Complete; and what is refused before anything is stored.

use serde_json::json;
use tokio::net::TcpListener;
use vodferry_oss::sign::presign_v1;
use vodferry_oss::xml::{CompleteMultipartUpload, CompletePart};
use vodferry_oss::{Method, Request, base64};

use crate::callback::{ANSWER, OK, application, argument, is_answered, trusting};
use crate::oss_post::{ANY, Form, v1};
use crate::support::{BUCKET, Build, Server, Upload, refused, text};

const BODY: &str = "object=${object}&size=${size}&op=${operation}&type=${mimeType}&who=${x:who}";

fn with_body(url: &str) -> String {
    argument(url, BODY, json!({}))
}

fn me() -> String {
    base64::encode(br#"{"x:who":"me"}"#)
}

/// Nobody waits to be accepted: what connected is there at once.
pub(crate) async fn is_not_called(listener: &TcpListener) -> bool {
    let soon = std::time::Duration::from_millis(100);
    tokio::time::timeout(soon, listener.accept()).await.is_err()
}

#[tokio::test]
async fn a_query_may_ask_and_its_signature_covers_that() {
    let server = trusting(|_| ()).await;
    let (addr, asked) = application(OK).await;
    let mut request = server
        .request(Method::Put, "q")
        .query("callback", &with_body(&addr.to_string()))
        .query("callback-var", &me())
        .body(b"film");
    presign_v1(&mut request, BUCKET, "q", &server.operator(), 4_000_000_000);
    is_answered(&server.send_raw(&request).await);
    let body = "object=q&size=4&op=PutObject&type=application%2Foctet-stream&who=me";
    assert_eq!(asked.await.unwrap().body, body);

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let other = with_body(&listener.local_addr().unwrap().to_string());
    for (name, value) in [("callback", other), ("callback-var", base64::encode(b"{}"))] {
        let mut forged = request.clone();
        forged.query.iter_mut().find(|(n, _)| n == name).unwrap().1 = value;
        assert_eq!(refused(&server.send_raw(&forged).await, 403), "SignatureDoesNotMatch");
    }
    assert!(is_not_called(&listener).await);
}

#[tokio::test]
async fn a_header_that_was_changed_on_the_way_calls_nobody() {
    let server = trusting(|_| ()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut request = server.request(Method::Put, "h").body(b"film");
    let now = crate::support::now_ms();
    vodferry_oss::sign::sign_v1(&mut request, BUCKET, "h", &server.operator(), now);
    let argument = with_body(&listener.local_addr().unwrap().to_string());
    let request = request.with("x-oss-callback", &argument);
    assert_eq!(refused(&server.send_raw(&request).await, 403), "SignatureDoesNotMatch");
    assert!(is_not_called(&listener).await);
    assert_eq!(server.get("h").await.status, 404);
}

#[tokio::test]
async fn a_form_asks_by_its_fields() {
    let server = trusting(|_| ()).await;
    let form = |argument: &str| {
        Form::default()
            .fields(&v1(&server.operator(), ANY))
            .field("key", "up/${filename}")
            .field("success_action_status", "201")
            .field("success_action_redirect", "http://page.example/")
            .field("callback", argument)
    };
    let (addr, asked) = application(OK).await;
    let response = form(&with_body(&addr.to_string()))
        .field("x:who", "me & you")
        .file("film.mp4", b"film")
        .post(&server)
        .await;
    is_answered(&response);
    assert!(response.header("location").is_none());
    let body = "object=up%2Ffilm.mp4&size=4&op=PostObject&type=video%2Fmp4&who=me%20%26%20you";
    assert_eq!(asked.await.unwrap().body, body);

    let (addr, asked) = application(OK).await;
    let argument = with_body(&addr.to_string());
    let by_field = form(&argument).field("callback-var", &me()).file("b", b"film");
    is_answered(&by_field.post(&server).await);
    assert!(asked.await.unwrap().body.ends_with("&who=me"));

    let bad = form("e30=").file("bad", b"film").post(&server).await;
    assert_eq!(refused(&bad, 400), "InvalidArgument");
    assert_eq!(server.get("up/bad").await.status, 404);
    let failed = form(&with_body("http://10.0.0.1/")).file("failed", b"film").post(&server).await;
    assert_eq!(refused(&failed, 203), "CallbackFailed");
    assert_eq!(server.get("up/failed").await.body, b"film");
}

fn complete(upload: &Upload<'_>, etag: &str, argument: &str) -> Request {
    let parts = vec![CompletePart { number: 1, etag: etag.to_owned() }];
    upload
        .request(Method::Post)
        .with("x-oss-callback", argument)
        .with("x-oss-callback-var", &me())
        .body(CompleteMultipartUpload { parts }.encode().as_bytes())
}

#[tokio::test]
async fn a_complete_asks_and_a_repeated_one_asks_again() {
    let server = trusting(|_| ()).await;
    let begin = server.request(Method::Post, "m").query("uploads", "").with("content-type", "a/b");
    let begun = server.send("m", begin).await;
    let id = crate::support::element(&begun, "UploadId");
    let upload = Upload { server: &server, who: server.operator(), key: "m".into(), id };
    let etag = upload.part(1, b"part").await;
    let body = "object=m&size=4&op=CompleteMultipartUpload&type=a%2Fb&who=me";
    for _ in 0..2 {
        let (addr, asked) = application(OK).await;
        is_answered(&upload.send(complete(&upload, &etag, &with_body(&addr.to_string()))).await);
        assert_eq!(asked.await.unwrap().body, body);
    }
    // Replaced since, or gone: what was completed is told, but for what only the object knows.
    let body = body.replace("a%2Fb", "application%2Foctet-stream");
    server.put("m", b"another film").await;
    for _ in 0..2 {
        let (addr, asked) = application(OK).await;
        is_answered(&upload.send(complete(&upload, &etag, &with_body(&addr.to_string()))).await);
        assert_eq!(asked.await.unwrap().body, body);
        server.send("m", server.request(Method::Delete, "m")).await;
    }
}

#[tokio::test]
async fn a_complete_that_is_malformed_or_failed_leaves_what_it_should() {
    let server = trusting(|config| config.strict = true).await;
    let upload = Upload::begin(&server, server.operator(), "m").await;
    let etag = upload.part(1, b"part").await;
    assert_eq!(
        refused(&upload.send(complete(&upload, &etag, "e30=")).await, 400),
        "InvalidArgument"
    );
    assert_eq!(upload.list().await.parts.len(), 1);
    let (addr, _asked) = application("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n").await;
    let failed = upload.send(complete(&upload, &etag, &with_body(&addr.to_string()))).await;
    assert_eq!(refused(&failed, 203), "CallbackFailed");
    assert!(text(&failed).contains("Error status : 403."));
    assert_eq!(server.get("m").await.body, b"part");
    // What is refused calls nobody.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let again = with_body(&listener.local_addr().unwrap().to_string());
    let again = upload.send(complete(&upload, &etag, &again)).await;
    assert_eq!(refused(&again, 404), "NoSuchUpload");
    assert!(is_not_called(&listener).await);
}

#[tokio::test]
async fn what_does_not_end_an_upload_calls_nobody() {
    let server = trusting(|_| ()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let argument = with_body(&listener.local_addr().unwrap().to_string());
    let send = async |key: &str, request: Request| {
        server.send(key, request.with("x-oss-callback", &argument)).await
    };
    server.put("k", b"film").await;
    let begun = send("k", server.request(Method::Post, "k").query("uploads", "")).await;
    assert_eq!(begun.status, 200, "{}", text(&begun));
    let id = crate::support::element(&begun, "UploadId");
    let part = server.request(Method::Put, "k").query("partNumber", "1").query("uploadId", &id);
    assert_eq!(send("k", part.body(b"film")).await.status, 200);
    for request in [
        server.request(Method::Post, "k").query("append", "").query("position", "0").body(b"x"),
        server.request(Method::Put, "k").with("x-oss-copy-source", &format!("/{BUCKET}/k")),
        server.request(Method::Put, "k").query("acl", "").with("x-oss-object-acl", "private"),
        server.request(Method::Delete, "k"),
        server.request(Method::Get, "k"),
    ] {
        assert_eq!(refused(&send("k", request).await, 400), "NotImplemented");
    }
    assert_eq!(server.get("k").await.body, b"film");
    assert!(is_not_called(&listener).await);
}

#[tokio::test]
async fn a_malformed_callback_is_refused_before_anything_is_stored() {
    let server = trusting(|_| ()).await;
    let plain = |text: &str| base64::encode(text.as_bytes());
    let to = |url: &str| argument(url, "b", json!({}));
    for argument in [
        "%%%".to_owned(),
        plain("no JSON"),
        plain(r#"{"callbackBody":"b"}"#),
        argument("http://a/", "", json!({})),
        to("file:///etc/passwd"),
        to("gopher://a/"),
        to("http://u:p@a/"),
        to("http://127.0.0.1:80@a/"),
        to("a;a;a;a;a;a"),
        to("a:0"),
        to("a:70000"),
        to("a:25"),
        to("http://a:6667/"),
        argument("a", "${bucket", json!({})),
        argument("a", "b", json!({ "callbackHost": "a\r\nX-Y: z" })),
        argument("a", "b", json!({ "callbackBodyType": "text/xml" })),
        argument("a", &"b".repeat(5000), json!({})),
    ] {
        let request = server.request(Method::Put, "bad");
        let request = request.with("x-oss-callback", &argument).body(b"film");
        let response = server.send("bad", request).await;
        assert_eq!(refused(&response, 400), "InvalidArgument", "{argument}");
        let query = server.request(Method::Put, "bad").query("callback", &argument).body(b"film");
        assert_eq!(refused(&server.send("bad", query).await, 400), "InvalidArgument", "{argument}");
    }
    let good = to("a");
    let header = || server.request(Method::Put, "bad").with("x-oss-callback", &good).body(b"film");
    for request in [
        header().query("callback", &good),
        header().query("callback-var", &me()),
        server.request(Method::Put, "bad").query("callback", &good).query("callback", &good),
        header().with("x-oss-callback-var", "%%%"),
        header().with("x-oss-callback-var", &plain(r#"{"who":"me"}"#)),
        header().with("x-oss-callback-var", &plain(r#"{"x:Who":"me"}"#)),
    ] {
        assert_eq!(refused(&server.send("bad", request).await, 400), "InvalidArgument");
    }
    assert_eq!(server.get("bad").await.status, 404);
    let form = Form::default().fields(&v1(&server.operator(), ANY)).field("key", "up/bad");
    let form = form.field("callback", &good).field("x:a", "b").file("b", b"film");
    is_refused_with_two_carriers(&server, form, &good).await;
}

/// A form whose request has a header, too.
async fn is_refused_with_two_carriers(server: &Server, form: Form, argument: &str) {
    let response = form.post_with(server, &format!("x-oss-callback: {argument}\r\n")).await;
    assert_eq!(refused(&response, 400), "InvalidArgument");
    assert_eq!(server.get("up/bad").await.status, 404);
    assert_ne!(response.body, ANSWER);
}
