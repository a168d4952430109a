//! What rows "dominators" and "garbage" share: memshed's graph analyses, told by the example
//! `graph_facts` of `memshed-analysis`, against the words of others.

use crate::accept::ground::{Ground, cargo_target};
use crate::accept::venv;
use crate::interpreters;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Builds the example; its path.
pub fn build(ground: &Ground) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--quiet",
            "--package",
            "memshed-analysis",
        ])
        .args(["--example", "graph_facts"])
        .current_dir(&ground.root)
        .output()?;
    ensure!(
        done.status.success(),
        "graph_facts does not build: {}",
        String::from_utf8_lossy(&done.stderr).trim()
    );
    Ok(cargo_target(&ground.root).join("release/examples/graph_facts"))
}

/// Writes what memshed makes of a snapshot's graph beside the snapshot.
pub fn facts(example: &Path, snapshot: &Path) -> Result<PathBuf> {
    let path = snapshot.with_extension("facts");
    let done = Command::new(example)
        .arg(snapshot)
        .stdout(File::create(&path)?)
        .output()
        .context("running graph_facts")?;
    ensure!(
        done.status.success(),
        "graph_facts: {}: {}",
        done.status,
        String::from_utf8_lossy(&done.stderr).trim()
    );
    Ok(path)
}

/// Runs `graph_truth.py`, which has DuckDB and networkx.
pub fn compare(ground: &Ground, what: &str, files: &[&Path]) -> Result<Value> {
    let all = interpreters::supported();
    let usual = all.iter().find(|one| one.minor() == (3, 12));
    let base = usual.unwrap_or_else(|| ground.one_python());
    let python = venv::python(ground, base, "graphs", &["duckdb", "numpy", "networkx"])?;
    let done = Command::new(python)
        .arg("-B")
        .arg(ground.program("graph_truth.py"))
        .arg(what)
        .args(files)
        .output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    // Of a traceback, the last line says what went wrong.
    let why = said.trim().lines().last().unwrap_or_default();
    ensure!(done.status.success(), "graph_truth.py: {why}");
    Ok(serde_json::from_slice(&done.stdout)?)
}

/// A count in its answer.
pub fn count(answer: &Value, name: &str) -> Result<u64> {
    answer[name]
        .as_u64()
        .with_context(|| format!("no {name} in {answer}"))
}
