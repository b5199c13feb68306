//! The file list and its verbs.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use vodferry_engine::FileId;

use crate::{Authorizer, Error, Events, File, FileStatus, Http, Options, UploadGrant, Uploaded};

/// An ordered list of files on their way to storage.
///
/// Clones are handles to the same list; the last one dropped releases it: requests are cut, checkpoints kept, nothing more is told.
/// Every verb may be called at any time from any task, event handlers included; none blocks.
#[derive(Clone)]
pub struct Uploader {}

/// Makes an [`Uploader`]; see [`Uploader::builder`].
#[derive(Clone, Default)]
pub struct UploaderBuilder {
    options: Options,
    authorizer: Option<Arc<dyn Authorizer>>,
    http: Option<Arc<dyn Http>>,
}

impl UploaderBuilder {
    /// Takes all options at once.
    pub fn options(mut self, options: Options) -> UploaderBuilder {
        self.options = options;
        self
    }

    /// Hands out grants. Without one, files bring their grant along, or get it by [`Uploader::authorize`].
    pub fn authorizer(mut self, authorizer: impl Authorizer) -> UploaderBuilder {
        self.authorizer = Some(Arc::new(authorizer));
        self
    }

    /// Sends through this instead of [`http_client`](crate::http_client).
    pub fn http(mut self, http: Arc<dyn Http>) -> UploaderBuilder {
        self.http = Some(http);
        self
    }

    /// Sets [`Options::parallel`].
    pub fn parallel(mut self, parts: u32) -> UploaderBuilder {
        self.options.parallel = parts;
        self
    }

    /// Sets [`Options::part_size`].
    pub fn part_size(mut self, bytes: u64) -> UploaderBuilder {
        self.options.part_size = bytes;
        self
    }

    /// Sets [`Options::limit`].
    pub fn limit(mut self, bytes_per_second: u64) -> UploaderBuilder {
        self.options.limit = bytes_per_second;
        self
    }

    /// Sets [`Options::record_dir`].
    pub fn record_dir(mut self, dir: Option<PathBuf>) -> UploaderBuilder {
        self.options.record_dir = dir;
        self
    }

    /// An empty list, stopped.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when an option is out of its range, or outside of a tokio runtime; those of [`http_client`](crate::http_client).
    #[allow(clippy::unimplemented)]
    pub fn build(self) -> Result<Uploader, Error> {
        unimplemented!()
    }
}

#[allow(clippy::unimplemented)]
impl Uploader {
    /// Begins to make one.
    pub fn builder() -> UploaderBuilder {
        UploaderBuilder::default()
    }

    /// Puts a file at the end of the list. It is looked at when its turn comes.
    ///
    /// # Errors
    ///
    /// Kind `Misuse`: an empty path or name, a part size out of its range, a header that HTTP does not allow.
    pub fn add(&self, file: impl Into<File>) -> Result<FileId, Error> {
        let _ = file.into();
        unimplemented!()
    }

    /// Takes a file out of the list; nothing more is told about it.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is not in the list.
    pub fn remove(&self, file: FileId) -> Result<(), Error> {
        let _ = file;
        unimplemented!()
    }

    /// Skips a file: Canceled is told, the next one starts.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is not in the list, or finished.
    pub fn cancel(&self, file: FileId) -> Result<(), Error> {
        let _ = file;
        unimplemented!()
    }

    /// Queues a cancelled or failed file again.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is not in the list, or neither cancelled nor failed.
    pub fn restore(&self, file: FileId) -> Result<(), Error> {
        let _ = file;
        unimplemented!()
    }

    /// Removes all files.
    pub fn clear(&self) {
        unimplemented!()
    }

    /// Begins a run; no-op while one is under way.
    pub fn start(&self) {
        unimplemented!()
    }

    /// Ends the run: requests are cut, files under way wait for the next run and go on there.
    pub fn stop(&self) {
        unimplemented!()
    }

    /// Pauses the list (`None`) or one file, whose place the next one takes. Requests are cut; what was acknowledged stays.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when the file is not in the list, or finished.
    pub fn pause(&self, file: Option<FileId>) -> Result<(), Error> {
        let _ = file;
        unimplemented!()
    }

    /// Undoes [`pause`](Uploader::pause).
    ///
    /// # Errors
    ///
    /// As [`pause`](Uploader::pause).
    pub fn resume(&self, file: Option<FileId>) -> Result<(), Error> {
        let _ = file;
        unimplemented!()
    }

    /// Gives a file its (next) grant: the answer to Started without an authorizer, and to TokenExpired.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when the file is not in the list, or finished.
    pub fn authorize(&self, file: FileId, grant: UploadGrant) -> Result<(), Error> {
        let _ = (file, grant);
        unimplemented!()
    }

    /// The way to the network changed: requests under way are sent anew over new connections, waiting ends.
    pub fn network_changed(&self) {
        unimplemented!()
    }

    /// Bytes per second of all files together; 0 is no limit. Takes effect at once.
    pub fn set_limit(&self, bytes_per_second: u64) {
        let _ = bytes_per_second;
        unimplemented!()
    }

    /// The list, in order, as it stands now.
    pub fn files(&self) -> Vec<FileStatus> {
        unimplemented!()
    }

    /// All events from now on. Each call gives a stream of its own.
    pub fn events(&self) -> Events {
        unimplemented!()
    }

    /// Waits until no run is under way (every file has succeeded, failed or been cancelled, or [`stop`](Uploader::stop) was called),
    /// and gives the list. Returns at once when none is.
    pub async fn wait(&self) -> Vec<FileStatus> {
        unimplemented!()
    }

    /// Releases the uploader and waits until its checkpoints are closed, so that another one can go on with them. Dropping all
    /// handles does the same without waiting.
    pub async fn close(self) {
        unimplemented!()
    }
}

/// Uploads one file with the default options: a list of one.
pub(crate) async fn upload_one(file: File, authorizer: impl Authorizer) -> Result<Uploaded, Error> {
    let uploader = Uploader::builder().authorizer(authorizer).build()?;
    let id = uploader.add(file)?;
    uploader.start();
    let files = uploader.wait().await;
    uploader.close().await;
    let Some(status) = files.into_iter().find(|file| file.id == id) else {
        return Err(Error::misuse("the file was removed"));
    };
    match (status.target, status.object, status.error) {
        (Some(target), Some(object), _) => {
            Ok(Uploaded { target, video_id: status.video_id, object })
        }
        (_, _, Some(error)) => Err(error.into()),
        _ => Err(Error::misuse("the upload ended without a result")),
    }
}

impl fmt::Debug for Uploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploader").finish_non_exhaustive()
    }
}

impl fmt::Debug for UploaderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploaderBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}
