//! Row "killed": memshed is killed at random moments of a release, its tracer with it every second
//! time; the program goes on unharmed, and can be released again.

use super::ask::{self, ANSWER};
use crate::accept::ground::Ground;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const TARGET: &str = "killed 200 times at random moments: the program unharmed, no rule violated";

/// Measures the row, on two interpreters at a time when that is enough.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let pythons: Vec<&Interpreter> = ask::with_large_pools(ground).collect();
    let each = ground
        .count(200u32, 20)
        .div_ceil(pythons.len().max(1) as u32);
    let mut findings = Vec::new();
    for python in pythons {
        for tracer in [false, true] {
            let who = if tracer { "with its tracer" } else { "alone" };
            let on_what = format!("{}, {who}", python.label());
            findings.push(match on(ground, python, each, tracer) {
                Ok(measured) => Finding::new("killed", on_what, TARGET, measured, true),
                Err(why) => Finding::new("killed", on_what, TARGET, format!("{why:#}"), false),
            });
        }
    }
    Ok(findings)
}

fn on(ground: &Ground, python: &Interpreter, times: u32, tracer: bool) -> Result<String> {
    let mut target = ask::start(ground, python, "release_churn.py", &[])?;
    target.expect("ready", ANSWER)?;
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(tracer);
    let (mut midway, mut longest) = (0, 400);
    for number in 0..times {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let after = Duration::from_millis((seed >> 33) % longest);
        let mut running = Command::new(&ground.memshed)
            .args(["release", &target.pid().to_string(), "--hard"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let began = std::time::Instant::now();
        std::thread::sleep(after);
        if running.try_wait()?.is_none() {
            midway += 1;
        } else {
            longest = (began.elapsed().as_millis() as u64).max(20);
        }
        if tracer {
            kill_all(&ground.memshed);
        }
        let _ = running.kill();
        running.wait()?;
        ensure!(target.alive(), "killed after {after:?}: the program ended");
        if number % 10 == 9 {
            target.ask("rest", "resting", ANSWER)?;
            let check = ask::check(target.pid())?;
            ensure!(check.count == 0, "{:?}", check.violations);
            target.ask("go", "going", ANSWER)?;
            ask::whole(&mut target)?;
        }
    }
    let again = ask::release(ground, target.pid(), &[]);
    let again = again.map(|release| release.stopped_ms())?;
    let end = target.ask("end", "ended", ANSWER)?;
    ensure!(end == "whole", "at its end it was {end}");
    Ok(format!(
        "killed {times} times, {midway} before it was done; released again, longest stop {again:.1} ms"
    ))
}

/// Kills every process of the command.
fn kill_all(binary: &Path) {
    let Ok(binary) = binary.canonicalize() else {
        return;
    };
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        let is_it = std::fs::read_link(process.path().join("exe")).is_ok_and(|exe| exe == binary);
        let pid = process.file_name().to_string_lossy().parse();
        if let (true, Ok(pid)) = (is_it, pid) {
            // Fails if it has ended.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}
