//! VOD and STS on the wire, both directions: RPC signing, upload address and auth.
//!
//! Pure: no I/O, no clock, no async; builds for wasm32-unknown-unknown unchanged.
#![no_std]
extern crate alloc;

mod json;
pub mod rpc;
mod upload;

pub use upload::{Blob, BlobError, Flaw, UploadAddress, UploadAuth};
