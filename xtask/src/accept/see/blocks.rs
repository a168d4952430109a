//! Row "blocks": every block of the pools in use is attributed.

use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::look;
use crate::accept::table::Finding;
use crate::accept::venv;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};
use serde_json::Value;
use std::time::Duration;

/// What is loaded, and how many blocks may be unknown, in percent.
struct Program {
    name: &'static str,
    script: &'static str,
    packages: &'static [&'static str],
    most: f64,
}

const PROGRAMS: [Program; 2] = [
    Program {
        name: "standard library",
        script: "stdlib.py",
        packages: &[],
        most: 0.5,
    },
    Program {
        name: "numpy, pandas, lxml, pydantic, SQLAlchemy, aiohttp",
        script: "libraries.py",
        packages: &[
            "numpy",
            "pandas",
            "lxml",
            "pydantic",
            "SQLAlchemy",
            "aiohttp",
        ],
        most: 3.0,
    },
];

/// Measures the row on every interpreter.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for program in &PROGRAMS {
        for python in &ground.pythons {
            let on = format!("{}, {}", program.name, python.label());
            let target = format!("unknown < {} % of blocks", program.most);
            findings.push(match on_one(ground, program, python) {
                Ok((measured, good)) => Finding::new("blocks", on, target, measured, good),
                Err(why) => Finding::not_measured("blocks", on, target, format!("{why:#}")),
            });
        }
    }
    Ok(findings)
}

fn on_one(ground: &Ground, program: &Program, python: &Interpreter) -> Result<(String, bool)> {
    let path = match program.packages {
        [] => python.path.clone(),
        packages => venv::python(ground, python, "libraries", packages)?,
    };
    let directory = ground.scratch("blocks")?;
    let directory = directory.to_str().context("an odd path")?;
    let target = Target::python(&path, &ground.program(program.script), &[directory])?;
    target.expect("ready", Duration::from_secs(180))?;
    let look = look::inspect(ground, target.pid(), &[])?;
    let (unknown, all, text) = shares(&look.json["blocks"])?;
    let share = 100.0 * unknown as f64 / all.max(1) as f64;
    Ok((
        format!("{share:.3} % of {all} ({text})"),
        share < program.most,
    ))
}

/// Unknown blocks, all blocks, and how many there are of each kind.
fn shares(blocks: &Value) -> Result<(u64, u64, String)> {
    let rows = blocks.as_array().context("no blocks in the report")?;
    let count = |row: &Value| row["blocks"].as_u64().unwrap_or(0);
    let all = rows.iter().map(count).sum();
    let unknown = rows.iter().filter(|row| row["kind"] == "unknown");
    let unknown = unknown.map(count).sum();
    let kind = |row: &Value| row["kind"].as_str().unwrap_or("?").replace('_', " ");
    let text: Vec<String> = rows
        .iter()
        .map(|row| format!("{} {}", count(row), kind(row)))
        .collect();
    Ok((unknown, all, text.join(", ")))
}
