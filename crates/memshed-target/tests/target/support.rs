//! Targets to freeze, and what they say about themselves.

use memshed_target::{FreezeInfo, FreezeRequest, Process, Session, SessionOptions, TargetError};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// No target takes longer to answer, unless something is wrong.
pub const LIMIT: Duration = Duration::from_secs(30);

/// How often each target is frozen: few here, many in an acceptance run.
pub fn rounds(usual: u32) -> u32 {
    std::env::var("MEMSHED_HARM_ROUNDS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(usual)
}

fn sources() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/targets")
}

/// Builds a C program of `tests/targets`, once.
pub fn c_program(name: &'static str) -> PathBuf {
    static BUILT: OnceLock<std::sync::Mutex<BTreeMap<&'static str, PathBuf>>> = OnceLock::new();
    let mut built = BUILT
        .get_or_init(Default::default)
        .lock()
        .expect("one at a time");
    let build = || {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let source = sources().join(format!("{name}.c"));
        let status = Command::new("cc")
            .args(["-O1", "-pthread", "-o"])
            .args([&program, &source])
            .status()
            .expect("a C compiler");
        assert!(status.success(), "{name}.c does not compile");
        program
    };
    built.entry(name).or_insert_with(build).clone()
}

pub fn python_program(name: &str) -> Command {
    let mut command = Command::new("python3");
    command.arg(sources().join(name));
    command
}

/// A running target, killed when dropped.
pub struct Target {
    pub child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Target {
    /// Starts it and waits until it is ready.
    pub fn start(mut command: Command) -> Target {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.expect("the target starts");
        let input = child.stdin.take().expect("a pipe");
        let lines = lines_of(child.stdout.take().expect("a pipe"));
        let target = Target {
            child,
            input,
            lines,
        };
        let ready = target.line();
        assert!(ready.starts_with("ready"), "{ready}");
        target
    }

    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    pub fn process(&self) -> Process {
        Process::open(self.pid()).expect("the target lives")
    }

    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the target listens");
    }

    pub fn line(&self) -> String {
        self.lines
            .recv_timeout(LIMIT)
            .expect("the target answers in time")
    }

    /// Its own counters: kind, then name and value.
    pub fn report(&mut self) -> BTreeMap<String, BTreeMap<String, i64>> {
        self.tell("report");
        let mut report = BTreeMap::new();
        loop {
            let line = self.line();
            if line == "end" {
                return report;
            }
            let mut words = line.split(' ');
            let kind = words.next().unwrap_or_default().to_string();
            let counts = words
                .filter_map(|w| w.split_once('='))
                .map(|(name, value)| (name.to_string(), value.parse().expect("a number")));
            report.insert(kind, counts.collect());
        }
    }

    /// Waits until turns of its threads are over: `round` or `turns N` of harm.c.
    pub fn turn(&mut self, which: &str) {
        self.tell(which);
        assert_eq!(self.line(), "turned");
    }

    /// Nothing of a freeze may be left: no child, no tracer.
    pub fn assert_untouched(&self) {
        let status = self.process().status().expect("a status");
        assert_eq!(status.tracer, 0, "it is still traced");
        let copies: Vec<i32> = children(self.pid())
            .into_iter()
            .filter(|&child| {
                let Ok(process) = Process::open(child) else {
                    return false;
                };
                process
                    .status()
                    .is_ok_and(|s| s.tracer != 0 || s.state == 't')
                    || zombie_of_a_copy(child)
            })
            .collect();
        assert!(copies.is_empty(), "copies are left: {copies:?}");
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines_of(out: ChildStdout) -> Receiver<String> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(out).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}

/// A child that ends without a signal to its parent can only be a copy of ours
/// (proc_pid_stat(5), field 38).
fn zombie_of_a_copy(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, fields)) = stat.rsplit_once(") ") else {
        return false;
    };
    fields.split(' ').nth(35) == Some("0")
}

pub fn children(pid: i32) -> Vec<i32> {
    let mut all = Vec::new();
    for thread in std::fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let text = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        all.extend(
            text.split_whitespace()
                .filter_map(|n| n.parse::<i32>().ok()),
        );
    }
    all
}

/// Asks again and again until the answer is yes. What is asked goes to the kernel or to another
/// process, which answers in its own time.
pub fn until(otherwise: &str, mut yes: impl FnMut() -> bool) {
    let started = Instant::now();
    while !yes() {
        assert!(started.elapsed() < LIMIT, "{otherwise}");
        std::thread::yield_now();
    }
}

pub fn signal(name: &str, pid: i32) {
    let done = Command::new("kill")
        .args([&format!("-{name}"), &pid.to_string()])
        .status();
    assert!(done.expect("kill runs").success());
}

pub fn session(process: &Process) -> Result<Session, TargetError> {
    Session::start(process, SessionOptions::default())
}

/// Freezes once, reads a little, lets go.
pub fn freeze_once(process: &Process, request: &FreezeRequest) -> Result<FreezeInfo, TargetError> {
    use memshed_target::Memory;
    let mut session = session(process)?;
    let stack = process
        .mappings()?
        .into_iter()
        .find(|m| m.path == "[stack]");
    let stack = [stack.expect("a stack").range()];
    let frozen = session.freeze(request, |live| live.prefetch(&stack))?;
    frozen.prefetch(&stack);
    frozen.finish()
}
