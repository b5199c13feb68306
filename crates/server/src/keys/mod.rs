//! The keys file: every long-lived secret of the server, and who may do what by them.
//!
//! `keys.toml` in the data folder, mode 0600, is written on the first start: one operator's access
//! key, one master key (temporary credentials are derived from it, see [`crate::token`]), one role to
//! try, and the bearer tokens of the application server and of the admin API. `vodferry admin` and
//! the admin API change it ([`edit`]), and so may an editor; a running server takes up what changed
//! with the next request ([`LiveKeys`]).
//!
//! A **tenant** owns buckets; an access key belongs to one tenant and may do everything with its
//! buckets. A **role** is a policy that keys of some tenants may take on for a while, by AssumeRole.

mod change;
mod file;
mod live;
mod text;

use std::path::PathBuf;

use sha2::{Digest, Sha256};
use vodferry_oss::Secret;

use crate::policy::Policy;
use crate::token::KeyMark;

pub use change::{ChangeError, NewRole};
pub use file::{EditError, KEYS_FILE, edit};
pub use live::LiveKeys;
pub use text::written;

pub(crate) use file::{create_private, read_private, remove_drafts};
pub(crate) use text::is_tenant;

/// The tenant of the operators' first key, and of every key that names none.
pub const DEFAULT_TENANT: &str = "main";

/// Every long-lived secret.
#[derive(Clone, Debug)]
pub struct Keys {
    access_keys: Vec<AccessKey>,
    roles: Vec<Role>,
    /// What temporary credentials are derived from.
    pub masters: Masters,
    /// Bearer token of the application-server endpoints.
    pub app_server_token: Secret,
    /// Bearer token of the admin API; without one there is no admin API.
    pub admin_token: Option<Secret>,
}

/// A long-lived access key, which may do everything that concerns its tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessKey {
    /// Not a secret.
    pub id: String,
    /// Signs.
    pub secret: Secret,
    /// Whose buckets it is about.
    pub tenant: String,
    /// It opens nothing until it is enabled again, and neither do credentials that it asked for.
    pub disabled: bool,
    /// It opens nothing from this moment on, in milliseconds since 1970; what it asked for before
    /// lives on. A key that was rotated has one.
    pub expires_ms: Option<u64>,
    /// When it was made, in milliseconds since 1970, where that is known.
    pub created_ms: Option<u64>,
    /// What the tokens that it asked for call it.
    mark: KeyMark,
}

/// What keys of some tenants may become for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Role {
    /// As in `acs:ram::ACCOUNT:role/NAME`; upper and lower case are the same.
    pub name: String,
    /// 16 digits, never used again.
    pub id: String,
    /// Whose buckets it is about.
    pub tenant: String,
    /// Tenants whose keys may assume it.
    pub assumed_by: Vec<String>,
    /// What it may do.
    pub policy: Policy,
    /// The policy as it was written.
    pub policy_text: String,
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
    /// When another one became current, in milliseconds since 1970.
    pub(crate) retired_ms: Option<u64>,
}

impl Keys {
    /// The access key with this id, whether it opens anything or not.
    pub fn access_key(&self, id: &str) -> Option<&AccessKey> {
        self.access_keys.iter().find(|key| key.id == id)
    }

    /// All access keys, in the order of the file.
    pub fn access_keys(&self) -> &[AccessKey] {
        &self.access_keys
    }

    /// The first access key of the file that is not disabled: after a first start the one that was
    /// printed.
    pub fn root(&self) -> Option<&AccessKey> {
        self.access_keys.iter().find(|key| !key.disabled)
    }

    /// All roles, in the order of the file.
    pub fn roles(&self) -> &[Role] {
        &self.roles
    }

    /// The role with this name.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.name.eq_ignore_ascii_case(name))
    }

    pub(crate) fn role_by_id(&self, id: &str) -> Option<&Role> {
        self.roles.iter().find(|role| role.id == id)
    }

    /// Whether a credential that the key with this mark asked for is still good: not when the key
    /// was disabled or deleted.
    pub(crate) fn stands_by(&self, issuer: KeyMark) -> bool {
        self.access_keys.iter().any(|key| !key.disabled && key.mark == issuer)
    }
}

impl AccessKey {
    /// Whether it opens anything at `now_ms`.
    pub fn is_active(&self, now_ms: u64) -> bool {
        !self.disabled && self.expires_ms.is_none_or(|at| now_ms < at)
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

    /// Their names, the current one first, each with the moment when it was retired, in milliseconds
    /// since 1970.
    pub fn names(&self) -> impl Iterator<Item = (&str, Option<u64>)> {
        self.keys.iter().map(|master| (master.kid.as_str(), master.retired_ms))
    }

    #[cfg(test)]
    pub(crate) fn of(keys: &[(&str, &str)]) -> Masters {
        let master = |(kid, key): &(&str, &str)| Master {
            kid: (*kid).into(),
            key: (*key).into(),
            retired_ms: None,
        };
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
        source: std::io::Error,
    },
    /// Another process changes the file, and has been at it for too long.
    #[error("{path} is locked by another process")]
    Locked {
        /// The lock file.
        path: PathBuf,
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

/// The account number of a tenant, as ARNs and owners show it: 16 digits, always the same.
pub fn account_of(tenant: &str) -> String {
    let digest = <[u8; 32]>::from(Sha256::digest(tenant));
    let number = digest.iter().take(8).fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
    format!("{}", 1_000_000_000_000_000 + number % 9_000_000_000_000_000)
}

/// Whether two secrets are the same, in a time that tells nothing about either: their digests are
/// compared, which nobody can steer.
pub(crate) fn is_same_secret(given: &str, right: &Secret) -> bool {
    let (given, right) = (Sha256::digest(given), Sha256::digest(right.expose()));
    let differences = given.iter().zip(&right).fold(0, |sum, (a, b)| sum | (a ^ b));
    std::hint::black_box(differences) == 0
}

/// `length` random characters of `A-Za-z0-9`.
pub(crate) fn random_text(length: usize) -> Result<String, getrandom::Error> {
    const ALPHABET: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    random_of(ALPHABET, length)
}

/// `length` random digits.
pub(crate) fn random_digits(length: usize) -> Result<String, getrandom::Error> {
    random_of(b"0123456789", length)
}

fn random_of(alphabet: &[u8], length: usize) -> Result<String, getrandom::Error> {
    let count = alphabet.len().clamp(1, 255) as u8;
    // Bytes above would favour the first letters.
    let fair = u8::MAX - (u8::MAX % count);
    let mut text = String::with_capacity(length);
    let mut pool = [0u8; 64];
    while text.len() < length {
        getrandom::fill(&mut pool)?;
        let bytes = pool.iter().filter(|b| **b < fair).take(length - text.len());
        text.extend(
            bytes.filter_map(|b| alphabet.get(usize::from(b % count))).map(|b| char::from(*b)),
        );
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_text_is_fair_and_of_the_length_asked() {
        for (text, letters) in
            [(random_text(62_000).unwrap(), 62), (random_digits(10_000).unwrap(), 10)]
        {
            assert_eq!(text.len(), 1000 * letters);
            let mut counts = std::collections::HashMap::new();
            for c in text.chars() {
                *counts.entry(c).or_insert(0) += 1;
            }
            assert_eq!(counts.len(), letters);
            // 1000 each on average, with a standard deviation of 31.
            assert!(counts.values().all(|n| (800..1200).contains(n)), "{counts:?}");
        }
    }

    #[test]
    fn secrets_are_compared_whole() {
        let right = Secret::from("0123456789abcdef");
        assert!(is_same_secret("0123456789abcdef", &right));
        for wrong in ["", "0", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF"] {
            assert!(!is_same_secret(wrong, &right), "{wrong}");
        }
        for at in 0..right.expose().len() {
            let mut wrong = right.expose().to_owned();
            wrong.replace_range(at..=at, "x");
            assert!(!is_same_secret(&wrong, &right), "{wrong}");
        }
    }

    #[test]
    fn accounts_are_sixteen_digits() {
        for tenant in ["", "main", "studio"] {
            let account = account_of(tenant);
            assert!(
                account.len() == 16 && account.bytes().all(|b| b.is_ascii_digit()),
                "{account}"
            );
            assert_eq!(account, account_of(tenant));
        }
        assert_ne!(account_of("main"), account_of("studio"));
    }
}
