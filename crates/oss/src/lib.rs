//! OSS on the wire, both directions: requests, signatures, XML, error codes, CRC64.
//!
//! A client makes a [`Request`] for a [`Target`] ([`Request::to`]), adds query, headers and body, signs it
//! ([`sign::sign_v1`]) and reads the [`Response`] ([`xml`], [`ServiceError::from_response`]). A server does the reverse:
//! it lists what a request may mean ([`address::candidates`]), verifies ([`sign::Presented`]) and writes the same
//! documents.
//!
//! Pure: no I/O, no clock, no async; builds for wasm32-unknown-unknown unchanged.
#![no_std]
extern crate alloc;

pub mod address;
mod code;
pub mod crc64;
mod credential;
pub mod encode;
mod error;
pub mod etag;
pub mod limits;
mod message;
pub mod sign;
pub mod text;
pub mod time;
pub mod xml;

pub use address::{AddressError, Style};
pub use code::Code;
pub use credential::{Credential, Secret, Target};
pub use error::ServiceError;
pub use message::{Method, Request, Response};
