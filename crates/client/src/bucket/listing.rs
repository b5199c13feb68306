//! What a bucket holds, page after page.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_util::stream::{self, TryStreamExt};
use vodferry_engine::{Op, PartInfo, Reply};
use vodferry_oss::Method;
use vodferry_oss::xml::{ListBucketResult, ListMultipartUploadsResult, Paging};

use super::Bucket;
use super::ask::Plain;
use crate::perform::Spec;
use crate::{Error, ErrorKind};

/// Entries of a page: replies are bounded, and keys of a kilobyte take three as they travel.
const PAGE: usize = 250;

/// Entries that are asked for page by page as they are taken. It is a stream; after an error it has ended.
pub struct Listing<T> {
    entries: Pin<Box<dyn Stream<Item = Result<T, Error>> + Send>>,
}

/// What [`Bucket::list_objects`] lists. The default is everything, key by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListObjects {
    /// Only keys that begin so.
    pub prefix: String,
    /// Keys that share what precedes it, behind the prefix, are one entry; usually `/`. Empty: none.
    pub delimiter: String,
    /// Only keys behind this one, bytewise.
    pub after: String,
}

impl ListObjects {
    /// The objects whose keys begin with `prefix`.
    pub fn prefix(prefix: impl Into<String>) -> ListObjects {
        ListObjects { prefix: prefix.into(), ..ListObjects::default() }
    }

    /// With what precedes `delimiter` behind the prefix as one entry: what a folder holds, for `/`.
    pub fn delimiter(mut self, delimiter: impl Into<String>) -> ListObjects {
        self.delimiter = delimiter.into();
        self
    }
}

/// An entry of a listing of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Listed {
    /// An object.
    Object(ListedObject),
    /// What several keys begin with, up to the delimiter and with it.
    Prefix(String),
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedObject {
    /// Its key.
    pub key: String,
    /// Bytes.
    pub size: u64,
    /// Without quotes; opaque.
    pub etag: String,
    /// Milliseconds since 1970; 0 when the reply does not say.
    pub last_modified_ms: i64,
    /// `Normal`, `Multipart` or `Appendable`, as far as the server says.
    pub kind: String,
    /// `Standard`, `IA` and so on, as far as the server says.
    pub storage_class: String,
}

/// An upload that is neither completed nor aborted.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ListedUpload {
    /// Of which object.
    pub key: String,
    /// Names it.
    pub upload_id: String,
    /// When it was begun, in milliseconds since 1970; 0 when the reply does not say.
    pub initiated_ms: i64,
}

impl<T: Send + 'static> Listing<T> {
    /// Pages from the one that begins at `first` on; each says where the next one begins.
    fn pages<M, F>(first: M, fetch: impl Fn(M) -> F + Send + 'static) -> Listing<T>
    where
        M: Send + 'static,
        F: Future<Output = Result<(Vec<T>, Option<M>), Error>> + Send + 'static,
    {
        let pages = stream::try_unfold(Some(first), move |at| {
            let page = at.map(&fetch);
            async move {
                let Some(page) = page else { return Ok::<_, Error>(None) };
                let (entries, next) = page.await?;
                Ok(Some((stream::iter(entries.into_iter().map(Ok)), next)))
            }
        });
        Listing { entries: Box::pin(pages.try_flatten()) }
    }

    /// The next entry; `None` at the end.
    ///
    /// # Errors
    ///
    /// What the server answered, or why it could not be reached. Nothing comes after an error.
    pub async fn next(&mut self) -> Result<Option<T>, Error> {
        self.entries.try_next().await
    }

    /// All that is left.
    ///
    /// # Errors
    ///
    /// As [`next`](Listing::next).
    pub async fn all(mut self) -> Result<Vec<T>, Error> {
        let mut all = Vec::new();
        while let Some(entry) = self.next().await? {
            all.push(entry);
        }
        Ok(all)
    }
}

impl<T> Stream for Listing<T> {
    type Item = Result<T, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.entries.as_mut().poll_next(cx)
    }
}

impl<T> fmt::Debug for Listing<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listing").finish_non_exhaustive()
    }
}

impl Bucket {
    /// The objects, by key (bytewise). Needs the right to list the bucket (`oss:ListObjects`).
    pub fn list_objects(&self, what: ListObjects) -> Listing<Listed> {
        let bucket = self.clone();
        let ListObjects { prefix, delimiter, after } = what;
        Listing::pages(after, move |after| {
            let (bucket, prefix, delimiter) = (bucket.clone(), prefix.clone(), delimiter.clone());
            async move { bucket.objects(&prefix, &delimiter, &after).await }
        })
    }

    /// The uploads of keys that begin with `prefix` (empty: all) which are neither completed nor aborted, by key, then by upload id.
    /// Needs the right `oss:ListMultipartUploads`.
    pub fn list_uploads(&self, prefix: impl Into<String>) -> Listing<ListedUpload> {
        let (bucket, prefix) = (self.clone(), prefix.into());
        Listing::pages((String::new(), String::new()), move |after| {
            let (bucket, prefix) = (bucket.clone(), prefix.clone());
            async move { bucket.uploads(&prefix, after).await }
        })
    }

    /// The parts of an upload that the server holds, by number.
    pub fn list_parts(
        &self,
        key: impl Into<String>,
        upload_id: impl Into<String>,
    ) -> Listing<PartInfo> {
        let (bucket, key, upload_id) = (self.clone(), key.into(), upload_id.into());
        Listing::pages(0, move |marker| {
            let (bucket, key) = (bucket.clone(), key.clone());
            let op = Op::ListParts { upload_id: upload_id.clone(), marker };
            async move {
                match bucket.operate(&key, op, None, Spec::default(), |_| {}).await? {
                    Reply::Parts { parts, next } => Ok((parts, next)),
                    other => Err(other_reply(&other)),
                }
            }
        })
    }

    async fn objects(
        &self,
        prefix: &str,
        delimiter: &str,
        after: &str,
    ) -> Result<(Vec<Listed>, Option<String>), Error> {
        let plain = Plain::new(format!("listing the bucket {}", self.name()), Method::Get, "")
            .query("max-keys", PAGE.to_string())
            .query("encoding-type", "url")
            .query_if("prefix", prefix)
            .query_if("delimiter", delimiter)
            .query_if("marker", after);
        let reply = self.ask(&plain, &[]).await?;
        let page = ListBucketResult::decode(&reply.body).map_err(|e| plain.unreadable(e))?;
        let mut entries = VecDeque::from(page.contents);
        let mut merged = Vec::with_capacity(entries.len() + page.common_prefixes.len());
        for prefix in page.common_prefixes {
            while entries.front().is_some_and(|object| object.key < prefix) {
                merged.extend(entries.pop_front().map(listed));
            }
            merged.push(Listed::Prefix(prefix));
        }
        merged.extend(entries.into_iter().map(listed));
        if !page.is_truncated {
            return Ok((merged, None));
        }
        let next = match page.paging {
            Paging::Marker { next, .. } if !next.is_empty() => next,
            _ => match merged.last() {
                Some(Listed::Object(object)) => object.key.clone(),
                Some(Listed::Prefix(prefix)) => prefix.clone(),
                None => String::new(),
            },
        };
        if next.as_str() <= after { Err(stands_still(&plain)) } else { Ok((merged, Some(next))) }
    }

    async fn uploads(
        &self,
        prefix: &str,
        after: (String, String),
    ) -> Result<(Vec<ListedUpload>, Option<(String, String)>), Error> {
        let subject = format!("listing the uploads of {}", self.name());
        let plain = Plain::new(subject, Method::Get, "")
            .query("uploads", "")
            .query("max-uploads", PAGE.to_string())
            .query("encoding-type", "url")
            .query_if("prefix", prefix)
            .query_if("key-marker", &after.0)
            .query_if("upload-id-marker", &after.1);
        let reply = self.ask(&plain, &[]).await?;
        let page =
            ListMultipartUploadsResult::decode(&reply.body).map_err(|e| plain.unreadable(e))?;
        let entry = |upload: vodferry_oss::xml::ListedUpload| {
            let vodferry_oss::xml::ListedUpload { key, upload_id, initiated_ms, .. } = upload;
            ListedUpload { key, upload_id, initiated_ms }
        };
        let uploads = page.uploads.into_iter().map(entry).collect();
        if !page.is_truncated {
            return Ok((uploads, None));
        }
        let next = (page.next_key_marker, page.next_upload_id_marker);
        // Of one key they come in whatever order the service likes.
        let stands = next.0 < after.0 || next == after;
        if stands { Err(stands_still(&plain)) } else { Ok((uploads, Some(next))) }
    }
}

/// An operation of the engine answered by the reply of another: no server can do that.
pub(super) fn other_reply(reply: &Reply) -> Error {
    let text = format!("another answer than was asked for: {reply:?}");
    Error::new(ErrorKind::Protocol, "BadReply", text)
}

fn listed(object: vodferry_oss::xml::ListedObject) -> Listed {
    let vodferry_oss::xml::ListedObject {
        key,
        last_modified_ms,
        etag,
        kind,
        size,
        storage_class,
        ..
    } = object;
    Listed::Object(ListedObject { key, size, etag, last_modified_ms, kind, storage_class })
}

fn stands_still(plain: &Plain) -> Error {
    let text = format!("{}: the next page would not come after this one", plain.subject);
    Error::new(ErrorKind::Protocol, "BadReply", text)
}
