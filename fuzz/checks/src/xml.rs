//! The XML bodies, both ways.

use std::fmt::Debug;

use vodferry_oss::time::whole_seconds;
use vodferry_oss::xml::{
    CompleteMultipartUpload, CompleteMultipartUploadResult, InitiateMultipartUploadResult,
    ListMultipartUploadsResult, ListPartsResult, XmlError,
};
use vodferry_oss::{Response, ServiceError};

/// The bytes as each of the documents: what is read is read again after it was written, in both encodings.
pub fn xml(data: &[u8]) {
    survives(data, InitiateMultipartUploadResult::decode, InitiateMultipartUploadResult::encode);
    survives(data, CompleteMultipartUpload::decode, |document, _| document.encode());
    survives(data, CompleteMultipartUploadResult::decode, CompleteMultipartUploadResult::encode);
    survives(data, in_whole_seconds, ListPartsResult::encode);
    survives(data, uploads_in_whole_seconds, ListMultipartUploadsResult::encode);
    error(data);
}

fn survives<D: Debug + PartialEq>(
    data: &[u8],
    decode: impl Fn(&[u8]) -> Result<D, XmlError>,
    encode: impl Fn(&D, bool) -> String,
) {
    let Ok(document) = decode(data) else { return };
    for url in [false, true] {
        let text = encode(&document, url);
        let again = decode(text.as_bytes()).expect("written just now");
        assert_eq!(encode(&again, url), text);
        if !text.contains(REPLACED) {
            assert_eq!(again, document, "{text}");
        }
    }
}

/// What is written in place of characters that no document may hold. They are read, because servers do send them.
const REPLACED: char = char::REPLACEMENT_CHARACTER;

/// Finer times are not written.
fn in_whole_seconds(data: &[u8]) -> Result<ListPartsResult, XmlError> {
    let mut document = ListPartsResult::decode(data)?;
    for part in &mut document.parts {
        part.last_modified_ms = whole_seconds(part.last_modified_ms);
    }
    Ok(document)
}

fn uploads_in_whole_seconds(data: &[u8]) -> Result<ListMultipartUploadsResult, XmlError> {
    let mut document = ListMultipartUploadsResult::decode(data)?;
    for upload in &mut document.uploads {
        upload.initiated_ms = whole_seconds(upload.initiated_ms);
    }
    Ok(document)
}

/// As the body of a refusal, and as the header that stands for it.
fn error(data: &[u8]) {
    let read = |body: &[u8], header: String| {
        let headers = vec![("x-oss-err".to_owned(), header)];
        ServiceError::from_response(&Response { status: 400, headers, body: body.to_vec() })
    };
    let error = read(data, String::new());
    assert!(!error.code.is_empty());
    for line in [error.to_string(), format!("{error:?}")] {
        assert!(!line.contains(char::is_control), "{line:?}");
    }
    let text = error.to_xml();
    let again = read(text.as_bytes(), String::new());
    assert_eq!(again.to_xml(), text);
    if !text.contains(REPLACED) {
        assert_eq!(again, error, "{text}");
    }
    assert_eq!(read(b"", error.to_header()), again);
}
