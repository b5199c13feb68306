//! Replies to answers: one test per operation, and what is no reply of the service.

mod common;

use common::{AT, ID, ask, authority, got, part, plain, refuse, reply, upload_part};
use vodferry_engine::{ErrorKind, Fault, FaultKind, ObjectInfo, Op, Reply};
use vodferry_exchange::{Digests, answer};
use vodferry_oss::crc64::crc64;
use vodferry_oss::etag::md5;
use vodferry_oss::text::decimal;
use vodferry_oss::xml::*;

const PROTOCOL: FaultKind = FaultKind::Transient(ErrorKind::Protocol);
const INTEGRITY: FaultKind = FaultKind::Transient(ErrorKind::Integrity);

fn fault(op: &Op, response: &vodferry_oss::Response) -> Fault {
    ask(op, response).result.unwrap_err()
}

fn complete(parts: Vec<vodferry_engine::PartInfo>) -> Op {
    Op::CompleteMultipartUpload { upload_id: ID.into(), parts }
}

fn completed_body() -> String {
    let result = CompleteMultipartUploadResult { etag: "WHOLE-2".into(), ..Default::default() };
    result.encode(false)
}

fn every_op() -> [Op; 8] {
    [
        Op::AbortMultipartUpload { upload_id: ID.into() },
        complete(vec![part(1, 1, None)]),
        Op::HeadObject { length: 1, parts: vec![part(1, 1, None)] },
        Op::InitiateMultipartUpload,
        Op::ListMultipartUploads,
        Op::ListParts { upload_id: ID.into(), marker: 0 },
        Op::PutObject { length: 1 },
        upload_part(),
    ]
}

#[test]
fn abort() {
    let op = Op::AbortMultipartUpload { upload_id: ID.into() };
    assert_eq!(got(&op, &reply(204, &[], "")), Reply::Aborted);
    assert_eq!(fault(&op, &refuse(404, "NoSuchUpload")).kind, FaultKind::NoSuchUpload);
}

#[test]
fn complete_is_verified_by_the_parts() {
    let parts = vec![part(1, 6, Some(crc64(b"hello "))), part(2, 5, Some(crc64(b"world")))];
    let whole = decimal(crc64(b"hello world"));
    let answer = ask(
        &complete(parts.clone()),
        &reply(
            200,
            &[("x-oss-hash-crc64ecma", &whole), ("date", "Fri, 20 Nov 2026 10:00:00 GMT")],
            &completed_body(),
        ),
    );
    assert_eq!(answer.server_date_ms, Some(AT));
    let info = ObjectInfo {
        etag: "WHOLE-2".into(),
        crc64: Some(crc64(b"hello world")),
        verified: true,
        ..ObjectInfo::default()
    };
    assert_eq!(answer.result, Ok(Reply::Completed(info.clone())));

    let other = reply(200, &[("x-oss-hash-crc64ecma", "1")], &completed_body());
    let error = fault(&complete(parts.clone()), &other);
    assert_eq!(error.kind, FaultKind::Fatal(ErrorKind::Integrity));
    assert_eq!(error.code, "ChecksumMismatch");

    let silent = reply(200, &[], &completed_body());
    let unknown = ObjectInfo { crc64: None, verified: false, ..info.clone() };
    assert_eq!(got(&complete(parts.clone()), &silent), Reply::Completed(unknown));

    let mut holes = parts;
    holes[0].crc64 = None;
    let unverified = ObjectInfo { crc64: Some(1), verified: false, ..info };
    assert_eq!(got(&complete(holes), &other), Reply::Completed(unverified));
}

#[test]
fn head_compares_length_and_crc() {
    let parts = vec![part(1, 6, Some(crc64(b"hello "))), part(2, 5, Some(crc64(b"world")))];
    let op = Op::HeadObject { length: 11, parts };
    let whole = decimal(crc64(b"hello world"));
    let found = |length: &str, crc: &str| {
        let headers =
            [("etag", "\"WHOLE-2\""), ("content-length", length), ("x-oss-hash-crc64ecma", crc)];
        match got(&op, &reply(200, &headers, "")) {
            Reply::Head(Some(info)) => info,
            other => panic!("{other:?}"),
        }
    };
    assert!(found("11", &whole).verified);
    assert_eq!(found("12", &whole).length, Some(12));
    assert!(!found("12", &whole).verified);
    assert!(!found("11", "1").verified);
    assert!(!found("11", "").verified);
    let unknown = Op::HeadObject { length: 11, parts: vec![part(1, 11, None)] };
    let reply_ = reply(
        200,
        &[("etag", "X"), ("content-length", "11"), ("x-oss-hash-crc64ecma", &whole)],
        "",
    );
    assert!(matches!(got(&unknown, &reply_), Reply::Head(Some(info)) if !info.verified));
    // Neither side knows one: alike, and no proof.
    let bare = reply(200, &[("etag", "X"), ("content-length", "11")], "");
    assert!(matches!(got(&unknown, &bare), Reply::Head(Some(info)) if !info.verified));
}

#[test]
fn head_of_nothing_and_without_the_right() {
    let op = Op::HeadObject { length: 1, parts: vec![] };
    assert_eq!(got(&op, &reply(404, &[], "")), Reply::Head(None));
    let in_header = |status, code| {
        let error = vodferry_oss::ServiceError::from_response(&refuse(status, code)).to_header();
        reply(status, &[("x-oss-err", &error)], "")
    };
    assert_eq!(got(&op, &in_header(404, "NoSuchKey")), Reply::Head(None));
    let bucket = fault(&op, &in_header(404, "NoSuchBucket"));
    assert_eq!(bucket.kind, FaultKind::Fatal(ErrorKind::Service));
    assert_eq!(fault(&op, &in_header(403, "SecurityTokenExpired")).kind, FaultKind::Expired);
    assert_eq!(fault(&op, &reply(403, &[], "")).kind, FaultKind::Fatal(ErrorKind::Auth));
}

#[test]
fn initiate() {
    let result = InitiateMultipartUploadResult { upload_id: ID.into(), ..Default::default() };
    let reply_ = reply(200, &[], &result.encode(true));
    let expected = Reply::Initiated { upload_id: ID.into() };
    assert_eq!(got(&Op::InitiateMultipartUpload, &reply_), expected);
}

#[test]
fn uploads_of_exactly_this_key_oldest_first() {
    let upload = |key: &str, id: &str, initiated_ms| ListedUpload {
        key: key.into(),
        upload_id: id.into(),
        initiated_ms,
        ..Default::default()
    };
    let result = ListMultipartUploadsResult {
        uploads: vec![
            upload("sv/a b.mp4", "YOUNG", AT + 1000),
            upload("sv/a b.mp4", "OLD", AT),
            upload("sv/a b.mp4.bak", "OTHER", AT),
        ],
        ..Default::default()
    };
    for url in [true, false] {
        let reply_ = reply(200, &[], &result.encode(url));
        let expected = Reply::Uploads(vec!["OLD".into(), "YOUNG".into()]);
        assert_eq!(got(&Op::ListMultipartUploads, &reply_), expected);
    }
}

#[test]
fn part_lists_go_on_until_the_last_page() {
    let page = |numbers: &[u32], is_truncated, next| ListPartsResult {
        is_truncated,
        next_part_number_marker: next,
        parts: numbers
            .iter()
            .map(|n| ListedPart {
                number: *n,
                etag: "E".into(),
                size: 9,
                crc64: Some(1),
                last_modified_ms: 0,
            })
            .collect(),
        ..Default::default()
    };
    let list = |marker, page: ListPartsResult| {
        let op = Op::ListParts { upload_id: ID.into(), marker };
        ask(&op, &reply(200, &[], &page.encode(false))).result
    };
    let next = |result: Result<Reply, Fault>| match result {
        Ok(Reply::Parts { parts, next }) => (parts.len(), next),
        other => panic!("{other:?}"),
    };
    assert_eq!(next(list(0, page(&[1, 3], false, 3))), (2, None));
    assert_eq!(next(list(0, page(&[1, 3], true, 3))), (2, Some(3)));
    assert_eq!(next(list(3, page(&[4], true, 0))), (1, Some(4)));
    assert_eq!(next(list(3, page(&[], false, 0))), (0, None));
    for stuck in [
        list(3, page(&[3], true, 3)),
        list(3, page(&[4, 4], false, 4)),
        list(3, page(&[5, 4], false, 5)),
        list(3, page(&[4, 5], true, 4)),
        list(3, page(&[], true, 3)),
        list(3, page(&[], true, 0)),
        list(0, page(&[0], false, 0)),
        list(0, page(&[10_001], false, 10_001)),
    ] {
        assert_eq!(stuck.unwrap_err().kind, PROTOCOL);
    }
    let mut nameless = page(&[1], false, 1);
    nameless.parts[0].etag.clear();
    assert_eq!(list(0, nameless).unwrap_err().kind, PROTOCOL);
}

#[test]
fn what_arrived_is_compared_with_what_was_sent() {
    let body = b"hello world";
    let sent = Digests { length: 11, md5: Some(md5(body)), crc64: Some(crc64(body)) };
    let etag = vodferry_oss::etag::etag_of_md5(&md5(body));
    let crc = decimal(crc64(body));
    let of = |op: &Op, etag: &str, crc: &str, sent: &Digests| {
        let headers = [("etag", etag), ("x-oss-hash-crc64ecma", crc), ("x-oss-request-id", "ID")];
        answer(op, &plain(), &reply(200, &headers, ""), sent).result
    };
    let expected = Reply::PartUploaded { etag: etag.clone(), crc64: Some(crc64(body)) };
    let quoted = format!("\"{etag}\"");
    assert_eq!(of(&upload_part(), &quoted, &crc, &sent), Ok(expected.clone()));
    assert_eq!(of(&upload_part(), &quoted, "", &sent), Ok(expected.clone()), "own CRC64 kept");
    let none = Digests { length: 11, ..Digests::default() };
    assert_eq!(of(&upload_part(), &quoted, &crc, &none), Ok(expected), "the reply's CRC64 kept");

    let put = Op::PutObject { length: 11 };
    let info = ObjectInfo {
        etag: etag.clone(),
        crc64: Some(crc64(body)),
        verified: true,
        ..ObjectInfo::default()
    };
    assert_eq!(of(&put, &quoted, &crc, &sent), Ok(Reply::Put(info.clone())));
    let unverified = ObjectInfo { verified: false, ..info };
    assert_eq!(of(&put, &quoted, &crc, &none), Ok(Reply::Put(unverified)));

    for op in [upload_part(), put] {
        for (etag, crc) in [("\"0000\"", crc.as_str()), (&quoted, "1")] {
            let fault = of(&op, etag, crc, &sent).unwrap_err();
            assert_eq!((fault.kind, fault.code.as_str()), (INTEGRITY, "ChecksumMismatch"));
            assert_eq!(fault.request_id, "ID");
        }
        assert_eq!(of(&op, "", &crc, &sent).unwrap_err().kind, PROTOCOL, "no ETag");
    }
}

#[test]
fn a_refusal_says_what_where_and_who() {
    let fault = fault(&upload_part(), &refuse(404, "NoSuchUpload"));
    assert_eq!(fault.kind, FaultKind::NoSuchUpload);
    assert_eq!(fault.code, "NoSuchUpload");
    assert_eq!(fault.message, "part 7 of sv/a b.mp4: It was refused");
    assert_eq!(fault.request_id, "0123456789ABCDEF01234567");
}

#[test]
fn an_unknown_key_is_expiry_only_with_a_token() {
    let refused = refuse(403, "InvalidAccessKeyId");
    assert_eq!(fault(&upload_part(), &refused).kind, FaultKind::Expired);
    let permanent = authority("http://h.example", "k", None);
    let answer = answer(&upload_part(), &permanent, &refused, &Digests::default());
    assert_eq!(answer.result.unwrap_err().kind, FaultKind::Fatal(ErrorKind::Auth));
}

#[test]
fn the_servers_wish_is_kept() {
    let mut busy = refuse(503, "ServiceUnavailable");
    busy.headers.push(("retry-after".into(), "7".into()));
    let fault = fault(&upload_part(), &busy);
    assert_eq!((fault.kind, fault.retry_after_ms), (FaultKind::SlowDown, Some(7_000)));
}

#[test]
fn a_failed_callback_is_final_for_what_makes_an_object() {
    for op in every_op() {
        let fault = fault(&op, &refuse(203, "CallbackFailed"));
        let stored = matches!(op, Op::CompleteMultipartUpload { .. } | Op::PutObject { .. });
        let expected = if stored { FaultKind::Fatal(ErrorKind::Service) } else { PROTOCOL };
        assert_eq!((fault.kind, fault.code.as_str()), (expected, "CallbackFailed"), "{op:?}");
    }
}

#[test]
fn what_is_not_the_services_is_tried_again() {
    let html = "<html><body><h1>Please log in</h1></body></html>";
    let half = &completed_body()[..60];
    for op in every_op() {
        for (status, body) in
            [(200, html), (200, ""), (200, half), (200, "{}"), (206, ""), (302, html)]
        {
            let reply_ = reply(status, &[("content-type", "text/html")], body);
            let fault = fault(&op, &reply_);
            assert_eq!(fault.kind, PROTOCOL, "{op:?} {status} {body:?}");
            assert!(!fault.message.contains('\n') && !fault.message.ends_with('.'));
        }
        for status in [403, 404, 407] {
            if !matches!(op, Op::HeadObject { .. }) {
                assert_eq!(fault(&op, &reply(status, &[], html)).kind, PROTOCOL, "{op:?}");
            }
        }
        let gateway = fault(&op, &reply(502, &[("content-type", "text/html")], html));
        assert_eq!(gateway.kind, FaultKind::Transient(ErrorKind::Service), "{op:?}");
        assert_eq!(fault(&op, &reply(503, &[], html)).kind, FaultKind::SlowDown, "{op:?}");
    }
}

#[test]
fn a_bare_refusal_of_the_service_is_believed() {
    let bare = reply(403, &[("x-oss-request-id", "0123")], "");
    let fault = fault(&upload_part(), &bare);
    assert_eq!(fault.kind, FaultKind::Fatal(ErrorKind::Auth));
    assert_eq!(fault.request_id, "0123");
}
