//! A file that is uploaded while it is written: its writer announces what will not change any more.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use vodferry_engine::{ErrorInfo, ErrorKind, Fault, FaultKind, FileId, Input, Source as Identity};

use super::file::{read_exact_at, regular};
use super::{Feed, changed, fault};
use crate::Error;

/// The writer's hand on a file that is uploaded while it is written; made by [`File::growing`](crate::File::growing).
///
/// Announce bytes when they are in the file and will not be written again, in any order: an MP4's first bytes are often its last.
/// Dropped without [`finish`](Growth::finish), it fails the file.
#[derive(Debug)]
pub struct Growth {
    tell: UnboundedSender<Told>,
    over: bool,
}

#[derive(Debug)]
enum Told {
    Ready(Range<u64>),
    Finished(u64),
    Failed(String),
}

impl Growth {
    /// These bytes are final. Ranges may come in any order, overlap and repeat.
    pub fn ready(&self, range: Range<u64>) {
        let _ = self.tell.send(Told::Ready(range));
    }

    /// The file has so many bytes, and all of them are final. Fewer than were announced before fail the file with
    /// `SourceChanged`; so do more than are there, code `NotAsAnnounced`.
    pub fn finish(mut self, length: u64) {
        self.over = true;
        let _ = self.tell.send(Told::Finished(length));
    }

    /// The writer gave up: the file fails with this message, kind `Io`. What was sent stays for a later try.
    pub fn fail(mut self, why: impl Into<String>) {
        self.over = true;
        let _ = self.tell.send(Told::Failed(why.into()));
    }
}

impl Drop for Growth {
    fn drop(&mut self) {
        if !self.over {
            let why = "its writer went away before it had finished".to_owned();
            let _ = self.tell.send(Told::Failed(why));
        }
    }
}

/// The uploader's end.
#[derive(Debug)]
pub(crate) struct Growing {
    path: PathBuf,
    identity: Identity,
    told: Mutex<Option<UnboundedReceiver<Told>>>,
    claimed: AtomicBool,
    /// Opened when the first part is read: the writer may make it late.
    file: OnceLock<File>,
    length: OnceLock<u64>,
}

impl Growing {
    pub(super) fn new(path: &Path) -> (Growing, Growth) {
        let (tell, told) = unbounded_channel();
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let fingerprint = format!("growing {}", path.display());
        let growing = Growing {
            path,
            identity: Identity { length: None, modified_ms: 0, fingerprint },
            told: Mutex::new(Some(told)),
            claimed: AtomicBool::new(false),
            file: OnceLock::new(),
            length: OnceLock::new(),
        };
        (growing, Growth { tell, over: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn identity(&self) -> &Identity {
        &self.identity
    }

    pub(super) fn claim(&self) -> bool {
        !self.claimed.swap(true, Ordering::Relaxed)
    }

    pub(super) fn let_go(&self) {
        self.claimed.store(false, Ordering::Relaxed);
    }

    /// Refuses what is there and no regular file; its writer may make it late.
    pub(super) fn look(&self) -> Result<(), Fault> {
        match std::fs::metadata(&self.path) {
            Ok(seen) => regular(&self.path, &seen),
            Err(_) => Ok(()),
        }
    }

    /// Whether what is there is as long as its writer said.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let Some(length) = self.length.get() else { return Ok(()) };
        let found = self.file()?.metadata().map_err(|error| self.unreadable(error))?;
        match found.len() {
            shorter if shorter < *length => Err(self.shorter(shorter)),
            same if same == *length => Ok(()),
            _ => Err(self.changed()),
        }
    }

    pub(super) fn read(&self, buffer: &mut [u8], offset: u64) -> Result<(), Fault> {
        read_exact_at(self.file()?, buffer, offset).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => match self.file().map(File::metadata) {
                Ok(Ok(found)) => self.shorter(found.len()),
                _ => self.changed(),
            },
            _ => self.unreadable(error),
        })
    }

    pub(super) fn changed(&self) -> Fault {
        changed(&self.path.display())
    }

    pub(super) fn feed(
        self: Arc<Growing>,
        file: FileId,
        tell: impl Fn(Input) -> bool + Send + Sync + 'static,
    ) -> Option<Feed> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        Some(Box::pin(async move {
            while let Some(news) = told.recv().await {
                let input = match news {
                    Told::Ready(range) => Input::Grown { file, range },
                    Told::Finished(length) => {
                        let _ = self.length.set(length);
                        Input::Finished { file, length }
                    }
                    Told::Failed(why) => {
                        let message = format!("{}: {why}", self.path.display());
                        Input::Broken { file, error: gave_up(message) }
                    }
                };
                if !tell(input) {
                    break;
                }
            }
        }))
    }

    fn file(&self) -> Result<&File, Fault> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let unreadable = |error| self.unreadable(error);
        regular(&self.path, &std::fs::metadata(&self.path).map_err(unreadable)?)?;
        let file = File::open(&self.path).map_err(unreadable)?;
        Ok(self.file.get_or_init(|| file))
    }

    /// The fault for an announcement of more than is there.
    fn shorter(&self, found: u64) -> Fault {
        let shown = self.path.display();
        let text = format!("{shown} has only {found} bytes, and more were announced as final");
        fault(FaultKind::SourceChanged, "NotAsAnnounced", text)
    }

    fn unreadable(&self, error: io::Error) -> Fault {
        Error::io(format_args!("cannot read {}", self.path.display()), error).into_fault()
    }
}

/// The error of a source whose writer broke off.
pub(super) fn gave_up(message: String) -> ErrorInfo {
    ErrorInfo {
        kind: ErrorKind::Io,
        code: "SourceBroken".to_owned(),
        message,
        request_id: String::new(),
    }
}
