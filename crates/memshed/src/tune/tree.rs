//! The processes of a run: who they are, how much memory they have, how they are ended.
//!
//! Whatever a run leaves behind is memshed's child in the end, for memshed is the reaper of its
//! descendants (prctl(2), PR_SET_CHILD_SUBREAPER); so nothing escapes by leaving its session.

use crate::launch::measured::{self, Ended};
use crate::proc;
use rustix::process::{Pid, Signal};
use std::time::{Duration, Instant};

/// How long processes may take to end after SIGTERM before they are killed.
const GRACE: Duration = Duration::from_secs(5);
/// The same where somebody waits for memshed to end.
const SHORT_GRACE: Duration = Duration::from_secs(1);
/// A tree with more processes than this is not looked at in full.
const MOST: usize = 10_000;

/// Makes memshed the reaper of whatever its descendants leave behind.
pub fn become_reaper() {
    // Refused by no kernel since 3.4; without it, a run may leave what left its session.
    let own = rustix::process::getpid();
    let _ = rustix::process::set_child_subreaper(Some(own));
}

/// The processes below `pid`, without `except` and what is below that.
pub fn below(pid: i32, except: Option<i32>) -> Vec<i32> {
    let mut found = children(pid);
    found.retain(|child| Some(*child) != except);
    let mut next = 0;
    while let Some(&one) = found.get(next).filter(|_| found.len() < MOST) {
        found.extend(
            children(one)
                .into_iter()
                .filter(|child| Some(*child) != except),
        );
        next += 1;
    }
    found
}

/// The children of a process (proc_pid_task_tid_children(5)): of each of its threads.
fn children(pid: i32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task"));
    let threads = threads.into_iter().flatten().flatten();
    let lists =
        threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    let mut found = Vec::new();
    for list in lists {
        found.extend(
            list.split_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    found
}

/// The processes of the run: all below memshed but the load's.
pub fn of_run(load: Option<i32>) -> Vec<i32> {
    let own = rustix::process::getpid().as_raw_nonzero().get();
    below(own, load)
}

/// Their memory in bytes: resident where there is one, else each one's share of what they have in
/// common (PSS), which takes the kernel longer to count.
pub fn memory(pids: &[i32]) -> u64 {
    match pids {
        [one] => proc::resident_bytes(*one).unwrap_or(0),
        many => many.iter().filter_map(|pid| share(*pid)).sum(),
    }
}

/// The memory of one process with its share of what it has in common with others.
fn share(pid: i32) -> Option<u64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

/// Sends a signal to the process group of a run's first process.
pub fn signal_group(leader: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(leader) {
        // Nobody left to hear it is fine.
        let _ = rustix::process::kill_process_group(group, signal);
    }
}

fn signal_all(signal: Signal) {
    for pid in of_run(None).into_iter().filter_map(Pid::from_raw) {
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Ends all that is below memshed, in an orderly way first; `take` is told of each that has ended.
pub fn end_all(mut take: impl FnMut(Ended)) {
    end_within(GRACE, &mut take);
}

/// The same for somebody who waits. Others may take notice of the ends.
pub fn end_all_soon() {
    end_within(SHORT_GRACE, &mut drop);
}

fn end_within(grace: Duration, take: &mut dyn FnMut(Ended)) {
    let mut reap = || {
        while let Some(ended) = measured::reap() {
            take(ended);
        }
    };
    reap();
    if of_run(None).is_empty() {
        return;
    }
    signal_all(Signal::TERM);
    signal_all(Signal::CONT);
    let until = Instant::now() + grace;
    // A process that sleeps in the kernel for good cannot be ended by anybody.
    let give_up = until + GRACE;
    loop {
        reap();
        let now = Instant::now();
        if of_run(None).is_empty() || now >= give_up {
            return;
        }
        if now >= until {
            signal_all(Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
