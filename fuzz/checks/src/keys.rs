//! Stands in for the server's keys, as far as its tokens need them.

use vodferry_oss::Secret;

pub(crate) const DEFAULT_TENANT: &str = "main";

/// Two masters, the newer one current.
pub(crate) struct Masters([Master; 2]);

pub(crate) struct Master {
    pub(crate) kid: String,
    pub(crate) key: Secret,
}

impl Masters {
    pub(crate) fn new() -> Masters {
        let master = |kid: &str, digit: &str| Master {
            kid: kid.to_owned(),
            key: Secret::new(digit.repeat(64)),
        };
        Masters([master("k2", "b"), master("k1", "a")])
    }

    pub(crate) fn current(&self) -> Option<&Master> {
        self.0.first()
    }

    pub(crate) fn find(&self, kid: &[u8]) -> Option<&Master> {
        self.0.iter().find(|master| master.kid.as_bytes() == kid)
    }
}

/// The same every time, so that a finding can be replayed.
pub(crate) fn random_text(length: usize) -> Result<String, getrandom::Error> {
    Ok("f".repeat(length))
}
