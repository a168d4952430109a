//! Which system calls survive a stop unseen, and how to restart those that do not by themselves.
//!
//! PTRACE_INTERRUPT wakes a sleeping system call. Most calls then return one of the kernel's
//! ERESTART codes and are restarted with the time that was left. Those that signal(7) lists under
//! "Interruption of system calls and library functions by stop signals" return EINTR instead, and
//! a write or a `MSG_WAITALL` receive that was half done returns a short count, which nothing can
//! undo. Measured on Linux 6.18: EINTR from epoll_wait, epoll_pwait, epoll_pwait2, recv, read and
//! accept with SO_RCVTIMEO, connect with SO_SNDTIMEO, sigtimedwait, sigwaitinfo, semop, semtimedop
//! and io_getevents; short counts from send, write to a pipe and recv with MSG_WAITALL.
//!
//! The best restart is none: threads asleep in such *delicate* calls are not woken at all (see
//! `sleepers`). What follows is for those that had to be.

use super::ptrace::Registers;
use crate::os;
use std::time::Duration;

pub(super) const EINTR: i64 = -4;
/// The kernel itself keeps what is left of the call (include/linux/errno.h).
const ERESTART_RESTARTBLOCK: i64 = -516;
/// ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND and the former.
const RESTARTS: [i64; 4] = [-512, -513, -514, ERESTART_RESTARTBLOCK];
/// The code segment of 64-bit programs (arch/x86/include/asm/segment.h, __USER_CS).
const USER_CS: u64 = 0x33;
/// The `syscall` instruction.
pub(super) const SYSCALL: [u8; 2] = [0x0f, 0x05];

const EPOLL: [i64; 2] = [libc::SYS_epoll_wait, libc::SYS_epoll_pwait];

/// A system call that a thread sleeps in: number and arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) number: i64,
    pub(super) args: [u64; 6],
}

impl Call {
    /// Whether the call can be woken and nobody will notice.
    pub(super) fn restarts_by_itself(&self) -> bool {
        let forever = match self.number {
            n if EPOLL.contains(&n) => (self.args[3] as i32) < 0,
            libc::SYS_epoll_pwait2 => self.args[3] == 0,
            _ => false,
        };
        const BY_THEMSELVES: [i64; 14] = [
            libc::SYS_poll,
            libc::SYS_ppoll,
            libc::SYS_select,
            libc::SYS_pselect6,
            libc::SYS_nanosleep,
            libc::SYS_clock_nanosleep,
            libc::SYS_futex,
            libc::SYS_futex_waitv,
            libc::SYS_pause,
            libc::SYS_rt_sigsuspend,
            libc::SYS_restart_syscall,
            libc::SYS_flock,
            libc::SYS_mq_timedreceive,
            libc::SYS_msgrcv,
        ];
        forever || BY_THEMSELVES.contains(&self.number)
    }

    /// Whether the thread waits for its children. It is left asleep and not even attached to:
    /// while it is traced, the SIGCHLD that it ignores is sent all the same, and wakes others.
    pub(super) fn waits_for_children(&self) -> bool {
        matches!(self.number, libc::SYS_wait4 | libc::SYS_waitid)
    }

    /// Among delicate calls, which to wake if one has to be: the lower the better.
    pub(super) fn reluctance(&self) -> u32 {
        const MSG_WAITALL: u64 = 0x100;
        match self.number {
            n if EPOLL.contains(&n) || n == libc::SYS_epoll_pwait2 => 0,
            libc::SYS_wait4 | libc::SYS_waitid => 0,
            libc::SYS_read | libc::SYS_readv | libc::SYS_accept | libc::SYS_accept4 => 1,
            libc::SYS_recvfrom if self.args[3] & MSG_WAITALL == 0 => 1,
            libc::SYS_recvmsg if self.args[2] & MSG_WAITALL == 0 => 1,
            libc::SYS_connect => 2,
            libc::SYS_rt_sigtimedwait | libc::SYS_io_getevents | libc::SYS_io_uring_enter => 3,
            libc::SYS_semop | libc::SYS_semtimedop => 3,
            _ => 4,
        }
    }
}

/// Whether these are the registers of a 64-bit program.
pub(super) fn is_64_bit(regs: &Registers) -> bool {
    regs.cs == USER_CS
}

/// Whether the thread was stopped within a system call that the kernel itself restarts.
pub(super) fn will_restart(regs: &Registers) -> bool {
    in_call(regs) && RESTARTS.contains(&(regs.rax as i64))
}

/// Whether the thread was stopped within a system call that goes on by restart_syscall(2).
pub(super) fn restarts_by_block(regs: &Registers) -> bool {
    in_call(regs) && regs.rax as i64 == ERESTART_RESTARTBLOCK
}

/// Whether the thread was stopped on its way out of a system call.
pub(super) fn in_call(regs: &Registers) -> bool {
    regs.orig_rax as i64 >= 0
}

/// Whether the thread's call has returned EINTR; because of the stop if no signal is pending.
pub(super) fn was_interrupted(regs: &Registers) -> bool {
    in_call(regs) && regs.rax as i64 == EINTR
}

/// How an interrupted call is restarted.
pub(super) struct Restart {
    /// The registers to go on with.
    pub(super) regs: Registers,
    /// Whether its timeout starts anew, because what was left of it cannot be expressed.
    pub(super) prolonged: bool,
}

/// Registers that make the thread repeat the call that the stop has interrupted. `slept`: how
/// long it had been asleep. `None` if that would be wrong: the descriptor of an interrupted
/// close(2) is gone (fs/open.c), and what precedes the program counter may not be a call at all.
pub(super) fn restart(pid: i32, regs: &Registers, slept: Option<Duration>) -> Option<Restart> {
    let mut code = [0; 2];
    let number = regs.orig_rax as i64;
    os::read_process(pid, regs.rip.wrapping_sub(2), &mut code).ok()?;
    if code != SYSCALL || number == libc::SYS_close {
        return None;
    }
    let mut again = Registers {
        rax: regs.orig_rax,
        rip: regs.rip - 2,
        orig_rax: u64::MAX,
        ..*regs
    };
    let slept = slept.unwrap_or_default();
    let mut prolonged = false;
    if EPOLL.contains(&number) {
        let timeout = again.r10 as i32;
        if timeout > 0 {
            again.r10 = remaining_ms(Duration::from_millis(timeout as u64), slept);
        }
    } else if number == libc::SYS_epoll_pwait2 && regs.r10 != 0 && !slept.is_zero() {
        // epoll_pwait takes the same arguments, with the timeout by value.
        let timeout = read_timespec(pid, regs.r10)?;
        again.r10 = remaining_ms(timeout, slept);
        again.rax = libc::SYS_epoll_pwait as u64;
    } else {
        prolonged = slept > Duration::from_millis(1);
    }
    Some(Restart {
        regs: again,
        prolonged,
    })
}

/// What is left of a timeout, rounded up to whole milliseconds: rather late than early.
fn remaining_ms(timeout: Duration, slept: Duration) -> u64 {
    let left = timeout.saturating_sub(slept).as_micros().div_ceil(1000);
    left.min(i32::MAX as u128) as u64
}

fn read_timespec(pid: i32, at: u64) -> Option<Duration> {
    let mut bytes = [0; 16];
    os::read_process(pid, at, &mut bytes).ok()?;
    let (seconds, nanos) = bytes.split_at(8);
    let seconds = u64::from_le_bytes(seconds.try_into().ok()?);
    let nanos = u64::from_le_bytes(nanos.try_into().ok()?);
    Some(Duration::new(
        seconds,
        u32::try_from(nanos).ok().filter(|&n| n < 1_000_000_000)?,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_is_rounded_up_and_never_negative() {
        let ms = Duration::from_millis;
        assert_eq!(remaining_ms(ms(100), ms(40)), 60);
        assert_eq!(remaining_ms(ms(100), Duration::from_micros(40_100)), 60);
        assert_eq!(remaining_ms(ms(100), ms(400)), 0);
        assert_eq!(
            remaining_ms(Duration::from_secs(1 << 40), ms(0)),
            i32::MAX as u64
        );
    }

    #[test]
    fn an_epoll_without_timeout_may_be_woken() {
        let call = |number, timeout: i64| Call {
            number,
            args: [3, 0, 8, timeout as u64, 0, 0],
        };
        assert!(call(libc::SYS_epoll_wait, -1).restarts_by_itself());
        assert!(call(libc::SYS_epoll_wait, 0xffff_ffff).restarts_by_itself());
        assert!(!call(libc::SYS_epoll_wait, 1000).restarts_by_itself());
        assert!(!call(libc::SYS_recvfrom, 0).restarts_by_itself());
    }
}
