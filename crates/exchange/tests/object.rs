//! What is asked of an object beyond its bytes: callbacks, order, and what the replies say of it.

mod common;

use common::{AT, ID, part, plain, refuse, reply, upload_part};
use vodferry_engine::{ErrorKind, Fault, FaultKind, ObjectInfo, Op, Reply};
use vodferry_exchange::{Answer, Digests, Object, Signature, answer_for, request_for};
use vodferry_oss::{Request, Response};

const JSON: &str = "{\"ok\":true}";

fn complete() -> Op {
    Op::CompleteMultipartUpload { upload_id: ID.into(), parts: vec![part(1, 11, Some(7))] }
}

fn put() -> Op {
    Op::PutObject { length: 11 }
}

fn callback() -> Vec<(String, String)> {
    vec![("x-oss-callback".into(), "e30=".into()), ("x-oss-callback-var".into(), "e30=".into())]
}

fn ask(op: &Op, object: &Object<'_>) -> Request {
    request_for(&Signature::V1, op, &plain(), &Digests::default(), object, AT).unwrap()
}

fn of(op: &Op, response: &Response, digests: &Digests, object: &Object<'_>) -> Answer {
    answer_for(op, &plain(), response, digests, object)
}

fn called(op: &Op, response: &Response) -> Result<Reply, Fault> {
    let callback = callback();
    let object = Object { callback: &callback, ..Object::default() };
    of(op, response, &Digests::default(), &object).result
}

#[test]
fn a_callback_travels_with_what_makes_the_object() {
    let callback = callback();
    let object = Object { callback: &callback, ..Object::default() };
    for op in [complete(), put()] {
        let request = ask(&op, &object);
        for (name, value) in &callback {
            assert_eq!(request.header(name), Some(value.as_str()), "{op:?}");
        }
    }
    for op in [upload_part(), Op::InitiateMultipartUpload] {
        assert_eq!(ask(&op, &object).header("x-oss-callback"), None, "{op:?}");
    }
}

#[test]
fn complete_carries_the_headers_that_count_then() {
    let headers = [("X-Oss-Object-Acl", "private"), ("x-oss-meta-a", "b"), ("content-type", "x/y")];
    let headers = headers.map(|(name, value)| (name.to_string(), value.to_string()));
    let request = ask(&complete(), &Object { headers: &headers, ..Object::default() });
    assert_eq!(request.header("x-oss-object-acl"), Some("private"));
    assert_eq!(request.header("x-oss-meta-a"), None);
    assert_eq!(request.header("content-type"), Some("application/xml"));
}

#[test]
fn the_application_answers_in_place_of_the_service() {
    let headers = [("etag", "\"AB-1\""), ("x-oss-request-id", "R"), ("x-oss-hash-crc64ecma", "7")];
    let info = |verified, crc64| ObjectInfo {
        etag: "AB-1".into(),
        request_id: "R".into(),
        callback_body: Some(JSON.into()),
        crc64,
        verified,
        ..ObjectInfo::default()
    };
    let answered = called(&complete(), &reply(200, &headers, JSON));
    assert_eq!(answered, Ok(Reply::Completed(info(true, Some(7)))));
    let answered = called(&put(), &reply(200, &headers[..2], JSON));
    assert_eq!(answered, Ok(Reply::Put(info(false, None))));

    let wrong = [headers[0], headers[1], ("x-oss-hash-crc64ecma", "8")];
    let fault = called(&complete(), &reply(200, &wrong, JSON)).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Fatal(ErrorKind::Integrity));
    assert!(fault.message.ends_with("(sent 7, there 8)"), "{}", fault.message);
    // A page of somebody else has neither.
    for headers in [&headers[..1], &headers[1..]] {
        let fault = called(&complete(), &reply(200, headers, "<html>")).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Transient(ErrorKind::Protocol));
    }
    // And where nobody asked for a callback nothing but the service's own reply will do.
    let plain =
        of(&complete(), &reply(200, &headers, JSON), &Digests::default(), &Object::default());
    assert_eq!(plain.result.unwrap_err().kind, FaultKind::Transient(ErrorKind::Protocol));
}

#[test]
fn a_callback_that_failed_is_fatal() {
    for op in [complete(), put()] {
        let fault = called(&op, &refuse(203, "CallbackFailed")).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Fatal(ErrorKind::Service));
        assert_eq!((&*fault.code, fault.request_id.len()), ("CallbackFailed", 24));
    }
}

#[test]
fn the_reply_says_where_the_object_is() {
    let body = "<CompleteMultipartUploadResult><Location>http://h/k</Location><ETag>\"AB-1\"</ETag>\
                </CompleteMultipartUploadResult>";
    let reply = reply(200, &[("x-oss-request-id", "R")], body);
    let Ok(Reply::Completed(info)) =
        of(&complete(), &reply, &Digests::default(), &Object::default()).result
    else {
        panic!("not completed")
    };
    assert_eq!((info.location.as_deref(), &*info.request_id), (Some("http://h/k"), "R"));
    // A service that takes no callbacks answers by itself.
    assert_eq!(called(&complete(), &reply), Ok(Reply::Completed(info)));
}

#[test]
fn a_sequential_upload_says_so_when_it_begins_and_only_then() {
    let object = Object { sequential: true, ..Object::default() };
    let says = |op: &Op, object: &Object<'_>| {
        ask(op, object).query.iter().any(|(name, _)| name == "sequential")
    };
    assert!(says(&Op::InitiateMultipartUpload, &object));
    assert!(!says(&Op::InitiateMultipartUpload, &Object::default()));
    for op in [upload_part(), complete(), put()] {
        assert!(!says(&op, &object), "{op:?}");
    }
}

#[test]
fn a_part_that_is_there_already_counts_when_it_holds_these_bytes() {
    let md5 = [0xAB; 16];
    let etag = "AB".repeat(16);
    let there = |etag: &str| {
        let body = format!(
            "<Error><Code>PartAlreadyExist</Code><Message>m</Message><PartEtag>{etag}</PartEtag></Error>"
        );
        reply(409, &[], &body)
    };
    let sequential = Object { sequential: true, ..Object::default() };
    let ask = |etag: &str, md5: Option<[u8; 16]>, object: &Object<'_>| {
        let digests = Digests { length: 1, md5, crc64: Some(5) };
        of(&upload_part(), &there(etag), &digests, object).result
    };
    let stored = Reply::PartUploaded { etag: etag.clone(), crc64: Some(5) };
    assert_eq!(ask(&format!("\"{etag}\""), Some(md5), &sequential), Ok(stored.clone()));
    assert_eq!(ask(&etag, None, &sequential), Ok(stored));
    for (etag, md5) in [("00", Some(md5)), ("", Some(md5)), ("", None)] {
        let fault = ask(etag, md5, &sequential).unwrap_err();
        assert_eq!((fault.kind, &*fault.code), (FaultKind::NoSuchUpload, "PartAlreadyExist"));
    }
    let fault = ask(&etag, Some(md5), &Object::default()).unwrap_err();
    assert_eq!(fault.kind, FaultKind::Fatal(ErrorKind::Service));
    let fault =
        of(&upload_part(), &refuse(400, "PartNotSequential"), &Digests::default(), &sequential);
    assert_eq!(fault.result.unwrap_err().kind, FaultKind::Relist);
}
