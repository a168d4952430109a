//! Threads that stop only after the others were let go.

use super::home::Home;
use super::ptrace::{self, Event};
use super::stop::release;

/// Threads we are attached to that had not stopped when the others were let go. They run no code
/// of the target before they stop, and are let go as soon as they do.
#[derive(Default)]
pub(super) struct Late {
    /// With what they have to be given back first, if they were led elsewhere.
    threads: Vec<(i32, Option<Home>)>,
    /// Processes that injected calls have made after all.
    pub(super) children: Vec<i32>,
}

impl Late {
    /// Lets go of those that have stopped by now.
    pub(super) fn let_go(&mut self, pid: i32) {
        let children = &mut self.children;
        self.threads
            .retain_mut(|(tid, home)| match ptrace::poll_event(*tid) {
                Ok(None) => true,
                Ok(Some((_, event))) => !part(pid, *tid, event, home.as_ref(), children),
                Err(_) => false,
            });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.threads.is_empty()
    }

    /// Whether there is one that has to be led back.
    pub(super) fn leads_back(&self) -> bool {
        self.threads.iter().any(|(_, home)| home.is_some())
    }

    pub(super) fn has(&self, tid: i32) -> bool {
        self.threads.iter().any(|(late, _)| *late == tid)
    }

    pub(super) fn add(&mut self, tid: i32, home: Option<Home>) {
        self.threads.push((tid, home));
    }

    /// Takes notice of what has happened to a thread. Whether it is one of these.
    pub(super) fn note(&mut self, pid: i32, tid: i32, event: Event) -> bool {
        let Some(at) = self.threads.iter().position(|(late, _)| *late == tid) else {
            return false;
        };
        let home = self.threads[at].1.as_ref();
        if part(pid, tid, event, home, &mut self.children) {
            self.threads.swap_remove(at);
        }
        true
    }
}

/// Lets go of a thread that has stopped late. Whether that is done with: one that is just being
/// killed cannot be let go before it has ended.
fn part(pid: i32, tid: i32, event: Event, home: Option<&Home>, children: &mut Vec<i32>) -> bool {
    let Some(home) = home.filter(|_| !matches!(event, Event::Ended | Event::Execed)) else {
        return release(pid, tid, event);
    };
    match event {
        // The registers can be put back where the call returns.
        Event::Cloned => {
            children.extend(ptrace::event_message(tid).ok().map(|child| child as i32));
            drop(ptrace::resume_to_syscall(tid));
            false
        }
        // It may be at the entry, where the target's seccomp filter would yet be asked.
        Event::Syscall => {
            home.lead_back(tid);
            drop(ptrace::interrupt(tid).and_then(|()| ptrace::resume(tid)));
            false
        }
        _ => {
            home.lead_back(tid);
            // All other signals are blocked, and would be our instructions' doing.
            let signal = match event {
                Event::Signal(libc::SIGSTOP) => libc::SIGSTOP,
                _ => 0,
            };
            ptrace::detach(tid, signal).is_ok()
        }
    }
}
