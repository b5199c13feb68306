//! Plays a scenario against the public `Uploader`, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::Instant;
use vodferry::{
    Backoff, Budget, Clock, Error, ErrorKind, Event, Events, FileId, FileState, Growth, Uploader,
};

use crate::app::{Grants, Source};
use crate::format::{
    Expected, Kind, Mode, OnCancel, OnPartFailure, Scenario, SourceKind, State, Step, Verb,
};
use crate::server::{Seen, Store};

/// What the device's wall clock shows when a replay begins: 2026-01-01T00:00:00Z.
const BEGIN_MS: i64 = 1_767_225_600_000;

/// What was told, and what else the judge wants to know.
pub(crate) struct Trace {
    pub(crate) events: Vec<Told>,
    /// The list at the end.
    pub(crate) end: Vec<(String, State)>,
    pub(crate) seen: Seen,
    /// Steps that never came, calls that were not answered as they should be, lists that were others.
    pub(crate) wrongs: Vec<String>,
    /// What was called in which state.
    pub(crate) cells: BTreeSet<Cell>,
}

/// An event, as a scenario writes it, when it came, and its figures.
pub(crate) struct Told {
    pub(crate) at_ms: u64,
    pub(crate) what: Expected,
    /// Of Progress: acknowledged, in flight and total.
    pub(crate) figure: Option<(u64, u64, Option<u64>)>,
    /// Of Succeeded: whether the object is the file.
    pub(crate) whole: bool,
}

/// A verb was called while the list was so, and the file so (a verb of the list: while it held a file in that state).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) verb: Verb,
    /// Whether it was called for one file.
    pub(crate) of_file: bool,
    pub(crate) list: ListState,
    /// `None`: not in the list, or an empty list.
    pub(crate) file: Option<State>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ListState {
    Stopped,
    Running,
    Paused,
}

/// Plays `scenario` to its end.
pub(crate) fn replay(scenario: &Scenario) -> Trace {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    runtime.block_on(async { Replay::new(scenario).run().await })
}

struct Replay<'a> {
    scenario: &'a Scenario,
    began: Instant,
    clock: Clock,
    store: Store,
    grants: Arc<Grants>,
    sources: BTreeMap<String, Source>,
    /// The writers of growing files.
    growths: BTreeMap<String, Growth>,
    /// Records, and growing files.
    records: tempfile::TempDir,
    uploader: Option<Uploader>,
    events: Option<Events>,
    /// Every file that was added, by what the scenario calls it; later ones win.
    ids: BTreeMap<String, FileId>,
    names: BTreeMap<FileId, String>,
    /// How often each event of each file was told.
    counts: BTreeMap<(Kind, Option<String>), u32>,
    trace: Trace,
}

impl<'a> Replay<'a> {
    fn new(scenario: &'a Scenario) -> Replay<'a> {
        let clock = Clock::scripted(BEGIN_MS);
        let store = Store::new(&scenario.server, BEGIN_MS + scenario.server.ahead_s * 1000);
        let source = |(name, file): (&String, &crate::format::File)| {
            let size = file.size?;
            // Two files never have the same content: they would have the same checkpoint.
            let seed = name
                .bytes()
                .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
            Some((name.clone(), Source::new(size, seed)))
        };
        Replay {
            scenario,
            began: Instant::now(),
            grants: Arc::new(Grants::new(&scenario.authority, store.clone())),
            sources: scenario.files.iter().filter_map(source).collect(),
            growths: BTreeMap::new(),
            records: tempfile::tempdir().expect("a temporary folder"),
            uploader: None,
            events: None,
            ids: BTreeMap::new(),
            names: BTreeMap::new(),
            counts: BTreeMap::new(),
            trace: Trace {
                events: Vec::new(),
                end: Vec::new(),
                seen: store.seen(),
                wrongs: Vec::new(),
                cells: BTreeSet::new(),
            },
            clock,
            store,
        }
    }

    async fn run(mut self) -> Trace {
        self.open();
        let scenario = self.scenario;
        let mut timed = Vec::new();
        let mut at = 0;
        for step in scenario.steps.iter().filter(|step| step.when.is_none()) {
            at = step.at_ms.unwrap_or(at);
            timed.push((at, step));
        }
        let end = scenario.until_s * 1000;
        let mut handled = vec![false; scenario.steps.len()];
        let mut next = 0;
        loop {
            let step = timed.get(next).copied();
            let until = self.began + Duration::from_millis(step.map_or(end, |(at, _)| at.min(end)));
            // What is told at the moment of a step is told before it.
            tokio::select! {
                biased;
                event = told(&mut self.events) => match event {
                    Some(event) => self.hear(event, &mut handled).await,
                    None => self.events = None,
                },
                () = tokio::time::sleep_until(until) => match step {
                    Some((at, step)) if at <= end => {
                        self.take(step).await;
                        next += 1;
                    }
                    _ => break,
                },
            }
        }
        for (at, step) in scenario.steps.iter().enumerate() {
            if step.when.is_some() && !handled[at] {
                self.trace.wrongs.push(format!("step {at} never came: its event was not told"));
            }
        }
        if next < timed.len() {
            self.trace.wrongs.push("the scenario ends before its last step".into());
        }
        self.trace.end = self.list();
        if let Some(uploader) = self.uploader.take() {
            uploader.close().await;
        }
        self.trace.seen = self.store.seen();
        self.trace
    }

    fn open(&mut self) {
        let mut builder = Uploader::builder()
            .options(options(self.scenario, self.records.path()))
            .http(Arc::new(self.store.clone()))
            .clock(self.clock.clone());
        if self.scenario.authority.mode == Mode::Authorizer {
            let grants = self.grants.clone();
            builder = builder.authorizer(move |request| grants.clone().answer(request));
        }
        let uploader = builder.build().expect("options that are none of the scenario's business");
        self.events = Some(uploader.events());
        self.uploader = Some(uploader);
    }

    async fn hear(&mut self, event: Event, handled: &mut [bool]) {
        let told = self.told(event);
        let (kind, file) = (told.what.event.expect("its name"), told.what.file.clone());
        let push = kind == Kind::Started && self.scenario.authority.mode == Mode::Pushed;
        let video = told.what.video.clone();
        self.trace.events.push(told);
        for key in BTreeSet::from([(kind, None), (kind, file.clone())]) {
            *self.counts.entry(key).or_default() += 1;
        }
        if let (true, Some(name)) = (push, &file) {
            let grant = self.grants.push(name, video, self.scenario.authority.life_s, None);
            if let (Some(uploader), Some(id)) = (&self.uploader, self.ids.get(name)) {
                // A file that has failed meanwhile takes none.
                let _ = uploader.authorize(*id, grant);
            }
        }
        for (at, step) in self.scenario.steps.iter().enumerate() {
            let Some(when) = &step.when else { continue };
            let count = self.counts.get(&(kind, when.file.clone()));
            let fits = when.event == kind
                && (when.file.is_none() || when.file == file)
                && count == Some(&when.nth);
            if fits && !handled[at] {
                handled[at] = true;
                self.take(step).await;
            }
        }
    }

    /// The event in the words of a scenario.
    fn told(&self, event: Event) -> Told {
        let name = |id: FileId| self.names.get(&id).cloned();
        let mut figure = None;
        let mut whole = true;
        let error = |kind: Kind, file, error: vodferry::ErrorInfo| Expected {
            event: Some(kind),
            file: name(file),
            code: Some(error.code),
            kind: Some(format!("{:?}", error.kind)),
            ..Expected::default()
        };
        let plain = |kind: Kind, file: Option<String>, video: Option<String>| Expected {
            event: Some(kind),
            file,
            video,
            ..Expected::default()
        };
        let what = match event {
            Event::Canceled { file } => plain(Kind::Canceled, name(file), None),
            Event::Ended { last } => plain(Kind::Ended, last.and_then(name), None),
            Event::Failed { file, error: info } => error(Kind::Failed, file, info),
            Event::Progress { file, acknowledged, in_flight, total } => {
                figure = Some((acknowledged, in_flight, total));
                plain(Kind::Progress, name(file), None)
            }
            Event::Resumed { file, parts, .. } => {
                Expected { parts: Some(parts), ..plain(Kind::Resumed, name(file), None) }
            }
            Event::Retry { file, error: info, delay_ms } => {
                Expected { delay_ms: Some(delay_ms), ..error(Kind::Retry, file, info) }
            }
            Event::RetryResume { file } => plain(Kind::RetryResume, name(file), None),
            Event::Started { file, video_id, .. } => plain(Kind::Started, name(file), video_id),
            Event::Succeeded { file, target, video_id, object } => {
                let source = name(file).and_then(|name| self.sources.get(&name));
                whole = self.store.object(&target.key) == source.map(Source::bytes);
                let verified = Some(object.verified);
                Expected { verified, ..plain(Kind::Succeeded, name(file), video_id) }
            }
            Event::TokenExpired { file, video_id } => {
                plain(Kind::TokenExpired, name(file), video_id)
            }
            Event::Warning { file, error: info } => error(Kind::Warning, file, info),
            // Told with each Progress, for those who draw parts.
            _ => plain(Kind::Progress, None, None),
        };
        Told { at_ms: self.passed_ms(), what, figure, whole }
    }

    /// Does what a step says, and compares how it was answered.
    async fn take(&mut self, step: &Step) {
        self.note(step);
        let at = self.passed_ms();
        match step.verb {
            Verb::Change => {
                let source = step.file.as_ref().and_then(|name| self.sources.get(name));
                source.into_iter().for_each(Source::change);
            }
            Verb::Grow | Verb::Finish | Verb::GiveUp => self.write(step),
            Verb::Release => self.release().await,
            Verb::Restart => {
                self.release().await;
                self.open();
            }
            Verb::SetClock => self.clock.jump(step.by_s.unwrap_or(0) * 1000),
            Verb::List => {
                let list = self.list();
                if step.is.as_ref() != Some(&list) {
                    let wrong = format!("{at}: the list is {list:?}, not {:?}", step.is);
                    self.trace.wrongs.push(wrong);
                }
            }
            verb => {
                let Some(uploader) = self.uploader.clone() else {
                    return self.trace.wrongs.push(format!("{at}: the uploader is released"));
                };
                match (self.call(&uploader, step), step.misuse) {
                    (Ok(()), false) => {}
                    (Err(error), true) if error.kind() == ErrorKind::Misuse => {}
                    (Ok(()), true) => {
                        self.trace.wrongs.push(format!("{at}: {verb:?} was not refused"));
                    }
                    (Err(error), _) => {
                        self.trace.wrongs.push(format!("{at}: {verb:?} was refused: {error}"));
                    }
                }
            }
        }
    }

    /// Calls a verb.
    fn call(&mut self, uploader: &Uploader, step: &Step) -> Result<(), Error> {
        let name = step.file.clone().unwrap_or_default();
        // What a scenario calls by a name that was never added is some id that never was.
        let file = self.ids.get(&name).copied().unwrap_or(FileId(u64::MAX));
        let one = step.file.as_ref().map(|_| file);
        let yes = step.to == Some(true);
        match step.verb {
            Verb::Add => {
                let id = uploader.add(self.file(&name, step))?;
                self.ids.insert(name.clone(), id);
                self.names.insert(id, name);
            }
            Verb::Authorize => {
                let video = uploader.file(file).and_then(|file| file.video_id);
                let grant = self.grants.push(&name, video, step.life_s, step.key.clone());
                uploader.authorize(file, grant)?;
            }
            Verb::Cancel => uploader.cancel(file)?,
            Verb::Clear => uploader.clear(),
            Verb::NetworkChanged => uploader.network_changed(),
            Verb::Pause => uploader.pause(one)?,
            Verb::Remove => uploader.remove(file)?,
            Verb::Restore => uploader.restore(file)?,
            Verb::Resume => uploader.resume(one)?,
            Verb::SetMetered => uploader.set_metered(yes),
            Verb::SetOnline => uploader.set_online(yes),
            Verb::SetPriority => uploader.set_priority(file, step.priority.unwrap_or_default())?,
            Verb::Start => uploader.start(),
            Verb::Stop => uploader.stop(),
            Verb::Change
            | Verb::Finish
            | Verb::GiveUp
            | Verb::Grow
            | Verb::List
            | Verb::Release
            | Verb::Restart
            | Verb::SetClock => {}
        }
        Ok(())
    }

    /// The writer of a growing file does something.
    fn write(&mut self, step: &Step) {
        let name = step.file.clone().unwrap_or_default();
        match (step.verb, step.range) {
            (Verb::Grow, Some((from, to))) => {
                self.growths.get(&name).into_iter().for_each(|growth| growth.ready(from..to));
            }
            (Verb::Finish, _) => {
                let size = self.scenario.files.get(&name).and_then(|file| file.size);
                let growth = self.growths.remove(&name);
                growth.into_iter().for_each(|growth| growth.finish(size.unwrap_or_default()));
            }
            _ => drop(self.growths.remove(&name)),
        }
    }

    async fn release(&mut self) {
        self.events = None;
        self.ids.clear();
        if let Some(uploader) = self.uploader.take() {
            uploader.close().await;
        }
        self.growths.clear();
    }

    /// Notes in which state a verb is called.
    fn note(&mut self, step: &Step) {
        let Some(uploader) = &self.uploader else { return };
        let Some(Some(now)) = uploader.snapshots().next().now_or_never() else { return };
        let list = match (now.running, now.held.any()) {
            (false, _) => ListState::Stopped,
            (true, true) => ListState::Paused,
            (true, false) => ListState::Running,
        };
        let files = now.files;
        let of_file = step.file.is_some() && step.verb != Verb::Add;
        let states: Vec<Option<State>> = match step.file.as_ref().filter(|_| of_file) {
            Some(name) => {
                let id = self.ids.get(name);
                let file = files.iter().find(|file| Some(&file.id) == id);
                vec![file.map(|file| state(file.state))]
            }
            None if files.is_empty() => vec![None],
            None => files.iter().map(|file| Some(state(file.state))).collect(),
        };
        // Whoever restarts releases first.
        let released = (step.verb == Verb::Restart).then_some(Verb::Release);
        for verb in released.into_iter().chain([step.verb]) {
            let cell = |file: &Option<State>| Cell { verb, of_file, list, file: *file };
            self.trace.cells.extend(states.iter().map(cell));
        }
    }

    fn list(&self) -> Vec<(String, State)> {
        let files = self.uploader.as_ref().map(Uploader::files).unwrap_or_default();
        let name = |id| self.names.get(&id).cloned().unwrap_or_default();
        files.into_iter().map(|file| (name(file.id), state(file.state))).collect()
    }

    fn file(&mut self, name: &str, step: &Step) -> vodferry::File {
        let kind = self.scenario.files.get(name).map(|file| file.source);
        let full = format!("{name}.mp4");
        let mut file = match (self.sources.get(name), kind) {
            (None, _) => vodferry::File::path(self.records.path().join("gone").join(name)),
            (Some(source), Some(SourceKind::Stream)) => {
                vodferry::File::reader(full, std::io::Cursor::new(source.bytes()))
            }
            (Some(source), Some(SourceKind::Growing)) => {
                let path = self.records.path().join(full);
                std::fs::write(&path, source.bytes()).expect("a file");
                let (file, growth) = vodferry::File::growing(path);
                self.growths.insert(name.to_owned(), growth);
                file
            }
            (Some(source), _) => vodferry::File::content(full, source.now()),
        };
        if let Some(priority) = step.priority {
            file = file.priority(priority);
        }
        if let Some(bytes) = step.part_size {
            file = file.part_size(bytes);
        }
        if self.scenario.authority.mode == Mode::Given {
            file = file.grant(self.grants.push(name, None, self.scenario.authority.life_s, None));
        }
        file
    }

    fn passed_ms(&self) -> u64 {
        self.began.elapsed().as_millis() as u64
    }
}

/// The next event; never, when the uploader is released.
async fn told(events: &mut Option<Events>) -> Option<Event> {
    match events {
        Some(events) => events.next().await,
        None => std::future::pending().await,
    }
}

fn options(scenario: &Scenario, records: &std::path::Path) -> vodferry::Options {
    let asked = &scenario.options;
    let mut options = vodferry::Options::default();
    options.part_size = asked.part_size;
    options.parallel = asked.parallel;
    options.max_in_flight = asked.max_in_flight;
    options.files_at_once = asked.files_at_once;
    options.retry.budget = match asked.retry_s {
        0 => Budget::Count(asked.retry_count),
        seconds => Budget::Time { ms: seconds * 1000 },
    };
    options.retry.backoff = Backoff::Fixed { ms: asked.retry_pause_ms };
    options.on_cancel = match asked.on_cancel {
        OnCancel::Keep => vodferry::OnCancel::Keep,
        OnCancel::Abort => vodferry::OnCancel::Abort,
    };
    options.on_part_failure = match asked.on_part_failure {
        OnPartFailure::StopAtOnce => vodferry::OnPartFailure::StopAtOnce,
        OnPartFailure::FinishOthers => vodferry::OnPartFailure::FinishOthers,
    };
    options.halt_on_failure = asked.halt_on_failure;
    options.restart_failed = asked.restart_failed;
    options.progress_interval = Duration::from_millis(asked.progress_interval_ms);
    options.find_orphans = asked.find_orphans;
    options.pause_on_metered = asked.pause_on_metered;
    options.record_dir = Some(records.join("records"));
    options
}

fn state(state: FileState) -> State {
    match state {
        FileState::Waiting => State::Waiting,
        FileState::Active => State::Active,
        FileState::Paused => State::Paused,
        FileState::Expired => State::Expired,
        FileState::Succeeded => State::Succeeded,
        FileState::Failed => State::Failed,
        FileState::Canceled => State::Canceled,
    }
}
