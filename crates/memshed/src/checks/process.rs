//! What one process permits.

use super::{machine, with_sudo};
use crate::proc::ProcessInfo;
use crate::python;
use memshed_report::{Check, bytes};
use memshed_target::access::{self, Obstacle};
use memshed_target::{GroupLimit, Process};

/// All checks of a process.
pub fn checks(process: &Process) -> Vec<Check> {
    let mut checks = vec![interpreter(process)];
    checks.extend(permission(process));
    checks.extend([
        state(process),
        namespace(process),
        memory_room(process),
        process_room(process),
        pagemap(process),
    ]);
    checks
}

/// Why memshed could not look at a process, in a few words; `None` if it can.
pub fn why_not(process: &Process) -> Option<String> {
    match access::check(process) {
        Ok(access) => access.obstacles.first().map(Obstacle::sentence),
        Err(error) => Some(error.to_string()),
    }
}

fn interpreter(process: &Process) -> Check {
    const NAME: &str = "interpreter";
    const OTHERS: &str = "`memshed ps` lists the Python processes";
    let Some(info) = ProcessInfo::of(process.clone()) else {
        return Check::fail(NAME, "it has ended, or is part of the kernel", OTHERS);
    };
    match python::python(&info) {
        None if info.executable.is_none() => Check::warn(
            NAME,
            "cannot be told: the kernel does not show what it executes",
            format!("`{}`", with_sudo(&format!("doctor {}", process.pid()))),
        ),
        None => Check::fail(
            NAME,
            format!(
                "not Python: {}",
                info.executable.unwrap_or_default().display()
            ),
            OTHERS,
        ),
        Some(python) => match python.unsupported {
            None => Check::ok(NAME, format!("Python {}", python.version)),
            Some(why) => Check::fail(
                NAME,
                format!("Python {}: {why}", python.version),
                "memshed reads the default builds of CPython 3.9 to 3.15",
            ),
        },
    }
}

/// Whether the kernel lets memshed look, and what changes how it does.
fn permission(process: &Process) -> Vec<Check> {
    const NAME: &str = "permission";
    let pid = process.pid();
    let sudo = || format!("`{}`", with_sudo(&format!("inspect {pid}")));
    let access = match access::check(process) {
        Ok(access) => access,
        Err(error) => return vec![Check::fail(NAME, error.to_string(), sudo())],
    };
    let mut checks: Vec<Check> = access
        .obstacles
        .iter()
        .map(|obstacle| {
            let remedy = obstacle
                .remedy(pid)
                .unwrap_or_else(|| "`memshed ps` lists what can be looked at".into());
            Check::fail(NAME, obstacle.sentence(), remedy)
        })
        .collect();
    if checks.is_empty() {
        checks.push(Check::ok(NAME, "the kernel lets memshed look"));
    }
    let remark = |remark: &String| Check::ok("method", remark.clone());
    checks.extend(access.remarks.iter().map(remark));
    checks
}

fn state(process: &Process) -> Check {
    match process.status().map(|status| status.state) {
        Ok('T') => Check::ok("state", "stopped; memshed leaves it so"),
        Ok('D') => Check::warn(
            "state",
            "waits for a device and cannot be stopped just now",
            "memshed waits for it up to a limit; try again",
        ),
        Ok('Z' | 'X') | Err(_) => Check::fail(
            "state",
            "it has ended",
            "`memshed ps` lists the Python processes",
        ),
        Ok(_) => Check::ok("state", "runs or sleeps"),
    }
}

fn namespace(process: &Process) -> Check {
    let pids = process.status().map(|status| status.namespace_pids);
    match pids.unwrap_or_default().as_slice() {
        [_, .., inner] => Check::ok(
            "namespace",
            format!("in a container, where it is process {inner}"),
        ),
        _ => Check::ok("namespace", "shares memshed's view of processes"),
    }
}

/// Whether the pages that are copied while a fork lives have room in the control group.
fn memory_room(process: &Process) -> Check {
    const NAME: &str = "memory_room";
    let rss = process.status().map_or(0, |status| status.rss);
    let Some(limit) = process.groups().memory_limit() else {
        return Check::ok(NAME, "its control group has no memory limit");
    };
    let room = format!(
        "{} left of its control group's {}",
        bytes(limit.left()),
        bytes(limit.limit)
    );
    match limit.left() >= rss {
        true => Check::ok(NAME, room),
        false => Check::warn(
            NAME,
            format!("{room}, less than its {}: a fork may be unwise", bytes(rss)),
            "memshed pauses it then; a higher limit for the container allows the shorter stop by \
             a fork",
        ),
    }
}

/// Whether one more process is allowed, which a fork needs.
fn process_room(process: &Process) -> Check {
    const NAME: &str = "process_room";
    let used = |limit: &GroupLimit| format!("{} of {} processes", limit.usage, limit.limit);
    match process.groups().pids_limit() {
        None => Check::ok(NAME, "no limit on processes"),
        Some(limit) if limit.left() > 0 => Check::ok(NAME, used(&limit)),
        Some(limit) => Check::warn(
            NAME,
            format!("its control group has all of its {}", used(&limit)),
            "raise pids.max; until then memshed pauses it instead of forking",
        ),
    }
}

fn pagemap(process: &Process) -> Check {
    const NAME: &str = "its_pagemap";
    let path = format!("/proc/{}/pagemap", process.pid());
    match std::fs::File::open(&path) {
        Ok(_) => Check::ok(NAME, "readable"),
        Err(error) => Check::warn(
            NAME,
            format!("{path}: {error}"),
            match machine::has_capability(machine::SYS_PTRACE) {
                true => "memshed reads more than it needs without it".to_string(),
                false => format!("`{}`", with_sudo(&format!("inspect {}", process.pid()))),
            },
        ),
    }
}
