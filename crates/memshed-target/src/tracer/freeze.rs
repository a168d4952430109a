//! The two ways of holding a target still: fork a copy of it, or stop it while it is copied.

use super::calls::SYSCALL;
use super::copier::{self, Source};
use super::guard;
use super::home::WayHome;
use super::inject::Wanted;
use super::ptrace::{self, Event};
use super::serve::Tracer;
use super::stop::{Ran, Stop, wait_for_child};
use super::survey;
use crate::error::TargetError;
use crate::maps::{self, Mapping};
use crate::os::{self, Deadline};
use crate::placement::{self, AreaId};
use crate::protocol::{FreezeRequest, Outcome, WordTest};
use crate::status::field;
use crate::still::Still;
use std::collections::HashSet;
use std::fs;
use std::sync::Arc;
use std::time::Duration;

/// Processors to copy on while the target stands still: it needs none.
const ALL_PROCESSORS: usize = usize::MAX;
/// How long to wait for a good moment before each attempt.
const WAIT_FOR_MOMENT: Duration = Duration::from_millis(50);
/// How long the kernel may take to kill the copy: it frees the copy's page tables.
const KILL_LIMIT: Duration = Duration::from_secs(10);

/// Why a freeze came to nothing.
pub(super) enum Failed {
    /// The kernel refused the fork; a pause may do.
    Refused(String),
    Error(TargetError),
}

impl From<TargetError> for Failed {
    fn from(e: TargetError) -> Failed {
        Failed::Error(e)
    }
}

/// Whether all of `tests` hold now. A word that cannot be read passes no test.
pub(super) fn holds(pid: i32, tests: &[WordTest]) -> bool {
    tests.iter().all(|test| {
        let mut word = [0; 8];
        let size = usize::from(test.size).min(8);
        os::read_process(pid, test.addr.0, &mut word[..size]).is_ok()
            && u64::from_le_bytes(word) & test.mask == test.equals
    })
}

/// Waits, not for long, until all of `tests` hold.
pub(super) fn wait_for_moment(pid: i32, tests: &[WordTest]) {
    let deadline = Deadline::after(WAIT_FOR_MOMENT);
    while !holds(pid, tests) && !deadline.over() {
        std::thread::sleep(Duration::from_micros(100));
    }
}

/// What came of one stop.
enum Tried {
    /// The child's number, and those that ran although they were thought asleep.
    Forked(i32, Vec<Ran>),
    /// The tests did not hold.
    BadMoment,
    /// No thread can make a call: all are in uninterruptible sleep, or about to end.
    NobodyToAsk,
}

/// A copy of the target.
pub(super) struct Copy {
    /// As we number processes.
    pub(super) pid: i32,
    /// As the target numbers them.
    inner_pid: i32,
}

impl Copy {
    pub(super) fn of(child: i32) -> Copy {
        Copy {
            pid: child,
            inner_pid: innermost_pid(child).unwrap_or(child),
        }
    }
}

impl Tracer {
    /// Forks a copy of the target and makes it readable.
    pub(super) fn fork(&mut self, request: &FreezeRequest) -> Result<Outcome, Failed> {
        self.drop_copy()?;
        // No SIGCHLD at the copy's end; were it ever to run, it would crash at its first push. It
        // shares the table of files, so that none is held open by it; not the working directory:
        // the target could not take on another user by exec(2) meanwhile (fs/exec.c,
        // check_unsafe_exec).
        let wanted = self.wanted(libc::SYS_clone, [libc::CLONE_FILES as u64, 8, 0, 0, 0, 0])?;
        let mut restless = HashSet::new();
        let mut longest = Duration::ZERO;
        let attempts = request.attempts.max(1);
        let patience = Deadline::after(request.deadline);
        let mut attempt = 1;
        while attempt <= attempts {
            let last = attempt == attempts;
            wait_for_moment(self.pid, &request.avoid);
            let mut outcome = Outcome {
                attempts: attempt,
                ..Outcome::default()
            };
            let tried = self.fork_once(request, &wanted, &restless, last, &mut outcome);
            longest = longest.max(outcome.stopped);
            outcome.stopped = longest;
            let (child, ran) = match tried? {
                Tried::Forked(child, ran) => (child, ran),
                Tried::BadMoment => {
                    attempt += 1;
                    continue;
                }
                Tried::NobodyToAsk if patience.over() => {
                    return Err(Failed::Refused("none of its threads can call fork".into()));
                }
                Tried::NobodyToAsk => {
                    std::thread::sleep(Duration::from_millis(2));
                    continue;
                }
            };
            self.receive_copy(child)?;
            outcome.ran_meanwhile = ran.len() as u32;
            if ran.iter().any(|r| r.matters) && !last {
                restless.extend(ran.iter().filter(|r| r.may_be_woken).map(|r| r.tid));
                longest = longest.max(self.drop_copy()?);
                attempt += 1;
                continue;
            }
            self.open_copy(&mut outcome)?;
            return Ok(outcome);
        }
        Err(Failed::Error(TargetError::Exited(self.pid)))
    }

    /// One stop.
    fn fork_once(
        &mut self,
        request: &FreezeRequest,
        wanted: &Wanted,
        restless: &HashSet<i32>,
        last: bool,
        outcome: &mut Outcome,
    ) -> Result<Tried, Failed> {
        let survey = survey::survey(self.pid, &mut self.clock, restless)?;
        let mut stop = Stop::new(
            self.pid,
            survey,
            &mut self.late,
            &self.events,
            request.deadline,
        );
        let result = fork_stopped(&mut stop, request, wanted, last, outcome);
        if let (Err(_), Some(child)) = (&result, stop.child) {
            // Made, and no use any more: it is dropped with the error.
            self.copy = Some(Copy::of(child));
        }
        outcome.threads = (stop.held.len() + stop.asleep.len()) as u32 + stop.woken + stop.skipped;
        outcome.left_asleep = stop.asleep.len() as u32;
        outcome.skipped = stop.skipped;
        outcome.stopped = stop.let_go();
        outcome.prolonged = stop.prolonged;
        result
    }

    /// Has the new child die with us, and stops it for good.
    fn receive_copy(&mut self, child: i32) -> Result<(), TargetError> {
        self.copy = Some(Copy::of(child));
        let _ = fs::write(format!("/proc/{child}/oom_score_adj"), "1000");
        let deadline = Deadline::after(KILL_LIMIT);
        loop {
            match ptrace::poll_event(child) {
                Ok(Some((_, Event::Ended))) | Err(_) => {
                    return Err(TargetError::Tracer("the copy ended at once".into()));
                }
                Ok(Some(_)) => break,
                Ok(None) if deadline.over() => {
                    return Err(TargetError::Deadline {
                        what: "waiting for the copy".into(),
                        limit: deadline.limit,
                    });
                }
                Ok(None) => wait_for_child(&self.events, Duration::from_millis(1)),
            }
        }
        ptrace::set_options(child, ptrace::KILL_ON_EXIT)
            .map_err(|e| TargetError::io("PTRACE_SETOPTIONS of the copy", &e))
    }

    fn open_copy(&mut self, outcome: &mut Outcome) -> Result<(), TargetError> {
        let Some(copy) = &self.copy else {
            return Err(TargetError::Exited(self.pid));
        };
        placement::clear(&self.memory, AreaId::Frozen)
            .map_err(|e| TargetError::io("clearing the copied pages", &e))?;
        let maps = read_maps(copy.pid)?;
        let theirs = read_maps(self.pid).unwrap_or_default();
        let source = Source::new(copy.pid, &self.memory, AreaId::Frozen, maps)
            .map_err(|e| TargetError::io("mapping the copied pages", &e))?;
        outcome.regions = source.runs();
        outcome.missing = missing(&outcome.regions, &theirs);
        outcome.area = Some(AreaId::Frozen);
        self.sources.set(AreaId::Frozen, Some(Arc::new(source)));
        Ok(())
    }

    /// Stops the target, copies again all that was read of it while it ran, and lets it go.
    pub(super) fn pause(&mut self, request: &FreezeRequest) -> Result<Outcome, Failed> {
        let still = Still::of(self.pid);
        let old = match self.sources.get(AreaId::Live) {
            Some(source) => source,
            None => self.open_live()?,
        };
        let copied = old.copied();
        let old_runs = old.runs();
        let place = old
            .prepare(&copied)
            .map_err(|e| TargetError::io("mapping the copied pages", &e))?;
        let attempts = request.attempts.max(1);
        let mut longest = Duration::ZERO;
        for attempt in 1..=attempts {
            let last = attempt == attempts;
            wait_for_moment(self.pid, &request.avoid);
            let survey = survey::survey(self.pid, &mut self.clock, &HashSet::new())?;
            let mut stop = Stop::new(
                self.pid,
                survey,
                &mut self.late,
                &self.events,
                request.deadline,
            );
            if still.is_none() {
                stop.stop_all()?;
            }
            let avoided = holds(self.pid, &request.avoid);
            if !avoided && !last {
                longest = longest.max(stop.let_go());
                continue;
            }
            stop.without_hurry(|| old.refresh(&copied, &place, ALL_PROCESSORS));
            let now = read_maps(self.pid)?;
            let fresh = copier::new_parts(&old_runs, &now);
            let source = Source::new(self.pid, &self.memory, AreaId::Live, now)
                .map_err(|e| TargetError::io("mapping the copied pages", &e))?;
            stop.without_hurry(|| source.fetch(&fresh, copier::MOST_NEW, ALL_PROCESSORS));
            if still.is_some() && Still::of(self.pid) != still {
                let why = "what held it still let it go on while it was read";
                return Err(Failed::Error(TargetError::Refused(why.into())));
            }
            let ran = stop.ran_meanwhile().len() as u32;
            let (held, asleep) = (
                stop.held.len() as u32 + stop.woken,
                stop.asleep.len() as u32,
            );
            let skipped = stop.skipped;
            let stopped = longest.max(stop.let_go());
            let outcome = Outcome {
                area: Some(AreaId::Live),
                regions: source.runs(),
                stopped,
                attempts: attempt,
                avoided,
                threads: held + asleep + skipped,
                left_asleep: asleep,
                skipped,
                ran_meanwhile: ran,
                prolonged: stop.prolonged,
                ..Outcome::default()
            };
            drop(stop);
            // A target that runs again must not be mixed with one that stood still.
            self.frozen_is_read = still == Some(Still::Frozen);
            let source = self.frozen_is_read.then(|| Arc::new(source));
            self.sources.set(AreaId::Live, source);
            return Ok(outcome);
        }
        Err(Failed::Error(TargetError::Exited(self.pid)))
    }

    /// Kills the copy, waits for its end and has the target reap it. How long the target stood
    /// still for that.
    pub(super) fn drop_copy(&mut self) -> Result<Duration, TargetError> {
        self.sources.set(AreaId::Frozen, None);
        let Some(copy) = self.copy.take() else {
            return Ok(Duration::ZERO);
        };
        let dropped = self.kill_and_reap(&copy);
        if dropped.is_err() && self.target_lives() {
            // It is tried once more at the end.
            self.copy = Some(copy);
        }
        dropped
    }

    fn kill_and_reap(&mut self, copy: &Copy) -> Result<Duration, TargetError> {
        os::kill(copy.pid);
        let deadline = Deadline::after(KILL_LIMIT);
        loop {
            match ptrace::poll_event(copy.pid) {
                Ok(Some((_, Event::Ended))) | Err(_) => break,
                _ if deadline.over() => {
                    return Err(TargetError::Deadline {
                        what: format!("killing the copy, process {}", copy.pid),
                        limit: deadline.limit,
                    });
                }
                Ok(Some(_)) => {}
                Ok(None) => wait_for_child(&self.events, Duration::from_millis(1)),
            }
        }
        self.reap(copy)
    }

    fn reap(&mut self, copy: &Copy) -> Result<Duration, TargetError> {
        let deadline = Deadline::after(KILL_LIMIT);
        let mut longest = Duration::ZERO;
        while self.target_lives() && copy_exists(copy.pid) {
            if deadline.over() {
                return Err(TargetError::Deadline {
                    what: format!("reaping the copy, process {}", copy.pid),
                    limit: deadline.limit,
                });
            }
            match self.reap_once(copy) {
                Ok(stopped) => longest = longest.max(stopped),
                Err(TargetError::Exited(_)) => break,
                Err(_) => {}
            }
            if copy_exists(copy.pid) {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        Ok(longest)
    }

    fn reap_once(&mut self, copy: &Copy) -> Result<Duration, TargetError> {
        // It may have become another program since the copy was made.
        self.way_home = None;
        let args = [
            copy.inner_pid as u64,
            0,
            (libc::__WALL | libc::WNOHANG) as u64,
            0,
            0,
            0,
        ];
        let wanted = self.wanted(libc::SYS_wait4, args)?;
        let survey = survey::survey(self.pid, &mut self.clock, &HashSet::new())?;
        let limit = Duration::from_millis(200);
        let mut stop = Stop::new(self.pid, survey, &mut self.late, &self.events, limit);
        let Some(at) = stop.stop_one()? else {
            return Ok(stop.let_go());
        };
        stop.inject(at, &wanted)?;
        Ok(stop.let_go())
    }

    /// A system call for a thread of the target to make. How it finds back by itself is looked for
    /// once.
    pub(super) fn wanted(&mut self, number: i64, args: [u64; 6]) -> Result<Wanted, TargetError> {
        let maps = read_maps(self.pid)?;
        let pid = self.pid;
        let way_home = self
            .way_home
            .get_or_insert_with(|| WayHome::find(pid, &maps));
        Ok(Wanted {
            number,
            args,
            suspend_seccomp: guard::Facts::of(pid).seccomp,
            way_home: *way_home,
            instruction: self.find_syscall_instruction(&maps)?,
            maps,
        })
    }

    /// A `syscall` instruction in the target's vdso, where there always is one.
    fn find_syscall_instruction(&self, maps: &[Mapping]) -> Result<u64, TargetError> {
        let nowhere =
            || TargetError::Refused("the target has no vdso to call the kernel from".into());
        let vdso = maps
            .iter()
            .find(|m| m.path == "[vdso]")
            .ok_or_else(nowhere)?;
        let mut code = vec![0; vdso.range().len().min(1 << 20) as usize];
        os::read_process(self.pid, vdso.start, &mut code).map_err(|_| nowhere())?;
        let at = code
            .windows(2)
            .position(|w| w == SYSCALL)
            .ok_or_else(nowhere)?;
        Ok(vdso.start + at as u64)
    }
}

fn fork_stopped(
    stop: &mut Stop<'_>,
    request: &FreezeRequest,
    wanted: &Wanted,
    last: bool,
    outcome: &mut Outcome,
) -> Result<Tried, Failed> {
    stop.stop_all()?;
    outcome.avoided = holds(stop.pid, &request.avoid);
    if !outcome.avoided && !last {
        return Ok(Tried::BadMoment);
    }
    let Some(at) = stop.best_for_injection() else {
        return Ok(Tried::NobodyToAsk);
    };
    let value = stop.inject(at, wanted)?;
    match stop.child {
        Some(child) => Ok(Tried::Forked(child, stop.ran_meanwhile())),
        None => {
            let error = std::io::Error::from_raw_os_error(-value as i32);
            Err(Failed::Refused(format!(
                "the kernel refused to fork it: {error}"
            )))
        }
    }
}

/// The mappings of a process now.
pub(super) fn read_maps(pid: i32) -> Result<Vec<Mapping>, TargetError> {
    let text = fs::read_to_string(format!("/proc/{pid}/maps"));
    let maps = maps::parse_maps(&text.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => TargetError::Exited(pid),
        _ => TargetError::io("reading its mappings", &e),
    })?);
    if maps.is_empty() {
        Err(TargetError::Exited(pid))
    } else {
        Ok(maps)
    }
}

/// Memory of the target that the copy lacks.
fn missing(copied: &[crate::Range], theirs: &[Mapping]) -> Vec<crate::Range> {
    let lacks = |m: &&Mapping| {
        let at = copied.partition_point(|r| r.end <= m.start);
        m.safe_to_read() && copied.get(at).is_none_or(|r| r.start > m.start)
    };
    maps::join(theirs.iter().filter(lacks).map(Mapping::range))
}

fn copy_exists(pid: i32) -> bool {
    fs::metadata(format!("/proc/{pid}")).is_ok()
}

/// The number of a process in its own pid namespace (proc_pid_status(5), NSpid).
fn innermost_pid(pid: i32) -> Option<i32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    field(&status, "NSpid:")
        .split_whitespace()
        .last()?
        .parse()
        .ok()
}
