//! Words of a running process, read again and again while it runs on: for what changes from one
//! moment to the next. The process is neither stopped nor copied, and does not notice.

use crate::error::TargetError;
use crate::memory::RemoteAddr;
use crate::os;
use crate::process::Process;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// A running process, to be looked at in passing.
///
/// Reads go through `/proc/PID/mem` (proc_pid_mem(5)), which pins no page; the file goes on
/// referring to the same process, whoever gets its number later.
#[derive(Debug)]
pub struct Peek {
    memory: File,
    pid: i32,
}

impl Peek {
    /// Begins to look at `process`. Needs the right to trace it.
    ///
    /// # Errors
    /// If that is refused, or the process has ended.
    pub fn open(process: &Process) -> Result<Peek, TargetError> {
        let path = format!("/proc/{}/mem", process.pid());
        let memory = File::open(&path).map_err(|e| TargetError::io(&path, &e))?;
        Ok(Peek {
            memory,
            pid: process.pid(),
        })
    }

    /// Fills `bytes` with what is at `at` now; `false` if it is not mapped, or the process has
    /// ended. Bytes that change meanwhile may be of two moments.
    #[must_use]
    pub fn read(&self, at: RemoteAddr, bytes: &mut [u8]) -> bool {
        self.memory.read_exact_at(bytes, at.0).is_ok()
    }

    /// Time that all its threads have had on processors so far; `None` if it has ended.
    #[must_use]
    pub fn processor_time(&self) -> Option<Duration> {
        os::processor_time(self.pid)
    }
}
