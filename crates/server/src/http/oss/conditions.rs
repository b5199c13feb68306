//! Conditions on what an object is like before it is read or copied.

use vodferry_oss::etag::normalise;
use vodferry_oss::time::{parse_http, whole_seconds};
use vodferry_oss::{Code, ServiceError};

use super::super::call::Call;
use super::super::video::as_i64;
use crate::store::ObjectInfo;

/// The names of the four headers.
pub(super) struct Conditions {
    if_match: &'static str,
    if_none_match: &'static str,
    if_modified_since: &'static str,
    if_unmodified_since: &'static str,
}

/// Of a request that reads.
pub(super) const OF_READS: Conditions = Conditions {
    if_match: "if-match",
    if_none_match: "if-none-match",
    if_modified_since: "if-modified-since",
    if_unmodified_since: "if-unmodified-since",
};

/// Of a request that copies, on the source.
pub(super) const OF_COPIES: Conditions = Conditions {
    if_match: "x-oss-copy-source-if-match",
    if_none_match: "x-oss-copy-source-if-none-match",
    if_modified_since: "x-oss-copy-source-if-modified-since",
    if_unmodified_since: "x-oss-copy-source-if-unmodified-since",
};

/// What follows from conditions that do not forbid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// There is nothing new for the client.
    NotModified,
    /// Do as asked.
    Proceed,
}

impl Conditions {
    /// What follows for an object. A date that cannot be read is no condition.
    ///
    /// # Errors
    /// `PreconditionFailed`.
    pub(super) fn check(&self, call: &Call, info: &ObjectInfo) -> Result<Verdict, ServiceError> {
        let modified = whole_seconds(as_i64(info.modified_ms));
        let names = |list: &str| {
            let own = normalise(&info.etag);
            list.split(',').any(|etag| etag.trim() == "*" || normalise(etag) == own)
        };
        let date = |name| call.header(name).and_then(|text| parse_http(&text));
        let failed = |header: &str| {
            Err(ServiceError::of(Code::PreconditionFailed).with_context("Condition", header))
        };
        match call.header(self.if_match) {
            Some(list) if !names(&list) => return failed("If-Match"),
            Some(_) => {}
            None if date(self.if_unmodified_since).is_some_and(|at| modified > at) => {
                return failed("If-Unmodified-Since");
            }
            None => {}
        }
        let unchanged = match call.header(self.if_none_match) {
            Some(list) => names(&list),
            None => date(self.if_modified_since).is_some_and(|at| modified <= at),
        };
        Ok(if unchanged { Verdict::NotModified } else { Verdict::Proceed })
    }
}
