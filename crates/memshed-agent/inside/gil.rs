//! The GIL, or what stands in for it where nobody holds it.

use crate::kernel;
use core::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// The GIL's mutex, held: while it is, nobody can take the GIL, since `locked` is only written
/// under it (Python/ceval_gil.h, `take_gil`). Whoever wants the GIL meanwhile waits for the mutex,
/// and is woken as by anybody who releases it.
///
/// The mutex is one of glibc, of the normal kind: its first word is 0 if free, 1 if held, and 2 if
/// held and waited for (nptl/lowlevellock.h).
pub struct Held(Option<u64>);

impl Held {
    /// Takes the mutex at `mutex`, if it is free and so is the GIL, whose lock word is at `locked`.
    /// `locked` 0: the calling thread holds the GIL.
    pub fn take(locked: u64, mutex: u64) -> Option<Held> {
        if locked == 0 {
            return Some(Held(None));
        }
        let word = word(mutex);
        word.compare_exchange(0, 1, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        let held = Held(Some(mutex));
        // SAFETY: an aligned word of the interpreter's state, which lasts as long as the process.
        let locked = unsafe { &*(locked as *const AtomicI32) };
        (locked.load(Ordering::Acquire) == 0).then_some(held)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(mutex) = self.0
            && word(mutex).swap(0, Ordering::Release) == 2
        {
            kernel::wake_one(mutex);
        }
    }
}

fn word(mutex: u64) -> &'static AtomicU32 {
    // SAFETY: an aligned word of the interpreter's state, which lasts as long as the process.
    unsafe { &*(mutex as *const AtomicU32) }
}
