//! The reply to InitiateMultipartUpload.

use alloc::string::String;

use super::{Document, XmlError, XmlWriter};

/// An upload was begun.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InitiateMultipartUploadResult {
    /// Where.
    pub bucket: String,
    /// Of which object.
    pub key: String,
    /// Names the upload from now on; never empty in a reply.
    pub upload_id: String,
}

impl InitiateMultipartUploadResult {
    /// Writes it; `url` when the request asked for `encoding-type=url`.
    pub fn encode(&self, url: bool) -> String {
        let mut xml = XmlWriter::new();
        xml.open(ROOT);
        xml.encoding(url);
        xml.text("Bucket", &self.bucket);
        xml.name("Key", &self.key);
        xml.text("UploadId", &self.upload_id);
        xml.close(ROOT);
        xml.finish()
    }

    /// Reads it.
    ///
    /// # Errors
    /// Malformed, another document, or without an upload id.
    pub fn decode(body: &[u8]) -> Result<InitiateMultipartUploadResult, XmlError> {
        let document = Document::parse(body, ROOT)?;
        let root = &document.root;
        let upload_id = document.required(root, "UploadId").trim_ascii();
        if upload_id.is_empty() {
            document.note(XmlError::Value("UploadId"));
        }
        let result = InitiateMultipartUploadResult {
            bucket: root.text("Bucket").into(),
            key: document.name(root, "Key"),
            upload_id: upload_id.into(),
        };
        document.finish(result)
    }
}

const ROOT: &str = "InitiateMultipartUploadResult";
