//! Row "account": resident memory is explained to within a few parts in a hundred.

use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::look::{self, Look};
use crate::accept::table::Finding;
use crate::accept::venv;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// A program, its arguments in full and in a quick run, and how much may be unexplained.
struct Program {
    name: &'static str,
    script: &'static str,
    arguments: [&'static [&'static str]; 2],
    packages: &'static [&'static str],
    most: f64,
}

const NUMPY: &[&str] = &["numpy", "pandas"];

const PROGRAMS: [Program; 5] = [
    Program {
        name: "bare script",
        script: "account.py",
        arguments: [&["bare"], &["bare"]],
        packages: &[],
        most: 3.0,
    },
    Program {
        name: "numpy and pandas",
        script: "account.py",
        arguments: [&["pandas"], &["pandas"]],
        packages: NUMPY,
        most: 2.0,
    },
    Program {
        name: "threaded server",
        script: "account.py",
        arguments: [&["server"], &["server"]],
        packages: &[],
        most: 2.0,
    },
    Program {
        name: "1 GB of objects",
        script: "hold_heap.py",
        arguments: [&["9500000"], &["500000"]],
        packages: &[],
        most: 2.0,
    },
    Program {
        name: "3 GB of numpy",
        script: "account.py",
        arguments: [&["numpy", "3"], &["numpy", "0.5"]],
        packages: NUMPY,
        most: 2.0,
    },
];

/// Measures the row: every program on one interpreter, the small ones on all.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for program in &PROGRAMS {
        let large = program.name.contains("GB");
        for python in &ground.pythons {
            if large && python.path != ground.one_python().path {
                continue;
            }
            let on = format!("{}, {}", program.name, python.label());
            let target = format!("unexplained < {} %, the tree closed", program.most);
            findings.push(match on_one(ground, program, python) {
                Ok((measured, good)) => Finding::new("account", on, target, measured, good),
                Err(why) => Finding::not_measured("account", on, target, format!("{why:#}")),
            });
        }
    }
    Ok(findings)
}

fn on_one(ground: &Ground, program: &Program, python: &Interpreter) -> Result<(String, bool)> {
    let path: PathBuf = match program.packages {
        [] => python.path.clone(),
        packages => venv::python(ground, python, "numpy", packages)?,
    };
    let [full, quick] = program.arguments;
    let mut arguments: Vec<&str> = ground.count(full, quick).to_vec();
    let workloads = ground.root.join("benches/workloads");
    let workloads = workloads.to_str().context("an odd path")?;
    if program.script == "hold_heap.py" {
        arguments.insert(0, workloads);
    }
    let target = Target::python(&path, &ground.program(program.script), &arguments)?;
    target.expect("ready", Duration::from_secs(300))?;
    let look = look::inspect(ground, target.pid(), &[])?;
    let rss = look
        .number("/process/rss_bytes")
        .context("no resident bytes")?;
    let unexplained = category(&look, "unexplained");
    let share = 100.0 * unexplained / rss;
    let open = open_sums(&look.json["memory"], "memory");
    let mut measured = format!("{share:.2} % of {:.1} MB", rss / 1e6);
    if !look.memory_sums() {
        measured += "; the categories do not sum to the resident bytes";
    }
    for part in &open {
        measured += &format!("; the parts of {part} do not sum to it");
    }
    let good = share < program.most && look.memory_sums() && open.is_empty();
    Ok((measured, good))
}

fn category(look: &Look, name: &str) -> f64 {
    let parts = look.json["memory"].as_array();
    let mut parts = parts.into_iter().flatten();
    let part = parts.find(|part| part["category"] == name);
    part.and_then(|part| part["bytes"].as_f64())
        .unwrap_or(f64::NAN)
}

/// Parts whose own parts do not sum to them.
fn open_sums(parts: &Value, path: &str) -> Vec<String> {
    let mut open = Vec::new();
    for part in parts.as_array().into_iter().flatten() {
        let path = format!("{path}/{}", part["category"].as_str().unwrap_or("?"));
        let own = part["parts"].as_array();
        let sum: Option<u64> = own.map(|own| own.iter().filter_map(|p| p["bytes"].as_u64()).sum());
        if sum.is_some_and(|sum| Some(sum) != part["bytes"].as_u64()) {
            open.push(path.clone());
        }
        open.extend(open_sums(&part["parts"], &path));
    }
    open
}
