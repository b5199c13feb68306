//! The bucket and the resumable upload without async: for programs that have no runtime, and for tests and scripts.
//!
//! The work is done by one thread of a small runtime that the bucket brings along; calls wait for it. They must not be made from
//! inside of a tokio runtime, whose threads may not wait: there they answer `Misuse`.
//!
//! ```no_run
//! # fn main() -> Result<(), vodferry::Error> {
//! use vodferry::{Credential, ResumableUpload, blocking::Bucket};
//! let credential = Credential {
//!     access_key_id: "id".into(),
//!     access_key_secret: "secret".into(),
//!     security_token: None,
//! };
//! let films = Bucket::new(vodferry::Bucket::new("http://127.0.0.1:8080", "films", credential)?)?;
//! let task = films.resumable_upload(ResumableUpload::new("a.mp4", "/films/a.mp4"))?;
//! println!("{}", task.wait()?.object.etag);
//! # Ok(()) }
//! ```

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use vodferry_engine::{ErrorKind, ObjectInfo, PartInfo};

use crate::{
    AppendResult, Authorizer, Callback, Error, File, Initiate, ListObjects, Listed, ListedUpload,
    ObjectHead, PutOptions, ResumableUpload, Uploaded,
};

/// [`vodferry::upload`](crate::upload()), waited for.
///
/// # Errors
///
/// As that; kind `Misuse` inside of a tokio runtime.
pub fn upload(file: impl Into<File>, authorizer: impl Authorizer) -> Result<Uploaded, Error> {
    let file = file.into();
    Runtime::new()?.wait_for(crate::upload(file, authorizer))?
}

/// [`vodferry::Bucket`](crate::Bucket), each call waited for. Clones share everything.
#[derive(Clone, Debug)]
pub struct Bucket {
    bucket: crate::Bucket,
    runtime: Arc<Runtime>,
}

impl Bucket {
    /// Of a bucket, which is not to be used by another runtime at the same time: they would share connections.
    ///
    /// # Errors
    ///
    /// Kind `Io` when the system gives no thread.
    pub fn new(bucket: crate::Bucket) -> Result<Bucket, Error> {
        Ok(Bucket { bucket, runtime: Arc::new(Runtime::new()?) })
    }

    /// See [`Bucket::put_object`](crate::Bucket::put_object).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn put_object(
        &self,
        key: &str,
        file: impl Into<File>,
        options: PutOptions,
    ) -> Result<ObjectInfo, Error> {
        self.runtime.wait_for(self.bucket.put_object(key, file, options))?
    }

    /// See [`Bucket::append_object`](crate::Bucket::append_object).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn append_object(
        &self,
        key: &str,
        after: impl Into<AppendResult>,
        bytes: impl Into<Bytes>,
    ) -> Result<AppendResult, Error> {
        self.runtime.wait_for(self.bucket.append_object(key, after, bytes))?
    }

    /// See [`Bucket::head_object`](crate::Bucket::head_object).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn head_object(&self, key: &str) -> Result<Option<ObjectHead>, Error> {
        self.runtime.wait_for(self.bucket.head_object(key))?
    }

    /// See [`Bucket::delete_object`](crate::Bucket::delete_object).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn delete_object(&self, key: &str) -> Result<(), Error> {
        self.runtime.wait_for(self.bucket.delete_object(key))?
    }

    /// See [`Bucket::list_objects`](crate::Bucket::list_objects).
    pub fn list_objects(&self, what: ListObjects) -> Listing<Listed> {
        Listing { listing: self.bucket.list_objects(what), runtime: self.runtime.clone() }
    }

    /// See [`Bucket::list_uploads`](crate::Bucket::list_uploads).
    pub fn list_uploads(&self, prefix: impl Into<String>) -> Listing<ListedUpload> {
        Listing { listing: self.bucket.list_uploads(prefix), runtime: self.runtime.clone() }
    }

    /// See [`Bucket::list_parts`](crate::Bucket::list_parts).
    pub fn list_parts(
        &self,
        key: impl Into<String>,
        upload_id: impl Into<String>,
    ) -> Listing<PartInfo> {
        Listing { listing: self.bucket.list_parts(key, upload_id), runtime: self.runtime.clone() }
    }

    /// See [`Bucket::initiate_multipart_upload`](crate::Bucket::initiate_multipart_upload).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn initiate_multipart_upload(&self, key: &str, how: Initiate) -> Result<String, Error> {
        self.runtime.wait_for(self.bucket.initiate_multipart_upload(key, how))?
    }

    /// See [`Bucket::upload_part`](crate::Bucket::upload_part).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn upload_part(
        &self,
        key: &str,
        upload_id: &str,
        number: u32,
        bytes: impl Into<Bytes>,
    ) -> Result<PartInfo, Error> {
        self.runtime.wait_for(self.bucket.upload_part(key, upload_id, number, bytes))?
    }

    /// See [`Bucket::complete_multipart_upload`](crate::Bucket::complete_multipart_upload).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn complete_multipart_upload(
        &self,
        key: &str,
        upload_id: &str,
        parts: Vec<PartInfo>,
        callback: Option<Callback>,
    ) -> Result<ObjectInfo, Error> {
        let completed = self.bucket.complete_multipart_upload(key, upload_id, parts, callback);
        self.runtime.wait_for(completed)?
    }

    /// See [`Bucket::abort_multipart_upload`](crate::Bucket::abort_multipart_upload).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn abort_multipart_upload(&self, key: &str, upload_id: &str) -> Result<(), Error> {
        self.runtime.wait_for(self.bucket.abort_multipart_upload(key, upload_id))?
    }

    /// See [`Bucket::abort_unfinished`](crate::Bucket::abort_unfinished).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn abort_unfinished(
        &self,
        prefix: &str,
        older_than: Duration,
    ) -> Result<Vec<ListedUpload>, Error> {
        self.runtime.wait_for(self.bucket.abort_unfinished(prefix, older_than))?
    }

    /// See [`Bucket::abort_after_days`](crate::Bucket::abort_after_days).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn abort_after_days(&self, prefix: &str, days: u32) -> Result<(), Error> {
        self.runtime.wait_for(self.bucket.abort_after_days(prefix, days))?
    }

    /// Begins a resumable upload beside the caller; [`UploadTask::wait`] waits for it. See
    /// [`Bucket::resumable_upload`](crate::Bucket::resumable_upload).
    ///
    /// # Errors
    ///
    /// As that.
    pub fn resumable_upload(&self, upload: ResumableUpload) -> Result<UploadTask, Error> {
        let entered = self.runtime.runtime()?.enter();
        let task = self.bucket.resumable_upload(upload)?;
        drop(entered);
        Ok(UploadTask { task, runtime: self.runtime.clone() })
    }
}

/// [`vodferry::Listing`](crate::Listing) as an iterator.
#[derive(Debug)]
pub struct Listing<T> {
    listing: crate::Listing<T>,
    runtime: Arc<Runtime>,
}

impl<T: Send + 'static> Iterator for Listing<T> {
    type Item = Result<T, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.runtime.wait_for(self.listing.next()).and_then(|next| next).transpose()
    }
}

/// [`vodferry::UploadTask`](crate::UploadTask), whose end can be waited for from any thread.
#[derive(Debug)]
pub struct UploadTask {
    task: crate::UploadTask,
    runtime: Arc<Runtime>,
}

impl UploadTask {
    /// See [`UploadTask::cancel`](crate::UploadTask::cancel).
    pub fn cancel(&self) {
        self.task.cancel();
    }

    /// See [`UploadTask::pause`](crate::UploadTask::pause).
    pub fn pause(&self) {
        self.task.pause();
    }

    /// See [`UploadTask::resume`](crate::UploadTask::resume).
    pub fn resume(&self) {
        self.task.resume();
    }

    /// See [`UploadTask::network_changed`](crate::UploadTask::network_changed).
    pub fn network_changed(&self) {
        self.task.network_changed();
    }

    /// See [`UploadTask::is_finished`](crate::UploadTask::is_finished).
    pub fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    /// See [`UploadTask::is_canceled`](crate::UploadTask::is_canceled).
    pub fn is_canceled(&self) -> bool {
        self.task.is_canceled()
    }

    /// See [`UploadTask::result`](crate::UploadTask::result).
    pub fn result(&self) -> Option<Result<Uploaded, Error>> {
        self.task.result()
    }

    /// Waits for its end, and says how it was (`waitUntilFinished` and `getResult`).
    ///
    /// # Errors
    ///
    /// As [`UploadTask::wait`](crate::UploadTask::wait).
    pub fn wait(&self) -> Result<Uploaded, Error> {
        self.runtime.wait_for(self.task.wait())?
    }
}

/// A runtime with one thread, which may be let go of anywhere.
struct Runtime(Option<tokio::runtime::Runtime>);

impl Runtime {
    fn new() -> Result<Runtime, Error> {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).thread_name("vodferry").enable_all();
        let runtime = builder.build().map_err(|error| {
            Error::new(ErrorKind::Io, "NoThread", "cannot start a thread").with_source(error)
        })?;
        Ok(Runtime(Some(runtime)))
    }

    fn runtime(&self) -> Result<&tokio::runtime::Runtime, Error> {
        self.0.as_ref().ok_or_else(|| Error::misuse("the runtime has ended"))
    }

    fn wait_for<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        if tokio::runtime::Handle::try_current().is_ok() {
            let text = "a call that waits is made inside of a tokio runtime: take the async one";
            return Err(Error::misuse(text));
        }
        Ok(self.runtime()?.block_on(work))
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Not waiting: it may be dropped inside of another runtime.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Runtime")
    }
}
