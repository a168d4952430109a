//! Row "refused": builds that memshed does not read are told apart, in a sentence.

use super::bad_input;
use super::child::Target;
use super::ground::Ground;
use super::table::Finding;
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Duration;

const TARGET: &str = "recognised, and refused in a sentence";

/// What is stood in for: the name of the program, `PY_VERSION_HEX`, whether what it publishes says
/// free-threaded, and what memshed is to say.
const STAND_INS: [(&str, &str, u32, &str); 6] = [
    (
        "python3.16",
        "0x031000f0",
        0,
        "CPython 3.16.0 is not supported",
    ),
    (
        "python4.0",
        "0x040000f0",
        0,
        "CPython 4.0.0 is not supported",
    ),
    ("python3.15", "0x030f00b1", 0, "3.15.0 before its release"),
    ("python3.14t", "0x030e08f0", 1, "free-threaded build"),
    (
        "embeds-free-threaded",
        "0x030e08f0",
        1,
        "free-threaded build",
    ),
    ("python3.12d", "0x030c01f0", 0, "debug build"),
];

/// Measures the row.
pub fn refused(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, version, free_threaded, says) in STAND_INS {
        let on = format!("a stand-in for {name}, {version}");
        findings.push(finding(
            on,
            stand_in(ground, name, version, free_threaded)
                .and_then(|command| said_of(ground, command, &[], says)),
        ));
    }
    let pypy = Command::new("pypy3");
    let on = "PyPy, as `pypy3` on the search path";
    findings.push(
        match said_of(
            ground,
            pypy,
            &["-c", "import os; os.write(1, b'ready\\n'); os.read(0, 1)"],
            "PyPy",
        ) {
            Err(why) if why.is::<std::io::Error>() => {
                Finding::not_measured("refused", on, TARGET, "no `pypy3` on this machine")
            }
            outcome => finding(on.to_owned(), outcome),
        },
    );
    Ok(findings)
}

fn finding(on: String, outcome: Result<String>) -> Finding {
    let good = outcome.is_ok();
    let said = outcome.unwrap_or_else(|why| format!("{why:#}"));
    Finding::new("refused", on, TARGET, said, good)
}

/// A program that passes itself off as an interpreter: says "ready", and waits.
pub fn stand_in(ground: &Ground, name: &str, version: &str, free_threaded: u32) -> Result<Command> {
    let binary = ground.scratch("stand-in")?.join(name);
    let done = Command::new("cc")
        .args(["-O1", "-Wall", "-Wl,--export-dynamic", "-o"])
        .arg(&binary)
        .args([
            format!("-DVERSION={version}"),
            format!("-DFREE_THREADED={free_threaded}"),
        ])
        .arg(ground.program("stand_in.c"))
        .output()
        .context("running cc, which the C programs need")?;
    let errors = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "cc stand_in.c: {errors}");
    Ok(Command::new(binary))
}

/// What memshed says of a program, which has to hold `says`.
fn said_of(ground: &Ground, mut command: Command, args: &[&str], says: &str) -> Result<String> {
    let mut target = Target::start(command.args(args))?;
    target.expect("ready", Duration::from_secs(20))?;
    let said = bad_input::refuses_pid(ground, target.pid())?;
    ensure!(target.alive(), "it died of the look");
    ensure!(said.contains(says), "without \"{says}\": {said}");
    Ok(said)
}
