//! Row "speed": what `memshed leaks` of one snapshot costs, on heaps of 5 and 20 million objects.

use super::ask;
use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::look;
use crate::accept::table::Finding;
use crate::accept::watch::{Cost, watch};
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

const WALL: &str = "5 M objects: `leaks` of one snapshot ≤ 10 s wall on 2 idle cores";
const MEMORY: &str = "20 M objects: `leaks` of one snapshot within 8 GB";
const LIMIT: Duration = Duration::from_secs(600);

/// Measures the row on one interpreter.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let python = ground.one_python();
    let objects = ground.count(5_000_000, 500_000);
    let share = objects as f64 / 5e6;
    // A smaller heap in proportion, and a second for what does not shrink with it.
    let most = 10.0 * share + if share < 1.0 { 1.0 } else { 0.0 };
    let mut findings = vec![judge(ground, python, objects, WALL, |wall, _| wall <= most)];
    if !ground.quick {
        findings.push(judge(ground, python, 20_000_000, MEMORY, |_, cost| {
            cost.peak_pss <= 8_000_000_000
        }));
    }
    Ok(findings)
}

fn judge(
    ground: &Ground,
    python: &Interpreter,
    objects: usize,
    target: &str,
    is_good: impl Fn(f64, Cost) -> bool,
) -> Finding {
    let on_what = format!("{}, {objects} objects", python.label());
    match on(ground, python, objects) {
        Ok((wall, cost)) => Finding::new(
            "speed",
            on_what,
            target,
            format!(
                "{wall:.2} s wall, {:.2} s CPU, peak {:.2} GB",
                cost.cpu.as_secs_f64(),
                cost.peak_pss as f64 / 1e9
            ),
            is_good(wall, cost),
        ),
        Err(why) => Finding::not_measured("speed", on_what, target, format!("{why:#}")),
    }
}

fn on(ground: &Ground, python: &Interpreter, objects: usize) -> Result<(f64, Cost)> {
    let directory = ground.scratch("large")?;
    let snapshot = directory.join("snapshot");
    let workloads = ground.root.join("benches/workloads");
    let target = Target::python(
        &python.path,
        &ground.program("hold_heap.py"),
        &[&workloads.to_string_lossy(), &objects.to_string()],
    )?;
    target.expect("ready", LIMIT)?;
    look::snapshot(ground, target.pid(), &snapshot)?;
    // Its memory is needed, and the snapshot says all.
    drop(target);
    let path = snapshot.to_str().context("an odd path")?;
    let began = Instant::now();
    let (_, cost) = watch(&ground.memshed, || {
        ask::run(ground, &["leaks", path], LIMIT)
    })?;
    let wall = began.elapsed().as_secs_f64();
    let _ = std::fs::remove_dir_all(directory);
    Ok((wall, cost))
}
