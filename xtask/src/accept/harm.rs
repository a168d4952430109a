//! Row "harm": a process whose threads sit in every kind of blocking call, from Python and from
//! C, is frozen again and again, and memshed is killed at random moments; the threads' own
//! counters tell whether any of them noticed.

use super::child::{self, Target};
use super::ground::Ground;
use super::look;
use super::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FREEZES: &str =
    "freezes by fork: no error, short timeout, lost signal, open copy, child, tracer";
const KILLS: &str = "memshed killed at random moments: the same";
const ANSWER: Duration = Duration::from_secs(30);

/// How often the target is asked to rest from starting children, so that any child is ours.
const REST_EVERY: usize = 20;

/// Measures the row on every interpreter; the full counts on one of them.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let library = ground.compile("harm.c", "libharm.so")?;
    let mut findings = Vec::new();
    for python in &ground.pythons {
        let main = python.path == ground.one_python().path;
        let (freezes, kills) = if main {
            (ground.count(1000, 60), ground.count(200, 20))
        } else {
            (ground.count(200, 15), ground.count(40, 5))
        };
        if ground.quick && !main {
            continue;
        }
        findings.push(attempt(python, FREEZES, || {
            freeze_often(ground, python, &library, freezes)
        }));
        findings.push(attempt(python, KILLS, || {
            kill_often(ground, python, &library, kills)
        }));
    }
    Ok(findings)
}

fn attempt(
    python: &Interpreter,
    target: &str,
    measure: impl FnOnce() -> Result<(String, bool)>,
) -> Finding {
    match measure() {
        Ok((measured, good)) => Finding::new("harm", python.label(), target, measured, good),
        Err(why) => Finding::not_measured("harm", python.label(), target, format!("{why:#}")),
    }
}

fn freeze_often(
    ground: &Ground,
    python: &Interpreter,
    library: &Path,
    times: usize,
) -> Result<(String, bool)> {
    let mut victim = Victim::start(ground, python, library)?;
    let mut longest: f64 = 0.0;
    for round in 0..times {
        match look::inspect(ground, victim.pid(), &["--method", "fork"]) {
            Ok(look) => {
                longest = longest.max(look.stopped_ms());
                if look.method() != "fork" {
                    victim.complain(format!("method {}", look.method()));
                }
            }
            Err(why) => victim.complain(format!("{why:#}")),
        }
        if let Some(tracer) = tracer(victim.pid()) {
            victim.complain(format!("TracerPid {tracer} after memshed's end"));
        }
        if round % REST_EVERY == 0 || round + 1 == times {
            victim.rest_and_check()?;
        }
        if victim.complaints.len() > 50 {
            break;
        }
    }
    let (told, good) = victim.end()?;
    Ok((
        format!("{times} freezes, longest stop {longest:.1} ms; {told}"),
        good,
    ))
}

fn kill_often(
    ground: &Ground,
    python: &Interpreter,
    library: &Path,
    times: usize,
) -> Result<(String, bool)> {
    let mut victim = Victim::start(ground, python, library)?;
    let usual = look::inspect(ground, victim.pid(), &[])?.wall;
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut killed = 0;
    for round in 0..times {
        let out = ground.scratch("killed")?;
        let mut running = Command::new(&ground.memshed)
            .args([
                "inspect",
                &victim.pid().to_string(),
                "--format",
                "json",
                "-o",
            ])
            .arg(out.join("look.json"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        std::thread::sleep(usual.mul_f64(random.unit()));
        let _ = running.kill();
        if !child::wait(&mut running, ANSWER)?.success() {
            killed += 1;
        }
        victim.wait_for_tracer()?;
        victim.wait_for_end_of(&ground.memshed);
        if round % 5 == 0 || round + 1 == times {
            victim.rest_and_check()?;
        }
        let _ = std::fs::remove_dir_all(&out);
    }
    let (told, good) = victim.end()?;
    Ok((
        format!(
            "{killed} of {times} looks killed within {} ms; {told}",
            usual.as_millis()
        ),
        good && killed > times / 3,
    ))
}

/// The program of many blocking calls, and what went wrong outside of it.
struct Victim {
    target: Target,
    complaints: Vec<String>,
}

impl Victim {
    fn start(ground: &Ground, python: &Interpreter, library: &Path) -> Result<Victim> {
        let library = library.to_str().context("an odd path")?;
        let target = Target::python(&python.path, &ground.program("harm.py"), &[library])?;
        target.expect("ready", ANSWER)?;
        Ok(Victim {
            target,
            complaints: Vec::new(),
        })
    }

    fn pid(&self) -> i32 {
        self.target.pid()
    }

    fn complain(&mut self, what: String) {
        self.complaints.push(what);
    }

    /// With the target's own children gone, none may be left.
    fn rest_and_check(&mut self) -> Result<()> {
        self.target.ask("quiesce", "quiet", ANSWER)?;
        let children = children(self.pid());
        if !children.is_empty() {
            self.complain(format!("children left: {}", children.join(", ")));
        }
        self.target.ask("resume", "resumed", ANSWER)?;
        Ok(())
    }

    /// After memshed's death its tracer may need a moment to let go.
    fn wait_for_tracer(&mut self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_secs(5);
        while let Some(tracer) = tracer(self.pid()) {
            if Instant::now() > deadline {
                self.complain(format!("TracerPid {tracer} five seconds after the kill"));
                let _ = kill(Pid::from_raw(tracer), Signal::SIGKILL);
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        if let Some(state) = stopped(self.pid()) {
            self.complain(format!("a thread was left in state {state}"));
        }
        Ok(())
    }

    /// Nor may any process of memshed's stay, once it has cleaned up.
    fn wait_for_end_of(&mut self, memshed: &Path) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while !leftovers(memshed).is_empty() {
            if Instant::now() > deadline {
                self.complain("a process of memshed's was left five seconds after the kill".into());
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Ends the target and judges its counters.
    fn end(mut self) -> Result<(String, bool)> {
        let report = |line: String| -> Result<Value> { Ok(serde_json::from_str(&line)?) };
        let before = report(self.target.ask("report", "report", ANSWER)?)?;
        std::thread::sleep(Duration::from_secs(1));
        let after = report(self.target.ask("stop", "report", ANSWER)?)?;
        let mut sums = [0u64; 3];
        let slots = after["slots"].as_object().context("no counters")?;
        for (name, slot) in slots {
            for (sum, what) in sums.iter_mut().zip(["errors", "shorts", "longs"]) {
                *sum += slot[what].as_u64().unwrap_or(1);
            }
            let bad: u64 = ["errors", "shorts", "longs"]
                .iter()
                .filter_map(|what| slot[what].as_u64())
                .sum();
            if bad > 0 {
                self.complaints.push(format!(
                    "{name}: {bad} times, first: {}",
                    slot["text"].as_str().unwrap_or("?")
                ));
            }
            if slot["rounds"] == before["slots"][name]["rounds"] {
                self.complaints.push(format!("{name} hangs"));
            }
        }
        let number = |name: &str| after[name].as_u64().unwrap_or(0);
        let (sent, received) = (number("signals_sent"), number("signals_received"));
        if sent != received || sent == 0 {
            self.complaints
                .push(format!("{received} of {sent} signals arrived"));
        }
        if number("child_signals") > number("children") {
            self.complaints.push(format!(
                "{} SIGCHLD for {} children",
                number("child_signals"),
                number("children")
            ));
        }
        let good = self.complaints.is_empty();
        let [errors, shorts, longs] = sums;
        let mut told = format!(
            "{} threads, {errors} errors, {shorts} short, {longs} overlong timeouts, {received} of {sent} signals",
            slots.len() + 1,
        );
        if !good {
            self.complaints.truncate(6);
            told += &format!("; {}", self.complaints.join("; "));
        }
        Ok((told, good))
    }
}

/// The tracer of any thread of a process.
fn tracer(pid: i32) -> Option<i32> {
    field_of_threads(pid, "TracerPid:")
        .into_iter()
        .filter_map(|value| value.parse().ok())
        .find(|&tracer| tracer != 0)
}

/// The state of a thread that is stopped.
fn stopped(pid: i32) -> Option<String> {
    field_of_threads(pid, "State:")
        .into_iter()
        .find(|state| state.starts_with(['t', 'T']))
}

fn field_of_threads(pid: i32, field: &str) -> Vec<String> {
    let Ok(tasks) = std::fs::read_dir(format!("/proc/{pid}/task")) else {
        return Vec::new();
    };
    tasks
        .flatten()
        .filter_map(|task| std::fs::read_to_string(task.path().join("status")).ok())
        .filter_map(|status| {
            Some(
                status
                    .lines()
                    .find_map(|line| line.strip_prefix(field))?
                    .trim()
                    .to_owned(),
            )
        })
        .collect()
}

/// The children of a process in any state, with their state.
pub fn children(pid: i32) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(status) = std::fs::read_to_string(entry.path().join("status")) else {
            continue;
        };
        let field = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap_or("")
                .trim()
        };
        if field("PPid:") == pid.to_string() {
            found.push(format!(
                "{} {} ({})",
                field("Pid:"),
                field("Name:"),
                field("State:")
            ));
        }
    }
    found
}

/// Processes that run this binary.
fn leftovers(binary: &Path) -> Vec<String> {
    let Ok(binary) = binary.canonicalize() else {
        return Vec::new();
    };
    std::fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| std::fs::read_link(entry.path().join("exe")).is_ok_and(|exe| exe == binary))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// xorshift: reproducible moments.
struct Random(u64);

impl Random {
    /// In 0..1.
    fn unit(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 53) as f64
    }
}
