//! The file list and its verbs.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use vodferry_engine::{Event, FileId, FileSpec, Now};

use crate::report::FAREWELL;
use crate::shell::Shared;
use crate::state::State;
use crate::{
    Authorizer, Error, ErrorKind, Events, File, FileStatus, UploadGrant, Uploaded, UploaderBuilder,
};

/// An ordered list of files on their way to storage.
///
/// Clones are handles to the same list; the last one dropped releases it: requests are cut, checkpoints kept, nothing more is told.
/// Every verb may be called at any time from any task, event handlers included; none blocks.
#[derive(Clone)]
pub struct Uploader {
    owner: Arc<Owner>,
}

/// What all handles share; the last one releases.
struct Owner {
    shared: Arc<Shared>,
    /// Hears when the checkpoints are closed.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
    /// Ends when the last reports are handed over.
    reported: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Uploader {
    /// Begins to make one.
    pub fn builder() -> UploaderBuilder {
        UploaderBuilder::default()
    }

    /// The handle to a list whose shell runs already; `ended` hears when its checkpoints are closed, `reported` ends with the last
    /// reports.
    pub(crate) fn new(
        shared: Arc<Shared>,
        ended: oneshot::Receiver<()>,
        reported: Option<JoinHandle<()>>,
    ) -> Uploader {
        let (ended, reported) = (Mutex::new(Some(ended)), Mutex::new(reported));
        Uploader { owner: Arc::new(Owner { shared, ended, reported }) }
    }

    /// Puts a file at the end of the list. It is looked at when its turn comes.
    ///
    /// # Errors
    ///
    /// Kind `Misuse`: a file that is in the list already, where [`Options::duplicates`](crate::Options::duplicates) refuses that; an empty path or name, a source that can be read only once and was added before, a part size out of its range, a header that HTTP does not allow, a grant that
    /// holds what no request can.
    pub fn add(&self, file: impl Into<File>) -> Result<FileId, Error> {
        let mut file = file.into();
        file.check()?;
        if let Some(grant) = file.grant.take() {
            file.grant = Some(file.placed(grant)?);
        }
        if !file.origin.claim() {
            return Err(Error::misuse("the source can be read only once, and was added before"));
        }
        let origin = file.origin.clone();
        let added = self.command(|state, now| {
            state.check_duplicate(&file)?;
            let grant = file.grant.as_ref().map(|grant| state.grants.issue(grant));
            let issued = grant.as_ref().map(|grant| grant.id);
            let id = state
                .engine
                .add(now, FileSpec { grant, part_size: file.part_size, priority: file.priority })?;
            if let (Some(issued), Some(grant)) = (issued, &file.grant) {
                state.grants.keep(issued, id, grant);
            }
            state.keep(id, file);
            Ok(id)
        });
        added.inspect_err(|_| origin.let_go())
    }

    /// Takes a file out of the list; nothing more is told about it.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is not in the list.
    pub fn remove(&self, file: FileId) -> Result<(), Error> {
        self.command(|state, now| {
            state.removed = true;
            Ok(state.engine.remove(now, file)?)
        })
    }

    /// Gives a file another place among those that wait, see [`File::priority`].
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is not in the list.
    pub fn set_priority(&self, file: FileId, priority: i32) -> Result<(), Error> {
        self.command(|state, now| Ok(state.engine.set_priority(now, file, priority)?))
    }

    /// Skips a file: Canceled is told, the next one starts.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is not in the list, or finished.
    pub fn cancel(&self, file: FileId) -> Result<(), Error> {
        self.command(|state, now| Ok(state.engine.cancel(now, file)?))
    }

    /// Queues a cancelled or failed file again.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is not in the list, or neither cancelled nor failed.
    pub fn restore(&self, file: FileId) -> Result<(), Error> {
        self.command(|state, now| Ok(state.engine.restore(now, file)?))
    }

    /// Removes all files.
    pub fn clear(&self) {
        self.always(|state, now| {
            state.removed = true;
            state.engine.clear(now);
        });
    }

    /// Begins a run; no-op while one is under way.
    pub fn start(&self) {
        self.always(|state, now| {
            state.engine.start(now);
            self.owner.shared.running.send_replace(state.engine.is_running());
        });
    }

    /// Ends the run: requests are cut, files under way wait for the next run and go on there.
    pub fn stop(&self) {
        self.always(|state, now| {
            state.engine.stop(now);
            for entry in state.files.values_mut() {
                entry.source = None;
            }
            self.owner.shared.running.send_replace(state.engine.is_running());
        });
    }

    /// Pauses the list (`None`) or one file, whose place the next one takes. Requests are cut; what was acknowledged stays. Allowed
    /// twice; the list also pauses for other reasons, see [`Holds`](crate::Holds).
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when the file is not in the list, or finished.
    pub fn pause(&self, file: Option<FileId>) -> Result<(), Error> {
        match file {
            None => self.hold_list(true),
            Some(_) => self.command(|state, now| Ok(state.engine.pause(now, file)?)),
        }
    }

    /// Undoes [`pause`](Uploader::pause).
    ///
    /// # Errors
    ///
    /// As [`pause`](Uploader::pause).
    pub fn resume(&self, file: Option<FileId>) -> Result<(), Error> {
        match file {
            None => self.hold_list(false),
            Some(_) => self.command(|state, now| Ok(state.engine.resume(now, file)?)),
        }
    }

    /// Gives a file its (next) grant: the answer to Started without an authorizer, and to TokenExpired.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when the file is not in the list, or finished, or when the grant holds what no request can.
    pub fn authorize(&self, file: FileId, grant: UploadGrant) -> Result<(), Error> {
        let owner = self.owner.shared.lock().files.get(&file).map(|entry| entry.file.clone());
        let grant = match owner {
            Some(owner) => owner.placed(grant)?,
            None => grant,
        };
        self.command(|state, now| {
            let issued = state.grants.issue(&grant);
            let id = issued.id;
            state.engine.authorize(now, file, issued)?;
            state.grants.keep(id, file, &grant);
            if let Some(entry) = state.files.get_mut(&file) {
                entry.remember(&grant);
            }
            Ok(())
        })
    }

    /// The way to the network changed: requests under way are sent anew over new connections, waiting ends.
    pub fn network_changed(&self) {
        self.owner.shared.network_changed();
    }

    /// Bytes per second of all files together; 0 is no limit. Is felt within about a second.
    pub fn set_limit(&self, bytes_per_second: u64) {
        self.owner.shared.means.limit.set(bytes_per_second);
    }

    /// All events from now on. Each call gives a stream of its own.
    pub fn events(&self) -> Events {
        let (sender, receiver) = mpsc::unbounded_channel();
        let mut state = self.owner.shared.lock();
        if !state.closed {
            state.subscribers.push(sender);
        }
        Events { receiver }
    }

    /// Waits until no run is under way (every file has succeeded, failed or been cancelled, or [`stop`](Uploader::stop) was called),
    /// and gives the list. Returns at once when none is. A file that waits for [`authorize`](Uploader::authorize) keeps the run
    /// under way.
    pub async fn wait(&self) -> Vec<FileStatus> {
        let mut running = self.owner.shared.running.subscribe();
        // An error would mean that the sender is gone; this handle keeps it.
        let _ = running.wait_for(|running| !running).await;
        self.files()
    }

    /// Waits until nothing is under way any more: no run, and nothing that cancelled and removed files left to tell the server
    /// ([`OnCancel::Abort`](crate::OnCancel)). What [`close`](Uploader::close) cuts is done then; a server that does not answer makes
    /// it take a while.
    pub async fn settled(&self) {
        let mut idle = self.owner.shared.idle.subscribe();
        let _ = idle.wait_for(|idle| *idle).await;
    }

    /// Releases the uploader and waits until its checkpoints are closed, so that another one can go on with them, and until a
    /// [`Reporter`](crate::Reporter) has taken the last reports, at most ten seconds. Dropping all handles does the same without waiting.
    pub async fn close(self) {
        self.owner.shared.close();
        if let Some(ended) = taken(&self.owner.ended) {
            let _ = ended.await;
        }
        if let Some(reported) = taken(&self.owner.reported)
            && tokio::time::timeout(FAREWELL, reported).await.is_err()
        {
            tracing::warn!("the last upload reports were not taken");
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.owner.shared
    }

    pub(crate) fn runtime(&self) -> &Handle {
        &self.owner.shared.runtime
    }

    /// Does something to the engine that may be a wrong call.
    pub(crate) fn command<T>(
        &self,
        verb: impl FnOnce(&mut State, Now) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let shared = &self.owner.shared;
        let mut state = shared.lock();
        if state.closed {
            return Err(Error::misuse("the uploader is closed"));
        }
        let done = verb(&mut state, shared.clock.now());
        shared.idle.send_if_modified(|idle| std::mem::replace(idle, false));
        drop(state);
        shared.changed.send_replace(());
        shared.wake.notify_one();
        done
    }

    /// Does something to the engine that is never wrong; nothing when the uploader is closed.
    pub(crate) fn always(&self, verb: impl FnOnce(&mut State, Now)) {
        let _ = self.command(|state, now| {
            verb(state, now);
            Ok(())
        });
    }
}

/// What the first who closes waits for.
fn taken<T>(place: &Mutex<Option<T>>) -> Option<T> {
    place.lock().unwrap_or_else(PoisonError::into_inner).take()
}

/// Uploads one file with the default options: a list of one.
pub(crate) async fn upload_one(file: File, authorizer: impl Authorizer) -> Result<Uploaded, Error> {
    let uploader = Uploader::builder().authorizer(authorizer).build()?;
    let mut events = uploader.events();
    let id = uploader.add(file)?;
    uploader.start();
    let mut result = Err(Error::misuse("the upload ended without a result"));
    while let Some(event) = events.next().await {
        match event {
            Event::Succeeded { target, video_id, object, .. } => {
                result = Ok(Uploaded { target, video_id, object });
            }
            Event::Failed { error, .. } => result = Err(error.into()),
            Event::TokenExpired { file, .. } if file == id => {
                let text = "the credential ran out, and the authorizer gave no other";
                result = Err(Error::new(ErrorKind::Auth, "TokenExpired", text));
                break;
            }
            Event::Ended { .. } => break,
            _ => {}
        }
    }
    uploader.close().await;
    result
}

impl fmt::Debug for Uploader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Uploader").finish_non_exhaustive()
    }
}
