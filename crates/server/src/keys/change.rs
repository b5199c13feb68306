//! What can be changed about keys: one verb each, checked, without any I/O.

use std::time::Duration;

use vodferry_oss::Secret;
use zeroize::Zeroizing;

use super::text::{ROLE_RULE, TENANT_RULE, is_role_name, is_tenant};
use super::{AccessKey, DEFAULT_TENANT, Keys, Master, Masters, Role, random_digits, random_text};
use crate::policy::{Policy, PolicyError};
use crate::token::KeyMark;

/// Longest policy of a role, in characters.
const MAX_ROLE_POLICY: usize = 6144;
/// No credential lives longer than this, so that a master retired for as long is of no use.
const LONGEST_LIFE_MS: u64 = 3_600_000;

/// A role to be made.
#[derive(Clone, Debug, Default)]
pub struct NewRole {
    /// 1 to 64 of A-Z, a-z, 0-9, `.`, `_` and `-`.
    pub name: String,
    /// JSON, up to 6144 characters.
    pub policy: String,
    /// Whose buckets it is about; by default those of the first tenant.
    pub tenant: Option<String>,
    /// Tenants whose keys may assume it; none means `tenant` alone.
    pub assumed_by: Vec<String>,
}

/// Why a change makes no sense.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// Credentials are derived from it.
    #[error("master {0} is the current one; rotate masters first")]
    CurrentMaster(String),
    /// Nobody could use the server any more.
    #[error("{0} is the last access key; create another one first")]
    LastKey(String),
    /// A name is not one.
    #[error("{0}")]
    Name(&'static str),
    /// There is no such access key.
    #[error("there is no access key {0}")]
    NoSuchKey(String),
    /// There is no such master key.
    #[error("there is no master {0}")]
    NoSuchMaster(String),
    /// There is no such role.
    #[error("there is no role {0}")]
    NoSuchRole(String),
    /// The policy of a role is none.
    #[error(transparent)]
    Policy(#[from] PolicyError),
    /// The policy of a role is too long.
    #[error("the policy of a role has at most {MAX_ROLE_POLICY} characters")]
    PolicySize,
    /// The operating system gave no randomness.
    #[error("no randomness to make keys from: {0}")]
    Random(getrandom::Error),
    /// There is such a role.
    #[error("there is a role {0} already")]
    RoleExists(String),
}

impl Keys {
    /// What a first start gets.
    pub(super) fn fresh() -> Result<Keys, getrandom::Error> {
        let role = Role {
            name: "uploader".to_owned(),
            id: random_digits(16)?,
            tenant: DEFAULT_TENANT.to_owned(),
            assumed_by: vec![DEFAULT_TENANT.to_owned()],
            policy: Policy::everything(),
            policy_text: FIRST_ROLE.to_owned(),
        };
        Ok(Keys {
            access_keys: vec![fresh_key(DEFAULT_TENANT.to_owned(), None)?],
            roles: vec![role],
            masters: Masters { keys: vec![fresh_master("k1".to_owned())?] },
            app_server_token: Secret::new(random_text(40)?),
            admin_token: Some(Secret::new(random_text(40)?)),
        })
    }

    /// Makes an access key for `tenant`, or for a new tenant of its own.
    ///
    /// # Errors
    /// `Name`, `Random`.
    pub fn create_key(
        &mut self,
        tenant: Option<&str>,
        now_ms: u64,
    ) -> Result<&AccessKey, ChangeError> {
        let tenant = match tenant {
            Some(tenant) if is_tenant(tenant) => tenant.to_owned(),
            Some(_) => return Err(ChangeError::Name(TENANT_RULE)),
            None => format!("t{}", random_digits(12).map_err(ChangeError::Random)?),
        };
        let key = fresh_key(tenant, Some(now_ms)).map_err(ChangeError::Random)?;
        Ok(self.insert(self.access_keys.len(), key))
    }

    /// Makes a key open nothing, nor anything that it asked for.
    ///
    /// # Errors
    /// `NoSuchKey`.
    pub fn disable_key(&mut self, id: &str) -> Result<(), ChangeError> {
        self.key_mut(id)?.disabled = true;
        Ok(())
    }

    /// Undoes [`disable_key`](Self::disable_key); also the end that a rotation set.
    ///
    /// # Errors
    /// `NoSuchKey`.
    pub fn enable_key(&mut self, id: &str) -> Result<(), ChangeError> {
        let key = self.key_mut(id)?;
        key.disabled = false;
        key.expires_ms = None;
        Ok(())
    }

    /// Makes another key for the same tenant; the old one opens things for `grace` longer. What the
    /// old one asked for lives on: to revoke it, disable the key.
    ///
    /// # Errors
    /// `NoSuchKey`, `Random`.
    pub fn rotate_key(
        &mut self,
        id: &str,
        grace: Duration,
        now_ms: u64,
    ) -> Result<&AccessKey, ChangeError> {
        let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
        // Far beyond all dates that can be written.
        let end = now_ms.saturating_add(grace_ms.min(100 * 366 * 86_400_000));
        let old = self.key_mut(id)?;
        old.expires_ms = Some(old.expires_ms.map_or(end, |before| before.min(end)));
        let tenant = old.tenant.clone();
        let key = fresh_key(tenant, Some(now_ms)).map_err(ChangeError::Random)?;
        // In front of the old one: the first key of the file is who tools take for the operator.
        let at = self.access_keys.iter().position(|key| key.id == id).unwrap_or(0);
        Ok(self.insert(at, key))
    }

    /// Removes a key. Its tenant's buckets stay, for other keys of the tenant.
    ///
    /// # Errors
    /// `NoSuchKey`, `LastKey`.
    pub fn delete_key(&mut self, id: &str) -> Result<(), ChangeError> {
        let id = self.key_mut(id)?.id.clone();
        if self.access_keys.len() == 1 {
            return Err(ChangeError::LastKey(id));
        }
        self.access_keys.retain(|key| key.id != id);
        Ok(())
    }

    /// Makes a role.
    ///
    /// # Errors
    /// `Name`, `RoleExists`, `Policy`, `PolicySize`, `Random`.
    pub fn create_role(&mut self, new: NewRole) -> Result<&Role, ChangeError> {
        if !is_role_name(&new.name) {
            return Err(ChangeError::Name(ROLE_RULE));
        }
        if self.role(&new.name).is_some() {
            return Err(ChangeError::RoleExists(new.name));
        }
        let tenant = new.tenant.unwrap_or_else(|| DEFAULT_TENANT.to_owned());
        let assumed_by = match new.assumed_by.is_empty() {
            true => vec![tenant.clone()],
            false => new.assumed_by,
        };
        if !assumed_by.iter().chain([&tenant]).all(|name| is_tenant(name)) {
            return Err(ChangeError::Name(TENANT_RULE));
        }
        if new.policy.chars().count() > MAX_ROLE_POLICY {
            return Err(ChangeError::PolicySize);
        }
        self.roles.push(Role {
            name: new.name,
            id: random_digits(16).map_err(ChangeError::Random)?,
            tenant,
            assumed_by,
            policy: Policy::parse(&new.policy)?,
            policy_text: new.policy,
        });
        // There is a last one: it was pushed just now.
        self.roles.last().ok_or(ChangeError::Name(ROLE_RULE))
    }

    /// Removes a role; credentials of it open nothing from then on.
    ///
    /// # Errors
    /// `NoSuchRole`.
    pub fn delete_role(&mut self, name: &str) -> Result<(), ChangeError> {
        let before = self.roles.len();
        self.roles.retain(|role| !role.name.eq_ignore_ascii_case(name));
        match self.roles.len() == before {
            true => Err(ChangeError::NoSuchRole(name.to_owned())),
            false => Ok(()),
        }
    }

    /// Makes a new master current and answers its `kid`. Those before it verify on; those that were
    /// retired for longer than any credential lives are dropped.
    ///
    /// # Errors
    /// `Random`.
    pub fn rotate_masters(&mut self, now_ms: u64) -> Result<&str, ChangeError> {
        let masters = &mut self.masters.keys;
        let numbers = masters.iter().filter_map(|m| m.kid.strip_prefix('k')?.parse::<u64>().ok());
        let mut next = numbers.max().unwrap_or(0).saturating_add(1);
        while masters.iter().any(|m| m.kid == format!("k{next}")) {
            next = next.wrapping_add(1);
        }
        let fresh = fresh_master(format!("k{next}")).map_err(ChangeError::Random)?;
        for master in masters.iter_mut() {
            master.retired_ms.get_or_insert(now_ms);
        }
        masters
            .retain(|m| m.retired_ms.is_none_or(|at| now_ms < at.saturating_add(LONGEST_LIFE_MS)));
        masters.insert(0, fresh);
        self.masters.current().map(|m| m.kid.as_str()).ok_or(ChangeError::Name("no master"))
    }

    /// Drops a master that is not current: every credential derived from it opens nothing from then
    /// on.
    ///
    /// # Errors
    /// `NoSuchMaster`, `CurrentMaster`.
    pub fn drop_master(&mut self, kid: &str) -> Result<(), ChangeError> {
        match self.masters.keys.iter().position(|master| master.kid == kid) {
            None => Err(ChangeError::NoSuchMaster(kid.to_owned())),
            Some(0) => Err(ChangeError::CurrentMaster(kid.to_owned())),
            Some(at) => {
                self.masters.keys.remove(at);
                Ok(())
            }
        }
    }

    /// Makes a new token for the admin API and answers it; the one before is worth nothing.
    ///
    /// # Errors
    /// `Random`.
    pub fn renew_admin_token(&mut self) -> Result<Secret, ChangeError> {
        let token = Secret::new(random_text(40).map_err(ChangeError::Random)?);
        self.admin_token = Some(token.clone());
        Ok(token)
    }

    fn key_mut(&mut self, id: &str) -> Result<&mut AccessKey, ChangeError> {
        let found = self.access_keys.iter_mut().find(|key| key.id == id);
        found.ok_or_else(|| ChangeError::NoSuchKey(id.to_owned()))
    }

    fn insert(&mut self, at: usize, key: AccessKey) -> &AccessKey {
        self.access_keys.insert(at, key);
        &self.access_keys[at]
    }
}

/// As much as the key that assumes it, for a session policy to narrow.
const FIRST_ROLE: &str =
    r#"{"Version":"1","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}"#;

fn fresh_key(tenant: String, created_ms: Option<u64>) -> Result<AccessKey, getrandom::Error> {
    let id = format!("VF{}", random_text(22)?);
    Ok(AccessKey {
        mark: KeyMark::of(&id),
        id,
        secret: Secret::new(random_text(40)?),
        tenant,
        disabled: false,
        expires_ms: None,
        created_ms,
    })
}

fn fresh_master(kid: String) -> Result<Master, getrandom::Error> {
    let mut bytes = Zeroizing::new([0u8; 32]);
    getrandom::fill(bytes.as_mut())?;
    let key: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    Ok(Master { kid, key: Secret::new(key), retired_ms: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;

    #[test]
    fn keys_come_and_go() {
        let mut keys = Keys::fresh().unwrap();
        let root = keys.root().unwrap().id.clone();
        assert!(matches!(keys.delete_key(&root), Err(ChangeError::LastKey(_))));
        let own = keys.create_key(None, 5).unwrap().clone();
        let other = keys.create_key(None, 5).unwrap().clone();
        assert_ne!(own.tenant, other.tenant, "a tenant of its own");
        assert_eq!(keys.create_key(Some("studio"), 5).unwrap().tenant, "studio");
        for name in ["", "Studio", "a b", "ä", &"t".repeat(33)] {
            assert!(matches!(keys.create_key(Some(name), 5), Err(ChangeError::Name(_))), "{name}");
        }
        keys.disable_key(&own.id).unwrap();
        assert!(!keys.access_key(&own.id).unwrap().is_active(5));
        keys.enable_key(&own.id).unwrap();
        assert!(keys.access_key(&own.id).unwrap().is_active(5));
        keys.delete_key(&own.id).unwrap();
        assert!(keys.access_key(&own.id).is_none());
        for refused in [keys.disable_key("VFx"), keys.enable_key("VFx"), keys.delete_key("VFx")] {
            assert!(matches!(refused, Err(ChangeError::NoSuchKey(_))));
        }
    }

    #[test]
    fn a_rotated_key_lives_on_for_its_grace() {
        let mut keys = Keys::fresh().unwrap();
        let old = keys.root().unwrap().id.clone();
        let new = keys.rotate_key(&old, Duration::from_secs(60), 1000).unwrap().clone();
        assert_eq!(keys.root().unwrap().id, new.id);
        assert_eq!(new.tenant, DEFAULT_TENANT);
        let old_key = keys.access_key(&old).unwrap();
        assert!(old_key.is_active(60_999) && !old_key.is_active(61_000));
        // A second rotation does not prolong it.
        keys.rotate_key(&old, Duration::from_secs(600), 1000).unwrap();
        assert!(!keys.access_key(&old).unwrap().is_active(61_000));
        keys.rotate_key(&new.id, Duration::MAX, 1000).unwrap();
        assert!(keys.access_key(&new.id).unwrap().is_active(2_000_000_000_000));
    }

    #[test]
    fn roles_come_and_go() {
        let mut keys = Keys::fresh().unwrap();
        let new = |name: &str| NewRole {
            name: name.to_owned(),
            policy: FIRST_ROLE.to_owned(),
            ..NewRole::default()
        };
        let made = keys.create_role(new("Studio.1")).unwrap();
        assert_eq!((made.tenant.as_str(), made.assumed_by.len()), ("main", 1));
        assert!(matches!(keys.create_role(new("studio.1")), Err(ChangeError::RoleExists(_))));
        for name in ["", "a/b", "a b", &"r".repeat(65)] {
            assert!(matches!(keys.create_role(new(name)), Err(ChangeError::Name(_))), "{name}");
        }
        let bad = NewRole { policy: "{}".to_owned(), ..new("x") };
        assert!(matches!(keys.create_role(bad), Err(ChangeError::Policy(_))));
        let long = NewRole { policy: " ".repeat(6145), ..new("x") };
        assert!(matches!(keys.create_role(long), Err(ChangeError::PolicySize)));
        let whose = NewRole { assumed_by: vec!["No!".to_owned()], ..new("x") };
        assert!(matches!(keys.create_role(whose), Err(ChangeError::Name(_))));
        keys.delete_role("STUDIO.1").unwrap();
        assert!(matches!(keys.delete_role("Studio.1"), Err(ChangeError::NoSuchRole(_))));
        assert!(Policy::parse(FIRST_ROLE).is_ok_and(|policy| policy == Policy::everything()));
    }

    #[test]
    fn masters_are_kept_as_long_as_they_may_be_needed() {
        let mut keys = Keys::fresh().unwrap();
        let names = |keys: &Keys| {
            keys.masters.names().map(|(kid, _)| kid.to_owned()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(keys.rotate_masters(0).unwrap(), "k2");
        keys.rotate_masters(HOUR - 1).unwrap();
        assert_eq!(names(&keys), "k3 k2 k1");
        keys.rotate_masters(HOUR).unwrap();
        assert_eq!(names(&keys), "k4 k3 k2");
        assert!(matches!(keys.drop_master("k4"), Err(ChangeError::CurrentMaster(_))));
        assert!(matches!(keys.drop_master("k1"), Err(ChangeError::NoSuchMaster(_))));
        keys.drop_master("k3").unwrap();
        assert_eq!(names(&keys), "k4 k2");
    }
}
