//! The file list and its verbs.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Notify, mpsc, oneshot, watch};
use vodferry_engine::{DEFAULT_PART_SIZE, Engine, Event, FileId, FileSpec, Misuse, Now};

use crate::buffers::Buffers;
use crate::clock::Clock;
use crate::limit::Limit;
use crate::perform::Means;
use crate::shell::{Entry, Grants, Shared, Shell, State, Told};
use crate::store::Store;
use crate::{
    Authorizer, Error, ErrorKind, Events, File, FileStatus, Http, News, Options, UploadGrant,
    Uploaded,
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
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.close();
    }
}

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
    pub fn build(self) -> Result<Uploader, Error> {
        let runtime = tokio::runtime::Handle::try_current()
            .map_err(|_| Error::misuse("an uploader is made inside of a tokio runtime"))?;
        let UploaderBuilder { options, authorizer, http } = self;
        let config = options.config(authorizer.is_some())?;
        let seed = getrandom::u64().map_err(|error| {
            Error::new(ErrorKind::Io, "NoRandomness", "the system gives no randomness")
                .with_source(error)
        })?;
        let http = match http {
            Some(http) => http,
            None => crate::http_client(&options)?,
        };
        let state = State {
            engine: Engine::new(config, seed)?,
            files: Default::default(),
            grants: Grants::new(options.region.clone()),
            subscribers: Vec::new(),
            authorizer,
            closed: false,
            removed: false,
        };
        let means = Means {
            http,
            limit: Arc::new(Limit::new(options.limit)),
            buffers: Buffers::new(options.max_buffered, options.in_flight()),
            timeouts: options.timeouts,
            md5: options.part_md5(),
            max_buffered: options.max_buffered,
            part_size: if options.part_size == 0 { DEFAULT_PART_SIZE } else { options.part_size },
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            wake: Notify::new(),
            running: watch::Sender::new(false),
            means,
            clock: Clock::new(),
        });
        let (tell, told) = mpsc::unbounded_channel();
        let stored = tell.clone();
        let (store, ended) = Store::start(options.record_dir, options.on_busy, move |answer| {
            let _ = stored.send(Told::Stored(answer));
        })?;
        let authorizer = shared.lock().authorizer.clone();
        if let Some(authorizer) = authorizer {
            authorizer.listen(News::of(&shared));
        }
        runtime.spawn(Shell::new(shared.clone(), store, tell, told).run());
        Ok(Uploader { owner: Arc::new(Owner { shared, ended: Mutex::new(Some(ended)) }) })
    }
}

impl Uploader {
    /// Begins to make one.
    pub fn builder() -> UploaderBuilder {
        UploaderBuilder::default()
    }

    /// Puts a file at the end of the list. It is looked at when its turn comes.
    ///
    /// # Errors
    ///
    /// Kind `Misuse`: an empty path or name, a source that can be read only once and was added before, a part size out of its range, a header that HTTP does not allow, a grant that
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
            let grant = file.grant.as_ref().map(|grant| state.grants.issue(grant));
            let issued = grant.as_ref().map(|grant| grant.id);
            let id = state.engine.add(now, FileSpec { grant, part_size: file.part_size })?;
            if let (Some(issued), Some(grant)) = (issued, &file.grant) {
                state.grants.keep(issued, id, grant);
            }
            state.files.insert(id, Entry::new(Arc::new(file)));
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
            state.engine.remove(now, file)
        })
    }

    /// Skips a file: Canceled is told, the next one starts.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is not in the list, or finished.
    pub fn cancel(&self, file: FileId) -> Result<(), Error> {
        self.command(|state, now| state.engine.cancel(now, file))
    }

    /// Queues a cancelled or failed file again.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when it is not in the list, or neither cancelled nor failed.
    pub fn restore(&self, file: FileId) -> Result<(), Error> {
        self.command(|state, now| state.engine.restore(now, file))
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

    /// Pauses the list (`None`) or one file, whose place the next one takes. Requests are cut; what was acknowledged stays.
    ///
    /// # Errors
    ///
    /// Kind `Misuse` when the file is not in the list, or finished.
    pub fn pause(&self, file: Option<FileId>) -> Result<(), Error> {
        self.command(|state, now| state.engine.pause(now, file))
    }

    /// Undoes [`pause`](Uploader::pause).
    ///
    /// # Errors
    ///
    /// As [`pause`](Uploader::pause).
    pub fn resume(&self, file: Option<FileId>) -> Result<(), Error> {
        self.command(|state, now| state.engine.resume(now, file))
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
        self.owner.shared.means.http.network_changed();
        let authorizer = self.owner.shared.lock().authorizer.clone();
        if let Some(authorizer) = authorizer {
            authorizer.network_changed();
        }
        self.always(|state, now| state.engine.network_changed(now));
    }

    /// Bytes per second of all files together; 0 is no limit. Is felt within about a second.
    pub fn set_limit(&self, bytes_per_second: u64) {
        self.owner.shared.means.limit.set(bytes_per_second);
    }

    /// The list, in order, as it stands now.
    pub fn files(&self) -> Vec<FileStatus> {
        let state = self.owner.shared.lock();
        let views = state.engine.files();
        let status = |view: vodferry_engine::FileView| {
            let entry = state.files.get(&view.id)?;
            Some(FileStatus {
                id: view.id,
                name: entry.file.name.clone(),
                path: entry.file.origin.path().map(Path::to_path_buf),
                state: view.state,
                acknowledged: view.acknowledged,
                total: view.total,
                video_id: view.video_id,
                target: view.target,
                image_url: entry.granted.image_url.clone(),
                object: entry.object.clone(),
                error: entry.error.clone(),
            })
        };
        views.into_iter().filter_map(status).collect()
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

    /// Releases the uploader and waits until its checkpoints are closed, so that another one can go on with them. Dropping all
    /// handles does the same without waiting.
    pub async fn close(self) {
        self.owner.shared.close();
        let ended = self.owner.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            let _ = ended.await;
        }
    }

    /// Does something to the engine that may be a wrong call.
    fn command<T>(
        &self,
        verb: impl FnOnce(&mut State, Now) -> Result<T, Misuse>,
    ) -> Result<T, Error> {
        let shared = &self.owner.shared;
        let mut state = shared.lock();
        if state.closed {
            return Err(Error::misuse("the uploader is closed"));
        }
        let done = verb(&mut state, shared.clock.now());
        drop(state);
        shared.wake.notify_one();
        Ok(done?)
    }

    /// Does something to the engine that is never wrong; nothing when the uploader is closed.
    fn always(&self, verb: impl FnOnce(&mut State, Now)) {
        let _ = self.command(|state, now| {
            verb(state, now);
            Ok(())
        });
    }
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
            Event::Succeeded { file, target, video_id, object } => {
                let known = uploader.files().into_iter().find(|status| status.id == file);
                let image_url = known.and_then(|status| status.image_url);
                result = Ok(Uploaded { target, video_id, image_url, object });
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

impl fmt::Debug for UploaderBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploaderBuilder").field("options", &self.options).finish_non_exhaustive()
    }
}
