//! The agent's memory in a process, and the three ways of having a job done there: by a thread that
//! is sent while nobody holds the GIL, by one that waits for something and takes the GIL, and
//! between two instructions of whoever holds it.

use super::Target;
use crate::error::LookError;
use memshed_agent::abi::{Call, Job, kind, status};
use memshed_agent::entries;
use memshed_cpython::{Allocator, Gil, PendingCall};
use memshed_report::ReleaseView;
use memshed_target::{Agent, Arrival, Journey, Range, RemoteAddr, Traveler, Trip, WordTest};
use std::cell::Cell;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// Where things lie in the agent's memory, in bytes. An excursion runs the first job.
pub const JOB: u64 = 0;
/// The job that another job, or a pending call, runs.
const INNER_JOB: u64 = 1024;
/// Words that jobs point to.
pub const WORDS: u64 = 2048;
/// Room for ranges.
pub const RANGES: u64 = 4096;
/// How many.
pub const RANGES_LEN: u64 = 1024;
/// Where the rest begins.
pub const REST: u64 = RANGES + RANGES_LEN * 16;

/// How long a job may take that takes no lock.
const SHORT: Duration = Duration::from_secs(2);
/// How long a thread may wait for the GIL.
const FOR_THE_GIL: Duration = Duration::from_secs(2);
/// How often a pending call is looked at.
const LOOK: Duration = Duration::from_micros(500);
/// How often a moment is tried for.
const ATTEMPTS: u32 = 3;

/// Names of what jobs need of the interpreter.
pub const FUNCTIONS: [&str; 5] = [
    "PyGILState_Ensure",
    "PyGILState_Release",
    "PyEval_SaveThread",
    "PyEval_RestoreThread",
    "PyRun_SimpleStringFlags",
];

/// How a job was done.
#[derive(Clone, Copy, Debug, Default)]
pub struct Done {
    /// The longest stop that it took: while a thread was away, or the GIL not to be had.
    pub stopped: Duration,
    /// Time that the process spent on it.
    pub took: Duration,
}

/// Why a job was not done.
pub enum Undone {
    /// There was no moment for it.
    NoMoment(String),
    /// Something went wrong.
    Failed(LookError),
}

impl From<LookError> for Undone {
    fn from(error: LookError) -> Undone {
        Undone::Failed(error)
    }
}

/// The agent in a process.
pub struct Inside<'a> {
    pub target: &'a Target,
    pub agent: Agent<'a>,
    /// Functions of the process by name.
    pub functions: &'a HashMap<String, RemoteAddr>,
    /// Whether a job has not ended: then nothing may be written to the agent's memory any more.
    left: Cell<bool>,
    /// The longest stop of attempts that came to nothing, until it is told.
    in_vain: Cell<Duration>,
}

impl<'a> Inside<'a> {
    /// Puts the agent into the process, with so many bytes of memory beside the jobs.
    pub fn load(
        target: &'a Target,
        functions: &'a HashMap<String, RemoteAddr>,
        rest: u64,
    ) -> Result<Inside<'a>, LookError> {
        let loaded = target.session.load(&memshed_agent::image(), REST + rest);
        let agent = loaded.map_err(|error| target.error(error))?;
        Ok(Inside {
            target,
            agent,
            functions,
            left: Cell::new(false),
            in_vain: Cell::default(),
        })
    }

    /// Takes it out again.
    pub fn unload(self, view: &mut ReleaseView) -> Result<(), LookError> {
        view.note_stop(self.in_vain.take(), Duration::ZERO);
        let gone = self.agent.unload();
        if !gone.map_err(|error| self.target.error(error))? {
            view.notes.push(
                "the code that memshed put into it is still in use there, and stays until it ends"
                    .into(),
            );
        }
        Ok(())
    }
}

impl Inside<'_> {
    /// The address of a place in the agent's memory.
    pub fn at(&self, offset: u64) -> RemoteAddr {
        RemoteAddr(self.agent.memory().start + offset)
    }

    /// Whether the process is still at a job, so that it cannot be given another.
    pub fn is_left_to_it(&self) -> bool {
        self.left.get()
    }

    /// Sends a thread. What came of it; the longest stop so far is told with what succeeds.
    fn travel(&self, journey: Journey) -> Result<Trip, LookError> {
        let trip = self.agent.travel(journey);
        let trip = trip.map_err(|error| self.target.error(error))?;
        self.in_vain.set(self.in_vain.get().max(trip.stopped));
        Ok(trip)
    }

    fn overdue(&self, what: &str) -> Undone {
        self.leave(format!(
            "{what} takes longer than its limit, and is left to it"
        ))
    }

    /// Leaves the process to a job that has not ended.
    fn leave(&self, why: String) -> Undone {
        self.left.set(true);
        Undone::NoMoment(why)
    }

    pub fn function(&self, name: &str) -> u64 {
        self.functions.get(name).map_or(0, |at| at.0)
    }

    pub fn put(&self, offset: u64, words: Vec<u64>) -> Result<(), LookError> {
        let stored = self.agent.put(offset, words);
        stored.map_err(|error| self.target.error(error))
    }

    fn job(&self, offset: u64) -> Result<Job, LookError> {
        let words = self.agent.get(offset, size_of::<Job>() as u64 / 8);
        let words = words.map_err(|error| self.target.error(error))?;
        Job::read(&words).ok_or(LookError::Gone(self.target.pid))
    }

    /// Does a job that needs the lock `gil`, in whichever way can be had. `job` is the job as it
    /// has to be done, and is what came of it afterwards.
    pub fn with_gil(&self, allocator: &Allocator, job: &mut Job) -> Result<Done, Undone> {
        if let Some(done) = self.while_free(allocator.gil, job)? {
            return Ok(done);
        }
        self.holding_gil(allocator, job, FOR_THE_GIL)
    }

    /// The same for a job that runs Python, for which the GIL has to be held as by a thread of
    /// Python.
    pub fn holding_gil(
        &self,
        allocator: &Allocator,
        job: &mut Job,
        limit: Duration,
    ) -> Result<Done, Undone> {
        if let Some(done) = self.by_waiting(allocator.gil, job, limit)? {
            return Ok(done);
        }
        if let Some(done) = self.pending(allocator, job, limit)? {
            return Ok(done);
        }
        Err(Undone::NoMoment(
            "its threads hold the GIL all the time, and none could be made to help".into(),
        ))
    }

    /// By a thread that is sent while nobody holds the GIL.
    fn while_free(&self, gil: Gil, job: &mut Job) -> Result<Option<Done>, Undone> {
        if !self.target.has_glibc {
            // The GIL's mutex is taken as glibc's are.
            return Ok(None);
        }
        for _ in 0..ATTEMPTS {
            job.gil_locked = gil.locked.0;
            job.gil_mutex = gil.mutex.0;
            job.status = status::WAITING.into();
            self.put(JOB, job.words())?;
            let journey = Journey {
                entry: entries::EXCURSION,
                who: Traveler::Anyone,
                tests: vec![
                    WordTest::is(gil.locked, 4, 0),
                    WordTest::is(gil.mutex, 4, 0),
                ],
                limit: SHORT,
            };
            let trip = self.travel(journey)?;
            if trip.arrival == Arrival::Done {
                let after = self.job(JOB)?;
                if after.status() != status::BUSY {
                    *job = after;
                    let took = Duration::from_nanos(job.took_ns);
                    let stopped = self.in_vain.take();
                    return Ok(Some(Done { stopped, took }));
                }
            } else if trip.arrival == Arrival::Overdue {
                return Err(self.overdue("a thread that was sent to it"));
            }
        }
        Ok(None)
    }

    /// By a thread of Python that waits for something outside, and takes the GIL like any other.
    fn by_waiting(&self, gil: Gil, job: &mut Job, limit: Duration) -> Result<Option<Done>, Undone> {
        let mut outer = Job::new(kind::CALL);
        outer.call = Call {
            function: self.agent.code(entries::PENDING).0,
            args: [self.at(INNER_JOB).0, 0, 0, 0, 0],
            ensure: self.function("PyGILState_Ensure"),
            release: self.function("PyGILState_Release"),
            ..Call::default()
        };
        // Signals by which another C library has all threads change their user are not known.
        if outer.call.ensure == 0 || outer.call.release == 0 || !self.target.has_glibc {
            return Ok(None);
        }
        job.gil_locked = 0;
        job.status = status::WAITING.into();
        self.put(INNER_JOB, job.words())?;
        self.put(JOB, outer.words())?;
        let journey = Journey {
            entry: entries::EXCURSION,
            who: Traveler::Blocked {
                threads: self.target.python_threads()?,
                not_for: vec![gil.state],
            },
            tests: Vec::new(),
            limit,
        };
        let before = self.in_vain.get();
        let trip = self.travel(journey)?;
        match trip.arrival {
            Arrival::Done => {
                *job = self.job(INNER_JOB)?;
                // It has waited for the GIL as it would have on its return from its call; others
                // wait only while it has the GIL.
                let took = Duration::from_nanos(job.took_ns);
                self.in_vain.take();
                let stopped = before.max(took);
                Ok(Some(Done { stopped, took }))
            }
            Arrival::Overdue => Err(self.overdue("a thread that waits for the GIL")),
            Arrival::BadMoment | Arrival::Nobody => Ok(None),
        }
    }

    /// Between two instructions of whoever holds the GIL.
    pub fn pending(
        &self,
        allocator: &Allocator,
        job: &mut Job,
        limit: Duration,
    ) -> Result<Option<Done>, Undone> {
        job.gil_locked = 0;
        job.status = status::WAITING.into();
        self.put(INNER_JOB, job.words())?;
        let call = PendingCall {
            function: self.agent.code(entries::PENDING),
            argument: self.at(INNER_JOB),
            job: INNER_JOB,
        };
        let mut stopped = Duration::ZERO;
        for _ in 0..ATTEMPTS {
            let Some(pokes) = self.target.pending_call(allocator, &call)? else {
                continue;
            };
            let trip = self.agent.poke(pokes);
            let trip = trip.map_err(|error| self.target.error(error))?;
            stopped = stopped.max(trip.stopped).max(self.in_vain.take());
            if trip.arrival != Arrival::Done {
                continue;
            }
            let began = Instant::now();
            while began.elapsed() < limit {
                let after = self.job(INNER_JOB)?;
                if !matches!(after.status(), status::WAITING | status::RUNNING) {
                    *job = after;
                    let took = Duration::from_nanos(job.took_ns);
                    let stopped = stopped.max(took);
                    return Ok(Some(Done { stopped, took }));
                }
                // One that is not begun soon will not be.
                if after.status() == status::WAITING && began.elapsed() > FOR_THE_GIL {
                    break;
                }
                std::thread::sleep(LOOK);
            }
            return Err(self.leave(
                "its main thread waits for something and runs no Python; what was asked of it \
                 will be done when it goes on"
                    .into(),
            ));
        }
        Ok(None)
    }

    /// Calls a function of the process that needs no GIL, by a thread that is not in it.
    pub fn call(
        &self,
        function: RemoteAddr,
        args: [u64; 5],
        free: Vec<WordTest>,
        not_for: Vec<Range>,
        limit: Duration,
    ) -> Result<Done, Undone> {
        for _ in 0..ATTEMPTS {
            let mut job = Job::new(kind::CALL);
            job.call = Call {
                function: function.0,
                args,
                ..Call::default()
            };
            self.put(JOB, job.words())?;
            let journey = Journey {
                entry: entries::EXCURSION,
                who: Traveler::Blocked {
                    threads: Vec::new(),
                    not_for: not_for.clone(),
                },
                tests: free.clone(),
                limit,
            };
            let trip = self.travel(journey)?;
            match trip.arrival {
                Arrival::Done => {
                    let job = self.job(JOB)?;
                    let took = Duration::from_nanos(job.took_ns);
                    let stopped = self.in_vain.take();
                    return Ok(Done { stopped, took });
                }
                Arrival::Overdue => return Err(self.overdue("a call within it")),
                Arrival::BadMoment | Arrival::Nobody => {}
            }
        }
        Err(Undone::NoMoment(
            "none of its threads waits for something outside".into(),
        ))
    }

    /// A job that calls a function with the GIL released around it, for one that holds it.
    pub fn released(&self, function: RemoteAddr, args: [u64; 5]) -> Job {
        let mut job = Job::new(kind::CALL);
        job.call = Call {
            function: function.0,
            args,
            save_thread: self.function("PyEval_SaveThread"),
            restore_thread: self.function("PyEval_RestoreThread"),
            ..Call::default()
        };
        job
    }
}

/// Bytes as words.
pub fn text(bytes: &[u8]) -> Vec<u64> {
    let word = |chunk: &[u8]| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        u64::from_le_bytes(word)
    };
    bytes.chunks(8).map(word).collect()
}
