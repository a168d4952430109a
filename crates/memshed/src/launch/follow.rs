//! Follows a command and what it starts until its first Python process is due to be looked at:
//! after a time, or when it is about to end.
//!
//! When Python ends, it takes its modules and objects apart before the process exits: by then
//! there is nothing left to see. So a breakpoint waits for the word that it sets first of all
//! (`_PyRuntime._finalizing`), and another at `_exit` for programs that end in other ways.

use super::start::Started;
use super::symbols;
use super::trace::{self, Access, Event};
use crate::error::LaunchError;
use memshed_target::Process;
use std::collections::BTreeSet;
use std::io;
use std::time::{Duration, Instant};

/// How long a process may take to stop when it is asked to.
const STOP_LIMIT: Duration = Duration::from_secs(5);

/// The Python process that is due, no longer traced.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// Its process id.
    pub pid: i32,
    /// Whether it is about to end; it then stands still, as after SIGSTOP.
    pub ending: bool,
}

/// A command that is followed.
pub struct Follower {
    name: String,
    root: i32,
    started: Started,
    tracees: BTreeSet<i32>,
    python: Option<(i32, symbols::Python)>,
    root_ending: Option<String>,
}

impl Follower {
    /// Follows `root`, which is traced and about to execute the command called `name`.
    pub fn new(name: &str, root: i32, started: Started) -> Follower {
        Follower {
            name: name.to_string(),
            root,
            started,
            tracees: BTreeSet::from([root]),
            python: None,
            root_ending: None,
        }
    }

    /// Follows it until it is due: after `run_for`, or when it is about to end.
    pub fn until_due(mut self, run_for: Option<Duration>) -> Result<Due, LaunchError> {
        let _nudges = run_for.map(trace::Nudges::after);
        let until = run_for.map(|time| Instant::now() + time);
        loop {
            match trace::wait_any() {
                Ok(Some((pid, event))) => {
                    if let Some(due) = self.handle(pid, event)? {
                        return Ok(due);
                    }
                }
                Ok(None) => {}
                // ECHILD: nobody is left to follow.
                Err(_) => return Err(self.ended()),
            }
            if until.is_some_and(|until| Instant::now() >= until) {
                return self.elapsed();
            }
        }
    }

    /// Answers an event; `Some` if the Python process is due.
    fn handle(&mut self, pid: i32, event: Event) -> Result<Option<Due>, LaunchError> {
        self.tracees.insert(pid);
        match event {
            Event::Ended(status) => return self.one_ended(pid, status).map(|()| None),
            Event::Execed => self.execed(pid),
            Event::Stopped => trace::listen(pid),
            Event::Born | Event::Other => trace::go_on(pid, 0),
            Event::Signal(libc::SIGTRAP) => match trace::breakpoint_hit(pid) {
                Some(_) => return self.breakpoint(pid),
                None => trace::go_on(pid, libc::SIGTRAP),
            },
            Event::Signal(signal) => trace::go_on(pid, signal),
        }
        Ok(None)
    }

    fn one_ended(&mut self, pid: i32, status: i32) -> Result<(), LaunchError> {
        self.tracees.remove(&pid);
        if pid == self.root {
            self.root_ending = Some(ending(status));
        }
        let was_python = self.python.is_some_and(|(python, _)| python == pid);
        if was_python {
            return Err(LaunchError::Ended {
                command: self.name.clone(),
                ending: ending(status),
            });
        }
        match self.tracees.is_empty() {
            true => Err(self.ended()),
            false => Ok(()),
        }
    }

    /// A process executes another program: stop it again at that program's first instruction,
    /// when the dynamic linker has put its libraries in place.
    fn execed(&mut self, pid: i32) {
        if self.python.is_some_and(|(python, _)| python == pid) {
            self.python = None;
            let _ = trace::set_options(pid, trace::FOLLOW);
        }
        if self.python.is_none()
            && let Some(entry) = entry(pid)
        {
            // Refused where the machine has no breakpoints to give: then --for is the way.
            let _ = trace::set_breakpoints(pid, &[(entry, Access::Execute)]);
        }
        trace::go_on(pid, 0);
    }

    fn breakpoint(&mut self, pid: i32) -> Result<Option<Due>, LaunchError> {
        match self.python {
            Some((python, symbols)) if python == pid => {
                if !is_ending(pid, &symbols) {
                    trace::go_on(pid, 0);
                    return Ok(None);
                }
                self.hand_over(pid, true).map(Some)
            }
            _ => self.first_instruction(pid),
        }
    }

    fn first_instruction(&mut self, pid: i32) -> Result<Option<Due>, LaunchError> {
        let _ = trace::clear_breakpoints(pid);
        let found = match self.python {
            None => symbols::python(pid),
            Some(_) => None,
        };
        if let Some(python) = found {
            self.python = Some((pid, python));
            let Some(finalizing) = python.finalizing else {
                // A version that cannot be read: no need to wait for its end to say so.
                return self.hand_over(pid, true).map(Some);
            };
            let mut breakpoints = vec![(finalizing, Access::Write)];
            breakpoints.extend(python.exit.map(|at| (at, Access::Execute)));
            let _ = trace::set_breakpoints(pid, &breakpoints);
            let _ = trace::set_options(pid, trace::WATCH);
        }
        trace::go_on(pid, 0);
        Ok(None)
    }

    /// The time is over: stop the Python process for a moment, and let go of it.
    fn elapsed(mut self) -> Result<Due, LaunchError> {
        let Some((pid, symbols)) = self.python else {
            return Err(LaunchError::NotPython {
                command: self.name.clone(),
                ending: "still runs".into(),
            });
        };
        let stop = || -> io::Result<Event> {
            trace::interrupt(pid)?;
            trace::wait_for(pid, STOP_LIMIT)
        };
        match stop().map_err(|error| self.system("stopping it", error))? {
            Event::Ended(status) => {
                self.one_ended(pid, status)?;
                Err(self.ended())
            }
            Event::Signal(libc::SIGTRAP) if trace::breakpoint_hit(pid).is_some() => {
                let ending = is_ending(pid, &symbols);
                self.hand_over(pid, ending)
            }
            Event::Signal(signal) => {
                let _ = trace::clear_breakpoints(pid);
                self.release_others(pid);
                trace::detach(pid, signal).map_err(|error| self.system("letting go", error))?;
                Ok(Due { pid, ending: false })
            }
            _ => self.hand_over(pid, false),
        }
    }

    /// Lets go of the Python process, which is stopped; one that is about to end is left
    /// standing still.
    fn hand_over(&mut self, pid: i32, ending: bool) -> Result<Due, LaunchError> {
        let _ = trace::clear_breakpoints(pid);
        self.release_others(pid);
        let signal = if ending { libc::SIGSTOP } else { 0 };
        trace::detach(pid, signal).map_err(|error| self.system("letting go", error))?;
        if ending {
            wait_until_stopped(pid).map_err(|error| self.system("stopping it", error))?;
        }
        Ok(Due { pid, ending })
    }

    /// Lets go of everything that is followed but `pid`.
    fn release_others(&mut self, pid: i32) {
        self.tracees.remove(&pid);
        while let Some(other) = self.tracees.pop_first() {
            // What has ended, or waits for its vfork child, is not worth waiting for.
            let stopped = trace::interrupt(other)
                .and_then(|()| trace::wait_for(other, Duration::from_secs(1)));
            if let Ok(Event::Born) = stopped {
                self.tracees.extend(trace::born(other));
            }
            let signal = match stopped {
                Ok(Event::Signal(libc::SIGTRAP)) => 0,
                Ok(Event::Signal(signal)) => signal,
                _ => 0,
            };
            let _ = trace::clear_breakpoints(other);
            let _ = trace::detach(other, signal);
        }
    }

    /// Nobody is left: why.
    fn ended(&mut self) -> LaunchError {
        let command = self.name.clone();
        if let Some(error) = self.started.exec_error() {
            return LaunchError::Start { command, error };
        }
        let ending = self.root_ending.clone().unwrap_or("unknown status".into());
        match self.python {
            Some(_) => LaunchError::Ended { command, ending },
            None => LaunchError::NotPython {
                command,
                ending: format!("ended ({ending})"),
            },
        }
    }

    fn system(&self, what: &'static str, error: io::Error) -> LaunchError {
        LaunchError::System {
            command: self.name.clone(),
            what,
            error,
        }
    }
}

impl Drop for Follower {
    /// Lets go of what is still followed, after an error: a signal that is to end it would never
    /// arrive otherwise.
    fn drop(&mut self) {
        self.release_others(0);
    }
}

/// Whether the interpreter of a process that hit a breakpoint is about to end. Start-up writes
/// a zero to the word that is watched.
fn is_ending(pid: i32, python: &symbols::Python) -> bool {
    let finalizing = python.finalizing.and_then(|at| trace::word(pid, at).ok());
    finalizing != Some(0)
        || python
            .exit
            .is_some_and(|exit| instruction(pid) == Some(exit))
}

/// The address of the instruction that a stopped process is about to execute.
fn instruction(pid: i32) -> Option<u64> {
    // proc_pid_syscall(5): the last field; for a process that is not in a system call the first
    // is -1.
    let text = std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    let at = text.split_whitespace().last()?.strip_prefix("0x")?;
    u64::from_str_radix(at, 16).ok()
}

/// The first instruction of a process's program (getauxval(3), AT_ENTRY).
fn entry(pid: i32) -> Option<u64> {
    const AT_ENTRY: u64 = 9;
    let vector = std::fs::read(format!("/proc/{pid}/auxv")).ok()?;
    let (pairs, _) = vector.as_chunks::<16>();
    pairs.iter().find_map(|pair| {
        let (kind, value) = pair.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).ok();
        (number(kind)? == AT_ENTRY).then(|| number(value))?
    })
}

fn wait_until_stopped(pid: i32) -> io::Result<()> {
    let until = Instant::now() + STOP_LIMIT;
    let stopped = || {
        Process::open(pid)
            .and_then(|p| p.status())
            .is_ok_and(|s| s.state == 'T')
    };
    while !stopped() {
        if Instant::now() >= until {
            return Err(io::ErrorKind::TimedOut.into());
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// How a process ended, in words.
fn ending(status: i32) -> String {
    if libc::WIFSIGNALED(status) {
        format!("killed by signal {}", libc::WTERMSIG(status))
    } else {
        format!("exit status {}", libc::WEXITSTATUS(status))
    }
}
