//! OSS on the wire, both directions: requests, signatures, XML, error codes, CRC64.
//!
//! Pure: no I/O, no clock, no async; builds for wasm32-unknown-unknown unchanged.
#![no_std]
extern crate alloc;

mod credential;
mod message;

pub use credential::{Credential, Secret, Target};
pub use message::{Method, Request, Response};
