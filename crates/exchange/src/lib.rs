//! One operation of the engine to a signed request, one reply to an answer or a fault. Every shell uses it.
//!
//! A shell that is told to perform an operation looks up the [`Authority`] behind the grant, has [`request`] made, sends it (with
//! the bytes of the range as body where the operation uploads) and hands the response to [`answer`]. What never reached a server
//! it classifies itself, as `Transient(Network)`; everything else is decided here.
//!
//! Pure: no I/O, no clock, no async; builds for wasm32-unknown-unknown unchanged.
#![no_std]
extern crate alloc;

mod answer;
mod authority;
pub mod fault;
mod object;
mod request;
mod subject;

pub use answer::{Answer, answer};
pub use authority::Authority;
pub use object::{Object, answer_for, request_for};
pub use request::{Signature, request};

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
