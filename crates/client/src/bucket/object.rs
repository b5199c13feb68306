//! Whole objects: put, append, head, delete.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use vodferry_engine::{ErrorKind, Fault, MAX_PART_SIZE, ObjectInfo, Op, Reply};
use vodferry_oss::crc64::combine;
use vodferry_oss::etag::content_md5;
use vodferry_oss::time::parse_http;
use vodferry_oss::{Method, Response};

use super::Bucket;
use super::ask::{Plain, digests};
use super::listing::other_reply;
use crate::file::content_type;
use crate::source::Source;
use crate::windows::cut;
use crate::{Error, File};

/// Is told how far something is: bytes so far, and bytes in all.
pub type Progress = Arc<dyn Fn(u64, u64) + Send + Sync>;

/// How [`Bucket::put_object`] puts.
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct PutOptions {
    /// The MD5 that the bytes must have. `None` (default): the one they have is sent, unless
    /// [`Options::content_md5`](crate::Options::content_md5) says no.
    pub content_md5: Option<[u8; 16]>,
    /// Hears of the bytes as they go out, from a thread of the runtime; begins anew when the request is sent again.
    pub progress: Option<Progress>,
}

/// Where an object that grows ends: what [`Bucket::append_object`] answers, and goes on from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AppendResult {
    /// Its length in bytes, at which the next append begins.
    pub next_position: u64,
    /// CRC-64/XZ of the whole object so far, where known.
    pub crc64: Option<u64>,
}

/// What the headers of an object say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectHead {
    /// Bytes.
    pub length: u64,
    /// Without quotes; opaque.
    pub etag: String,
    /// CRC-64/XZ of the whole object, where the server tells.
    pub crc64: Option<u64>,
    /// Content-Type, where there is one.
    pub content_type: Option<String>,
    /// Milliseconds since 1970; 0 when the reply does not say.
    pub last_modified_ms: i64,
    /// `Normal`, `Multipart`, `Appendable` and so on; empty when the reply does not say.
    pub kind: String,
    /// All headers of the reply, names in lower case: `x-oss-meta-*`, `x-oss-storage-class`, `cache-control` and the others.
    pub headers: Vec<(String, String)>,
}

impl Bucket {
    /// Puts `file` under `key` in one request, at most 5 GiB. Its length must be known; its headers, and its Content-Type by its name,
    /// become the object's; a grant of its own counts for nothing. CRC64 and ETag of the reply are compared with those of the bytes.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` for a source or headers of which no request can be made, `Io` when it cannot be read, `SourceChanged` when it
    /// changed meanwhile, `Integrity` when something else arrived or `content_md5` is another; what the server answered, or why it
    /// could not be reached.
    pub async fn put_object(
        &self,
        key: &str,
        file: impl Into<File>,
        options: PutOptions,
    ) -> Result<ObjectInfo, Error> {
        let file = file.into();
        file.check()?;
        let source = source_of(&file).await?;
        let Some(length) = source.identity().length.filter(|length| *length <= MAX_PART_SIZE)
        else {
            let text = "an object put in one request has a known length of at most 5 GiB; use a resumable upload";
            return Err(Error::misuse(text));
        };
        if let Some(expected) = options.content_md5 {
            has_md5(source.clone(), length, expected).await?;
        }
        let sent = move |bytes| options.progress.iter().for_each(|tell| tell(bytes, length));
        let op = Op::PutObject { length };
        match self.operate(key, op, Some(source), file.spec(), sent).await? {
            // The reply tells none.
            Reply::Put(object) => Ok(ObjectInfo { length: Some(length), ..object }),
            other => Err(other_reply(&other)),
        }
    }

    /// Appends `bytes` to the object `key`, `after` its present end: 0 makes the object, and each answer is where the next append
    /// goes on. Content-MD5 is sent, and the CRC64 of the whole object is compared where that of what precedes is known, as it is
    /// from the answer of the append before.
    ///
    /// An append whose reply is lost is asked again; where it had been carried out, that is found out by the object's length and
    /// CRC64 and the bytes are not there twice. Where the CRC64 of what precedes is not known, it is told as
    /// `PositionNotEqualToLength`, as somebody else may have appended as many bytes.
    ///
    /// # Errors
    ///
    /// `PositionNotEqualToLength` when the object does not end there, `ObjectNotAppendable` when it was not made by appending, kind
    /// `Integrity` when something else arrived; what else the server answered, or why it could not be reached.
    pub async fn append_object(
        &self,
        key: &str,
        after: impl Into<AppendResult>,
        bytes: impl Into<Bytes>,
    ) -> Result<AppendResult, Error> {
        let (after, bytes) = (after.into(), bytes.into());
        let digests = digests(&bytes);
        let crc64 = match (after.next_position, after.crc64) {
            (0, _) => digests.crc64,
            (_, before) => before.zip(digests.crc64).map(|(a, b)| combine(a, b, digests.length)),
        };
        let end = after.next_position.saturating_add(digests.length);
        let done = AppendResult { next_position: end, crc64 };
        let mut plain = about("appending to", Method::Post, key)?
            .query("append", "")
            .query("position", after.next_position.to_string());
        if let Some(guess) = content_type(key) {
            plain.headers.push(("content-type".to_owned(), guess.to_owned()));
        }
        let md5 = digests.md5.as_ref().map(content_md5).unwrap_or_default();
        plain.headers.push(("content-md5".to_owned(), md5));
        plain.body = bytes.to_vec();
        let reply = self.ask(&plain, &[409]).await?;
        if reply.status == 409 {
            let refused = Error::from(plain.refused(&reply, false));
            let there = position(&reply) == Some(end) && crc64.is_some() && digests.length > 0;
            if !there || refused.code() != "PositionNotEqualToLength" {
                return Err(refused);
            }
            let head = self.head_object(key).await?;
            let same = |head: &ObjectHead| (head.length, head.crc64) == (end, crc64);
            return if head.is_some_and(|head| same(&head)) { Ok(done) } else { Err(refused) };
        }
        match (position(&reply), reply.crc64()) {
            (None, _) => Err(plain.strange("it does not say where the object ends")),
            (Some(next), _) if next != end => Err(differs(&plain, "ends elsewhere")),
            (_, Some(theirs)) if crc64.is_some_and(|ours| ours != theirs) => {
                Err(differs(&plain, "has another CRC64"))
            }
            (_, theirs) => Ok(AppendResult { crc64: theirs.or(crc64), ..done }),
        }
    }

    /// What the headers of the object `key` say; `None` when there is no such object.
    ///
    /// # Errors
    ///
    /// What the server answered, or why it could not be reached.
    pub async fn head_object(&self, key: &str) -> Result<Option<ObjectHead>, Error> {
        let plain = about("looking at", Method::Head, key)?;
        let reply = self.ask(&plain, &[404]).await?;
        if reply.status == 404 {
            let refused = Error::from(plain.refused(&reply, false));
            // Who answers HEAD without `x-oss-err` cannot say more than the status.
            let absent = matches!(refused.code(), "NoSuchKey" | "HttpStatus404");
            return if absent { Ok(None) } else { Err(refused) };
        }
        let Some(length) = reply.content_length() else {
            return Err(plain.strange("it has no Content-Length"));
        };
        if reply.etag().is_none() && reply.request_id().is_none() {
            return Err(plain.strange("it is none of the storage's, it has no ETag"));
        }
        Ok(Some(ObjectHead {
            length,
            etag: reply.etag().unwrap_or_default().to_owned(),
            crc64: reply.crc64(),
            content_type: reply.header("content-type").map(str::to_owned),
            last_modified_ms: reply.header("last-modified").and_then(parse_http).unwrap_or(0),
            kind: reply.header("x-oss-object-type").unwrap_or_default().to_owned(),
            headers: reply.headers,
        }))
    }

    /// Deletes the object `key`; no error where there is none.
    ///
    /// # Errors
    ///
    /// What the server answered, or why it could not be reached.
    pub async fn delete_object(&self, key: &str) -> Result<(), Error> {
        let plain = about("deleting", Method::Delete, key)?;
        let reply = self.ask(&plain, &[]).await?;
        // A network that asks for a login answers everything by a page.
        if reply.status != 204 && reply.request_id().is_none() {
            return Err(plain.strange("it is none of the storage's, it has no x-oss-request-id"));
        }
        Ok(())
    }
}

/// Opens the source of a file.
pub(super) async fn source_of(file: &File) -> Result<Arc<Source>, Error> {
    let origin = file.origin.clone();
    let opened = tokio::task::spawn_blocking(move || Source::open(&origin)).await;
    Ok(Arc::new(opened.unwrap_or_else(|_| Err(cut()))?))
}

/// Reads the whole source to compare it.
async fn has_md5(source: Arc<Source>, length: u64, expected: [u8; 16]) -> Result<(), Error> {
    use md5::{Digest, Md5};
    let read = move || -> Result<[u8; 16], Fault> {
        let (mut md5, mut at) = (Md5::new(), 0);
        let mut window = vec![0; crate::limit::PIECE];
        while at < length {
            let size = usize::try_from(length - at).unwrap_or(window.len()).min(window.len());
            let window = window.get_mut(..size).unwrap_or_default();
            source.read(window, at)?;
            md5.update(&window);
            at += size as u64;
        }
        Ok(md5.finalize().into())
    };
    let found = tokio::task::spawn_blocking(read).await.unwrap_or_else(|_| Err(cut()))?;
    if found == expected {
        return Ok(());
    }
    let text = "the bytes have another MD5 than content_md5 says";
    Err(Error::new(ErrorKind::Integrity, "InvalidDigest", text))
}

/// A request about an object: without a key it would be about the bucket.
fn about(what: &str, method: Method, key: &str) -> Result<Plain, Error> {
    if key.is_empty() {
        return Err(Error::misuse("the key is empty"));
    }
    Ok(Plain::new(format!("{what} {key}"), method, key))
}

fn position(reply: &Response) -> Option<u64> {
    reply.header("x-oss-next-append-position")?.trim_ascii().parse().ok()
}

fn differs(plain: &Plain, how: &str) -> Error {
    let text = format!("{}: the object {how} than was sent", plain.subject);
    Error::new(ErrorKind::Integrity, "ChecksumMismatch", text)
}

impl From<u64> for AppendResult {
    /// A position of which no CRC64 is known.
    fn from(next_position: u64) -> AppendResult {
        AppendResult { next_position, crc64: None }
    }
}

impl From<&AppendResult> for AppendResult {
    fn from(result: &AppendResult) -> AppendResult {
        *result
    }
}

impl fmt::Debug for PutOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PutOptions")
            .field("content_md5", &self.content_md5.as_ref().map(content_md5))
            .field("progress", &self.progress.is_some())
            .finish()
    }
}
