//! Row "speed": `heap.py` with 5 and 20 million objects; what one look costs.

use super::child::Target;
use super::ground::Ground;
use super::look::{self, median};
use super::table::Finding;
use super::watch::watch;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};
use std::time::Duration;

const WALL: &str = "5 M objects: whole command ≤ 8 s wall";
const CPU: &str = "5 M objects: walk ≤ 4 s of CPU (the whole command's CPU is measured)";
const MEMORY: &str = "5 M objects: own memory ≤ 1.5 × the Python heap";
const LARGE: &str = "20 M objects work";

/// Measures the row on every interpreter; the large heap on one.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in &ground.pythons {
        let main = python.path == ground.one_python().path;
        if ground.quick && !main {
            continue;
        }
        let objects = ground.count(5_000_000, 500_000);
        match several(ground, python, objects, ground.count(3, 1)) {
            Ok(cost) => findings.extend(cost.judge(python, objects)),
            Err(why) => findings.extend([WALL, CPU, MEMORY].map(|target| {
                Finding::not_measured("speed", python.label(), target, format!("{why:#}"))
            })),
        }
        if main && ground.quick {
            findings.push(Finding::not_measured(
                "speed",
                python.label(),
                LARGE,
                "left out by --quick",
            ));
        } else if main {
            findings.push(match several(ground, python, 20_000_000, 1) {
                Ok(cost) => Finding::new("speed", python.label(), LARGE, cost.told(), true),
                Err(why) => {
                    Finding::not_measured("speed", python.label(), LARGE, format!("{why:#}"))
                }
            });
        }
    }
    if ground.quick {
        // What a quick run leaves out is not held against it; the full run measures it.
        findings.retain(|finding| finding.target != LARGE);
    }
    Ok(findings)
}

/// Medians over several looks.
struct Measured {
    wall: f64,
    cpu: f64,
    peak: f64,
    heap: f64,
    counted: f64,
}

impl Measured {
    fn told(&self) -> String {
        format!(
            "{:.2} s wall, {:.2} s CPU, peak {:.0} MB = {:.2} × heap of {:.0} MB, {:.0} objects",
            self.wall,
            self.cpu,
            self.peak / 1e6,
            self.peak / self.heap,
            self.heap / 1e6,
            self.counted,
        )
    }

    fn judge(&self, python: &Interpreter, objects: usize) -> Vec<Finding> {
        // Of a smaller heap, in proportion; a floor for what does not shrink with it.
        let share = objects as f64 / 5e6;
        let checks = [
            (
                WALL,
                self.wall <= 8.0 * share + if share < 1.0 { 1.0 } else { 0.0 },
            ),
            (
                CPU,
                self.cpu <= 4.0 * share + if share < 1.0 { 0.5 } else { 0.0 },
            ),
            (
                MEMORY,
                self.peak <= 1.5 * self.heap + if share < 1.0 { 50e6 } else { 0.0 },
            ),
        ];
        checks
            .into_iter()
            .map(|(target, good)| {
                Finding::new(
                    "speed",
                    format!("{}, {objects} objects", python.label()),
                    target,
                    self.told(),
                    good,
                )
            })
            .collect()
    }
}

fn several(
    ground: &Ground,
    python: &Interpreter,
    objects: usize,
    times: usize,
) -> Result<Measured> {
    let workloads = ground.root.join("benches/workloads");
    let target = Target::python(
        &python.path,
        &ground.program("hold_heap.py"),
        &[&workloads.to_string_lossy(), &objects.to_string()],
    )?;
    let heap: f64 = target
        .expect("ready", Duration::from_secs(300))?
        .parse()
        .context("no heap size")?;
    let (mut walls, mut cpus, mut peaks, mut counted) = (Vec::new(), Vec::new(), Vec::new(), 0.0);
    for _ in 0..times {
        let (look, cost) = watch(&ground.memshed, || look::inspect(ground, target.pid(), &[]))?;
        walls.push(look.wall.as_secs_f64());
        cpus.push(cost.cpu.max(look.cpu).as_secs_f64());
        peaks.push(cost.peak_pss as f64);
        counted = look.number("/objects/count").unwrap_or(0.0);
    }
    anyhow::ensure!(
        counted >= objects as f64,
        "only {counted} of {objects} objects counted"
    );
    Ok(Measured {
        wall: median(walls),
        cpu: median(cpus),
        peak: median(peaks),
        heap,
        counted,
    })
}
