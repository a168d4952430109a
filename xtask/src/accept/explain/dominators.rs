//! Row "dominators": on a heap of 100,000 objects, immediate dominators and retained bytes against
//! networkx on the same edges.

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

const DOMINATORS: &str = "immediate dominators equal to networkx's, for every object";
const RETAINED: &str = "retained bytes equal to the sums over networkx's tree";

/// Measures the row: on one interpreter, the oldest and the newest.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let example = graph::build(ground)?;
    let last = ground.pythons.len() - 1;
    let mut pythons = vec![ground.one_python()];
    for other in [&ground.pythons[0], &ground.pythons[last]] {
        let known = pythons.iter().any(|one| one.path == other.path);
        if !ground.quick && !known {
            pythons.push(other);
        }
    }
    let mut findings = Vec::new();
    for python in pythons {
        findings.extend(on(ground, python, &example).unwrap_or_else(|why| {
            [DOMINATORS, RETAINED]
                .map(|target| {
                    Finding::not_measured("dominators", python.label(), target, format!("{why:#}"))
                })
                .into()
        }));
    }
    Ok(findings)
}

fn on(ground: &Ground, python: &Interpreter, example: &Path) -> Result<Vec<Finding>> {
    let scale = ground.count("2", "1");
    let target = Target::python(&python.path, &ground.program("graph_heap.py"), &[scale])?;
    target.expect("ready", Duration::from_secs(60))?;
    let snapshot = ground.scratch("graph")?.join("snapshot");
    look::snapshot(ground, target.pid(), &snapshot)?;
    drop(target);
    let facts = graph::facts(example, &snapshot)?;
    let answer = graph::compare(ground, "dominators", &[&snapshot, &facts])?;
    let count = |name| graph::count(&answer, name);
    let (objects, differing, choices) = (
        count("objects")?,
        count("differing")?,
        count("wrong_choices")?,
    );
    let unequal = count("unequal_bytes")?;
    let enough = objects >= ground.count(100_000, 20_000) && count("below_others")? > objects / 10;
    Ok(vec![
        Finding::new(
            "dominators",
            python.label(),
            DOMINATORS,
            format!(
                "{differing} of {objects} objects ({} edges) differ {}; {} are dominated by another object; \
                 {} unreached ones are held by C code, {} unreached cycles, {choices} without exactly one head",
                answer["edges"],
                list(&answer["differing_types"]),
                answer["below_others"],
                answer["held_by_c"],
                answer["unreached_cycles"],
            ),
            differing == 0 && choices == 0 && enough,
        ),
        Finding::new(
            "dominators",
            python.label(),
            RETAINED,
            format!(
                "{unequal} of {objects} objects differ {}",
                list(&answer["unequal_types"])
            ),
            unequal == 0 && enough,
        ),
    ])
}
