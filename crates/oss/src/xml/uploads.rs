//! The reply to ListMultipartUploads: the uploads of a bucket that are neither completed nor aborted.

use alloc::string::String;
use alloc::vec::Vec;

use super::element::Element;
use super::{Document, XmlError, XmlWriter};
use crate::limits::MAX_PAGE;
use crate::time::{format_iso_ms, whole_seconds};

/// One page of the unfinished uploads of a bucket, by key (bytewise), then by upload id.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListMultipartUploadsResult {
    /// Where.
    pub bucket: String,
    /// The page begins after this key; empty for the first.
    pub key_marker: String,
    /// With `key_marker`: after this upload of that key.
    pub upload_id_marker: String,
    /// Marker of the next page.
    pub next_key_marker: String,
    /// Marker of the next page.
    pub next_upload_id_marker: String,
    /// Keys that share what precedes it are one common prefix; empty for none.
    pub delimiter: String,
    /// Only keys that begin so.
    pub prefix: String,
    /// Most entries of the page.
    pub max_uploads: u32,
    /// Whether more pages follow.
    pub is_truncated: bool,
    /// The uploads.
    pub uploads: Vec<ListedUpload>,
    /// What `delimiter` gathered.
    pub common_prefixes: Vec<String>,
}

/// An unfinished upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedUpload {
    /// Of which object.
    pub key: String,
    /// Names the upload.
    pub upload_id: String,
    /// When it was begun, in milliseconds since 1970, written in whole seconds; 0 when the reply does not say.
    pub initiated_ms: i64,
    /// Class that the object will have; empty for `Standard`. Only written: no client asks.
    pub storage_class: String,
}

impl ListMultipartUploadsResult {
    /// Writes it; `url` when the request asked for `encoding-type=url`.
    pub fn encode(&self, url: bool) -> String {
        let mut xml = XmlWriter::new();
        xml.open(ROOT);
        xml.text("Bucket", &self.bucket);
        xml.encoding(url);
        xml.name("KeyMarker", &self.key_marker);
        xml.text("UploadIdMarker", &self.upload_id_marker);
        xml.name("NextKeyMarker", &self.next_key_marker);
        xml.text("NextUploadIdMarker", &self.next_upload_id_marker);
        xml.name("Delimiter", &self.delimiter);
        xml.name("Prefix", &self.prefix);
        xml.number("MaxUploads", self.max_uploads.into());
        xml.flag("IsTruncated", self.is_truncated);
        for upload in &self.uploads {
            xml.open("Upload");
            xml.name("Key", &upload.key);
            xml.text("UploadId", &upload.upload_id);
            xml.storage_class(&upload.storage_class);
            xml.text("Initiated", &format_iso_ms(whole_seconds(upload.initiated_ms)));
            xml.close("Upload");
        }
        for prefix in &self.common_prefixes {
            xml.open("CommonPrefixes");
            xml.name("Prefix", prefix);
            xml.close("CommonPrefixes");
        }
        xml.close(ROOT);
        xml.finish()
    }

    /// Reads it.
    ///
    /// # Errors
    /// Malformed, another document, or an upload without key or id.
    pub fn decode(body: &[u8]) -> Result<ListMultipartUploadsResult, XmlError> {
        let document = Document::parse(body, ROOT)?;
        let root = &document.root;
        let upload = |upload: &Element<'_>| {
            document.required(upload, "Key");
            ListedUpload {
                key: document.name(upload, "Key"),
                upload_id: document.required(upload, "UploadId").into(),
                initiated_ms: upload.time("Initiated"),
                storage_class: String::new(),
            }
        };
        let prefix = |group| document.name(group, "Prefix");
        let result = ListMultipartUploadsResult {
            bucket: root.text("Bucket").into(),
            key_marker: document.name(root, "KeyMarker"),
            upload_id_marker: root.text("UploadIdMarker").into(),
            next_key_marker: document.name(root, "NextKeyMarker"),
            next_upload_id_marker: root.text("NextUploadIdMarker").into(),
            delimiter: document.name(root, "Delimiter"),
            prefix: document.name(root, "Prefix"),
            max_uploads: document.number(root, "MaxUploads").unwrap_or(MAX_PAGE),
            is_truncated: root.flag("IsTruncated"),
            uploads: root.all("Upload").map(upload).collect(),
            common_prefixes: root.all("CommonPrefixes").map(prefix).collect(),
        };
        document.finish(result)
    }
}

const ROOT: &str = "ListMultipartUploadsResult";
