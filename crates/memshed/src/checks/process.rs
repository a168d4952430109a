//! What one process permits.

use super::machine::{SYS_ADMIN, SYS_PTRACE, has_capability, yama};
use super::{cgroup, with_sudo};
use crate::{proc, python};
use memshed_report::{Check, bytes};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;

/// All checks of a process, which exists.
pub fn checks(pid: i32) -> Vec<Check> {
    let mut checks = vec![interpreter(pid), permission(pid), tracer(pid)];
    checks.extend([
        state(pid),
        filter(pid),
        namespace(pid),
        memory_room(pid),
        process_room(pid),
        pagemap(pid),
    ]);
    checks
}

/// Why memshed could not look at a process, in a few words; `None` if it can.
pub fn why_not(pid: i32) -> Option<String> {
    if let Some(tracer) = traced_by(pid) {
        return Some(format!("already traced by process {tracer}"));
    }
    refused(pid).map(|refusal| refusal.why)
}

/// A refusal of the kernel's, and what to do about it.
pub struct Refusal {
    /// Why, as far as can be told.
    pub why: String,
    /// What to do.
    pub hint: String,
}

/// Whether the kernel refuses to let memshed look at `pid`.
pub fn refused(pid: i32) -> Option<Refusal> {
    // Opening a process's memory passes exactly the check that ptrace makes
    // (PTRACE_MODE_ATTACH, ptrace(2)), and touches nothing.
    match std::fs::File::open(format!("/proc/{pid}/mem")) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Some(reason(pid)),
        _ => None,
    }
}

/// The likeliest reason for a refusal, in the order in which the kernel checks.
fn reason(pid: i32) -> Refusal {
    let sudo = format!("`{}`", with_sudo(&format!("inspect {pid}")));
    let uid = |pid| {
        let uids = proc::status_field(pid, "Uid")?;
        uids.split_whitespace().nth(1)?.parse::<u32>().ok()
    };
    let own = std::process::id() as i32;
    let (mine, theirs) = (uid(own), uid(pid));
    if mine != theirs {
        let user = theirs.map_or("another user".into(), proc::user_name);
        return Refusal {
            why: format!("it belongs to {user}"),
            hint: sudo,
        };
    }
    // A process that may not be dumped shows its directory as root's (proc(5)).
    let owner = std::fs::metadata(format!("/proc/{pid}"))
        .map(|m| m.uid())
        .ok();
    if owner != theirs {
        return Refusal {
            why: "it protects itself (not dumpable)".into(),
            hint: sudo,
        };
    }
    match yama() {
        Some(3) => Refusal {
            why: "kernel.yama.ptrace_scope is 3: nobody may".into(),
            hint: "only a reboot with a lower setting changes that".into(),
        },
        Some(scope @ 1..) => Refusal {
            why: format!("kernel.yama.ptrace_scope is {scope}"),
            hint: format!("{sudo}, or `sudo sysctl kernel.yama.ptrace_scope=0`"),
        },
        _ => Refusal {
            why: "the kernel refuses it: a container or a security module".into(),
            hint: format!(
                "{sudo}; in a container give it CAP_SYS_PTRACE (`docker run --cap-add SYS_PTRACE`)"
            ),
        },
    }
}

/// The process that traces `pid`, if any.
fn traced_by(pid: i32) -> Option<i32> {
    let tracer = proc::status_field(pid, "TracerPid")?.parse().ok()?;
    (tracer != 0).then_some(tracer)
}

fn interpreter(pid: i32) -> Check {
    const NAME: &str = "interpreter";
    let Some(process) = proc::info(pid) else {
        return Check::fail(
            NAME,
            "the kernel's own thread, or a process that has ended",
            "`memshed ps` lists the Python processes",
        );
    };
    match python::identify(&process) {
        None if process.executable.is_none() => Check::warn(
            NAME,
            "cannot be told: the kernel does not show what it executes",
            format!("`{}`", with_sudo(&format!("doctor {pid}"))),
        ),
        None => Check::fail(
            NAME,
            format!(
                "not Python: {}",
                process.executable.unwrap_or_default().display()
            ),
            "`memshed ps` lists the Python processes",
        ),
        Some(python) => match python.unsupported {
            None => Check::ok(NAME, format!("Python {}", python.version)),
            Some(why) => Check::fail(
                NAME,
                format!("Python {}: {why}", python.version),
                "memshed reads the default builds of CPython 3.11 to 3.14",
            ),
        },
    }
}

fn permission(pid: i32) -> Check {
    match refused(pid) {
        None => Check::ok("permission", "the kernel lets memshed look"),
        Some(refusal) => Check::fail("permission", refusal.why, refusal.hint),
    }
}

fn tracer(pid: i32) -> Check {
    match traced_by(pid) {
        None => Check::ok("tracer", "nobody traces it"),
        Some(tracer) => {
            let who = proc::info(tracer).map_or(String::new(), |p| format!(" ({})", p.comm));
            Check::fail(
                "tracer",
                format!("process {tracer}{who} traces it already; there can be but one"),
                "let that debugger, strace or other memshed end first",
            )
        }
    }
}

fn state(pid: i32) -> Check {
    match proc::state(pid) {
        Some('T') => Check::ok("state", "stopped; memshed leaves it so"),
        Some('t') => Check::ok("state", "stopped by a tracer"),
        Some('D') => Check::warn(
            "state",
            "waits for a device and cannot be stopped just now",
            "memshed waits for it up to a limit; try again",
        ),
        Some('Z') => Check::fail("state", "has ended", "its parent has yet to take notice"),
        Some(_) => Check::ok("state", "runs or sleeps"),
        None => Check::fail(
            "state",
            "has ended",
            "`memshed ps` lists the Python processes",
        ),
    }
}

/// The target's own system call filter, which an injected fork must pass.
fn filter(pid: i32) -> Check {
    match proc::status_field(pid, "Seccomp").as_deref() {
        Some("0") | None => Check::ok("filter", "no seccomp filter over it"),
        Some(_) if has_capability(SYS_ADMIN) => Check::ok(
            "filter",
            "a seccomp filter, which memshed may suspend for the fork",
        ),
        Some(_) => Check::warn(
            "filter",
            "a seccomp filter: memshed pauses it instead of forking",
            format!(
                "with CAP_SYS_ADMIN the filter is suspended: `{}`",
                with_sudo(&format!("inspect {pid}"))
            ),
        ),
    }
}

fn namespace(pid: i32) -> Check {
    let pids = proc::status_field(pid, "NSpid").unwrap_or_default();
    match pids.split_whitespace().skip(1).last() {
        Some(inner) => Check::ok(
            "namespace",
            format!("in a container, where it is process {inner}"),
        ),
        None => Check::ok("namespace", "shares memshed's view of processes"),
    }
}

/// Whether the pages that are copied while a fork lives have room in the control group.
fn memory_room(pid: i32) -> Check {
    const NAME: &str = "memory_room";
    let rss = proc::info(pid).map_or(0, |process| process.rss_bytes);
    match cgroup::memory(pid) {
        None => Check::ok(NAME, "its control group has no memory limit"),
        Some(limit) if limit.room() >= rss => Check::ok(
            NAME,
            format!(
                "{} left of its control group's {}",
                bytes(limit.room()),
                bytes(limit.limit)
            ),
        ),
        Some(limit) => Check::warn(
            NAME,
            format!(
                "{} left of its control group's {}, less than its {}: memshed pauses it where a \
                 fork is unwise",
                bytes(limit.room()),
                bytes(limit.limit),
                bytes(rss)
            ),
            "raise the container's memory limit for the shorter stop by a fork",
        ),
    }
}

/// Whether one more process is allowed, which a fork needs.
fn process_room(pid: i32) -> Check {
    const NAME: &str = "process_room";
    match cgroup::processes(pid) {
        Some(limit) if limit.room() == 0 => Check::warn(
            NAME,
            format!("its control group has all of its {} processes", limit.limit),
            "raise pids.max; until then memshed pauses it instead of forking",
        ),
        Some(limit) => Check::ok(NAME, format!("{} of {} processes", limit.used, limit.limit)),
        None => Check::ok(NAME, "no limit on processes"),
    }
}

fn pagemap(pid: i32) -> Check {
    match std::fs::File::open(format!("/proc/{pid}/pagemap")) {
        Ok(_) => Check::ok("its_pagemap", "readable"),
        Err(error) => Check::warn(
            "its_pagemap",
            format!("/proc/{pid}/pagemap: {error}"),
            match has_capability(SYS_PTRACE) {
                true => "memshed reads more than it needs without it".to_string(),
                false => format!("`{}`", with_sudo(&format!("inspect {pid}"))),
            },
        ),
    }
}
