//! The tests of the Python package, on every interpreter found. It must not know what they test.

use crate::accept::ground::cargo_target;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;
use std::time::Instant;

/// Runs them; whether all passed. All of them run on the newest, those that are quick on each.
pub fn test(root: &Path, interpreters: &[Interpreter]) -> Result<bool> {
    let mut good = true;
    for (number, python) in interpreters.iter().enumerate() {
        let newest = number + 1 == interpreters.len();
        let began = Instant::now();
        let status = Command::new(&python.path)
            // -W: nothing may be left open.
            .args(["-W", "error::ResourceWarning", "-m", "unittest", "discover"])
            .args(["--quiet", "--start-directory", "python/tests"])
            .env("PYTHONPATH", root.join("python"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("MEMSHED_BINARY", cargo_target(root).join("release/memshed"))
            .env("MEMSHED_TESTS", if newest { "all" } else { "quick" })
            .current_dir(root)
            .status()
            .with_context(|| format!("running {}", python.path.display()))?;
        good &= status.success();
        let (label, seconds) = (python.label(), began.elapsed().as_secs_f64());
        eprintln!("test: package: Python {label}: {status} ({seconds:.0} s)");
    }
    Ok(good)
}
