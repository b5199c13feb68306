//! The keys file: every long-lived secret of the server, and nothing else.
//!
//! `keys.toml` in the data folder, mode 0600, is written on the first start: one operator's access
//! key, one master key (temporary credentials are derived from it, see [`crate::token`]), and the
//! bearer token of the application server. To rotate masters, add a `[[master]]` under a new `kid`,
//! make it `current_master`, and drop the old one an hour later.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use vodferry_oss::Secret;
use zeroize::Zeroizing;

use crate::store::DATABASE_FILE;

/// Name of the file inside the data folder.
pub const KEYS_FILE: &str = "keys.toml";

/// Every long-lived secret.
#[derive(Clone, Debug)]
pub struct Keys {
    access_keys: Vec<AccessKey>,
    /// What temporary credentials are derived from.
    pub masters: Masters,
    /// Bearer token of the application-server endpoints.
    pub app_server_token: Secret,
}

/// A long-lived access key of an operator, who may do everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Not a secret.
    pub id: String,
    /// Signs.
    pub secret: Secret,
}

/// Master keys by their `kid`, one of which is current.
#[derive(Clone, Debug)]
pub struct Masters {
    /// The current one first.
    keys: Vec<Master>,
}

/// A master key.
#[derive(Clone, Debug)]
pub(crate) struct Master {
    pub(crate) kid: String,
    /// 64 hexadecimal digits, used as the text it is.
    pub(crate) key: Secret,
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
                create(&path)?;
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
        let failed = |source| KeysError::Io { doing: "read", path: path.to_owned(), source };
        refuse_open_mode(path, &fs::metadata(path).map_err(failed)?)?;
        let text = Zeroizing::new(fs::read_to_string(path).map_err(failed)?);
        parse(&text).map_err(|(line, what)| KeysError::Damaged {
            path: path.to_owned(),
            line,
            what,
        })
    }

    /// The access key with this id.
    pub fn access_key(&self, id: &str) -> Option<&AccessKey> {
        self.access_keys.iter().find(|key| key.id == id)
    }

    /// The first access key of the file: the one that a first start prints.
    pub fn root(&self) -> Option<&AccessKey> {
        self.access_keys.first()
    }
}

impl Masters {
    /// The one that new credentials are derived from.
    pub(crate) fn current(&self) -> Option<&Master> {
        self.keys.first()
    }

    /// The one that is named `kid`.
    pub(crate) fn find(&self, kid: &[u8]) -> Option<&Master> {
        self.keys.iter().find(|master| master.kid.as_bytes() == kid)
    }

    #[cfg(test)]
    pub(crate) fn of(keys: &[(&str, &str)]) -> Masters {
        let master = |(kid, key): &(&str, &str)| Master { kid: (*kid).into(), key: (*key).into() };
        Masters { keys: keys.iter().map(master).collect() }
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeysError {
    /// The file cannot be read or written.
    #[error("cannot {doing} {path}")]
    Io {
        /// What was tried, as a verb.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Others than its owner may use the file.
    #[error("{path} has mode {mode:04o}, so others may read its secrets; run: chmod 600 {path}")]
    Mode {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// It is not a keys file, or not a whole one.
    #[error("{path} line {line}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// Without the text of the line, which may be a secret.
        what: String,
    },
    /// The file is missing, but the folder has been in use.
    #[error(
        "{path} is missing beside {database}; new keys would lock out who holds the old ones: restore the file, or, to have new \
         keys, start a server in an empty folder and move its keys file here"
    )]
    Lost {
        /// The file.
        path: PathBuf,
        /// What shows that there were keys.
        database: PathBuf,
    },
    /// The operating system gave no randomness.
    #[error("no randomness to make keys from: {0}")]
    Random(getrandom::Error),
}

/// Removes keys that were written and never got their name. Only for who holds the folder's lock:
/// they may be another process's.
pub(crate) fn remove_drafts(folder: &Path) -> Result<(), KeysError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| KeysError::Io { doing, path, source }
    };
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let path = entry.map_err(failed("list", folder))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if name.starts_with("keys.") && name.ends_with(".new") {
            fs::remove_file(&path).map_err(failed("remove", &path))?;
        }
    }
    Ok(())
}

/// `length` random characters of `A-Za-z0-9`.
pub(crate) fn random_text(length: usize) -> Result<String, getrandom::Error> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut text = String::with_capacity(length);
    let mut pool = [0u8; 64];
    while text.len() < length {
        getrandom::fill(&mut pool)?;
        // 248 = 4 × 62: bytes above would favour the first letters.
        let fair = pool.iter().filter(|b| **b < 248);
        for byte in fair.take(length - text.len()) {
            text.push(char::from(ALPHABET[usize::from(*byte % 62)]));
        }
    }
    Ok(text)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct KeysToml {
    app_server_token: toml::Spanned<String>,
    current_master: toml::Spanned<String>,
    access_key: Vec<AccessKeyToml>,
    master: Vec<MasterToml>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AccessKeyToml {
    id: toml::Spanned<String>,
    secret: toml::Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MasterToml {
    kid: toml::Spanned<String>,
    key: toml::Spanned<String>,
}

fn parse(text: &str) -> Result<Keys, (usize, String)> {
    let line = |at: usize| 1 + text.bytes().take(at).filter(|b| *b == b'\n').count();
    let file: KeysToml = toml::from_str(text).map_err(|e| {
        (line(e.span().map_or(0, |span| span.start)), without_values(e.message()).to_owned())
    })?;
    let check = |field: &toml::Spanned<String>, good: bool, what: &str| {
        if good { Ok(()) } else { Err((line(field.span().start), what.to_owned())) }
    };
    let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic());

    let token = &file.app_server_token;
    let long = token.get_ref().len() >= 16 && plain(token.get_ref());
    check(token, long, "app_server_token needs at least 16 visible ASCII characters")?;

    let mut access_keys: Vec<AccessKey> = Vec::new();
    for AccessKeyToml { id, secret } in file.access_key {
        let name = id.get_ref();
        let good = (1..=128).contains(&name.len()) && plain(name) && !name.starts_with("STS.");
        check(&id, good, "an access key id is 1 to 128 visible ASCII characters, not STS.…")?;
        check(&id, access_keys.iter().all(|k| k.id != *name), "this access key id came before")?;
        let good = secret.get_ref().len() >= 16 && plain(secret.get_ref());
        check(&secret, good, "a secret needs at least 16 visible ASCII characters")?;
        let secret = Secret::new(secret.into_inner());
        access_keys.push(AccessKey { id: id.into_inner(), secret });
    }

    let mut masters: Vec<Master> = Vec::new();
    for MasterToml { kid, key } in file.master {
        let good = (1..=32).contains(&kid.get_ref().len()) && plain(kid.get_ref());
        check(&kid, good, "a kid is 1 to 32 visible ASCII characters")?;
        check(&kid, masters.iter().all(|m| m.kid != *kid.get_ref()), "this kid came before")?;
        let hex = key.get_ref().bytes().all(|b| b.is_ascii_hexdigit());
        check(&key, hex && key.get_ref().len() == 64, "a master key is 64 hexadecimal digits")?;
        masters.push(Master { kid: kid.into_inner(), key: Secret::new(key.into_inner()) });
    }
    let current = &file.current_master;
    let at = masters.iter().position(|m| m.kid == *current.get_ref());
    check(current, at.is_some(), "current_master names no [[master]]")?;
    masters.swap(0, at.unwrap_or(0));

    Ok(Keys {
        access_keys,
        masters: Masters { keys: masters },
        app_server_token: Secret::new(file.app_server_token.into_inner()),
    })
}

/// Messages of the parser may quote the value that they refuse.
fn without_values(message: &str) -> &str {
    match message.split_once(", expected ") {
        Some((before, _)) if before.starts_with("invalid type") => "not the type of this field",
        Some((before, _)) if before.starts_with("invalid value") => "not a value of this field",
        _ => message.lines().next().unwrap_or("damaged"),
    }
}

/// Writes fresh keys beside `path`, then gives them their name. When another process was quicker,
/// its keys stay.
fn create(path: &Path) -> Result<(), KeysError> {
    let text = Zeroizing::new(fresh().map_err(KeysError::Random)?);
    let suffix = random_text(8).map_err(KeysError::Random)?;
    let draft = path.with_extension(format!("{suffix}.new"));
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |source| KeysError::Io { doing, path, source }
    };
    let named =
        write_private(&draft, text.as_bytes()).map_err(failed("write", &draft)).and_then(|()| {
            match fs::hard_link(&draft, path) {
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
                linked => linked.map_err(failed("write", path)),
            }
        });
    let removed = fs::remove_file(&draft).map_err(failed("remove", &draft));
    named.and(removed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|f| f.sync_all()).map_err(failed("sync", folder))
}

fn fresh() -> Result<String, getrandom::Error> {
    let mut master = Zeroizing::new([0u8; 32]);
    getrandom::fill(master.as_mut())?;
    let master: String = master.iter().map(|b| format!("{b:02x}")).collect();
    Ok(format!(
        "# Secrets of this vodferry server: whoever reads this file owns it.\n\
         app_server_token = \"{}\"\n\
         current_master = \"k1\"\n\
         \n\
         [[access_key]]\n\
         id = \"VF{}\"\n\
         secret = \"{}\"\n\
         \n\
         [[master]]\n\
         kid = \"k1\"\n\
         key = \"{master}\"\n",
        random_text(40)?,
        random_text(22)?,
        random_text(40)?,
    ))
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
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

    const GOOD: &str = r#"# comment
app_server_token = "0123456789abcdef"
current_master = "k2"

[[access_key]]
id = "VFroot"
secret = "very-secret-0123456789"

[[master]]
kid = "k1"
key = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"

[[master]]
kid = "k2"
key = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
"#;

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
        assert_eq!(fs::read(&path).unwrap(), b"");
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        Keys::open(folder.path()).unwrap_err();
    }

    #[test]
    fn the_current_master_is_the_one_named() {
        let keys = parse(GOOD).unwrap();
        assert_eq!(keys.masters.current().unwrap().kid, "k2");
        assert_eq!(keys.masters.find(b"k1").unwrap().key.expose(), "a".repeat(64));
        assert!(keys.masters.find(b"k3").is_none());
    }

    #[test]
    fn damage_is_named_by_its_line_and_never_quoted() {
        let long = "b".repeat(64);
        for (from, to, line, says) in [
            ("current_master = \"k2\"", "current_master = \"k3\"", 3, "names no"),
            ("current_master = \"k2\"", "current_master = 31337", 3, "not the type"),
            ("current_master = \"k2\"", "current = \"k2\"", 3, "unknown field"),
            ("\"very-secret-0123456789\"", "\"short31337\"", 7, "at least 16"),
            ("\"very-secret-0123456789\"", "\"very-secret-31337", 7, ""),
            ("\"very-secret-0123456789\"", "very-secret-31337", 7, ""),
            ("id = \"VFroot\"", "id = \"STS.31337\"", 6, "access key id"),
            ("id = \"VFroot\"", "id = \"\"", 6, "access key id"),
            ("kid = \"k2\"", "kid = \"k1\"", 14, "came before"),
            (long.as_str(), "31337", 15, "64 hexadecimal"),
            ("\"0123456789abcdef\"", "\"31337\"", 2, "at least 16"),
        ] {
            let text = GOOD.replace(from, to);
            assert_ne!(text, GOOD);
            let (at, what) = parse(&text).unwrap_err();
            assert_eq!(at, line, "{to}: {what}");
            assert!(what.contains(says), "{to}: {what}");
            assert!(!what.contains("31337") && !what.contains('\n'), "{to}: {what}");
        }
        for missing in ["app_server_token", "current_master", "secret", "kid"] {
            let text: String = GOOD
                .lines()
                .filter(|l| !l.starts_with(missing))
                .map(|l| format!("{l}\n"))
                .collect();
            let (_, what) = parse(&text).unwrap_err();
            assert!(what.contains("missing field") && what.contains(missing), "{what}");
        }
    }

    #[test]
    fn no_secret_in_debug() {
        let text = format!("{:?}", parse(GOOD).unwrap());
        assert!(text.contains("VFroot"), "{text}");
        for secret in ["0123456789", "aaaa", "bbbb"] {
            assert!(!text.contains(secret), "{text}");
        }
    }

    #[test]
    fn random_text_is_fair_and_of_the_length_asked() {
        let text = random_text(62_000).unwrap();
        assert_eq!(text.len(), 62_000);
        let mut counts = std::collections::HashMap::new();
        for c in text.chars() {
            *counts.entry(c).or_insert(0) += 1;
        }
        assert_eq!(counts.len(), 62);
        // 1000 each on average, with a standard deviation of 31.
        assert!(counts.values().all(|n| (800..1200).contains(n)), "{counts:?}");
    }
}
