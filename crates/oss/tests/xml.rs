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
        storage_class: String::new(),
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
    finer.storage_class = "IA".into();
    assert_eq!(finer.encode(true), text.replace("Standard", "IA"));
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
    let upload = |id: &str| ListedUpload {
        key: "sv/c d".into(),
        upload_id: id.into(),
        initiated_ms: T,
        ..Default::default()
    };
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
        "<CompleteMultipartUpload><></></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><:/></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><a:!-- /></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><a:b/c /></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><a\">\"/></CompleteMultipartUpload>",
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
    // What two readers would take differently.
    for (inside, name) in [
        ("<PartNumber>1</PartNumber><ETag>A</ETag><ETag>B</ETag>", "ETag"),
        ("<PartNumber>1</PartNumber><ETag>A</ETag><ETag>A</ETag>", "ETag"),
        ("<PartNumber>1</PartNumber><ETag>A<b>B</b></ETag>", "ETag"),
        ("<PartNumber>1</PartNumber><PartNumber>2</PartNumber><ETag>A</ETag>", "PartNumber"),
        ("<PartNumber>1<b/></PartNumber><ETag>A</ETag>", "PartNumber"),
    ] {
        assert_eq!(part(inside), Err(XmlError::Value(name)), "{inside}");
    }
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
    // What is read in one tag may be written in two.
    let empty = |depth: usize| {
        let text = format!("{}<a/>{}", "<a>".repeat(depth - 1), "</a>".repeat(depth - 1));
        CompleteMultipartUpload::decode(text.as_bytes()).unwrap_err()
    };
    assert_eq!(empty(16), XmlError::Root("CompleteMultipartUpload"));
    assert_eq!(empty(17), XmlError::TooDeep);
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

/// Times of the years 1 to 9999, in seconds since 1970.
const SECONDS: std::ops::Range<i64> = -62_135_596_800..253_402_300_800;

proptest! {
    #[test]
    fn an_initiate_result_survives(
        [bucket, key] in [TEXT; 2],
        upload_id in "[!-~]{1,32}",
        url: bool,
    ) {
        let sent = InitiateMultipartUploadResult { bucket, key, upload_id };
        let text = sent.encode(url);
        prop_assert_eq!(InitiateMultipartUploadResult::decode(text.as_bytes()).unwrap(), sent);
    }

    #[test]
    fn a_complete_request_survives(
        parts in proptest::collection::vec((any::<u32>(), "[0-9A-F]{0,32}(-[0-9]{1,5})?"), 0..20),
    ) {
        let part = |(number, etag)| CompletePart { number, etag };
        let sent = CompleteMultipartUpload { parts: parts.into_iter().map(part).collect() };
        prop_assert_eq!(CompleteMultipartUpload::decode(sent.encode().as_bytes()).unwrap(), sent);
    }

    #[test]
    fn a_complete_result_survives(
        [location, bucket, key] in [TEXT; 3],
        etag in "[0-9A-F]{32}(-[0-9]{1,5})?",
        url: bool,
    ) {
        let sent = CompleteMultipartUploadResult { location, bucket, key, etag };
        let text = sent.encode(url);
        prop_assert_eq!(CompleteMultipartUploadResult::decode(text.as_bytes()).unwrap(), sent);
    }

    #[test]
    fn a_page_of_parts_survives(
        [bucket, key, upload_id] in [TEXT; 3],
        numbers in any::<[u32; 3]>(),
        is_truncated: bool,
        parts in proptest::collection::vec(
            (any::<u32>(), SECONDS, "[0-9A-Fa-f]{32}", any::<Option<u64>>(), any::<u64>()),
            0..20,
        ),
        url: bool,
    ) {
        let [part_number_marker, next_part_number_marker, max_parts] = numbers;
        let part = |(number, seconds, etag, crc64, size)| ListedPart {
            number,
            last_modified_ms: seconds * 1_000,
            etag,
            crc64,
            size,
        };
        let sent = ListPartsResult {
            bucket,
            key,
            upload_id,
            part_number_marker,
            next_part_number_marker,
            max_parts,
            is_truncated,
            storage_class: String::new(),
            parts: parts.into_iter().map(part).collect(),
        };
        let text = sent.encode(url);
        prop_assert_eq!(ListPartsResult::decode(text.as_bytes()).unwrap(), sent);
    }

    #[test]
    fn a_page_of_uploads_survives(
        [bucket, upload_id_marker, next_upload_id_marker] in [TEXT; 3],
        [key_marker, next_key_marker, delimiter, prefix] in [TEXT; 4],
        max_uploads: u32,
        is_truncated: bool,
        uploads in proptest::collection::vec((TEXT, TEXT, SECONDS), 0..9),
        common_prefixes in proptest::collection::vec(TEXT, 0..4),
        url: bool,
    ) {
        let upload = |(key, upload_id, seconds)| ListedUpload {
            key,
            upload_id,
            initiated_ms: seconds * 1_000,
            storage_class: String::new(),
        };
        let sent = ListMultipartUploadsResult {
            bucket,
            key_marker,
            upload_id_marker,
            next_key_marker,
            next_upload_id_marker,
            delimiter,
            prefix,
            max_uploads,
            is_truncated,
            uploads: uploads.into_iter().map(upload).collect(),
            common_prefixes,
        };
        let text = sent.encode(url);
        prop_assert_eq!(ListMultipartUploadsResult::decode(text.as_bytes()).unwrap(), sent);
    }

    #[test]
    fn an_error_survives_as_a_body_and_as_a_header(
        status in 300..600u16,
        [code, message, request_id, host_id] in ["[A-Za-z.]{1,20}", TEXT, "[0-9A-F]{24}", TEXT],
        context in proptest::collection::vec(("[A-Z][A-Za-z0-9]{4,12}", TEXT), 0..4),
    ) {
        let own = ["Message", "RequestId", "HostId"];
        prop_assume!(context.iter().all(|(name, _)| !own.contains(&name.as_str())));
        let host_id = host_id.into();
        let sent = ServiceError { status, code, message, request_id, host_id, context };
        let body = Response { status, headers: vec![], body: sent.to_xml().into_bytes() };
        prop_assert_eq!(&ServiceError::from_response(&body), &sent);
        let headers = vec![("x-oss-err".to_string(), sent.to_header())];
        let header = Response { status, headers, body: vec![] };
        prop_assert_eq!(&ServiceError::from_response(&header), &sent);
    }

    #[test]
    fn any_name_survives_url_encoding(
        [key_marker, next_key_marker, delimiter, prefix, key] in any::<[String; 5]>(),
    ) {
        let upload = ListedUpload { key: key.clone(), upload_id: "1".into(), ..Default::default() };
        let sent = ListMultipartUploadsResult {
            key_marker,
            next_key_marker,
            delimiter,
            prefix,
            uploads: vec![upload],
            common_prefixes: vec![key.clone()],
            ..Default::default()
        };
        let text = sent.encode(true);
        prop_assert_eq!(ListMultipartUploadsResult::decode(text.as_bytes()).unwrap(), sent);
        let sent = ListPartsResult { key: key.clone(), ..Default::default() };
        let text = sent.encode(true);
        prop_assert_eq!(ListPartsResult::decode(text.as_bytes()).unwrap(), sent);
        let sent = CompleteMultipartUploadResult { key, ..Default::default() };
        let text = sent.encode(true);
        prop_assert_eq!(CompleteMultipartUploadResult::decode(text.as_bytes()).unwrap(), sent);
    }

    #[test]
    fn junk_never_panics(body: Vec<u8>, text in "(</?|[<>&;\"'/!?-]|[a-zA-Z]{1,5}|&#|\\PC){0,40}") {
        for body in [body.as_slice(), text.as_bytes()] {
            let _ = InitiateMultipartUploadResult::decode(body);
            let _ = CompleteMultipartUpload::decode(body);
            let _ = CompleteMultipartUploadResult::decode(body);
            let _ = ListPartsResult::decode(body);
            let _ = ListMultipartUploadsResult::decode(body);
        }
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
