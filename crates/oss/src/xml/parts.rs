//! The reply to ListParts: what the server holds of an upload.

use alloc::string::String;
use alloc::vec::Vec;

use super::element::Element;
use super::{Document, XmlError, XmlWriter};
use crate::etag::unquote;
use crate::limits::MAX_PAGE;
use crate::time::{format_iso_ms, whole_seconds};

/// One page of the parts of an upload, in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListPartsResult {
    /// Where.
    pub bucket: String,
    /// Of which object.
    pub key: String,
    /// Of which upload.
    pub upload_id: String,
    /// The page begins after this number; 0 for the first.
    pub part_number_marker: u32,
    /// Number of the last part listed: the marker of the next page. 0 when none is listed.
    pub next_part_number_marker: u32,
    /// Most parts of the page.
    pub max_parts: u32,
    /// Whether more pages follow.
    pub is_truncated: bool,
    /// Class that the object will have; empty for `Standard`. Only written: no client asks.
    pub storage_class: String,
    /// The parts.
    pub parts: Vec<ListedPart>,
}

/// A part that the server holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListedPart {
    /// 1 to 10,000.
    pub number: u32,
    /// When it arrived, in milliseconds since 1970, written in whole seconds; 0 when the reply does not say.
    pub last_modified_ms: i64,
    /// Without quotes.
    pub etag: String,
    /// Of its bytes, where the server tells.
    pub crc64: Option<u64>,
    /// In bytes.
    pub size: u64,
}

impl ListPartsResult {
    /// Writes it; `url` when the request asked for `encoding-type=url`.
    pub fn encode(&self, url: bool) -> String {
        let mut xml = XmlWriter::new();
        xml.open(ROOT);
        xml.text("Bucket", &self.bucket);
        xml.encoding(url);
        xml.name("Key", &self.key);
        xml.text("UploadId", &self.upload_id);
        xml.storage_class(&self.storage_class);
        xml.number("PartNumberMarker", self.part_number_marker.into());
        xml.number("NextPartNumberMarker", self.next_part_number_marker.into());
        xml.number("MaxParts", self.max_parts.into());
        xml.flag("IsTruncated", self.is_truncated);
        for part in &self.parts {
            xml.open("Part");
            xml.number("PartNumber", part.number.into());
            xml.text("LastModified", &format_iso_ms(whole_seconds(part.last_modified_ms)));
            xml.etag(&part.etag);
            if let Some(crc64) = part.crc64 {
                xml.number("HashCrc64ecma", crc64);
            }
            xml.number("Size", part.size);
            xml.close("Part");
        }
        xml.close(ROOT);
        xml.finish()
    }

    /// Reads it.
    ///
    /// # Errors
    /// Malformed, another document, or a part without number, ETag or size.
    pub fn decode(body: &[u8]) -> Result<ListPartsResult, XmlError> {
        let document = Document::parse(body, ROOT)?;
        let root = &document.root;
        let part = |part: &Element<'_>| ListedPart {
            number: document.required_number(part, "PartNumber"),
            last_modified_ms: part.time("LastModified"),
            etag: unquote(document.required(part, "ETag")).into(),
            crc64: document.number(part, "HashCrc64ecma"),
            size: document.required_number(part, "Size"),
        };
        let result = ListPartsResult {
            bucket: root.text("Bucket").into(),
            key: document.name(root, "Key"),
            upload_id: root.text("UploadId").into(),
            part_number_marker: document.number(root, "PartNumberMarker").unwrap_or(0),
            next_part_number_marker: document.number(root, "NextPartNumberMarker").unwrap_or(0),
            max_parts: document.number(root, "MaxParts").unwrap_or(MAX_PAGE),
            is_truncated: root.flag("IsTruncated"),
            storage_class: String::new(),
            parts: root.all("Part").map(part).collect(),
        };
        document.finish(result)
    }
}

const ROOT: &str = "ListPartsResult";
