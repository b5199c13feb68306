//! The XML bodies against files: what is written byte for byte, and what is read in all the spellings of the field.

use proptest::prelude::*;
use vodferry_oss::xml::{
    CompleteMultipartUpload, CompleteMultipartUploadResult, CompletePart,
    InitiateMultipartUploadResult, ListMultipartUploadsResult, ListPartsResult, ListedPart,
    ListedUpload, XmlError,
};
use vodferry_oss::{Code, Response, ServiceError};

const T: i64 = 1_795_168_800_000;
const FIRST: &str = "302D3A0C8E319EAA95B059B346DE1D1D";
const SECOND: &str = "82136B4240D6CE4EA7D03E51469A393B";

macro_rules! vector {
    ($name:literal) => {
        include_str!(concat!("vectors/", $name)).trim_end()
    };
}

fn complete_request() -> CompleteMultipartUpload {
    CompleteMultipartUpload {
        parts: vec![
            CompletePart { number: 1, etag: FIRST.into() },
            CompletePart { number: 10_000, etag: SECOND.into() },
        ],
    }
}

#[test]
fn initiate() {
    let result = InitiateMultipartUploadResult {
        bucket: "demo-bkt".into(),
        key: "sv/a b&c<测>.mp4".into(),
        upload_id: "0004B9894A22E5B1888A1E29F8236E2D".into(),
    };
    for (url, text) in [(false, vector!("initiate.xml")), (true, vector!("initiate_url.xml"))] {
        assert_eq!(result.encode(url), text);
        assert_eq!(InitiateMultipartUploadResult::decode(text.as_bytes()).unwrap(), result);
    }
}

#[test]
fn complete_request_in_every_spelling() {
    assert_eq!(complete_request().encode(), vector!("complete_request.xml"));
    for text in [
        vector!("complete_request.xml"),
        vector!("complete_request_pretty.xml"),
        vector!("complete_request_references.xml"),
    ] {
        assert_eq!(CompleteMultipartUpload::decode(text.as_bytes()), Ok(complete_request()));
    }
    let empty = vector!("complete_request_empty.xml");
    assert_eq!(empty.len(), 27);
    let none = CompleteMultipartUpload { parts: vec![] };
    assert_eq!(CompleteMultipartUpload::decode(empty.as_bytes()), Ok(none));
}

#[test]
fn complete_result() {
    let result = CompleteMultipartUploadResult {
        location: "http://demo-bkt.oss.example.com/k".into(),
        bucket: "demo-bkt".into(),
        key: "k".into(),
        etag: "16F2D8490DA86AC7AA4B726C3553BAC8-2".into(),
    };
    let text = vector!("complete_result.xml");
    assert_eq!(result.encode(false), text);
    assert_eq!(CompleteMultipartUploadResult::decode(text.as_bytes()), Ok(result));
}

#[test]
fn list_parts() {
    let result = ListPartsResult {
        bucket: "demo-bkt".into(),
        key: "sv/🎬.mp4".into(),
        upload_id: "0004B9894A22E5B1888A1E29F8236E2D".into(),
        part_number_marker: 0,
        next_part_number_marker: 2,
        max_parts: 2,
        is_truncated: true,
        parts: vec![
            ListedPart {
                number: 1,
                last_modified_ms: T,
                etag: FIRST.into(),
                crc64: Some(u64::MAX),
                size: 102_400,
            },
            ListedPart {
                number: 2,
                last_modified_ms: T + 1_000,
                etag: SECOND.into(),
                crc64: None,
                size: 5 << 30,
            },
        ],
    };
    let text = vector!("list_parts.xml");
    assert_eq!(result.encode(true), text);
    let mut finer = result.clone();
    finer.parts[0].last_modified_ms += 999;
    assert_eq!(finer.encode(true), text, "times are written in whole seconds");
    assert_eq!(ListPartsResult::decode(text.as_bytes()), Ok(result));
}

#[test]
fn list_parts_with_empty_markers() {
    let text = vector!("list_parts_first_page_empty.xml");
    let result = ListPartsResult::decode(text.as_bytes()).unwrap();
    assert_eq!((result.part_number_marker, result.next_part_number_marker), (0, 0));
    assert_eq!((result.max_parts, result.is_truncated, result.parts.len()), (1_000, false, 0));
}

#[test]
fn list_uploads() {
    let upload =
        |id: &str| ListedUpload { key: "sv/c d".into(), upload_id: id.into(), initiated_ms: T };
    let result = ListMultipartUploadsResult {
        bucket: "demo-bkt".into(),
        key_marker: "a+b".into(),
        upload_id_marker: "01".into(),
        next_key_marker: "sv/c d".into(),
        next_upload_id_marker: "03".into(),
        delimiter: "/".into(),
        prefix: "sv/".into(),
        max_uploads: 2,
        is_truncated: true,
        uploads: vec![upload("02"), upload("03")],
        common_prefixes: vec!["sv/测/".into()],
    };
    let text = vector!("list_uploads.xml");
    assert_eq!(result.encode(true), text);
    assert_eq!(ListMultipartUploadsResult::decode(text.as_bytes()), Ok(result));
}

#[test]
fn error() {
    let mut error = ServiceError::of(Code::InvalidPart)
        .with_context("PartNumber", "2")
        .with_context("ETag", SECOND)
        .with_context("UploadId", "0004B9894A22E5B1888A1E29F8236E2D");
    error.request_id = "5C3D9175B6FC201293AD4890".into();
    error.host_id = "demo-bkt.oss.example.com".into();
    let text = vector!("error.xml");
    assert_eq!(error.to_xml(), text);
    let response = Response { status: 400, headers: vec![], body: text.as_bytes().to_vec() };
    assert_eq!(ServiceError::from_response(&response), error);
}

#[test]
fn malformed_documents_are_errors() {
    let decode = |text: &str| CompleteMultipartUpload::decode(text.as_bytes()).unwrap_err();
    for text in [
        "",
        " ",
        "no xml",
        "<",
        "<CompleteMultipartUpload",
        "<CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part></CompleteMultipartUpload>",
        "</CompleteMultipartUpload>",
        "<open><CompleteMultipartUpload/>",
        "<CompleteMultipartUpload/></CompleteMultipartUpload>",
        "<CompleteMultipartUpload/><CompleteMultipartUpload/>",
        "<CompleteMultipartUpload/>tail",
        "head<CompleteMultipartUpload/>",
        "<CompleteMultipartUpload>&amp</CompleteMultipartUpload>",
        "<CompleteMultipartUpload><!-- </CompleteMultipartUpload>",
        "<CompleteMultipartUpload><![CDATA[ </CompleteMultipartUpload>",
    ] {
        assert_eq!(decode(text), XmlError::Malformed, "{text}");
    }
    assert_eq!(CompleteMultipartUpload::decode(b"\xff<a/>"), Err(XmlError::Utf8));
    assert_eq!(decode("<Other/>"), XmlError::Root("CompleteMultipartUpload"));
}

#[test]
fn parts_need_numbers_and_etags() {
    let part = |inside: &str| {
        let text =
            format!("<CompleteMultipartUpload><Part>{inside}</Part></CompleteMultipartUpload>");
        CompleteMultipartUpload::decode(text.as_bytes())
    };
    assert_eq!(part("<ETag>A</ETag>"), Err(XmlError::Missing("PartNumber")));
    assert_eq!(part("<PartNumber>1</PartNumber>"), Err(XmlError::Missing("ETag")));
    for number in ["x", "-1", "+1", "1.0", "4294967296", "0x1"] {
        let inside = format!("<PartNumber>{number}</PartNumber><ETag>A</ETag>");
        assert_eq!(part(&inside), Err(XmlError::Value("PartNumber")), "{number}");
    }
}

#[test]
fn entities_are_not_expanded() {
    let bomb = "<!DOCTYPE x [<!ENTITY a \"aaaa\"><!ENTITY b \"&a;&a;\">]>\
        <CompleteMultipartUpload>&b;</CompleteMultipartUpload>";
    assert_eq!(CompleteMultipartUpload::decode(bomb.as_bytes()), Err(XmlError::Entity));
    let harmless = "<!DOCTYPE x><CompleteMultipartUpload/>";
    assert_eq!(CompleteMultipartUpload::decode(harmless.as_bytes()), Err(XmlError::Entity));
    for entity in ["&b;", "&nbsp;", "&#xFFFFFFFF;", "&#x;", "&#;", "&#xD800;"] {
        let text = format!("<CompleteMultipartUpload>{entity}</CompleteMultipartUpload>");
        assert_eq!(
            CompleteMultipartUpload::decode(text.as_bytes()),
            Err(XmlError::Entity),
            "{entity}"
        );
    }
}

#[test]
fn depth_is_bounded() {
    let nested = |depth: usize| {
        let text = format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        CompleteMultipartUpload::decode(text.as_bytes()).unwrap_err()
    };
    assert_eq!(nested(16), XmlError::Root("CompleteMultipartUpload"));
    assert_eq!(nested(17), XmlError::TooDeep);
    assert_eq!(nested(100_000), XmlError::TooDeep);
}

#[test]
fn the_number_of_elements_is_bounded() {
    let decode = |elements: usize| {
        let children = "<a/>".repeat(elements - 1);
        let text = format!("<CompleteMultipartUpload>{children}</CompleteMultipartUpload>");
        CompleteMultipartUpload::decode(text.as_bytes()).map(|list| list.parts.len())
    };
    assert_eq!(decode(60_002), Ok(0));
    assert_eq!(decode(60_003), Err(XmlError::TooMany));
    let etag = FIRST.to_string();
    let parts = (1..=10_000).map(|number| CompletePart { number, etag: etag.clone() }).collect();
    let most = CompleteMultipartUpload { parts };
    assert_eq!(CompleteMultipartUpload::decode(most.encode().as_bytes()), Ok(most));
}

#[test]
fn an_upload_id_is_needed() {
    let decode = |id: &str| {
        let text = format!("<InitiateMultipartUploadResult>{id}</InitiateMultipartUploadResult>");
        InitiateMultipartUploadResult::decode(text.as_bytes()).unwrap_err()
    };
    assert_eq!(decode(""), XmlError::Missing("UploadId"));
    assert_eq!(decode("<UploadId> </UploadId>"), XmlError::Value("UploadId"));
}

#[test]
fn what_xml_forbids_needs_url_encoding() {
    let mut result = InitiateMultipartUploadResult {
        bucket: "demo-bkt".into(),
        key: "a\u{1}\u{FFFF}b".into(),
        upload_id: "1".into(),
    };
    let decode = |text: String| InitiateMultipartUploadResult::decode(text.as_bytes()).unwrap();
    assert_eq!(decode(result.encode(true)), result);
    let plain = result.encode(false);
    result.key = "a\u{FFFD}\u{FFFD}b".into();
    assert_eq!(decode(plain), result, "replaced, so that the document stays well-formed");
}

#[test]
fn a_carriage_return_is_written_as_a_reference() {
    let result = InitiateMultipartUploadResult { key: "a\r\nb".into(), ..Default::default() };
    assert!(
        result.encode(false).contains("<Key>a&#13;\nb</Key>"),
        "readers turn raw ones into \\n"
    );
}

/// Texts that a document can carry: Chinese, emoji, markup, and the control characters that XML allows.
const TEXT: &str = "([\t\n\r -~]|[一-龥]|[🎀-🎬]|&amp;|<a>|\\]\\]>|[\u{A0}-\u{D7FF}]){0,12}";

proptest! {
    #[test]
    fn results_survive(key in TEXT, bucket in TEXT, upload_id in "[0-9A-F]{1,32}", url: bool) {
        let sent = InitiateMultipartUploadResult { bucket, key, upload_id };
        let text = sent.encode(url);
        prop_assert_eq!(InitiateMultipartUploadResult::decode(text.as_bytes()).unwrap(), sent);
    }

    #[test]
    fn any_key_survives_url_encoding(key in any::<String>(), prefix in any::<String>()) {
        let upload = ListedUpload { key: key.clone(), upload_id: "1".into(), initiated_ms: 0 };
        let sent = ListMultipartUploadsResult {
            key_marker: key,
            prefix: prefix.clone(),
            uploads: vec![upload],
            common_prefixes: vec![prefix],
            ..Default::default()
        };
        let text = sent.encode(true);
        prop_assert_eq!(ListMultipartUploadsResult::decode(text.as_bytes()).unwrap(), sent);
    }

    #[test]
    fn part_lists_survive(parts in proptest::collection::vec((1..=10_000u32, "[0-9A-F]{32}", any::<u64>()), 0..20)) {
        let listed = |(number, etag, size): &(u32, String, u64)| ListedPart {
            number: *number,
            last_modified_ms: T,
            etag: etag.clone(),
            crc64: (size % 2 == 0).then_some(*size),
            size: *size,
        };
        let sent = ListPartsResult {
            parts: parts.iter().map(listed).collect(),
            ..Default::default()
        };
        let text = sent.encode(false);
        prop_assert_eq!(ListPartsResult::decode(text.as_bytes()).unwrap(), sent);
        let part = |(number, etag, _): (u32, String, u64)| CompletePart { number, etag };
        let sent = CompleteMultipartUpload { parts: parts.into_iter().map(part).collect() };
        prop_assert_eq!(CompleteMultipartUpload::decode(sent.encode().as_bytes()).unwrap(), sent);
    }

    #[test]
    fn junk_never_panics(body: Vec<u8>) {
        let _ = ListPartsResult::decode(&body);
    }

    #[test]
    fn damaged_documents_never_panic(at: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut body = vector!("list_parts.xml").as_bytes().to_vec();
        let index = at.index(body.len());
        body[index] = byte;
        body.truncate(cut.index(body.len() + 1));
        let _ = ListPartsResult::decode(&body);
        let _ = ListPartsResult::decode(&body[index.min(body.len())..]);
    }
}
