//! The reply to ListObjects, in both of its versions. Written only: what lists is the server.

use alloc::string::String;
use alloc::vec::Vec;

use super::buckets::Owner;
use super::{STORAGE_CLASS, XmlWriter};
use crate::time::{format_iso_ms, whole_seconds};

/// One page of the objects of a bucket, by key (bytewise).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListBucketResult {
    /// Name of the bucket.
    pub name: String,
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that share what precedes it are one common prefix; empty for none.
    pub delimiter: String,
    /// Most entries of the page.
    pub max_keys: u32,
    /// Whether more pages follow.
    pub is_truncated: bool,
    /// Where the page begins and the next one does.
    pub paging: Paging,
    /// The objects.
    pub contents: Vec<ListedObject>,
    /// What `delimiter` gathered.
    pub common_prefixes: Vec<String>,
}

/// How a listing goes on; the versions differ in nothing else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paging {
    /// Version 1: by keys.
    Marker {
        /// The page begins after this key; empty for the first.
        marker: String,
        /// Marker of the next page; empty when there is none.
        next: String,
    },
    /// Version 2 (`list-type=2`): by tokens that mean nothing to the client.
    Token {
        /// As the request had it; empty for the first page.
        token: String,
        /// Token of the next page; empty when there is none.
        next: String,
        /// As the request had it: the first page begins after this key.
        start_after: String,
    },
}

impl Default for Paging {
    fn default() -> Paging {
        Paging::Marker { marker: String::new(), next: String::new() }
    }
}

/// An object of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// In milliseconds since 1970, written in whole seconds.
    pub last_modified_ms: i64,
    /// Without quotes.
    pub etag: String,
    /// `Normal`, `Multipart` or `Appendable`.
    pub kind: String,
    /// In bytes.
    pub size: u64,
    /// Empty for `Standard`.
    pub storage_class: String,
    /// Version 2 tells it only when asked to.
    pub owner: Option<Owner>,
}

impl ListBucketResult {
    /// Writes it; `url` when the request asked for `encoding-type=url`.
    pub fn encode(&self, url: bool) -> String {
        let mut xml = XmlWriter::new();
        xml.open("ListBucketResult");
        xml.text("Name", &self.name);
        xml.encoding(url);
        xml.name("Prefix", &self.prefix);
        xml.number("MaxKeys", self.max_keys.into());
        xml.name("Delimiter", &self.delimiter);
        xml.flag("IsTruncated", self.is_truncated);
        match &self.paging {
            Paging::Marker { marker, next } => {
                xml.name("Marker", marker);
                if !next.is_empty() {
                    xml.name("NextMarker", next);
                }
            }
            Paging::Token { token, next, start_after } => {
                let count = self.contents.len() + self.common_prefixes.len();
                xml.number("KeyCount", count as u64);
                if !token.is_empty() {
                    xml.text("ContinuationToken", token);
                }
                if !next.is_empty() {
                    xml.text("NextContinuationToken", next);
                }
                if !start_after.is_empty() {
                    xml.name("StartAfter", start_after);
                }
            }
        }
        for object in &self.contents {
            object.encode(&mut xml);
        }
        for prefix in &self.common_prefixes {
            xml.open("CommonPrefixes");
            xml.name("Prefix", prefix);
            xml.close("CommonPrefixes");
        }
        xml.close("ListBucketResult");
        xml.finish()
    }
}

impl ListedObject {
    fn encode(&self, xml: &mut XmlWriter) {
        xml.open("Contents");
        xml.name("Key", &self.key);
        xml.text("LastModified", &format_iso_ms(whole_seconds(self.last_modified_ms)));
        xml.etag(&self.etag);
        xml.text("Type", &self.kind);
        xml.number("Size", self.size);
        let class = self.storage_class.as_str();
        xml.text("StorageClass", if class.is_empty() { STORAGE_CLASS } else { class });
        if let Some(owner) = &self.owner {
            owner.encode(xml);
        }
        xml.close("Contents");
    }
}
