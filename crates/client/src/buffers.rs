//! Memory for part bodies: a budget, and buffers used again.
//!
//! All parts in flight have room in the budget, or none is buffered: a few in memory beside many that are read twice would cost the memory
//! without sparing the time, as the many are what the upload waits for.

use std::sync::{Arc, Mutex, PoisonError};

/// Lends buffers as long as the budget lasts.
#[derive(Debug)]
pub(crate) struct Buffers {
    budget: u64,
    /// Larger parts do not fit, as not all of them would.
    largest: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of all buffers, lent and free.
    held: u64,
    free: Vec<Vec<u8>>,
}

impl Buffers {
    /// For so many parts in flight.
    pub(crate) fn new(budget: u64, parts: u32) -> Arc<Buffers> {
        let largest = budget / u64::from(parts.max(1));
        Arc::new(Buffers { budget, largest, state: Mutex::default() })
    }

    /// A buffer of `length` bytes, what is in them undefined; `None` when the budget has no room for it now.
    pub(crate) fn take(self: &Arc<Buffers>, length: usize) -> Option<Buffer> {
        if length as u64 > self.largest {
            return None;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let fitting = state.free.iter().enumerate().filter(|(_, free)| free.len() >= length);
        if let Some((at, _)) = fitting.min_by_key(|(_, free)| free.len()) {
            let bytes = state.free.swap_remove(at);
            return Some(Buffer { pool: self.clone(), bytes, length });
        }
        while state.held + length as u64 > self.budget {
            let smaller = state.free.pop()?;
            state.held -= smaller.len() as u64;
        }
        state.held += length as u64;
        drop(state);
        Some(Buffer { pool: self.clone(), bytes: vec![0; length], length })
    }

    /// A buffer of `length` bytes that is needed all the same: one beyond the budget is not kept.
    pub(crate) fn window(self: &Arc<Buffers>, length: usize) -> Buffer {
        self.take(length).unwrap_or_else(|| {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).held += length as u64;
            Buffer { pool: self.clone(), bytes: vec![0; length], length }
        })
    }

    /// Bytes of all buffers, lent and free.
    #[cfg(test)]
    pub(crate) fn held(&self) -> u64 {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).held
    }

    /// Gives the memory of free buffers back to the system.
    pub(crate) fn trim(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let free: u64 = state.free.iter().map(|free| free.len() as u64).sum();
        state.held -= free;
        state.free = Vec::new();
    }
}

/// A buffer on loan.
#[derive(Debug)]
pub(crate) struct Buffer {
    pool: Arc<Buffers>,
    bytes: Vec<u8>,
    length: usize,
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.length).unwrap_or_default()
    }
}

impl AsMut<[u8]> for Buffer {
    fn as_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.length).unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut state = self.pool.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.held > self.pool.budget {
            state.held -= self.bytes.len() as u64;
        } else {
            state.free.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_used_again_and_the_budget_holds() {
        let pool = Buffers::new(100, 1);
        let mut a = pool.take(60).unwrap();
        a.as_mut()[0] = 7;
        assert!(pool.take(60).is_none());
        let b = pool.take(40).unwrap();
        assert!(pool.take(1).is_none());
        drop(a);
        let c = pool.take(50).unwrap();
        assert_eq!((c.as_ref().len(), c.as_ref()[0]), (50, 7));
        drop((b, c));
        // Free buffers too small for the wish make room for it.
        assert_eq!(pool.take(100).unwrap().as_ref().len(), 100);
        pool.trim();
        assert_eq!(pool.held(), 0);
        assert!(pool.take(101).is_none());
        assert_eq!(pool.take(0).unwrap().as_ref().len(), 0);
    }

    #[test]
    fn parts_of_which_not_all_would_fit_take_nothing() {
        let pool = Buffers::new(100, 3);
        assert!(pool.take(34).is_none());
        let taken: Vec<Buffer> = (0..3).map(|_| pool.take(33).unwrap()).collect();
        assert_eq!(pool.held(), 99);
        drop(taken);
    }
}
