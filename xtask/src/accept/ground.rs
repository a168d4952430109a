//! What every row stands on: the paths, the binary under test, the interpreters.

use crate::interpreters::{self, Interpreter};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// What every row stands on.
pub struct Ground {
    /// The workspace.
    pub root: PathBuf,
    /// The Python and C programs that are looked at.
    pub programs: PathBuf,
    /// The command under test.
    pub memshed: PathBuf,
    /// The interpreters to measure on, ordered by version.
    pub pythons: Vec<Interpreter>,
    /// Whether counts are to be small.
    pub quick: bool,
    scratch: PathBuf,
    next: AtomicU32,
}

impl Ground {
    /// Builds memshed in release mode, unless `$MEMSHED` names one, and finds the interpreters
    /// whose versions begin with one of `only` (all supported ones if that is empty).
    pub fn prepare(quick: bool, only: &[String]) -> Result<Ground> {
        let root = workspace();
        let memshed = match std::env::var_os("MEMSHED") {
            Some(path) => PathBuf::from(path),
            None => build(&root)?,
        };
        ensure!(memshed.exists(), "{} is not there", memshed.display());
        let mut pythons = interpreters::supported();
        pythons.retain(|one| {
            only.is_empty() || only.iter().any(|v| one.version.starts_with(v.as_str()))
        });
        ensure!(
            !pythons.is_empty(),
            "no supported interpreter on this machine"
        );
        let scratch = std::env::temp_dir().join(format!("memshed-accept-{}", std::process::id()));
        std::fs::create_dir_all(&scratch)?;
        Ok(Ground {
            programs: root.join("xtask/acceptance"),
            memshed,
            pythons,
            quick,
            scratch,
            next: AtomicU32::new(0),
            root,
        })
    }

    /// A new empty directory, removed with everything else at the end.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let n = self.next.fetch_add(1, Ordering::Relaxed);
        let dir = self.scratch.join(format!("{n}-{name}"));
        std::fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
        Ok(dir)
    }

    /// One interpreter for the rows that run on one: a 3.12, whose collector runs most often, if
    /// there is one, else the newest.
    pub fn one_python(&self) -> &Interpreter {
        self.pythons
            .iter()
            .find(|one| one.minor() == (3, 12))
            .unwrap_or(&self.pythons[self.pythons.len() - 1])
    }

    /// `full`, or `quick` if counts are to be small.
    pub fn count<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// A program to look at.
    pub fn program(&self, name: &str) -> PathBuf {
        self.programs.join(name)
    }

    /// Compiles a C program or, for names that end in `.so`, a shared library.
    pub fn compile(&self, source: &str, output: &str) -> Result<PathBuf> {
        let dir = self.root.join("target/acceptance");
        std::fs::create_dir_all(&dir)?;
        let built = dir.join(output);
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-g", "-Wall", "-pthread", "-o"])
            .arg(&built)
            .arg(self.program(source));
        if output.ends_with(".so") {
            cc.args(["-shared", "-fPIC"]);
        }
        let done = cc
            .output()
            .context("running cc, which the C programs need")?;
        ensure!(
            done.status.success(),
            "cc {source}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        Ok(built)
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.scratch);
    }
}

/// The workspace's directory.
pub fn workspace() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// Where cargo puts what it builds.
pub fn cargo_target(root: &Path) -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from)
}

fn build(root: &Path) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--release", "--quiet", "--package", "memshed"])
        .current_dir(root)
        .status()?;
    ensure!(status.success(), "memshed does not build");
    Ok(cargo_target(root).join("release/memshed"))
}
