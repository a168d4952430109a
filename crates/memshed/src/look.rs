//! From a process to its heap: freeze, copy, walk.

use crate::error::LookError;
use crate::open;
use memshed_analysis::largest_ids;
use memshed_cpython::{Phase, Program, Python, Surroundings, Walk, WalkError, WalkOptions};
use memshed_heap::{Container, Heap, Method, Problem, SnapshotInfo};
use memshed_target::{
    FreezeInfo, FreezeRequest, Frozen, MappingUse, Memory, Process, Range, ReadError, Residency,
    Session, SessionOptions, TargetError, WordTest,
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Of so many of the largest objects contents are shown, where that is asked for.
const PREVIEWED: usize = 1000;

/// How a process is to be looked at.
#[derive(Clone, Debug, Default)]
pub struct LookOptions {
    /// The way to freeze it, if it is the user's choice.
    pub method: Option<Method>,
    /// The longest that it may stand still.
    pub max_stop: Option<Duration>,
    /// Whether contents are wanted, and not only names and sizes.
    pub values: bool,
    /// Whether the edges are wanted.
    pub want_edges: bool,
    /// Whether objects of equal contents are to be found.
    pub duplicates: bool,
    /// Whether all of them are wanted, and what instances of classes are made of.
    pub advice: bool,
    /// Whether old objects are to be known again in a later look.
    pub fingerprints: bool,
}

/// Told what is being done, so that somebody can watch.
pub trait Progress: Sync {
    /// A new stage begins, such as `finding objects`.
    fn stage(&self, name: &str);
}

/// Looks at the process `pid`.
pub fn look(pid: i32, options: &LookOptions, progress: &dyn Progress) -> Result<Heap, LookError> {
    let started = Instant::now();
    let taken_at = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let look = Look {
        pid,
        options,
        progress,
    };
    let process = open::open(pid)?;
    let program = open::program(&process)?;

    look.progress.stage("freezing the process");
    let mut session = Session::start(&process, SessionOptions::default())
        .map_err(|error| look.target_error(error))?;
    let uses = process
        .mapping_use()
        .map_err(|error| look.target_error(error))?;
    let frozen = look.freeze(&mut session, &program, &process, &uses)?;
    let python =
        Python::open(program, &frozen).map_err(|error| look.frozen_error(&frozen, error))?;
    // Now, since it may end any time.
    let facts = look.facts(&process, python.version(), &uses)?;
    let walk = look
        .find(&python, &frozen)
        .map_err(|error| look.frozen_error(&frozen, error))?;
    let around = look.around(&process, &walk, &frozen, uses)?;
    let mut walk = walk.find_large(&around);
    // All that is needed has been read: from here on the process is on its own.
    let info = frozen.finish().map_err(|error| look.target_error(error))?;
    look.whole(&info)?;
    stand_back();
    let mut heap = walk.heap(&around, &|phase| look.phase(phase));
    if options.values {
        let largest = largest_ids(&heap, PREVIEWED);
        heap.previews = Some(walk.previews(&heap, &largest));
    }
    if options.want_edges {
        heap.edges = Some(walk.edges(&mut heap.strings, &|phase| look.phase(phase)));
        heap.code = walk.code(&mut heap.strings);
        heap.stacks = walk.stacks(&mut heap.strings);
    }
    heap.fill = walk.fill();
    if options.duplicates {
        heap.duplicates = walk.duplicates(&heap.objects);
    }
    if options.fingerprints {
        heap.fingerprints = walk.fingerprints(&heap.objects);
    }
    if options.advice {
        heap.copies = walk.copies(&heap.objects);
        heap.instances = walk.instances(&heap.objects);
    }
    heap.process = facts;
    heap.snapshot = SnapshotInfo {
        method: method(info.method),
        method_reason: info.reason.clone(),
        taken_at: taken_at.as_secs_f64(),
        stopped_ms: info.stopped.as_secs_f64() * 1e3,
        seconds: started.elapsed().as_secs_f64(),
        problems: problems([walk.problems(), around.problems()].concat(), &info),
    };
    Ok(heap)
}

/// As [`look`], in a thread of its own, whose priority alone is lowered: whoever looks again and
/// again begins each look at full speed.
pub fn look_aside<P: Progress>(
    pid: i32,
    options: &LookOptions,
    progress: impl Fn() -> P + Sync,
) -> Result<Heap, LookError> {
    let look = || look(pid, options, &progress());
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("look".into());
        match thread.spawn_scoped(scope, look) {
            Ok(thread) => thread
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
            Err(error) => Err(LookError::Other {
                pid,
                what: format!("no thread for it: {error}"),
            }),
        }
    })
}

/// Lets the process that is looked at go first, now that nothing waits for memshed: by priority,
/// and by leaving one processor to it. Two of memshed's threads on a machine of two would hold it
/// up for whole time slices.
fn stand_back() {
    // Refused where the limits say so; then it is as it was.
    let _ = rustix::process::nice(10);
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().max(2) - 1);
    // Refused if an earlier look did it.
    let _ = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global();
}

/// What does not change during a look.
struct Look<'a> {
    pid: i32,
    options: &'a LookOptions,
    progress: &'a dyn Progress,
}

impl Look<'_> {
    /// Freezes the process at a moment when no collection runs, if there is one soon.
    fn freeze(
        &self,
        session: &mut Session,
        program: &Program,
        process: &Process,
        uses: &[MappingUse],
    ) -> Result<Frozen, LookError> {
        let live = session.live().map_err(|error| self.target_error(error))?;
        let python =
            Python::open(program.clone(), &live).map_err(|error| self.walk_error(error))?;
        let quiet = |addr| WordTest::is(addr, 4, 0);
        let avoid = python.collecting(&live).into_iter().map(quiet).collect();
        drop(live);
        let request = FreezeRequest {
            method: self.options.method.and_then(|method| match method {
                Method::Fork => Some(memshed_target::Method::Fork),
                Method::Pause => Some(memshed_target::Method::Pause),
                Method::Core | Method::File => None,
            }),
            max_stop: self.options.max_stop,
            avoid,
            ..FreezeRequest::default()
        };
        let rehearse = |live: &memshed_target::Mirror| {
            let options = WalkOptions {
                still: false,
                ..self.walk_options()
            };
            // Torn as the running process is, this only has to read what will be read again.
            if let Ok(python) = Python::open(program.clone(), live)
                && let Ok(walk) = Walk::find(&python, live, options, &|_| {})
            {
                let own = walk.interpreter_mappings();
                let threads = process.threads();
                let none = Residency::default();
                let around = Surroundings::read(live, uses.to_vec(), none, &own, threads);
                let _ = around.map(|around| walk.find_large(&around));
            }
        };
        session
            .freeze(&request, rehearse)
            .map_err(|error| self.target_error(error))
    }

    fn find<'m, M: Memory>(
        &self,
        python: &'m Python,
        memory: &'m M,
    ) -> Result<Walk<'m, M>, WalkError> {
        Walk::find(python, memory, self.walk_options(), &|phase| {
            self.phase(phase)
        })
    }

    /// What is around the interpreter's heap.
    fn around(
        &self,
        process: &Process,
        walk: &Walk<'_, Frozen>,
        frozen: &Frozen,
        uses: Vec<MappingUse>,
    ) -> Result<Surroundings, LookError> {
        self.progress.stage("reading the allocator's heaps");
        // A fork lacks the page tables of file mappings, so the process itself is asked.
        let resident = uses.iter().filter(|usage| usage.rss > 0);
        let ranges: Vec<Range> = resident.map(|usage| usage.mapping.range()).collect();
        let residency = process
            .residency(&ranges)
            .map_err(|error| self.target_error(error))?;
        let own = walk.interpreter_mappings();
        let threads = process.threads();
        let read = Surroundings::read(frozen, uses.clone(), residency.clone(), &own, threads);
        let paused = frozen.info().method == memshed_target::Method::Pause;
        match read {
            // During a pause only that is copied which the process had beforehand.
            Err(ReadError::NotCopied(at)) if paused => {
                Ok(Surroundings::unknown(uses, residency, at))
            }
            read => read.map_err(|error| self.frozen_error(frozen, error.into())),
        }
    }

    fn walk_options(&self) -> WalkOptions {
        WalkOptions {
            still: true,
            values: self.options.values,
            references: self.options.want_edges,
            duplicates: self.options.duplicates || self.options.advice,
        }
    }

    fn phase(&self, phase: Phase) {
        let name = match phase {
            Phase::Finding => "finding objects",
            Phase::Sizing => "sizing objects",
            Phase::Holding => "finding who holds them",
            Phase::Edges => "listing references",
        };
        self.progress.stage(name);
    }

    fn facts(
        &self,
        process: &Process,
        python: String,
        uses: &[MappingUse],
    ) -> Result<memshed_heap::Process, LookError> {
        let status = process.status().map_err(|error| self.target_error(error))?;
        let beside = process
            .memory_beside()
            .map_err(|error| self.target_error(error))?;
        let sum = |of: fn(&MappingUse) -> u64| uses.iter().map(of).sum();
        let rss_bytes = sum(|usage| usage.rss);
        Ok(memshed_heap::Process {
            pid: self.pid,
            python,
            executable: process.exe().unwrap_or_default().display().to_string(),
            uptime_seconds: process.uptime().unwrap_or_default().as_secs_f64(),
            threads: status.threads,
            rss_bytes,
            pss_bytes: sum(|usage| usage.pss),
            uss_bytes: sum(|usage| usage.private_clean + usage.private_dirty),
            swap_bytes: sum(|usage| usage.swap),
            // The kernel counts its high-water mark in batches and may lag behind.
            peak_rss_bytes: status.peak.max(rss_bytes),
            page_tables_bytes: beside.page_tables,
            kernel_stacks_bytes: beside.kernel_stacks,
            huge_pool_bytes: beside.huge_pool,
            huge_pages_bytes: beside.anon_huge,
            locked_bytes: beside.locked,
            container: process.groups().memory_limit().map(|limit| Container {
                limit_bytes: limit.limit,
                used_bytes: limit.usage,
            }),
        })
    }

    /// An error if the copy went before all of it was read.
    fn whole(&self, info: &FreezeInfo) -> Result<(), LookError> {
        match info.cut_short.clone() {
            Some(_) if info.target_ended => Err(LookError::Gone(self.pid)),
            Some(what) => Err(LookError::Other {
                pid: self.pid,
                what,
            }),
            None => Ok(()),
        }
    }

    /// What stopped the walk through a copy: if that went too early, it made no sense either.
    fn frozen_error(&self, frozen: &Frozen, error: WalkError) -> LookError {
        let info = frozen.finish().map_err(|error| self.target_error(error));
        match info.and_then(|info| self.whole(&info)) {
            Err(why) => why,
            Ok(()) => self.walk_error(error),
        }
    }

    fn walk_error(&self, error: WalkError) -> LookError {
        open::walk_error(self.pid, error)
    }

    fn target_error(&self, error: TargetError) -> LookError {
        open::target_error(self.pid, error)
    }
}

fn method(method: memshed_target::Method) -> Method {
    match method {
        memshed_target::Method::Fork => Method::Fork,
        memshed_target::Method::Pause => Method::Pause,
    }
}

/// The walk's problems and the freeze's.
fn problems(mut problems: Vec<Problem>, info: &FreezeInfo) -> Vec<Problem> {
    let mut add = |kind: &str, count: u64, example: String| {
        if count > 0 {
            problems.push(Problem {
                kind: kind.to_owned(),
                count,
                example,
            });
        }
    };
    let missing: u64 = info.missing.iter().map(|range| range.len()).sum();
    let first = info.missing.first().map_or(0, |range| range.start);
    add(
        "not-in-the-copy",
        info.missing.len() as u64,
        format!("{missing} bytes in all, the first at {first:#x}"),
    );
    add(
        "threads-that-ran",
        info.ran_meanwhile.into(),
        "threads that slept in the kernel woke up during the freeze".to_owned(),
    );
    let left = info.left_behind.clone();
    add(
        "left-behind",
        u64::from(left.is_some()),
        left.unwrap_or_default(),
    );
    problems
}
