//! Row "fragment": most objects freed, few on every page: what `memshed release` brings resident
//! memory down to, what it takes, and that the program's own data stays what it was.

use super::ask::{self, ANSWER, MB};
use crate::accept::ground::Ground;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::Result;

const AGAIN: &str = "a second release with nothing to give ≤ 10 ms";
const HARD: &str = "≤ 200 MB with --hard (3.11 and later), undone by --undo";
const TIME: &str = "total time in the target ≤ 200 ms, data intact";
const MALLOC: &str = "≥ 95 % of what malloc_trim gives from within";

/// Measures the row on each interpreter whose pools have more than one page.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in ask::with_large_pools(ground) {
        findings.extend(on(ground, python).unwrap_or_else(|why| {
            vec![Finding::not_measured(
                "fragment",
                python.label(),
                TIME,
                format!("{why:#}"),
            )]
        }));
    }
    let python = ground.one_python();
    findings.push(malloc(ground, python).unwrap_or_else(|why| {
        Finding::not_measured("fragment", python.label(), MALLOC, format!("{why:#}"))
    }));
    Ok(findings)
}

/// What is to be reached, in MB, of 5 M objects.
fn goal(python: &Interpreter) -> f64 {
    match python.minor() {
        (3, 10) => 290.0,
        _ => 270.0,
    }
}

fn on(ground: &Ground, python: &Interpreter) -> Result<Vec<Finding>> {
    let size = ground.count("5000000", "1000000");
    let scale: f64 = ground.count(1.0, 0.25);
    let mut target = ask::start(ground, python, "release_fragment.py", &[size])?;
    let before = target.expect("ready", ANSWER)?.parse::<f64>()? / 1024.0;
    let release = ask::release(ground, target.pid(), &[])?;
    let after = ask::resident(target.pid())? / MB;
    ask::whole(&mut target)?;
    let again = ask::release(ground, target.pid(), &[])?;
    let hard = ask::release(ground, target.pid(), &["--hard"])?;
    let hardest = ask::resident(target.pid())? / MB;
    ask::whole(&mut target)?;
    ask::release(ground, target.pid(), &["--undo"])?;
    ask::whole(&mut target)?;
    let check = ask::check(target.pid())?;
    let label = python.label();
    let goal = goal(python) * scale;
    let new = |target: &str, measured: String, good| {
        Finding::new("fragment", label.clone(), target, measured, good)
    };
    Ok(vec![
        new(
            &format!("at most {goal:.0} MB resident"),
            format!(
                "{before:.0} MB before, {after:.0} after {}",
                release.notes()
            ),
            after <= goal,
        ),
        new(
            TIME,
            format!(
                "{:.0} ms, longest stop {:.1} ms",
                release.took_ms(),
                release.stopped_ms()
            ),
            release.took_ms() <= 200.0,
        ),
        new(
            AGAIN,
            format!("{:.1} ms", again.took_ms()),
            again.took_ms() <= 10.0,
        ),
        new(
            HARD,
            format!(
                "{hardest:.0} MB in {:.0} ms; afterwards {} violations of the allocator's rules",
                hard.took_ms(),
                check.count
            ),
            check.count == 0 && (python.minor() < (3, 11) || hardest <= 200.0 * scale),
        ),
    ])
}

/// Objects from malloc: two programs alike, one of which trims by itself.
fn malloc(ground: &Ground, python: &Interpreter) -> Result<Finding> {
    let size = ground.count("2000000", "500000");
    let start = || {
        let mut command = std::process::Command::new(&python.path);
        command
            .args(["-B"])
            .arg(ground.program("release_fragment.py"));
        command.arg(size).env("PYTHONMALLOC", "malloc");
        crate::accept::child::Target::start(&mut command)
    };
    let (mut target, mut control) = (start()?, start()?);
    let before: f64 = target.expect("ready", ANSWER)?.parse()?;
    let before_control: f64 = control.expect("ready", ANSWER)?.parse()?;
    let release = ask::release(ground, target.pid(), &[])?;
    ask::whole(&mut target)?;
    let after: f64 = target.ask("rss", "rss", ANSWER)?.parse()?;
    let trimmed: f64 = control.ask("trim", "trimmed", ANSWER)?.parse()?;
    let share = (before - after) / (before_control - trimmed);
    let step = release.0["steps"].as_array().into_iter().flatten();
    let took: f64 = step.filter_map(|step| step["took_ms"].as_f64()).sum();
    Ok(Finding::new(
        "fragment",
        format!("{}, PYTHONMALLOC=malloc", python.label()),
        MALLOC,
        format!(
            "{:.0} MB before, {:.0} after ({:.0} from within): {:.1} %, {took:.0} ms",
            before / 1024.0,
            after / 1024.0,
            trimmed / 1024.0,
            100.0 * share
        ),
        share >= 0.95,
    ))
}
