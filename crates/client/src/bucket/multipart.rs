//! Multipart uploads by hand, and what becomes of those that nobody finishes.

use std::time::Duration;

use bytes::Bytes;
use vodferry_engine::{ErrorKind, ObjectInfo, Op, PartInfo, Reply};
use vodferry_oss::limits::{MAX_PART_NUMBER, MIN_PART_NUMBER};

use super::listing::other_reply;
use super::object::source_of;
use super::{Bucket, ListedUpload};
use crate::clock::wall_ms;
use crate::perform::Spec;
use crate::{Callback, Error, File};

/// How [`Bucket::initiate_multipart_upload`] begins an upload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Initiate {
    /// Headers of the object: `content-type`, `x-oss-meta-*`, `x-oss-storage-class` and so on.
    pub headers: Vec<(String, String)>,
    /// Parts are sent one at a time, in their order, and none twice; the service gives the object a Content-MD5. Default false.
    pub sequential: bool,
}

impl Bucket {
    /// Begins an upload and gives its id. Until it is completed or aborted its parts take space: see
    /// [`abort_after_days`](Bucket::abort_after_days).
    ///
    /// # Errors
    ///
    /// What the server answered, or why it could not be reached. A try whose reply was lost may leave an upload behind.
    pub async fn initiate_multipart_upload(
        &self,
        key: &str,
        how: Initiate,
    ) -> Result<String, Error> {
        let op = Op::InitiateMultipartUpload;
        let Initiate { headers, sequential } = how;
        let spec = Spec { headers, sequential, ..Spec::default() };
        match self.operate(key, op, None, spec, |_| {}).await? {
            Reply::Initiated { upload_id } => Ok(upload_id),
            other => Err(other_reply(&other)),
        }
    }

    /// Sends part `number` (1 to 10,000), with Content-MD5 unless [`Options::content_md5`](crate::Options::content_md5) says no; its
    /// ETag and CRC64 are compared with those of the bytes. All parts but the last need 102,400 bytes.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` for another number; what the server answered, or why it could not be reached.
    pub async fn upload_part(
        &self,
        key: &str,
        upload_id: &str,
        number: u32,
        bytes: impl Into<Bytes>,
    ) -> Result<PartInfo, Error> {
        if !(MIN_PART_NUMBER..=MAX_PART_NUMBER).contains(&number) {
            return Err(Error::misuse("a part number is from 1 to 10000"));
        }
        let bytes = bytes.into();
        let length = bytes.len() as u64;
        let source = source_of(&File::bytes("part", bytes)).await?;
        let upload_id = upload_id.to_owned();
        let op = Op::UploadPart { upload_id, number, range: 0..length, held: None };
        // A sequential upload knows its parts; to others this says nothing.
        let spec = Spec { sequential: true, ..Spec::default() };
        match self.operate(key, op, Some(source), spec, |_| {}).await? {
            Reply::PartUploaded { etag, crc64 } => Ok(PartInfo { number, length, etag, crc64 }),
            other => Err(other_reply(&other)),
        }
    }

    /// Makes the object of these parts, ascending by number, and has the application told where there is a `callback`. Where the CRC64 of each is known, that of the object is compared.
    ///
    /// # Errors
    ///
    /// Kind `Integrity` when the object is not what was sent; what the server answered, or why it could not be reached. A try whose
    /// reply was lost may have made the object; then the next one finds no upload any more.
    pub async fn complete_multipart_upload(
        &self,
        key: &str,
        upload_id: &str,
        parts: Vec<PartInfo>,
        callback: Option<Callback>,
    ) -> Result<ObjectInfo, Error> {
        callback.as_ref().map_or(Ok(()), Callback::check)?;
        let callback = callback.map(|callback| callback.headers()).unwrap_or_default();
        let spec = Spec { callback, ..Spec::default() };
        // What the parts were made of is the caller's to know; an empty source never changes.
        let source = source_of(&File::bytes("parts", Bytes::new())).await?;
        let op = Op::CompleteMultipartUpload { upload_id: upload_id.to_owned(), parts };
        match self.operate(key, op, Some(source), spec, |_| {}).await? {
            Reply::Completed(object) => Ok(object),
            other => Err(other_reply(&other)),
        }
    }

    /// Gives the parts of an upload up. One that does not exist (any more) is no error.
    ///
    /// # Errors
    ///
    /// What the server answered, or why it could not be reached.
    pub async fn abort_multipart_upload(&self, key: &str, upload_id: &str) -> Result<(), Error> {
        let op = Op::AbortMultipartUpload { upload_id: upload_id.to_owned() };
        match self.operate(key, op, None, Spec::default(), |_| {}).await {
            Ok(_) => Ok(()),
            Err(error) if error.code() == "NoSuchUpload" => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Aborts the uploads of keys that begin with `prefix` (empty: all) which were begun at least `older_than` ago, by the server's
    /// clock as far as it is known, and gives those. What is still being sent is cut off: choose `older_than` longer than an upload
    /// may take, resumptions included. One of which the server does not say when it was begun is left alone, unless `older_than` is 0.
    ///
    /// # Errors
    ///
    /// What the server answered, or why it could not be reached; what was aborted before stays aborted.
    pub async fn abort_unfinished(
        &self,
        prefix: &str,
        older_than: Duration,
    ) -> Result<Vec<ListedUpload>, Error> {
        let age_ms = i64::try_from(older_than.as_millis())
            .map_err(|_| Error::new(ErrorKind::Misuse, "Misuse", "the age is too long"))?;
        // All of them first: pages shift while what they list goes away.
        let listed = self.list_uploads(prefix).all().await?;
        let latest = wall_ms().saturating_add(self.clock_offset_ms()).saturating_sub(age_ms);
        let is_old = |upload: &ListedUpload| match upload.initiated_ms {
            _ if age_ms == 0 => true,
            0 => false,
            begun => begun <= latest,
        };
        let old: Vec<ListedUpload> = listed.into_iter().filter(is_old).collect();
        for upload in &old {
            self.abort_multipart_upload(&upload.key, &upload.upload_id).await?;
        }
        Ok(old)
    }
}
