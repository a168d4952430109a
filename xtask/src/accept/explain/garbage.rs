//! Row "garbage": what memshed takes for garbage against what the collector keeps when it is told
//! to with `gc.DEBUG_SAVEALL`.

use super::graph;
use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::look;
use crate::accept::objects::list;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::Result;
use std::path::Path;
use std::time::Duration;

const TARGET: &str = "garbage = what gc.DEBUG_SAVEALL keeps, object by object";

/// Measures the row on every interpreter.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let example = graph::build(ground)?;
    let findings = ground.pythons.iter().map(|python| {
        let label = python.label();
        match on(ground, python, &example) {
            Ok((measured, good)) => Finding::new("garbage", label, TARGET, measured, good),
            Err(why) => Finding::not_measured("garbage", label, TARGET, format!("{why:#}")),
        }
    });
    Ok(findings.collect())
}

fn on(ground: &Ground, python: &Interpreter, example: &Path) -> Result<(String, bool)> {
    let mut target = Target::python(&python.path, &ground.program("garbage.py"), &[])?;
    target.expect("ready", Duration::from_secs(60))?;
    let directory = ground.scratch("garbage")?;
    let snapshot = directory.join("snapshot");
    look::snapshot(ground, target.pid(), &snapshot)?;
    let kept = target.ask("", "kept", Duration::from_secs(60))?;
    let closed = target.expect("closed", Duration::from_secs(60))?;
    let truth = directory.join("kept.txt");
    std::fs::write(&truth, format!("kept {kept}\nclosed {closed}\n"))?;
    let facts = graph::facts(example, &snapshot)?;
    let answer = graph::compare(ground, "garbage", &[&snapshot, &facts, &truth])?;
    let count = |name| graph::count(&answer, name);
    let (missing, extra) = (
        count("missing")? + count("not_in_snapshot")?,
        count("extra")?,
    );
    let measured = format!(
        "{} kept by the collector, {} more ended by their generators' finalizers; {} said; {missing} missing {}, {extra} too many {}",
        answer["kept"],
        answer["closed"],
        answer["said"],
        list(&answer["missing_types"]),
        list(&answer["extra_types"]),
    );
    Ok((
        measured,
        missing == 0 && extra == 0 && count("kept")? > 1000,
    ))
}
