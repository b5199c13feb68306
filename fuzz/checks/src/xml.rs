//! The XML bodies, both ways.

use std::collections::BTreeSet;
use std::fmt::Debug;

use vodferry_oss::time::whole_seconds;
use vodferry_oss::xml::{
    CompleteMultipartUpload, CompleteMultipartUploadResult, CorsConfiguration,
    CreateBucketConfiguration, Delete, InitiateMultipartUploadResult, LifecycleConfiguration,
    LifecycleRule, ListBucketResult, ListMultipartUploadsResult, ListPartsResult, RulesError,
    Tagging, Term, XmlError, delete_result, normalised, with_abort_term,
};
use vodferry_oss::{Response, ServiceError};

/// The bytes as each of the documents: what is read is read again after it was written, in both encodings.
pub fn xml(data: &[u8]) {
    survives(data, InitiateMultipartUploadResult::decode, InitiateMultipartUploadResult::encode);
    survives(data, CompleteMultipartUpload::decode, |document, _| document.encode());
    survives(data, CompleteMultipartUploadResult::decode, CompleteMultipartUploadResult::encode);
    survives(data, in_whole_seconds, ListPartsResult::encode);
    survives(data, uploads_in_whole_seconds, ListMultipartUploadsResult::encode);
    survives(data, objects_in_whole_seconds, ListBucketResult::encode);
    survives(data, Tagging::decode, |document, _| document.encode());
    read_only(data);
    is_kept(data, CorsConfiguration::ROOT, CorsConfiguration::decode);
    is_kept(data, LifecycleConfiguration::ROOT, LifecycleConfiguration::decode);
    ids(data);
    abort_term(data);
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

fn objects_in_whole_seconds(data: &[u8]) -> Result<ListBucketResult, XmlError> {
    let mut document = ListBucketResult::decode(data)?;
    for object in &mut document.contents {
        object.last_modified_ms = whole_seconds(object.last_modified_ms);
        // What names no class is written as what it is.
        if object.storage_class.is_empty() {
            object.storage_class = "Standard".into();
        }
    }
    Ok(document)
}

/// Requests that nobody here writes.
fn read_only(data: &[u8]) {
    if let Ok(Delete { objects, .. }) = Delete::decode(data) {
        let keys: Vec<&str> = objects.iter().map(|object| object.key.as_str()).collect();
        for url in [false, true] {
            let reply = delete_result(&keys, url);
            assert_eq!(reply.matches("<Deleted>").count(), keys.len(), "{reply}");
        }
    }
    if let Ok(bucket) = CreateBucketConfiguration::decode(data) {
        for text in [&bucket.storage_class, &bucket.location] {
            assert_eq!(text.trim_ascii(), text);
        }
    }
}

/// A server checks the rules that it was sent, and then acts by those that it kept.
fn is_kept<D: Debug + PartialEq>(
    data: &[u8],
    root: &'static str,
    decode: impl Fn(&[u8]) -> Result<D, RulesError>,
) {
    let Ok(document) = decode(data) else { return };
    let kept = normalised(data, root, false).expect("read just now");
    assert_eq!(normalised(kept.as_bytes(), root, false).as_ref(), Ok(&kept));
    if !kept.contains(REPLACED) {
        assert_eq!(decode(kept.as_bytes()), Ok(document), "{kept}");
    }
}

/// Rules without a name get one, and are what they were but for it.
fn ids(data: &[u8]) {
    let Ok(sent) = LifecycleConfiguration::decode(data) else { return };
    let kept = normalised(data, LifecycleConfiguration::ROOT, true).expect("read just now");
    let named = LifecycleConfiguration::decode(kept.as_bytes()).expect("written just now");
    assert!(named.rules.iter().all(|rule| !rule.id.is_empty()), "{kept}");
    let doubles = |rules: &[LifecycleRule]| {
        let own: Vec<&str> =
            rules.iter().map(|rule| rule.id.as_str()).filter(|id| !id.is_empty()).collect();
        own.len() - own.iter().collect::<BTreeSet<_>>().len()
    };
    assert_eq!(doubles(&named.rules), doubles(&sent.rules), "{kept}");
    if !kept.contains(REPLACED) {
        let mut again = named;
        for (rule, sent) in again.rules.iter_mut().zip(&sent.rules) {
            assert!(sent.id.is_empty() || sent.id == rule.id, "{kept}");
            rule.id.clone_from(&sent.id);
        }
        assert_eq!(again, sent, "{kept}");
    }
}

/// The term is there, once asked for and twice, and no other rule is lost.
fn abort_term(data: &[u8]) {
    const PREFIX: &str = "sv/";
    let written = with_abort_term(data, PREFIX, 7);
    let Ok(before) = LifecycleConfiguration::decode(data) else { return };
    let text = written.expect("read just now");
    let after = LifecycleConfiguration::decode(text.as_bytes()).expect("written just now");
    let holds = after.rules.iter().any(|rule| {
        rule.prefix == PREFIX
            && rule.status == "Enabled"
            && rule.tags.is_empty()
            && rule.abort_multipart_upload == Some(Term::Days(7))
    });
    assert!(holds, "{text}");
    assert!(matches!(after.rules.len() - before.rules.len(), 0 | 1), "{text}");
    assert_eq!(with_abort_term(text.as_bytes(), PREFIX, 7).as_ref(), Ok(&text));
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
