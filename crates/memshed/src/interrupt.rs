//! Ctrl-C: what must be undone is undone, then the command ends with status 130.
//!
//! Signals are taken by a thread of their own, so clean-up is ordinary code. Whatever stands
//! still for us (a frozen process) is let go by the tracer, which is a process of its own.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What is to be undone.
type Undo = Box<dyn FnOnce() + Send>;
/// Says how the command ends, and its status.
type Finish = Box<dyn FnOnce() -> u8 + Send>;

/// How long a command may take to say how it ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
static FINISH: Mutex<Option<Finish>> = Mutex::new(None);
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
                let status = finish();
                undo_all();
                // Shells expect 128 + the signal's number: 130 for Ctrl-C.
                std::process::exit(status.map_or(128 + signal, i32::from));
            }
        });
}

/// Has a signal end the command in an orderly way: `finish` says how it ends and gives its status.
pub fn finish_with(finish: impl FnOnce() -> u8 + Send + 'static) {
    *FINISH.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(finish));
}

/// What the command says at its end. `None` if it says nothing, or cannot: whoever reads its output
/// may have stopped reading.
fn finish() -> Option<u8> {
    let finish = FINISH
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take()?;
    let (sender, status) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send(finish()));
    status.recv_timeout(LAST_WORDS).ok()
}

/// Whether a signal has come.
pub fn came() -> bool {
    INTERRUPTED.load(Ordering::SeqCst)
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
