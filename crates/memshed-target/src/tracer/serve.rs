//! The tracer's main loop: does what the command asks, and cleans up when the command is gone.

use super::agent::Agent;
use super::copier::Source;
use super::freeze::{Copy, Failed, read_maps};
use super::guard;
use super::home::WayHome;
use super::late::Late;
use super::sleepers::{self, SchedulerClock};
use super::stop;
use crate::cgroup::Groups;
use crate::error::TargetError;
use crate::os::{self, Deadline};
use crate::placement::{self, AreaId};
use crate::protocol::{self, Answer, Ending, Fetch, Fetched, Outcome, Request};
use crate::still::Still;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, RwLock};
use std::time::{Duration, Instant};

/// The first argument of a process that is to be the tracer.
pub(crate) const MARKER: &str = "memshed-tracer";

/// How often memory is looked at while a copy exists.
const WATCH: Duration = Duration::from_millis(10);
/// A copy is kept so long for a command that is itself stopped, as by Ctrl-Z: the target's memory
/// grows by all that it writes to meanwhile.
const STOPPED_LIMIT: Duration = Duration::from_secs(10);
/// How long threads in uninterruptible sleep are waited for at the end.
const LATE_LIMIT: Duration = Duration::from_secs(5);

/// What the copying thread reads from.
#[derive(Default)]
pub(super) struct Sources([RwLock<Option<Arc<Source>>>; 2]);

impl Sources {
    pub(super) fn get(&self, area: AreaId) -> Option<Arc<Source>> {
        self.0[area as usize].read().ok()?.clone()
    }

    pub(super) fn set(&self, area: AreaId, source: Option<Arc<Source>>) {
        if let Ok(mut place) = self.0[area as usize].write() {
            *place = source;
        }
    }
}

/// Everything the tracer knows.
pub(super) struct Tracer {
    pub(super) pid: i32,
    pub(super) memory: Arc<File>,
    pub(super) events: File,
    pub(super) sources: Arc<Sources>,
    pub(super) clock: SchedulerClock,
    pub(super) late: Late,
    pub(super) copy: Option<Copy>,
    pub(super) agent: Option<Agent>,
    /// Earlier ones that the target may yet run.
    pub(super) left_inside: Vec<Agent>,
    /// How threads find back by themselves, once it has been looked for.
    pub(super) way_home: Option<Option<WayHome>>,
    control: UnixStream,
    target: OwnedFd,
    /// Held until the end: one memshed per target.
    _lock: File,
    groups: Groups,
    cut_short: Option<String>,
    /// Whether pages are read of a target that is frozen by its control group.
    pub(super) frozen_is_read: bool,
    /// Since when the command has been stopped, if it is.
    command_stopped: Option<Instant>,
    reap_stop: Duration,
}

/// Is the tracer, until its work is done. `numbers`: the target, and its start time in ticks.
pub(super) fn serve(numbers: &[u64]) -> i32 {
    os::block_signals();
    os::hide_myself();
    let Some((control, copier, memory)) = os::inherited() else {
        return 2;
    };
    let mut tracer = match Tracer::open(numbers, &control, memory) {
        Ok(tracer) => tracer,
        Err(e) => {
            // If nobody listens any more, nobody needs to know.
            let _ = protocol::send(&control, &Answer::Failed(e));
            return 1;
        }
    };
    let sources = Arc::clone(&tracer.sources);
    std::thread::spawn(move || serve_copies(&copier, &sources));
    let asked = protocol::send(&control, &Answer::Ready).and_then(|()| tracer.run());
    tracer.finish();
    tracer.lead_back();
    i32::from(asked.is_err())
}

/// Serves wishes for bytes until the socket closes.
fn serve_copies(socket: &UnixStream, sources: &Sources) {
    while let Ok(Fetch { area, ranges }) = protocol::receive(socket) {
        let source = sources.get(area);
        let there = source.is_some();
        // The target runs meanwhile: one processor is left to it.
        let spare = std::thread::available_parallelism().map_or(1, |n| n.get() - 1);
        let copied = source
            .map(|s| s.fetch(&ranges, u64::MAX, spare))
            .unwrap_or_default();
        if protocol::send(socket, &Fetched { there, copied }).is_err() {
            return;
        }
    }
}

impl Tracer {
    fn open(numbers: &[u64], control: &UnixStream, memory: File) -> Result<Tracer, TargetError> {
        let &[pid, start] = numbers else {
            return Err(TargetError::Tracer("started with wrong arguments".into()));
        };
        let pid = pid as i32;
        let lock =
            File::open(format!("/proc/{pid}/stat")).map_err(|_| TargetError::NoSuchProcess(pid))?;
        if !os::try_lock(&lock).map_err(|e| TargetError::io("locking", &e))? {
            return Err(TargetError::Busy(pid));
        }
        let target = os::open_pidfd(pid).map_err(|_| TargetError::NoSuchProcess(pid))?;
        if crate::status::start_time(pid) != Some(start) {
            return Err(TargetError::NoSuchProcess(pid));
        }
        let fail = |e: io::Error| TargetError::Tracer(e.to_string());
        Ok(Tracer {
            pid,
            memory: Arc::new(memory),
            events: os::open_child_events().map_err(fail)?,
            sources: Arc::default(),
            clock: SchedulerClock::default(),
            late: Late::default(),
            copy: None,
            agent: None,
            left_inside: Vec::new(),
            way_home: None,
            control: control.try_clone().map_err(fail)?,
            target,
            _lock: lock,
            groups: Groups::of(pid),
            cut_short: None,
            frozen_is_read: false,
            command_stopped: None,
            reap_stop: Duration::ZERO,
        })
    }

    /// Until the command hangs up.
    fn run(&mut self) -> io::Result<()> {
        let control = self.control.as_raw_fd();
        loop {
            let mut fds = vec![control, self.events.as_raw_fd()];
            if self.copy.is_some() {
                fds.push(self.target.as_raw_fd());
            }
            let limit = self.copy.as_ref().map(|_| WATCH);
            let ready = os::wait_readable(&fds, limit)?;
            if ready[1] {
                stop::drain(&self.events);
            }
            self.late.let_go(self.pid);
            self.drop_late_copies();
            self.watch_copy(ready.get(2) == Some(&true));
            if ready[0] {
                let Ok(request) = protocol::receive(&self.control) else {
                    return Ok(());
                };
                let answer = self.answer(&request);
                protocol::send(&self.control, &answer)?;
            }
        }
    }

    /// Lets the copy go when it cannot stay.
    fn watch_copy(&mut self, target_ended: bool) {
        if self.copy.is_none() {
            return;
        }
        let why = if target_ended {
            Some("the target ended".to_string())
        } else if self.command_is_stopped_for_long() {
            let limit = STOPPED_LIMIT.as_secs();
            Some(format!("memshed itself was stopped for {limit} s"))
        } else {
            guard::pressure(&self.groups)
        };
        if why.is_some() {
            self.cut_short = why;
            if let Ok(stopped) = self.drop_copy() {
                self.reap_stop = self.reap_stop.max(stopped);
            }
        }
    }

    /// Drops copies that were made by calls that took too long.
    fn drop_late_copies(&mut self) {
        while self.copy.is_none()
            && let Some(child) = self.late.children.pop()
        {
            self.copy = Some(Copy::of(child));
            if self.drop_copy().is_err() {
                // It is tried once more at the end.
                return;
            }
        }
    }

    /// Stays until no thread of the target is where we have led it: it could go nowhere by itself.
    fn lead_back(&mut self) {
        while self.late.leads_back() && self.target_lives() {
            stop::wait_for_child(&self.events, WATCH);
            self.late.let_go(self.pid);
        }
        self.drop_late_copies();
    }

    /// Whether the command, our parent, has been stopped by a signal for too long.
    fn command_is_stopped_for_long(&mut self) -> bool {
        let command = std::os::unix::process::parent_id() as i32;
        if sleepers::state(command, command) != Some('T') {
            self.command_stopped = None;
            return false;
        }
        let since = self.command_stopped.get_or_insert_with(Instant::now);
        since.elapsed() > STOPPED_LIMIT
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let frozen = |outcome: Result<Outcome, Failed>| match outcome {
            Ok(outcome) => Answer::Frozen(outcome),
            Err(Failed::Refused(reason)) => Answer::ForkRefused(reason),
            Err(Failed::Error(e)) => Answer::Failed(e),
        };
        match request {
            Request::Live => match self.open_live() {
                Ok(source) => Answer::Live(source.runs()),
                Err(e) => Answer::Failed(e),
            },
            Request::Plan(request) => match guard::plan(self.pid, request) {
                Ok(plan) => Answer::Plan(plan),
                Err(e) => Answer::Failed(e),
            },
            Request::Fork(request) => {
                let outcome = self.fork(request);
                if outcome.is_err() {
                    // The error that led here matters more than one of the clean-up.
                    let _ = self.drop_copy();
                }
                let ended = !self.target_lives();
                frozen(outcome.map_err(|e| if ended { self.ended() } else { e }))
            }
            Request::Pause(request) => {
                let outcome = self.pause(request);
                let ended = !self.target_lives();
                frozen(outcome.map_err(|e| if ended { self.ended() } else { e }))
            }
            Request::Load { image, data } => {
                let placed = self.load(image, *data);
                self.told(placed.map(Answer::Loaded))
            }
            Request::Put { offset, words } => {
                let stored = self.put(*offset, words);
                self.told(stored.map(|()| Answer::Stored))
            }
            Request::Get { offset, count } => {
                let words = self.get(*offset, *count);
                self.told(words.map(Answer::Words))
            }
            Request::Travel(journey) => {
                let trip = self.travel(journey);
                self.told(trip.map(Answer::Traveled))
            }
            Request::Poke(pokes) => {
                let trip = self.poke(pokes);
                self.told(trip.map(Answer::Poked))
            }
            Request::Unload => {
                let gone = self.unload();
                self.told(gone.map(Answer::Unloaded))
            }
            Request::Finish => Answer::Finished(self.finish()),
        }
    }

    /// An answer, or what went wrong: that the target has ended, if it has.
    fn told(&self, result: Result<Answer, TargetError>) -> Answer {
        match result {
            Ok(answer) => answer,
            Err(TargetError::Execed(pid)) => Answer::Failed(TargetError::Execed(pid)),
            Err(_) if !self.target_lives() => Answer::Failed(TargetError::Exited(self.pid)),
            Err(e) => Answer::Failed(e),
        }
    }

    fn ended(&self) -> Failed {
        Failed::Error(TargetError::Exited(self.pid))
    }

    /// Makes the live process readable.
    pub(super) fn open_live(&mut self) -> Result<Arc<Source>, TargetError> {
        placement::clear(&self.memory, AreaId::Live)
            .map_err(|e| TargetError::io("clearing the copied pages", &e))?;
        let maps = read_maps(self.pid)?;
        let source = Source::new(self.pid, &self.memory, AreaId::Live, maps)
            .map_err(|e| TargetError::io("mapping the copied pages", &e))?;
        let source = Arc::new(source);
        self.sources.set(AreaId::Live, Some(Arc::clone(&source)));
        Ok(source)
    }

    /// Whether the target has not ended.
    pub(super) fn target_lives(&self) -> bool {
        let now = Some(Duration::ZERO);
        !os::wait_readable(&[self.target.as_raw_fd()], now).is_ok_and(|r| r[0])
    }

    /// Waits, not for long, for threads that have not stopped yet.
    fn wait_for_late(&mut self) {
        let deadline = Deadline::after(LATE_LIMIT);
        loop {
            // Some may have stopped already, and the news of that been taken notice of.
            self.late.let_go(self.pid);
            if self.late.is_empty() || deadline.over() {
                return;
            }
            stop::wait_for_child(&self.events, WATCH);
        }
    }

    /// Lets go of everything.
    fn finish(&mut self) -> Ending {
        let mut left_behind = None;
        if std::mem::take(&mut self.frozen_is_read) && Still::of(self.pid) != Some(Still::Frozen) {
            let why = "its control group was thawed while it was read";
            self.cut_short.get_or_insert(why.into());
        }
        // They may be the only ones that can reap it.
        self.wait_for_late();
        self.drop_late_copies();
        let copy = self.copy.as_ref().map(|c| c.pid);
        match self.drop_copy() {
            Ok(stopped) => self.reap_stop = self.reap_stop.max(stopped),
            Err(e) => left_behind = Some(e.to_string()),
        }
        if let Some(copy) = copy
            && self.target_lives()
            && fs::metadata(format!("/proc/{copy}")).is_ok()
        {
            left_behind.get_or_insert(format!("the copy, process {copy}, was not reaped"));
        }
        if self.target_lives() {
            self.unload_all();
        }
        self.wait_for_late();
        Ending {
            leads_back: self.late.leads_back(),
            stopped: std::mem::take(&mut self.reap_stop),
            cut_short: self.cut_short.take(),
            left_behind,
            target_ended: !self.target_lives(),
        }
    }
}
