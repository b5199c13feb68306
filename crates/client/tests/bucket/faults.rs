//! What a simple request does about faults.

use vodferry::{
    Bucket, Error, ErrorKind, Http, ListObjects, Options, TransportError, TransportErrorKind,
};

use crate::script::{response, script};
use crate::scripted;

const EMPTY: &str = "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>";

fn list(bucket: &Bucket) -> tokio::task::JoinHandle<Result<usize, Error>> {
    let listing = bucket.list_objects(ListObjects::default());
    tokio::spawn(async { listing.all().await.map(|all| all.len()) })
}

#[tokio::test]
async fn what_may_heal_is_asked_three_times() {
    let (http, mut script) = script();
    let bucket = scripted(http);
    let listing = list(&bucket);
    script.next().await.refuse(503, "SlowDown");
    script.next().await.fail(TransportError::new(TransportErrorKind::Lost, "gone"));
    script.next().await.reply(response(200, &[], EMPTY));
    assert_eq!(listing.await.unwrap().unwrap(), 0);

    let listing = list(&bucket);
    for _ in 0..3 {
        script.next().await.refuse(500, "InternalError");
    }
    let error = listing.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Service, "InternalError"));
    assert_eq!(error.request_id(), Some("REQ-1"));
    script.silence().await;
}

#[tokio::test]
async fn what_is_refused_is_told_at_once() {
    let (http, mut script) = script();
    let bucket = scripted(http);
    for (status, code, kind) in [
        (403, "AccessDenied", ErrorKind::Auth),
        (404, "NoSuchBucket", ErrorKind::Service),
        (403, "SecurityTokenExpired", ErrorKind::Auth),
    ] {
        let listing = list(&bucket);
        script.next().await.refuse(status, code);
        let error = listing.await.unwrap().unwrap_err();
        assert_eq!((error.kind(), error.code()), (kind, code));
        let text = format!("{error} {error:?}");
        assert!(text.contains("listing the bucket films") && !text.contains("hush"), "{text}");
    }
    script.silence().await;
}

#[tokio::test]
async fn a_wrong_clock_is_corrected_once_and_remembered() {
    let (http, mut script) = script();
    let bucket = scripted(http);
    let date = "Sat, 01 Jan 2050 00:00:00 GMT";
    let skewed = || {
        let body = "<Error><Code>RequestTimeTooSkewed</Code><Message>late</Message></Error>";
        response(403, &[("date", date)], body)
    };
    let listing = list(&bucket);
    script.next().await.reply(skewed());
    let again = script.next().await;
    assert!(again.header("x-oss-date").is_some_and(|date| date.contains("Jan 2050")));
    again.reply(response(200, &[], EMPTY));
    listing.await.unwrap().unwrap();
    let listing = list(&bucket);
    let next = script.next().await;
    assert!(next.header("x-oss-date").is_some_and(|date| date.contains("Jan 2050")));
    for asked in [Some(next), None] {
        let asked = match asked {
            Some(asked) => asked,
            None => script.next().await,
        };
        asked.reply(skewed());
    }
    assert_eq!(listing.await.unwrap().unwrap_err().kind(), ErrorKind::Auth);
}

#[tokio::test]
async fn a_reply_of_somebody_else_is_no_success() {
    let (http, mut script) = script();
    let bucket = scripted(http);
    let listing = list(&bucket);
    script.next().await.reply(response(200, &[], "<html>Welcome to the hotel</html>"));
    let error = listing.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let head = {
        let bucket = bucket.clone();
        tokio::spawn(async move { bucket.head_object("k").await })
    };
    script.next().await.reply(response(200, &[], ""));
    assert_eq!(head.await.unwrap().unwrap_err().kind(), ErrorKind::Protocol);

    let bare = |status, headers: &[(&str, &str)]| {
        let mut reply = response(status, headers, "");
        // The id of whoever answers by the script.
        reply.headers.remove(0);
        reply
    };
    let id = ("x-oss-request-id", "R");
    let length = ("content-length", "20");
    for (headers, ours) in [(&[length][..], false), (&[length, id], true)] {
        let head = {
            let bucket = bucket.clone();
            tokio::spawn(async move { bucket.head_object("k").await })
        };
        script.next().await.reply(bare(200, headers));
        let kind = head.await.unwrap().map(|_| ()).map_err(|error| error.kind());
        assert_eq!(kind, if ours { Ok(()) } else { Err(ErrorKind::Protocol) });
    }
    for (status, headers, ours) in [(200, &[][..], false), (200, &[id], true), (204, &[], true)] {
        let deleted = {
            let bucket = bucket.clone();
            tokio::spawn(async move { bucket.delete_object("k").await })
        };
        script.next().await.reply(bare(status, headers));
        let kind = deleted.await.unwrap().map_err(|error| error.kind());
        assert_eq!(kind, if ours { Ok(()) } else { Err(ErrorKind::Protocol) });
    }
}

#[tokio::test]
async fn a_bucket_of_which_no_request_can_be_made_is_refused_when_it_is_made() {
    let (http, _script) = script();
    let build =
        |endpoint: &str, name: &str, region: Option<&str>, http: std::sync::Arc<dyn Http>| {
            let mut options = Options::default();
            options.region = region.map(str::to_owned);
            let bucket = Bucket::builder(endpoint, name, crate::script::credential());
            bucket.options(options).http(http).build().err().map(|error| error.kind())
        };
    assert_eq!(build("http://127.0.0.1:9", "films", None, http.clone()), None);
    for (endpoint, name, region) in [
        ("ftp://h", "films", None),
        ("http://u:p@h", "films", None),
        ("http://h", "Films", None),
        ("http://h", "", None),
        ("http://h", "films", Some("oss-cn-hangzhou")),
    ] {
        assert_eq!(build(endpoint, name, region, http.clone()), Some(ErrorKind::Misuse));
    }
}
