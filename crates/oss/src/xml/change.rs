//! What changes objects beside uploads: deletion of many, copies, tags, forms. Requests are read only, replies written only.

use alloc::string::String;
use alloc::vec::Vec;

use super::element::Element;
use super::{Document, XmlError, XmlWriter};
use crate::time::{format_iso_ms, whole_seconds};

/// The request of DeleteMultipleObjects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delete {
    /// The reply names nothing that went well.
    pub quiet: bool,
    /// In the order of the document.
    pub objects: Vec<DeletedObject>,
}

/// One object of the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletedObject {
    /// Its key.
    pub key: String,
    /// Empty for none.
    pub version_id: String,
}

impl Delete {
    /// Reads it.
    ///
    /// # Errors
    /// Malformed, another document, or an object without a key, or with several.
    pub fn decode(body: &[u8]) -> Result<Delete, XmlError> {
        let document = Document::parse(body, "Delete")?;
        let object = |object: &Element<'_>| {
            document.plain(object, &["Key", "VersionId"]);
            DeletedObject {
                key: document.required(object, "Key").into(),
                version_id: object.text("VersionId").into(),
            }
        };
        let objects = document.root.all("Object").map(object).collect();
        let quiet = document.root.text("Quiet").trim_ascii().eq_ignore_ascii_case("true");
        document.finish(Delete { quiet, objects })
    }
}

/// The reply to DeleteMultipleObjects that is not quiet; `url` when the request asked for `encoding-type=url`.
pub fn delete_result<S: AsRef<str>>(keys: &[S], url: bool) -> String {
    let mut xml = XmlWriter::new();
    xml.open("DeleteResult");
    xml.encoding(url);
    for key in keys {
        xml.open("Deleted");
        xml.name("Key", key.as_ref());
        xml.close("Deleted");
    }
    xml.close("DeleteResult");
    xml.finish()
}

/// The reply to CopyObject; the time in milliseconds since 1970, the ETag without quotes.
pub fn copy_object_result(last_modified_ms: i64, etag: &str) -> String {
    copied("CopyObjectResult", last_modified_ms, etag)
}

/// The reply to UploadPartCopy; the time in milliseconds since 1970, the ETag without quotes.
pub fn copy_part_result(last_modified_ms: i64, etag: &str) -> String {
    copied("CopyPartResult", last_modified_ms, etag)
}

fn copied(root: &str, last_modified_ms: i64, etag: &str) -> String {
    let mut xml = XmlWriter::new();
    xml.open(root);
    xml.text("LastModified", &format_iso_ms(whole_seconds(last_modified_ms)));
    xml.etag(etag);
    xml.close(root);
    xml.finish()
}

/// The tags of an object, both directions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tagging {
    /// Keys and values.
    pub tags: Vec<(String, String)>,
}

impl Tagging {
    /// Writes it.
    pub fn encode(&self) -> String {
        let mut xml = XmlWriter::new();
        xml.open("Tagging");
        xml.open("TagSet");
        for (key, value) in &self.tags {
            xml.open("Tag");
            xml.text("Key", key);
            xml.text("Value", value);
            xml.close("Tag");
        }
        xml.close("TagSet");
        xml.close("Tagging");
        xml.finish()
    }

    /// Reads it.
    ///
    /// # Errors
    /// Malformed, another document, or a tag without a key, or with several.
    pub fn decode(body: &[u8]) -> Result<Tagging, XmlError> {
        let document = Document::parse(body, "Tagging")?;
        let tags = document
            .root
            .all("TagSet")
            .flat_map(|set| set.all("Tag"))
            .map(|tag| {
                document.plain(tag, &["Key", "Value"]);
                (document.required(tag, "Key").into(), tag.text("Value").into())
            })
            .collect();
        document.finish(Tagging { tags })
    }
}

/// The reply to PostObject with `success_action_status` 201; the ETag without quotes.
pub fn post_response(bucket: &str, location: &str, key: &str, etag: &str) -> String {
    let mut xml = XmlWriter::new();
    xml.open("PostResponse");
    xml.text("Bucket", bucket);
    xml.text("Location", location);
    xml.text("Key", key);
    xml.etag(etag);
    xml.close("PostResponse");
    xml.finish()
}
