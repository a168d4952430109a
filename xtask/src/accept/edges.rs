//! Row "edges": on a program with a million objects, the snapshot's edges against
//! `gc.get_referents`, and what it does not confirm against the target's memory.

use super::ground::Ground;
use super::objects::{Held, list};
use super::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};

const COMPLETE: &str = "edges ⊇ gc.get_referents for 99.9 % of the containers listed";
const INVENTED: &str = "no edge invented";

/// Measures the row on every interpreter.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in &ground.pythons {
        match on(ground, python) {
            Ok(found) => findings.extend(found),
            Err(why) => findings.extend([COMPLETE, INVENTED].map(|target| {
                Finding::not_measured("edges", python.label(), target, format!("{why:#}"))
            })),
        }
    }
    Ok(findings)
}

fn on(ground: &Ground, python: &Interpreter) -> Result<Vec<Finding>> {
    let scale = ground.count("60", "2");
    let mut held = Held::start(ground, python, &[scale, "edges"])?;
    let (_, snapshot) = held.look(ground)?;
    let compared = held.compare(ground, &snapshot, true)?;
    held.release();
    let edges = &compared["edges_result"];
    let number = |name: &str| edges[name].as_f64().with_context(|| format!("no {name}"));
    let (listed, incomplete) = (number("listed")?, number("incomplete")?);
    let share = 100.0 * (1.0 - incomplete / listed.max(1.0));
    let invented = number("invented")?;
    Ok(vec![
        Finding::new(
            "edges",
            python.label(),
            COMPLETE,
            format!(
                "{share:.3} % of {listed} containers complete, {} objects, {} edges; incomplete {}; lacking (all types) {} of {} {}",
                compared["objects"],
                edges["edges"],
                list(&edges["incomplete_types"]),
                edges["pairs_lacking"],
                edges["pairs"],
                list(&edges["lacking_examples"]),
            ),
            share >= 99.9 && listed > 0.0,
        ),
        Finding::new(
            "edges",
            python.label(),
            INVENTED,
            format!(
                "{} edges beyond gc.get_referents {}; {} of them looked up in memory, {invented} not found {} {}",
                edges["extra"],
                list(&edges["extra_kinds"]),
                edges["looked_up"],
                list(&edges["invented_kinds"]),
                list(&edges["invented_examples"]),
            ),
            invented == 0.0,
        ),
    ])
}
