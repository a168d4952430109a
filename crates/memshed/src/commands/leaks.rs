//! `memshed leaks`: what leaks, who holds it, and what to change.

use super::Status;
use crate::cli::LeaksArgs;
use crate::error::{CommandError, LookError, TargetError};
use crate::launch::Launched;
use crate::look::{LookOptions, look_aside};
use crate::obtain;
use crate::printer::Printer;
use crate::proc;
use crate::target::{self, Target};
use memshed_analysis::{Cohorts, FindingKind, any_of, findings};
use memshed_heap::Heap;
use memshed_report::{LeaksView, Sample};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long a process is watched if the user does not say.
const USUAL: Duration = Duration::from_secs(20);
/// So many looks are spread over that time.
const LOOKS: u32 = 10;
/// So many are taken even if nothing seems to happen.
const FEWEST: usize = 6;
/// Looks do not begin at shorter intervals.
const SHORTEST: Duration = Duration::from_millis(250);
/// At most one part in so many of the time goes into looks, as far as that leaves enough of them.
const SHARE: u32 = 4;
/// How often resident memory is asked for in between.
const BLINK: Duration = Duration::from_millis(100);
/// A command that was started gets this long before it is first looked at.
const STARTING: Duration = Duration::from_secs(1);
/// Resident memory that changes by less than one part in so many has not changed.
const STILL: u64 = 500;

/// Watches, or reads snapshots, and reports.
pub fn run(args: &LeaksArgs, printer: &Printer) -> Result<Status, CommandError> {
    let fail_on = kinds(&args.fail_on)?;
    let time = args.run_for.unwrap_or(USUAL);
    if time.is_zero() {
        return Err(CommandError::Usage {
            what: "--for 0 leaves no time to look".into(),
            hint: "give it some seconds, such as --for 30s; several minutes for a slow leak".into(),
        });
    }
    let seen = match args.targets.as_slice() {
        [] => command(args, time, printer)?,
        targets => match resolve(targets)? {
            Resolved::Process(pid) => Watcher::new(pid, args, printer).watch(time)?,
            Resolved::Snapshots(paths) => snapshots(&paths, args)?,
        },
    };
    let stages = printer.stages();
    crate::look::Progress::stage(&stages, "looking for leaks");
    let found = findings(&seen.heap, &seen.cohorts);
    drop(stages);
    let failed = any_of(&found, &fail_on);
    let mut view = LeaksView::new(&seen.heap, &seen.cohorts, found);
    view.samples = seen.samples;
    view.stopped_ms = seen.stopped_ms;
    view.remarks = seen.remarks;
    printer.report(&view)?;
    Ok(if failed {
        Status::Findings
    } else {
        Status::Fine
    })
}

/// What looks have come to.
struct Seen {
    heap: Heap,
    cohorts: Cohorts,
    samples: Vec<Sample>,
    stopped_ms: f64,
    remarks: Vec<String>,
}

/// What the targets are.
enum Resolved {
    Process(i32),
    Snapshots(Vec<PathBuf>),
}

fn resolve(targets: &[std::ffi::OsString]) -> Result<Resolved, CommandError> {
    let mut paths = Vec::new();
    for name in targets {
        match target::find(name)? {
            Target::Process(pid) if targets.len() == 1 => return Ok(Resolved::Process(pid)),
            Target::Process(_) => {
                return Err(CommandError::Usage {
                    what: "only snapshots can be given together".into(),
                    hint: "one process, or snapshots of one process in the order that they were \
                           taken"
                        .into(),
                });
            }
            Target::Snapshot(path) => paths.push(path),
        }
    }
    Ok(Resolved::Snapshots(paths))
}

fn kinds(words: &[String]) -> Result<Vec<FindingKind>, CommandError> {
    let kind = |word: &String| {
        FindingKind::from_word(word).ok_or_else(|| {
            let all: Vec<&str> = FindingKind::ALL.iter().map(|kind| kind.word()).collect();
            CommandError::Usage {
                what: format!("there is no kind of finding {word:?}"),
                hint: format!("there are {}", all.join(", ")),
            }
        })
    };
    words.iter().map(kind).collect()
}

/// Reads snapshots of one process, in the order of time.
fn snapshots(paths: &[PathBuf], args: &LeaksArgs) -> Result<Seen, CommandError> {
    let mut cohorts = Cohorts::default();
    let mut last: Option<Heap> = None;
    let mut stopped_ms: f64 = 0.0;
    for path in paths {
        let heap = obtain::snapshot(path, true, args.look.values)?;
        if let Some(before) = &last {
            same_process(before, &heap, path)?;
        }
        stopped_ms = stopped_ms.max(heap.snapshot.stopped_ms);
        cohorts.add(&heap);
        last = Some(heap);
    }
    let Some(heap) = last else {
        return Err(TargetError::Unknown(String::new()).into());
    };
    Ok(Seen {
        heap,
        cohorts,
        samples: Vec::new(),
        stopped_ms,
        remarks: Vec::new(),
    })
}

/// Snapshots tell of growth only if they are of one process, older first.
fn same_process(before: &Heap, after: &Heap, path: &std::path::Path) -> Result<(), CommandError> {
    let (a, b) = (&before.process, &after.process);
    let began = |heap: &Heap| heap.snapshot.taken_at - heap.process.uptime_seconds;
    let same = a.pid == b.pid
        && a.python == b.python
        && a.executable == b.executable
        && (began(before) - began(after)).abs() < 5.0;
    if !same {
        return Err(CommandError::Usage {
            what: format!(
                "{} is of another process than the one before it",
                path.display()
            ),
            hint: "leaks are told from snapshots of one process; `memshed diff` compares any two"
                .into(),
        });
    }
    if after.snapshot.taken_at < before.snapshot.taken_at {
        return Err(CommandError::Usage {
            what: format!(
                "{} was taken before the one named before it",
                path.display()
            ),
            hint: "name the oldest snapshot first".into(),
        });
    }
    Ok(())
}

/// Starts a command, watches it, and ends it.
fn command(args: &LeaksArgs, time: Duration, printer: &Printer) -> Result<Seen, CommandError> {
    let starting = STARTING.min(time / 4);
    let launched = Launched::start(&args.command, Some(starting))?;
    printer.remark(&format!("looking at process {}", launched.pid));
    let mut watcher = Watcher::new(launched.pid, args, printer);
    if launched.is_ending() {
        watcher.once = true;
        watcher
            .remarks
            .push("The command was about to end, so that there was one look only.".to_owned());
    }
    watcher.watch(time)
}

/// Watches a process.
struct Watcher<'a> {
    pid: i32,
    options: LookOptions,
    printer: &'a Printer,
    cohorts: Cohorts,
    last: Option<Heap>,
    samples: Vec<Sample>,
    stopped_ms: f64,
    remarks: Vec<String>,
    once: bool,
}

impl<'a> Watcher<'a> {
    fn new(pid: i32, args: &LeaksArgs, printer: &'a Printer) -> Watcher<'a> {
        Watcher {
            pid,
            options: obtain::options(&args.look, true),
            printer,
            cohorts: Cohorts::default(),
            last: None,
            samples: Vec::new(),
            stopped_ms: 0.0,
            remarks: Vec::new(),
            once: false,
        }
    }

    fn watch(mut self, time: Duration) -> Result<Seen, CommandError> {
        let began = Instant::now();
        let until = began + time;
        let mut longest = Duration::ZERO;
        loop {
            let started = Instant::now();
            self.options.duplicates = started >= until || self.once;
            match self.look() {
                Ok(()) => {}
                Err(error) if self.last.is_none() => return Err(error.into()),
                Err(error) => {
                    self.remarks.push(format!(
                        "The last look failed ({error}); this is what the ones before it say."
                    ));
                    break;
                }
            }
            longest = longest.max(started.elapsed());
            let now = Instant::now();
            // On a busy machine looks take long; a few more moments are better than no answer.
            let enough = self.cohorts.len() >= FEWEST - 1 || now >= until + time;
            if self.once || now >= until && enough {
                break;
            }
            let spare = (longest * SHARE).min(time / FEWEST as u32);
            let interval = (time / LOOKS).max(spare).max(SHORTEST);
            let mut next = started + interval;
            // The last look is at the end, and not shortly before.
            if next + interval / 2 > until {
                next = until.max(now);
            }
            if !self.wait(began, next, until) {
                self.remarks.push(
                    "The program ended while it was watched; this is what was seen until then."
                        .to_owned(),
                );
                break;
            }
        }
        match self.last {
            Some(heap) => Ok(Seen {
                heap,
                cohorts: self.cohorts,
                samples: self.samples,
                stopped_ms: self.stopped_ms,
                remarks: self.remarks,
            }),
            None => Err(LookError::Gone(self.pid).into()),
        }
    }

    /// Waits until `next`, and on towards `until` while nothing changes; `false` if the process
    /// has ended.
    fn wait(&mut self, began: Instant, next: Instant, until: Instant) -> bool {
        let spared = self.cohorts.len() + 1 >= FEWEST;
        let before = self.cohorts.looks.last().map_or(0, |look| look.rss);
        loop {
            let now = Instant::now();
            let Some(rss) = proc::resident_bytes(self.pid) else {
                return false;
            };
            self.samples.push(Sample {
                seconds: (now - began).as_secs_f64(),
                rss_bytes: rss,
            });
            let still = rss.abs_diff(before) * STILL < before;
            if now >= until || now >= next && !(spared && still) {
                return true;
            }
            let end = if now >= next { until } else { next };
            std::thread::sleep(BLINK.min(end.saturating_duration_since(now)));
        }
    }

    fn look(&mut self) -> Result<(), LookError> {
        // Two whole heaps at a time would be too much of a large one.
        let heap = look_aside(self.pid, &self.options, || self.printer.stages())?;
        self.stopped_ms = self.stopped_ms.max(heap.snapshot.stopped_ms);
        self.cohorts.add(&heap);
        self.last = Some(heap);
        Ok(())
    }
}
