//! VOD and STS on the wire, both directions: RPC signing in both versions, the calls that make a place for an upload, media
//! information, upload address and auth.
//!
//! Pure: no I/O, no clock, no async; builds for wasm32-unknown-unknown unchanged.
#![no_std]
extern crate alloc;

pub mod acs3;
pub mod api;
mod json;
mod media;
pub mod notification;
pub mod rpc;
mod text;
mod upload;

pub use media::{ImageType, Media, MediaKind, image_extension};
pub use upload::{Blob, BlobError, Flaw, UploadAddress, UploadAuth};
