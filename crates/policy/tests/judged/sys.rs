//! Counts the allocations of a thread: the one place of these tests where the compiler has to take
//! our word.

#![expect(unsafe_code, reason = "the trait of allocators is unsafe, and only it sees allocations")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

thread_local! {
    static COUNT: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call goes to the system's allocator as it came; counting allocates nothing, for the
// counter is there from the start of its thread and has no destructor.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps to what the trait asks of it.
        unsafe { System.alloc(layout) }
    }

    unsafe fn realloc(&self, old: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(old, layout, size) }
    }

    unsafe fn dealloc(&self, old: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(old, layout) }
    }
}

/// Returns what an action returns, and how often it allocated.
pub(crate) fn counting<T>(action: impl FnOnce() -> T) -> (T, u64) {
    let before = COUNT.get();
    let result = action();
    (result, COUNT.get() - before)
}

#[test]
fn allocations_are_counted() {
    assert_eq!(counting(|| 1 + 1).1, 0);
    assert_eq!(counting(|| vec![1_u8]).1, 1);
}
