//! VOD and STS on the wire, both directions: RPC signing in both versions, upload address and auth.
//!
//! Pure: no I/O, no clock, no async; builds for wasm32-unknown-unknown unchanged.
#![no_std]
extern crate alloc;

pub mod acs3;
mod json;
pub mod rpc;
mod text;
mod upload;

pub use upload::{Blob, BlobError, Flaw, UploadAddress, UploadAuth};
