//! One reply to what the engine is told.
//!
//! A success counts only when it says what the operation needs: a page of a hotel's network answers 200 as well. What cannot be
//! read is a fault that is tried again, never a refusal and never a success.

use alloc::string::String;
use alloc::vec::Vec;

use vodferry_engine::{ErrorKind, Fault, FaultKind, ObjectInfo, Op, PartInfo, Reply};
use vodferry_oss::crc64::combine;
use vodferry_oss::etag::{etag_of_md5, normalise};
use vodferry_oss::limits::MAX_PART_NUMBER;
use vodferry_oss::xml::{
    CompleteMultipartUploadResult, InitiateMultipartUploadResult, ListMultipartUploadsResult,
    ListPartsResult, ListedUpload, XmlError,
};
use vodferry_oss::{Response, ServiceError};

use crate::fault::{BAD_REPLY, CHECKSUM_MISMATCH, classify};
use crate::subject::{push_line, subject};
use crate::{Authority, Digests};

/// The reply as the engine wants it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The reply, or why there is none.
    pub result: Result<Reply, Fault>,
    /// The server's `Date`, milliseconds since 1970.
    pub server_date_ms: Option<i64>,
}

/// Reads the response to `op`, whose request was made for `authority` and whose body had `digests`.
pub fn answer(op: &Op, authority: &Authority, response: &Response, digests: &Digests) -> Answer {
    let result = match (response.status, op) {
        (200, _) => success(op, &authority.target.key, response, digests),
        (204, Op::AbortMultipartUpload { .. }) => Ok(Reply::Aborted),
        _ => refusal(op, authority.credential.security_token.is_some(), response),
    };
    told(op, authority, response, result)
}

/// With what an answer says besides.
pub(crate) fn told(
    op: &Op,
    authority: &Authority,
    response: &Response,
    result: Result<Reply, No>,
) -> Answer {
    let result = result.map_err(|no| {
        let mut message = subject(op, &authority.target.key);
        push_line(&mut message, no.message.trim_end_matches(['.', ' ', '\n', '\r']));
        Fault {
            kind: no.kind,
            code: no.code,
            message,
            request_id: no.request_id.unwrap_or(response.request_id().unwrap_or_default().into()),
            retry_after_ms: response.retry_after_ms(),
        }
    });
    Answer { result, server_date_ms: response.date_ms() }
}

/// A fault before it says on what.
pub(crate) struct No {
    pub(crate) kind: FaultKind,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) request_id: Option<String>,
}

impl No {
    pub(crate) fn unreadable(why: &str) -> No {
        let mut message = String::from("the reply cannot be used: ");
        message.push_str(why);
        let kind = FaultKind::Transient(ErrorKind::Protocol);
        No { kind, code: BAD_REPLY.into(), message, request_id: None }
    }

    fn mismatch(kind: FaultKind, what: &str) -> No {
        No { kind, code: CHECKSUM_MISMATCH.into(), message: what.into(), request_id: None }
    }
}

impl From<XmlError> for No {
    fn from(error: XmlError) -> No {
        No::unreadable(&error.message())
    }
}

fn success(op: &Op, key: &str, response: &Response, digests: &Digests) -> Result<Reply, No> {
    Ok(match op {
        Op::AbortMultipartUpload { .. } => return Err(No::unreadable("its status is not 204")),
        Op::CompleteMultipartUpload { parts, .. } => {
            completed(CompleteMultipartUploadResult::decode(&response.body)?.etag, parts, response)?
        }
        Op::HeadObject { length, parts } => {
            let crc64 = response.crc64();
            let found = response.content_length();
            let verified = found == Some(*length) && crc64.is_some() && crc64 == combined(parts);
            let etag = etag(response)?;
            let info = ObjectInfo { length: found, etag, crc64, verified, ..ObjectInfo::default() };
            Reply::Head(Some(info))
        }
        Op::InitiateMultipartUpload => {
            let upload_id = InitiateMultipartUploadResult::decode(&response.body)?.upload_id;
            Reply::Initiated { upload_id }
        }
        Op::ListMultipartUploads => {
            let page = ListMultipartUploadsResult::decode(&response.body)?;
            let mut uploads: Vec<ListedUpload> = Vec::new();
            for upload in page.uploads.into_iter().filter(|upload| upload.key == key) {
                // They are few, and the library's sort weighs three kilobytes of wasm.
                let at = uploads.partition_point(|other| other.initiated_ms <= upload.initiated_ms);
                uploads.insert(at, upload);
            }
            Reply::Uploads(uploads.into_iter().map(|upload| upload.upload_id).collect())
        }
        Op::ListParts { marker, .. } => listed(ListPartsResult::decode(&response.body)?, *marker)?,
        Op::PutObject { .. } => {
            let etag = arrived(response, digests)?;
            let crc64 = response.crc64();
            let verified = crc64.is_some() && digests.crc64.is_some();
            Reply::Put(ObjectInfo { etag, crc64, verified, ..ObjectInfo::default() })
        }
        Op::UploadPart { .. } => {
            let etag = arrived(response, digests)?;
            Reply::PartUploaded { etag, crc64: response.crc64().or(digests.crc64) }
        }
    })
}

/// The object that Complete made, when it is the one that was sent.
pub(crate) fn completed(
    etag: String,
    parts: &[PartInfo],
    response: &Response,
) -> Result<Reply, No> {
    let crc64 = response.crc64();
    let verified = match (crc64, combined(parts)) {
        (Some(theirs), Some(ours)) if theirs != ours => {
            let what = "the object's CRC64 is not that of the bytes sent";
            return Err(No::mismatch(FaultKind::Fatal(ErrorKind::Integrity), what));
        }
        (theirs, ours) => theirs.is_some() && ours.is_some(),
    };
    Ok(Reply::Completed(ObjectInfo { etag, crc64, verified, ..ObjectInfo::default() }))
}

fn refusal(op: &Op, with_token: bool, response: &Response) -> Result<Reply, No> {
    let error = ServiceError::from_response(response);
    let head = matches!(op, Op::HeadObject { .. });
    // Who answers HEAD cannot say more than the status, unless in `x-oss-err`.
    let documented = !error.code.starts_with("HttpStatus");
    let bare_head = head && error.status >= 400;
    let from_service = documented || bare_head || response.request_id().is_some();
    if head && error.status == 404 && (!documented || error.code == "NoSuchKey") {
        return Ok(Reply::Head(None));
    }
    let stored = matches!(op, Op::CompleteMultipartUpload { .. } | Op::PutObject { .. });
    let (kind, code) = match error.status {
        203 if stored => (FaultKind::Fatal(ErrorKind::Service), "CallbackFailed".into()),
        408 | 429 | 500.. => {
            (classify(error.status, &error.code, &error.message, with_token), error.code)
        }
        300..500 if from_service => {
            (classify(error.status, &error.code, &error.message, with_token), error.code)
        }
        _ => (FaultKind::Transient(ErrorKind::Protocol), error.code),
    };
    Err(No { kind, code, message: error.message, request_id: Some(error.request_id) })
}

/// The ETag of the bytes just sent, when what arrived is what was sent.
fn arrived(response: &Response, digests: &Digests) -> Result<String, No> {
    let again = FaultKind::Transient(ErrorKind::Integrity);
    let etag = etag(response)?;
    if digests.md5.is_some_and(|md5| etag_of_md5(&md5) != normalise(&etag)) {
        return Err(No::mismatch(again, "the reply's ETag is not the MD5 of the bytes sent"));
    }
    match (response.crc64(), digests.crc64) {
        (Some(theirs), Some(ours)) if theirs != ours => {
            Err(No::mismatch(again, "the reply's CRC64 is not that of the bytes sent"))
        }
        _ => Ok(etag),
    }
}

pub(crate) fn etag(response: &Response) -> Result<String, No> {
    match response.etag() {
        None | Some("") => Err(No::unreadable("it has no ETag")),
        Some(etag) => Ok(etag.into()),
    }
}

/// CRC64 of the parts in a row, where that of each is known.
pub(crate) fn combined(parts: &[PartInfo]) -> Option<u64> {
    parts.iter().try_fold(0, |sum, part| Some(combine(sum, part.crc64?, part.length)))
}

fn listed(page: ListPartsResult, marker: u32) -> Result<Reply, No> {
    let mut last = marker;
    let mut parts = Vec::with_capacity(page.parts.len());
    for part in page.parts {
        if part.number <= last || part.number > MAX_PART_NUMBER || part.etag.is_empty() {
            return Err(No::unreadable("its parts are not in order after the marker"));
        }
        last = part.number;
        parts.push(PartInfo {
            number: part.number,
            length: part.size,
            etag: part.etag,
            crc64: part.crc64,
        });
    }
    let next = match page.next_part_number_marker {
        _ if !page.is_truncated => None,
        0 => Some(last),
        next => Some(next),
    };
    if next.is_some_and(|next| next <= marker || next < last) {
        return Err(No::unreadable("its next page would not come after it"));
    }
    Ok(Reply::Parts { parts, next })
}
