//! Watching a garbage collector at work from outside: a few words of the process are read again and
//! again, at irregular moments, without stopping it.

use crate::error::LookError;
use crate::open;
use memshed_analysis::advise::CollectorSample;
use memshed_cpython::{CollectorMoment, Program, Python};
use memshed_target::{Peek, Process, Session, SessionOptions};
use std::time::{Duration, Instant};

/// The mean time between two moments.
const EVERY: Duration = Duration::from_millis(1);
/// The moments lie between half and one and a half of that apart, so that they do not keep in step
/// with the program.
const HALF: Duration = Duration::from_micros(500);

/// The collector of a process.
pub struct Watcher {
    pid: i32,
    process: Process,
    program: Program,
    began: Instant,
}

impl Watcher {
    /// Finds the interpreter in the process `pid`.
    pub fn new(pid: i32) -> Result<Watcher, LookError> {
        let process = open::open(pid)?;
        let program = open::program(&process)?;
        Ok(Watcher {
            pid,
            process,
            program,
            began: Instant::now(),
        })
    }

    /// Watches for `time`; moments are counted from when this was made. Fewer samples come if the
    /// process ends, and none if its state cannot be read in passing. `beside` is done meanwhile, in
    /// a thread of its own, and told for how long it may take.
    pub fn watch<T: Send>(
        &self,
        time: Duration,
        beside: impl FnOnce(Duration) -> T + Send,
    ) -> Result<(Vec<CollectorSample>, Option<T>), LookError> {
        let other = |what: String| LookError::Other {
            pid: self.pid,
            what,
        };
        // Needed to find the words only; nothing is done to the process.
        let session = Session::start(&self.process, SessionOptions::default())
            .map_err(|error| other(error.to_string()))?;
        let live = session.live().map_err(|error| other(error.to_string()))?;
        let python =
            Python::open(self.program.clone(), &live).map_err(|error| other(error.to_string()))?;
        let mut collector = python
            .watch_collector(&live)
            .map_err(|error| other(error.to_string()))?;
        drop((live, session));
        let peek = Peek::open(&self.process).map_err(|error| other(error.to_string()))?;
        let mut chance = Chance(u64::from(std::process::id()) | 1);
        let began = Instant::now();
        let mut samples = Vec::new();
        std::thread::scope(|scope| {
            let beside = scope.spawn(|| beside(time));
            while began.elapsed() < time {
                let Some(processor) = peek.processor_time() else {
                    break;
                };
                let Some(now) = collector.now(|at, bytes| peek.read(at, bytes)) else {
                    break;
                };
                samples.push(sample(self.began.elapsed(), processor, &now));
                std::thread::sleep(HALF + EVERY.mul_f64(chance.next()));
            }
            Ok((samples, beside.join().ok()))
        })
    }
}

fn sample(at: Duration, processor: Duration, now: &CollectorMoment) -> CollectorSample {
    let of = |i: usize| now.gc.generations.get(i).map_or(0, |one| one.collections);
    CollectorSample {
        at: at.as_secs_f64(),
        processor: processor.as_secs_f64(),
        collecting: now.collecting,
        collections: [of(0), of(1), of(2)],
        long_lived: now.long_lived,
    }
}

/// Numbers without a pattern that matters here (xorshift).
struct Chance(u64);

impl Chance {
    /// The next one, from 0 to 1.
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }
}
