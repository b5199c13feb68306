//! Upload callbacks from end to end: our server tells an application, and its answer comes back with the object.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use vodferry::{
    Bucket, Callback, ErrorKind, Event, File, FileState, PutOptions, ResumableUpload,
    TransportError, TransportErrorKind, Uploader,
};

use crate::harbour::Harbour;
use crate::of;
use crate::script::{Desk, PART, credential, response, script};

const BODY: &str = "object=${object}&size=${size}&who=${x:who}";

/// An application that answers everybody, and counts.
async fn application(status: &'static str) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/done", listener.local_addr().unwrap());
    let count = Arc::new(AtomicUsize::new(0));
    let counted = count.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut seen = Vec::new();
            while !String::from_utf8_lossy(&seen).contains("who=") {
                if stream.read_buf(&mut seen).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            counted.fetch_add(1, Ordering::SeqCst);
            let text = String::from_utf8_lossy(&seen).into_owned();
            let told = text.split("\r\n\r\n").nth(1).unwrap_or_default();
            let body = format!("{{\"told\":\"{told}\"}}");
            let reply = format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            let _ = stream.write_all(reply.as_bytes()).await;
        }
    });
    (url, count)
}

fn callback(url: &str) -> Callback {
    let mut callback = Callback::new(url, BODY);
    callback.vars.push(("x:who".into(), "me".into()));
    callback
}

async fn trusting() -> Harbour {
    Harbour::with(|config| config.callback.allow = vec!["127.0.0.1".into()]).await
}

#[tokio::test]
async fn the_application_is_told_and_its_answer_comes_back() {
    let harbour = trusting().await;
    let bucket = of(&harbour);
    let (url, told) = application("200 OK").await;
    let answer =
        |key: &str, size: usize| Some(format!("{{\"told\":\"object={key}&size={size}&who=me\"}}"));
    // In parts, in one request of the uploader, and put.
    for (key, length) in [("large", 300_000), ("small", 9)] {
        let (path, _) = harbour.write(key, length);
        let mut upload = ResumableUpload::new(key, File::path(path).callback(callback(&url)));
        upload.part_size = PART;
        let done = bucket.resumable_upload(upload).unwrap().await.unwrap();
        assert_eq!(done.object.callback_body, answer(key, length));
        assert!(done.object.verified);
    }
    let file = File::bytes("x", "hello").callback(callback(&url));
    let put = bucket.put_object("put", file, PutOptions::default()).await.unwrap();
    assert_eq!(put.callback_body, answer("put", 5));
    let id = bucket.initiate_multipart_upload("plain", Default::default()).await.unwrap();
    let part = bucket.upload_part("plain", &id, 1, "hello").await.unwrap();
    let made = bucket.complete_multipart_upload("plain", &id, vec![part], Some(callback(&url)));
    assert_eq!(made.await.unwrap().callback_body, answer("plain", 5));
    assert_eq!(told.load(Ordering::SeqCst), 4);
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn an_application_that_fails_fails_the_file_once_though_the_object_is_there() {
    let harbour = trusting().await;
    let bucket = of(&harbour);
    let (url, told) = application("500 Oh").await;
    for (n, (key, length)) in [("large", 300_000), ("small", 9)].into_iter().enumerate() {
        let (path, _) = harbour.write(key, length);
        let mut upload = ResumableUpload::new(key, File::path(path).callback(callback(&url)));
        upload.part_size = PART;
        let error = bucket.resumable_upload(upload).unwrap().await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (ErrorKind::Service, "CallbackFailed"));
        assert!(error.request_id().is_some() && !error.message().is_empty());
        assert_eq!(told.load(Ordering::SeqCst), n + 1, "it is not called again");
        let head = bucket.head_object(key).await.unwrap().unwrap();
        assert_eq!(head.length, length as u64);
    }
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn files_of_a_list_have_callbacks_too() {
    let harbour = trusting().await;
    let (url, told) = application("200 OK").await;
    let uploader = harbour.uploader(harbour.options());
    let (path, _) = harbour.write("a.mp4", 300_000);
    uploader.add(File::path(path).callback(callback(&url))).unwrap();
    uploader.start();
    let files = uploader.wait().await;
    assert_eq!(files[0].state, FileState::Succeeded, "{:?}", files[0].error);
    let body = files[0].object.as_ref().and_then(|object| object.callback_body.clone());
    assert!(body.is_some_and(|body| body.contains("size=300000")));
    assert_eq!(told.load(Ordering::SeqCst), 1);
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn the_callback_travels_with_the_request_that_makes_the_object_alone() {
    let desk = Desk::new(2 * PART as usize);
    let (http, mut script) = script();
    let bucket = Bucket::builder("http://127.0.0.1:9", "films", credential());
    let bucket = bucket.options(desk.options()).http(http).build().unwrap();
    let file = File::path(desk.path()).callback(callback("http://app/cb"));
    let mut upload = ResumableUpload::new("k.mp4", file.header("x-oss-object-acl", "private"));
    (upload.part_size, upload.threads) = (PART, 1);
    let task = bucket.resumable_upload(upload).unwrap();
    let asked = script.expect("initiate").await;
    assert_eq!(asked.header("x-oss-callback"), None);
    asked.initiated("u1");
    for number in 1..=2 {
        let asked = script.expect(&format!("part {number}")).await;
        assert_eq!(asked.header("x-oss-callback"), None);
        asked.stored();
    }
    let asked = script.expect("complete").await;
    let decoded = |name: &str| {
        let text = asked.header(name).expect("a header");
        let bytes = vodferry_oss::base64::decode(text).expect("base64");
        String::from_utf8(bytes).expect("text")
    };
    assert!(decoded("x-oss-callback").contains("\"callbackUrl\":\"http://app/cb\""));
    assert_eq!(decoded("x-oss-callback-var"), "{\"x:who\":\"me\"}");
    assert_eq!(asked.header("x-oss-object-acl"), Some("private"));
    // Its reply is lost, and asked for again; a page of a hotel is not taken for the application's.
    asked.fail(TransportError::new(TransportErrorKind::ReplyCut, "gone"));
    let asked = script.expect("complete").await;
    let hotel = vodferry::Response {
        status: 200,
        headers: vec![("etag".into(), "\"x\"".into())],
        body: b"<html>".to_vec(),
    };
    asked.reply(hotel);
    let asked = script.expect("complete").await;
    asked.reply(response(200, &[("etag", "\"FF-2\"")], "{\"ok\":true}"));
    let done = task.await.unwrap();
    assert_eq!(done.object.callback_body.as_deref(), Some("{\"ok\":true}"));
    assert_eq!((done.object.etag.as_str(), &*done.object.request_id), ("FF-2", "REQ-1"));
}

#[tokio::test]
async fn a_failed_callback_is_not_tried_again() {
    let desk = Desk::new(9);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file().callback(callback("http://app/cb"))).unwrap();
    uploader.start();
    let asked = script.expect("put").await;
    assert!(asked.header("x-oss-callback").is_some());
    asked.refuse(203, "CallbackFailed");
    let error = crate::script::failure(&mut events).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Service, "CallbackFailed"));
    script.silence().await;
    assert!(matches!(events.next().await, Some(Event::Ended { .. })));
}

#[tokio::test]
async fn a_callback_that_no_service_takes_is_refused_at_once() {
    let (http, _script) = script();
    let uploader = Uploader::builder().http(http).build().unwrap();
    let wrong = File::bytes("a", "a").callback(Callback::new("http://a", ""));
    assert_eq!(uploader.add(wrong).unwrap_err().kind(), ErrorKind::Misuse);
}
