//! Row "robustness": a torn heap still gives a report; the fuzz targets run for a while.

use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::look;
use crate::accept::table::Finding;
use crate::fuzz;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};
use std::time::Duration;

const TORN: &str = "a report, with the torn objects among its problems";
const FUZZED: &str = "no panic and no hang (hours in all)";

/// Measures the row: the torn heap on every interpreter, the fuzz targets once.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in &ground.pythons {
        let on = format!("torn heap, {}", python.label());
        findings.push(match torn(ground, python) {
            Ok((measured, good)) => Finding::new("robustness", on, TORN, measured, good),
            Err(why) => Finding::not_measured("robustness", on, TORN, format!("{why:#}")),
        });
    }
    for target in fuzz::TARGETS {
        let on = format!("fuzz target {target}");
        let seconds = ground.count(600, 30);
        findings.push(match fuzz::fuzz(&ground.root, target, seconds) {
            Ok(outcome) => Finding::new("robustness", on, FUZZED, outcome.told, outcome.good),
            Err(why) => Finding::not_measured("robustness", on, FUZZED, format!("{why:#}")),
        });
    }
    Ok(findings)
}

fn torn(ground: &Ground, python: &Interpreter) -> Result<(String, bool)> {
    let target = Target::python(&python.path, &ground.program("torn.py"), &[])?;
    let torn = target.expect("ready", Duration::from_secs(60))?;
    let look = look::inspect(ground, target.pid(), &[])?;
    let problems = look.json["snapshot"]["problems"].as_array();
    let problems = problems.context("no problems in the report")?;
    let counted: u64 = problems.iter().filter_map(|p| p["count"].as_u64()).sum();
    let objects = look.number("/objects/count").unwrap_or(0.0);
    let kinds: Vec<&str> = problems.iter().filter_map(|p| p["kind"].as_str()).collect();
    let measured = format!(
        "{torn} words torn, {counted} problems counted ({}), {objects} objects reported",
        kinds.join(", ")
    );
    Ok((
        measured,
        counted > 0 && objects > 1000.0 && look.memory_sums(),
    ))
}
