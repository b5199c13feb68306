//! Memory that is used again: fresh pages cost as much as what is done with them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Buffers begin on the boundary of so many bytes: of a page, and of a block of any disk.
pub(super) const BLOCK: usize = 4096;

/// Buffers of one size.
pub(super) struct Buffers {
    size: usize,
    /// So many are kept when nobody needs them.
    kept: usize,
    /// So many are lent at once.
    most: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    idle: Vec<Vec<u8>>,
    lent: usize,
}

impl Buffers {
    /// Of `size` bytes each: at most `most` at once, of which `kept` stay.
    pub(super) fn new(size: usize, kept: usize, most: usize) -> Arc<Buffers> {
        Arc::new(Buffers { size, kept, most, state: Mutex::default() })
    }

    /// One with any content for `length` bytes, at most the size of all; `None` when all are lent. For few bytes it is memory of their
    /// own, as they may be held for long.
    pub(super) fn lend(self: &Arc<Buffers>, length: usize) -> Option<Lent> {
        let mut state = self.state();
        if state.lent >= self.most {
            return None;
        }
        state.lent += 1;
        let large = length > self.size / 4;
        let idle = if large { state.idle.pop() } else { None };
        drop(state);
        let memory =
            idle.unwrap_or_else(|| vec![0; BLOCK + if large { self.size } else { length }]);
        let start = memory.as_ptr().align_offset(BLOCK).min(BLOCK);
        Some(Lent { memory, start, used: 0, home: self.clone() })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A buffer, until everybody has let go of what was put into it.
pub(super) struct Lent {
    memory: Vec<u8>,
    /// Where the buffer begins in its memory.
    start: usize,
    used: usize,
    home: Arc<Buffers>,
}

impl Lent {
    /// Its first `length` bytes, to be filled.
    pub(super) fn room(&mut self, length: usize) -> &mut [u8] {
        let length = length.min(self.size());
        self.memory.get_mut(self.start..self.start + length).unwrap_or_default()
    }

    /// So many bytes from its start on count.
    pub(super) fn set_used(&mut self, used: usize) {
        self.used = used.min(self.size());
    }

    /// Puts as much of `more` behind what is there as there is room for; how much that was.
    pub(super) fn push(&mut self, more: &[u8]) -> usize {
        let taken = more.len().min(self.size() - self.used);
        let from = self.start + self.used;
        if let Some((room, more)) = self.memory.get_mut(from..from + taken).zip(more.get(..taken)) {
            room.copy_from_slice(more);
        }
        self.used += taken;
        taken
    }

    fn size(&self) -> usize {
        self.memory.len() - BLOCK
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self.memory.get(self.start..self.start + self.used).unwrap_or_default()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut state = self.home.state();
        state.lent -= 1;
        if self.size() == self.home.size && state.idle.len() < self.home.kept {
            state.idle.push(std::mem::take(&mut self.memory));
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_buffer_is_used_again_when_its_bytes_are_let_go_of() {
        let home = Buffers::new(100, 2, usize::MAX);
        let mut lent = home.lend(100).unwrap();
        lent.room(200).fill(7);
        lent.set_used(10);
        let bytes = Bytes::from_owner(lent);
        let part = bytes.slice(2..5);
        drop(bytes);
        assert_eq!((&part[..], home.state().idle.len()), (&[7, 7, 7][..], 0));
        drop(part);
        assert_eq!(home.state().idle.len(), 1);
        assert_eq!(home.lend(26).unwrap().room(1), [7]);
        assert_eq!(home.lend(25).unwrap().room(100), [0; 25], "not worth a whole one");
        let many: Vec<_> = (0..5).map(|_| home.lend(100).unwrap()).collect();
        assert!(many.iter().all(|one| one.as_ref().as_ptr().align_offset(BLOCK) == 0));
        drop(many);
        assert_eq!(home.state().idle.len(), 2);
        assert_eq!(home.state().lent, 0);
    }

    #[test]
    fn it_is_filled_to_its_size_and_no_further() {
        let home = Buffers::new(10, 1, 1);
        let mut lent = home.lend(10).unwrap();
        assert_eq!([&[1; 6][..], &[], &[2; 5], &[3; 1]].map(|more| lent.push(more)), [6, 0, 4, 0]);
        assert_eq!(lent.as_ref(), [1, 1, 1, 1, 1, 1, 2, 2, 2, 2]);
        assert!(home.lend(1).is_none(), "all are lent");
        drop(lent);
        assert!(home.lend(10).unwrap().as_ref().is_empty(), "what was in it does not count");
    }
}
