//! Whole objects and plain multipart uploads.

use std::sync::{Arc, Mutex};

use vodferry::{
    AppendResult, ErrorKind, File, Initiate, PutOptions, TransportError, TransportErrorKind,
};

use crate::harbour::Harbour;
use crate::script::{content, crc64, response, script};
use crate::{of, scripted};

#[tokio::test]
async fn an_object_is_put_looked_at_and_deleted() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    assert_eq!(bucket.head_object("a/b.mp4").await.unwrap(), None);
    let (path, bytes) = harbour.write("b.mp4", 700_001);
    let told = Arc::new(Mutex::new(Vec::new()));
    let heard = told.clone();
    let mut options = PutOptions::default();
    options.content_md5 = Some(vodferry_oss::etag::md5(&bytes));
    options.progress = Some(Arc::new(move |sent, all| heard.lock().unwrap().push((sent, all))));
    let file = File::path(&path).header("x-oss-meta-who", "me");
    let put = bucket.put_object("a/b.mp4", file, options.clone()).await.unwrap();
    assert!(put.verified && put.crc64 == Some(crc64(&bytes)) && put.length == Some(700_001));
    let told = told.lock().unwrap().clone();
    assert!(told.is_sorted() && told.last() == Some(&(700_001, 700_001)), "{told:?}");

    let head = bucket.head_object("a/b.mp4").await.unwrap().unwrap();
    assert_eq!((head.length, head.crc64, &head.etag), (700_001, put.crc64, &put.etag));
    assert_eq!((head.content_type.as_deref(), &*head.kind), (Some("video/mp4"), "Normal"));
    assert!(head.headers.contains(&("x-oss-meta-who".into(), "me".into())));
    assert!(harbour.fetch(&bucket.target("a/b.mp4"), bytes.len()).await == bytes);

    options.content_md5 = Some([0; 16]);
    let wrong = bucket.put_object("a/b.mp4", path, options).await.unwrap_err();
    assert_eq!((wrong.kind(), wrong.code()), (ErrorKind::Integrity, "InvalidDigest"));

    bucket.delete_object("a/b.mp4").await.unwrap();
    bucket.delete_object("a/b.mp4").await.unwrap();
    assert_eq!(bucket.head_object("a/b.mp4").await.unwrap(), None);
    for error in
        [bucket.delete_object("").await.unwrap_err(), bucket.head_object("").await.unwrap_err()]
    {
        assert_eq!(error.kind(), ErrorKind::Misuse);
    }
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn appends_go_on_from_each_other() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    let bytes = content(300_000);
    let mut end = AppendResult::default();
    for piece in bytes.chunks(100_001) {
        end = bucket.append_object("live.ts", end, piece.to_vec()).await.unwrap();
    }
    assert_eq!(end, AppendResult { next_position: 300_000, crc64: Some(crc64(&bytes)) });
    let wrong = bucket.append_object("live.ts", 5, "x").await.unwrap_err();
    assert_eq!(wrong.code(), "PositionNotEqualToLength");
    // Known by nobody but the server, and so by the next one.
    let more = bucket.append_object("live.ts", 300_000, "more").await.unwrap();
    assert_eq!(more.crc64, Some(crc64(&[&bytes[..], b"more"].concat())));
    let file = File::bytes("x", "x");
    bucket.put_object("plain", file, PutOptions::default()).await.unwrap();
    let wrong = bucket.append_object("plain", 1, "x").await.unwrap_err();
    assert_eq!(wrong.code(), "ObjectNotAppendable");
    let head = bucket.head_object("live.ts").await.unwrap().unwrap();
    assert_eq!((&*head.kind, head.content_type.as_deref()), ("Appendable", Some("video/mp2t")));
    harbour.server.shutdown().await;
}

#[tokio::test]
async fn an_append_whose_reply_is_lost_is_there_once() {
    let refused = |next: &str| {
        let body = "<Error><Code>PositionNotEqualToLength</Code><Message>no</Message></Error>";
        response(409, &[("x-oss-next-append-position", next)], body)
    };
    for (known, object, ok) in [
        (true, crc64(b"hello world"), true),
        (true, crc64(b"hello earth"), false),
        (false, crc64(b"hello world"), false),
    ] {
        let (http, mut script) = script();
        let bucket = scripted(http);
        let before = Some(crc64(b"hello ")).filter(|_| known);
        let after = AppendResult { next_position: 6, crc64: before };
        let append = tokio::spawn(async move { bucket.append_object("k", after, "world").await });
        let first = script.next().await;
        assert_eq!((first.query("append"), first.query("position")), (Some(""), Some("6")));
        assert_eq!(first.body, b"world");
        first.fail(TransportError::new(TransportErrorKind::ReplyCut, "gone"));
        script.next().await.reply(refused("11"));
        if known {
            let crc = object.to_string();
            let headers = [("content-length", "11"), ("x-oss-hash-crc64ecma", crc.as_str())];
            script.expect("head").await.reply(response(200, &headers, ""));
        }
        match append.await.unwrap() {
            Ok(done) => assert!(ok && done.crc64 == Some(object) && done.next_position == 11),
            Err(error) => assert!(!ok && error.code() == "PositionNotEqualToLength"),
        }
    }
}

#[tokio::test]
async fn a_plain_multipart_upload_is_made_of_its_calls() {
    let harbour = Harbour::open().await;
    let bucket = of(&harbour);
    let bytes = content(250_000);
    let mut how = Initiate::default();
    how.headers.push(("x-oss-meta-who".into(), "me".into()));
    let upload_id = bucket.initiate_multipart_upload("m.mp4", how).await.unwrap();
    let mut parts = Vec::new();
    for (number, piece) in (1..).zip(bytes.chunks(102_400)) {
        let part = bucket.upload_part("m.mp4", &upload_id, number, piece.to_vec()).await.unwrap();
        parts.push(part);
    }
    assert_eq!(bucket.list_parts("m.mp4", &upload_id).all().await.unwrap(), parts);
    for number in [0, 10_001] {
        let wrong = bucket.upload_part("m.mp4", &upload_id, number, "x").await.unwrap_err();
        assert_eq!(wrong.kind(), ErrorKind::Misuse);
    }
    let done = bucket.complete_multipart_upload("m.mp4", &upload_id, parts, None).await.unwrap();
    assert!(done.verified && done.crc64 == Some(crc64(&bytes)) && done.etag.ends_with("-3"));
    let head = bucket.head_object("m.mp4").await.unwrap().unwrap();
    assert!(head.headers.contains(&("x-oss-meta-who".into(), "me".into())));
    let gone = bucket.upload_part("m.mp4", &upload_id, 1, "x").await.unwrap_err();
    assert_eq!(gone.code(), "NoSuchUpload");
    harbour.server.shutdown().await;
}
