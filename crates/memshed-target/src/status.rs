//! `/proc/PID/status`, `stat` and `smaps_rollup`, as far as they matter here.

use crate::maps::kilobytes;
use std::fs;
use std::time::Duration;

/// What `/proc/PID/status` says (proc_pid_status(5)). Absent lines are zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// The name of its main thread.
    pub comm: String,
    /// Its state as a letter: `R`unning, `S`leeping, `D` uninterruptible, `T` stopped, `t` traced,
    /// `Z`ombie.
    pub state: char,
    /// Its parent.
    pub parent: i32,
    /// The process that traces it; 0 for none.
    pub tracer: i32,
    /// Its effective user id.
    pub uid: u32,
    /// Its real and saved user ids, and the group ids: all must be ours to trace it.
    pub other_uids: [u32; 2],
    /// Real, effective and saved group ids.
    pub gids: [u32; 3],
    /// Its numbers in its pid namespaces, from ours to its own.
    pub namespace_pids: Vec<i32>,
    /// How many threads it has.
    pub threads: u32,
    /// 0 for none, 1 for strict, 2 for a filter.
    pub seccomp: u32,
    /// Its effective capabilities, a bit each.
    pub capabilities: u64,
    /// Its permitted capabilities, a bit each.
    pub permitted: u64,
    /// Resident bytes, approximately on newer kernels.
    pub rss: u64,
    /// Largest resident bytes so far.
    pub peak: u64,
    /// Bytes in swap.
    pub swap: u64,
    /// Bytes of page tables, which are not part of the resident bytes.
    pub page_tables: u64,
    /// Whether it has memory at all: kernel threads and zombies have none.
    pub has_memory: bool,
}

impl Status {
    /// Reads the text of the file; lines that make no sense are left out.
    pub fn parse(text: &str) -> Status {
        let mut status = Status {
            state: '?',
            ..Status::default()
        };
        for (key, value) in text.lines().filter_map(|l| l.split_once(':')) {
            let value = value.trim();
            let ids = || {
                let mut ids = value
                    .split_whitespace()
                    .map(|n| n.parse().unwrap_or(u32::MAX));
                [(); 3].map(|()| ids.next().unwrap_or(u32::MAX))
            };
            let bits = || u64::from_str_radix(value, 16).unwrap_or(0);
            match key {
                "Name" => status.comm = value.to_string(),
                "State" => status.state = value.chars().next().unwrap_or('?'),
                "PPid" => status.parent = value.parse().unwrap_or(0),
                "TracerPid" => status.tracer = value.parse().unwrap_or(0),
                "Uid" => {
                    let [real, effective, saved] = ids();
                    (status.uid, status.other_uids) = (effective, [real, saved]);
                }
                "Gid" => status.gids = ids(),
                "NSpid" => {
                    let numbers = value.split_whitespace().filter_map(|n| n.parse().ok());
                    status.namespace_pids = numbers.collect();
                }
                "Threads" => status.threads = value.parse().unwrap_or(0),
                "Seccomp" => status.seccomp = value.parse().unwrap_or(0),
                "CapEff" => status.capabilities = bits(),
                "CapPrm" => status.permitted = bits(),
                "VmRSS" => (status.rss, status.has_memory) = (kilobytes(value), true),
                "VmHWM" => status.peak = kilobytes(value),
                "VmSwap" => status.swap = kilobytes(value),
                "VmPTE" => status.page_tables = kilobytes(value),
                _ => {}
            }
        }
        status
    }
}

/// Exact sums over all mappings, in bytes (`/proc/PID/smaps_rollup`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryUse {
    /// Resident bytes.
    pub rss: u64,
    /// Resident bytes, shared ones divided by the number of those who share them.
    pub pss: u64,
    /// Resident bytes that nobody else has mapped: what would be free if the process ended.
    pub uss: u64,
    /// Resident bytes that belong to no file.
    pub anonymous: u64,
    /// Bytes in swap.
    pub swap: u64,
}

impl MemoryUse {
    pub(crate) fn parse(text: &str) -> MemoryUse {
        let mut sums = MemoryUse::default();
        for (key, value) in text.lines().filter_map(|l| l.split_once(':')) {
            match key {
                "Rss" => sums.rss = sums.rss.saturating_add(kilobytes(value)),
                "Pss" => sums.pss = sums.pss.saturating_add(kilobytes(value)),
                "Private_Clean" | "Private_Dirty" => {
                    sums.uss = sums.uss.saturating_add(kilobytes(value))
                }
                "Anonymous" => sums.anonymous = sums.anonymous.saturating_add(kilobytes(value)),
                "Swap" => sums.swap = sums.swap.saturating_add(kilobytes(value)),
                _ => {}
            }
        }
        sums
    }
}

/// What a process costs beside its resident bytes, and what part of these is special, in bytes
/// (proc_pid_status(5) and `smaps_rollup`). What an older kernel does not tell is zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryBeside {
    /// Page tables (`VmPTE`): kernel memory, not resident bytes.
    pub page_tables: u64,
    /// Swapped out (`VmSwap`; shared memory in swap is not counted).
    pub swap: u64,
    /// Kernel stacks: 16 KiB for each thread (Documentation/arch/x86/kernel-stacks.rst).
    pub kernel_stacks: u64,
    /// Pages from the pool of huge pages (`HugetlbPages`), which are not resident bytes either.
    pub huge_pool: u64,
    /// Of the resident bytes: private memory in transparent huge pages (`AnonHugePages`).
    pub anon_huge: u64,
    /// Of the resident bytes: shared memory and memory files (`RssShmem`), approximately.
    pub shared_memory: u64,
    /// Of the resident bytes: locked, so that they cannot be swapped out (`Locked`, each shared
    /// page divided by the number of those who share it).
    pub locked: u64,
    /// Of the resident bytes: pinned for devices (`VmPin`).
    pub pinned: u64,
}

impl MemoryBeside {
    pub(crate) fn parse(status: &str, rollup: &str) -> MemoryBeside {
        const KERNEL_STACK: u64 = 16 << 10;
        let of = |text: &str, name: &str| kilobytes(field(text, name));
        let threads: u64 = field(status, "Threads:").parse().unwrap_or(0);
        MemoryBeside {
            page_tables: of(status, "VmPTE:"),
            swap: of(status, "VmSwap:"),
            kernel_stacks: threads.saturating_mul(KERNEL_STACK),
            huge_pool: of(status, "HugetlbPages:"),
            anon_huge: of(rollup, "AnonHugePages:"),
            shared_memory: of(status, "RssShmem:"),
            locked: of(rollup, "Locked:"),
            pinned: of(status, "VmPin:"),
        }
    }
}

/// When process `pid` was started, in clock ticks since the machine was.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name, in parentheses, may hold anything; the fields after it start with the third.
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}

/// How long the machine has been up (proc_uptime(5)).
pub(crate) fn machine_uptime() -> Option<Duration> {
    let text = fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = text.split(' ').next()?.parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// A field of a file like `/proc/PID/status`; empty if it has no such line.
pub(crate) fn field<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines()
        .find_map(|l| l.strip_prefix(name))
        .unwrap_or("")
        .trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_beside() {
        let status = "Threads:\t3\nVmPTE:\t  12 kB\nVmSwap:\t 8 kB\nRssShmem:\t4 kB\n";
        let rollup = "1000-2000 ---p 00000000 00:00 0 [rollup]\nAnonHugePages:   2048 kB\n";
        let beside = MemoryBeside::parse(status, rollup);
        let expected = MemoryBeside {
            page_tables: 12 << 10,
            swap: 8 << 10,
            kernel_stacks: 48 << 10,
            anon_huge: 2 << 20,
            shared_memory: 4 << 10,
            ..MemoryBeside::default()
        };
        assert_eq!(beside, expected);
    }

    #[test]
    fn reads_a_status() {
        let text = "Name:\tpython3\nState:\tS (sleeping)\nUid:\t1000\t1001\t1002\t1003\n\
                    NSpid:\t4711\t1\nVmRSS:\t  12 kB\nSeccomp:\t2\nnonsense\nThreads:\tx\n";
        let status = Status::parse(text);
        assert_eq!((status.comm.as_str(), status.state), ("python3", 'S'));
        assert_eq!((status.uid, status.other_uids), (1001, [1000, 1002]));
        assert_eq!(status.namespace_pids, [4711, 1]);
        assert_eq!((status.rss, status.seccomp, status.threads), (12288, 2, 0));
    }
}
