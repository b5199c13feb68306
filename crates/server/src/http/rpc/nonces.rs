//! Numbers used once: a signed call that somebody overheard is not carried out again.
//!
//! A nonce is remembered for as long as its call would be accepted: until its time is too far in the
//! past, or its credential has run out. Memory is bounded; where it does not suffice, calls are
//! refused rather than repeated. Every node remembers its own, and none survives a restart.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use sha2::{Digest, Sha256};

/// The nonces of the last half hour or so.
#[derive(Debug)]
pub(crate) struct Nonces {
    seen: Mutex<Seen>,
    /// Most of all tenants together.
    most: usize,
}

/// Why a call is not carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NonceError {
    /// It was carried out before.
    Used,
    /// Too many calls lately, of this tenant or of all.
    Full,
}

type Mark = [u8; 16];

#[derive(Debug, Default)]
struct Seen {
    marks: HashSet<Mark>,
    /// By the minute in which they may be forgotten.
    by_minute: BTreeMap<u64, Vec<(Mark, String)>>,
    by_tenant: HashMap<String, usize>,
}

impl Nonces {
    /// Remembers up to `most`; a single tenant has half of them.
    pub(crate) fn new(most: usize) -> Nonces {
        Nonces { seen: Mutex::default(), most }
    }

    /// Accepts a nonce of a key once until `until_ms`. Call it when the signature is known to be
    /// right, or strangers fill the memory.
    pub(crate) fn accept(
        &self,
        (tenant, key, nonce): (&str, &str, &str),
        until_ms: u64,
        now_ms: u64,
    ) -> Result<(), NonceError> {
        let mark = mark(key, nonce);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.forget(now_ms / 60_000);
        if seen.marks.contains(&mark) {
            return Err(NonceError::Used);
        }
        let own = seen.by_tenant.get(tenant).copied().unwrap_or(0);
        if seen.marks.len() >= self.most || own >= self.most.div_ceil(2) {
            return Err(NonceError::Full);
        }
        seen.marks.insert(mark);
        seen.by_minute.entry(until_ms / 60_000).or_default().push((mark, tenant.to_owned()));
        seen.by_tenant.insert(tenant.to_owned(), own + 1);
        Ok(())
    }
}

impl Default for Nonces {
    /// Some fifty megabytes at most; enough for 140 calls a second of one tenant.
    fn default() -> Nonces {
        Nonces::new(1 << 19)
    }
}

impl Seen {
    /// Forgets those of minutes that are over.
    fn forget(&mut self, minute: u64) {
        while let Some(entry) = self.by_minute.first_entry().filter(|entry| *entry.key() < minute) {
            for (mark, tenant) in entry.remove() {
                self.marks.remove(&mark);
                if let Some(count) = self.by_tenant.get_mut(&tenant) {
                    *count -= 1;
                    if *count == 0 {
                        self.by_tenant.remove(&tenant);
                    }
                }
            }
        }
    }
}

fn mark(key: &str, nonce: &str) -> Mark {
    let mut hash = Sha256::new();
    // A key id has no line feed.
    for piece in [key, "\n", nonce] {
        hash.update(piece);
    }
    let digest = <[u8; 32]>::from(hash.finalize());
    digest.first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    #[test]
    fn a_nonce_is_good_once_per_key_until_its_time_is_over() {
        let nonces = Nonces::default();
        let accept = |key, nonce, now| nonces.accept(("t", key, nonce), 15 * MINUTE, now);
        assert_eq!(accept("a", "n", 0), Ok(()));
        assert_eq!(accept("a", "n", 0), Err(NonceError::Used));
        assert_eq!(accept("a", "m", 0), Ok(()));
        assert_eq!(accept("b", "n", 0), Ok(()));
        assert_eq!(accept("a", "n", 15 * MINUTE), Err(NonceError::Used));
        assert_eq!(accept("a", "n", 17 * MINUTE), Ok(()));
        let seen = nonces.seen.lock().unwrap();
        assert_eq!((seen.marks.len(), seen.by_tenant["t"]), (1, 1));
    }

    #[test]
    fn memory_is_bounded_and_shared() {
        let nonces = Nonces::new(10);
        let accept = |tenant, n: u64, now| {
            nonces.accept((tenant, tenant, &n.to_string()), now + MINUTE, now)
        };
        for n in 0..5 {
            assert_eq!(accept("greedy", n, 0), Ok(()));
        }
        assert_eq!(accept("greedy", 5, 0), Err(NonceError::Full));
        assert_eq!(accept("greedy", 4, 0), Err(NonceError::Used), "still told apart");
        for n in 0..4 {
            assert_eq!(accept("modest", n, 0), Ok(()));
        }
        assert_eq!(accept("third", 0, 0), Ok(()));
        assert_eq!(accept("third", 1, 0), Err(NonceError::Full));
        assert_eq!(accept("greedy", 6, 3 * MINUTE), Ok(()));
        assert_eq!(nonces.seen.lock().unwrap().marks.len(), 1);
    }
}
