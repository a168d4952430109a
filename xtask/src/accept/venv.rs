//! Virtual environments under `target/venvs`, made once.

use super::ground::Ground;
use crate::interpreters::{self, Interpreter};
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::process::Command;

/// The interpreter of a virtual environment in which `packages` are installed.
pub fn python(
    ground: &Ground,
    base: &Interpreter,
    name: &str,
    packages: &[&str],
) -> Result<PathBuf> {
    let dir = ground
        .root
        .join("target/venvs")
        .join(format!("{name}-{}-{}", base.version, base.origin));
    let python = dir.join("bin/python");
    let wanted = packages.join(" ");
    let stamp = dir.join("packages.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|had| had == wanted) {
        return Ok(python);
    }
    eprintln!("  making {} ({wanted})", dir.display());
    // Debian's interpreters come without pip: another one's installs into their environments.
    run(Command::new(&base.path)
        .args(["-m", "venv", "--clear", "--without-pip"])
        .arg(&dir))?;
    run(Command::new(pip(ground)?)
        .args(["-m", "pip", "--python"])
        .arg(&python)
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(packages))?;
    std::fs::write(stamp, wanted)?;
    Ok(python)
}

/// An interpreter with the newest pip, which installs for the others: older ones do not run on
/// the newest interpreters.
fn pip(ground: &Ground) -> Result<PathBuf> {
    let dir = ground.root.join("target/venvs/pip");
    let python = dir.join("bin/python");
    let stamp = dir.join("packages.txt");
    if stamp.exists() {
        return Ok(python);
    }
    let has_pip = |one: &Interpreter| {
        let said = Command::new(&one.path)
            .args(["-c", "import ensurepip"])
            .output();
        one.minor() >= (3, 11) && said.is_ok_and(|said| said.status.success())
    };
    let all = interpreters::supported().into_iter();
    let found = all.rev().find(has_pip);
    let base = found.unwrap_or_else(|| ground.one_python().clone());
    run(Command::new(&base.path)
        .args(["-m", "venv", "--clear"])
        .arg(&dir))?;
    run(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--upgrade", "pip"]))?;
    std::fs::write(stamp, "pip")?;
    Ok(python)
}

/// The interpreter that reads snapshots, with DuckDB and numpy: the same one whichever are
/// measured, for the newest have no wheels yet.
pub fn reader(ground: &Ground) -> Result<PathBuf> {
    let all = interpreters::supported();
    let usual = all.iter().find(|one| one.minor() == (3, 12));
    let base = usual.unwrap_or_else(|| ground.one_python());
    python(ground, base, "reader", &["duckdb", "numpy"])
}

fn run(command: &mut Command) -> Result<()> {
    let done = command
        .output()
        .with_context(|| format!("running {command:?}"))?;
    ensure!(
        done.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&done.stderr).trim()
    );
    Ok(())
}
