//! OSS on the wire, both directions: requests, signatures, XML, error codes, CRC64.
//!
//! A client makes a [`Request`] for a [`Target`] ([`Request::to`]), adds query, headers and body, signs it
//! ([`sign::sign_v1`] or [`sign::sign_v4`]) and reads the [`Response`] ([`xml`], [`ServiceError::from_response`]). A
//! server does the reverse: it lists what a request may mean ([`address::candidates`]), verifies ([`sign::Presented`])
//! and writes the same documents.
//!
//! ```
//! use vodferry_oss::sign::{Presented, sign_v1};
//! use vodferry_oss::{Credential, Method, Request, Style, Target};
//!
//! let target = Target {
//!     endpoint: "oss.example.com".into(),
//!     bucket: "demo-bkt".into(),
//!     key: "sv/a b.mp4".into(),
//! };
//! let credential = Credential {
//!     access_key_id: "AKIDEXAMPLE".into(),
//!     access_key_secret: "SecretExample0123456789".into(),
//!     security_token: None,
//! };
//! let mut request = Request::to(Method::Put, &target, Style::Auto)?;
//! sign_v1(&mut request, &target.bucket, &target.key, &credential, 1_795_168_800_000);
//! assert_eq!(request.url(), "https://demo-bkt.oss.example.com/sv/a%20b.mp4");
//!
//! let presented = Presented::of(&request.headers, &request.query)?.ok_or("anonymous")?;
//! assert!(presented.check_time(1_795_168_801_000).is_ok());
//! assert!(presented.verify(
//!     &credential.access_key_secret,
//!     "PUT",
//!     &request.headers,
//!     &request.query,
//!     "demo-bkt",
//!     "sv/a b.mp4",
//! ));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Pure: no I/O, no clock, no async; builds for wasm32-unknown-unknown unchanged.
#![no_std]
extern crate alloc;

pub mod address;
pub mod base64;
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
