//! A file system in memory whose power fails.
//!
//! It promises what POSIX promises and not a byte more. The bytes of a file are safe once the file was
//! synced; before, each write may have happened, not happened, or happened in part, in any order. A
//! name in a folder is safe once the folder was synced; before, each name may be in any of the states
//! it went through since, whatever became of the names beside it, so a rename from one folder to
//! another may be lost, done, or done on one side only. A folder that is lost takes everything in it
//! along.
//!
//! Every call that changes something is an instruction. At the one that was chosen the power fails:
//! it may still have had its effect, but its caller is not told, and every later call fails. What
//! survived can be written to the real disk, or be the beginning of another life in memory, whose power
//! fails again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use vodferry_server::store::{Fs, FsFile};

use crate::random::Random;

/// The file system; its clones are one.
#[derive(Clone)]
pub(crate) struct PowerFs {
    world: Arc<Mutex<World>>,
}

/// A sync that says it is done and did nothing, to see that the rounds notice.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    None,
    /// Of a file's bytes.
    Data,
    /// Of the folder that holds finished blobs.
    Names,
    /// Of the folder that holds these folders.
    Folders,
}

struct World {
    random: Random,
    lie: Lie,
    /// Instructions until the power fails.
    left: usize,
    dead: bool,
    files: Vec<Content>,
    folders: BTreeMap<PathBuf, Folder>,
}

struct Content {
    now: Vec<u8>,
    safe: Vec<u8>,
    /// Since the last sync: where, and what.
    writes: Vec<(usize, Vec<u8>)>,
    modified: SystemTime,
}

#[derive(Default)]
struct Folder {
    now: BTreeMap<String, Entry>,
    /// What a name stood for since the last sync, the safe state first.
    changes: BTreeMap<String, Vec<Option<Entry>>>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Entry {
    File(usize),
    Folder,
}

impl PowerFs {
    /// An empty folder `root`, and `instructions` until the power fails.
    pub(crate) fn new(root: &Path, seed: u64, instructions: usize, lie: Lie) -> PowerFs {
        let folders = BTreeMap::from([(root.to_owned(), Folder::default())]);
        let random = Random::new(seed);
        let world =
            World { random, lie, left: instructions, dead: false, files: Vec::new(), folders };
        PowerFs { world: Arc::new(Mutex::new(world)) }
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.world().dead
    }

    /// Writes to `to` on the real disk what a machine finds in `root` when its power comes back.
    pub(crate) fn survivors(&self, root: &Path, to: &Path) {
        let mut world = self.world();
        assert!(world.dead, "the power is still there");
        world.survivors(root, to);
    }

    /// The file system that a machine finds when its power comes back, with `root` at `to`, and
    /// `instructions` until it fails again.
    pub(crate) fn come_back(&self, root: &Path, to: &Path, instructions: usize) -> PowerFs {
        let mut world = self.world();
        assert!(world.dead, "the power is still there");
        let seed = world.random.next();
        let next = PowerFs::new(to, seed, instructions, Lie::None);
        world.revive(root, to, &mut next.world());
        next
    }

    /// The power fails now, between two instructions.
    pub(crate) fn cut(&self) {
        self.world().dead = true;
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

impl World {
    /// Counts an instruction; `true` when it is the last one.
    fn step(&mut self) -> io::Result<bool> {
        self.alive()?;
        self.left = self.left.saturating_sub(1);
        self.dead = self.left == 0;
        Ok(self.dead)
    }

    fn alive(&self) -> io::Result<()> {
        if self.dead { Err(io::Error::other("the power is off")) } else { Ok(()) }
    }

    fn entry(&self, path: &Path) -> Option<Entry> {
        let folder = self.folders.get(path.parent()?)?;
        folder.now.get(path.file_name()?.to_str()?).copied()
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        match self.entry(path) {
            Some(Entry::File(file)) => Ok(file),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn set(&mut self, path: &Path, entry: Option<Entry>) -> io::Result<()> {
        let folder = path.parent().and_then(|parent| self.folders.get_mut(parent));
        let folder = folder.ok_or(io::ErrorKind::NotFound)?;
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let before = folder.now.get(&name).copied();
        folder.changes.entry(name.clone()).or_insert_with(|| vec![before]).push(entry);
        match entry {
            Some(entry) => folder.now.insert(name, entry),
            None => folder.now.remove(&name),
        };
        Ok(())
    }

    /// The end of an instruction.
    fn told(last: bool) -> io::Result<()> {
        if last { Err(io::Error::other("the power failed")) } else { Ok(()) }
    }

    fn survivors(&mut self, from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for (name, entry) in self.surviving(from) {
            match entry {
                Entry::Folder => self.survivors(&from.join(&name), &to.join(&name)),
                Entry::File(file) => fs::write(to.join(name), self.content(file)).unwrap(),
            }
        }
    }

    fn revive(&mut self, from: &Path, to: &Path, next: &mut World) {
        let mut folder = Folder::default();
        for (name, entry) in self.surviving(from) {
            let entry = match entry {
                Entry::Folder => {
                    self.revive(&from.join(&name), &to.join(&name), next);
                    Entry::Folder
                }
                Entry::File(file) => {
                    let (now, modified) = (self.content(file), self.files[file].modified);
                    let safe = now.clone();
                    next.files.push(Content { now, safe, writes: Vec::new(), modified });
                    Entry::File(next.files.len() - 1)
                }
            };
            folder.now.insert(name, entry);
        }
        next.folders.insert(to.to_owned(), folder);
    }

    /// What a folder has when the power is back.
    fn surviving(&mut self, folder: &Path) -> Vec<(String, Entry)> {
        let Some(Folder { now, changes }) = self.folders.remove(folder) else { return Vec::new() };
        let names: BTreeSet<&String> = now.keys().chain(changes.keys()).collect();
        let mut surviving = Vec::new();
        for name in names {
            let entry = match changes.get(name) {
                None => now.get(name).copied(),
                Some(states) if self.random.one_in(2) => states[0],
                Some(states) => states[self.random.below(states.len())],
            };
            surviving.extend(entry.map(|entry| (name.clone(), entry)));
        }
        surviving
    }

    fn content(&mut self, file: usize) -> Vec<u8> {
        let Content { safe, writes, .. } = &self.files[file];
        let mut bytes = safe.clone();
        for (at, written) in writes {
            let survives = match self.random.below(3) {
                0 => 0,
                1 => written.len(),
                _ => self.random.below(written.len() + 1),
            };
            if survives > 0 {
                bytes.resize(bytes.len().max(at + survives), 0);
                bytes[*at..at + survives].copy_from_slice(&written[..survives]);
            }
        }
        bytes
    }
}

impl Fs for PowerFs {
    fn create(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let mut world = self.world();
        let last = world.step()?;
        if world.entry(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = world.files.len();
        let (now, safe, writes) = Default::default();
        world.files.push(Content { now, safe, writes, modified: SystemTime::now() });
        world.set(path, Some(Entry::File(file)))?;
        World::told(last)?;
        Ok(Box::new(Open { fs: self.clone(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn FsFile>> {
        let world = self.world();
        world.alive()?;
        Ok(Box::new(Open { fs: self.clone(), file: world.file(path)? }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut world = self.world();
        let last = world.step()?;
        let file = world.file(from)?;
        world.set(to, Some(Entry::File(file)))?;
        world.set(from, None)?;
        World::told(last)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        let last = world.step()?;
        world.file(path)?;
        world.set(path, None)?;
        World::told(last)
    }

    fn make_folder(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        let last = world.step()?;
        if world.entry(path) != Some(Entry::Folder) {
            world.set(path, Some(Entry::Folder))?;
            world.folders.insert(path.to_owned(), Folder::default());
        }
        World::told(last)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        let mut world = self.world();
        let last = world.step()?;
        let lie = match world.lie {
            Lie::Names => path.parent().is_some_and(|parent| parent.ends_with("blobs")),
            Lie::Folders => path.ends_with("blobs"),
            Lie::None | Lie::Data => false,
        };
        let too_late = last && world.random.one_in(2);
        let folder = world.folders.get_mut(path).ok_or(io::ErrorKind::NotFound)?;
        if !lie && !too_late {
            folder.changes.clear();
        }
        World::told(last)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let world = self.world();
        world.alive()?;
        let folder = world.folders.get(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(folder.now.keys().cloned().collect())
    }

    fn look(&self, path: &Path) -> io::Result<(u64, SystemTime)> {
        let world = self.world();
        world.alive()?;
        let content = &world.files[world.file(path)?];
        Ok((content.now.len() as u64, content.modified))
    }

    fn lock(&self, _: &Path) -> io::Result<Option<Box<dyn Send + Sync>>> {
        Ok(Some(Box::new(())))
    }
}

struct Open {
    fs: PowerFs,
    file: usize,
}

impl FsFile for Open {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut world = self.fs.world();
        let last = world.step()?;
        let content = &mut world.files[self.file];
        content.writes.push((content.now.len(), bytes.to_vec()));
        content.now.extend_from_slice(bytes);
        content.modified = SystemTime::now();
        World::told(last)
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut world = self.fs.world();
        let last = world.step()?;
        let too_late = last && world.random.one_in(2);
        if world.lie != Lie::Data && !too_late {
            let content = &mut world.files[self.file];
            content.safe = content.now.clone();
            content.writes.clear();
        }
        World::told(last)
    }

    fn read(&mut self, start: u64, into: &mut [u8]) -> io::Result<usize> {
        let world = self.fs.world();
        world.alive()?;
        let rest = world.files[self.file].now.get(start as usize..).unwrap_or_default();
        let length = rest.len().min(into.len());
        into[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }
}

#[test]
fn what_was_synced_survives_and_the_rest_may_not() {
    let root = Path::new("/r");
    let (mut lost, mut kept, mut torn) = (0, 0, 0);
    for seed in 0..200 {
        let fs = PowerFs::new(root, seed, 9, Lie::None);
        let write = |name: &str, sync: bool| {
            let mut file = fs.create(&root.join(name)).unwrap();
            file.append(b"0123456789").unwrap();
            if sync {
                file.sync().unwrap();
            }
        };
        write("safe", true);
        fs.sync_folder(root).unwrap();
        write("unsafe", false);
        fs.rename(&root.join("safe"), &root.join("moved")).unwrap();
        fs.make_folder(&root.join("folder")).unwrap();
        fs.remove(&root.join("unsafe")).unwrap_err();
        fs.open(&root.join("moved")).err().unwrap();

        let after = tempfile::tempdir().unwrap();
        fs.survivors(root, after.path());
        let read = |name: &str| fs::read(after.path().join(name)).ok();
        for bytes in [read("safe"), read("moved")].into_iter().flatten() {
            assert_eq!(bytes, b"0123456789");
        }
        match read("unsafe") {
            None => lost += 1,
            Some(bytes) if bytes.len() == 10 => kept += 1,
            Some(_) => torn += 1,
        }
    }
    assert!(lost > 20 && kept > 5 && torn > 5, "{lost} {kept} {torn}");
}
