//! The few ptrace(2) requests that following a command takes, and its hardware breakpoints.
//!
//! Breakpoints live in the processor's debug registers, one set for each thread: the program's
//! code and data stay as they are, and children do not inherit them.
#![allow(unsafe_code)]

use std::io;
use std::mem::offset_of;
use std::time::{Duration, Instant};

/// Kill the process if memshed dies: nobody else would know what to do with it.
pub const WATCH: i32 = libc::PTRACE_O_EXITKILL | libc::PTRACE_O_TRACEEXEC;
/// Also follow everything that it starts.
pub const FOLLOW: i32 =
    WATCH | libc::PTRACE_O_TRACECLONE | libc::PTRACE_O_TRACEFORK | libc::PTRACE_O_TRACEVFORK;

/// What happened to a process that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It has ended; the wait status.
    Ended(i32),
    /// It has begun to execute another program.
    Execed,
    /// It, and its group of threads, was stopped as by SIGSTOP.
    Stopped,
    /// It is about to receive this signal.
    Signal(i32),
    /// It has made a process or a thread, which is traced as well.
    Born,
    /// Anything that needs no answer but to go on.
    Other,
}

fn request(request: libc::c_uint, pid: i32, at: usize, data: usize) -> io::Result<()> {
    // SAFETY: the one request used here that writes to memshed's memory is given its place.
    match unsafe { libc::ptrace(request, pid, at, data) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Begins to trace `pid` without stopping it.
pub fn seize(pid: i32, options: i32) -> io::Result<()> {
    request(libc::PTRACE_SEIZE, pid, 0, options as usize)
}

/// What a tracee has made that stopped with [`Event::Born`].
pub fn born(pid: i32) -> io::Result<i32> {
    let mut number: libc::c_ulong = 0;
    request(libc::PTRACE_GETEVENTMSG, pid, 0, (&raw mut number) as usize)?;
    Ok(number as i32)
}

/// Changes the options of a stopped tracee.
pub fn set_options(pid: i32, options: i32) -> io::Result<()> {
    request(libc::PTRACE_SETOPTIONS, pid, 0, options as usize)
}

/// Lets a stopped tracee go on, with `signal` if it is not 0.
pub fn go_on(pid: i32, signal: i32) {
    // A tracee that was killed meanwhile reports that by itself.
    let _ = request(libc::PTRACE_CONT, pid, 0, signal as usize);
}

/// Leaves a tracee in its group stop, still hearing of what happens to it.
pub fn listen(pid: i32) {
    let _ = request(libc::PTRACE_LISTEN, pid, 0, 0);
}

/// Asks a running tracee to stop.
pub fn interrupt(pid: i32) -> io::Result<()> {
    request(libc::PTRACE_INTERRUPT, pid, 0, 0)
}

/// Lets go of a stopped tracee, with `signal` if it is not 0.
pub fn detach(pid: i32, signal: i32) -> io::Result<()> {
    request(libc::PTRACE_DETACH, pid, 0, signal as usize)
}

/// Waits for the next event of any tracee. `None`: a signal came for memshed instead, or, with
/// an error, there is no tracee left.
pub fn wait_any() -> io::Result<Option<(i32, Event)>> {
    // Only this thread's tracees: the process has other children, which others wait for.
    match wait(-1, 0) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(None),
        other => other,
    }
}

/// Waits for the next event of one tracee, up to a limit.
pub fn wait_for(pid: i32, limit: Duration) -> io::Result<Event> {
    let until = Instant::now() + limit;
    loop {
        match wait(pid, libc::WNOHANG) {
            Ok(Some((_, event))) => return Ok(event),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ if Instant::now() >= until => return Err(io::ErrorKind::TimedOut.into()),
            _ => std::thread::sleep(Duration::from_millis(1)),
        }
    }
}

fn wait(pid: i32, options: i32) -> io::Result<Option<(i32, Event)>> {
    let mut status = 0;
    let options = options | libc::__WALL | libc::__WNOTHREAD;
    // SAFETY: `status` is a valid place for the status.
    let found = unsafe { libc::waitpid(pid, &mut status, options) };
    match found {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        found => Ok(Some((found, decode(status)))),
    }
}

fn decode(status: i32) -> Event {
    if !libc::WIFSTOPPED(status) {
        return Event::Ended(status);
    }
    let signal = libc::WSTOPSIG(status);
    match status >> 16 {
        0 => Event::Signal(signal),
        libc::PTRACE_EVENT_EXEC => Event::Execed,
        libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
            Event::Born
        }
        libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => Event::Stopped,
        _ => Event::Other,
    }
}

/// What a breakpoint waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The instruction at the address is about to be executed.
    Execute,
    /// The eight bytes at the address, which is a multiple of 8, were written to.
    Write,
}

const DEBUG_REGISTERS: usize = offset_of!(libc::user, u_debugreg);

fn set_register(pid: i32, register: usize, value: u64) -> io::Result<()> {
    request(
        libc::PTRACE_POKEUSER,
        pid,
        DEBUG_REGISTERS + register * 8,
        value as usize,
    )
}

/// Sets the breakpoints of a stopped tracee: at most four, which replace all others.
pub fn set_breakpoints(pid: i32, breakpoints: &[(u64, Access)]) -> io::Result<()> {
    clear_breakpoints(pid)?;
    // Intel SDM, volume 3, "Debug Registers": DR7 has a bit to enable each, and four bits that
    // say what for and how many bytes.
    let mut control = 0u64;
    for (i, (at, access)) in breakpoints.iter().take(4).enumerate() {
        set_register(pid, i, *at)?;
        let kind = match access {
            Access::Execute => 0b0000,
            Access::Write => 0b1001,
        };
        control |= 1 << (2 * i) | kind << (16 + 4 * i);
    }
    set_register(pid, 7, control)
}

/// Removes the breakpoints of a stopped tracee.
pub fn clear_breakpoints(pid: i32) -> io::Result<()> {
    set_register(pid, 7, 0)
}

/// Whether a stopped tracee stopped for one of its breakpoints, and which; forgets it.
pub fn breakpoint_hit(pid: i32) -> Option<usize> {
    let at = DEBUG_REGISTERS + 6 * 8;
    // SAFETY: PEEKUSER reads a word of the tracee; its value is what libc's wrapper returns.
    let hits = unsafe { libc::ptrace(libc::PTRACE_PEEKUSER, pid, at, 0usize) };
    if hits == -1 {
        return None;
    }
    let _ = set_register(pid, 6, 0);
    (0..4).find(|i| hits >> i & 1 == 1)
}

/// The word at `at` in a stopped tracee.
pub fn word(pid: i32, at: u64) -> io::Result<u64> {
    use std::os::unix::fs::FileExt;
    let mut word = [0; 8];
    let memory = std::fs::File::open(format!("/proc/{pid}/mem"))?;
    memory.read_exact_at(&mut word, at)?;
    Ok(u64::from_le_bytes(word))
}

/// Makes blocking calls of this thread return from time to time, until it is dropped, so that
/// a wait can be given up: waitpid(2) has no limit of its own.
pub struct Nudges(std::sync::mpsc::Sender<()>);

impl Nudges {
    /// Nudges the calling thread from `after` on.
    pub fn after(after: Duration) -> Nudges {
        extern "C" fn nothing(_: libc::c_int) {}
        const AGAIN: Duration = Duration::from_millis(50);
        // SAFETY: the action is fully initialized; the handler does nothing, and without
        // SA_RESTART a blocking call returns EINTR. Nothing else in memshed uses SIGUSR1.
        let thread = unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as usize;
            libc::sigaction(libc::SIGUSR1, &action, std::ptr::null_mut());
            libc::pthread_self()
        };
        let (sender, ended) = std::sync::mpsc::channel::<()>();
        std::thread::spawn(move || {
            let mut pause = after;
            // Again and again: the first may come just before the wait begins.
            while ended.recv_timeout(pause) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                // SAFETY: the thread is memshed's main thread, which outlives this one.
                unsafe { libc::pthread_kill(thread, libc::SIGUSR1) };
                pause = AGAIN;
            }
        });
        Nudges(sender)
    }
}

impl Drop for Nudges {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}
