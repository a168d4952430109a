//! Ends a command's processes if memshed dies without having done so itself, as by SIGKILL.
//!
//! One of them may stand still at that moment because memshed looks at it, and nobody else would let
//! it go on. The kernel's own way (prctl(2), PR_SET_PDEATHSIG) reaches children only, not theirs.
#![allow(unsafe_code)]

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;

/// A process that waits for memshed's end. Dropping this sends it away.
pub struct Guardian(PipeWriter);

impl Guardian {
    /// Has the process group `group` killed if memshed dies. To be dropped once it has ended.
    pub fn over(group: i32) -> io::Result<Guardian> {
        let (alive, own) = io::pipe()?;
        // SAFETY: the child calls only functions that are safe after a fork of a threaded process
        // (signal-safety(7)), and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: this is the child; the descriptors are open.
            0 => unsafe { stand_guard(group, &alive, &own) },
            pid => {
                let mut status = 0;
                // SAFETY: `status` is a live integer. The child ends at once; its own child is
                // nobody's that memshed waits for.
                unsafe { libc::waitpid(pid, &raw mut status, 0) };
                Ok(Guardian(own))
            }
        }
    }
}

impl Drop for Guardian {
    fn drop(&mut self) {
        // Fails if it was killed.
        let _ = self.0.write_all(&[1]);
    }
}

/// What the child does: leaves a child of its own, which waits.
///
/// # Safety
/// To be called only in a child just forked.
unsafe fn stand_guard(group: i32, alive: &PipeReader, own: &PipeWriter) -> ! {
    // SAFETY: plain system calls on numbers, and on memory of this function.
    unsafe {
        libc::setsid();
        if libc::fork() == 0 {
            libc::close(own.as_raw_fd());
            libc::dup2(alive.as_raw_fd(), 0);
            // What memshed has open must not stay so; where the call is not known (before Linux
            // 5.9), it does until memshed ends.
            libc::syscall(libc::SYS_close_range, 1u32, u32::MAX, 0u32);
            let mut byte = 0u8;
            let mut read = -1;
            while read < 0 {
                read = libc::read(0, (&raw mut byte).cast(), 1);
                if read < 0 && *libc::__errno_location() != libc::EINTR {
                    break;
                }
            }
            if read == 0 {
                libc::kill(-group, libc::SIGKILL);
            }
        }
        libc::_exit(0)
    }
}
