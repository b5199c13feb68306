//! The module's heap. Of our own because the standard one weighs as much as a tenth of the module.
//!
//! Blocks have sizes of powers of two. A block that is freed goes to the list of its size and serves the next request of that
//! size; blocks are neither split nor joined. What a page holds at once is little, and buffers of parts never come here.
#![allow(unsafe_code)]

use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::marker::PhantomData;
use core::ptr::null_mut;

/// Where memory comes from.
pub(crate) trait Pages {
    /// The address of so many fresh, adjacent pages of [`PAGE`] bytes, a multiple of [`LEAST`]. 0: there are no more.
    fn grow(pages: usize) -> usize;
}

/// Bytes of a page.
pub(crate) const PAGE: usize = 64 << 10;
/// Bytes of the smallest block, and the alignment of all of them. Nothing in the module asks for a greater one.
const LEAST: usize = 16;

/// Blocks of power-of-two sizes, for one thread.
pub(crate) struct Heap<P> {
    state: UnsafeCell<State>,
    pages: PhantomData<P>,
}

struct State {
    /// The first free block of 2^index bytes, or 0; each free block begins with the address of the next.
    free: [usize; usize::BITS as usize],
    /// Memory that was never part of a block.
    fresh: usize,
    end: usize,
}

impl<P> Heap<P> {
    /// An empty heap.
    ///
    /// # Safety
    /// Only one thread may use it.
    pub(crate) const unsafe fn new() -> Heap<P> {
        let state = State { free: [0; usize::BITS as usize], fresh: 0, end: 0 };
        Heap { state: UnsafeCell::new(state), pages: PhantomData }
    }
}

// SAFETY: who made it promised that only one thread uses it.
unsafe impl<P> Sync for Heap<P> {}

// SAFETY: a block given out is at least as large as asked for, aligned to 16 bytes, and in no list until it is given back.
unsafe impl<P: Pages> GlobalAlloc for Heap<P> {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let class = class(layout.size());
        // SAFETY: one thread, and no other reference lives: nothing below calls back into the heap.
        let state = unsafe { &mut *self.state.get() };
        let Some(first) = state.free.get_mut(class as usize) else { return null_mut() };
        if layout.align() > LEAST {
            return null_mut();
        }
        if *first != 0 {
            let block = *first as *mut usize;
            // SAFETY: a free block, which begins with the address of the next.
            *first = unsafe { *block };
            return block.cast();
        }
        let size = 1_usize << class;
        if state.end - state.fresh < size {
            let pages = size.div_ceil(PAGE);
            let start = P::grow(pages);
            if start == 0 {
                return null_mut();
            }
            if start != state.end {
                state.fresh = start;
            }
            state.end = start + pages * PAGE;
        }
        let block = state.fresh;
        state.fresh += size;
        block as *mut u8
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        let state = unsafe { &mut *self.state.get() };
        if let Some(first) = state.free.get_mut(class(layout.size()) as usize) {
            // SAFETY: the block came from `alloc` with this layout: it is ours, large enough and aligned.
            unsafe { *block.cast() = *first };
            *first = block as usize;
        }
    }
}

/// The exponent of the smallest block that holds so many bytes.
fn class(size: usize) -> u32 {
    usize::BITS - (size.max(LEAST) - 1).leading_zeros()
}

#[cfg(target_arch = "wasm32")]
mod module {
    use super::{Heap, PAGE, Pages};

    struct Memory;

    impl Pages for Memory {
        fn grow(pages: usize) -> usize {
            match core::arch::wasm32::memory_grow::<0>(pages) {
                usize::MAX => 0,
                before => before * PAGE,
            }
        }
    }

    // SAFETY: a module without imports has one thread.
    #[global_allocator]
    static HEAP: Heap<Memory> = unsafe { Heap::new() };
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pages that are not adjacent, except by chance.
    struct Leak;

    impl Pages for Leak {
        fn grow(pages: usize) -> usize {
            if pages > 64 {
                return 0;
            }
            Vec::leak(vec![0_u128; pages * PAGE / 16]).as_mut_ptr() as usize
        }
    }

    fn heap() -> Heap<Leak> {
        // SAFETY: every test has its own.
        unsafe { Heap::new() }
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, 8).unwrap()
    }

    #[test]
    fn a_freed_block_serves_the_next_of_its_size() {
        let heap = heap();
        // SAFETY: freed once, with the layout it was asked for with.
        unsafe {
            let first = heap.alloc(layout(20));
            heap.dealloc(first, layout(20));
            assert_eq!(heap.alloc(layout(32)), first);
            assert_ne!(heap.alloc(layout(32)), first);
        }
    }

    #[test]
    fn what_cannot_be_had_is_null() {
        let heap = heap();
        // SAFETY: nothing is done with what comes.
        unsafe {
            assert!(heap.alloc(layout(65 * PAGE)).is_null());
            assert!(heap.alloc(layout(isize::MAX as usize - 7)).is_null());
            assert!(heap.alloc(Layout::from_size_align(8, 32).unwrap()).is_null());
            assert!(!heap.alloc(layout(PAGE)).is_null());
        }
    }

    proptest! {
        /// Every block keeps what was written into it, whatever is asked for and freed around it.
        #[test]
        fn blocks_do_not_touch(steps in proptest::collection::vec((0_usize..200_000, any::<bool>()), 1..60)) {
            let heap = heap();
            let mut held: Vec<(*mut u8, usize, u8)> = vec![];
            for (index, (size, free)) in steps.into_iter().enumerate() {
                let fill = index as u8;
                // SAFETY: blocks are written and read within their sizes, and freed once.
                unsafe {
                    if free && !held.is_empty() {
                        let (block, size, _) = held.swap_remove(size % held.len());
                        heap.dealloc(block, layout(size));
                    } else {
                        let block = heap.alloc(layout(size));
                        prop_assert!(!block.is_null() && (block as usize).is_multiple_of(16));
                        block.write_bytes(fill, size);
                        held.push((block, size, fill));
                    }
                    for (block, size, fill) in &held {
                        let bytes = core::slice::from_raw_parts(*block, *size);
                        prop_assert!(bytes.iter().all(|byte| byte == fill));
                    }
                }
            }
        }
    }
}
