//! Having a stopped thread make one system call, and putting it back exactly as it was.
//!
//! Never by PTRACE_SINGLESTEP: its SIGTRAP is forced, which resets a blocked or ignored SIGTRAP
//! of the target. Signals are blocked for the duration by PTRACE_SETSIGMASK. Afterwards the
//! thread is led into the same kind of stop in which it was found, with the registers it had
//! then, so that the kernel itself restarts the interrupted call or delivers what has arrived.

use super::calls::{self, SYSCALL};
use super::home::{self, Grows, Home, WayHome};
use super::ptrace::{self, Event, Registers};
use super::stop::{Held, Stop, wait_for_child};
use crate::error::TargetError;
use crate::maps::Mapping;
use crate::os::{self, Deadline};
use std::fs::File;
use std::time::Duration;

/// A fork of a very large process takes a second or so, and cannot be called off.
const LIMIT: Duration = Duration::from_secs(60);

/// Room for a way home below a stack: more than all registers, tiles included.
const ROOM: u64 = 20 << 10;

/// A system call to make.
pub(super) struct Wanted {
    pub(super) number: i64,
    pub(super) args: [u64; 6],
    /// Whether to suspend seccomp for it.
    pub(super) suspend_seccomp: bool,
    /// Where a `syscall` instruction lies in the target.
    pub(super) instruction: u64,
    /// A better one, if there is one: the thread finds back by itself if we die meanwhile.
    pub(super) way_home: Option<WayHome>,
    /// The target's mappings.
    pub(super) maps: Vec<Mapping>,
}

impl Stop<'_> {
    /// The stopped thread that takes an injected call best: within a restartable call, else at
    /// the end of one, else in user mode outside of restartable sequences, else within a call
    /// that has to be repaired.
    pub(super) fn best_for_injection(&self) -> Option<usize> {
        let ranked = self
            .held
            .iter()
            .enumerate()
            .filter_map(|(i, h)| Some((rank(self.pid, h)?, i)));
        ranked.min().map(|(_, i)| i)
    }

    /// Has thread `at` make a system call. What the call returned: a value, or an error as its
    /// negative number.
    pub(super) fn inject(&mut self, at: usize, wanted: &Wanted) -> Result<i64, TargetError> {
        let events = self.events();
        let held = &mut self.held[at];
        let Some(regs) = held.regs else {
            return Err(TargetError::Exited(self.pid));
        };
        // Now that it stands still, it cannot become another program any more.
        if !home::has_code(self.pid, wanted.instruction, &SYSCALL) {
            return Err(TargetError::Execed(self.pid));
        }
        let mut thread = Injected {
            pid: self.pid,
            tid: held.tid,
            events,
            signal: None,
            again: None,
            child: None,
        };
        let slept = held.slept();
        let mask = ptrace::signal_mask(held.tid).map_err(|_| TargetError::Exited(self.pid))?;
        let result = thread.call(&regs, slept, mask, wanted);
        self.child = self.child.or(thread.child);
        if let Err(TargetError::Deadline { .. }) = result {
            if let Some(signal) = thread.again {
                os::signal_thread(self.pid, thread.tid, signal);
            }
            self.lead_back_late(at, Home::new(self.pid, &regs, slept, mask));
            return result;
        }
        // From here on the thread is in a stop like the one before, or gone.
        held.event = match (&result, thread.signal) {
            (Err(TargetError::Exited(_)), _) => Some(Event::Ended),
            (Err(TargetError::Execed(_)), _) => Some(Event::Execed),
            (_, Some(signal)) => Some(Event::Signal(signal)),
            _ => held.event,
        };
        result
    }
}

/// Whether a thread can be led elsewhere as it stands.
pub(super) fn can_be_led(pid: i32, held: &Held) -> bool {
    rank(pid, held).is_some()
}

fn rank(pid: i32, held: &Held) -> Option<u32> {
    let (Some(Event::Stopped { .. }), Some(regs)) = (held.event, &held.regs) else {
        return None;
    };
    if calls::will_restart(regs) {
        Some(0)
    } else if calls::was_interrupted(regs) {
        Some(3)
    } else if calls::in_call(regs) {
        Some(1)
    } else {
        outside_of_rseq(pid, held.tid).then_some(2)
    }
}

/// Whether the thread is in no restartable sequence: an excursion would go unnoticed and the
/// sequence would not be aborted, as it must be.
fn outside_of_rseq(pid: i32, tid: i32) -> bool {
    // Kernels before 5.13 cannot say; nor do C libraries of their time use it.
    let Ok(area) = ptrace::rseq_area(tid) else {
        return true;
    };
    let mut sequence = [0; 8];
    // struct rseq { cpu_id_start: u32, cpu_id: u32, rseq_cs: u64, … } (linux/rseq.h).
    area == 0
        || os::read_process(pid, area + 8, &mut sequence).is_ok()
            && u64::from_le_bytes(sequence) == 0
}

/// A thread in the middle of it.
struct Injected<'a> {
    pid: i32,
    tid: i32,
    events: &'a File,
    /// A signal that the thread is about to be given, at the end.
    signal: Option<i32>,
    /// A signal that turned up on the way, where it could not be let through: a SIGSTOP, since
    /// others are blocked. It is sent again.
    again: Option<i32>,
    /// The child that the call has made.
    child: Option<i32>,
}

impl Injected<'_> {
    /// A thread that is not back in time is still under way, and one that has become another program
    /// has nothing to be given back: nothing is put back then.
    fn call(
        &mut self,
        regs: &Registers,
        slept: Option<Duration>,
        mask: u64,
        wanted: &Wanted,
    ) -> Result<i64, TargetError> {
        let pid = self.pid;
        let gone = |_| TargetError::Exited(pid);
        let mut options = ptrace::FOLLOW_CLONE;
        if wanted.suspend_seccomp {
            options |= ptrace::SUSPEND_SECCOMP;
        }
        ptrace::set_options(self.tid, options)
            .map_err(|e| TargetError::io("PTRACE_SETOPTIONS", &e))?;
        // The order matters: were we to die between two of these, the thread would find back with
        // its own signals, or would not have left yet.
        let start = self.start(regs, slept, mask, wanted);
        ptrace::set_registers(self.tid, &start).map_err(gone)?;
        ptrace::set_signal_mask(self.tid, u64::MAX).map_err(gone)?;
        let outcome = self.run();
        if let Err(TargetError::Deadline { .. } | TargetError::Execed(_)) = outcome {
            return outcome;
        }
        self.back_to_trap()?;
        ptrace::set_signal_mask(self.tid, mask).map_err(gone)?;
        ptrace::set_registers(self.tid, regs).map_err(gone)?;
        ptrace::set_options(self.tid, ptrace::WATCH_EXEC).map_err(gone)?;
        if let Some(signal) = self.again {
            os::signal_thread(pid, self.tid, signal);
        }
        outcome
    }

    /// The registers to start with. If there is a way home, it is laid below the thread's stack.
    fn start(
        &self,
        regs: &Registers,
        slept: Option<Duration>,
        mask: u64,
        wanted: &Wanted,
    ) -> Registers {
        let home = home::registers(self.pid, regs, slept);
        let fits = home::has_room(self.pid, &wanted.maps, regs, ROOM, Grows::No);
        let way_home = wanted.way_home.filter(|way| fits && way.is_there(self.pid));
        let laid = way_home.and_then(|way| {
            let vectors = ptrace::vector_registers(self.tid).ok()?;
            Some((way, way.lay(self.pid, &home, mask, &vectors)?))
        });
        let (rip, rsp) = match laid {
            Some((way, stack)) => (way.syscall, stack),
            None => (wanted.instruction, regs.rsp),
        };
        let [rdi, rsi, rdx, r10, r8, r9] = wanted.args;
        Registers {
            rax: wanted.number as u64,
            rdi,
            rsi,
            rdx,
            r10,
            r8,
            r9,
            rip,
            rsp,
            orig_rax: u64::MAX,
            ..*regs
        }
    }

    /// To the exit of the call.
    fn run(&mut self) -> Result<i64, TargetError> {
        let pid = self.pid;
        let gone = |_| TargetError::Exited(pid);
        let deadline = Deadline::after(LIMIT);
        let mut entered = false;
        loop {
            ptrace::resume_to_syscall(self.tid).map_err(gone)?;
            match self.wait(deadline)? {
                Event::Cloned => {
                    self.child = ptrace::event_message(self.tid).ok().map(|m| m as i32);
                }
                Event::Syscall if entered => break,
                Event::Syscall => entered = true,
                Event::Signal(libc::SIGSTOP) => self.again = Some(libc::SIGSTOP),
                Event::Signal(signal) => {
                    // All others are blocked: an instruction of ours has caused it, and would again.
                    return Err(TargetError::Tracer(format!(
                        "an injected system call ended in signal {signal}"
                    )));
                }
                Event::Stopped { .. } => {}
                Event::Execed => return Err(TargetError::Execed(self.pid)),
                Event::Ended => return Err(TargetError::Exited(self.pid)),
            }
        }
        let end = ptrace::registers(self.tid).map_err(gone)?;
        Ok(end.rax as i64)
    }

    /// Leads the thread from the exit of the call into a PTRACE_INTERRUPT stop.
    fn back_to_trap(&mut self) -> Result<(), TargetError> {
        let gone = |_| TargetError::Exited(self.pid);
        let deadline = Deadline::after(LIMIT);
        ptrace::interrupt(self.tid).map_err(gone)?;
        loop {
            ptrace::resume(self.tid).map_err(gone)?;
            match self.wait(deadline)? {
                Event::Stopped { .. } => return Ok(()),
                Event::Signal(signal) => {
                    self.signal = Some(signal);
                    return Ok(());
                }
                Event::Ended => return Err(TargetError::Exited(self.pid)),
                _ => {}
            }
        }
    }

    fn wait(&self, deadline: Deadline) -> Result<Event, TargetError> {
        loop {
            match ptrace::poll_event(self.tid) {
                Ok(Some((_, event))) => return Ok(event),
                Ok(None) if deadline.over() => {
                    return Err(TargetError::Deadline {
                        what: "an injected system call".into(),
                        limit: deadline.limit,
                    });
                }
                Ok(None) => wait_for_child(self.events, Duration::from_millis(1)),
                Err(_) => return Err(TargetError::Exited(self.pid)),
            }
        }
    }
}
