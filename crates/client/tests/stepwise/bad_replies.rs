//! Servers that answer wrongly, too little, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use vodferry::{
    Body, BoxFuture, Budget, ErrorKind, Event, FileState, Http, Options, Request, Response,
    TransportError, TransportErrorKind as Kind, Uploader,
};

use crate::script::{Asked, Desk, PART, Script, crc64, etag, event, failure, response, script};

/// Plays up to part 1 of a file of two parts.
async fn to_part_1(desk: &Desk) -> (vodferry::Uploader, Script, vodferry::Events, Asked) {
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    let asked = script.expect("part 1").await;
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    (uploader, script, events, asked)
}

#[tokio::test]
async fn a_part_that_arrived_otherwise_is_sent_again() {
    let desk = Desk::new(PART as usize * 2);
    type Spoil = fn(Asked);
    let spoils: [Spoil; 2] = [
        |asked| {
            let crc = crc64(&asked.body).to_string();
            asked.reply(response(200, &[("etag", "\"00\""), ("x-oss-hash-crc64ecma", &crc)], ""));
        },
        |asked| {
            let etag = etag(&asked.body);
            asked.reply(response(200, &[("etag", &etag), ("x-oss-hash-crc64ecma", "1")], ""));
        },
    ];
    for spoil in spoils {
        let (uploader, mut script, mut events, asked) = to_part_1(&desk).await;
        spoil(asked);
        let again = script.expect("part 1").await;
        assert_eq!(again.body, desk.bytes[..PART as usize]);
        assert!(
            matches!(event(&mut events).await, Event::Retry { error, .. } if error.kind == ErrorKind::Integrity)
        );
        again.stored();
        assert!(matches!(event(&mut events).await, Event::RetryResume { .. }));
        assert_eq!(script.be_good().await, [2]);
        assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    }
}

/// A port whose first part is answered before a byte of it was taken.
struct Hasty {
    http: Arc<dyn Http>,
    hasty: AtomicBool,
}

impl Http for Hasty {
    fn send(
        &self,
        request: Request,
        body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        let is_part = request.query.iter().any(|(name, _)| name == "partNumber");
        if !is_part || !self.hasty.swap(false, Ordering::SeqCst) {
            return self.http.send(request, body);
        }
        let headers = [("etag", "\"00\""), ("x-oss-hash-crc64ecma", "1")];
        Box::pin(async move { Ok(response(200, &headers, "")) })
    }
}

#[tokio::test]
async fn without_an_md5_a_part_is_held_against_the_crc_of_what_left() {
    let desk = Desk::new(PART as usize * 2);
    let (http, mut script): (_, Script) = script();
    let http = Arc::new(Hasty { http, hasty: AtomicBool::new(true) });
    let mut options: Options = desk.options();
    options.content_md5 = false;
    let uploader = Uploader::builder().options(options).http(http).build().unwrap();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("initiate").await.initiated("u1");
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    // What nobody has sent nobody has stored.
    let Event::Retry { error, .. } = event(&mut events).await else { panic!("no Retry") };
    assert_eq!(error.code, "EarlyReply");
    let asked = script.expect("part 1").await;
    assert_eq!(asked.header("content-md5"), None);
    let etag = etag(&asked.body);
    asked.reply(response(200, &[("etag", &etag), ("x-oss-hash-crc64ecma", "1")], ""));
    assert_eq!(script.be_good().await, [1, 2]);
    assert!(matches!(event(&mut events).await, Event::RetryResume { .. }));
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
}

/// A port that takes the document of a Complete, and answers it, each a moment later.
struct Slow(Arc<dyn Http>);

impl Http for Slow {
    fn send(
        &self,
        request: Request,
        mut body: Body,
    ) -> BoxFuture<'static, Result<Response, TransportError>> {
        if !request.query.iter().any(|(name, _)| name == "uploadId")
            || request.method != vodferry::Method::Post
        {
            return self.0.send(request, body);
        }
        let http = self.0.clone();
        Box::pin(async move {
            let moment = Duration::from_millis(400);
            tokio::time::sleep(moment).await;
            let mut document = Vec::new();
            while let Some(piece) = body.next().await {
                document.extend_from_slice(&piece.unwrap());
            }
            tokio::time::sleep(moment).await;
            http.send(request, Body::from_bytes(document)).await
        })
    }
}

#[tokio::test]
async fn a_complete_that_moves_is_given_its_time() {
    let desk = Desk::new(PART as usize * 2);
    let (http, mut script): (_, Script) = script();
    let mut options: Options = desk.options();
    options.timeouts.idle = Duration::from_millis(600);
    options.timeouts.slowest = 10 << 20;
    let uploader = Uploader::builder().options(options).http(Arc::new(Slow(http))).build().unwrap();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.be_good().await;
    assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    while let Some(event) = events.try_next() {
        assert!(!matches!(event, Event::Retry { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn a_part_that_never_arrives_as_sent_fails_the_file() {
    let desk = Desk::new(PART as usize * 2);
    let (_uploader, mut script, mut events, mut asked) = to_part_1(&desk).await;
    for _ in 0..2 {
        asked.reply(response(200, &[("etag", "\"00\"")], ""));
        asked = script.expect("part 1").await;
    }
    asked.reply(response(200, &[("etag", "\"00\"")], ""));
    let error = failure(&mut events).await;
    assert_eq!(error.kind(), ErrorKind::Integrity);
    assert!(error.to_string().contains("part 1") && error.hint().is_some(), "{error}");
    script.silence().await;
}

#[tokio::test]
async fn an_object_that_is_not_the_file_never_succeeds_unnoticed() {
    let desk = Desk::new(PART as usize * 2);
    let (uploader, mut script, mut events, asked) = to_part_1(&desk).await;
    asked.stored();
    script.expect("part 2").await.stored();
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?><CompleteMultipartUploadResult>\
                <Bucket>films</Bucket><Key>k</Key><ETag>\"FF-2\"</ETag></CompleteMultipartUploadResult>";
    let wrong = (crc64(&desk.bytes) ^ 1).to_string();
    let mut asked = script.expect("complete").await;
    let error = loop {
        assert_eq!(asked.operation(), "complete");
        asked.reply(response(200, &[("x-oss-hash-crc64ecma", &wrong)], body));
        tokio::select! {
            error = failure(&mut events) => break error,
            next = script.next() => asked = next,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Integrity, "{error}");
    assert_eq!(uploader.wait().await[0].state, FileState::Failed);
}

#[tokio::test]
async fn the_pause_before_the_next_attempt_is_told() {
    let desk = Desk::new(10);
    let mut options = desk.options();
    options.retry.backoff = vodferry::Backoff::Fixed { ms: 150 };
    let (uploader, mut script) = desk.uploader_with(options);
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("put").await.refuse(500, "InternalError");
    let begun = std::time::Instant::now();
    script.expect("put").await.refuse(500, "InternalError");
    script.expect("put").await.stored();
    assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    assert!(matches!(event(&mut events).await, Event::Started { .. }));
    match event(&mut events).await {
        Event::Retry { error, delay_ms, .. } => {
            assert_eq!((error.code.as_str(), delay_ms), ("InternalError", 150));
        }
        other => panic!("{other:?}"),
    }
    // Once per outage, however often it was tried.
    assert!(matches!(event(&mut events).await, Event::RetryResume { .. }));
    assert!(matches!(event(&mut events).await, Event::Succeeded { .. }));
}

#[tokio::test]
async fn a_reply_that_is_not_the_protocol_s_is_tried_again() {
    let desk = Desk::new(PART as usize * 2);
    let html = "<html><body>Welcome to the hotel</body></html>";
    for body in [html, "", "<?xml version=\"1.0\"?><InitiateMultipartUploadResult><Uplo"] {
        let (uploader, mut script) = desk.uploader();
        let mut events = uploader.events();
        uploader.add(desk.file()).unwrap();
        uploader.start();
        script.expect("initiate").await.reply(response(200, &[], body));
        let again = script.expect("initiate").await;
        assert!(matches!(event(&mut events).await, Event::Started { .. }));
        assert!(
            matches!(event(&mut events).await, Event::Retry { error, .. } if error.kind == ErrorKind::Protocol)
        );
        again.initiated("u1");
        assert_eq!(script.be_good().await, [1, 2]);
        assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    }
}

#[tokio::test]
async fn what_never_reached_a_server_is_told_apart_and_tried_again() {
    let desk = Desk::new(10);
    for (kind, code) in [
        (Kind::Dns, "DnsFailed"),
        (Kind::Connect, "ConnectFailed"),
        (Kind::Tls, "TlsFailed"),
        (Kind::Timeout, "TimedOut"),
        (Kind::Lost, "ConnectionLost"),
        (Kind::ReplyCut, "ReplyCut"),
    ] {
        let (uploader, mut script) = desk.uploader();
        let mut events = uploader.events();
        uploader.add(desk.file()).unwrap();
        uploader.start();
        script.expect("put").await.fail(TransportError::new(kind, "as the test wishes"));
        script.expect("put").await.stored();
        assert!(matches!(event(&mut events).await, Event::Started { .. }));
        match event(&mut events).await {
            Event::Retry { error, .. } => {
                assert_eq!((error.kind, error.code.as_str()), (ErrorKind::Network, code));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(uploader.wait().await[0].state, FileState::Succeeded);
    }
}

#[tokio::test]
async fn a_wrong_certificate_ends_the_file_with_a_hint() {
    let desk = Desk::new(10);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("put").await.fail(TransportError::new(Kind::Certificate, "not trusted"));
    let error = failure(&mut events).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Network, "CertificateInvalid"));
    assert!(error.hint().unwrap().contains("CA file"));
}

#[tokio::test]
async fn a_server_that_never_answers_is_given_up_in_time() {
    let desk = Desk::new(10);
    let mut options = desk.options();
    options.timeouts.idle = Duration::from_millis(50);
    options.retry.budget = Budget::Count(2);
    let (uploader, mut script) = desk.uploader_with(options);
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    let held = [script.expect("put").await, script.expect("put").await];
    let error = failure(&mut events).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Network, "TimedOut"));
    drop(held);
}

#[tokio::test]
async fn a_refusal_is_told_with_code_and_request_id() {
    let desk = Desk::new(10);
    let (uploader, mut script) = desk.uploader();
    let mut events = uploader.events();
    uploader.add(desk.file()).unwrap();
    uploader.start();
    script.expect("put").await.refuse(403, "SignatureDoesNotMatch");
    let error = failure(&mut events).await;
    assert_eq!((error.kind(), error.code()), (ErrorKind::Auth, "SignatureDoesNotMatch"));
    assert_eq!(error.request_id(), Some("REQ-1"));
    let text = format!("{error} {error:?}");
    assert!(!text.contains("hush"), "{text}");
    script.silence().await;
}
