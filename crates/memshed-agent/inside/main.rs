//! The code that runs inside a process: compiled by `build.rs`, without a standard library, and
//! carried by `memshed-agent` as bytes. It has no memory of its own, calls nothing but the kernel
//! and what a job names, and must not panic.

#![no_std]
#![no_builtins]
#![deny(missing_docs, unsafe_op_in_unsafe_fn)]

#[path = "../src/abi.rs"]
mod abi;
mod call;
mod excursion;
mod gil;
mod kernel;
mod memory;
mod shed;

use abi::{Job, kind, status};
use core::sync::atomic::Ordering;

/// What a pending call of CPython runs, in a thread that holds the GIL.
///
/// # Safety
///
/// `job` points to a job that nobody else writes to until its status says that it is done.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memshed_pending(job: *mut Job) -> i32 {
    // SAFETY: the caller's promise.
    run(unsafe { &mut *job });
    0
}

/// Does a job, once.
fn run(job: &mut Job) {
    let (waiting, running) = (status::WAITING, status::RUNNING);
    let begun = job
        .status
        .compare_exchange(waiting, running, Ordering::AcqRel, Ordering::Relaxed);
    if begun.is_err() {
        return;
    }
    let start = kernel::now();
    let outcome = match gil::Held::take(job.gil_locked, job.gil_mutex) {
        Some(_held) => match job.kind {
            kind::SHED => shed::run(&mut job.shed, start),
            kind::CALL => call::run(&mut job.call),
            _ => status::TORN,
        },
        None => status::BUSY,
    };
    job.took_ns = kernel::now().wrapping_sub(start);
    job.status.store(outcome, Ordering::Release);
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here panics; the linker leaves this out. Were it ever to be reached, waiting does
    // the least harm.
    loop {
        kernel::sleep(1_000_000_000);
    }
}
