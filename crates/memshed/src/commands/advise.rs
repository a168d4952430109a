//! `memshed advise`: what would make a program smaller or faster, and the line to change.

use super::Status;
use crate::cli::AdviseArgs;
use crate::collector::Watcher;
use crate::error::{CommandError, LookError};
use crate::family;
use crate::launch::Launched;
use crate::look::{LookOptions, Progress, look_aside};
use crate::obtain;
use crate::printer::Printer;
use crate::release;
use crate::target::{self, Target};
use memshed_analysis::advise::{CollectorCost, FreeMeanwhile, LEAST_TIME, Seen, advise, staying};
use memshed_heap::Heap;
use memshed_report::AdviseView;
use std::time::{Duration, Instant};

/// A command that was started gets this long before it is watched.
const STARTING: Duration = Duration::from_secs(1);
/// Of the time one part in so many is kept for seeing what stays.
const LATER: u32 = 3;

/// Watches, looks, and advises.
pub fn run(args: &AdviseArgs, printer: &Printer) -> Result<Status, CommandError> {
    let mut remarks = Vec::new();
    let (heap, seen) = match &args.target {
        None => {
            let launched = Launched::start(&args.command, Some(STARTING))?;
            printer.remark(&format!("looking at process {}", launched.pid));
            if launched.is_ending() {
                remarks.push(
                    "The command was about to end, so that its collector was not watched."
                        .to_owned(),
                );
                (look(launched.pid, args, printer)?, Seen::default())
            } else {
                process(launched.pid, args, printer, &mut remarks)?
            }
        }
        Some(name) => match target::find(name)? {
            Target::Process(pid) => process(pid, args, printer, &mut remarks)?,
            Target::Snapshot(path) => {
                remarks.push(
                    "A snapshot does not say which values are equal and what instances are made of: \
                     ask the process itself for advice on these."
                        .to_owned(),
                );
                let heap = obtain::snapshot(&path, true, args.look.values)?;
                (heap, Seen::default())
            }
        },
    };
    let stages = printer.stages();
    stages.stage("looking for advice");
    let advised = advise(&heap, &seen);
    drop(stages);
    let mut view = AdviseView::new(&heap, advised);
    view.collector = seen.collector;
    view.family = seen.family;
    view.remarks = remarks;
    printer.report(&view)?;
    Ok(Status::Fine)
}

/// Watches a process's collector, then looks at its heap.
fn process(
    pid: i32,
    args: &AdviseArgs,
    printer: &Printer,
    remarks: &mut Vec<String>,
) -> Result<(Heap, Seen), CommandError> {
    let mut seen = Seen::default();
    let watcher = Watcher::new(pid)?;
    let (first, later) = (args.run_for - args.run_for / LATER, args.run_for / LATER);
    let stages = printer.stages();
    stages.stage("watching the garbage collector");
    let (mut samples, free) = watcher.watch(first, |time| free_meanwhile(pid, time))?;
    seen.free = free.flatten();
    let cost = CollectorCost::of(&samples);
    let mut earlier = None;
    if cost.share() * cost.load() >= LEAST_TIME {
        // What stays is told from two looks; the first one needs to know what is there only.
        let began = Instant::now();
        let options = LookOptions {
            fingerprints: true,
            ..obtain::options(&args.look, false)
        };
        earlier = look_aside(pid, &options, || printer.stages()).ok();
        std::thread::sleep(later.saturating_sub(began.elapsed()));
    } else {
        let (more, free) = watcher.watch(later, |time| free_meanwhile(pid, time))?;
        samples.extend(more);
        seen.free = joined(seen.free, free.flatten());
    }
    drop(stages);
    let cost = CollectorCost::of(&samples);
    if samples.len() < 2 {
        remarks.push("The garbage collector was not watched.".to_owned());
    } else {
        seen.collector = Some(cost);
    }
    let heap = look(pid, args, printer)?;
    seen.staying = earlier.map(|earlier| staying(&earlier, &heap));
    seen.family = family::family(pid);
    Ok((heap, seen))
}

/// Looks again and again for what could be given back, until `time` is over; a tenth of the time at
/// most. `None` if that cannot be told without stopping the process.
fn free_meanwhile(pid: i32, time: Duration) -> Option<FreeMeanwhile> {
    const EVERY: Duration = Duration::from_millis(50);
    const PART: u32 = 10;
    let began = Instant::now();
    let target = release::Target::open(pid).ok()?;
    let mut free = FreeMeanwhile {
        least: u64::MAX,
        ..FreeMeanwhile::default()
    };
    loop {
        let look = Instant::now();
        let now = release::releasable(&target).ok()?;
        free.least = free.least.min(now);
        free.most = free.most.max(now);
        free.moments += 1;
        free.seconds = began.elapsed().as_secs_f64();
        let cost = look.elapsed();
        let pause = EVERY.max(cost * PART);
        if began.elapsed() + pause + cost > time {
            return Some(free);
        }
        std::thread::sleep(pause);
    }
}

/// Both times together.
fn joined(one: Option<FreeMeanwhile>, other: Option<FreeMeanwhile>) -> Option<FreeMeanwhile> {
    let (Some(one), Some(other)) = (one, other) else {
        return one.or(other);
    };
    Some(FreeMeanwhile {
        least: one.least.min(other.least),
        most: one.most.max(other.most),
        moments: one.moments + other.moments,
        seconds: one.seconds + other.seconds,
    })
}

fn look(pid: i32, args: &AdviseArgs, printer: &Printer) -> Result<Heap, LookError> {
    let options = LookOptions {
        advice: true,
        fingerprints: true,
        ..obtain::options(&args.look, true)
    };
    look_aside(pid, &options, || printer.stages())
}
