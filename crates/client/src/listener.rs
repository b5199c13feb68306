//! What an uploader tells, as callbacks.

use std::panic::{AssertUnwindSafe, catch_unwind};

use vodferry_engine::{ErrorInfo, Event, FileId, ObjectInfo, Target};

use crate::{Events, Uploader};

/// Hears of what happens, one call after the other, in order; every method does nothing unless it is written. A closure that takes an
/// `&Event` is one too.
///
/// They are called from a task of their own: taking long delays what is told, not the upload. Every verb of the uploader may be called
/// in them. One that panics is called again for the next event.
///
/// ```no_run
/// # use vodferry::{Event, FileId, Listener, Uploader};
/// struct Bar;
///
/// impl Listener for Bar {
///     fn progress(&mut self, _: FileId, acknowledged: u64, _in_flight: u64, total: Option<u64>) {
///         println!("{acknowledged} of {total:?}");
///     }
/// }
///
/// # fn f(uploader: &Uploader) {
/// uploader.listen(Bar);
/// uploader.listen(|event: &Event| println!("{event:?}"));
/// # }
/// ```
pub trait Listener: Send + 'static {
    /// Anything happened; by default calls the method for it.
    fn event(&mut self, event: &Event) {
        match event {
            Event::Canceled { file } => self.canceled(*file),
            Event::Ended { last } => self.ended(*last),
            Event::Failed { file, error } => self.failed(*file, error),
            Event::Progress { file, acknowledged, in_flight, total } => {
                self.progress(*file, *acknowledged, *in_flight, *total);
            }
            Event::Resumed { file, parts, bytes } => self.resumed(*file, *parts, *bytes),
            Event::Retry { file, error, .. } => self.retry(*file, error),
            Event::RetryResume { file } => self.retry_resume(*file),
            Event::Started { file, video_id, target } => {
                self.started(*file, video_id.as_deref(), target.as_ref());
            }
            Event::Succeeded { file, target, video_id, object } => {
                self.succeeded(*file, target, video_id.as_deref(), object);
            }
            Event::TokenExpired { file, video_id } => {
                self.token_expired(*file, video_id.as_deref());
            }
            Event::Warning { file, error } => self.warning(*file, error),
            Event::PartAcknowledged { .. } => {}
        }
    }

    /// An attempt begins (`OnUploadStarted`): without an authorizer, the place to call [`Uploader::authorize`]. With `video_id` set, an
    /// earlier upload goes on: refresh its grant instead of asking for a new place.
    fn started(&mut self, _file: FileId, _video_id: Option<&str>, _target: Option<&Target>) {}

    /// The object is in storage (`OnUploadSucceed`).
    fn succeeded(
        &mut self,
        _file: FileId,
        _target: &Target,
        _video_id: Option<&str>,
        _object: &ObjectInfo,
    ) {
    }

    /// The file was given up (`OnUploadFailed`).
    fn failed(&mut self, _file: FileId, _error: &ErrorInfo) {}

    /// How far it is, in bytes (`OnUploadProgress`).
    fn progress(
        &mut self,
        _file: FileId,
        _acknowledged: u64,
        _in_flight: u64,
        _total: Option<u64>,
    ) {
    }

    /// The credential died (`OnUploadTokenExpired`): call [`Uploader::authorize`].
    fn token_expired(&mut self, _file: FileId, _video_id: Option<&str>) {}

    /// Something failed and is tried again (`OnUploadRetry`); once per outage.
    fn retry(&mut self, _file: FileId, _error: &ErrorInfo) {}

    /// The outage is over (`OnUploadRetryResume`).
    fn retry_resume(&mut self, _file: FileId) {}

    /// An upload begun earlier goes on; so many parts and bytes are not sent again.
    fn resumed(&mut self, _file: FileId, _parts: u32, _bytes: u64) {}

    /// The file is skipped.
    fn canceled(&mut self, _file: FileId) {}

    /// Something that should be known but does not stop the upload.
    fn warning(&mut self, _file: FileId, _error: &ErrorInfo) {}

    /// The run is over; `last` finished last.
    fn ended(&mut self, _last: Option<FileId>) {}
}

impl<F: FnMut(&Event) + Send + 'static> Listener for F {
    fn event(&mut self, event: &Event) {
        self(event);
    }
}

impl Uploader {
    /// Calls `listener` for all events from now on, until the uploader is released. Each call adds one.
    pub fn listen(&self, listener: impl Listener) {
        let events = self.events();
        self.runtime().spawn(tell(events, listener));
    }
}

async fn tell(mut events: Events, mut listener: impl Listener) {
    while let Some(event) = events.next().await {
        // The panic hook has told of it; the other events are not its fault.
        let _ = catch_unwind(AssertUnwindSafe(|| listener.event(&event)));
    }
}
