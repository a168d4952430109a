//! ptrace(2) requests, one safe function each. Only the thread that attached may make them.

#![allow(unsafe_code)]

use std::io;

const PTRACE_GETSIGMASK: u32 = 0x420a;
const PTRACE_SETSIGMASK: u32 = 0x420b;
const PTRACE_GET_RSEQ_CONFIGURATION: u32 = 0x420f;
const PTRACE_EVENT_STOP: i32 = 128;

pub(super) use libc::user_regs_struct as Registers;

/// Options for every thread: an exec is reported before the new program runs.
pub(super) const WATCH_EXEC: i32 = libc::PTRACE_O_TRACEEXEC;
/// Options for the thread that clones: the child is traced from its first instruction on.
pub(super) const FOLLOW_CLONE: i32 = libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACESYSGOOD
    | libc::PTRACE_O_TRACECLONE
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK;
/// The copy is killed when the tracer goes away.
pub(super) const KILL_ON_EXIT: i32 = libc::PTRACE_O_EXITKILL;
/// The thread's seccomp filters are not asked; needs CAP_SYS_ADMIN.
pub(super) const SUSPEND_SECCOMP: i32 = libc::PTRACE_O_SUSPEND_SECCOMP;

/// What waitpid(2) reports of a tracee.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// Stopped by us, or (`group`) together with its process by SIGSTOP or its like.
    Stopped {
        /// Whether its whole process is stopped.
        group: bool,
    },
    /// About to be given a signal.
    Signal(i32),
    /// At the entry or exit of a system call.
    Syscall,
    /// Has cloned.
    Cloned,
    /// Has started another program.
    Execed,
    /// Has ended.
    Ended,
}

fn check(r: libc::c_long) -> io::Result<libc::c_long> {
    if r < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(r)
    }
}

fn request(req: u32, tid: i32, addr: usize, data: usize) -> io::Result<libc::c_long> {
    // SAFETY: the callers below pass addresses of live values of the size the request expects.
    check(unsafe { libc::ptrace(req, tid, addr, data) })
}

pub(super) fn seize(tid: i32, options: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, tid, 0, options as usize).map(drop)
}

pub(super) fn interrupt(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, tid, 0, 0).map(drop)
}

pub(super) fn detach(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, tid, 0, signal as usize).map(drop)
}

pub(super) fn set_options(tid: i32, options: i32) -> io::Result<()> {
    request(libc::PTRACE_SETOPTIONS, tid, 0, options as usize).map(drop)
}

pub(super) fn resume(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, tid, 0, 0).map(drop)
}

/// Resumes a thread that is about to be given a signal, with that signal.
pub(super) fn resume_with(tid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_CONT, tid, 0, signal as usize).map(drop)
}

pub(super) fn resume_to_syscall(tid: i32) -> io::Result<()> {
    request(libc::PTRACE_SYSCALL, tid, 0, 0).map(drop)
}

pub(super) fn event_message(tid: i32) -> io::Result<u64> {
    let mut message: libc::c_ulong = 0;
    request(
        libc::PTRACE_GETEVENTMSG,
        tid,
        0,
        (&raw mut message) as usize,
    )?;
    Ok(message)
}

pub(super) fn registers(tid: i32) -> io::Result<Registers> {
    // SAFETY: integers only, for which zero is a value.
    let mut regs: Registers = unsafe { std::mem::zeroed() };
    request(libc::PTRACE_GETREGS, tid, 0, (&raw mut regs) as usize)?;
    Ok(regs)
}

pub(super) fn set_registers(tid: i32, regs: &Registers) -> io::Result<()> {
    request(
        libc::PTRACE_SETREGS,
        tid,
        0,
        std::ptr::from_ref(regs) as usize,
    )
    .map(drop)
}

pub(super) fn signal_mask(tid: i32) -> io::Result<u64> {
    let mut mask: u64 = 0;
    request(
        PTRACE_GETSIGMASK,
        tid,
        size_of::<u64>(),
        (&raw mut mask) as usize,
    )?;
    Ok(mask)
}

pub(super) fn set_signal_mask(tid: i32, mask: u64) -> io::Result<()> {
    request(
        PTRACE_SETSIGMASK,
        tid,
        size_of::<u64>(),
        (&raw const mask) as usize,
    )
    .map(drop)
}

const NT_X86_XSTATE: usize = 0x202;

/// The thread's vector registers, in the layout of XSAVE.
pub(super) fn vector_registers(tid: i32) -> io::Result<Vec<u8>> {
    const PTRACE_GETREGSET: u32 = 0x4204;
    /// More than all that there is today, tiles included.
    const MOST: usize = 16 << 10;
    let mut bytes = vec![0u8; MOST];
    let mut room = libc::iovec {
        iov_base: bytes.as_mut_ptr().cast(),
        iov_len: bytes.len(),
    };
    request(
        PTRACE_GETREGSET,
        tid,
        NT_X86_XSTATE,
        (&raw mut room) as usize,
    )?;
    bytes.truncate(room.iov_len);
    Ok(bytes)
}

/// Puts back what [`vector_registers`] has read.
pub(super) fn set_vector_registers(tid: i32, bytes: &[u8]) -> io::Result<()> {
    const PTRACE_SETREGSET: u32 = 0x4205;
    let mut content = libc::iovec {
        // The kernel reads it only.
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    request(
        PTRACE_SETREGSET,
        tid,
        NT_X86_XSTATE,
        (&raw mut content) as usize,
    )
    .map(drop)
}

/// Where the thread's restartable-sequence area lies; 0 if it has none (rseq(2), Linux 5.13).
pub(super) fn rseq_area(tid: i32) -> io::Result<u64> {
    // struct ptrace_rseq_configuration: pointer, size, signature, flags, padding.
    let mut config = [0u64; 3];
    let size = size_of_val(&config);
    request(
        PTRACE_GET_RSEQ_CONFIGURATION,
        tid,
        size,
        config.as_mut_ptr() as usize,
    )?;
    Ok(config[0])
}

/// What has happened to `id` (-1: to any tracee of the calling thread), if anything. Never waits.
pub(super) fn poll_event(id: i32) -> io::Result<Option<(i32, Event)>> {
    let mut status = 0;
    let options = libc::__WALL | libc::__WNOTHREAD | libc::WNOHANG;
    // SAFETY: status is a live integer.
    let pid = unsafe { libc::waitpid(id, &mut status, options) };
    match check(libc::c_long::from(pid))? {
        0 => Ok(None),
        _ => Ok(Some((pid, decode(status)))),
    }
}

fn decode(status: i32) -> Event {
    if !libc::WIFSTOPPED(status) {
        return Event::Ended;
    }
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        PTRACE_EVENT_STOP => Event::Stopped {
            group: signal != libc::SIGTRAP,
        },
        libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => {
            Event::Cloned
        }
        libc::PTRACE_EVENT_EXEC => Event::Execed,
        _ if signal == libc::SIGTRAP | 0x80 => Event::Syscall,
        _ => Event::Signal(signal),
    }
}
