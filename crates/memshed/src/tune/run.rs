//! One run of the program under one setting.

use super::records::{Records, Said};
use super::settings::{Python, Setting};
use super::tree;
use crate::interrupt;
use crate::launch::guardian::{Guarded, Guardian};
use crate::launch::measured::{self, Ended, Start};
use memshed_analysis::tune::Figures;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use std::ffi::OsString;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStderr, ExitStatus};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Between two looks at the program's memory, at least. A look takes a fiftieth of it at most.
const EVERY: Duration = Duration::from_millis(20);
/// Bytes of standard error that are kept.
const TAIL: usize = 4096;
/// How long a server may calm down after the load before its memory counts as settled: as long as
/// allocators take that give memory back after a second.
const CALM: Duration = Duration::from_millis(1500);
/// How long one attempt to connect may take.
const CONNECT: Duration = Duration::from_millis(200);

/// What is run, and when a run is over.
pub struct Program {
    /// The command.
    pub command: Vec<OsString>,
    /// A shell's line that puts load on it once it is ready; the run is over when that ends.
    pub load: Option<OsString>,
    /// When it is ready.
    pub ready: Option<Ready>,
    /// The run is over after so long at the latest, and the program is ended.
    pub run_for: Option<Duration>,
    /// A run that takes longer has failed.
    pub limit: Duration,
    /// Ends what runs if memshed dies.
    pub guardian: Guardian,
}

/// When a server is ready.
pub enum Ready {
    /// When something listens there.
    Listening(SocketAddr),
    /// So long after its start.
    After(Duration),
}

/// A run that came to its end.
pub struct Done {
    /// What it took.
    pub figures: Figures,
    /// What its Pythons said.
    pub said: Said,
}

/// Why there is no result.
#[derive(Debug)]
pub enum Failure {
    /// It could not be started.
    Start(std::io::Error),
    /// It did not come to a good end.
    Ended {
        /// What became of it, such as `exit status 1`.
        how: String,
        /// The end of what it wrote to standard error.
        tail: String,
    },
}

impl Failure {
    /// What became of it, in a few words.
    pub fn how(&self) -> String {
        match self {
            Failure::Start(error) => error.to_string(),
            Failure::Ended { how, .. } => how.clone(),
        }
    }
}

/// A process that was started, what it writes, and whether it has ended.
struct Started {
    pid: i32,
    handle: Option<OwnedFd>,
    stderr: Receiver<Vec<u8>>,
    ended: Option<(ExitStatus, Instant)>,
    /// Where there was no room for it in the system, the kernel sees to the process alone.
    _guarded: Option<Guarded>,
}

impl Started {
    fn new(mut child: Child, guardian: &Guardian) -> Started {
        let pid = child.id().cast_signed();
        let (sender, stderr) = channel();
        if let Some(pipe) = child.stderr.take() {
            std::thread::spawn(move || sender.send(tail(pipe)));
        }
        let handle = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        Started {
            pid,
            handle,
            stderr,
            ended: None,
            _guarded: guardian.over(pid).ok(),
        }
    }

    /// The end of what it wrote; only once all that hold its standard error have ended.
    fn tail(&self) -> String {
        let bytes = self.stderr.recv_timeout(Duration::from_secs(1));
        let text = String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned();
        text.trim().to_string()
    }
}

/// Reads to the end and keeps the last bytes.
fn tail(mut pipe: ChildStderr) -> Vec<u8> {
    let mut kept: Vec<u8> = Vec::new();
    let mut chunk = [0; TAIL];
    while let Ok(n @ 1..) = pipe.read(&mut chunk) {
        kept.extend_from_slice(&chunk[..n]);
        let over = kept.len().saturating_sub(TAIL);
        kept.drain(..over);
    }
    kept
}

/// A run under way.
struct Run<'a> {
    program: &'a Program,
    records: &'a Records,
    began: Instant,
    main: Started,
    load: Option<Started>,
    /// When the load was started, and when the server was ready.
    load_began: Option<Instant>,
    ready: bool,
    /// Of those that have ended.
    cpu: Duration,
    peak: u64,
    /// Memory at the last look.
    last: u64,
    next_look: Instant,
}

/// Runs the program under `setting`, or as it is, to the end.
pub fn run(
    program: &Program,
    setting: Option<&Setting>,
    folder: &std::path::Path,
    records: &Records,
) -> Result<Done, Failure> {
    let environment = environment(setting, folder, records);
    let start = Start {
        command: &program.command,
        environment: &environment,
        no_huge_pages: setting.is_some_and(|setting| setting.no_huge_pages),
    };
    interrupt::yield_to_interrupt();
    let began = Instant::now();
    let child = measured::start(&start).map_err(Failure::Start)?;
    let mut run = Run {
        program,
        records,
        began,
        main: Started::new(child, &program.guardian),
        load: None,
        load_began: None,
        ready: false,
        cpu: Duration::ZERO,
        peak: 0,
        last: 0,
        next_look: began,
    };
    let over = run.until_over();
    run.finish(over)
}

/// The environment of a run beside memshed's own.
fn environment(
    setting: Option<&Setting>,
    folder: &std::path::Path,
    records: &Records,
) -> Vec<(OsString, OsString)> {
    let joined = |name: &str, new: OsString, before: bool| {
        let Some(old) = std::env::var_os(name).filter(|old| !old.is_empty()) else {
            return (name.into(), new);
        };
        let (mut first, second) = if before { (new, old) } else { (old, new) };
        first.push(":");
        first.push(second);
        (OsString::from(name), first)
    };
    let library = setting.and_then(Setting::preload_path);
    let python = setting.map_or(Python::default(), |setting| setting.python);
    let mut all = records.environment(python, library.as_deref());
    all.push(joined("PYTHONPATH", folder.into(), true));
    if let Some(library) = library {
        all.push(joined("LD_PRELOAD", library.into(), true));
    }
    for (name, value) in setting.map_or(&[][..], |setting| setting.environment) {
        all.push(match *name {
            "GLIBC_TUNABLES" => joined(name, value.into(), false),
            _ => (name.into(), value.into()),
        });
    }
    all
}

/// Why a run is over.
enum Over {
    /// The program ended by itself.
    Ended,
    /// The load, or the time, is at its end.
    Due,
    /// Something went wrong.
    Failed(String),
}

impl Run<'_> {
    /// Watches until the run is over.
    fn until_over(&mut self) -> Over {
        let mut settled_at = None;
        loop {
            interrupt::yield_to_interrupt();
            self.reap();
            self.look();
            let now = Instant::now();
            let age = now - self.began;
            if self.main.ended.is_some() {
                return Over::Ended;
            }
            if age >= self.program.limit {
                let limit = memshed_report::duration(self.program.limit.as_secs_f64());
                return Over::Failed(format!("still running after {limit} (--limit)"));
            }
            if self.program.run_for.is_some_and(|run_for| age >= run_for) {
                return Over::Due;
            }
            if !self.ready && self.is_ready(age) {
                self.ready = true;
                self.records.ready();
                if let Err(error) = self.start_load() {
                    return Over::Failed(format!("the load cannot be started: {error}"));
                }
            }
            match self.load.as_ref().and_then(|load| load.ended) {
                Some((status, _)) if !status.success() => {
                    return Over::Failed(format!("the load failed ({})", ending(status)));
                }
                Some((_, at)) => {
                    let until = *settled_at.get_or_insert(at + CALM);
                    if now >= until {
                        return Over::Due;
                    }
                }
                None => {}
            }
            self.wait();
        }
    }

    fn is_ready(&self, age: Duration) -> bool {
        match &self.program.ready {
            None => false,
            Some(Ready::After(time)) => age >= *time,
            Some(Ready::Listening(address)) => listens(address),
        }
    }

    fn start_load(&mut self) -> std::io::Result<()> {
        let Some(line) = &self.program.load else {
            return Ok(());
        };
        let command = ["sh".into(), "-c".into(), line.clone()];
        let child = measured::start(&Start {
            command: &command,
            environment: &[],
            no_huge_pages: false,
        })?;
        self.load_began = Some(Instant::now());
        self.load = Some(Started::new(child, &self.program.guardian));
        Ok(())
    }

    /// Waits until something ends or the next look is due.
    fn wait(&self) {
        let time = self.next_look.saturating_duration_since(Instant::now());
        let time = time.clamp(Duration::from_millis(1), EVERY);
        let running = [Some(&self.main), self.load.as_ref()].into_iter().flatten();
        let handles = running
            .filter(|one| one.ended.is_none())
            .flat_map(|one| &one.handle);
        let mut handles: Vec<PollFd> = handles
            .map(|handle| PollFd::new(handle, PollFlags::IN))
            .collect();
        // At most twenty milliseconds.
        let time = Timespec {
            tv_sec: 0,
            tv_nsec: time.subsec_nanos().into(),
        };
        // Interrupted by a signal is as good as any reason to look again.
        let _ = poll(&mut handles, Some(&time));
    }

    fn reap(&mut self) {
        while let Some(ended) = measured::reap() {
            self.take(&ended);
        }
    }

    fn take(&mut self, ended: &Ended) {
        let now = Instant::now();
        if let Some(load) = self.load.as_mut().filter(|load| load.pid == ended.pid) {
            load.ended = Some((ended.status, now));
            return;
        }
        // Whatever else memshed's descendants leave behind was the program's, or the load's: of
        // that nothing is known.
        self.cpu += ended.cpu;
        self.peak = self.peak.max(ended.peak);
        if ended.pid == self.main.pid {
            self.main.ended = Some((ended.status, now));
        }
    }

    /// Looks at the memory if it is time to.
    fn look(&mut self) {
        let began = Instant::now();
        if began < self.next_look {
            return;
        }
        self.look_now();
        let cost = began.elapsed();
        self.next_look = began + (cost * 50).max(EVERY);
    }

    fn look_now(&mut self) {
        let pids = tree::of_run(self.load.as_ref().map(|load| load.pid));
        let memory = tree::memory(&pids);
        // One that is about to end has no memory any more.
        if memory > 0 {
            self.last = memory;
            self.peak = self.peak.max(memory);
        }
    }

    /// Ends what is left, adds up.
    fn finish(mut self, over: Over) -> Result<Done, Failure> {
        let due = matches!(over, Over::Due);
        if due {
            self.look_now();
        }
        let settled = self.last;
        let mut ended = Vec::new();
        // Asked once, and first of all alone, a server ends its own children in an orderly way.
        let first = due.then_some(self.main.pid);
        tree::end_all(first, |one| ended.push(one));
        for one in &ended {
            self.take(one);
        }
        if let Some(how) = self.failure(over) {
            let tail = match &self.load {
                Some(load) if how.starts_with("the load") => load.tail(),
                _ => self.main.tail(),
            };
            return Err(Failure::Ended { how, tail });
        }
        let said = self.records.read();
        let heard = said.interpreter.is_some();
        // Where Python itself said what it had just before its end, before it cleaned up.
        let settled = match said.resident {
            Some(resident) if !due => resident,
            _ => settled as f64,
        };
        let figures = Figures {
            cpu: self.cpu.as_secs_f64(),
            wall: self.wall(due),
            peak: said.peak.max(self.peak as f64),
            settled: (settled > 0.0).then_some(settled),
            pause: heard.then_some(said.longest),
            collecting: heard.then_some(said.collecting),
            collections: heard.then_some(said.collections),
        };
        Ok(Done { figures, said })
    }

    /// How long the program took, or the load; `None` if the time was given.
    fn wall(&self, due: bool) -> Option<f64> {
        let (began, (_, ended)) = match (&self.load, due) {
            (Some(load), true) => (self.load_began?, load.ended?),
            (None, true) => return None,
            (_, false) => (self.began, self.main.ended?),
        };
        // A load that was ended with the program, when the time was over.
        let cut = self
            .program
            .run_for
            .is_some_and(|time| ended >= self.began + time);
        (!cut).then(|| (ended - began).as_secs_f64())
    }

    /// What went wrong, if anything.
    fn failure(&self, over: Over) -> Option<String> {
        match over {
            Over::Failed(how) => Some(how),
            Over::Due if self.program.ready.is_some() && !self.ready => {
                Some("the time was over before it was ready".into())
            }
            Over::Due => None,
            Over::Ended => match self.main.ended {
                Some((status, _)) if !status.success() => Some(ending(status)),
                _ if self.load.is_some() => Some("it ended before the load did".into()),
                _ if self.program.load.is_some() => Some("it ended before it was ready".into()),
                _ => None,
            },
        }
    }
}

/// Whether something listens there.
pub fn listens(address: &SocketAddr) -> bool {
    TcpStream::connect_timeout(address, CONNECT).is_ok()
}

/// `exit status 1` or `killed by signal 9`.
fn ending(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit status {code}"),
        (None, Some(signal)) => format!("killed by signal {signal}"),
        (None, None) => "ended".into(),
    }
}
