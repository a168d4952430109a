//! Ends commands if memshed dies without having done so itself, as by SIGKILL.
//!
//! A process of theirs may stand still at that moment because memshed looks at it, or hold a port that
//! the next run needs, and nobody else would see to it. The kernel's own way (prctl(2),
//! PR_SET_PDEATHSIG) reaches children only, not theirs.
#![allow(unsafe_code)]

use std::io::{self, PipeReader, PipeWriter, Write};
use std::os::fd::AsRawFd;

/// No more process groups than these are watched over at a time.
const MOST: usize = 16;

/// A process that waits for memshed's end, and ends when this and all [`Guarded`] are dropped.
pub struct Guardian(PipeWriter);

/// A process group that is killed if memshed dies before this is dropped.
pub struct Guarded {
    group: i32,
    guardian: PipeWriter,
}

impl Guardian {
    /// Starts it. It is nobody's child that memshed waits for, unless memshed is already the reaper
    /// of its descendants.
    pub fn start() -> io::Result<Guardian> {
        let (alive, own) = io::pipe()?;
        // SAFETY: the child calls only functions that are safe after a fork of a threaded process
        // (signal-safety(7)), and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            // SAFETY: this is the child; the descriptors are open.
            0 => unsafe { stand_guard(&alive, &own) },
            pid => {
                let mut status = 0;
                // SAFETY: `status` is a live integer. The child ends at once.
                unsafe { libc::waitpid(pid, &raw mut status, 0) };
                Ok(Guardian(own))
            }
        }
    }

    /// Has it watch over the process group `group`, until that has ended.
    pub fn over(&self, group: i32) -> io::Result<Guarded> {
        let mut guardian = self.0.try_clone()?;
        guardian.write_all(&group.to_ne_bytes())?;
        Ok(Guarded { group, guardian })
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // Fails if the guardian was killed.
        let _ = self.guardian.write_all(&(-self.group).to_ne_bytes());
    }
}

/// What the child does: leaves a child of its own, which waits.
///
/// # Safety
/// To be called only in a child just forked.
unsafe fn stand_guard(alive: &PipeReader, own: &PipeWriter) -> ! {
    // SAFETY: plain system calls on numbers, and on memory of this function.
    unsafe {
        libc::setsid();
        // Its signals are memshed's handlers', which have no thread here.
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const all, std::ptr::null_mut());
        if libc::fork() == 0 {
            libc::close(own.as_raw_fd());
            libc::dup2(alive.as_raw_fd(), 0);
            // What memshed has open must not stay so; where the call is not known (before Linux
            // 5.9), it does until memshed ends.
            libc::syscall(libc::SYS_close_range, 1u32, u32::MAX, 0u32);
            let mut groups = [0i32; MOST];
            let mut word = [0u8; 4];
            // Words of a pipe are written whole (pipe(7)).
            while libc::read(0, word.as_mut_ptr().cast(), word.len()) == word.len() as isize {
                let group = i32::from_ne_bytes(word);
                let (from, to) = if group > 0 { (0, group) } else { (-group, 0) };
                if let Some(place) = groups.iter_mut().find(|place| **place == from) {
                    *place = to;
                }
            }
            for group in groups.into_iter().filter(|group| *group > 1) {
                libc::kill(-group, libc::SIGKILL);
            }
        }
        libc::_exit(0)
    }
}
