//! Ordered maps and sets on sorted vectors.
//!
//! Their interface is that of `BTreeMap` and `BTreeSet`, as far as it is used. Those are faster with many thousands of entries, and
//! their code is ten kilobytes of wasm for each pair of types; here entries are few, or come and go at the ends.

use alloc::vec::Vec;
use core::ops::RangeBounds;

/// Values by key, ascending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Map<K, V>(Vec<(K, V)>);

impl<K, V> Default for Map<K, V> {
    fn default() -> Map<K, V> {
        Map(Vec::new())
    }
}

impl<K: Ord + Copy, V> Map<K, V> {
    pub(crate) fn new() -> Map<K, V> {
        Map(Vec::new())
    }

    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self.find(&key) {
            Ok(at) => self.0.get_mut(at).map(|entry| core::mem::replace(&mut entry.1, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        self.find(key).ok().map(|at| self.0.remove(at).1)
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        self.0.get(self.find(key).ok()?).map(|entry| &entry.1)
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let at = self.find(key).ok()?;
        self.0.get_mut(at).map(|entry| &mut entry.1)
    }

    pub(crate) fn contains_key(&self, key: &K) -> bool {
        self.find(key).is_ok()
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (&K, &V)> {
        self.0.iter().map(|entry| (&entry.0, &entry.1))
    }

    pub(crate) fn keys(&self) -> impl DoubleEndedIterator<Item = &K> {
        self.0.iter().map(|entry| &entry.0)
    }

    pub(crate) fn values(&self) -> impl DoubleEndedIterator<Item = &V> {
        self.0.iter().map(|entry| &entry.1)
    }

    fn find(&self, key: &K) -> Result<usize, usize> {
        self.0.binary_search_by(|entry| entry.0.cmp(key))
    }
}

/// Keys, ascending, each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Set<K>(Vec<K>);

impl<K> Default for Set<K> {
    fn default() -> Set<K> {
        Set(Vec::new())
    }
}

impl<K: Ord + Copy> Set<K> {
    pub(crate) fn new() -> Set<K> {
        Set(Vec::new())
    }

    pub(crate) fn insert(&mut self, key: K) -> bool {
        let at = self.0.binary_search(&key);
        if let Err(at) = at {
            self.0.insert(at, key);
        }
        at.is_err()
    }

    pub(crate) fn remove(&mut self, key: &K) -> bool {
        let at = self.0.binary_search(key);
        if let Ok(at) = at {
            self.0.remove(at);
        }
        at.is_ok()
    }

    pub(crate) fn contains(&self, key: &K) -> bool {
        self.0.binary_search(key).is_ok()
    }

    pub(crate) fn first(&self) -> Option<&K> {
        self.0.first()
    }

    pub(crate) fn pop_first(&mut self) -> Option<K> {
        if self.0.is_empty() { None } else { Some(self.0.remove(0)) }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn iter(&self) -> core::slice::Iter<'_, K> {
        self.0.iter()
    }

    pub(crate) fn range(&self, range: impl RangeBounds<K>) -> impl DoubleEndedIterator<Item = &K> {
        self.0.iter().filter(move |key| range.contains(*key))
    }

    pub(crate) fn extend(&mut self, keys: impl IntoIterator<Item = K>) {
        for key in keys {
            self.insert(key);
        }
    }
}

impl<K: Ord + Copy> FromIterator<K> for Set<K> {
    fn from_iter<I: IntoIterator<Item = K>>(items: I) -> Set<K> {
        let mut set = Set::new();
        set.extend(items);
        set
    }
}

impl<K> IntoIterator for Set<K> {
    type Item = K;
    type IntoIter = alloc::vec::IntoIter<K>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<K, V> IntoIterator for Map<K, V> {
    type Item = (K, V);
    type IntoIter = alloc::vec::IntoIter<(K, V)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

#[cfg(test)]
mod tests {
    use alloc::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn maps_and_sets_are_as_the_library_has_them(steps in proptest::collection::vec((0_u32..20, 0_u32..4), 0..80)) {
            let (mut map, mut set) = (Map::new(), Set::new());
            let (mut model_map, mut model_set) = (BTreeMap::new(), BTreeSet::new());
            for (index, (key, what)) in steps.into_iter().enumerate() {
                match what {
                    0 | 1 => {
                        prop_assert_eq!(map.insert(key, index), model_map.insert(key, index));
                        prop_assert_eq!(set.insert(key), model_set.insert(key));
                    }
                    2 => {
                        prop_assert_eq!(map.remove(&key), model_map.remove(&key));
                        prop_assert_eq!(set.remove(&key), model_set.remove(&key));
                    }
                    _ => prop_assert_eq!(set.pop_first(), model_set.pop_first()),
                }
                prop_assert_eq!(map.get(&key), model_map.get(&key));
                prop_assert!(map.iter().eq(model_map.iter()));
                prop_assert!(set.iter().eq(model_set.iter()));
                prop_assert!(set.range(key..).eq(model_set.range(key..)));
                prop_assert_eq!((map.len(), set.first()), (model_map.len(), model_set.first()));
            }
        }
    }
}
