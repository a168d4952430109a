//! Ctrl-C: what must be undone is undone, then the command ends with status 130.
//!
//! Signals are taken by a thread of their own, so clean-up is ordinary code. Whatever stands
//! still for us (a frozen process) is let go by the tracer, which is a process of its own.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is to be undone.
type Undo = Box<dyn FnOnce() + Send>;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static PENDING: Mutex<Vec<(u64, Undo)>> = Mutex::new(Vec::new());

fn pending() -> MutexGuard<'static, Vec<(u64, Undo)>> {
    PENDING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to take SIGINT, SIGTERM and SIGHUP, except those that the caller had ignored, as
/// `nohup` does.
pub fn install() {
    let wanted: Vec<i32> = [SIGINT, SIGTERM, SIGHUP]
        .into_iter()
        .filter(|&signal| !ignored(signal))
        .collect();
    // Without the thread a signal ends memshed at once: nothing that matters to the target.
    let Ok(mut signals) = Signals::new(wanted) else {
        return;
    };
    let _ = std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            if let Some(signal) = signals.forever().next() {
                INTERRUPTED.store(true, Ordering::SeqCst);
                undo_all();
                // Shells expect 128 + the signal's number: 130 for Ctrl-C.
                std::process::exit(128 + signal);
            }
        });
}

/// Does not return once a signal has come: what has failed since then failed because of what was
/// undone, and the thread that undoes it ends the command.
pub fn yield_to_interrupt() {
    while INTERRUPTED.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// Undoes what is pending, last first.
fn undo_all() {
    let mut list = std::mem::take(&mut *pending());
    while let Some((_, undo)) = list.pop() {
        undo();
    }
}

/// Whether `signal` is ignored (proc_pid_status(5), SigIgn).
fn ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0);
    mask >> (signal - 1) & 1 == 1
}

/// Something that is undone when a signal ends the command, until this is dropped.
#[must_use]
pub struct OnInterrupt(u64);

impl OnInterrupt {
    /// Registers `undo`.
    pub fn new(undo: impl FnOnce() + Send + 'static) -> OnInterrupt {
        let mut list = pending();
        let id = list.last().map_or(0, |(id, _)| id + 1);
        list.push((id, Box::new(undo)));
        OnInterrupt(id)
    }
}

impl Drop for OnInterrupt {
    fn drop(&mut self) {
        pending().retain(|(id, _)| *id != self.0);
    }
}
