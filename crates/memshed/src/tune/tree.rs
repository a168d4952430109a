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
/// How long what a server leaves may take to end by itself.
const LEAVING: Duration = Duration::from_millis(500);
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

fn send(pids: &[i32], signals: &[Signal]) {
    for pid in pids.iter().copied().filter_map(Pid::from_raw) {
        for signal in signals {
            // Nobody left to hear it is fine.
            let _ = rustix::process::kill_process(pid, *signal);
        }
    }
}

/// Ends all that is below memshed, in an orderly way first: `first` alone, if there is one, then
/// what it leaves. `take` is told of each that has ended.
pub fn end_all(first: Option<i32>, mut take: impl FnMut(Ended)) {
    if let Some(first) = first {
        send(&[first], &[Signal::TERM, Signal::CONT]);
        let mut there = Instant::now();
        wait_while(GRACE, &mut take, |left| {
            if left.contains(&first) {
                there = Instant::now();
            }
            // What it leaves may be about to end, too.
            there.elapsed() < LEAVING
        });
    }
    end_within(GRACE, &mut take);
}

/// The same for somebody who waits. Others may take notice of the ends.
pub fn end_all_soon() {
    end_within(SHORT_GRACE, &mut drop);
}

fn end_within(grace: Duration, take: &mut dyn FnMut(Ended)) {
    reap(take);
    send(&of_run(None), &[Signal::TERM, Signal::CONT]);
    wait_while(grace, take, |_| true);
    // A process that sleeps in the kernel for good cannot be ended by anybody.
    wait_while(GRACE, take, |left| {
        send(left, &[Signal::KILL]);
        true
    });
}

/// Takes notice of ends as long as there is anybody left and `more` of those that are, at most for
/// `limit`.
fn wait_while(limit: Duration, take: &mut dyn FnMut(Ended), mut more: impl FnMut(&[i32]) -> bool) {
    let until = Instant::now() + limit;
    loop {
        reap(take);
        let left = of_run(None);
        if left.is_empty() || Instant::now() >= until || !more(&left) {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn reap(take: &mut dyn FnMut(Ended)) {
    while let Some(ended) = measured::reap() {
        take(ended);
    }
}
