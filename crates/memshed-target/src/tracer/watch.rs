//! Keeping threads asleep while the others are stopped.
//!
//! A process that is traced is sent even the signals it ignores: a child's SIGCHLD, ignored by
//! default, may then wake a thread that was left asleep, whose call returns EINTR for no reason
//! that it could know of. So these threads are attached to, but not stopped: such a signal stops
//! them, and the call is restarted. Letting go of them would take a stop; but when the thread
//! that has attached ends, the kernel lets go by itself and wakes nobody (kernel/ptrace.c,
//! exit_ptrace). This is that thread.

use super::ptrace::{self, Event};
use super::stop::{carry_on, release};
use crate::os::{Deadline, Urgent};
use std::fs;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often signals are looked for.
const INTERVAL: Duration = Duration::from_micros(200);
/// How long the kernel may take to let go.
const PARTING: Duration = Duration::from_secs(1);

/// Threads that are watched over until this is dropped.
pub(super) struct Watch {
    tids: Vec<i32>,
    orders: Option<Sender<Vec<i32>>>,
    done: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Starts watching over `tids`, threads of `pid`.
    pub(super) fn start(pid: i32, tids: Vec<i32>) -> Watch {
        let (orders, theirs) = channel();
        let (answers, done) = channel();
        let mut watcher = Watcher {
            pid,
            attached: tids.clone(),
            stopped: Vec::new(),
        };
        let thread = std::thread::spawn(move || {
            let _urgent = Urgent::begin();
            watcher.run(&theirs, &answers);
        });
        let watch = Watch {
            tids,
            orders: Some(orders),
            done,
            thread: Some(thread),
        };
        // Fails only if the thread has died, and then there is nothing to wait for.
        let _ = watch.done.recv_timeout(PARTING);
        watch
    }

    /// Whether `tid` is watched over.
    pub(super) fn has(&self, tid: i32) -> bool {
        self.tids.contains(&tid)
    }

    /// Stops some of them after all, until this is dropped. Whether that worked in time.
    pub(super) fn stop(&self, tids: Vec<i32>, deadline: Deadline) -> bool {
        let sent = self.orders.as_ref().is_some_and(|o| o.send(tids).is_ok());
        sent && self.done.recv_timeout(deadline.left()).is_ok()
    }

    /// Lets the stopped ones go, and then all others. Returns when the former has been done.
    pub(super) fn end(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to say; if it panicked, the kernel has let go of its threads.
            let _ = thread.join();
        }
    }

    /// Waits until the kernel has let go of all of them.
    pub(super) fn wait_for_parting(&self, pid: i32) {
        let deadline = Deadline::after(PARTING);
        let me = format!("TracerPid:\t{}\n", std::process::id());
        let traced = |tid: &i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status"));
            status.is_ok_and(|s| s.contains(&me))
        };
        while self.tids.iter().any(traced) && !deadline.over() {
            std::thread::sleep(INTERVAL);
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}

/// The watching thread's side.
struct Watcher {
    pid: i32,
    attached: Vec<i32>,
    stopped: Vec<(i32, Event)>,
}

impl Watcher {
    fn run(&mut self, orders: &Receiver<Vec<i32>>, answers: &Sender<()>) {
        self.attached
            .retain(|&tid| ptrace::seize(tid, ptrace::WATCH_EXEC).is_ok());
        let mut answer_due = answers.send(()).is_err();
        let mut wanted: Vec<i32> = Vec::new();
        loop {
            self.look(&wanted);
            if answer_due && wanted.iter().all(|tid| !self.attached.contains(tid)) {
                answer_due = answers.send(()).is_err();
            }
            match orders.recv_timeout(INTERVAL) {
                Ok(tids) => {
                    // Fails for those that have just ended.
                    tids.iter().for_each(|&tid| drop(ptrace::interrupt(tid)));
                    wanted.extend(tids);
                    answer_due = true;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.look(&wanted);
        for (tid, event) in self.stopped.drain(..) {
            release(self.pid, tid, event);
        }
    }

    /// Sees to those that have stopped.
    fn look(&mut self, wanted: &[i32]) {
        while let Ok(Some((tid, event))) = ptrace::poll_event(-1) {
            if !wanted.contains(&tid) && carry_on(self.pid, tid, event) {
                continue;
            }
            self.attached.retain(|&t| t != tid);
            if wanted.contains(&tid) && event != Event::Ended {
                self.stopped.push((tid, event));
            } else {
                release(self.pid, tid, event);
            }
        }
    }
}
