//! All checkpoints of an uploader, behind one thread: what is asked first is done first, so that records keep their order and a
//! checkpoint is closed before it is opened again. The thread also opens the sources, as their identity names their checkpoints.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use vodferry_engine::{
    Checkpoint, EffectId, ErrorKind, Fault, FaultKind, FileId, Input, Record, Target,
};

use crate::clock::{Clock, Hold};
use crate::foreign::Wanted;
use crate::journal::{Contents, Journal, Refusal, sync_folder};
use crate::source::{Origin, Source, checkpoint_name, fault};
use crate::{Error, OnBusy};

/// Journals that a transfer of this process holds: a second one starts without, where one of another process is refused.
static HELD: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// Behind the names of checkpoints whose uploads take parts in order only: such an upload is no good for others, nor the reverse.
pub(crate) const SEQUENTIAL: &str = "-sequential";

/// Between two looks at a checkpoint that another process holds.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What the thread tells back.
pub(crate) enum Stored {
    /// Answers an append.
    Appended(Input),
    /// Answers a load.
    Loaded { id: EffectId, file: FileId, result: Result<(Arc<Source>, Option<Checkpoint>), Fault> },
}

/// The line to the thread. Dropping it lets the thread finish what was asked, close everything and end.
#[derive(Debug)]
pub(crate) struct Store {
    ask: mpsc::Sender<(Ask, Option<Hold>)>,
    /// Stands still while the thread has something to answer, if it can.
    clock: Clock,
}

enum Ask {
    Append { id: EffectId, file: FileId, record: Record, sync: bool },
    Close { file: FileId },
    Load(Load),
}

/// A source to be opened, with the checkpoint of its content.
pub(crate) struct Load {
    pub(crate) id: EffectId,
    pub(crate) file: FileId,
    pub(crate) origin: Origin,
    /// The place, where the caller fixed it.
    pub(crate) fixed: Option<Target>,
    /// Its parts go in order, into an upload that takes them in no other.
    pub(crate) sequential: bool,
    /// Where records of another SDK may be, of an upload to the fixed place.
    pub(crate) foreign: Option<PathBuf>,
    /// Bytes per part as asked for this file; 0: as for all.
    pub(crate) part_size: u64,
}

impl Store {
    /// Starts the thread. `dir`: where journals are; `None`: in memory. `part_size`: of files that ask for none; 0: nobody did. The
    /// receiver hears when the thread has ended.
    pub(crate) fn start(
        dir: Option<PathBuf>,
        on_busy: OnBusy,
        part_size: u64,
        clock: Clock,
        tell: impl Fn(Stored) + Send + 'static,
    ) -> Result<(Store, oneshot::Receiver<()>), Error> {
        let (ask, inbox) = mpsc::channel::<(Ask, Option<Hold>)>();
        let (ended, has_ended) = oneshot::channel();
        let work = move || {
            let mut keeper = Keeper::new(dir, on_busy, part_size);
            loop {
                let asked = match keeper.look_again_at() {
                    None => inbox.recv().map_err(RecvTimeoutError::from),
                    Some(at) => inbox.recv_timeout(at.saturating_duration_since(Instant::now())),
                };
                match asked {
                    Ok((ask, _hold)) => keeper.serve(ask).into_iter().for_each(&tell),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
                keeper.look_again().into_iter().for_each(&tell);
            }
            drop(keeper);
            let _ = ended.send(());
        };
        std::thread::Builder::new().name("vodferry-store".into()).spawn(work).map_err(|error| {
            Error::new(ErrorKind::Storage, "NoThread", "cannot start a thread").with_source(error)
        })?;
        Ok((Store { ask, clock }, has_ended))
    }

    /// Opens a source, and its checkpoint.
    pub(crate) fn load(&self, load: Load) {
        self.send(Ask::Load(load));
    }

    /// Appends to the checkpoint of `file`.
    pub(crate) fn append(&self, id: EffectId, file: FileId, record: Record, sync: bool) {
        self.send(Ask::Append { id, file, record, sync });
    }

    /// Lets go of the checkpoint of `file`.
    pub(crate) fn close(&self, file: FileId) {
        self.send(Ask::Close { file });
    }

    fn send(&self, ask: Ask) {
        let _ = self.ask.send((ask, self.clock.hold()));
    }
}

/// What the thread knows.
struct Keeper {
    dir: Option<PathBuf>,
    on_busy: OnBusy,
    part_size: u64,
    /// Those who wait until another process lets go.
    waiting: Vec<Load>,
    looked: Instant,
    open: HashMap<FileId, Open>,
    /// Checkpoints without a folder, by name.
    memory: HashMap<PathBuf, Vec<Record>>,
}

/// What a transfer holds.
struct Open {
    /// Where the source is, a hint for people.
    path: Option<PathBuf>,
    /// Where the records go, and under which name it is held.
    place: Option<(PathBuf, Place)>,
    /// Why they go nowhere: told once, when the first would be lost.
    refused: Option<Fault>,
    /// The last append failed, and that was told.
    failing: bool,
}

enum Place {
    Disk(Journal),
    Memory,
}

impl Keeper {
    fn new(dir: Option<PathBuf>, on_busy: OnBusy, part_size: u64) -> Keeper {
        let (open, memory) = (HashMap::new(), HashMap::new());
        let (waiting, looked) = (Vec::new(), Instant::now());
        Keeper { dir, on_busy, part_size, waiting, looked, open, memory }
    }

    /// When somebody who waits is to be looked at.
    fn look_again_at(&self) -> Option<Instant> {
        (!self.waiting.is_empty()).then(|| self.looked + LOOK_AGAIN)
    }

    /// Looks whether those who wait need to no more; gives the answers to those.
    fn look_again(&mut self) -> Vec<Stored> {
        if self.look_again_at().is_none_or(|at| Instant::now() < at) {
            return Vec::new();
        }
        self.looked = Instant::now();
        let waiting = std::mem::take(&mut self.waiting);
        waiting.into_iter().filter_map(|load| self.serve(Ask::Load(load))).collect()
    }

    fn serve(&mut self, ask: Ask) -> Option<Stored> {
        match ask {
            Ask::Append { id, file, record, sync } => {
                let result = self.append(file, record, sync);
                Some(Stored::Appended(Input::Appended { id, result }))
            }
            Ask::Close { file } => {
                self.close(file);
                None
            }
            Ask::Load(load) => {
                let (id, file) = (load.id, load.file);
                let result = self.load(&load);
                let busy = |fault: &Fault| fault.kind == FaultKind::Fatal(ErrorKind::Busy);
                if self.on_busy == OnBusy::Wait && result.as_ref().err().is_some_and(busy) {
                    self.waiting.push(load);
                    return None;
                }
                Some(Stored::Loaded { id, file, result })
            }
        }
    }

    fn load(&mut self, load: &Load) -> Result<(Arc<Source>, Option<Checkpoint>), Fault> {
        let Load { file, origin, fixed, sequential, .. } = load;
        let file = *file;
        self.close(file);
        let source = Source::open(origin)?;
        let mut name = checkpoint_name(source.identity(), fixed.as_ref());
        if *sequential {
            name.push_str(SEQUENTIAL);
        }
        let (place, checkpoint, refused) = match self.dir.clone() {
            None => self.in_memory(name),
            Some(dir) => self.on_disk(&dir, &name, &source)?,
        };
        let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let path = origin.path().map(absolute);
        self.open.insert(file, Open { path, place, refused, failing: false });
        let checkpoint = match checkpoint {
            // Who has neither a checkpoint nor a place for one begins anew.
            None if self.open.get(&file).is_some_and(|open| open.place.is_some()) => {
                self.adopt(load, &source)
            }
            found => found,
        };
        Ok((Arc::new(source), checkpoint))
    }

    /// A checkpoint made of what another SDK left of this upload, where it left anything.
    fn adopt(&mut self, load: &Load, source: &Source) -> Option<Checkpoint> {
        let (Some(dir), Some(target)) = (&load.foreign, &load.fixed) else { return None };
        let part_size = if load.part_size == 0 { self.part_size } else { load.part_size };
        let wanted = Wanted { dir, target, part_size, sequential: load.sequential };
        let begin = Record::Begin(wanted.find(source)?);
        // What follows in the checkpoint has to be of this upload.
        self.append(load.file, begin.clone(), true).ok()?;
        Checkpoint::replay([begin])
    }

    fn in_memory(&mut self, name: String) -> Found {
        let name = PathBuf::from(name);
        if self.holds(&name) {
            return (None, None, Some(held_here()));
        }
        let records = self.memory.entry(name.clone()).or_default();
        let checkpoint = Checkpoint::replay(records.iter().cloned());
        (Some((name, Place::Memory)), checkpoint, None)
    }

    fn on_disk(&self, dir: &Path, name: &str, source: &Source) -> Result<Found, Fault> {
        let path = dir.join(name);
        let shown = path.display();
        if self.holds(&path) || !patiently(|| held().insert(path.clone()), |done| *done) {
            return Ok((None, None, Some(held_here())));
        }
        let opened = make_folder(dir).map_err(Refusal::Io).and_then(|()| self.open(&path));
        let refused = match opened {
            Ok((journal, contents)) => {
                let checkpoint = Checkpoint::replay(contents.records);
                if checkpoint.as_ref().is_none_or(|found| found.begin.source == *source.identity())
                {
                    return Ok((Some((path, Place::Disk(journal))), checkpoint, None));
                }
                let text = format!("{shown} is the checkpoint of another file; it is left alone");
                storage("CheckpointForeign", text)
            }
            Err(Refusal::Foreign) => {
                let text = format!("{shown} is damaged or not a checkpoint; it is left alone");
                storage("CheckpointForeign", text)
            }
            Err(Refusal::Io(error)) => {
                storage("CheckpointOpen", format!("cannot open {shown}: {error}"))
            }
            Err(Refusal::Busy) => {
                held().remove(&path);
                let text = "another process is uploading this file";
                return Err(fault(FaultKind::Fatal(ErrorKind::Busy), "Busy", text));
            }
        };
        held().remove(&path);
        Ok((None, None, Some(refused)))
    }

    /// Opens a journal; one that is locked may be that of a process being killed. Who waits comes again anyway.
    fn open(&self, path: &Path) -> Result<(Journal, Contents), Refusal> {
        match self.on_busy {
            OnBusy::Fail => {
                patiently(|| Journal::open(path), |opened| !matches!(opened, Err(Refusal::Busy)))
            }
            OnBusy::Wait => Journal::open(path),
        }
    }

    /// Whether another entry of this list has the checkpoint of this name.
    fn holds(&self, name: &Path) -> bool {
        let held = |open: &Open| open.place.as_ref().is_some_and(|(held, _)| held == name);
        self.open.values().any(held)
    }

    fn append(&mut self, file: FileId, record: Record, sync: bool) -> Result<(), Fault> {
        let Some(open) = self.open.get_mut(&file) else { return Ok(()) };
        match &mut open.place {
            Some((name, Place::Memory)) => {
                let records = self.memory.entry(name.clone()).or_default();
                match record {
                    Record::Begin(_) => *records = vec![record],
                    Record::End => records.clear(),
                    Record::Length(_) | Record::Part(_) => records.push(record),
                }
                Ok(())
            }
            Some((name, Place::Disk(journal))) => {
                let Err(error) = journal.append(&record, open.path.as_deref(), sync) else {
                    open.failing = false;
                    return Ok(());
                };
                // A full disk is told once, not with every part; what was to be synced is told always.
                if std::mem::replace(&mut open.failing, true) && !sync {
                    return Ok(());
                }
                let shown = name.display();
                Err(storage("CheckpointWrite", format!("cannot write {shown}: {error}")))
            }
            None => open.refused.take().map_or(Ok(()), Err),
        }
    }

    fn close(&mut self, file: FileId) {
        self.waiting.retain(|load| load.file != file);
        if let Some(Open { place: Some((name, Place::Disk(journal))), .. }) =
            self.open.remove(&file)
        {
            journal.close();
            held().remove(&name);
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let files: Vec<FileId> = self.open.keys().copied().collect();
        for file in files {
            self.close(file);
        }
    }
}

type Found = (Option<(PathBuf, Place)>, Option<Checkpoint>, Option<Fault>);

/// Tries for a moment: what is held by somebody about to go becomes free.
fn patiently<T>(attempt: impl Fn() -> T, done: impl Fn(&T) -> bool) -> T {
    for _ in 0..5 {
        let result = attempt();
        if done(&result) {
            return result;
        }
        std::thread::sleep(Duration::from_millis(40));
    }
    attempt()
}

/// Makes a folder for records and those above it, for their owner alone, and so that they survive a power loss: what is synced in them
/// would go with them.
pub(crate) fn make_folder(dir: &Path) -> std::io::Result<()> {
    let dir = std::path::absolute(dir)?;
    let missing: Vec<&Path> = dir.ancestors().take_while(|folder| !folder.exists()).collect();
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(&dir)?;
    for made in missing {
        match sync_folder(made) {
            // In a folder that may be entered but not read: whoever made that one keeps it.
            Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

fn held() -> std::sync::MutexGuard<'static, HashSet<PathBuf>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn held_here() -> Fault {
    storage(
        "CheckpointHeld",
        "another upload of the same file holds the checkpoint; this one cannot be resumed later",
    )
}

fn storage(code: &str, message: impl Into<String>) -> Fault {
    fault(FaultKind::Transient(ErrorKind::Storage), code, message)
}
