//! The resumable upload of the OSS SDKs: one file, its record, and a handle.

use std::fmt;
use std::path::PathBuf;
use std::thread::available_parallelism;
use std::time::Duration;

use vodferry_engine::{OnCancel, OnPartFailure};

use super::{Bucket, Progress, UploadTask};
use crate::{DirectOss, Error, File, Options, Uploader};

/// Bytes per part when nothing else is said (`partSize` of the mobile SDKs): 256 KiB.
const PART_SIZE: u64 = 256 << 10;
/// Parts at once when nothing else is said: twice the processors, and no more than this.
const MOST_THREADS: usize = 5;

/// A file to be uploaded so that it can be gone on with after whatever happened (`ResumableUploadRequest` of the mobile SDKs).
///
/// What the object is to be besides its bytes is said of the [`File`]: `content_type`, `header` (`x-oss-meta-*`, `x-oss-object-acl`,
/// `x-oss-storage-class` and so on), `callback`. The file is recognised by its content: moved or renamed it goes on, changed it begins
/// anew. Content-MD5 is sent with each part unless [`Options::content_md5`] says no, and the CRC64 of the whole object is compared
/// always.
///
/// ```no_run
/// # async fn example(bucket: &vodferry::Bucket) -> Result<(), vodferry::Error> {
/// use vodferry::{File, ResumableUpload};
/// let file = File::path("/films/holiday.mp4").header("x-oss-meta-author", "me");
/// let mut upload = ResumableUpload::new("2026/holiday.mp4", file).record_directory("/var/lib/app/records")?;
/// upload.progress = Some(std::sync::Arc::new(|current, total| println!("{current} of {total}")));
/// let task = bucket.resumable_upload(upload)?;
/// let done = task.await?;
/// println!("{} {:?}", done.object.etag, done.object.callback_body);
/// # Ok(()) }
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ResumableUpload {
    /// Of the object.
    pub key: String,
    /// The bytes, and what the object is to be besides. A grant of its own counts for nothing.
    pub file: File,
    /// Where the record is kept. `None` (default): nowhere; what fails for good, or is cut off by the end of the process, begins anew.
    pub record_dir: Option<PathBuf>,
    /// Bytes per part, from 102,400 bytes to 5 GiB; raised where more than 10,000 parts would be needed. Default 256 KiB. A record goes
    /// on with the size with which it was begun.
    pub part_size: u64,
    /// Parts in flight. 0 (default): twice the processors, 5 at most. A sequential upload has one.
    pub threads: u32,
    /// Hears of the bytes that the server holds, after each part, those of an earlier run included.
    pub progress: Option<Progress>,
    /// Whether [`UploadTask::cancel`] aborts the upload at the server and deletes the record. Default true; false keeps both, and the
    /// next request goes on.
    pub delete_on_cancelling: bool,
    /// What becomes of the other parts when one fails for good (`exceptionTerminationMode`). Default: they are finished first.
    pub on_part_failure: OnPartFailure,
    /// Parts are sent one at a time, in their order, so that the service can give the whole object a Content-MD5
    /// (`sequenceUpload`). Its record is one of its own. Default false.
    pub sequential: bool,
}

impl ResumableUpload {
    /// `file` under `key`, without a record.
    pub fn new(key: impl Into<String>, file: impl Into<File>) -> ResumableUpload {
        ResumableUpload {
            key: key.into(),
            file: file.into(),
            record_dir: None,
            part_size: PART_SIZE,
            threads: 0,
            progress: None,
            delete_on_cancelling: true,
            on_part_failure: OnPartFailure::FinishOthers,
            sequential: false,
        }
    }

    /// Keeps the record in this folder (`recordDirectory`).
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when there is no such folder: nothing is made that nobody asked for.
    pub fn record_directory(mut self, dir: impl Into<PathBuf>) -> Result<ResumableUpload, Error> {
        let dir = dir.into();
        if !dir.is_dir() {
            let text = format!("the record directory {} is not a folder", dir.display());
            return Err(Error::misuse(text));
        }
        self.record_dir = Some(dir);
        Ok(self)
    }

    /// As an uploader is told.
    fn options(&self, of: &Options) -> Options {
        let processors = available_parallelism().map_or(1, |number| number.get());
        let threads = (2 * processors).min(MOST_THREADS);
        let parallel = match (self.sequential, self.threads) {
            (true, _) => 1,
            (false, 0) => u32::try_from(threads).unwrap_or(1),
            (false, threads) => threads,
        };
        let on_cancel = match self.delete_on_cancelling {
            true => OnCancel::Abort,
            false => OnCancel::Keep,
        };
        Options {
            part_size: self.part_size,
            parallel,
            max_in_flight: parallel.max(of.max_in_flight),
            adaptive: false,
            files_at_once: 1,
            on_cancel,
            on_part_failure: self.on_part_failure,
            progress_interval: Duration::ZERO,
            record_dir: self.record_dir.clone(),
            ..of.clone()
        }
    }
}

impl Bucket {
    /// Begins a resumable upload, or goes on with it where the record directory has its record (`asyncResumableUpload`). It runs beside
    /// the caller; await the handle, or look at it now and then.
    ///
    /// It needs the rights to initiate, to upload parts, to list them, to complete, and, where cancelling is to delete, to abort. A file
    /// below 102,400 bytes is one PutObject.
    ///
    /// # Errors
    ///
    /// Kind `Misuse`: a part size out of its range, an empty key, a file or a header of which no request can be made, no tokio runtime.
    /// What happens later is told by the handle.
    pub fn resumable_upload(&self, upload: ResumableUpload) -> Result<UploadTask, Error> {
        if upload.key.is_empty() {
            return Err(Error::misuse("the key is empty"));
        }
        let options = upload.options(&self.inner.options);
        let ResumableUpload { key, mut file, sequential, progress, .. } = upload;
        file.sequential = sequential;
        // Nobody may say twice how large parts are.
        file.part_size = 0;
        let grant = self.grant(&key);
        let mut builder = Uploader::builder().options(options);
        builder = builder.http(self.inner.means.http.clone());
        builder = builder.sharing(self.inner.means.limit.clone());
        if grant.credential.security_token.is_some() {
            let renewed = DirectOss::with(self.inner.tokens.clone())
                .bucket(&self.inner.endpoint, &self.inner.name)
                .style(self.inner.style)
                .key(move |_| key.clone());
            builder = builder.authorizer(renewed);
        }
        UploadTask::begin(builder.build()?, file.grant(grant), progress)
    }
}

impl fmt::Debug for ResumableUpload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResumableUpload")
            .field("key", &self.key)
            .field("file", &self.file)
            .field("record_dir", &self.record_dir)
            .field("part_size", &self.part_size)
            .field("threads", &self.threads)
            .field("delete_on_cancelling", &self.delete_on_cancelling)
            .field("on_part_failure", &self.on_part_failure)
            .field("sequential", &self.sequential)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_those_of_the_mobile_sdks() {
        let upload = ResumableUpload::new("k", "a.mp4");
        let options = upload.options(&Options::default());
        assert_eq!((options.part_size, options.record_dir.is_none()), (262_144, true));
        assert!((2..=5).contains(&options.parallel) && !options.adaptive && options.content_md5);
        assert_eq!(options.on_cancel, OnCancel::Abort);
        let kept = ResumableUpload { delete_on_cancelling: false, threads: 9, ..upload.clone() };
        let options = kept.options(&Options::default());
        assert_eq!((options.on_cancel, options.parallel), (OnCancel::Keep, 9));
        let one = ResumableUpload { sequential: true, threads: 9, ..upload };
        assert_eq!(one.options(&Options::default()).parallel, 1);
    }

    #[test]
    fn a_record_directory_that_is_not_there_is_refused_when_it_is_set() {
        let dir = tempfile::tempdir().unwrap();
        let upload = || ResumableUpload::new("k", "a.mp4");
        assert!(upload().record_directory(dir.path()).is_ok());
        let file = dir.path().join("f");
        std::fs::write(&file, "").unwrap();
        for wrong in [dir.path().join("none"), file] {
            let error = upload().record_directory(wrong).unwrap_err();
            assert_eq!(error.kind(), crate::ErrorKind::Misuse);
        }
    }
}
