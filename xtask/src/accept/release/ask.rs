//! Running `memshed release`, and what it says.

use crate::accept::child::{self, Target};
use crate::accept::ground::Ground;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result, bail, ensure};
use memshed_cpython::{AllocatorCheck, Python, identify};
use memshed_target::Process;
use memshed_testing::Copy;
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How long one release may take.
pub const LIMIT: Duration = Duration::from_secs(120);
/// How long a program may take to answer.
pub const ANSWER: Duration = Duration::from_secs(300);
/// The unit of the figures, which are those of /proc.
pub const MB: f64 = 1024.0 * 1024.0;

/// What a release said.
pub struct Release(pub Value);

impl Release {
    /// A number at a JSON pointer, or NaN.
    pub fn number(&self, pointer: &str) -> f64 {
        let number = self.0.pointer(pointer).and_then(Value::as_f64);
        number.unwrap_or(f64::NAN)
    }

    /// The longest stop in milliseconds.
    pub fn stopped_ms(&self) -> f64 {
        self.number("/stopped_ms")
    }

    /// What the process spent on it, in milliseconds.
    pub fn took_ms(&self) -> f64 {
        self.number("/took_ms")
    }

    /// Resident bytes less than before.
    pub fn released(&self) -> f64 {
        self.number("/released_bytes")
    }

    /// What was to be said beside the figures.
    pub fn notes(&self) -> String {
        let notes = self.0["notes"].as_array().cloned().unwrap_or_default();
        let notes = notes.iter().filter_map(Value::as_str);
        notes.collect::<Vec<_>>().join("; ")
    }
}

/// Runs `memshed release PID --format json` with more arguments.
pub fn release(ground: &Ground, pid: i32, more: &[&str]) -> Result<Release> {
    let mut running = Command::new(&ground.memshed)
        .args(["release", &pid.to_string(), "--format", "json"])
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // What it says fits into the pipes.
    let status = child::wait(&mut running, LIMIT)?;
    let output = running.wait_with_output()?;
    if !status.success() {
        bail!(
            "memshed release: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(Release(serde_json::from_slice(&output.stdout)?))
}

/// A program of this suite.
pub fn start(ground: &Ground, python: &Interpreter, name: &str, args: &[&str]) -> Result<Target> {
    Target::python(&python.path, &ground.program(name), args)
}

/// Resident bytes as the kernel counts them exactly.
pub fn resident(pid: i32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Rss:"));
    let word = line.and_then(|line| line.split_whitespace().next());
    Ok(1024.0 * word.context("no Rss in smaps_rollup")?.parse::<f64>()?)
}

/// Asks the program whether its data is whole.
pub fn whole(target: &mut Target) -> Result<()> {
    let said = target.ask("check", "checked", ANSWER)?;
    ensure!(said == "whole", "its data is {said}");
    Ok(())
}

/// Everything that must hold of the allocator's state, of a process that waits with the GIL free.
pub fn check(pid: i32) -> Result<AllocatorCheck> {
    let process = Process::open(pid)?;
    let identity = identify(&process)?.context("no Python")?;
    let program = identity.program.map_err(|why| anyhow::anyhow!("{why}"))?;
    let memory = Copy::of(&process);
    let python = Python::open(program, &memory)?;
    let states = python.allocator_states(&memory)?;
    let state = states.first().context("no pymalloc")?;
    Ok(state.check(&python, &memory)?)
}

/// Interpreters whose pools have more than one page.
pub fn with_large_pools(ground: &Ground) -> impl Iterator<Item = &Interpreter> {
    ground.pythons.iter().filter(|one| one.minor() >= (3, 10))
}
