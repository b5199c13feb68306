//! The handle of an upload that runs beside its caller.

use std::fmt;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use vodferry_engine::{ErrorInfo, ErrorKind, Event, FileId};

use super::Progress;
use crate::{BoxFuture, Error, Events, File, Uploaded, Uploader};

/// How long a cancelled upload waits for the server to hear of it.
const FAREWELL: Duration = Duration::from_secs(30);

/// How it ended.
type Outcome = Result<Uploaded, ErrorInfo>;

/// An upload under way (`OSSAsyncTask` of the mobile SDKs). It is a future of its result, and can be asked in between.
///
/// Dropped before the end it stops the upload as the end of the process would: nothing is aborted, and a record that was asked for
/// stays.
pub struct UploadTask {
    uploader: Uploader,
    file: FileId,
    outcome: watch::Receiver<Option<Outcome>>,
    driver: AbortHandle,
    /// What polling waits for; behind a lock only so that handles can be looked at from several threads.
    waiting: Mutex<Option<BoxFuture<'static, Outcome>>>,
}

impl UploadTask {
    /// Starts a list of one.
    pub(super) fn begin(
        uploader: Uploader,
        file: File,
        progress: Option<Progress>,
    ) -> Result<UploadTask, Error> {
        let events = uploader.events();
        let file = uploader.add(file)?;
        uploader.start();
        let (tell, outcome) = watch::channel(None);
        let driven = uploader.clone();
        let driver = tokio::spawn(async move {
            let watched = AssertUnwindSafe(watch_over(events, progress)).catch_unwind();
            let outcome = watched.await.unwrap_or_else(|_| Err(panicked()));
            if outcome.as_ref().is_err_and(|error| error.kind == ErrorKind::Canceled) {
                let _ = tokio::time::timeout(FAREWELL, driven.settled()).await;
            }
            driven.close().await;
            tell.send_replace(Some(outcome));
        });
        let driver = driver.abort_handle();
        Ok(UploadTask { uploader, file, outcome, driver, waiting: Mutex::default() })
    }

    /// Ends the upload: its result is an error of kind `Canceled`, once the server was told where
    /// [`delete_on_cancelling`](crate::ResumableUpload::delete_on_cancelling) says so. Nothing happens when it has ended.
    pub fn cancel(&self) {
        // An error would mean that it has ended.
        let _ = self.uploader.cancel(self.file);
    }

    /// Sends nothing more until [`resume`](UploadTask::resume); requests under way are cut. Nothing happens when it has ended.
    pub fn pause(&self) {
        let _ = self.uploader.pause(None);
    }

    /// Goes on after [`pause`](UploadTask::pause): what the server holds is not sent again. Nothing happens when it is not paused.
    pub fn resume(&self) {
        let _ = self.uploader.resume(None);
    }

    /// As [`Uploader::network_changed`](crate::Uploader::network_changed): what was under way is sent anew over new connections.
    pub fn network_changed(&self) {
        self.uploader.network_changed();
    }

    /// Whether it has ended, in whichever way (`isCompleted`).
    pub fn is_finished(&self) -> bool {
        self.outcome.borrow().is_some()
    }

    /// Whether it ended by [`cancel`](UploadTask::cancel) (`isCanceled`).
    pub fn is_canceled(&self) -> bool {
        let canceled = |outcome: &Outcome| {
            outcome.as_ref().is_err_and(|error| error.kind == ErrorKind::Canceled)
        };
        self.outcome.borrow().as_ref().is_some_and(canceled)
    }

    /// How it ended; `None` before.
    pub fn result(&self) -> Option<Result<Uploaded, Error>> {
        self.outcome.borrow().clone().map(|outcome| outcome.map_err(Error::from))
    }

    /// Waits for its end, and says how it was. Can be called as often as one likes, by as many as like to.
    ///
    /// # Errors
    ///
    /// Why the file was given up: kind `Canceled` after [`cancel`](UploadTask::cancel), code `CallbackFailed` when the object is in
    /// storage and the application did not answer as it should.
    pub async fn wait(&self) -> Result<Uploaded, Error> {
        ended(self.outcome.clone()).await.map_err(Error::from)
    }
}

impl Future for UploadTask {
    type Output = Result<Uploaded, Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let outcome = self.outcome.clone();
        let waiting = self.waiting.get_mut().unwrap_or_else(PoisonError::into_inner);
        let polled = waiting.get_or_insert_with(|| Box::pin(ended(outcome))).as_mut().poll(cx);
        if polled.is_ready() {
            *waiting = None;
        }
        polled.map(|outcome| outcome.map_err(Error::from))
    }
}

impl Drop for UploadTask {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl fmt::Debug for UploadTask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadTask").field("finished", &self.is_finished()).finish_non_exhaustive()
    }
}

/// Tells progress until the file has ended, and how it did.
async fn watch_over(mut events: Events, progress: Option<Progress>) -> Outcome {
    let info = |kind, code: &str, message: &str| {
        let (code, message) = (code.to_owned(), message.to_owned());
        Err(ErrorInfo { kind, code, message, request_id: String::new() })
    };
    while let Some(event) = events.next().await {
        match event {
            Event::Progress { acknowledged, total, .. } => {
                if let Some(tell) = &progress {
                    tell(acknowledged, total.unwrap_or(0));
                }
            }
            Event::Succeeded { target, video_id, object, .. } => {
                return Ok(Uploaded { target, video_id, object });
            }
            Event::Failed { error, .. } => return Err(error),
            Event::Canceled { .. } => {
                return info(ErrorKind::Canceled, "Canceled", "the upload was cancelled");
            }
            Event::TokenExpired { .. } => {
                let text = "the credential ran out, and nobody supplied another";
                return info(ErrorKind::Auth, "TokenExpired", text);
            }
            Event::Ended { .. } => break,
            _ => {}
        }
    }
    info(ErrorKind::Canceled, "Canceled", "the upload was stopped")
}

/// Waits for the end.
async fn ended(mut outcome: watch::Receiver<Option<Outcome>>) -> Outcome {
    let ended = outcome.wait_for(Option::is_some).await;
    // Who drives it went away without a word: the runtime ends.
    let stopped = || ErrorInfo {
        kind: ErrorKind::Canceled,
        code: "Canceled".to_owned(),
        message: "the runtime of the upload has ended".to_owned(),
        request_id: String::new(),
    };
    ended.ok().and_then(|outcome| outcome.clone()).unwrap_or_else(|| Err(stopped()))
}

fn panicked() -> ErrorInfo {
    ErrorInfo {
        kind: ErrorKind::Misuse,
        code: "Panicked".to_owned(),
        message: "the code that hears of progress panicked".to_owned(),
        request_id: String::new(),
    }
}
