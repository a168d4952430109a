//! Whether forking a copy is permitted and wise, before and while there is one.

use crate::cgroup::Groups;
use crate::error::TargetError;
use crate::maps::{self, kilobytes};
use crate::protocol::{FreezeRequest, Method, Plan};
use crate::status::field;
use crate::still::Still;
use std::fs;
use std::time::Duration;

const MB: u64 = 1 << 20;
/// Least memory that must stay free while a copy exists: more than is copied between two looks.
const MARGIN: u64 = 32 * MB;
/// Seconds of stop per byte copied by a fork: 20 ms per GB, as measured with 4 KiB pages.
const FORK_SECONDS_PER_BYTE: f64 = 20e-3 / 1e9;
/// Seconds of stop per byte when the memory itself is copied: 250 ms per GB.
const PAUSE_SECONDS_PER_BYTE: f64 = 250e-3 / 1e9;

/// What `/proc/PID/status` and its like say about forking.
pub(super) struct Facts {
    anonymous: u64,
    page_tables: u64,
    data: u64,
    pub(super) seccomp: bool,
    pub(super) may_suspend_seccomp: bool,
    other_pid_namespace_for_children: bool,
    still: Option<Still>,
}

impl Facts {
    pub(super) fn of(pid: i32) -> Facts {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let own = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let capabilities = u64::from_str_radix(field(&own, "CapEff:"), 16).unwrap_or(0);
        let link = |name| fs::read_link(format!("/proc/{pid}/ns/{name}")).ok();
        const CAP_SYS_ADMIN: u64 = 1 << 21;
        Facts {
            anonymous: kilobytes(field(&status, "RssAnon:")),
            page_tables: kilobytes(field(&status, "VmPTE:")),
            data: kilobytes(field(&status, "VmData:")),
            seccomp: field(&status, "Seccomp:") != "0" || any_thread_under_seccomp(pid),
            // Refused to those who are under seccomp themselves (ptrace(2)).
            may_suspend_seccomp: capabilities & CAP_SYS_ADMIN != 0
                && field(&own, "Seccomp:") == "0",
            other_pid_namespace_for_children: link("pid_for_children")
                .is_some_and(|children| link("pid").is_some_and(|own| own != children)),
            still: Still::of(pid),
        }
    }

    /// How long a stop would take.
    pub(super) fn predict(&self, method: Method) -> Duration {
        let per_byte = match method {
            _ if self.still.is_some() => 0.0,
            Method::Fork => FORK_SECONDS_PER_BYTE,
            Method::Pause => PAUSE_SECONDS_PER_BYTE,
        };
        Duration::from_micros(500) + Duration::from_secs_f64(self.anonymous as f64 * per_byte)
    }
}

/// Each thread has filters of its own (seccomp(2)), which its first one need not have.
fn any_thread_under_seccomp(pid: i32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task"));
    let mut threads = threads.into_iter().flatten().flatten();
    threads.any(|thread| {
        let status = fs::read_to_string(thread.path().join("status")).unwrap_or_default();
        !matches!(field(&status, "Seccomp:"), "0" | "")
    })
}

/// Decides on a method, or says why the one asked for cannot be had.
pub(super) fn plan(pid: i32, request: &FreezeRequest) -> Result<Plan, TargetError> {
    let facts = Facts::of(pid);
    let still = facts.still.as_ref().map(Still::reason);
    let (method, reason) = match (request.method, against_fork(pid, &facts)) {
        (_, _) if still.is_some() => (Method::Pause, still),
        (Some(Method::Pause), _) => (Method::Pause, Some("a pause was asked for".into())),
        (None | Some(Method::Fork), None) => (Method::Fork, None),
        (None, Some(reason)) => (Method::Pause, Some(reason)),
        (Some(Method::Fork), Some(reason)) => {
            return Err(TargetError::Refused(format!(
                "process {pid} cannot be forked: {reason}"
            )));
        }
    };
    let predicted = facts.predict(method);
    match request.max_stop {
        Some(allowed) if predicted > allowed => Err(TargetError::StopTooLong {
            pid,
            predicted,
            allowed,
        }),
        _ => Ok(Plan { method, reason }),
    }
}

/// Why a fork is not permitted or not wise, if so.
fn against_fork(pid: i32, facts: &Facts) -> Option<String> {
    if facts.seccomp && !facts.may_suspend_seccomp {
        return Some(
            "it is under seccomp, which may kill it for a fork; suspending that needs \
             CAP_SYS_ADMIN"
                .into(),
        );
    }
    if facts.other_pid_namespace_for_children {
        return Some(
            "its children start in another pid namespace, where a copy would be init".into(),
        );
    }
    against_memory(pid, facts)
        .or_else(|| against_processes(pid))
        .or_else(|| not_copied(pid))
}

fn against_memory(pid: i32, facts: &Facts) -> Option<String> {
    // Pages written to while the copy lives are copied. It lives for about a second per GB.
    let needed = MARGIN + facts.page_tables + facts.anonymous / 10;
    if let Some(limit) = Groups::of(pid).memory_limit()
        && limit.left() < needed
    {
        return Some(format!(
            "a copy may need {} MB, and its memory limit of {} MB ({}) leaves {} MB",
            needed / MB,
            limit.limit / MB,
            limit.group.display(),
            limit.left() / MB
        ));
    }
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = |name| kilobytes(field(&meminfo, name));
    if memory("MemAvailable:") < needed {
        return Some(format!(
            "a copy may need {} MB, and the machine has {} MB left",
            needed / MB,
            memory("MemAvailable:") / MB
        ));
    }
    // Strict overcommit counts all private writable memory of the copy (proc_sys_vm(5)).
    let strict =
        fs::read_to_string("/proc/sys/vm/overcommit_memory").is_ok_and(|s| s.trim() == "2");
    let left = memory("CommitLimit:").saturating_sub(memory("Committed_AS:"));
    (strict && left < 2 * facts.data).then(|| {
        format!(
            "vm.overcommit_memory is 2, and a fork would take {} MB of the {} MB that are left",
            facts.data / MB,
            left / MB
        )
    })
}

fn against_processes(pid: i32) -> Option<String> {
    const SPARE: u64 = 8;
    let limit = Groups::of(pid).pids_limit().filter(|l| l.left() < SPARE)?;
    Some(format!(
        "its limit of {} processes ({}) is nearly reached",
        limit.limit,
        limit.group.display()
    ))
}

/// Memory that a fork leaves out or empties (madvise(2), MADV_DONTFORK and MADV_WIPEONFORK). Little
/// of it is no reason to pause: from 2.41 on glibc keeps a page of its own so in every process
/// (the state of `vgetrandom`), and what is missing is told with the outcome.
fn not_copied(pid: i32) -> Option<String> {
    let smaps = fs::read_to_string(format!("/proc/{pid}/smaps")).ok()?;
    let all = maps::parse_smaps(&smaps);
    let mut lost = all.iter().filter(|m| {
        m.anonymous > 0
            && m.mapping.writable()
            && m.mapping.safe_to_read()
            && (m.has_flag("dc") || m.has_flag("wf"))
    });
    let first = lost.next()?;
    let bytes = first.anonymous + lost.map(|m| m.anonymous).sum::<u64>();
    (bytes > MB).then(|| {
        format!("it has {bytes} bytes of memory that a fork does not copy (MADV_DONTFORK)")
    })
}

/// Why the copy has to go at once, if memory has become short.
pub(super) fn pressure(groups: &Groups) -> Option<String> {
    if let Some(limit) = groups.memory_limit().filter(|l| l.left() < MARGIN / 2) {
        return Some(format!(
            "the memory limit of {} MB was near",
            limit.limit / MB
        ));
    }
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let left = kilobytes(field(&meminfo, "MemAvailable:"));
    (left > 0 && left < MARGIN).then(|| "the machine was running out of memory".into())
}
