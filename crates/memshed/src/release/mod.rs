//! Giving memory back to the system, in a process that runs.

mod account;
mod agent;
mod code;
mod pymalloc;
mod system;

use crate::error::LookError;
use crate::look::Progress;
use crate::open;
use agent::{FUNCTIONS, Inside};
use memshed_cpython::{Allocator, PendingCall, Program, Python, WalkError};
use memshed_report::{ReleaseStep, ReleaseView};
use memshed_target::{
    Mirror, Pokes, Process, RemoteAddr, Session, SessionOptions, TargetError, elf,
};
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How often something is read of a process that changes meanwhile, and how long after one another.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(2);

/// What is to be done.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Only say what it would give.
    pub dry_run: bool,
    /// Retire free pools whole, too.
    pub hard: bool,
    /// Undo that, and nothing else.
    pub undo: bool,
    /// Run the collector first.
    pub collect: bool,
    /// Empty these caches first.
    pub caches: Vec<String>,
    /// Do nothing for less than so many bytes, as far as that can be told beforehand.
    pub least: u64,
}

impl Wanted {
    /// Whether the process has to run Python for it.
    fn runs_python(&self) -> bool {
        self.collect || !self.caches.is_empty()
    }
}

/// A process that is to give memory back.
pub struct Target {
    pub pid: i32,
    process: Process,
    program: Program,
    session: Session,
    /// Whether its locks are those of glibc.
    has_glibc: bool,
}

impl Target {
    /// Whether it is this process, and not another of its number.
    pub fn is(&self, process: &Process) -> bool {
        self.process.start_time() == process.start_time()
    }

    /// Opens the process `pid`.
    pub fn open(pid: i32) -> Result<Target, LookError> {
        let process = open::open(pid)?;
        let program = open::program(&process)?;
        let session = Session::start(&process, SessionOptions::default())
            .map_err(|error| open::target_error(pid, error))?;
        let mappings = process.mappings();
        let mappings = mappings.map_err(|error| open::target_error(pid, error))?;
        let has_glibc = mappings.iter().any(|mapping| {
            let file = mapping.file_path().rsplit('/').next().unwrap_or("");
            file.starts_with("libc.so.6") || file.starts_with("libc-2.")
        });
        Ok(Target {
            pid,
            process,
            program,
            session,
            has_glibc,
        })
    }

    fn error(&self, error: TargetError) -> LookError {
        match self.process.is_alive() {
            true => open::target_error(self.pid, error),
            false => LookError::Gone(self.pid),
        }
    }

    /// A process that ends makes no sense any more before it is gone.
    fn walk_error(&self, error: WalkError) -> LookError {
        match self.process.is_alive() {
            true => open::walk_error(self.pid, error),
            false => LookError::Gone(self.pid),
        }
    }

    /// The interpreter, and its memory as it is while it runs.
    fn python(&self) -> Result<(Python, Mirror), LookError> {
        let live = self.session.live().map_err(|error| self.error(error))?;
        let python = Python::open(self.program.clone(), &live);
        let python = python.map_err(|error| self.walk_error(error))?;
        Ok((python, live))
    }

    /// Reads something of the process while it runs, again if what was read did not fit together.
    fn read<T>(&self, read: impl Fn() -> Result<T, LookError>) -> Result<T, LookError> {
        let mut tries = 1..ATTEMPTS;
        loop {
            match read() {
                Err(_) if self.process.is_alive() && tries.next().is_some() => {
                    std::thread::sleep(PAUSE);
                }
                done => return done,
            }
        }
    }

    /// Resident bytes now.
    fn resident(&self) -> Result<u64, LookError> {
        let memory = self.process.memory_use();
        Ok(memory.map_err(|error| self.error(error))?.rss)
    }

    /// The threads that the interpreter knows, by our numbers.
    fn python_threads(&self) -> Result<Vec<i32>, LookError> {
        self.read(|| self.python_threads_now())
    }

    fn python_threads_now(&self) -> Result<Vec<i32>, LookError> {
        let (python, live) = self.python()?;
        let threads = self.process.threads();
        let first = threads
            .iter()
            .find(|thread| thread.tid == self.pid)
            .map_or(self.pid, |thread| thread.own_tid);
        let known = python.threads(&live, first);
        let known = known.map_err(|error| self.walk_error(error))?;
        let ours = threads
            .iter()
            .filter(|thread| known.contains(&thread.own_tid));
        Ok(ours.map(|thread| thread.tid).collect())
    }

    fn pending_call(
        &self,
        allocator: &Allocator,
        call: &PendingCall,
    ) -> Result<Option<Pokes>, LookError> {
        self.read(|| {
            let (python, live) = self.python()?;
            let pokes = python.pending_call(&live, allocator, call);
            pokes.map_err(|error| self.walk_error(error))
        })
    }

    /// Functions of the process by name, from the file that holds the interpreter, and from any.
    fn functions(&self) -> Result<HashMap<String, RemoteAddr>, LookError> {
        let mappings = self.process.mappings().map_err(|error| self.error(error))?;
        let mut found = HashMap::new();
        let modules = elf::modules(&mappings);
        // Its state may be among the zeros that follow the file, in a mapping of their own.
        let starts = modules.iter().map(|module| module.range().start);
        let python = starts
            .filter(|&start| start <= self.program.runtime.0)
            .max();
        for module in &modules {
            let mut names: Vec<&str> = system::FUNCTIONS.to_vec();
            if Some(module.range().start) == python {
                names.extend(FUNCTIONS);
            }
            // A file that is gone or damaged has nothing to offer.
            if let Ok(symbols) = elf::find_symbols(&self.process, module, &names) {
                for (name, at) in symbols {
                    found.entry(name).or_insert(at);
                }
            }
        }
        Ok(found)
    }
}

/// How many bytes the process could give back now.
pub fn releasable(target: &Target) -> Result<u64, LookError> {
    let wanted = Wanted {
        dry_run: true,
        ..Wanted::default()
    };
    let held = target.read(|| account::account(target, &wanted))?;
    let known = held.steps(&wanted).into_iter();
    Ok(known.filter_map(|step| step.releasable_bytes).sum())
}

/// Has the process give memory back, and says what came of it.
pub fn release(
    target: &Target,
    wanted: &Wanted,
    progress: &dyn Progress,
) -> Result<ReleaseView, LookError> {
    let started = Instant::now();
    progress.stage("looking at what it holds");
    let account = || target.read(|| account::account(target, wanted));
    let mut held = account()?;
    let mut view = ReleaseView::new(target.pid, held.summary());
    view.dry_run = wanted.dry_run;
    view.notes.extend(held.notes.iter().cloned());
    view.steps = held.steps(wanted);
    let worth_it = wanted.runs_python() || view.releasable_bytes() >= wanted.least;
    if !wanted.dry_run && worth_it && view.steps.iter().any(ReleaseStep::is_due) {
        let functions = target.functions()?;
        if wanted.runs_python() {
            progress.stage("running Python code in it");
            let inside = Inside::load(target, &functions, 0)?;
            code::run(&inside, &held, wanted, &mut view)?;
            inside.unload(&mut view)?;
            // There is more to give now.
            held = account()?;
            view.expect(held.steps(wanted));
        }
        progress.stage("giving memory back");
        let inside = Inside::load(target, &functions, held.room())?;
        for allocator in &held.allocators {
            if inside.is_left_to_it() {
                break;
            }
            pymalloc::shed(&inside, &held, allocator, wanted, &mut view)?;
        }
        if !wanted.undo && !inside.is_left_to_it() {
            system::trim(&inside, &held, &mut view)?;
        }
        inside.unload(&mut view)?;
        progress.stage("looking again");
        match account() {
            Ok(after) => {
                view.retirable_bytes = after.retirable();
                view.after = Some(after.summary());
            }
            Err(error) if target.process.is_alive() => {
                view.notes
                    .push(format!("what it holds now is not known: {error}"));
            }
            Err(error) => return Err(error),
        }
    }
    view.seconds = started.elapsed().as_secs_f64();
    Ok(view)
}
