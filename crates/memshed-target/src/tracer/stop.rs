//! Stopping every thread of the target, and letting all of them go again whatever happens.

use super::calls;
use super::ptrace::{self, Event, Registers};
use super::sleepers::{self, SchedulerClock, Sleeper};
use crate::error::TargetError;
use crate::os::{self, Deadline};
use std::collections::HashSet;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// After this, a thread that does not stop is looked at: in uninterruptible sleep it is skipped.
const PATIENCE: Duration = Duration::from_millis(20);

/// Threads we are attached to that had not stopped when the others were let go. They run no code
/// of the target before they stop, and are let go as soon as they do.
#[derive(Default)]
pub(super) struct Late(Vec<i32>);

impl Late {
    /// Lets go of those that have stopped by now.
    pub(super) fn let_go(&mut self, pid: i32) {
        self.0.retain(|&tid| match ptrace::poll_event(tid) {
            Ok(None) => true,
            Ok(Some((_, event))) => {
                release(pid, tid, event);
                false
            }
            Err(_) => false,
        });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Detaches a thread that stopped with `event`, repairing what the stop has interrupted.
fn release(pid: i32, tid: i32, event: Event) {
    let signal = if let Event::Signal(signal) = event {
        signal
    } else {
        0
    };
    if matches!(event, Event::Stopped { .. }) {
        if let Ok(regs) = ptrace::registers(tid) {
            repair(pid, tid, &regs, None);
        }
    }
    if event != Event::Ended {
        // Fails only if the thread has been killed meanwhile.
        let _ = ptrace::detach(tid, signal);
    }
}

/// Rewrites the registers of a thread whose call was interrupted by the stop and would not be
/// restarted by the kernel. Whether the call's timeout was prolonged.
fn repair(pid: i32, tid: i32, regs: &Registers, slept: Option<Duration>) -> bool {
    if !calls::was_interrupted(regs) || has_pending_signal(pid, tid) {
        return false;
    }
    let Some(restart) = calls::restart(pid, regs, slept) else {
        return false;
    };
    // Fails only if the thread has been killed meanwhile.
    let _ = ptrace::set_registers(tid, &restart.regs);
    restart.prolonged
}

/// Whether a signal is about to be delivered to the thread: then EINTR is meant for it.
fn has_pending_signal(pid: i32, tid: i32) -> bool {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/task/{tid}/status")) else {
        return false;
    };
    let set = |name: &str| {
        let line = status.lines().find_map(|l| l.strip_prefix(name));
        line.and_then(|l| u64::from_str_radix(l.trim(), 16).ok())
            .unwrap_or(0)
    };
    (set("SigPnd:") | set("ShdPnd:")) & !set("SigBlk:") != 0
}

/// A thread that we are attached to.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) tid: i32,
    /// What it stopped with; `None` while it has not.
    pub(super) event: Option<Event>,
    pub(super) regs: Option<Registers>,
    /// Since when it had been asleep, if it was.
    asleep_since: Option<Instant>,
    interrupted_at: Instant,
}

/// A stop of the target's threads. Dropping it lets go of all of them.
pub(super) struct Stop<'a> {
    pub(super) pid: i32,
    pub(super) held: Vec<Held>,
    pub(super) asleep: Vec<Sleeper>,
    late: &'a mut Late,
    events: &'a File,
    deadline: Deadline,
    first: Option<Instant>,
    pub(super) skipped: u32,
    pub(super) prolonged: u32,
}

/// What was found out about the threads just before a stop.
pub(super) struct Survey(Vec<Sleeper>);

/// Looks which threads had better be left asleep; not those in `restless`, which are known to
/// wake all the time.
pub(super) fn survey(
    pid: i32,
    clock: &mut SchedulerClock,
    restless: &HashSet<i32>,
) -> Result<Survey, TargetError> {
    let find = |tid: &i32| Sleeper::find(pid, *tid, clock);
    let sleepers = threads(pid)?.iter().filter_map(find).collect::<Vec<_>>();
    let leave = |s: &Sleeper| s.uninterruptible || (s.leave() && !restless.contains(&s.tid));
    Ok(Survey(sleepers.into_iter().filter(leave).collect()))
}

/// The thread ids of a process.
pub(super) fn threads(pid: i32) -> Result<Vec<i32>, TargetError> {
    let dir = fs::read_dir(format!("/proc/{pid}/task")).map_err(|_| TargetError::Exited(pid))?;
    let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
    Ok(dir.filter_map(number).collect())
}

impl<'a> Stop<'a> {
    /// A stop that stops nothing yet.
    pub(super) fn new(
        pid: i32,
        survey: Survey,
        late: &'a mut Late,
        events: &'a File,
        limit: Duration,
    ) -> Stop<'a> {
        Stop {
            pid,
            held: Vec::new(),
            asleep: survey.0,
            late,
            events,
            deadline: Deadline::after(limit),
            first: None,
            skipped: 0,
            prolonged: 0,
        }
    }

    /// The descriptor that tells of stops.
    pub(super) fn events(&self) -> &'a File {
        self.events
    }

    /// Stops all threads but those left asleep, until no new one turns up.
    pub(super) fn stop_all(&mut self) -> Result<(), TargetError> {
        let mut refused = 0;
        loop {
            let mut found = false;
            for tid in threads(self.pid)? {
                if self.knows(tid) {
                    continue;
                }
                match self.attach(tid, None) {
                    Ok(()) => found = true,
                    Err(e) => refused = self.note_refusal(tid, refused, &e)?,
                }
            }
            found |= self.wake_the_awake()?;
            self.wait_for_stops()?;
            if !found && refused == 0 {
                return Ok(());
            }
            refused = refused.saturating_sub(1);
        }
    }

    /// An exiting thread refuses with EPERM or ESRCH for a moment; for any other thread this is
    /// the kernel's last word.
    fn note_refusal(&self, tid: i32, refused: u32, error: &io::Error) -> Result<u32, TargetError> {
        match sleepers::state(self.pid, tid) {
            None | Some('Z' | 'X') => return Ok(refused),
            Some(_) if refused < 100 => {}
            Some(_) => {
                return Err(TargetError::Denied {
                    pid: self.pid,
                    reasons: vec![format!("ptrace of its thread {tid} failed: {error}")],
                    hint: Some("memshed doctor PID says more".into()),
                });
            }
        }
        std::thread::sleep(Duration::from_micros(50));
        Ok(refused + 2)
    }

    fn knows(&self, tid: i32) -> bool {
        self.held.iter().any(|h| h.tid == tid)
            || self.asleep.iter().any(|s| s.tid == tid)
            || self.late.0.contains(&tid)
    }

    fn attach(&mut self, tid: i32, asleep_since: Option<Instant>) -> io::Result<()> {
        let now = Instant::now();
        ptrace::seize(tid, ptrace::WATCH_EXEC)?;
        self.first.get_or_insert(now);
        self.held.push(Held {
            tid,
            event: None,
            regs: None,
            asleep_since,
            interrupted_at: now,
        });
        ptrace::interrupt(tid)
    }

    /// Stops those that were left asleep and have woken up since. Whether there were any.
    pub(super) fn wake_the_awake(&mut self) -> Result<bool, TargetError> {
        let (asleep, awake): (Vec<_>, Vec<_>) = std::mem::take(&mut self.asleep)
            .into_iter()
            .partition(Sleeper::still_asleep);
        self.asleep = asleep;
        let mut any = false;
        for sleeper in awake {
            // Refused if it is on its way out.
            any |= self.attach(sleeper.tid, None).is_ok();
        }
        Ok(any)
    }

    /// Stops the thread among those asleep whose call suffers least from it.
    pub(super) fn wake_one(&mut self) -> Result<(), TargetError> {
        let candidates = self
            .asleep
            .iter()
            .enumerate()
            .filter(|(_, s)| !s.uninterruptible);
        let best = candidates
            .min_by_key(|(_, s)| (s.call.map_or(9, |c| c.reluctance()), s.since.is_none()))
            .map(|(i, _)| i);
        let Some(best) = best else {
            return Err(TargetError::Deadline {
                what: "waiting for a thread that is not in uninterruptible sleep".into(),
                limit: self.deadline.limit,
            });
        };
        let sleeper = self.asleep.swap_remove(best);
        let since = sleeper.since;
        self.attach(sleeper.tid, since)
            .map_err(|e| TargetError::io("ptrace", &e))?;
        self.wait_for_stops()
    }

    /// Stops one thread only, one for which that is harmless if there is any.
    pub(super) fn stop_one(&mut self) -> Result<(), TargetError> {
        for tid in threads(self.pid)? {
            if self.asleep.iter().any(|s| s.tid == tid) || self.late.0.contains(&tid) {
                continue;
            }
            if self.attach(tid, None).is_ok() {
                self.wait_for_stops()?;
                if self.held.iter().any(|h| h.regs.is_some()) {
                    return Ok(());
                }
            }
        }
        self.wake_one()
    }

    /// Waits until all threads we are attached to have stopped or are known not to.
    fn wait_for_stops(&mut self) -> Result<(), TargetError> {
        let began = Instant::now();
        loop {
            while let Ok(Some((tid, event))) = ptrace::poll_event(-1) {
                self.note(tid, event)?;
            }
            if self.held.iter().all(|h| h.event.is_some()) {
                return Ok(());
            }
            if began.elapsed() > PATIENCE {
                self.skip_the_unstoppable();
            }
            if self.deadline.over() {
                return Err(TargetError::Deadline {
                    what: format!("stopping the threads of process {}", self.pid),
                    limit: self.deadline.limit,
                });
            }
            wait_for_child(self.events, Duration::from_millis(1));
        }
    }

    fn note(&mut self, tid: i32, event: Event) -> Result<(), TargetError> {
        let pid = self.pid;
        if let Some(at) = self.late.0.iter().position(|&t| t == tid) {
            self.late.0.swap_remove(at);
            release(pid, tid, event);
            return Ok(());
        }
        let Some(held) = self.held.iter_mut().find(|h| h.tid == tid) else {
            return Ok(());
        };
        match event {
            Event::Ended => {
                self.held.retain(|h| h.tid != tid);
                return if tid == pid && threads(pid).map_or(0, |t| t.len()) < 1 {
                    Err(TargetError::Exited(pid))
                } else {
                    Ok(())
                };
            }
            Event::Execed => {
                held.event = Some(event);
                return Err(TargetError::Execed(pid));
            }
            // A clone, fork or system call stop is nothing we asked for here.
            Event::Cloned | Event::Syscall => {
                let _ = ptrace::resume(tid);
                return Ok(());
            }
            Event::Stopped { .. } | Event::Signal(_) => {}
        }
        held.event = Some(event);
        held.regs = ptrace::registers(tid).ok();
        if held.regs.is_some_and(|r| !calls::is_64_bit(&r)) {
            return Err(TargetError::Architecture(pid));
        }
        Ok(())
    }

    /// Gives up waiting for threads in uninterruptible sleep, and for those that have ended.
    fn skip_the_unstoppable(&mut self) {
        let (pid, late) = (self.pid, &mut *self.late);
        let mut skipped = 0;
        self.held.retain(|h| {
            if h.event.is_some() {
                return true;
            }
            match sleepers::state(pid, h.tid) {
                Some('D') => {
                    late.0.push(h.tid);
                    skipped += 1;
                    false
                }
                None | Some('Z' | 'X') => false,
                Some(_) => true,
            }
        });
        self.skipped += skipped;
    }

    /// How many of those left asleep have run since the survey.
    pub(super) fn ran_meanwhile(&self) -> Vec<i32> {
        self.asleep
            .iter()
            .filter(|s| !s.still_asleep())
            .map(|s| s.tid)
            .collect()
    }

    /// Detaches everything. How long the stop has lasted.
    pub(super) fn let_go(&mut self) -> Duration {
        for held in self.held.drain(..) {
            let Some(event) = held.event else {
                self.late.0.push(held.tid);
                continue;
            };
            if let (Event::Stopped { .. }, Some(regs)) = (event, &held.regs) {
                let slept = held.asleep_since;
                let slept = slept.map(|s| held.interrupted_at.saturating_duration_since(s));
                self.prolonged += u32::from(repair(self.pid, held.tid, regs, slept));
            }
            let signal = if let Event::Signal(signal) = event {
                signal
            } else {
                0
            };
            // Fails only if the thread has been killed meanwhile.
            let _ = ptrace::detach(held.tid, signal);
        }
        self.first
            .take()
            .map_or(Duration::ZERO, |first| first.elapsed())
    }
}

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.let_go();
    }
}

/// Waits until something may have happened to a tracee, at most for `limit`.
pub(super) fn wait_for_child(events: &File, limit: Duration) {
    if os::wait_readable(&[events.as_raw_fd()], Some(limit)).is_ok_and(|r| r[0]) {
        drain(events);
    }
}

/// Empties the signal descriptor.
pub(super) fn drain(events: &File) {
    let mut buf = [0; 128];
    let mut events = events;
    while events.read(&mut buf).is_ok_and(|n| n > 0) {}
}
