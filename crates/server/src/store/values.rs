//! What the verbs of the [`MetaStore`](super::MetaStore) take and give: objects, parts, and what is to become of them.

use super::{Blob, Content};

/// An object to be made of one blob.
#[derive(Clone, Debug)]
pub struct PutObject {
    /// Bucket name.
    pub bucket: String,
    /// Object key.
    pub key: String,
    /// Headers that GET and HEAD give back (`content-type`, `cache-control`, `x-oss-meta-*`, …), and
    /// [those that they do not](ObjectInfo::header); names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub blob: Blob,
    /// Refuse when the key is taken.
    pub forbid_overwrite: bool,
    /// Now.
    pub now_ms: u64,
}

/// An object to be made of another.
#[derive(Clone, Debug)]
pub struct CopyObject {
    /// Bucket of the object to copy.
    pub from_bucket: String,
    /// Its key.
    pub from_key: String,
    /// What it was seen to be, when it must still be that.
    pub seen: Option<ObjectInfo>,
    /// Bucket of the copy.
    pub bucket: String,
    /// Its key; may be the same.
    pub key: String,
    /// Headers of the copy, see [`PutObject::headers`].
    pub headers: Vec<(String, String)>,
    /// Refuse when the key is taken.
    pub forbid_overwrite: bool,
    /// Now.
    pub now_ms: u64,
}

/// Bytes to be appended to an object.
#[derive(Clone, Debug)]
pub struct AppendObject {
    /// Bucket name.
    pub bucket: String,
    /// Object key.
    pub key: String,
    /// Bytes that the object must have; 0 makes one that is not there.
    pub position: u64,
    /// Headers of an object that is not there yet, see [`PutObject::headers`].
    pub headers: Vec<(String, String)>,
    /// The bytes.
    pub blob: Blob,
    /// Now.
    pub now_ms: u64,
}

/// What is known of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Without quotes: 32 upper-case hexadecimal digits, and `-N` after those of a multipart upload.
    pub etag: String,
    /// Bytes.
    pub length: u64,
    /// CRC-64/XZ of the whole.
    pub crc64: u64,
    /// MD5 of the whole; none after a multipart upload, unless that was sequential.
    pub md5: Option<[u8; 16]>,
    /// When it was put or completed.
    pub modified_ms: u64,
    /// As given to PutObject or Initiate.
    pub headers: Vec<(String, String)>,
    /// It was made by appending, and may go on so.
    pub appendable: bool,
}

impl ObjectInfo {
    /// A header. Beside those that a client gets to see there may be `x-oss-object-acl` (`private`,
    /// `public-read` or `public-read-write`) and `x-oss-tagging` (an encoded query).
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }

    /// As the wire names it: `Normal`, `Multipart` or `Appendable`.
    pub fn kind(&self) -> &'static str {
        match (self.appendable, self.etag.contains('-')) {
            (true, _) => "Appendable",
            (false, false) => "Normal",
            (false, true) => "Multipart",
        }
    }
}

/// An object and where its bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What HEAD tells.
    pub info: ObjectInfo,
    /// The bytes, in order; their lengths add up to the object's.
    pub extents: Vec<Extent>,
}

/// A run of an object's bytes: one whole blob, or small body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where the bytes are.
    pub content: Content,
    /// How many.
    pub length: u64,
}

/// A stored part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// 1–10,000.
    pub number: u32,
    /// Bytes.
    pub length: u64,
    /// 32 upper-case hexadecimal digits, without quotes.
    pub etag: String,
    /// CRC-64/XZ of the bytes.
    pub crc64: u64,
    /// When it was put.
    pub modified_ms: u64,
}

/// One page of a part listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartPage {
    /// In ascending order of their numbers.
    pub parts: Vec<Part>,
    /// There are more parts above the last of these.
    pub truncated: bool,
    /// Of the upload, as given to Initiate.
    pub headers: Vec<(String, String)>,
}

impl PartPage {
    /// A header, as the object will have it.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// The first header of this name.
pub(super) fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())
}

/// What is to become an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartList {
    /// These parts, as (number, ETag without quotes, in either case). An empty list makes an empty
    /// object.
    Listed(Vec<(u32, String)>),
    /// Every stored part (`x-oss-complete-all`).
    All,
}

/// A completion.
#[derive(Clone, Debug)]
pub struct Complete {
    /// Bucket name.
    pub bucket: String,
    /// Object key.
    pub key: String,
    /// The upload.
    pub upload_id: String,
    /// Its parts.
    pub parts: PartList,
    /// Headers of the object in the place of those that the upload was begun with; `None` takes one away.
    pub headers: Vec<(String, Option<String>)>,
    /// Refuse when the key is taken.
    pub forbid_overwrite: bool,
    /// Now.
    pub now_ms: u64,
}

/// The answer to a completion.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Of the object, without quotes.
    pub etag: String,
    /// Bytes of the object.
    pub length: u64,
    /// CRC-64/XZ of the object.
    pub crc64: u64,
    /// This is the remembered answer of an earlier request; nothing was changed.
    pub replayed: bool,
}
