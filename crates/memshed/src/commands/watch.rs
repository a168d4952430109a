//! `memshed inspect --every`: one process over time.
//!
//! Each look is taken in a thread of its own, since a look gives up its priority once the process
//! is on its own again: the next one's tracer must not begin without.

use super::Status;
use crate::cli::InspectArgs;
use crate::ended::Ended;
use crate::error::{CommandError, LookError, TargetError};
use crate::history::{History, HistoryError};
use crate::interrupt;
use crate::launch::Launched;
use crate::look::{LookOptions, look_aside};
use crate::obtain;
use crate::printer::{Printer, Stream};
use crate::target::{self, Target};
use memshed_heap::Heap;
use memshed_report::{Watch, WatchEvent, WatchReason, WatchSkipped, WatchStart, WatchTable};
use memshed_target::Process;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How long a process may take to end when a look at it has failed because of that.
const LAST_BREATH: Duration = Duration::from_millis(500);
/// Looks do not begin at shorter intervals.
const SHORTEST: Duration = Duration::from_millis(100);

/// Watches the target until it ends, or for as long as was asked for.
pub fn run(args: &InspectArgs, every: Duration, printer: &Printer) -> Result<Status, CommandError> {
    if every < SHORTEST {
        return Err(CommandError::Usage {
            what: "the interval is too short".into(),
            hint: "looks can begin every 100ms at most".into(),
        });
    }
    // Known before the process is touched.
    let history = args.history.as_deref().map(History::open).transpose()?;
    let (pid, launched) = find(args, every)?;
    let options = obtain::options(&args.look, false);
    let process = Process::open(pid).map_err(|_| LookError::NoSuchProcess(pid))?;
    let began = now();
    let start = WatchStart {
        pid,
        start_time: process.start_time(),
        boot_id: boot_id(),
        at: began,
        every_seconds: every.as_secs_f64(),
        ..WatchStart::default()
    };
    let output = Arc::new(Mutex::new(Output {
        watch: Watch::new(began),
        table: printer.watch_table(),
        stream: printer.stream()?,
        history,
        beginning: None,
        lossy: false,
        ended: false,
        status: Status::Fine,
    }));
    let at_interrupt = Arc::clone(&output);
    interrupt::finish_with(move || {
        let mut output = at_interrupt.lock().unwrap_or_else(PoisonError::into_inner);
        output.end(WatchReason::Interrupted);
        output.status as u8
    });
    let watcher = Watcher {
        process: Ended::new(process),
        options,
        printer,
        output,
        every,
        count: args.count,
        until: args.target.run_for.map(|time| Instant::now() + time),
    };
    // A command that is about to end stands still for one look.
    let once = launched.as_ref().is_some_and(Launched::is_ending);
    watcher.run(start, once)
}

/// The process to watch, and the command that it is, if it was to be started.
fn find(args: &InspectArgs, every: Duration) -> Result<(i32, Option<Launched>), CommandError> {
    match &args.target.target {
        Some(name) => match target::find(name)? {
            Target::Process(pid) => Ok((pid, None)),
            Target::Snapshot(path) => Err(TargetError::NotAProcess(path).into()),
        },
        None => {
            let launched = Launched::start(&args.target.command, Some(every))?;
            Ok((launched.pid, Some(launched)))
        }
    }
}

fn now() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs_f64()
}

/// Which boot of the machine this is (random(4)).
fn boot_id() -> String {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id");
    id.unwrap_or_default().trim().to_owned()
}

/// What is told, and where to. One lock: what an interruption tells comes after whole lines.
struct Output {
    watch: Watch,
    table: WatchTable,
    stream: Stream,
    history: Option<History>,
    /// The beginning that the history still lacks.
    beginning: Option<WatchEvent>,
    /// Whether the last line could not be kept.
    lossy: bool,
    ended: bool,
    status: Status,
}

impl Output {
    /// Tells an event; whether anybody still reads.
    fn tell(&mut self, event: &WatchEvent) -> bool {
        match self.keep(event) {
            Ok(()) => self.lossy = false,
            Err(error) => {
                // Told once; the next line may find room again. The status tells at the end.
                if !std::mem::replace(&mut self.lossy, true) {
                    let hint = error.hint();
                    eprintln!("memshed: {error}; the watch goes on\nhint: {hint}");
                }
                self.status = Status::CouldNot;
            }
        }
        let Output {
            table,
            stream,
            status,
            ..
        } = self;
        let told = stream.write(|| table.lines(event), || event.json() + "\n");
        told.unwrap_or_else(|error| {
            eprintln!("memshed: {error}");
            *status = Status::CouldNot;
            false
        })
    }

    /// Appends an event to the history. Its first line is the beginning.
    fn keep(&mut self, event: &WatchEvent) -> Result<(), HistoryError> {
        let Some(history) = &mut self.history else {
            return Ok(());
        };
        match event {
            WatchEvent::Start(start) => {
                let new = start.continues.is_none();
                self.beginning = new.then(|| event.clone());
            }
            // It ends before it began.
            _ if self.watch.looks() == 0 => return Ok(()),
            _ => {}
        }
        if let Some(beginning) = &self.beginning {
            history.append(beginning)?;
            self.beginning = None;
        }
        match event {
            WatchEvent::Start(_) => Ok(()),
            event => history.append(event),
        }
    }

    fn end(&mut self, reason: WatchReason) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let end = self.watch.end(reason);
        self.tell(&WatchEvent::End(end));
    }
}

/// A watch that is under way.
struct Watcher<'a> {
    process: Ended,
    options: LookOptions,
    printer: &'a Printer,
    output: Arc<Mutex<Output>>,
    every: Duration,
    count: Option<u64>,
    until: Option<Instant>,
}

impl Watcher<'_> {
    /// The output, unless an interruption has ended it: then this never returns.
    fn output(&self) -> MutexGuard<'_, Output> {
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        if interrupt::came() {
            drop(output);
            interrupt::yield_to_interrupt();
            return self.output();
        }
        output
    }

    fn run(&self, start: WatchStart, once: bool) -> Result<Status, CommandError> {
        let mut beat = Instant::now();
        let mut looks = 0;
        let mut start = Some(start);
        let reason = loop {
            let at = now();
            let looked = Instant::now();
            let result = self.look();
            looks += 1;
            if !self.result(result, at, &mut start)? {
                // Nobody reads any more.
                return Ok(self.output().status);
            }
            if once || self.process.has_ended() {
                break WatchReason::Exited;
            }
            if self.count.is_some_and(|count| looks >= count) {
                break WatchReason::Count;
            }
            beat = self.next(beat, looked.elapsed());
            if self.until.is_some_and(|until| beat > until) {
                let until = self.until.unwrap_or(beat);
                break match self.process.wait(until) {
                    true => WatchReason::Exited,
                    false => WatchReason::Time,
                };
            }
            if self.process.wait(beat) {
                break WatchReason::Exited;
            }
        };
        let mut output = self.output();
        output.end(reason);
        Ok(output.status)
    }

    fn look(&self) -> Result<Heap, LookError> {
        let stages = || self.printer.stages();
        look_aside(self.process.process().pid(), &self.options, stages)
    }

    /// Tells what came of a look that began at `at`; whether anybody still reads. The first one
    /// has to succeed.
    fn result(
        &self,
        result: Result<Heap, LookError>,
        at: f64,
        start: &mut Option<WatchStart>,
    ) -> Result<bool, CommandError> {
        // One that is just about to end is in no state to be looked at.
        let ended = result.is_err() && self.process.wait(Instant::now() + LAST_BREATH);
        let mut output = self.output();
        let heap = match result {
            Ok(heap) => heap,
            Err(error) if start.is_some() => return Err(error.into()),
            // That it has ended is told at the end.
            Err(_) if ended => return Ok(true),
            Err(error) => {
                let missed = output.watch.missed(at, error.to_string());
                return Ok(output.tell(&WatchEvent::Missed(missed)));
            }
        };
        if let Some(mut start) = start.take() {
            start.python = heap.process.python.clone();
            start.executable = heap.process.executable.clone();
            let history = output.history.as_ref();
            start.continues = history.and_then(|history| history.continues(&start));
            output.tell(&WatchEvent::Start(start));
        }
        let look = output.watch.look(&heap);
        Ok(output.tell(&WatchEvent::Look(look)))
    }

    /// The beat after `beat` that is still to come. Those that a look of the length `took` ran
    /// over are left out, which is told.
    fn next(&self, beat: Instant, took: Duration) -> Instant {
        let late = Instant::now().saturating_duration_since(beat + self.every);
        let skipped = (late.as_nanos() / self.every.as_nanos()) as u64 + u64::from(!late.is_zero());
        if skipped > 0 {
            let event = WatchEvent::Skipped(WatchSkipped {
                count: skipped,
                look_seconds: took.as_secs_f64(),
            });
            self.output().tell(&event);
        }
        let beats = u32::try_from(skipped + 1).unwrap_or(u32::MAX);
        beat + self.every * beats
    }
}
