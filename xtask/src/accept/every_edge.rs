//! Row "edges" of `see`: on a program with instances of every C type of the standard library, and
//! on one with numpy, pandas, lxml, pydantic, SQLAlchemy and aiohttp, each type's referents against
//! the snapshot's edges. The whole table, type by type, is left in `target/acceptance`.

use super::ground::{self, Ground};
use super::look;
use super::objects::{Held, list};
use super::table::Finding;
use super::venv;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMPLETE: &str = "edges ⊇ gc.get_referents for 99.9 % of objects of known types";
const INVENTED: &str = "no edge invented";
const PACKAGES: &[&str] = &[
    "numpy",
    "pandas",
    "lxml",
    "pydantic",
    "sqlalchemy",
    "aiohttp",
];

/// Measures the row: the standard library on every interpreter, the packages on one.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in &ground.pythons {
        let on_what = format!("standard library, {}", python.label());
        findings.extend(on(ground, &python.path, "stdlib.py", &on_what));
    }
    if !ground.quick {
        let python = ground.one_python();
        let on_what = format!("six libraries, {}", python.label());
        findings.extend(match venv(ground, python) {
            Ok(path) => on(ground, &path, "libraries.py", &on_what),
            Err(why) => not_measured(&on_what, &why),
        });
    }
    Ok(findings)
}

fn venv(ground: &Ground, python: &Interpreter) -> Result<PathBuf> {
    venv::python(ground, python, "libraries", PACKAGES)
}

fn on(ground: &Ground, python: &Path, program: &str, on_what: &str) -> Vec<Finding> {
    let table = tell(ground, python, program).and_then(|table| {
        keep(ground, on_what, &table)?;
        findings(on_what, &table)
    });
    table.unwrap_or_else(|why| not_measured(on_what, &why))
}

fn not_measured(on_what: &str, why: &anyhow::Error) -> Vec<Finding> {
    let finding = |target| Finding::not_measured("edges", on_what, target, format!("{why:#}"));
    [COMPLETE, INVENTED].map(finding).into()
}

/// What `edge_table.py` says of a snapshot of the program.
fn tell(ground: &Ground, python: &Path, program: &str) -> Result<Value> {
    let mut held = Held::start_program(ground, python, program, &[])?;
    let snapshot = held.directory.join("snapshot");
    look::snapshot(ground, held.pid(), &snapshot)?;
    let done = Command::new(venv::reader(ground)?)
        .arg("-B")
        .arg(ground.program("edge_table.py"))
        .arg(&snapshot)
        .arg(&held.directory)
        .arg(held.pid().to_string())
        .output()?;
    held.release();
    ensure!(
        done.status.success(),
        "edge_table.py: {}",
        String::from_utf8_lossy(&done.stderr).trim()
    );
    Ok(serde_json::from_slice(&done.stdout)?)
}

fn findings(on_what: &str, table: &Value) -> Result<Vec<Finding>> {
    let number = |name: &str| table[name].as_f64().with_context(|| format!("no {name}"));
    let (objects, incomplete) = (number("known_objects")?, number("incomplete")?);
    let share = 100.0 * (1.0 - incomplete / objects.max(1.0));
    let possible = 100.0 * number("possible_edges")? / number("edges")?.max(1.0);
    let complete = format!(
        "{share:.3} % of {objects} objects complete, {} in all; {possible:.2} % of {} edges are possible only; lacking {}",
        table["objects"],
        table["edges"],
        list(&first(&table["missing"], 5)),
    );
    let (mut looked_up, mut wrong) = (0, Vec::new());
    for group in table["beyond"].as_array().into_iter().flatten() {
        looked_up += group["looked_up"].as_u64().unwrap_or(0);
        let held = group["not_held"].as_u64() == Some(0);
        if !held || group["listed"].as_bool() != Some(true) {
            wrong.push(Value::from(format!(
                "{} {} {} {}{}",
                words(&group["type"]),
                words(&group["kind"]),
                words(&group["label"]),
                group["edges"],
                if held {
                    ", a label that is not listed"
                } else {
                    ", not in memory"
                },
            )));
        }
    }
    let good = wrong.is_empty() && looked_up > 0;
    let wrong = Value::from(wrong);
    let invented = format!(
        "{looked_up} edges beyond gc.get_referents looked up in memory {}",
        list(&first(&wrong, 5))
    );
    Ok(vec![
        Finding::new(
            "edges",
            on_what,
            COMPLETE,
            complete,
            share >= 99.9 && objects > 0.0,
        ),
        Finding::new("edges", on_what, INVENTED, invented, good),
    ])
}

fn words(text: &Value) -> &str {
    text.as_str().unwrap_or_default()
}

/// The first few of a JSON list.
fn first(texts: &Value, most: usize) -> Value {
    texts
        .as_array()
        .into_iter()
        .flatten()
        .take(most)
        .cloned()
        .collect()
}

/// Leaves the table by type where it can be read.
fn keep(ground: &Ground, on_what: &str, table: &Value) -> Result<()> {
    let columns = ["objects", "referents", "known", "possible", "missing"];
    let mut text = format!("{:60}", "type");
    for column in columns {
        write!(text, " {column:>9}")?;
    }
    text.push('\n');
    for (name, row) in table["types"].as_object().into_iter().flatten() {
        write!(text, "{name:60}")?;
        for column in columns {
            write!(text, " {:>9}", row[column].as_u64().unwrap_or(0))?;
        }
        text.push('\n');
    }
    let folder = ground::cargo_target(&ground.root).join("acceptance");
    std::fs::create_dir_all(&folder)?;
    let name = on_what.replace([' ', ','], "-");
    Ok(std::fs::write(
        folder.join(format!("edges-{name}.txt")),
        text,
    )?)
}
