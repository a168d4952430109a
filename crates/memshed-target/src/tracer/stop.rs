//! Stopping every thread of the target, and letting all of them go again whatever happens.

use super::calls;
use super::home::Home;
use super::inject;
use super::late::Late;
use super::ptrace::{self, Event, Registers};
use super::sleepers::{self, Sleeper};
use super::survey::{self, Survey};
use super::watch::Watch;
use crate::error::TargetError;
use crate::os::{self, Deadline, Urgent};
use crate::status::field;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

/// After this, a thread that does not stop is looked at: in uninterruptible sleep it is skipped.
const PATIENCE: Duration = Duration::from_millis(20);
/// How often and how long a thread between two pieces of a transfer is waited for.
const NAPS: u32 = 20;
pub(super) const NAP: Duration = Duration::from_micros(50);

/// Detaches a thread that stopped with `event`, repairing what the stop has interrupted. Whether
/// that is done with; not for one that is just being killed.
pub(super) fn release(pid: i32, tid: i32, event: Event) -> bool {
    let regs = ptrace::registers(tid).ok();
    release_with(pid, tid, event, regs.as_ref(), None).done
}

/// How a thread was let go.
struct Released {
    /// Whether it was; not if it is just being killed.
    done: bool,
    /// Whether the timeout of its call was prolonged.
    prolonged: bool,
}

/// Lets a thread go on, still attached, if all that has stopped it is a signal that it ignores.
pub(super) fn carry_on(pid: i32, tid: i32, event: Event) -> bool {
    let Event::Signal(signal) = event else {
        return false;
    };
    let signals = Signals::of(pid, tid);
    if !signals.ignores(signal) || signals.pending() {
        return false;
    }
    if let Some(regs) = ptrace::registers(tid).ok().filter(calls::was_interrupted) {
        repair(pid, tid, &regs, None);
    }
    ptrace::resume(tid).is_ok()
}

/// The same with the thread's registers, and how long it had been asleep, if known.
fn release_with(
    pid: i32,
    tid: i32,
    event: Event,
    regs: Option<&Registers>,
    slept: Option<Duration>,
) -> Released {
    let mut prolonged = false;
    let mut signal = if let Event::Signal(signal) = event {
        signal
    } else {
        0
    };
    let interrupted = regs.filter(|r| calls::was_interrupted(r));
    if interrupted.is_some() || signal != 0 {
        let signals = Signals::of(pid, tid);
        if signals.ignores(signal) {
            signal = 0;
        }
        if let (0, false, Some(regs)) = (signal, signals.pending(), interrupted) {
            prolonged = repair(pid, tid, regs, slept);
        }
    }
    let done = ptrace::detach(tid, signal).is_ok() || event == Event::Ended;
    Released { done, prolonged }
}

/// Rewrites the registers of a thread whose call was interrupted by the stop and would not be
/// restarted by the kernel. Whether the call's timeout was prolonged.
fn repair(pid: i32, tid: i32, regs: &Registers, slept: Option<Duration>) -> bool {
    let Some(restart) = calls::restart(pid, regs, slept) else {
        return false;
    };
    // Fails only if the thread has ended meanwhile.
    let _ = ptrace::set_registers(tid, &restart.regs);
    restart.prolonged
}

/// Sets of signals of a thread, a bit each (proc_pid_status(5)).
struct Signals {
    pending: u64,
    blocked: u64,
    ignored: u64,
}

impl Signals {
    fn of(pid: i32, tid: i32) -> Signals {
        let path = format!("/proc/{pid}/task/{tid}/status");
        let status = fs::read_to_string(path).unwrap_or_default();
        let set = |name| u64::from_str_radix(field(&status, name), 16).unwrap_or(0);
        let by_default = [libc::SIGCHLD, libc::SIGURG, libc::SIGWINCH, libc::SIGCONT];
        let by_default = by_default.iter().fold(0, |set, s| set | 1 << (s - 1));
        Signals {
            pending: set("SigPnd:") | set("ShdPnd:"),
            blocked: set("SigBlk:"),
            ignored: set("SigIgn:") | by_default & !set("SigCgt:"),
        }
    }

    /// Whether a signal is about to be delivered: then an EINTR is meant for it. Ignored signals
    /// may be pending too while the thread is traced.
    fn pending(&self) -> bool {
        self.pending & !self.blocked & !self.ignored != 0
    }

    fn ignores(&self, signal: i32) -> bool {
        (1..=64).contains(&signal) && self.ignored >> (signal - 1) & 1 == 1
    }
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

impl Held {
    /// How long it had been asleep when it was interrupted, if it was and that is known.
    pub(super) fn slept(&self) -> Option<Duration> {
        let since = self.asleep_since?;
        Some(self.interrupted_at.saturating_duration_since(since))
    }
}

/// A stop of the target's threads. Dropping it lets go of all of them.
pub(super) struct Stop<'a> {
    pub(super) pid: i32,
    pub(super) held: Vec<Held>,
    pub(super) asleep: Vec<Sleeper>,
    chosen: Option<Sleeper>,
    watch: Option<Watch>,
    pub(super) late: &'a mut Late,
    events: &'a File,
    deadline: Deadline,
    /// On a busy machine the target would have to wait for us to get a processor.
    urgent: Option<Urgent>,
    first: Option<Instant>,
    /// How many that were thought asleep were stopped by the watch.
    pub(super) woken: u32,
    pub(super) skipped: u32,
    pub(super) prolonged: u32,
    /// The child that an injected call has made, as we number processes, even if the call failed
    /// afterwards.
    pub(super) child: Option<i32>,
}

/// A thread that ran although it was thought asleep.
pub(super) struct Ran {
    pub(super) tid: i32,
    /// Whether it may have changed memory: it is not just half-way through a transfer.
    pub(super) matters: bool,
    /// Whether it may be stopped the next time.
    pub(super) may_be_woken: bool,
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
            asleep: survey.asleep,
            chosen: survey.chosen,
            watch: None,
            late,
            events,
            deadline: Deadline::after(limit),
            urgent: Some(Urgent::begin()),
            first: None,
            woken: 0,
            skipped: 0,
            prolonged: 0,
            child: None,
        }
    }

    /// Does something that may take long as urgently as everybody else.
    pub(super) fn without_hurry<T>(&mut self, work: impl FnOnce() -> T) -> T {
        self.urgent = None;
        let done = work();
        self.urgent = Some(Urgent::begin());
        done
    }

    /// The descriptor that tells of stops.
    pub(super) fn events(&self) -> &'a File {
        self.events
    }

    /// Stops all threads but those left asleep, until no new one turns up.
    pub(super) fn stop_all(&mut self) -> Result<(), TargetError> {
        self.watch_over_sleepers();
        let mut refused = 0;
        loop {
            let mut found = false;
            for tid in threads(self.pid)? {
                if self.knows(tid) {
                    continue;
                }
                match self.attach(tid) {
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
            || self.late.has(tid)
            || self.watch.as_ref().is_some_and(|w| w.has(tid))
    }

    fn watch_over_sleepers(&mut self) {
        let wakeable = self
            .asleep
            .iter()
            .filter(|s| s.needs_watching())
            .map(|s| s.tid);
        let wakeable: Vec<i32> = wakeable.collect();
        if !wakeable.is_empty() {
            self.watch = Some(Watch::start(self.pid, wakeable));
        }
    }

    fn attach(&mut self, tid: i32) -> io::Result<()> {
        let now = Instant::now();
        let chosen = self
            .chosen
            .as_ref()
            .filter(|c| c.tid == tid && c.still_asleep());
        let asleep_since = chosen.and_then(|c| c.since);
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
    fn wake_the_awake(&mut self) -> Result<bool, TargetError> {
        let mut awake = Vec::new();
        for sleeper in std::mem::take(&mut self.asleep) {
            match self.asleep_again(sleeper) {
                Ok(sleeper) => self.asleep.push(sleeper),
                Err(tid) => awake.push(tid),
            }
        }
        let any = !awake.is_empty();
        let watched = |tid| self.watch.as_ref().is_some_and(|w| w.has(tid));
        let (watched, others): (Vec<i32>, Vec<i32>) =
            awake.into_iter().partition(|&tid| watched(tid));
        for tid in others {
            // Refused if it is on its way out.
            let _ = self.attach(tid);
        }
        self.woken += watched.len() as u32;
        if let Some(watch) = self.watch.as_ref().filter(|_| !watched.is_empty())
            && !watch.stop(watched, self.deadline)
        {
            return Err(self.too_slow());
        }
        Ok(any)
    }

    /// The sleeper if it sleeps, still or again, in a call that is best left alone; else its
    /// number. One that is half-way through a transfer wakes up for every piece.
    fn asleep_again(&self, sleeper: Sleeper) -> Result<Sleeper, i32> {
        if sleeper.still_asleep() {
            return Ok(sleeper);
        }
        for _ in 0..NAPS {
            match Sleeper::find(self.pid, sleeper.tid).filter(Sleeper::leave) {
                Some(again) => return Ok(again),
                None if sleeper.may_be_woken() => break,
                None => std::thread::sleep(NAP),
            }
        }
        Err(sleeper.tid)
    }

    /// Stops one thread only, one that can make a system call and that nobody will miss if possible:
    /// not the first thread nor one with children, who are sent signals that the others would get
    /// instead. Which of those held it is.
    pub(super) fn stop_one(&mut self) -> Result<Option<usize>, TargetError> {
        let pid = self.pid;
        let mut tids = threads(pid)?;
        tids.sort_by_cached_key(|&tid| survey::will_be_missed(pid, tid));
        self.stop_first_of(&tids, |held| inject::can_be_led(pid, held))
    }

    /// Stops the first of `tids` that can be stopped, is not one to be left asleep, and fits as it
    /// is then; those that do not are let go again. Which of those held it is.
    pub(super) fn stop_first_of(
        &mut self,
        tids: &[i32],
        fits: impl Fn(&Held) -> bool,
    ) -> Result<Option<usize>, TargetError> {
        for &tid in tids {
            if self.knows(tid) || self.attach(tid).is_err() {
                continue;
            }
            self.wait_for_stops()?;
            let Some(at) = self.held.iter().position(|held| held.tid == tid) else {
                continue;
            };
            if self.held[at].regs.is_some() && fits(&self.held[at]) {
                return Ok(Some(at));
            }
            let held = self.held.swap_remove(at);
            self.let_go_of(&held);
        }
        Ok(None)
    }

    /// Leaves a thread that takes too long over an injected call to be led back when it stops.
    pub(super) fn lead_back_late(&mut self, at: usize, home: Home) {
        let held = self.held.swap_remove(at);
        // It may not even have begun.
        drop(ptrace::interrupt(held.tid));
        self.late.add(held.tid, Some(home));
    }

    fn let_go_of(&mut self, held: &Held) {
        let Some(event) = held.event else {
            self.late.add(held.tid, None);
            return;
        };
        let (regs, slept) = (held.regs.as_ref(), held.slept());
        let released = release_with(self.pid, held.tid, event, regs, slept);
        self.prolonged += u32::from(released.prolonged);
        let ended = matches!(sleepers::state(self.pid, held.tid), Some('Z' | 'X'));
        if !released.done || ended {
            // Killed while it was held: nobody else can be told of its end before us.
            self.late.add(held.tid, None);
        }
    }

    fn too_slow(&self) -> TargetError {
        TargetError::Deadline {
            what: format!("stopping the threads of process {}", self.pid),
            limit: self.deadline.limit,
        }
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
                return Err(self.too_slow());
            }
            wait_for_child(self.events, Duration::from_millis(1));
        }
    }

    fn note(&mut self, tid: i32, event: Event) -> Result<(), TargetError> {
        let pid = self.pid;
        if self.late.note(pid, tid, event) {
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
                    late.add(h.tid, None);
                    skipped += 1;
                    false
                }
                None | Some('Z' | 'X') => false,
                Some(_) => true,
            }
        });
        self.skipped += skipped;
    }

    /// Which of those left asleep have run since they were last looked at.
    pub(super) fn ran_meanwhile(&self) -> Vec<Ran> {
        let ran = self.asleep.iter().filter(|s| !s.still_asleep());
        ran.map(|s| {
            let may_be_woken = s.may_be_woken();
            let same = Sleeper::find(self.pid, s.tid).is_some_and(|now| now.call == s.call);
            Ran {
                tid: s.tid,
                matters: may_be_woken || !same,
                may_be_woken,
            }
        })
        .collect()
    }

    /// Stops those that a signal has woken for nothing, so that their calls are restarted too.
    fn catch_the_woken(&self) {
        const LIMIT: Duration = Duration::from_millis(20);
        let Some(watch) = &self.watch else { return };
        let woken = self
            .asleep
            .iter()
            .filter(|s| s.may_be_woken() && !s.still_asleep());
        let woken: Vec<i32> = woken.map(|s| s.tid).filter(|&tid| watch.has(tid)).collect();
        if !woken.is_empty() {
            // Those that do not stop in time are let go as they are.
            watch.stop(woken, Deadline::after(LIMIT));
        }
    }

    /// Detaches everything. How long the stop has lasted.
    pub(super) fn let_go(&mut self) -> Duration {
        self.catch_the_woken();
        for held in std::mem::take(&mut self.held) {
            self.let_go_of(&held);
        }
        let mut watch = self.watch.take();
        watch.iter_mut().for_each(Watch::end);
        let lasted = self
            .first
            .take()
            .map_or(Duration::ZERO, |first| first.elapsed());
        watch.iter().for_each(|w| w.wait_for_parting(self.pid));
        self.urgent = None;
        lasted
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
