//! How much a tenant may store.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Bounds on what one tenant stores, in all its buckets together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Quota {
    /// Most bytes, of objects and of the parts of unfinished uploads, and of the headers that are kept with both
    /// (`x-oss-meta-…` and the like); a copy counts as its original. Default none.
    pub bytes: Option<u64>,
    /// Most objects. Default none.
    pub objects: Option<u64>,
    /// Most unfinished multipart uploads; 0 is no bound. Default 10,000.
    pub uploads: u64,
    /// Most buckets; 0 is no bound. Default 100.
    pub buckets: u64,
}

impl Quota {
    /// Whether what is stored must be added up to keep it.
    fn adds_up(&self) -> bool {
        self.bytes.is_some() || self.objects.is_some()
    }
}

impl Default for Quota {
    fn default() -> Quota {
        Quota { bytes: None, objects: None, uploads: 10_000, buckets: 100 }
    }
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

    /// Whether anybody's bytes or objects are bounded.
    pub(super) fn add_up(&self) -> bool {
        self.every.adds_up() || self.of.values().any(Quota::adds_up)
    }
}
