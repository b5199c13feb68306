//! The shell around the engine: takes effects from it, performs them, gives it the answers, tells the events.
//!
//! The engine sits behind a lock that is held for moments and never across an await or an upcall: verbs reach it from any thread, effects and
//! events are taken from it in one place only, so that they keep their order. What takes time runs beside it and answers
//! through a channel.

use std::collections::HashMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::sync::{Notify, watch};
use tokio::task::AbortHandle;
use tokio::time::Instant;
use vodferry_engine::{
    Effect, EffectId, ErrorKind, Event, Fault, FaultKind, FileId, Input, Output, Want,
};

use crate::clock::Clock;
use crate::perform::{Errand, Means, answer, perform};
use crate::source::{Origin, Source, fault};
use crate::state::{Feeding, State};
use crate::store::{Load, Store, Stored};
use crate::{Error, GrantRequest, UploadGrant};

/// How often to look whether the way to the network is still the same, while requests are under way.
const ROUTE_LOOK: Duration = Duration::from_secs(2);

/// What the verbs and the shell share.
pub(crate) struct Shared {
    pub(crate) state: Mutex<State>,
    /// Something was done to the engine: look what it wants.
    pub(crate) wake: Notify,
    /// Whether a run is under way.
    pub(crate) running: watch::Sender<bool>,
    /// Whether nothing is under way, and nothing waits for its time.
    pub(crate) idle: watch::Sender<bool>,
    /// Something happened to the list.
    pub(crate) changed: watch::Sender<()>,
    pub(crate) runtime: Handle,
    pub(crate) means: Means,
    pub(crate) clock: Clock,
}

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The authorizer has news.
    pub(crate) fn supplied(&self) {
        let mut state = self.lock();
        if !state.closed {
            state.engine.supplied(self.clock.now());
        }
        drop(state);
        self.wake.notify_one();
    }

    /// Nothing more is told, the shell ends.
    pub(crate) fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.subscribers.clear();
        self.running.send_replace(false);
        self.idle.send_replace(true);
        let authorizer = state.authorizer.take();
        drop(state);
        // Not under the lock: it may own a handle of this uploader.
        drop(authorizer);
        self.changed.send_replace(());
        self.wake.notify_one();
    }

    /// The way to the network is another one: nothing that was open counts any more.
    pub(crate) fn network_changed(&self) {
        self.means.http.network_changed();
        let authorizer = self.lock().authorizer.clone();
        if let Some(authorizer) = authorizer {
            authorizer.network_changed();
        }
        self.lock().engine.network_changed(self.clock.now());
        self.wake.notify_one();
    }
}

/// What comes back to the shell.
pub(crate) enum Told {
    /// Of an effect that is done.
    Done(EffectId, Input),
    /// Of a question to the authorizer.
    Granted(EffectId, FileId, Result<UploadGrant, Error>),
    /// Nobody asked: of a body on its way, or of how a source grows.
    Heard(Input),
    /// Of the store.
    Stored(Stored),
}

/// The one that performs the effects.
pub(crate) struct Shell {
    shared: Arc<Shared>,
    store: Store,
    tell: UnboundedSender<Told>,
    told: UnboundedReceiver<Told>,
    /// What takes time and is not done.
    under_way: HashMap<EffectId, AbortHandle>,
    /// When the way to the network was looked at last.
    looked: Instant,
    /// Something was told that nobody may have heard yet.
    spoken: bool,
}

impl Shell {
    pub(crate) fn new(
        shared: Arc<Shared>,
        store: Store,
        tell: UnboundedSender<Told>,
        told: UnboundedReceiver<Told>,
    ) -> Shell {
        let looked = Instant::now();
        Shell { shared, store, tell, told, under_way: HashMap::new(), looked, spoken: false }
    }

    /// Runs until the uploader is released.
    pub(crate) async fn run(mut self) {
        let shared = self.shared.clone();
        while let Some(deadline) = self.obey() {
            // Who listens may answer with a verb before more happens; on other threads nobody can promise that.
            if std::mem::take(&mut self.spoken) {
                tokio::task::yield_now().await;
            }
            let due = async {
                match deadline {
                    Some(at) => tokio::time::sleep_until(shared.clock.at(at)).await,
                    None => std::future::pending().await,
                }
            };
            // A request without an answer may be one whose address is gone: nothing but a look tells.
            let look = async {
                match self.under_way.is_empty() {
                    true => std::future::pending().await,
                    false => tokio::time::sleep_until(self.looked + ROUTE_LOOK).await,
                }
            };
            tokio::select! {
                () = shared.wake.notified() => {}
                told = self.told.recv() => if let Some(told) = told { self.take_all(told) },
                () = due => {}
                () = look => {
                    self.looked = Instant::now();
                    if shared.means.http.route_changed() {
                        shared.network_changed();
                    }
                }
            }
        }
    }

    /// Does what the engine wants, and gives the time until which it wants nothing more; `None` when the uploader is released.
    fn obey(&mut self) -> Option<Option<u64>> {
        let shared = self.shared.clone();
        loop {
            let mut state = shared.lock();
            if state.closed {
                return None;
            }
            let effect = loop {
                match state.engine.poll(shared.clock.now()) {
                    Output::Effect(effect) => break effect,
                    Output::Event(event) => {
                        if matches!(event, Event::Ended { .. }) {
                            shared.means.buffers.trim();
                        }
                        state.publish(event, &shared.running);
                        self.spoken = true;
                        shared.changed.send_replace(());
                    }
                    Output::Timeout(at) => {
                        let idle = at.is_none() && self.under_way.is_empty();
                        if idle && state.removed {
                            state.sweep();
                        }
                        shared.idle.send_if_modified(|was| std::mem::replace(was, idle) != idle);
                        return Some(at);
                    }
                }
            };
            self.perform(&mut state, effect);
        }
    }

    fn perform(&mut self, state: &mut State, effect: Effect) {
        match effect {
            Effect::Abandon { id } => {
                if let Some(work) = self.under_way.remove(&id) {
                    work.abort();
                }
            }
            Effect::AppendCheckpoint { id, file, record, sync } => {
                self.store.append(id, file, record, sync);
            }
            Effect::AskGrant { id, file, want } => self.ask(state, id, file, want),
            Effect::CloseCheckpoint { file } => self.store.close(file),
            Effect::LoadCheckpoint { id, file } => {
                let entry = state.files.get_mut(&file).map(|entry| {
                    entry.granted.used = None;
                    entry.file.clone()
                });
                // No path is one that cannot be opened: a file that is not known fails as it should.
                let unknown = || Origin::Path(PathBuf::new());
                let origin = entry.as_ref().map_or_else(unknown, |file| file.origin.clone());
                self.store.load(Load {
                    id,
                    file,
                    origin,
                    fixed: entry.as_ref().and_then(|file| file.known_target()),
                    sequential: entry.as_ref().is_some_and(|file| file.sequential),
                    foreign: entry.as_ref().and_then(|file| file.foreign.clone()),
                    part_size: entry.as_ref().map_or(0, |file| file.part_size),
                });
            }
            Effect::Perform { id, file, grant, op, clock_offset_ms } => {
                let rights = state.grants.rights(grant);
                let (Some(entry), Some(rights)) = (state.files.get_mut(&file), rights) else {
                    let text = "the credential is not known any more";
                    let lost = fault(FaultKind::Fatal(ErrorKind::Auth), "UnknownGrant", text);
                    let _ = self.tell.send(Told::Done(id, answer(id, Err(lost))));
                    return;
                };
                entry.granted.used = Some(grant);
                let errand = Errand {
                    id,
                    op,
                    rights,
                    source: entry.source.clone(),
                    spec: entry.file.spec(),
                    clock_offset_ms,
                    clock: self.shared.clock.clone(),
                };
                let shared = self.shared.clone();
                let tell = self.tell.clone();
                let sent = move |bytes| {
                    let _ = tell.send(Told::Heard(Input::Sent { id, bytes }));
                };
                let work =
                    async move { Told::Done(id, perform(&shared.means, errand, sent).await) };
                self.spawn(id, work, Told::Done(id, answer(id, Err(panicked()))));
            }
        }
    }

    fn ask(&mut self, state: &State, id: EffectId, file: FileId, want: Want) {
        let (Some(authorizer), Some(entry)) = (state.authorizer.clone(), state.files.get(&file))
        else {
            let text = "nobody is there to hand out grants";
            let nobody = Error::new(ErrorKind::Auth, "NoAuthorizer", text);
            let _ = self.tell.send(Told::Granted(id, file, Err(nobody)));
            return;
        };
        let name = entry.file.name.clone();
        let kind = entry.file.media_kind();
        let offset = state.engine.clock_offset_ms();
        let now_ms = self.shared.clock.wall_ms().saturating_add(offset);
        let request = match want {
            Want::Create => GrantRequest::Create {
                name,
                title: entry.file.title_or_stem(),
                size: entry.source.as_ref().and_then(|s| s.identity().length).unwrap_or(0),
                kind,
                media: entry.file.media.clone(),
                now_ms,
            },
            Want::Refresh { video_id } => GrantRequest::Refresh {
                name,
                kind,
                video_id,
                target: entry.target.clone(),
                replaces: state.grants.credential(entry.granted.used),
                now_ms,
            },
        };
        let owner = entry.file.clone();
        let work = async move {
            let answer = authorizer.authorize(request).await;
            Told::Granted(id, file, answer.and_then(|grant| owner.placed(grant)))
        };
        self.spawn(id, work, Told::Granted(id, file, Err(panicked().into())));
    }

    /// Runs `work` beside the shell; `broken` is told when it panics, so that the engine never waits for an answer that cannot come.
    fn spawn(
        &mut self,
        id: EffectId,
        work: impl Future<Output = Told> + Send + 'static,
        broken: Told,
    ) {
        let tell = self.tell.clone();
        let spawned = tokio::spawn(async move {
            let told = AssertUnwindSafe(work).catch_unwind().await.unwrap_or(broken);
            let _ = tell.send(told);
        });
        self.under_way.insert(id, spawned.abort_handle());
    }

    /// Lets a source that grows tell the engine how.
    fn feed(&self, file: FileId, source: &Source, part_size: u64) -> Option<Feeding> {
        let tell = self.tell.clone();
        let most = self.shared.means.most_of_stream(part_size);
        let feed = source.feed(file, most, move |input| tell.send(Told::Heard(input)).is_ok())?;
        Some(Feeding(tokio::spawn(feed).abort_handle()))
    }

    /// Gives the engine what came, and what came behind it.
    fn take_all(&mut self, first: Told) {
        let shared = self.shared.clone();
        let mut state = shared.lock();
        let mut next = Some(first);
        while let Some(told) = next {
            let input = self.take(&mut state, told);
            state.engine.handle(shared.clock.now(), input);
            next = self.told.try_recv().ok();
        }
    }

    fn take(&mut self, state: &mut State, told: Told) -> Input {
        match told {
            Told::Done(id, input) => {
                self.under_way.remove(&id);
                input
            }
            Told::Granted(id, file, result) => {
                self.under_way.remove(&id);
                let result = result.map_err(Error::into_fault).map(|grant| {
                    let issued = state.grants.issue(&grant);
                    state.grants.keep(issued.id, file, &grant);
                    if let Some(entry) = state.files.get_mut(&file) {
                        entry.remember(&grant);
                    }
                    issued
                });
                Input::Granted { id, result }
            }
            Told::Heard(input) | Told::Stored(Stored::Appended(input)) => input,
            Told::Stored(Stored::Loaded { id, file, result }) => {
                let result = result.map(|(source, checkpoint)| {
                    let identity = source.identity().clone();
                    if let Some(begin) = checkpoint.as_ref().map(|checkpoint| &checkpoint.begin) {
                        source.resumes(begin);
                    }
                    if let Some(entry) = state.files.get_mut(&file) {
                        if entry.feed.is_none() {
                            entry.feed = self.feed(file, &source, entry.file.part_size);
                        }
                        entry.source = Some(source);
                    }
                    (identity, checkpoint)
                });
                Input::Loaded { id, result }
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        for work in self.under_way.values() {
            work.abort();
        }
    }
}

fn panicked() -> Fault {
    fault(FaultKind::Fatal(ErrorKind::Misuse), "Panicked", "the code asked for an answer panicked")
}
