//! Rows "objects" and the start of "edges": the target's own truth against a snapshot of it.

use super::child::Target;
use super::ground::Ground;
use super::look::{self, Look};
use super::table::Finding;
use super::venv;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// What is demanded of the counts.
pub const COUNTS: &str = "GC-tracked per type = gc.get_objects()";
const CLOSURE: &str = "all objects ⊇ closure under gc.get_referents";
const SIZES: &str = "sizes = sys.getsizeof for 99.9 %";

/// Measures the row on every interpreter.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in &ground.pythons {
        match on(ground, python) {
            Ok(found) => findings.extend(found),
            Err(why) => findings.extend([COUNTS, CLOSURE, SIZES].map(|target| {
                Finding::not_measured("objects", python.label(), target, format!("{why:#}"))
            })),
        }
    }
    Ok(findings)
}

fn on(ground: &Ground, python: &Interpreter) -> Result<Vec<Finding>> {
    let scale = ground.count("20", "2");
    let mut held = Held::start(ground, python, &[scale])?;
    let (look, snapshot) = held.look(ground)?;
    let found = findings(ground, "objects", &python.label(), &look, &held, &snapshot);
    held.release();
    found
}

/// What a look at, and a snapshot of, a target say against its truth.
pub fn findings(
    ground: &Ground,
    row: &str,
    on: &str,
    look: &Look,
    held: &Held,
    snapshot: &Path,
) -> Result<Vec<Finding>> {
    let compared = held.compare(ground, snapshot, false)?;
    let wrong = differing_counts(look, &held.truth);
    let differing = compared["tracked_differing"]
        .as_object()
        .map_or(0, serde_json::Map::len);
    let tracked = compared["tracked"].as_u64().unwrap_or(0);
    let mut counts = format!(
        "{tracked} objects of {} types; {} types differ in JSON, {differing} in the snapshot",
        held.truth["tracked"]
            .as_object()
            .map_or(0, serde_json::Map::len),
        wrong.len(),
    );
    if !wrong.is_empty() {
        counts += &format!(": {}", wrong[..wrong.len().min(6)].join(", "));
    } else if differing > 0 {
        counts += &format!(": {}", compared["tracked_differing"]);
    }
    let missing = compared["missing"]
        .as_u64()
        .context("no count of missing objects")?;
    let closure = compared["closure"].as_u64().unwrap_or(0);
    let sizes = compared["sizes_compared"].as_f64().unwrap_or(0.0);
    let unequal = compared["sizes_unequal"].as_f64().unwrap_or(f64::MAX);
    let misnamed = compared["misnamed"].as_u64().unwrap_or(u64::MAX);
    let share = 100.0 * (1.0 - unequal / sizes.max(1.0));
    Ok(vec![
        Finding::new(
            row,
            on,
            COUNTS,
            counts,
            tracked > 0 && wrong.is_empty() && differing == 0,
        ),
        Finding::new(
            row,
            on,
            CLOSURE,
            format!(
                "{missing} of {closure} missing {}",
                list(&compared["missing_types"])
            ),
            missing == 0 && closure > 0,
        ),
        Finding::new(
            row,
            on,
            SIZES,
            format!(
                "{share:.3} % of {sizes} equal {} {}; {misnamed} with another type {}",
                list(&compared["sizes_types"]),
                list(&compared["sizes_examples"]),
                list(&compared["misnamed_types"]),
            ),
            share >= 99.9 && misnamed == 0,
        ),
    ])
}

/// Types whose `gc_tracked` in the report is not what the target counted. Objects in the
/// permanent generation are no part of `gc.get_objects()`; the caller sees to it that none or few
/// are there, and what is frozen is told apart by the snapshot's own column.
fn differing_counts(look: &Look, truth: &Value) -> Vec<String> {
    let said = truth["tracked"].as_object().cloned().unwrap_or_default();
    let mut found: std::collections::BTreeMap<String, i64> = Default::default();
    for row in look.json["types"].as_array().into_iter().flatten() {
        let name = row["name"].as_str().unwrap_or("?").to_owned();
        *found.entry(name).or_default() += row["gc_tracked"].as_i64().unwrap_or(0);
    }
    let names: std::collections::BTreeSet<&String> = said.keys().chain(found.keys()).collect();
    let mut frozen_left = look.number("/gc/frozen").unwrap_or(0.0) as i64;
    let mut wrong = Vec::new();
    for name in names {
        let expected = said.get(name).and_then(Value::as_i64).unwrap_or(0);
        let counted = found.get(name).copied().unwrap_or(0);
        let more = counted - expected;
        if more > 0 && more <= frozen_left {
            frozen_left -= more;
        } else if more != 0 {
            wrong.push(format!(
                "{name}: {expected} in the target, {counted} reported"
            ));
        }
    }
    wrong
}

/// A target that has told the truth and stands still.
pub struct Held {
    target: Target,
    /// `truth.json`.
    pub truth: Value,
    /// Where the truth is.
    pub directory: PathBuf,
}

impl Held {
    /// Starts `objects.py` and waits for its truth.
    pub fn start(ground: &Ground, python: &Interpreter, args: &[&str]) -> Result<Held> {
        Held::start_program(ground, &python.path, "objects.py", args)
    }

    /// Starts a program that takes the directory for its truth as its first argument.
    pub fn start_program(
        ground: &Ground,
        python: &std::path::Path,
        program: &str,
        args: &[&str],
    ) -> Result<Held> {
        let mut command = Command::new(python);
        command
            .args(["-W", "ignore", "-B"])
            .arg(ground.program(program));
        Held::wait_for(ground, command, args)
    }

    /// Starts a program that tells the truth into the directory that is its first argument, and
    /// waits for it.
    pub fn wait_for(ground: &Ground, mut command: Command, args: &[&str]) -> Result<Held> {
        let directory = ground.scratch("truth")?;
        let target = Target::start(command.arg(&directory).args(args))?;
        let waited = target.expect("ready", Duration::from_secs(180));
        let error = std::fs::read_to_string(directory.join("error.txt")).unwrap_or_default();
        waited.with_context(|| format!("the target could not tell the truth: {error}"))?;
        let truth = std::fs::read_to_string(directory.join("truth.json"))?;
        Ok(Held {
            target,
            truth: serde_json::from_str(&truth)?,
            directory,
        })
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.target.pid()
    }

    /// A look and a snapshot; the directory of the latter.
    pub fn look(&mut self, ground: &Ground) -> Result<(Look, PathBuf)> {
        let look = look::inspect(ground, self.pid(), &[])?;
        let into = self.directory.join("snapshot");
        look::snapshot(ground, self.pid(), &into)?;
        ensure!(self.target.alive(), "the target died of the look");
        Ok((look, into))
    }

    /// Runs `compare.py` on a snapshot.
    pub fn compare(
        &self,
        ground: &Ground,
        snapshot: &std::path::Path,
        edges: bool,
    ) -> Result<Value> {
        let reader = venv::reader(ground)?;
        let mut compare = Command::new(reader);
        compare
            .arg("-B")
            .arg(ground.program("compare.py"))
            .arg(snapshot)
            .arg(&self.directory);
        if edges {
            compare.arg(self.pid().to_string());
        }
        let done = compare.output()?;
        ensure!(
            done.status.success(),
            "compare.py: {}",
            String::from_utf8_lossy(&done.stderr).trim()
        );
        Ok(serde_json::from_slice(&done.stdout)?)
    }

    /// Lets the target end, and removes its files.
    pub fn release(&mut self) {
        let _ = self.target.say("");
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

/// A JSON list of texts in brackets, or nothing.
pub fn list(texts: &Value) -> String {
    let texts: Vec<_> = texts
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    if texts.is_empty() {
        String::new()
    } else {
        format!("[{}]", texts.join(", "))
    }
}
