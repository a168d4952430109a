//! Starts a command that is measured, and takes what the kernel counted when it has ended.
#![allow(unsafe_code)]

use std::ffi::OsString;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

/// How a command is started.
pub struct Start<'a> {
    /// Its words; the first is looked for on the path.
    pub command: &'a [OsString],
    /// What is set in its environment.
    pub environment: &'a [(OsString, OsString)],
    /// Whether the kernel is to give it no huge pages.
    pub no_huge_pages: bool,
}

/// Starts a command as the leader of a session of its own, so that it can be ended with its
/// children and a terminal's Ctrl-C reaches memshed alone. It reads nothing, its standard output
/// is thrown away, its standard error is a pipe. The kernel kills it if memshed dies; to be called
/// on memshed's main thread, for that goes by thread (prctl(2), PR_SET_PDEATHSIG).
pub fn start(start: &Start) -> io::Result<Child> {
    let (name, arguments) = start
        .command
        .split_first()
        .ok_or(io::ErrorKind::InvalidInput)?;
    let mut command = Command::new(name);
    command
        .args(arguments)
        .envs(start.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let no_huge_pages = start.no_huge_pages;
    let parent = std::process::id();
    let prepare = move || {
        // SAFETY: plain system calls without pointers, each safe between fork and exec
        // (signal-safety(7)).
        unsafe {
            libc::setsid();
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0);
            if libc::getppid().cast_unsigned() != parent {
                // memshed died before this was set.
                libc::_exit(127);
            }
            if no_huge_pages && libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    // SAFETY: `prepare` allocates nothing and takes no lock.
    unsafe { command.pre_exec(prepare) };
    command.spawn()
}

/// A child that has ended.
pub struct Ended {
    /// Which.
    pub pid: i32,
    /// How.
    pub status: ExitStatus,
    /// Processor time of it and of the children that it waited for.
    pub cpu: Duration,
    /// The most memory that it, or one of those children, had at a time, in bytes.
    pub peak: u64,
}

/// Takes notice of one child that has ended, if there is one.
pub fn reap() -> Option<Ended> {
    let mut status = 0;
    // SAFETY: all bit patterns of rusage, which is numbers alone, are valid.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: both pointers are to live variables of the right types.
    let pid = unsafe { libc::wait4(-1, &raw mut status, libc::WNOHANG, &raw mut usage) };
    let time = |value: libc::timeval| {
        let seconds = Duration::from_secs(u64::try_from(value.tv_sec).unwrap_or(0));
        seconds + Duration::from_micros(u64::try_from(value.tv_usec).unwrap_or(0))
    };
    (pid > 0).then(|| Ended {
        pid,
        status: ExitStatus::from_raw(status),
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        // The kernel counts in kilobytes of 1,024 bytes (getrusage(2)).
        peak: u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024,
    })
}
