//! DuckDB and Polars open the tables as they are.

use crate::heaps::{Scratch, example};
use memshed_heap::snapshot::{self, Existing};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A virtual environment with both engines, made once under the build directory. `None`, said
/// loudly, where Python or the package index cannot be reached.
fn python() -> Option<PathBuf> {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("engines");
    let python = home.join("bin/python");
    if !usable(&python) {
        let made = run(Command::new("python3").args(["-m", "venv"]).arg(&home));
        let installed = run(Command::new(&python).args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--retries",
            "1",
            "--timeout",
            "20",
            "duckdb",
            "polars",
        ]));
        if !usable(&python) {
            eprintln!("SKIPPED: DuckDB and Polars cannot be installed:\n{made}\n{installed}");
            return None;
        }
    }
    Some(python)
}

fn usable(python: &Path) -> bool {
    Command::new(python)
        .args(["-c", "import duckdb, polars"])
        .output()
        .is_ok_and(|done| done.status.success())
}

fn run(command: &mut Command) -> String {
    match command.output() {
        Ok(Output { stderr, .. }) => String::from_utf8_lossy(&stderr).into_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn duckdb_and_polars_open_a_snapshot() {
    let Some(python) = python() else {
        return;
    };
    let scratch = Scratch::new("engines");
    let path = scratch.path("snap");
    snapshot::write(&example(300_000), &path, Existing::Keep).expect("written");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshot/engines.py");
    let done = Command::new(python)
        .arg(script)
        .arg(&path)
        .output()
        .expect("Python runs");
    let output = String::from_utf8_lossy(&done.stdout);
    assert!(
        done.status.success(),
        "{output}\n{}",
        String::from_utf8_lossy(&done.stderr)
    );
    assert_eq!(output.trim(), "duckdb polars");
}
