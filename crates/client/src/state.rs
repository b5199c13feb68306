//! What is known of the list beyond the engine: sources, places, grants and the secrets behind them, and who wants to hear of it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use vodferry_engine::{
    Engine, ErrorInfo, ErrorKind, Event, FileId, Grant, GrantId, ObjectInfo, Target,
};
use vodferry_oss::Credential;

use crate::authorizer::Rights;
use crate::source::Source;
use crate::{Authorizer, Duplicates, Error, File, Holds, UploadGrant};

/// What is behind the lock of an uploader.
pub(crate) struct State {
    pub(crate) engine: Engine,
    /// By id, those removed included until nothing is under way.
    pub(crate) files: BTreeMap<FileId, Entry>,
    /// The grants, and the secrets behind them.
    pub(crate) grants: Grants,
    pub(crate) subscribers: Vec<UnboundedSender<Event>>,
    pub(crate) authorizer: Option<Arc<dyn Authorizer>>,
    pub(crate) duplicates: Duplicates,
    pub(crate) pause_on_metered: bool,
    pub(crate) holds: Holds,
    pub(crate) closed: bool,
    /// Files were taken out of the list and are not forgotten yet.
    pub(crate) removed: bool,
}

/// What the shell knows of a file beyond the engine.
pub(crate) struct Entry {
    pub(crate) file: Arc<File>,
    /// What tells it from other files where none may be in the list twice.
    place: Option<OsString>,
    /// Where it goes, once known.
    pub(crate) target: Option<Target>,
    /// What its grants said beyond the engine.
    pub(crate) granted: Granted,
    /// Open while a transfer has it.
    pub(crate) source: Option<Arc<Source>>,
    /// Tells the engine how the source grows, from the first look at it on.
    pub(crate) feed: Option<Feeding>,
    /// Bytes handed to the network and not acknowledged, as last told.
    pub(crate) in_flight: u64,
    pub(crate) object: Option<ObjectInfo>,
    pub(crate) error: Option<ErrorInfo>,
}

/// What is remembered of the grants of a file.
#[derive(Default)]
pub(crate) struct Granted {
    /// With which this attempt signed its last request.
    pub(crate) used: Option<GrantId>,
    /// Where the image will be seen.
    pub(crate) image_url: Option<String>,
}

/// A task that ends with its file.
pub(crate) struct Feeding(pub(crate) AbortHandle);

impl Drop for Feeding {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The grant table: what is behind the ids that the engine knows. Secrets stay here, and are wiped when dropped.
pub(crate) struct Grants {
    last: u64,
    table: HashMap<GrantId, (FileId, Arc<Rights>)>,
    /// Of grants that name none.
    region: Option<String>,
}

impl Grants {
    pub(crate) fn new(region: Option<String>) -> Grants {
        Grants { last: 0, table: HashMap::new(), region }
    }

    /// The grant as the engine sees it; `keep` it with [`Grants::keep`].
    pub(crate) fn issue(&mut self, grant: &UploadGrant) -> Grant {
        self.last += 1;
        Grant {
            id: GrantId(self.last),
            expires_at: grant.expires_at_ms,
            target: grant.target.clone(),
            video_id: grant.video_id.clone(),
        }
    }

    /// The credential behind `id`.
    pub(crate) fn credential(&self, id: Option<GrantId>) -> Option<Credential> {
        let (_, rights) = self.table.get(&id?)?;
        Some(rights.authority.credential.clone())
    }

    /// What is behind `id`.
    pub(crate) fn rights(&self, id: GrantId) -> Option<Arc<Rights>> {
        self.table.get(&id).map(|(_, rights)| rights.clone())
    }

    /// Keeps what is behind `id`.
    pub(crate) fn keep(&mut self, id: GrantId, file: FileId, grant: &UploadGrant) {
        let rights = grant.rights(self.region.as_deref());
        self.table.insert(id, (file, Arc::new(rights)));
    }
}

/// The one way to name what stands at a path: `./a`, `a` and a link to it are the same file. Not yet there, it is told by its path alone.
fn place_of(path: &Path) -> OsString {
    let place = path.canonicalize().or_else(|_| std::path::absolute(path));
    place.map_or_else(|_| path.as_os_str().to_owned(), PathBuf::into_os_string)
}

impl Entry {
    /// Of a file that is added.
    fn new(file: Arc<File>) -> Entry {
        let image_url = file.grant.as_ref().and_then(|grant| grant.image_url.clone());
        Entry {
            target: file.known_target(),
            file,
            place: None,
            granted: Granted { used: None, image_url },
            source: None,
            feed: None,
            in_flight: 0,
            object: None,
            error: None,
        }
    }

    /// Notes what its newest grant says.
    pub(crate) fn remember(&mut self, grant: &UploadGrant) {
        if grant.image_url.is_some() {
            self.granted.image_url.clone_from(&grant.image_url);
        }
        self.target = Some(grant.target.clone());
    }
}

impl State {
    /// Notes what an event says, and tells it to all who listen.
    pub(crate) fn publish(&mut self, mut event: Event, running: &watch::Sender<bool>) {
        match &mut event {
            Event::Started { file, target, .. } => self.note(*file, |entry| {
                entry.in_flight = 0;
                entry.object = None;
                entry.error = None;
                if target.is_some() {
                    entry.target.clone_from(target);
                }
            }),
            Event::Progress { file, in_flight, .. } => {
                self.note(*file, |entry| entry.in_flight = *in_flight);
            }
            Event::PartAcknowledged { file, part } => self.note(*file, |entry| {
                if let Some(source) = &entry.source {
                    source.release(part);
                }
            }),
            Event::Succeeded { file, target, object, .. } => self.note(*file, |entry| {
                entry.source = None;
                entry.feed = None;
                entry.target = Some(target.clone());
                object.image_url.clone_from(&entry.granted.image_url);
                entry.object = Some(object.clone());
            }),
            Event::Failed { file, error } => {
                self.note(*file, |entry| {
                    entry.source = None;
                    entry.error = Some(error.clone());
                });
                // It may have halted the run.
                running.send_replace(self.engine.is_running());
            }
            Event::Canceled { file } => self.note(*file, |entry| entry.source = None),
            _ => {}
        }
        // A failed file may end the run too. Not simply false: another run may have been started since.
        if matches!(event, Event::Ended { .. } | Event::Failed { .. }) {
            running.send_replace(self.engine.is_running());
        }
        self.subscribers.retain(|subscriber| subscriber.send(event.clone()).is_ok());
    }

    /// Whether a file may be added beside those that are in the list.
    pub(crate) fn check_duplicate(&self, file: &File) -> Result<(), Error> {
        let Some(path) = file.origin.path().filter(|_| self.duplicates == Duplicates::Refuse)
        else {
            return Ok(());
        };
        let (place, target) = (place_of(path), file.known_target());
        let same = |entry: &Entry| {
            entry.place.as_ref() == Some(&place) && entry.file.known_target() == target
        };
        let listed = self.files.iter().filter(|(_, entry)| same(entry));
        match listed.filter(|(id, _)| self.engine.file(**id).is_some()).count() {
            0 => Ok(()),
            _ => {
                let text = format!("{} is in the list already", path.display());
                Err(Error::new(ErrorKind::Misuse, "FileAlreadyExist", text))
            }
        }
    }

    /// Keeps what is known of a file that the engine took up.
    pub(crate) fn keep(&mut self, id: FileId, file: File) {
        let place = file.origin.path().filter(|_| self.duplicates == Duplicates::Refuse);
        let place = place.map(place_of);
        self.files.insert(id, Entry { place, ..Entry::new(Arc::new(file)) });
    }

    fn note(&mut self, file: FileId, change: impl FnOnce(&mut Entry)) {
        if let Some(entry) = self.files.get_mut(&file) {
            change(entry);
        }
    }

    /// Nothing is under way: forgets files that are not in the list any more, and their grants.
    pub(crate) fn sweep(&mut self) {
        let listed: HashSet<FileId> = self.engine.files().iter().map(|file| file.id).collect();
        self.files.retain(|id, _| listed.contains(id));
        self.grants.table.retain(|_, (file, _)| listed.contains(file));
        self.removed = false;
    }
}
