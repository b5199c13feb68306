//! CompleteMultipartUpload: the list of parts that make the object, and the reply.

use alloc::string::String;
use alloc::vec::Vec;

use super::element::Element;
use super::{Document, XmlError, XmlWriter};
use crate::etag::{normalise, unquote};

/// The parts that make the object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompleteMultipartUpload {
    /// In the order of the document; the server checks that it ascends.
    pub parts: Vec<CompletePart>,
}

/// One part of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompletePart {
    /// 1 to 10,000.
    pub number: u32,
    /// As the reply to the part gave it, without quotes; [`CompleteMultipartUpload::decode`] gives it in upper case.
    pub etag: String,
}

impl CompleteMultipartUpload {
    /// Writes it.
    pub fn encode(&self) -> String {
        let mut xml = XmlWriter::new();
        xml.open(REQUEST);
        for part in &self.parts {
            xml.open("Part");
            xml.number("PartNumber", part.number.into());
            xml.etag(&part.etag);
            xml.close("Part");
        }
        xml.close(REQUEST);
        xml.finish()
    }

    /// Reads it; ETags with or without quotes and in any case. An empty list is one.
    ///
    /// # Errors
    /// Malformed, another document, or a part without number or ETag, or with several.
    pub fn decode(body: &[u8]) -> Result<CompleteMultipartUpload, XmlError> {
        let document = Document::parse(body, REQUEST)?;
        let part = |part: &Element<'_>| {
            document.plain(part, &["PartNumber", "ETag"]);
            CompletePart {
                number: document.required_number(part, "PartNumber"),
                etag: normalise(document.required(part, "ETag")),
            }
        };
        let parts = document.root.all("Part").map(part).collect();
        document.finish(CompleteMultipartUpload { parts })
    }
}

/// The object is there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompleteMultipartUploadResult {
    /// URL of the object.
    pub location: String,
    /// Where.
    pub bucket: String,
    /// Which object.
    pub key: String,
    /// Of the object, without quotes.
    pub etag: String,
}

impl CompleteMultipartUploadResult {
    /// Writes it; `url` when the request asked for `encoding-type=url`.
    pub fn encode(&self, url: bool) -> String {
        let mut xml = XmlWriter::new();
        xml.open(RESULT);
        xml.encoding(url);
        xml.text("Location", &self.location);
        xml.text("Bucket", &self.bucket);
        xml.name("Key", &self.key);
        xml.etag(&self.etag);
        xml.close(RESULT);
        xml.finish()
    }

    /// Reads it.
    ///
    /// # Errors
    /// Malformed, another document, or without an ETag.
    pub fn decode(body: &[u8]) -> Result<CompleteMultipartUploadResult, XmlError> {
        let document = Document::parse(body, RESULT)?;
        let root = &document.root;
        let result = CompleteMultipartUploadResult {
            location: root.text("Location").into(),
            bucket: root.text("Bucket").into(),
            key: document.name(root, "Key"),
            etag: unquote(document.required(root, "ETag")).into(),
        };
        document.finish(result)
    }
}

const REQUEST: &str = "CompleteMultipartUpload";
const RESULT: &str = "CompleteMultipartUploadResult";
