//! The keys file on disk: made once, read, and changed by one process at a time, whole or not at
//! all.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use super::text::{format, parse};
use super::{ChangeError, Keys, KeysError, random_text};
use crate::store::DATABASE_FILE;

/// Name of the file inside the data folder.
pub const KEYS_FILE: &str = "keys.toml";

/// Whoever changes the keys holds a lock on this file.
const LOCK_FILE: &str = "keys.lock";
/// A change takes milliseconds.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// Why the keys were not changed.
#[derive(Debug, thiserror::Error)]
pub enum EditError {
    /// The change makes no sense.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The file cannot be read or written.
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// Changes the keys of a data folder, also under a running server, which takes the change up with
/// its next request. Two that change at once wait for each other and lose nothing. Nothing is changed
/// when `change` refuses.
///
/// # Errors
/// [`EditError`].
pub fn edit<T>(
    folder: &Path,
    change: impl FnOnce(&mut Keys) -> Result<T, ChangeError>,
) -> Result<T, EditError> {
    let path = folder.join(KEYS_FILE);
    // Before the lock, so that a folder without keys does not get a lock file.
    let path = fs::canonicalize(&path).map_err(failed("read", &path))?;
    // Beside the file itself: folders may share one by links.
    let _lock = lock(path.parent().unwrap_or(folder))?;
    let mut keys = Keys::load(&path)?;
    let changed = change(&mut keys)?;
    let text = format(&keys);
    // A file that the next start refuses would lock everybody out.
    parse(&text).map_err(|(line, what)| KeysError::Damaged { path: path.clone(), line, what })?;
    replace(&path, &text)?;
    Ok(changed)
}

impl Keys {
    /// Reads the keys of a data folder, or makes them when there are none; `true` tells the latter.
    ///
    /// # Errors
    /// When the file cannot be read or written, when others may read it, when it is damaged, and when it is missing where a
    /// database is: keys come first, so that this folder had some.
    pub fn open(folder: &Path) -> Result<(Keys, bool), KeysError> {
        let path = folder.join(KEYS_FILE);
        match Keys::load(&path) {
            Err(KeysError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                let database = folder.join(DATABASE_FILE);
                if database.try_exists().unwrap_or(true) {
                    return Err(KeysError::Lost { path, database });
                }
                create_private(&path, &format(&Keys::fresh().map_err(KeysError::Random)?))?;
                Ok((Keys::load(&path)?, true))
            }
            loaded => loaded.map(|keys| (keys, false)),
        }
    }

    /// Reads a keys file.
    ///
    /// # Errors
    /// As [`open`](Self::open); a file that is not there is [`KeysError::Io`].
    pub fn load(path: &Path) -> Result<Keys, KeysError> {
        let text = read_private(path)?;
        parse(&text).map_err(|(line, what)| KeysError::Damaged {
            path: path.to_owned(),
            line,
            what,
        })
    }
}

/// Reads a file with secrets, unless others than its owner may.
pub(crate) fn read_private(path: &Path) -> Result<Zeroizing<String>, KeysError> {
    let failed = failed("read", path);
    let mut file = File::open(path).map_err(&failed)?;
    refuse_open_mode(path, &file.metadata().map_err(&failed)?)?;
    let mut text = Zeroizing::new(String::new());
    io::Read::read_to_string(&mut file, &mut text).map_err(&failed)?;
    Ok(text)
}

/// Writes a file with secrets beside `path`, then gives it its name. When another process was quicker, its
/// file stays.
pub(crate) fn create_private(path: &Path, text: &str) -> Result<(), KeysError> {
    let draft = draft(path)?;
    let named =
        write_private(&draft, text.as_bytes()).map_err(failed("write", &draft)).and_then(|_| {
            match fs::hard_link(&draft, path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked.map_err(failed("write", path)),
            }
        });
    let removed = fs::remove_file(&draft).map_err(failed("remove", &draft));
    named.and(removed)?;
    sync_folder_of(path)
}

/// Removes keys that were written and never got their name.
pub(crate) fn remove_drafts(folder: &Path) -> Result<(), KeysError> {
    let mut drafts = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let path = entry.map_err(failed("list", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("keys.") && name.ends_with(".new") {
            drafts.push(path);
        }
    }
    if drafts.is_empty() {
        return Ok(());
    }
    // They may be those of somebody who is changing keys just now.
    let _lock = lock(folder)?;
    for path in drafts {
        match fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove", &path)(e));
            }
            _ => {}
        }
    }
    Ok(())
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl Fn(io::Error) -> KeysError + 'a {
    move |source| KeysError::Io { doing, path: path.to_owned(), source }
}

/// Held until dropped; the kernel drops the lock of a process that died.
fn lock(folder: &Path) -> Result<File, KeysError> {
    let path = folder.join(LOCK_FILE);
    let fails = failed("lock", &path);
    let mut options = File::options();
    options.create(true).truncate(false).write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(&path).map_err(&fails)?;
    give_to_owner(&file, &fs::metadata(folder).map_err(&fails)?).map_err(&fails)?;
    let begun = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::Error(error)) => return Err(fails(error)),
            Err(fs::TryLockError::WouldBlock) if begun.elapsed() > LOCK_PATIENCE => {
                return Err(KeysError::Locked { path: path.clone() });
            }
            Err(fs::TryLockError::WouldBlock) => sleep(Duration::from_millis(10)),
        }
    }
}

/// Writes `text` beside `path`, then in its place: a reader finds the old file or the new one.
fn replace(path: &Path, text: &str) -> Result<(), KeysError> {
    let draft = draft(path)?;
    let owner = fs::metadata(path).map_err(failed("read", path))?;
    let written = write_private(&draft, text.as_bytes())
        .and_then(|file| {
            // An administrator's file would be out of the server's reach.
            give_to_owner(&file, &owner)?;
            fs::rename(&draft, path)
        })
        .map_err(failed("write", path));
    if written.is_err() {
        // What is left of a draft holds secrets.
        let _ = fs::remove_file(&draft);
    }
    written?;
    sync_folder_of(path)
}

fn draft(path: &Path) -> Result<PathBuf, KeysError> {
    let suffix = random_text(8).map_err(KeysError::Random)?;
    Ok(path.with_file_name(format!("keys.{suffix}.new")))
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    Ok(file)
}

fn sync_folder_of(path: &Path) -> Result<(), KeysError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    File::open(folder).and_then(|f| f.sync_all()).map_err(failed("sync", folder))
}

#[cfg(unix)]
fn give_to_owner(file: &File, like: &fs::Metadata) -> io::Result<()> {
    use std::os::unix::fs::{MetadataExt, fchown};
    let own = file.metadata()?;
    if (own.uid(), own.gid()) == (like.uid(), like.gid()) {
        return Ok(());
    }
    match fchown(file, Some(like.uid()), Some(like.gid())) {
        // Not the administrator, who alone may give files away; a group of its own is no harm.
        Err(e) if e.kind() == io::ErrorKind::PermissionDenied && own.uid() == like.uid() => Ok(()),
        given => given,
    }
}

#[cfg(not(unix))]
fn give_to_owner(_: &File, _: &fs::Metadata) -> io::Result<()> {
    Ok(())
}

#[cfg(unix)]
fn refuse_open_mode(path: &Path, metadata: &fs::Metadata) -> Result<(), KeysError> {
    let mode = std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7777;
    if mode & 0o077 != 0 {
        return Err(KeysError::Mode { path: path.to_owned(), mode });
    }
    Ok(())
}

#[cfg(not(unix))]
fn refuse_open_mode(_: &Path, _: &fs::Metadata) -> Result<(), KeysError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn made_once_then_read() {
        let folder = tempfile::tempdir().unwrap();
        let (first, made) = Keys::open(folder.path()).unwrap();
        assert!(made);
        let (second, made) = Keys::open(folder.path()).unwrap();
        assert!(!made);
        let root = first.root().unwrap();
        assert_eq!(second.access_key(&root.id), Some(root));
        assert_eq!(second.app_server_token, first.app_server_token);
        assert_eq!(second.admin_token, first.admin_token);
        assert_eq!(second.access_key("VFother"), None);
        assert_eq!(root.id.len(), 24);
        assert_eq!(root.secret.expose().len(), 40);
        let names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [KEYS_FILE]);

        let other = tempfile::tempdir().unwrap();
        let (other, _) = Keys::open(other.path()).unwrap();
        assert_ne!(other.root().unwrap().id, root.id);
        assert_ne!(other.app_server_token, first.app_server_token);
        assert_ne!(other.admin_token, first.admin_token);
    }

    #[test]
    fn keys_that_are_lost_are_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        Keys::open(folder.path()).unwrap();
        fs::write(folder.path().join(DATABASE_FILE), "x").unwrap();
        Keys::open(folder.path()).unwrap();
        let path = folder.path().join(KEYS_FILE);
        fs::remove_file(&path).unwrap();
        let refused = Keys::open(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("is missing beside") && refused.contains("restore"), "{refused}");
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        Keys::open(folder.path()).unwrap();
        let path = folder.path().join(KEYS_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for mode in [0o644, 0o640, 0o606] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = Keys::open(folder.path()).unwrap_err().to_string();
            assert!(refused.contains("chmod 600"), "{refused}");
            assert!(refused.contains(&format!("{mode:04o}")), "{refused}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
        assert!(!Keys::open(folder.path()).unwrap().1);
    }

    #[test]
    fn a_damaged_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(KEYS_FILE);
        write_private(&path, b"").unwrap();
        assert!(matches!(Keys::open(folder.path()), Err(KeysError::Damaged { .. })));
        let edited = edit(folder.path(), |keys| keys.create_key(None, 0).map(|_| ()));
        assert!(matches!(edited, Err(EditError::Keys(KeysError::Damaged { .. }))));
        assert_eq!(fs::read(&path).unwrap(), b"");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        Keys::open(folder.path()).unwrap_err();
    }

    #[test]
    fn a_change_is_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let missing = edit(folder.path(), |_| Ok(()));
        assert!(matches!(missing, Err(EditError::Keys(KeysError::Io { .. }))));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "no lock without keys");
        Keys::open(folder.path()).unwrap();
        let path = folder.path().join(KEYS_FILE);
        let before = fs::read(&path).unwrap();
        let refused = edit(folder.path(), |keys| {
            keys.create_key(None, 0)?;
            keys.delete_key("VFnobody")
        });
        assert!(matches!(refused, Err(EditError::Change(_))));
        assert_eq!(fs::read(&path).unwrap(), before);
        let id = edit(folder.path(), |keys| keys.create_key(None, 7).map(|key| key.id.clone()));
        let keys = Keys::load(&path).unwrap();
        assert_eq!(keys.access_keys().len(), 2);
        assert!(keys.access_key(&id.unwrap()).is_some());
        let mut names: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, [LOCK_FILE, KEYS_FILE]);
    }

    #[test]
    fn changes_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        Keys::open(folder.path()).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for _ in 0..5 {
                        edit(folder.path(), |keys| keys.create_key(None, 0).map(|_| ())).unwrap();
                    }
                });
            }
        });
        let keys = Keys::load(&folder.path().join(KEYS_FILE)).unwrap();
        assert_eq!(keys.access_keys().len(), 41);
    }

    #[test]
    fn drafts_are_removed() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("keys.abc.new"), "secret").unwrap();
        fs::write(folder.path().join("other.new"), "kept").unwrap();
        remove_drafts(folder.path()).unwrap();
        assert!(!folder.path().join("keys.abc.new").exists());
        assert!(folder.path().join("other.new").exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        Keys::open(elsewhere.path()).unwrap();
        let real = elsewhere.path().join(KEYS_FILE);
        let link = folder.path().join(KEYS_FILE);
        std::os::unix::fs::symlink(&real, &link).unwrap();
        edit(folder.path(), |keys| keys.create_key(None, 0).map(|_| ())).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(Keys::load(&real).unwrap().access_keys().len(), 2);
    }
}
