//! Looking at one process: the tracer that does it, the live memory, and the frozen copy.

use crate::access;
use crate::error::TargetError;
use crate::memory::{Memory, Range, ReadError, RemoteAddr};
use crate::mirror::Mirror;
use crate::os;
use crate::placement::{AreaId, FILE_SIZE};
use crate::process::Process;
use crate::protocol::{self, Answer, Ending, Fetch, Fetched, Outcome, Request};
pub use crate::protocol::{FreezeRequest, Method, WordTest};
use crate::tracer::MARKER;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// No answer of the tracer takes longer: the longest is a fork in many attempts.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);
/// How long the tracer may take to end when its sockets have closed.
const GOODBYE_LIMIT: Duration = Duration::from_secs(30);

/// Which program becomes the tracer. Its `main` has to call
/// [`run_if_asked`](crate::tracer::run_if_asked) first.
#[derive(Clone, Debug, Default)]
pub enum TracerProgram {
    /// This program itself.
    #[default]
    CurrentExe,
    /// Another one.
    Path(PathBuf),
}

/// How to start a session.
#[derive(Clone, Debug, Default)]
pub struct SessionOptions {
    /// Which program becomes the tracer.
    pub tracer: TracerProgram,
}

/// The connection to the tracer process.
pub(crate) struct Link {
    pid: i32,
    control: Mutex<UnixStream>,
    copier: Mutex<UnixStream>,
    child: Mutex<Child>,
}

impl Link {
    pub(crate) fn ask(&self, request: &Request) -> Result<Answer, TargetError> {
        let control = lock(&self.control);
        let answer = protocol::send(&control, request).and_then(|()| protocol::receive(&control));
        match answer.map_err(|e| self.lost(&e))? {
            Answer::Failed(e) => Err(self.explain(e)),
            answer => Ok(answer),
        }
    }

    /// Looks for the reason of a refusal.
    fn explain(&self, error: TargetError) -> TargetError {
        if !matches!(error, TargetError::Denied { .. } | TargetError::Io { .. }) {
            return error;
        }
        let Ok(process) = Process::open(self.pid) else {
            return TargetError::Exited(self.pid);
        };
        let checked = access::check(&process).and_then(|access| access.into_result(self.pid));
        checked.err().unwrap_or(error)
    }

    fn lost(&self, error: &io::Error) -> TargetError {
        TargetError::Tracer(match error.kind() {
            io::ErrorKind::UnexpectedEof
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset => {
                format!("it died while it looked at process {}", self.pid)
            }
            io::ErrorKind::WouldBlock => format!("no answer within {ANSWER_LIMIT:?}"),
            _ => error.to_string(),
        })
    }

    /// Has the tracer copy ranges. What it has copied; `None` if it has nothing to copy from.
    pub(crate) fn fetch(&self, area: AreaId, ranges: &[Range]) -> Option<Vec<Range>> {
        let copier = lock(&self.copier);
        let wish = Fetch {
            area,
            ranges: ranges.to_vec(),
        };
        let done = protocol::send(&copier, &wish).and_then(|()| protocol::receive(&copier));
        done.ok()
            .filter(|fetched: &Fetched| fetched.there)
            .map(|fetched| fetched.copied)
    }
}

impl Drop for Link {
    /// Hangs up and waits for the tracer to clean up and end.
    fn drop(&mut self) {
        // Fails only if the tracer has gone already.
        let _ = lock(&self.control).set_read_timeout(Some(GOODBYE_LIMIT));
        let stays = match self.ask(&Request::Finish) {
            Ok(Answer::Finished(ending)) => ending.leads_back,
            _ => false,
        };
        let hang_up = |socket: &mut UnixStream| socket.shutdown(std::net::Shutdown::Both);
        // Fails only if the tracer has gone already.
        let _ = hang_up(
            self.control
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let _ = hang_up(
            self.copier
                .get_mut()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let child = self.child.get_mut().unwrap_or_else(PoisonError::into_inner);
        let started = Instant::now();
        let mut pause = Duration::from_micros(100);
        while matches!(child.try_wait(), Ok(None)) {
            if started.elapsed() > GOODBYE_LIMIT {
                if stays {
                    return;
                }
                // The kernel lets go of the target and kills the copy. Fails if it has ended.
                let _ = child.kill();
                let _ = child.wait();
                return;
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(10));
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A look at one process. As long as it lasts, no other memshed looks at the same process.
pub struct Session {
    pub(crate) link: Arc<Link>,
    memory: File,
}

impl Session {
    /// Starts the tracer for `process`. Nothing is done to the process yet.
    pub fn start(process: &Process, options: SessionOptions) -> Result<Session, TargetError> {
        let fail = |e: io::Error| TargetError::Tracer(e.to_string());
        let memory = os::memory_file(FILE_SIZE).map_err(fail)?;
        let (control, their_control) = UnixStream::pair().map_err(fail)?;
        let (copier, their_copier) = UnixStream::pair().map_err(fail)?;
        for socket in [&control, &copier] {
            socket.set_read_timeout(Some(ANSWER_LIMIT)).map_err(fail)?;
        }
        let program = match options.tracer {
            TracerProgram::CurrentExe => PathBuf::from("/proc/self/exe"),
            TracerProgram::Path(path) => path,
        };
        let mut command = Command::new(program);
        command
            .arg0("memshed")
            .arg(MARKER)
            .arg(process.pid().to_string())
            .arg(process.start_time().to_string())
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let fds = [
            their_control.as_raw_fd(),
            their_copier.as_raw_fd(),
            memory.as_raw_fd(),
        ];
        let child = os::spawn_tracer(command, fds).map_err(fail)?;
        drop((their_control, their_copier));
        let link = Link {
            pid: process.pid(),
            control: Mutex::new(control),
            copier: Mutex::new(copier),
            child: Mutex::new(child),
        };
        let greeting = protocol::receive(&lock(&link.control)).map_err(|e| link.lost(&e))?;
        match greeting {
            Answer::Ready => Ok(Session {
                link: Arc::new(link),
                memory,
            }),
            Answer::Failed(e) => Err(e),
            _ => Err(out_of_turn()),
        }
    }

    /// The memory of the running process, as mapped now. What is read may be torn: different
    /// pages are from different moments.
    pub fn live(&self) -> Result<Mirror, TargetError> {
        match self.link.ask(&Request::Live)? {
            Answer::Live(runs) => self.mirror(AreaId::Live, runs),
            _ => Err(out_of_turn()),
        }
    }

    fn mirror(&self, area: AreaId, runs: Vec<Range>) -> Result<Mirror, TargetError> {
        Mirror::new(&self.memory, area, runs, Arc::clone(&self.link))
            .map_err(|e| TargetError::io("mapping the copied pages", &e))
    }

    /// Holds the process still: by a copy-on-write copy that is read while the process runs on,
    /// or by a pause while all that `rehearse` reads is copied. `rehearse` is called only for a
    /// pause, beforehand, with the live process: it should read what will be read afterwards.
    ///
    /// Mirrors of the live process handed out before are not to be used any more after a pause.
    pub fn freeze(
        &mut self,
        request: &FreezeRequest,
        rehearse: impl FnOnce(&Mirror),
    ) -> Result<Frozen, TargetError> {
        let plan = match self.link.ask(&Request::Plan(request.clone()))? {
            Answer::Plan(plan) => plan,
            _ => return Err(out_of_turn()),
        };
        let mut reason = plan.reason;
        if plan.method == Method::Fork {
            match self.link.ask(&Request::Fork(request.clone()))? {
                Answer::Frozen(outcome) => return self.frozen(Method::Fork, reason, outcome),
                Answer::ForkRefused(why) if request.method.is_none() => reason = Some(why),
                Answer::ForkRefused(why) => return Err(TargetError::Refused(why)),
                _ => return Err(out_of_turn()),
            }
        }
        rehearse(&self.live()?);
        let pause = FreezeRequest {
            method: Some(Method::Pause),
            ..request.clone()
        };
        // Asked again: after a refused fork, a pause may be longer than is allowed.
        self.link.ask(&Request::Plan(pause.clone()))?;
        match self.link.ask(&Request::Pause(pause))? {
            Answer::Frozen(outcome) => self.frozen(Method::Pause, reason, outcome),
            _ => Err(out_of_turn()),
        }
    }

    fn frozen(
        &self,
        method: Method,
        reason: Option<String>,
        outcome: Outcome,
    ) -> Result<Frozen, TargetError> {
        let area = outcome.area.ok_or_else(out_of_turn)?;
        let mirror = self.mirror(area, outcome.regions)?;
        let info = FreezeInfo {
            method,
            reason,
            stopped: outcome.stopped,
            attempts: outcome.attempts,
            avoided: outcome.avoided,
            threads: outcome.threads,
            left_asleep: outcome.left_asleep,
            skipped_threads: outcome.skipped,
            ran_meanwhile: outcome.ran_meanwhile,
            prolonged_calls: outcome.prolonged,
            missing: outcome.missing,
            copied_bytes: 0,
            cut_short: None,
            target_ended: false,
            left_behind: None,
        };
        Ok(Frozen {
            mirror,
            info: Mutex::new((info, false)),
        })
    }
}

pub(crate) fn out_of_turn() -> TargetError {
    TargetError::Tracer("an answer out of turn".into())
}

/// How a process was held still, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FreezeInfo {
    /// The method that was used.
    pub method: Method,
    /// Why not a fork, as a sentence without a full stop.
    pub reason: Option<String>,
    /// The longest time for which the process stood still: for the freeze or for the reaping of
    /// the copy, from the first thread's stop to the last one's release.
    pub stopped: Duration,
    /// How often it was stopped before the moment was good.
    pub attempts: u32,
    /// Whether all tests of the request held at the moment of the freeze.
    pub avoided: bool,
    /// How many threads there were.
    pub threads: u32,
    /// How many of them slept in a call that would have noticed a stop, and were left asleep.
    pub left_asleep: u32,
    /// How many did not stop because they were in uninterruptible sleep.
    pub skipped_threads: u32,
    /// How many of those left asleep woke up during the freeze: what they changed may be torn.
    pub ran_meanwhile: u32,
    /// How many system calls were restarted with their whole timeout instead of what was left.
    pub prolonged_calls: u32,
    /// Memory that the process has but the copy lacks.
    pub missing: Vec<Range>,
    /// How many bytes were asked for.
    pub copied_bytes: u64,
    /// Why the copy was let go before the caller was done with it, if it was.
    pub cut_short: Option<String>,
    /// Whether the process had ended by the time it was let go.
    pub target_ended: bool,
    /// What could not be cleaned up, if anything.
    pub left_behind: Option<String>,
}

/// The memory of a process as it was at one moment.
pub struct Frozen {
    mirror: Mirror,
    /// What is known, and whether that is final.
    info: Mutex<(FreezeInfo, bool)>,
}

impl Frozen {
    /// What is known about the freeze so far.
    pub fn info(&self) -> FreezeInfo {
        let mut info = lock(&self.info).0.clone();
        info.copied_bytes = self.mirror.fetched_bytes();
        info
    }

    /// The mirror itself, with all it can do.
    pub fn mirror(&self) -> &Mirror {
        &self.mirror
    }

    /// Lets go: kills the copy and has the process reap it. What has been read stays readable,
    /// anything else gives [`ReadError::NotCopied`] from now on.
    pub fn finish(&self) -> Result<FreezeInfo, TargetError> {
        let mut info = lock(&self.info);
        if !info.1 {
            match self.mirror.link().ask(&Request::Finish)? {
                Answer::Finished(ending) => info.0.close(ending),
                _ => return Err(out_of_turn()),
            }
            info.1 = true;
        }
        drop(info);
        Ok(self.info())
    }
}

impl FreezeInfo {
    fn close(&mut self, ending: Ending) {
        self.stopped = self.stopped.max(ending.stopped);
        self.cut_short = ending.cut_short;
        self.target_ended = ending.target_ended;
        self.left_behind = ending.left_behind;
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure; the tracer tries again when it ends.
        let _ = self.finish();
    }
}

impl Memory for Frozen {
    #[inline]
    fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
        self.mirror.bytes(at, len)
    }

    fn prefetch(&self, ranges: &[Range]) {
        self.mirror.prefetch(ranges);
    }

    fn mapped_run(&self, at: RemoteAddr) -> Option<Range> {
        self.mirror.mapped_run(at)
    }
}
