//! Instead of the kernel: zeros the pages that are discarded, and remembers which they were. Its
//! clock goes on by a bit each time somebody looks at it.

use std::cell::{Cell, RefCell};

/// A range of memory (`struct iovec`).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Range {
    /// Its first byte.
    pub start: u64,
    /// How many bytes it has.
    pub len: u64,
}

/// What the kernel makes of a call with many ranges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Many {
    /// It can't do that.
    Refused,
    /// It does that.
    Done,
    /// It stops half-way through.
    Half,
}

thread_local! {
    static CLOCK: Cell<u64> = const { Cell::new(0) };
    static MANY: Cell<Many> = const { Cell::new(Many::Done) };
    static STUBBORN: Cell<bool> = const { Cell::new(false) };
    static DISCARDED: RefCell<Vec<(u64, u64)>> = const { RefCell::new(Vec::new()) };
    static OPEN: Cell<i64> = const { Cell::new(0) };
}

/// What is to be expected of calls; `stubborn` refuses to discard anything.
pub fn behave(many: Many, stubborn: bool) {
    MANY.set(many);
    STUBBORN.set(stubborn);
}

/// The ranges that were discarded since this was last asked; no descriptor may be open.
pub fn discarded() -> Vec<(u64, u64)> {
    assert_eq!(OPEN.get(), 0, "a descriptor stays open");
    DISCARDED.take()
}

/// Nanoseconds.
pub fn now() -> u64 {
    CLOCK.set(CLOCK.get() + 1000);
    CLOCK.get()
}

/// A descriptor.
pub fn open_myself() -> Option<i64> {
    OPEN.set(OPEN.get() + 1);
    Some(3)
}

/// Closes it.
pub fn close(_: i64) {
    OPEN.set(OPEN.get() - 1);
}

/// Zeros some ranges.
pub fn discard_all(_: i64, ranges: u64, count: u64) -> i64 {
    assert!((1..=1024).contains(&count));
    let take = match MANY.get() {
        Many::Refused => return -22,
        Many::Done => count,
        Many::Half => count / 2,
    };
    let mut bytes = 0;
    for i in 0..take {
        // SAFETY: the batch has so many.
        let range = unsafe { *(ranges as *const Range).add(i as usize) };
        if discard(range) < 0 {
            break;
        }
        bytes += range.len as i64;
    }
    if bytes == 0 { -22 } else { bytes }
}

/// Zeros a range.
pub fn discard(range: Range) -> i64 {
    assert!(range.start.is_multiple_of(4096) && range.len.is_multiple_of(4096) && range.len > 0);
    if STUBBORN.get() {
        return -22;
    }
    // SAFETY: what is discarded lies within an arena of the model; it checks that afterwards.
    unsafe { std::ptr::write_bytes(range.start as *mut u8, 0, range.len as usize) };
    DISCARDED.with_borrow_mut(|all| all.push((range.start, range.start + range.len)));
    0
}
