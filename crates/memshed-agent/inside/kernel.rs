//! System calls. None of them touches what the kernel keeps to restart an interrupted call (the
//! thread's `restart_block`): the thread may have been in the middle of one.

use core::arch::asm;

const MADVISE: u64 = 28;
const PPOLL: u64 = 271;
const GETPID: u64 = 39;
const CLOSE: u64 = 3;
const RT_SIGPROCMASK: u64 = 14;
const RT_SIGPENDING: u64 = 127;
const FUTEX: u64 = 202;
const CLOCK_GETTIME: u64 = 228;
const PIDFD_OPEN: u64 = 434;
const PROCESS_MADVISE: u64 = 440;

const CLOCK_MONOTONIC: u64 = 1;
const MADV_DONTNEED: u64 = 4;
/// FUTEX_WAKE of a futex that no other process uses.
const FUTEX_WAKE_PRIVATE: u64 = 129;
const SIG_SETMASK: u64 = 2;
const SIGSET_SIZE: u64 = 8;

/// A system call; an error is a negative number.
fn call(number: u64, args: [u64; 5]) -> i64 {
    let result;
    // SAFETY: what the callers below ask of the kernel touches only memory that they own, or, with
    // `madvise`, memory whose contents nobody needs.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number => result,
            in("rdi") args[0],
            in("rsi") args[1],
            in("rdx") args[2],
            in("r10") args[3],
            in("r8") args[4],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}

/// A range of memory (`struct iovec`).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Range {
    /// Its first byte.
    pub start: u64,
    /// How many bytes it has.
    pub len: u64,
}

/// Nanoseconds on the monotonic clock.
pub fn now() -> u64 {
    let mut time = [0u64; 2];
    call(
        CLOCK_GETTIME,
        [CLOCK_MONOTONIC, time.as_mut_ptr() as u64, 0, 0, 0],
    );
    time[0].wrapping_mul(1_000_000_000).wrapping_add(time[1])
}

/// Sleeps for a while. ppoll(2) is among the calls that can be woken from without a trace; and not
/// sched_yield(2) in a loop, each of which is held against a thread by the scheduler.
pub fn sleep(nanoseconds: u64) {
    let time = [nanoseconds / 1_000_000_000, nanoseconds % 1_000_000_000];
    call(PPOLL, [0, 0, time.as_ptr() as u64, 0, 0]);
}

/// Wakes one thread that waits for the word at `at`.
pub fn wake_one(at: u64) {
    call(FUTEX, [at, FUTEX_WAKE_PRIVATE, 1, 0, 0]);
}

/// Blocks a set of signals and no others. The set that was blocked before.
pub fn block_signals(set: u64) -> u64 {
    let mut old = 0u64;
    let (new, old_at) = (&raw const set as u64, &raw mut old as u64);
    call(RT_SIGPROCMASK, [SIG_SETMASK, new, old_at, SIGSET_SIZE, 0]);
    old
}

/// The signals that are waiting for the thread.
pub fn pending_signals() -> u64 {
    let mut set = 0u64;
    call(RT_SIGPENDING, [&raw mut set as u64, SIGSET_SIZE, 0, 0, 0]);
    set
}

/// The process itself for [`discard_all`], to be given to [`close`] afterwards; `None` where that
/// cannot be had.
pub fn open_myself() -> Option<i64> {
    // Linux 6.15 has a name for it (PIDFD_SELF_THREAD_GROUP), which is no descriptor that the
    // program could close, or come across.
    const MYSELF: i64 = -10_001;
    if discard_all(MYSELF, 0, 0) == 0 {
        return Some(MYSELF);
    }
    let pid = call(GETPID, [0; 5]);
    let fd = call(PIDFD_OPEN, [pid as u64, 0, 0, 0, 0]);
    (fd >= 0).then_some(fd)
}

/// Closes what [`open_myself`] has opened, if it has.
pub fn close(myself: i64) {
    if myself >= 0 {
        call(CLOSE, [myself as u64, 0, 0, 0, 0]);
    }
}

/// Discards the contents of ranges, of whole pages, in one call (Linux 6.13, of oneself only). How
/// many bytes, in order; or an error.
pub fn discard_all(myself: i64, ranges: u64, count: u64) -> i64 {
    call(
        PROCESS_MADVISE,
        [myself as u64, ranges, count, MADV_DONTNEED, 0],
    )
}

/// Discards the contents of one range of whole pages. 0, or an error.
pub fn discard(range: Range) -> i64 {
    call(MADVISE, [range.start, range.len, MADV_DONTNEED, 0, 0])
}
