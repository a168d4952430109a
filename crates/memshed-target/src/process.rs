//! Facts about a process, from `/proc`.

use crate::error::TargetError;
use crate::maps::{self, Mapping};
use std::fs;

/// A process, told apart from later ones of the same number by its start time.
#[derive(Clone, Debug)]
pub struct Process {
    pid: i32,
    start_time: u64,
}

impl Process {
    /// Finds a process.
    pub fn open(pid: i32) -> Result<Process, TargetError> {
        let start_time = start_time(pid).ok_or(TargetError::NoSuchProcess(pid))?;
        Ok(Process { pid, start_time })
    }

    /// Its number, as we count processes.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// When it was started, in clock ticks since the machine was (proc_pid_stat(5), field 22).
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// Its mappings, in order.
    pub fn mappings(&self) -> Result<Vec<Mapping>, TargetError> {
        let text = fs::read_to_string(format!("/proc/{}/maps", self.pid))
            .map_err(|e| TargetError::io("reading its mappings", &e))?;
        Ok(maps::parse_maps(&text))
    }
}

/// When process `pid` was started, in clock ticks since the machine was.
pub(crate) fn start_time(pid: i32) -> Option<u64> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let stat = String::from_utf8_lossy(&stat);
    // The name, in parentheses, may hold anything; the fields after it start with the third.
    stat.rsplit_once(") ")?.1.split(' ').nth(19)?.parse().ok()
}
