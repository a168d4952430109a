//! `-- COMMAND`: starts a command, follows it to its first Python process, and ends it.

mod follow;
pub mod guardian;
pub mod measured;
mod start;
mod symbols;
mod trace;

use crate::error::LaunchError;
use crate::interrupt::OnInterrupt;
use crate::proc;
use guardian::{Guarded, Guardian};
use rustix::process::{Pid, Signal, WaitOptions};
use std::ffi::OsString;
use std::time::{Duration, Instant};

/// How long a command may take to end after SIGTERM, or by itself, before it is killed.
const GRACE: Duration = Duration::from_secs(5);

/// A command that was started and is due to be looked at. Dropping it ends it.
pub struct Launched {
    /// Its first Python process.
    pub pid: i32,
    group: i32,
    ending: bool,
    _undo: OnInterrupt,
    /// Dropped last, when the command has ended.
    _guarded: Guarded,
}

impl Launched {
    /// Starts `command` and waits until it is due: after `run_for`, or when it is about to end.
    pub fn start(command: &[OsString], run_for: Option<Duration>) -> Result<Launched, LaunchError> {
        let name = command
            .first()
            .map_or(String::new(), |name| name.to_string_lossy().into_owned());
        let held = start::start(command).map_err(|error| LaunchError::Start {
            command: name.clone(),
            error,
        })?;
        let group = held.pid;
        let guarded = Guardian::start().and_then(|guardian| guardian.over(group));
        let guarded = guarded.map_err(|error| LaunchError::System {
            command: name.clone(),
            what: "fork",
            error,
        })?;
        let guard = Group(group);
        let undo = OnInterrupt::new(move || end(group, false));
        let system = |what| {
            let command = name.clone();
            move |error| LaunchError::System {
                command,
                what,
                error,
            }
        };
        trace::seize(group, trace::FOLLOW).map_err(system("ptrace"))?;
        let started = held.let_go().map_err(system("letting it start"))?;
        let due = follow::Follower::new(&name, group, started).until_due(run_for)?;
        std::mem::forget(guard);
        Ok(Launched {
            pid: due.pid,
            group,
            ending: due.ending,
            _undo: undo,
            _guarded: guarded,
        })
    }

    /// Whether it is about to end, and stands still until this is dropped.
    pub fn is_ending(&self) -> bool {
        self.ending
    }
}

impl Drop for Launched {
    fn drop(&mut self) {
        end(self.group, self.ending);
    }
}

/// Ends the group on errors on the way.
struct Group(i32);

impl Drop for Group {
    fn drop(&mut self) {
        end(self.0, false);
    }
}

/// Ends a command and its children: by itself if it is about to, else with SIGTERM; after a
/// grace with SIGKILL.
fn end(group: i32, by_itself: bool) {
    if !by_itself {
        signal(group, Signal::TERM);
    }
    signal(group, Signal::CONT);
    let until = Instant::now() + GRACE;
    while alive(group) {
        if Instant::now() >= until {
            signal(group, Signal::KILL);
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    reap(group);
}

/// Whether a process of the group lives.
fn alive(group: i32) -> bool {
    reap(group);
    proc::group_lives(group)
}

/// Sends a signal to all of the group. Its number is not yet reused: its leader is memshed's
/// child, and a group is gone only when all of it is.
fn signal(group: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(group) {
        // Nobody left to hear it is fine.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

/// Takes notice of the end of the group's leader, if it has ended.
fn reap(leader: i32) {
    // Already taken notice of while it was followed is fine too.
    let _ = rustix::process::waitpid(Pid::from_raw(leader), WaitOptions::NOHANG);
}
