//! Row "stop": how long a look stops the target, against a bare `fork()` of the same process and
//! against what a spinning thread inside it sees.

use super::child::Target;
use super::ground::Ground;
use super::look::{self, least, median};
use super::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::time::Duration;

const FORK: &str = "median stop ≤ 1.5 × bare fork() + 2 ms";
const GAP: &str = "stopped_ms within 1 ms of the longest gap of a spinning thread";
const PAUSE: &str = "pause ≤ 0.25 s per GB of Python heap";
const ANSWER: Duration = Duration::from_secs(120);

/// Measures the row on one interpreter at several heap sizes.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let python = ground.one_python();
    let library = ground.compile("spin.c", "libspin.so")?;
    let sizes: &[u64] = ground.count(&[50, 500, 2000], &[50, 200]);
    let mut findings = Vec::new();
    for &megabytes in sizes {
        let on_what = format!("{}, {megabytes} MB", python.label());
        match on(ground, python, &library, megabytes, &on_what) {
            Ok(found) => findings.extend(found),
            Err(why) => findings.extend([FORK, GAP, PAUSE].map(|target| {
                Finding::not_measured("stop", on_what.clone(), target, format!("{why:#}"))
            })),
        }
    }
    Ok(findings)
}

fn on(
    ground: &Ground,
    python: &Interpreter,
    library: &Path,
    megabytes: u64,
    on_what: &str,
) -> Result<Vec<Finding>> {
    let library = library.to_str().context("an odd path")?;
    let mut target = Target::python(
        &python.path,
        &ground.program("stop.py"),
        &[library, &megabytes.to_string()],
    )?;
    let heap: f64 = target
        .expect("ready", ANSWER)?
        .parse()
        .context("no heap size")?;
    let number = |text: String| -> Result<f64> { Ok(text.parse()?) };

    // Forks and looks take turns, so that both meet the same noise of the machine.
    let times = ground.count(15, 5);
    let (mut forks, mut stops) = (Vec::new(), Vec::new());
    for _ in 0..times {
        forks.push(number(target.ask("fork", "fork", ANSWER)?)?);
        let look = look::inspect(ground, target.pid(), &["--method", "fork"])?;
        ensure!(look.method() == "fork", "the look was by {}", look.method());
        stops.push(look.stopped_ms());
    }
    // A quick run may meet a machine at work: there the least disturbed figures count.
    let typical = if ground.quick { least } else { median };
    let (fork, stop) = (typical(forks), typical(stops));

    target.ask("spin", "spinning", ANSWER)?;
    let (mut gaps, mut differences) = (Vec::new(), Vec::new());
    for _ in 0..times {
        target.ask("reset", "ok", ANSWER)?;
        let look = look::inspect(ground, target.pid(), &["--method", "fork"])?;
        let gap = number(target.ask("gap", "gap", ANSWER)?)?;
        gaps.push(gap);
        differences.push((gap - look.stopped_ms()).abs());
    }
    target.ask("rest", "ok", ANSWER)?;
    let close = differences.iter().filter(|&&ms| ms <= 1.0).count();

    let mut pauses = Vec::new();
    for _ in 0..ground.count(5, 3) {
        let look = look::inspect(ground, target.pid(), &["--method", "pause"])?;
        ensure!(
            look.method() == "pause",
            "asked to pause, the look was by {}",
            look.method()
        );
        pauses.push(look.stopped_ms());
    }
    let per_gb = typical(pauses) / 1e3 / (heap / 1e9);
    Ok(vec![
        Finding::new(
            "stop",
            on_what,
            FORK,
            format!("stop {stop:.2} ms, fork {fork:.2} ms"),
            stop <= 1.5 * fork + 2.0,
        ),
        Finding::new(
            "stop",
            on_what,
            GAP,
            format!(
                "median difference {:.2} ms, {close} of {times} within 1 ms, median gap {:.2} ms",
                median(differences.clone()),
                median(gaps)
            ),
            typical(differences) <= 1.0,
        ),
        Finding::new(
            "stop",
            on_what,
            PAUSE,
            format!("{per_gb:.3} s per GB, heap {:.2} GB", heap / 1e9),
            per_gb <= 0.25,
        ),
    ])
}
