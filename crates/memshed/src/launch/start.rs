//! Starts a command in a session of its own, held back until it is traced.
#![allow(unsafe_code)]

use std::ffi::{CString, OsString};
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;

/// A command that waits to be let go. It is the leader of a session of its own, so that its
/// children can be ended with it, and so that a terminal's Ctrl-C reaches memshed alone.
pub struct Held {
    /// Its process id, session and process group.
    pub pid: i32,
    go: io::PipeWriter,
    error: PipeReader,
}

/// A command that was let go.
pub struct Started {
    error: PipeReader,
}

/// Starts `command`. Its standard output becomes memshed's standard error, so that it cannot mix
/// with the report.
pub fn start(command: &[OsString]) -> io::Result<Held> {
    let arguments: Vec<CString> = command
        .iter()
        .map(|argument| CString::new(argument.as_bytes()))
        .collect::<Result<_, _>>()?;
    let mut pointers: Vec<*const libc::c_char> = arguments.iter().map(|a| a.as_ptr()).collect();
    pointers.push(std::ptr::null());
    if arguments.is_empty() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (wait, go) = io::pipe()?;
    let (error, report) = io::pipe()?;
    let descriptors = (wait.as_raw_fd(), go.as_raw_fd(), report.as_raw_fd());
    // SAFETY: the child calls only functions that are safe after a fork of a threaded process
    // (signal-safety(7); execvp of glibc and musl allocates nothing), on memory that was made
    // ready before, and never returns.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        // SAFETY: this is the child; `pointers` ends in null, and the command line is not empty.
        0 => unsafe { become_command(&pointers, descriptors) },
        pid => Ok(Held { pid, go, error }),
    }
}

/// What the child does: gets ready, waits for the byte that lets it go, executes.
///
/// # Safety
/// `arguments` ends in null and is not empty; to be called only in a child just forked.
unsafe fn become_command(
    arguments: &[*const libc::c_char],
    (wait, go, report): (i32, i32, i32),
) -> ! {
    // SAFETY: plain system calls on descriptors and memory that the caller vouches for.
    unsafe {
        libc::setsid();
        libc::dup2(2, 1);
        // Yama lets a process be traced by its ancestors only. memshed's tracer is a process of
        // its own; without Yama this call is refused, and not needed.
        libc::prctl(libc::PR_SET_PTRACER, libc::PR_SET_PTRACER_ANY, 0, 0, 0);
        // Rust programs ignore it; others expect the default.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        // Else this process would keep its own wait from ending when memshed dies.
        libc::close(go);
        let mut byte = 0u8;
        if libc::read(wait, (&raw mut byte).cast(), 1) == 1 {
            libc::execvp(arguments[0], arguments.as_ptr());
            let error = *libc::__errno_location();
            libc::write(report, (&raw const error).cast(), size_of::<i32>());
        }
        libc::_exit(127)
    }
}

impl Held {
    /// Lets it execute its program.
    pub fn let_go(mut self) -> io::Result<Started> {
        self.go.write_all(&[1])?;
        Ok(Started { error: self.error })
    }
}

impl Started {
    /// Why it could not execute its program; to be asked once it has ended. All pipes close when
    /// the program is executed, or at the end.
    pub fn exec_error(&mut self) -> Option<io::Error> {
        let mut number = [0; 4];
        self.error.read_exact(&mut number).ok()?;
        Some(io::Error::from_raw_os_error(i32::from_ne_bytes(number)))
    }
}
