//! Code put into the target, and the memory that it works with.
//!
//! It is mapped by an injected mmap(2), written, and made executable by mprotect(2): nothing is ever
//! writable and executable at once. Removing it waits for threads that are within it.

use super::freeze::holds;
use super::guard;
use super::serve::Tracer;
use super::stop::Stop;
use super::survey;
use crate::error::TargetError;
use crate::memory::{Range, RemoteAddr};
use crate::os::{self, Deadline, PAGE};
use crate::protocol::{Arrival, Placed, Pokes, Trip};
use crate::status::field;
use memshed_agent::abi::{Job, status};
use std::collections::HashSet;
use std::fs;
use std::mem::offset_of;
use std::time::Duration;

/// Where the job lies in the agent's memory: the first page is for excursions.
pub(crate) const JOB: u64 = PAGE;
/// How long the threads may take to stop.
const LIMIT: Duration = Duration::from_secs(2);
/// How long a thread within the code is waited for when it is to be removed.
const UNLOAD_LIMIT: Duration = Duration::from_secs(1);

/// Code in the target.
pub(super) struct Agent {
    pub(super) placed: Placed,
    /// Where the status lies of the job that the target may yet run without being sent.
    pub(super) queued: Option<u64>,
}

impl Tracer {
    /// Puts code into the target.
    pub(super) fn load(&mut self, image: &[u64], data: u64) -> Result<Placed, TargetError> {
        // One that is still in use stays where it is.
        self.left_inside.extend(self.agent.take());
        self.may_run_code()?;
        let code_len = size_of_val(image).next_multiple_of(PAGE as usize) as u64;
        let length = code_len + data.next_multiple_of(PAGE);
        let (prot, flags) = (
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        );
        let map = [0, length, prot as u64, flags as u64, u64::MAX, 0];
        let at = self.call(libc::SYS_mmap, map)?;
        let placed = Placed {
            image: Range {
                start: at,
                end: at + code_len,
            },
            data: Range {
                start: at + code_len,
                end: at + length,
            },
        };
        self.agent = Some(Agent {
            placed,
            queued: None,
        });
        let written = os::write_words(self.pid, at, image)
            .map_err(|e| TargetError::io("writing into its memory", &e));
        let protect = (libc::PROT_READ | libc::PROT_EXEC) as u64;
        let ready = written.and_then(|()| {
            self.call(libc::SYS_mprotect, [at, code_len, protect, 0, 0, 0])
                .map(drop)
        });
        if let Err(e) = ready {
            // The error that led here matters more than one of the clean-up.
            let _ = self.unload();
            return Err(e);
        }
        Ok(placed)
    }

    /// Whether code may be run in the target at all.
    fn may_run_code(&self) -> Result<(), TargetError> {
        let facts = guard::Facts::of(self.pid);
        if facts.seccomp && !facts.may_suspend_seccomp {
            return Err(TargetError::Refused(
                "it is under seccomp, which may kill it for what releasing memory needs; \
                 suspending that needs CAP_SYS_ADMIN"
                    .into(),
            ));
        }
        let path = format!("/proc/{}/status", self.pid);
        let status = fs::read_to_string(path).map_err(|_| TargetError::Exited(self.pid))?;
        match field(&status, "x86_Thread_features:").contains("shstk") {
            true => Err(TargetError::Refused(
                "its threads have shadow stacks, which an excursion would break".into(),
            )),
            false => Ok(()),
        }
    }

    /// Has some thread make a system call. What it returned.
    fn call(&mut self, number: i64, args: [u64; 6]) -> Result<u64, TargetError> {
        let wanted = self.wanted(number, args)?;
        let deadline = Deadline::after(LIMIT);
        loop {
            let survey = survey::survey(self.pid, &mut self.clock, &HashSet::new())?;
            let mut stop = Stop::new(self.pid, survey, &mut self.late, &self.events, LIMIT);
            if let Some(at) = stop.stop_one()? {
                return match stop.inject(at, &wanted)? {
                    value if (-4095..0).contains(&value) => {
                        let error = std::io::Error::from_raw_os_error(-value as i32);
                        Err(TargetError::Refused(format!(
                            "the kernel refused what is needed within it (call {number}): {error}"
                        )))
                    }
                    value => Ok(value as u64),
                };
            }
            stop.let_go();
            drop(stop);
            if deadline.over() {
                return Err(TargetError::Refused(
                    "none of its threads can make a system call".into(),
                ));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The address of a piece of the agent's memory.
    fn piece(&self, offset: u64, words: u64) -> Result<u64, TargetError> {
        let data = self.agent()?.placed.data;
        let end = offset.checked_add(words.saturating_mul(8));
        match end {
            Some(end) if end <= data.len() && offset.is_multiple_of(8) => Ok(data.start + offset),
            _ => Err(TargetError::Tracer("outside of the agent's memory".into())),
        }
    }

    pub(super) fn agent(&self) -> Result<&Agent, TargetError> {
        let nothing = || TargetError::Tracer("no code was put into the target".into());
        self.agent.as_ref().ok_or_else(nothing)
    }

    /// Writes into the agent's memory.
    pub(super) fn put(&self, offset: u64, words: &[u64]) -> Result<(), TargetError> {
        let at = self.piece(offset, words.len() as u64)?;
        os::write_words(self.pid, at, words).map_err(|e| self.lost_memory(&e))
    }

    /// Reads the agent's memory.
    pub(super) fn get(&self, offset: u64, count: u64) -> Result<Vec<u64>, TargetError> {
        let at = self.piece(offset, count)?;
        os::read_words(self.pid, at, count as usize).map_err(|e| self.lost_memory(&e))
    }

    fn lost_memory(&self, error: &std::io::Error) -> TargetError {
        match self.target_lives() {
            true => TargetError::io("the agent's memory", error),
            false => TargetError::Exited(self.pid),
        }
    }

    /// Changes words while no thread runs.
    pub(super) fn poke(&mut self, wanted: &Pokes) -> Result<Trip, TargetError> {
        if guard::Facts::of(self.pid).seccomp {
            // The code would run without us, and its calls might be forbidden.
            return Ok(Trip::NONE);
        }
        let survey = survey::survey(self.pid, &mut self.clock, &HashSet::new())?;
        let (pid, limit) = (self.pid, wanted.deadline);
        let mut stop = Stop::new(pid, survey, &mut self.late, &self.events, limit);
        stop.stop_all()?;
        let arrival = match holds(pid, &wanted.tests) {
            true => {
                let written = write_words(pid, wanted);
                written.map_err(|e| TargetError::io("writing into its memory", &e))?;
                Arrival::Done
            }
            false => Arrival::BadMoment,
        };
        let stopped = stop.let_go();
        drop(stop);
        if let (Some(agent), Arrival::Done) = (&mut self.agent, arrival) {
            agent.queued = Some(wanted.job);
        }
        Ok(Trip {
            arrival,
            tid: 0,
            stopped,
        })
    }

    /// Removes the code, if no thread is within it or may yet run it. Whether it is gone.
    pub(super) fn unload(&mut self) -> Result<bool, TargetError> {
        let Some(agent) = &self.agent else {
            return Ok(true);
        };
        let (placed, queued) = (agent.placed, agent.queued);
        let deadline = Deadline::after(UNLOAD_LIMIT);
        while let Some(job) = queued
            && !self.job_is_over(job)?
        {
            if deadline.over() {
                return Ok(false);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let length = placed.image.len() + placed.data.len();
        let args = [placed.image.start, length, 0, 0, 0, 0];
        let wanted = self.wanted(libc::SYS_munmap, args)?;
        while !deadline.over() {
            let survey = survey::survey(self.pid, &mut self.clock, &HashSet::new())?;
            let mut stop = Stop::new(self.pid, survey, &mut self.late, &self.events, LIMIT);
            stop.stop_all()?;
            let within = stop.held.iter().filter_map(|held| held.regs);
            let empty = !within
                .map(|regs| regs.rip)
                .any(|at| placed.image.contains(RemoteAddr(at)));
            if let (true, Some(at)) = (empty, stop.best_for_injection()) {
                let value = stop.inject(at, &wanted)?;
                stop.let_go();
                drop(stop);
                self.agent = None;
                return Ok(value == 0);
            }
            stop.let_go();
            drop(stop);
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(false)
    }

    /// Removes what was still in use before.
    pub(super) fn unload_all(&mut self) {
        for agent in std::mem::take(&mut self.left_inside) {
            // What is still in use stays, and does no harm.
            let _ = self.unload();
            self.agent = Some(agent);
        }
        let _ = self.unload();
    }

    fn job_is_over(&self, job: u64) -> Result<bool, TargetError> {
        const STATUS: u64 = offset_of!(Job, status) as u64;
        let word = self.get(JOB + job + STATUS, 1)?;
        let now = word.first().map_or(0, |word| *word as u32);
        Ok(now != status::WAITING && now != status::RUNNING)
    }
}

fn write_words(pid: i32, wanted: &Pokes) -> std::io::Result<()> {
    let mut words = Vec::new();
    for poke in &wanted.pokes {
        let size = usize::from(poke.size).min(8);
        let mut now = [0; 8];
        if poke.or {
            os::read_process(pid, poke.addr.0, &mut now[..size])?;
        }
        let value = u64::from_le_bytes(now) | poke.value;
        words.push((poke.addr.0, value.to_le_bytes(), size));
    }
    let pieces: Vec<(u64, &[u8])> = words
        .iter()
        .map(|(at, bytes, size)| (*at, &bytes[..*size]))
        .collect();
    os::write_process_all(pid, &pieces)
}
