//! One operation of the engine to a signed request, one reply to an answer or a fault. Every shell uses it.
//!
//! Pure: no I/O, no clock, no async; builds for wasm32-unknown-unknown unchanged.
#![no_std]
extern crate alloc;

use alloc::string::String;
use alloc::vec::Vec;

use vodferry_engine::{Fault, Op, Reply};
use vodferry_oss::{Credential, Request, Response, Target};

/// What the shell keeps behind a grant id.
#[derive(Clone, Debug)]
pub struct Authority {
    /// Signs the requests.
    pub credential: Credential,
    /// Where the object goes.
    pub target: Target,
}

/// What is known of the bytes a request carries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digests {
    /// Bytes.
    pub length: u64,
    /// Sent as Content-MD5, and compared with the reply's ETag. `None`: neither.
    pub md5: Option<[u8; 16]>,
    /// Compared with the reply's `x-oss-hash-crc64ecma`.
    pub crc64: Option<u64>,
}

/// The reply as the engine wants it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The reply, or why there is none.
    pub result: Result<Reply, Fault>,
    /// The server's `Date`, milliseconds since 1970.
    pub server_date_ms: Option<i64>,
}

/// The request for `op`, signed (V1, header form) at `at_ms` (milliseconds since 1970, the server's time). `headers` are object
/// headers (content type, user metadata) that Initiate and PutObject carry. `digests` describes the body of UploadPart and PutObject.
#[allow(unused_variables, clippy::unimplemented)]
pub fn request(
    op: &Op,
    authority: &Authority,
    digests: &Digests,
    headers: &[(String, String)],
    at_ms: i64,
) -> Result<Request, Fault> {
    unimplemented!()
}

/// Reads the response to `op`, whose body had `digests`.
#[allow(unused_variables, clippy::unimplemented)]
pub fn answer(op: &Op, response: &Response, digests: &Digests) -> Answer {
    unimplemented!()
}

#[allow(dead_code)]
type Unused = Vec<u8>;
