//! How much a tenant may store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bounds on what one tenant stores, in all its buckets together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Most bytes, of objects and of the parts of unfinished uploads; a copy counts as its original.
    /// Default none.
    pub bytes: Option<u64>,
    /// Most objects. Default none.
    pub objects: Option<u64>,
}

/// The quotas of all tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Quotas {
    /// Of tenants without one of their own.
    pub every: Quota,
    /// Of these tenants, in place of it.
    pub of: BTreeMap<String, Quota>,
}

impl Quotas {
    /// Of one tenant.
    pub fn of(&self, tenant: &str) -> Quota {
        self.of.get(tenant).copied().unwrap_or(self.every)
    }

    /// Whether nobody has any.
    pub fn are_none(&self) -> bool {
        let none = Quota::default();
        self.every == none && self.of.values().all(|quota| *quota == none)
    }
}
