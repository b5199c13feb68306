//! One operation of the engine to a signed request.

use alloc::string::String;
use alloc::vec::Vec;

use vodferry_engine::{ErrorKind, Fault, FaultKind, Op, PartInfo};
use vodferry_oss::address::valid_key;
use vodferry_oss::etag::content_md5;
use vodferry_oss::sign::sign_v1_among;
use vodferry_oss::text::decimal;
use vodferry_oss::xml::{CompleteMultipartUpload, CompletePart};
use vodferry_oss::{Method, Request, Target};

use crate::fault::{BAD_REQUEST, fault};
use crate::subject::subject;
use crate::{Authority, Digests};

/// How requests are signed, always in their headers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Signature {
    /// Every service and server of this protocol takes it.
    #[default]
    V1,
    /// For buckets that take nothing else.
    V4 {
        /// Of the bucket, for example `cn-hangzhou`, without `oss-`.
        region: String,
    },
}

/// The request for `op`, signed (V1, header form) at `at_ms` (milliseconds since 1970, the server's time).
///
/// `headers` are object headers (content type, user metadata) that Initiate and PutObject carry, and no other operation.
/// `digests` describes the body of UploadPart and PutObject, which the shell adds, with its length.
///
/// # Errors
/// [`FaultKind::Fatal`] with [`ErrorKind::Misuse`]: no request can be made of this target or of these headers.
pub fn request(
    op: &Op,
    authority: &Authority,
    digests: &Digests,
    headers: &[(String, String)],
    at_ms: i64,
) -> Result<Request, Fault> {
    let (mut request, key) = unsigned(op, authority, digests, headers)?;
    let Authority { credential, target, .. } = authority;
    sign_v1_among(&mut request, &target.bucket, key, credential, at_ms, is_signed);
    Ok(request)
}

/// With the key to sign for: empty for a bucket call.
pub(crate) fn unsigned<'a>(
    op: &Op,
    authority: &'a Authority,
    digests: &Digests,
    headers: &[(String, String)],
) -> Result<(Request, &'a str), Fault> {
    let misuse = |why: &str| {
        let mut message = subject(op, &authority.target.key);
        message.push_str(why);
        fault(FaultKind::Fatal(ErrorKind::Misuse), BAD_REQUEST, message)
    };
    let Target { endpoint, bucket, key } = &authority.target;
    if !valid_key(key) {
        return Err(misuse(
            "the key is not valid: 1 to 1023 bytes that begin with neither / nor \\",
        ));
    }
    let of_bucket = matches!(op, Op::ListMultipartUploads);
    let key = if of_bucket { "" } else { key.as_str() };
    let place = Target { endpoint: endpoint.clone(), bucket: bucket.clone(), key: key.into() };
    let mut request = Request::to(method(op), &place, authority.style)
        .map_err(|error| misuse(error.message()))?;
    request.query = query(op, &authority.target.key);
    match op {
        Op::InitiateMultipartUpload | Op::PutObject { .. } => {
            request.headers = object_headers(headers).map_err(misuse)?;
        }
        Op::CompleteMultipartUpload { parts, .. } => {
            request.body = complete_body(parts).into_bytes();
            request.set_header("content-type", "application/xml");
        }
        _ => {}
    }
    if let (Op::PutObject { .. } | Op::UploadPart { .. }, Some(md5)) = (op, &digests.md5) {
        request.set_header("content-md5", content_md5(md5));
    }
    Ok((request, key))
}

fn method(op: &Op) -> Method {
    match op {
        Op::AbortMultipartUpload { .. } => Method::Delete,
        Op::CompleteMultipartUpload { .. } | Op::InitiateMultipartUpload => Method::Post,
        Op::HeadObject { .. } => Method::Head,
        Op::ListMultipartUploads | Op::ListParts { .. } => Method::Get,
        Op::PutObject { .. } | Op::UploadPart { .. } => Method::Put,
    }
}

fn query(op: &Op, key: &str) -> Vec<(String, String)> {
    let mut query = Vec::new();
    let mut add = |name: &str, value: &str| query.push((name.into(), value.into()));
    match op {
        Op::AbortMultipartUpload { upload_id } | Op::CompleteMultipartUpload { upload_id, .. } => {
            add("uploadId", upload_id);
        }
        Op::HeadObject { .. } | Op::PutObject { .. } => {}
        Op::InitiateMultipartUpload => add("uploads", ""),
        Op::ListMultipartUploads => {
            add("uploads", "");
            add("prefix", key);
            add("max-uploads", "1000");
            // Otherwise a key with control characters could not be told in XML.
            add("encoding-type", "url");
        }
        Op::ListParts { upload_id, marker } => {
            add("uploadId", upload_id);
            add("max-parts", "1000");
            if *marker > 0 {
                add("part-number-marker", &decimal(u64::from(*marker)));
            }
        }
        Op::UploadPart { upload_id, number, .. } => {
            add("partNumber", &decimal(u64::from(*number)));
            add("uploadId", upload_id);
        }
    }
    query
}

/// Of the parameters above, those that V1 signs.
fn is_signed(name: &str) -> bool {
    matches!(name, "partNumber" | "uploadId" | "uploads")
}

fn complete_body(parts: &[PartInfo]) -> String {
    let parts = parts
        .iter()
        .map(|part| CompletePart { number: part.number, etag: part.etag.clone() })
        .collect();
    CompleteMultipartUpload { parts }.encode()
}

/// The caller's headers with names in lower case, or what is wrong with them.
fn object_headers(headers: &[(String, String)]) -> Result<Vec<(String, String)>, &'static str> {
    let mut out = Vec::new();
    for (name, value) in headers {
        let name = name.to_ascii_lowercase();
        if name.is_empty()
            || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        {
            return Err("the name of a header may hold letters, digits, - and _ only");
        }
        if value.chars().any(char::is_control) {
            return Err("the value of a header must not hold control characters");
        }
        if RESERVED.contains(&name.as_str()) {
            return Err("a header of the object is one that signing or sending sets");
        }
        out.push((name, value.clone()));
    }
    Ok(out)
}

const RESERVED: [&str; 12] = [
    "authorization",
    "connection",
    "content-length",
    "content-md5",
    "date",
    "expect",
    "host",
    "te",
    "transfer-encoding",
    "x-oss-content-sha256",
    "x-oss-date",
    "x-oss-security-token",
];
