//! What an object is to be beyond its bytes and headers: made in order, announced to the application that waits for it.
//!
//! Functions of their own beside [`request`](crate::request()) and [`answer()`](crate::answer()): who never calls them (the browser's
//! module, whose size counts) links neither them nor V4.

use alloc::string::String;

use vodferry_engine::{Fault, FaultKind, Op, Reply};
use vodferry_oss::etag::{etag_of_md5, normalise};
use vodferry_oss::sign::{OptionsV4, sign_v1, sign_v4};
use vodferry_oss::text::push_u64;
use vodferry_oss::xml::CompleteMultipartUploadResult;
use vodferry_oss::{Request, Response, ServiceError};

use crate::answer::{No, combined, completed, etag, told};
use crate::fault::CHECKSUM_MISMATCH;
use crate::request::unsigned;
use crate::{Answer, Authority, Digests, Signature, answer};

/// What is asked of the object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Object<'a> {
    /// Headers of the object (content type, user metadata): Initiate and PutObject carry all of them, Complete those that count at
    /// the moment when the object is made.
    pub headers: &'a [(String, String)],
    /// Headers of an upload callback: PutObject and Complete carry them, nothing else does, and the reply is the application's.
    pub callback: &'a [(String, String)],
    /// Its parts come in order, one at a time; the service gives it a Content-MD5.
    pub sequential: bool,
}

/// The request for `op` as [`request`](crate::request()) makes it, for an object of which more may be asked, signed as `signature` says.
///
/// # Errors
/// As [`request`](crate::request()).
pub fn request_for(
    signature: &Signature,
    op: &Op,
    authority: &Authority,
    digests: &Digests,
    object: &Object<'_>,
    at_ms: i64,
) -> Result<Request, Fault> {
    let (mut request, key) = unsigned(op, authority, digests, object.headers)?;
    match op {
        Op::CompleteMultipartUpload { .. } => {
            let counts =
                |name: &str| COUNTS_AT_COMPLETE.iter().any(|n| n.eq_ignore_ascii_case(name));
            for (name, value) in object.headers.iter().filter(|(name, _)| counts(name)) {
                request.set_header(&name.to_ascii_lowercase(), value.clone());
            }
            request.headers.extend_from_slice(object.callback);
        }
        Op::InitiateMultipartUpload if object.sequential => {
            request.query.push((String::from("sequential"), String::new()));
        }
        Op::PutObject { .. } => request.headers.extend_from_slice(object.callback),
        _ => {}
    }
    let Authority { credential, target, .. } = authority;
    match signature {
        Signature::V1 => sign_v1(&mut request, &target.bucket, key, credential, at_ms),
        Signature::V4 { region } => {
            let options = OptionsV4 { region, additional_headers: &[] };
            sign_v4(&mut request, &target.bucket, key, credential, options, at_ms);
        }
    }
    Ok(request)
}

/// Reads the response to a request that [`request_for`] made; says more of the object than [`answer()`](crate::answer()).
pub fn answer_for(
    op: &Op,
    authority: &Authority,
    response: &Response,
    digests: &Digests,
    object: &Object<'_>,
) -> Answer {
    let special = match op {
        Op::CompleteMultipartUpload { .. } if response.status == 200 => {
            match CompleteMultipartUploadResult::decode(&response.body) {
                Err(_) if !object.callback.is_empty() => Some(called_back(op, response)),
                _ => None,
            }
        }
        Op::UploadPart { .. } if object.sequential && response.status >= 400 => {
            out_of_order(response, digests)
        }
        _ => None,
    };
    let mut answer = match special {
        Some(result) => told(op, authority, response, result),
        None => answer(op, authority, response, digests),
    };
    if let Err(fault) = &mut answer.result
        && fault.code == CHECKSUM_MISMATCH
    {
        name_both(&mut fault.message, op, response, digests);
    }
    if let Ok(Reply::Completed(info) | Reply::Put(info) | Reply::Head(Some(info))) =
        &mut answer.result
    {
        info.request_id = String::from(response.request_id().unwrap_or_default());
        let called = !object.callback.is_empty() && response.status == 200;
        match op {
            Op::CompleteMultipartUpload { .. } => {
                match CompleteMultipartUploadResult::decode(&response.body) {
                    Ok(result) if !result.location.is_empty() => {
                        info.location = Some(result.location)
                    }
                    Ok(_) => {}
                    Err(_) => info.callback_body = Some(text(response)),
                }
            }
            Op::PutObject { .. } if called => info.callback_body = Some(text(response)),
            _ => {}
        }
    }
    answer
}

/// Object headers that Complete carries too: the others were said when the upload was begun.
const COUNTS_AT_COMPLETE: [&str; 2] = ["x-oss-forbid-overwrite", "x-oss-object-acl"];

/// A Complete that the application answered: what the service has to say stands in the headers. A page of a hotel's network has no
/// request id.
fn called_back(op: &Op, response: &Response) -> Result<Reply, No> {
    let Op::CompleteMultipartUpload { parts, .. } = op else {
        return Err(No::unreadable("no operation that calls back"));
    };
    if response.request_id().is_none() {
        return Err(No::unreadable("it has no request id"));
    }
    completed(etag(response)?, parts, response)
}

/// What a sequential upload says to a part that is not the next one. `None`: something else.
fn out_of_order(response: &Response, digests: &Digests) -> Option<Result<Reply, No>> {
    let error = ServiceError::from_response(response);
    let etag = error.context("PartEtag").unwrap_or_default();
    let no = |kind, message: &str| {
        let (code, request_id) = (error.code.clone(), Some(error.request_id.clone()));
        Some(Err(No { kind, code, message: message.into(), request_id }))
    };
    match error.code.as_str() {
        // The reply to an earlier try was lost.
        "PartAlreadyExist" => {
            let other = digests.md5.is_some_and(|md5| etag_of_md5(&md5) != normalise(etag));
            match etag.is_empty() || other {
                false => Some(Ok(Reply::PartUploaded {
                    etag: vodferry_oss::etag::unquote(etag).into(),
                    crc64: digests.crc64,
                })),
                // It cannot be replaced: only another upload can hold these bytes.
                true => no(FaultKind::NoSuchUpload, "the upload holds other bytes in place of it"),
            }
        }
        "PartNotSequential" => no(FaultKind::Relist, "it is not the next part of the upload"),
        _ => None,
    }
}

/// Says what was compared, for whoever looks for where bytes change.
fn name_both(message: &mut String, op: &Op, response: &Response, digests: &Digests) {
    let ours = match op {
        Op::CompleteMultipartUpload { parts, .. } => combined(parts),
        _ => digests.crc64,
    };
    if let (Some(ours), Some(theirs)) = (ours, response.crc64())
        && ours != theirs
    {
        message.push_str(" (sent ");
        push_u64(message, ours);
        message.push_str(", there ");
        push_u64(message, theirs);
        message.push(')');
    }
}

fn text(response: &Response) -> String {
    String::from_utf8_lossy(&response.body).into_owned()
}
