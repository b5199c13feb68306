//! Buckets and what is in them, page by page.

use super::ObjectInfo;
use super::values::header;

/// A bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// The tenant that made it.
    pub owner: String,
    /// `private`, `public-read` or `public-read-write`.
    pub acl: String,
    /// As given by who made it.
    pub storage_class: String,
    /// When it was made.
    pub created_ms: u64,
}

/// Which buckets a page shows: those after `after`, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BucketQuery {
    /// Only this tenant's; `None` for everybody's.
    pub owner: Option<String>,
    /// Only names that begin so.
    pub prefix: String,
    /// The page begins after this name; empty for the first.
    pub after: String,
    /// Most buckets of the page.
    pub limit: usize,
}

/// What a bucket holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BucketUse {
    /// Bytes of all objects.
    pub bytes: u64,
    /// Objects.
    pub objects: u64,
    /// Unfinished uploads.
    pub uploads: u64,
}

/// The documents that a bucket may have; the store keeps them as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BucketDocument {
    /// Which pages may use it.
    Cors,
    /// When what is in it ends.
    Lifecycle,
}

impl BucketDocument {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            BucketDocument::Cors => "cors",
            BucketDocument::Lifecycle => "lifecycle",
        }
    }
}

/// Which objects or uploads of a bucket a page shows, by key (bytewise).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyQuery {
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that go on after the prefix and up to here alike are shown as one common prefix; empty
    /// for none.
    pub delimiter: String,
    /// The page begins after this key, or after all keys that begin so when it is a common prefix;
    /// empty for the first page.
    pub after: String,
    /// Of uploads: the page begins after this upload of the key `after`; empty for after all of them.
    pub after_upload: String,
    /// Most entries of the page.
    pub limit: usize,
}

/// One page of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// In order.
    pub entries: Vec<T>,
    /// There are more after the last of these.
    pub truncated: bool,
}

/// An entry of a page of objects or uploads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry<T> {
    /// A key.
    Key(String, T),
    /// What several keys begin with, the delimiter included.
    CommonPrefix(String),
}

/// An unfinished upload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenUpload {
    /// Names it.
    pub upload_id: String,
    /// When it began.
    pub initiated_ms: u64,
    /// As given to Initiate.
    pub headers: Vec<(String, String)>,
}

impl OpenUpload {
    /// A header, as the object will have it.
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.headers, name)
    }
}

/// Objects of a page.
pub type ObjectPage = Page<Entry<ObjectInfo>>;
/// Uploads of a page.
pub type UploadPage = Page<Entry<OpenUpload>>;

impl<T> Entry<T> {
    /// The key, or the common prefix.
    pub fn name(&self) -> &str {
        match self {
            Entry::Key(name, _) | Entry::CommonPrefix(name) => name,
        }
    }
}
