//! A heap on which the cost of a request does not depend on earlier requests.
//!
//! The cost of glibc's allocator depends on the state that earlier requests left: the length of the
//! program's own path, which its start-up code stores there, changed the count of one workload by 2
//! %. Here a block is taken from the free blocks of its size, or from the end of a large block of
//! the system's. A saved or added allocation therefore changes the count, and nothing else does.

#[cfg(test)]
mod tests;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::UnsafeCell;
use std::ptr::null_mut;

/// Every size is a power of two.
const SIZES: usize = usize::BITS as usize;

/// The smallest size in bytes, which is also the minimum alignment.
const SMALLEST: usize = 16;

/// Number of bytes per request to the system.
const SUPPLY: usize = 64 << 20;

/// The heap of a program with one thread.
pub(crate) struct Heap(UnsafeCell<State>);

struct State {
    /// First free block of each size. Each free block has the address of the next one.
    free: [*mut u8; SIZES],
    /// Rest of the system's block.
    next: *mut u8,
    left: usize,
}

// SAFETY: the program starts no thread.
unsafe impl Sync for Heap {}

impl Heap {
    /// Creates a heap without any block.
    pub(crate) const fn new() -> Self {
        Self(UnsafeCell::new(State {
            free: [null_mut(); SIZES],
            next: null_mut(),
            left: 0,
        }))
    }
}

/// Returns the size of the block for `layout`.
fn block(layout: Layout) -> usize {
    layout
        .size()
        .max(layout.align())
        .max(SMALLEST)
        .next_power_of_two()
}

// SAFETY: a block has one owner at a time, and is at least as large and as aligned as requested:
// its size is a power of two, and blocks are cut at multiples of their size.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let size = block(layout);
        // SAFETY: there is one thread, and the code below requests no memory of this heap.
        let state = unsafe { &mut *self.0.get() };
        let free = &mut state.free[size.trailing_zeros() as usize];
        if free.is_null() {
            return state.cut(size);
        }
        let block = *free;
        // SAFETY: a free block of this size holds the address of the next one.
        *free = unsafe { block.cast::<*mut u8>().read() };
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        let size = self::block(layout);
        // SAFETY: as above.
        let state = unsafe { &mut *self.0.get() };
        let free = &mut state.free[size.trailing_zeros() as usize];
        // SAFETY: the block is no longer used; it has room for an address and is aligned for it.
        unsafe { block.cast::<*mut u8>().write(*free) };
        *free = block;
    }
}

impl State {
    /// Cuts a new block; null if the system has no memory.
    fn cut(&mut self, size: usize) -> *mut u8 {
        let gap = self.next.align_offset(size);
        if self.left < size || self.left - size < gap {
            return self.restock(size);
        }
        // SAFETY: `gap + size` bytes are left.
        let block = unsafe { self.next.add(gap) };
        // SAFETY: the same.
        self.next = unsafe { block.add(size) };
        self.left -= gap + size;
        block
    }

    /// Requests a block from the system, aligned for every size into which it may be cut.
    fn restock(&mut self, size: usize) -> *mut u8 {
        let supply = size.max(SUPPLY);
        let Ok(layout) = Layout::from_size_align(supply, supply) else {
            return null_mut();
        };
        // SAFETY: the layout's size is not zero.
        let block = unsafe { System.alloc(layout) };
        if block.is_null() || size == supply {
            return block;
        }
        // SAFETY: `size` is less than what the block has.
        self.next = unsafe { block.add(size) };
        self.left = supply - size;
        block
    }
}
