//! The replies to ListObjects, in both of its versions, and to ListObjectVersions. A client reads the first two.

use alloc::string::String;
use alloc::vec::Vec;

use super::buckets::Owner;
use super::element::Element;
use super::{Document, XmlError, XmlWriter};
use crate::etag::unquote;
use crate::limits::MAX_PAGE;
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

/// How a listing goes on, and so which of the three it is; they differ in little else.
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
    /// ListObjectVersions, of a bucket whose objects have one version each, which is called `null`: by keys.
    Versions {
        /// The page begins after this key; empty for the first.
        key_marker: String,
        /// As the request had it.
        version_id_marker: String,
        /// Key marker of the next page; empty when there is none.
        next: String,
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

/// What the version of an object is called in a bucket that never had more than one of each.
const NULL_VERSION: &str = "null";
const ROOT: &str = "ListBucketResult";

impl ListBucketResult {
    /// Writes it; `url` when the request asked for `encoding-type=url`.
    pub fn encode(&self, url: bool) -> String {
        let versions = matches!(self.paging, Paging::Versions { .. });
        let (root, object) = match versions {
            true => ("ListVersionsResult", "Version"),
            false => (ROOT, "Contents"),
        };
        let mut xml = XmlWriter::new();
        xml.open(root);
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
            Paging::Versions { key_marker, version_id_marker, next } => {
                xml.name("KeyMarker", key_marker);
                xml.text("VersionIdMarker", version_id_marker);
                if !next.is_empty() {
                    xml.name("NextKeyMarker", next);
                    xml.text("NextVersionIdMarker", NULL_VERSION);
                }
            }
        }
        for listed in &self.contents {
            xml.open(object);
            listed.encode(&mut xml, versions);
            xml.close(object);
        }
        for prefix in &self.common_prefixes {
            xml.open("CommonPrefixes");
            xml.name("Prefix", prefix);
            xml.close("CommonPrefixes");
        }
        xml.close(root);
        xml.finish()
    }
}

impl ListBucketResult {
    /// Reads one, of version 2 when it names a KeyCount or a continuation token.
    ///
    /// # Errors
    /// Malformed, another document, or an object without key or size.
    pub fn decode(body: &[u8]) -> Result<ListBucketResult, XmlError> {
        let document = Document::parse(body, ROOT)?;
        let root = &document.root;
        let second = ["KeyCount", "NextContinuationToken"];
        let paging = match second.into_iter().any(|name| !root.text(name).is_empty()) {
            true => Paging::Token {
                token: root.text("ContinuationToken").into(),
                next: root.text("NextContinuationToken").into(),
                start_after: document.name(root, "StartAfter"),
            },
            false => Paging::Marker {
                marker: document.name(root, "Marker"),
                next: document.name(root, "NextMarker"),
            },
        };
        let object = |object: &Element<'_>| {
            document.required(object, "Key");
            ListedObject {
                key: document.name(object, "Key"),
                last_modified_ms: object.time("LastModified"),
                etag: unquote(object.text("ETag").trim_ascii()).into(),
                kind: object.text("Type").trim_ascii().into(),
                size: document.required_number(object, "Size"),
                storage_class: object.text("StorageClass").trim_ascii().into(),
                owner: None,
            }
        };
        let prefix = |group| document.name(group, "Prefix");
        let result = ListBucketResult {
            name: root.text("Name").into(),
            prefix: document.name(root, "Prefix"),
            delimiter: document.name(root, "Delimiter"),
            max_keys: document.number(root, "MaxKeys").unwrap_or(MAX_PAGE),
            is_truncated: root.flag("IsTruncated"),
            paging,
            contents: root.all("Contents").map(object).collect(),
            common_prefixes: root.all("CommonPrefixes").map(prefix).collect(),
        };
        document.finish(result)
    }
}

impl ListedObject {
    fn encode(&self, xml: &mut XmlWriter, versions: bool) {
        xml.name("Key", &self.key);
        if versions {
            xml.text("VersionId", NULL_VERSION);
            xml.flag("IsLatest", true);
        }
        xml.text("LastModified", &format_iso_ms(whole_seconds(self.last_modified_ms)));
        xml.etag(&self.etag);
        xml.text("Type", &self.kind);
        xml.number("Size", self.size);
        xml.storage_class(&self.storage_class);
        if let Some(owner) = &self.owner {
            owner.encode(xml);
        }
    }
}
