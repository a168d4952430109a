//! Sending a thread to the agent and back.
//!
//! One thread is stopped, given the registers with which the agent's code begins, and let run. When
//! the job is done it waits; it is stopped again, and its registers and signals are put back as they
//! were, so that the kernel restarts the call that it was found in. Should this process die
//! meanwhile, the thread goes back by itself (`memshed_agent::abi::Excursion`).

use super::agent::JOB;
use super::calls::{self, Call};
use super::freeze::{holds, read_maps, wait_for_moment};
use super::guard;
use super::home::{self, Grows, has_room};
use super::inject;
use super::late::Late;
use super::ptrace::{self, Event, Registers};
use super::serve::Tracer;
use super::sleepers::Sleeper;
use super::stop::{self, Held, Stop, wait_for_child};
use super::survey::{self, Survey};
use crate::error::TargetError;
use crate::memory::{Range, RemoteAddr};
use crate::os::{self, Deadline};
use crate::protocol::{Arrival, Journey, Placed, Traveler, Trip};
use memshed_agent::abi::Excursion;
use std::collections::HashSet;
use std::fs::File;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long the threads may take to stop.
const STOP_LIMIT: Duration = Duration::from_secs(2);
/// How long a thread waits to be put back before it goes by itself.
const PATIENCE: Duration = Duration::from_millis(250);
/// How often a thread is looked at that is under way.
const LOOK: Duration = Duration::from_micros(100);
/// How long a stop of the traveler may take.
const CATCH_LIMIT: Duration = Duration::from_secs(5);
/// Room that the agent must leave: the place of a return address below the red zone.
const BELOW: u64 = 136;
/// Room below the stack pointer of a thread that is sent: for the agent, and for functions of the
/// process.
const ROOM: u64 = 64 << 10;
const ROOM_FOR_CALLS: u64 = 256 << 10;
/// glibc has each thread change its user by this signal, and waits for all of them
/// (nptl/nptl-signals.h, SIGSETXID).
const SIGSETXID: i32 = 33;
/// Signals that are let through on the way: those that an instruction causes, which the kernel
/// forces, and the one that is waited for.
const LET_THROUGH: [i32; 7] = [
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    SIGSETXID,
];
/// A thread under seccomp is waited for so long, at least.
const LIMIT_UNDER_SECCOMP: Duration = Duration::from_secs(60);
/// Interrupts enabled, and nothing else set.
const PLAIN_FLAGS: u64 = 0x202;

/// Calls that no allocator makes, and that wait for something outside.
const WAITS: [i64; 18] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_poll,
    libc::SYS_ppoll,
    libc::SYS_select,
    libc::SYS_pselect6,
    libc::SYS_nanosleep,
    libc::SYS_clock_nanosleep,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_accept,
    libc::SYS_accept4,
    libc::SYS_wait4,
    libc::SYS_waitid,
    libc::SYS_pause,
];

/// Whether a thread in this call may be sent on a journey for which it has to be blocked. A
/// restarted call was one of `poll`, `nanosleep` and `futex`; which one is not known, but its
/// arguments are what they were.
fn may_leave(number: i64, args: [u64; 6], not_for: &[Range]) -> bool {
    match number {
        libc::SYS_futex | libc::SYS_restart_syscall => !not_for
            .iter()
            .any(|lock| lock.contains(RemoteAddr(args[0]))),
        number => WAITS.contains(&number),
    }
}

impl Trip {
    /// Nobody was even stopped.
    pub(super) const NONE: Trip = Trip {
        arrival: Arrival::BadMoment,
        tid: 0,
        stopped: Duration::ZERO,
    };
}

impl Traveler {
    fn allows(&self, tid: i32) -> bool {
        match self {
            Traveler::Anyone => true,
            Traveler::Blocked { threads, .. } => threads.is_empty() || threads.contains(&tid),
        }
    }

    fn allows_in(&self, call: Option<&Call>) -> bool {
        match self {
            Traveler::Anyone => true,
            Traveler::Blocked { not_for, .. } => {
                call.is_some_and(|call| may_leave(call.number, call.args, not_for))
            }
        }
    }

    /// Whether the thread with these registers may go.
    fn allows_with(&self, regs: &Registers) -> bool {
        let args = [regs.rdi, regs.rsi, regs.rdx, regs.r10, regs.r8, regs.r9];
        let call = Call {
            number: regs.orig_rax as i64,
            args,
        };
        let waiting = calls::will_restart(regs) || calls::was_interrupted(regs);
        matches!(self, Traveler::Anyone) || waiting && self.allows_in(Some(&call))
    }
}

impl Tracer {
    /// Sends a thread to the job that lies in the agent's memory.
    pub(super) fn travel(&mut self, journey: &Journey) -> Result<Trip, TargetError> {
        let placed = self.agent()?.placed;
        let seccomp = guard::Facts::of(self.pid).seccomp;
        if seccomp && matches!(journey.who, Traveler::Blocked { .. }) {
            // It may be away for long, and then goes on without us: its calls might be forbidden.
            return Ok(Trip::NONE);
        }
        wait_for_moment(self.pid, &journey.tests);
        if !holds(self.pid, &journey.tests) {
            return Ok(Trip::NONE);
        }
        let mut survey = survey::survey(self.pid, &mut self.clock, &HashSet::new())?;
        let mut order = candidates(self.pid, &journey.who, &survey)?;
        // Last of all, one that had better be left asleep.
        let sleeper = survey.choose(&mut self.clock, |sleeper| {
            journey.who.allows(sleeper.tid) && journey.who.allows_in(sleeper.call.as_ref())
        });
        order.extend(sleeper);
        let maps = read_maps(self.pid)?;
        let room = match journey.who {
            Traveler::Anyone => ROOM,
            Traveler::Blocked { .. } => ROOM_FOR_CALLS,
        };
        let (pid, events) = (self.pid, &self.events);
        let mut stop = Stop::new(pid, survey, &mut self.late, events, STOP_LIMIT);
        let able = stop.stop_first_of(&order, |held| {
            let regs = held.regs.as_ref();
            regs.is_some_and(|regs| {
                journey.who.allows_with(regs) && has_room(pid, &maps, regs, room, Grows::Yes)
            }) && inject::can_be_led(pid, held)
        })?;
        let (arrival, tid) = match able {
            None => (Arrival::Nobody, 0),
            Some(_) if !holds(pid, &journey.tests) => (Arrival::BadMoment, 0),
            Some(at) => {
                let Stop { held, late, .. } = &mut stop;
                let held = &mut held[at];
                let tid = held.tid;
                let mut way = Way {
                    pid,
                    tid,
                    events,
                    late,
                    disturbed: false,
                };
                (way.go(held, placed, journey, seccomp)?, tid)
            }
        };
        let stopped = stop.let_go();
        drop(stop);
        if let (Some(agent), Arrival::Overdue) = (&mut self.agent, arrival) {
            // The thread will come back to the code from wherever its job has led it.
            agent.queued = Some(0);
        }
        Ok(Trip {
            arrival,
            tid,
            stopped,
        })
    }
}

/// The threads that may go, the best first: those that sleep in calls that restart by themselves,
/// then those that run; last those that would be missed.
fn candidates(pid: i32, who: &Traveler, survey: &Survey) -> Result<Vec<i32>, TargetError> {
    let mut found = Vec::new();
    for tid in stop::threads(pid)? {
        if !who.allows(tid) || survey.leaves_asleep(tid) {
            continue;
        }
        let sleeper = Sleeper::find(pid, tid);
        let call = sleeper.as_ref().and_then(|s| s.call.as_ref());
        if who.allows_in(call) {
            let missed = survey::will_be_missed(pid, tid);
            found.push((sleeper.is_none(), missed, tid));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().map(|(_, _, tid)| tid).collect())
}

/// A thread on its way.
struct Way<'a> {
    pid: i32,
    tid: i32,
    events: &'a File,
    /// Threads that stop only now, and have to be let go.
    late: &'a mut Late,
    /// Whether anything has stopped it on the way.
    disturbed: bool,
}

impl Way<'_> {
    fn go(
        &mut self,
        held: &mut Held,
        placed: Placed,
        journey: &Journey,
        seccomp: bool,
    ) -> Result<Arrival, TargetError> {
        let Some(regs) = held.regs else {
            return Ok(Arrival::Nobody);
        };
        let pid = self.pid;
        let gone = |_| TargetError::Exited(pid);
        let mask = ptrace::signal_mask(self.tid).map_err(gone)?;
        let vectors = ptrace::vector_registers(self.tid)
            .map_err(|e| TargetError::io("reading a thread's vector registers", &e))?;
        let excursion = Excursion {
            signals: mask,
            ..self.excursion(&regs, held, placed)?
        };
        os::write_words(self.pid, placed.data.start, &excursion.words())
            .map_err(|_| TargetError::Exited(self.pid))?;
        if seccomp {
            let options = ptrace::WATCH_EXEC | ptrace::SUSPEND_SECCOMP;
            ptrace::set_options(self.tid, options)
                .map_err(|e| TargetError::io("PTRACE_SETOPTIONS", &e))?;
        }
        let start = Registers {
            rip: placed.image.start + journey.entry,
            rdi: placed.data.start,
            rsp: (regs.rsp - BELOW) & !63,
            rax: 0,
            orig_rax: u64::MAX,
            eflags: PLAIN_FLAGS,
            ..regs
        };
        // From here on the thread finds its way back without us, too.
        ptrace::set_registers(self.tid, &start).map_err(gone)?;
        let through = LET_THROUGH.iter().fold(0, |set, s| set | 1 << (s - 1));
        ptrace::set_signal_mask(self.tid, !through | mask).map_err(gone)?;
        // Until it has been stopped again it is neither held nor known: should anything fail here, it
        // is let go as soon as it stops.
        (held.event, held.regs) = (None, None);
        ptrace::resume(self.tid).map_err(gone)?;
        let limit = match seccomp {
            // It must not go on without us.
            true => journey.limit.max(LIMIT_UNDER_SECCOMP),
            false => journey.limit,
        };
        let arrived = self.wait_for_arrival(placed, limit)?;
        let there = self.catch()?;
        held.event = Some(Event::Stopped { group: false });
        let now = self.read_excursion(placed)?;
        let left = now.left.load(Ordering::Acquire) != 0;
        if !arrived || left || !there {
            // It is under way by itself, and is let go as it is now.
            held.regs = ptrace::registers(self.tid).ok();
            return Ok(match arrived {
                true => Arrival::Done,
                false => Arrival::Overdue,
            });
        }
        ptrace::set_vector_registers(self.tid, &vectors).map_err(gone)?;
        let regs = self.undisturbed(regs);
        ptrace::set_registers(self.tid, &regs).map_err(gone)?;
        ptrace::set_signal_mask(self.tid, mask).map_err(gone)?;
        held.regs = Some(regs);
        if seccomp {
            ptrace::set_options(self.tid, ptrace::WATCH_EXEC).map_err(gone)?;
        }
        Ok(Arrival::Done)
    }

    /// The registers to go on with. What the kernel keeps to restart a call with a timeout may be
    /// that of another call, if something has stopped the thread within its job: then its own call
    /// ends as by a signal.
    fn undisturbed(&self, regs: Registers) -> Registers {
        match self.disturbed && calls::restarts_by_block(&regs) {
            true => Registers {
                rax: calls::EINTR as u64,
                ..regs
            },
            false => regs,
        }
    }

    /// What the thread needs to go back by itself.
    fn excursion(
        &self,
        regs: &Registers,
        held: &Held,
        placed: Placed,
    ) -> Result<Excursion, TargetError> {
        let home = home::registers(self.pid, regs, held.slept());
        let xsave_size = os::xsave_size().ok_or_else(|| {
            TargetError::Refused("the processor cannot save its registers (XSAVE)".into())
        })?;
        let was_in_call = calls::will_restart(regs) || calls::was_interrupted(regs);
        let h = &home;
        Ok(Excursion {
            job: placed.data.start + JOB,
            patience_ns: PATIENCE.as_nanos() as u64,
            xsave_size,
            registers: [
                h.r15, h.r14, h.r13, h.r12, h.rbp, h.rbx, h.r11, h.r10, h.r9, h.r8, h.rax, h.rcx,
                h.rdx, h.rsi, h.rdi,
            ],
            flags: h.eflags,
            stack: h.rsp,
            instruction: h.rip,
            interrupted: if was_in_call { regs.rip } else { 0 },
            ..Excursion::default()
        })
    }

    fn read_excursion(&self, placed: Placed) -> Result<Excursion, TargetError> {
        let count = size_of::<Excursion>() / 8;
        let words = os::read_words(self.pid, placed.data.start, count)
            .map_err(|_| TargetError::Exited(self.pid))?;
        Excursion::read(&words).ok_or(TargetError::Exited(self.pid))
    }

    /// Waits until the job is done. Whether it is.
    fn wait_for_arrival(&mut self, placed: Placed, limit: Duration) -> Result<bool, TargetError> {
        let deadline = Deadline::after(limit);
        loop {
            if self.read_excursion(placed)?.arrived.load(Ordering::Acquire) != 0 {
                return Ok(true);
            }
            match ptrace::poll_event(self.tid) {
                Ok(None) => {}
                Ok(Some((_, event))) => self.carry_on(event)?,
                Err(_) => return Err(TargetError::Exited(self.pid)),
            }
            if deadline.over() {
                return Ok(false);
            }
            self.late.let_go(self.pid);
            wait_for_child(self.events, LOOK);
        }
    }

    /// Lets the thread run on after something has stopped it.
    fn carry_on(&mut self, event: Event) -> Result<(), TargetError> {
        let signal = match event {
            Event::Ended => return Err(TargetError::Exited(self.pid)),
            Event::Execed => return Err(TargetError::Execed(self.pid)),
            // One that is not blocked must come through: an instruction has caused it, somebody
            // waits for it, or it stops the whole process, and this thread when it is let go.
            Event::Signal(signal) => signal,
            Event::Stopped { .. } | Event::Syscall | Event::Cloned => 0,
        };
        self.disturbed = true;
        ptrace::resume_with(self.tid, signal).map_err(|_| TargetError::Exited(self.pid))
    }

    /// Stops the thread where it waits. Whether it did stop.
    fn catch(&mut self) -> Result<bool, TargetError> {
        let pid = self.pid;
        let gone = |_| TargetError::Exited(pid);
        ptrace::interrupt(self.tid).map_err(gone)?;
        let deadline = Deadline::after(CATCH_LIMIT);
        loop {
            match ptrace::poll_event(self.tid).map_err(gone)? {
                Some((_, Event::Stopped { .. })) => return Ok(true),
                Some((_, event)) => self.carry_on(event)?,
                None if deadline.over() => {
                    return Err(TargetError::Deadline {
                        what: format!("stopping thread {} again", self.tid),
                        limit: deadline.limit,
                    });
                }
                None => wait_for_child(self.events, Duration::from_millis(1)),
            }
        }
    }
}
