//! Row "audit": an extension forgets 50 references to objects of all kinds between two snapshots;
//! how many of the objects does the comparison of the two audits name, and how many others.

use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::look;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result, ensure};
use memshed_analysis::{Audit, audit, audit_growth};
use memshed_heap::snapshot::{self, ReadEdges};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const FOUND: &str = "of 50 references that an extension forgot, 48 or more found";
const WRONG: &str = "2 or fewer objects named without cause";
/// How long the program may take between two lines.
const PATIENCE: Duration = Duration::from_secs(60);
/// How many references it forgets each time.
const FORGOTTEN: usize = 50;

/// Measures the row on every interpreter.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in &ground.pythons {
        match on(ground, python) {
            Ok(found) => findings.extend(found),
            Err(why) => findings.extend([FOUND, WRONG].map(|target| {
                Finding::not_measured("audit", python.label(), target, format!("{why:#}"))
            })),
        }
    }
    Ok(findings)
}

fn on(ground: &Ground, python: &Interpreter) -> Result<Vec<Finding>> {
    let scratch = ground.scratch("audit")?;
    let programs = ground.root.join("crates/memshed/tests/programs");
    build(python, &programs.join("forgetful.c"), &scratch)?;
    let folder = scratch.display().to_string();
    let program = programs.join("forgetful.py");
    let mut target = Target::python(&python.path, &program, &[&folder])?;
    target.expect("ready", PATIENCE)?;
    let before = look(ground, &target, scratch.join("before"))?;
    target.say("go on")?;
    let mut forgotten = BTreeSet::new();
    while forgotten.len() < FORGOTTEN {
        let address = target.expect("leaked", PATIENCE)?;
        ensure!(forgotten.insert(address.parse::<u64>()?), "one comes again");
    }
    target.expect("ready", PATIENCE)?;
    let now = look(ground, &target, scratch.join("now"))?;
    let growth = audit_growth(&before, &now);
    let grown = growth.objects.iter().map(|one| one.now.address);
    let grown: BTreeSet<u64> = grown.collect();
    let found = forgotten.intersection(&grown).count();
    let wrong = grown.difference(&forgotten).count();
    let types: Vec<String> = growth
        .types
        .iter()
        .map(|(name, sum)| format!("{name} {}", sum.references))
        .collect();
    Ok(vec![
        Finding::new(
            "audit",
            python.label(),
            FOUND,
            format!("{found} of {FORGOTTEN}; by type: {}", types.join(", ")),
            found >= 48,
        ),
        Finding::new(
            "audit",
            python.label(),
            WRONG,
            format!(
                "{wrong}; a single look suspects {} of {} objects",
                before.objects.len(),
                before.audited
            ),
            wrong <= 2,
        ),
    ])
}

/// Builds the extension for an interpreter, against its own headers.
fn build(python: &Interpreter, source: &Path, folder: &Path) -> Result<()> {
    let asked = Command::new(&python.path)
        .args([
            "-I",
            "-c",
            "import sysconfig; print(sysconfig.get_path('include'))",
        ])
        .output()?;
    let include = PathBuf::from(String::from_utf8(asked.stdout)?.trim());
    ensure!(include.join("Python.h").exists(), "it has no headers");
    // Debian's headers include some beside their own folder.
    let beside = include.parent().context("no folder of headers")?;
    let done = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(folder.join("forgetful.so"))
        .arg(source)
        .arg("-I")
        .arg(&include)
        .arg("-I")
        .arg(beside)
        .output()
        .context("running cc, which the C programs need")?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "cc forgetful.c: {said}");
    Ok(())
}

fn look(ground: &Ground, target: &Target, into: PathBuf) -> Result<Audit> {
    look::snapshot(ground, target.pid(), &into)?;
    Ok(audit(&snapshot::read(&into, ReadEdges::Load)?))
}
