//! The interpreters that tests and chores run on. A development dependency only: no room of the
//! product may depend on it.

mod copy;

pub use copy::Copy;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The minor versions of CPython 3 that memshed supports.
pub const SUPPORTED: std::ops::RangeInclusive<u32> = 9..=15;

/// An interpreter at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Python {
    /// The binary, with symbolic links resolved.
    pub path: PathBuf,
    /// Major, minor and patch number.
    pub version: (u32, u32, u32),
    /// A short name that says where it comes from: `pyenv 3.12.1`, `brought 3.14.8`, `system 3.11.2`.
    pub label: String,
    /// Whether memshed supports it: its version, and a GIL.
    pub supported: bool,
    /// Where its `Python.h` is, if it is installed.
    pub include: Option<PathBuf>,
}

/// The repository's root.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Where `cargo xtask pythons` puts what it brings.
#[must_use]
pub fn brought() -> PathBuf {
    root().join("target/pythons")
}

/// Every interpreter at hand: what `cargo xtask pythons` brought, pyenv's, `/usr/bin`'s and those
/// on the search path, in the order of their versions. Names on standard error the supported
/// versions that are missing.
#[must_use]
pub fn interpreters() -> Vec<Python> {
    let found = search();
    for minor in SUPPORTED.filter(|minor| !found.iter().any(|python| python.version.1 == *minor)) {
        eprintln!("SKIPPED: no CPython 3.{minor} at hand; `cargo xtask pythons` brings some");
    }
    found
}

/// The supported ones of [`interpreters`], one for each place and version.
#[must_use]
pub fn supported() -> Vec<Python> {
    interpreters()
        .into_iter()
        .filter(|python| python.supported)
        .collect()
}

fn search() -> Vec<Python> {
    let mut seen = BTreeSet::new();
    let mut found: Vec<Python> = candidates()
        .into_iter()
        .filter_map(|(from, path)| {
            let path = path.canonicalize().ok()?;
            seen.insert(path.clone()).then(|| ask(from, path)).flatten()
        })
        .collect();
    found.sort_by(|a, b| (a.version, &a.label).cmp(&(b.version, &b.label)));
    found
}

/// Binaries that may be interpreters, with the word for where they come from.
fn candidates() -> Vec<(&'static str, PathBuf)> {
    let mut all = Vec::new();
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".pyenv")));
    for (from, folder) in [
        ("brought", Some(brought())),
        ("pyenv", pyenv.map(|p| p.join("versions"))),
    ] {
        for entry in folder.iter().flat_map(|folder| entries(folder)) {
            all.push((from, entry.join("bin/python3")));
        }
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(PathBuf::from("/usr/bin")).chain(std::env::split_paths(&path));
    for folder in folders.filter(|folder| !folder.ends_with("shims")) {
        // pyenv's shims are scripts that ask pyenv which interpreter is meant.
        for minor in std::iter::once(String::new()).chain((0..30).map(|minor| format!(".{minor}")))
        {
            all.push(("system", folder.join(format!("python3{minor}"))));
        }
    }
    all
}

/// The entries of a folder, none if there is no such folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    all.sort();
    all
}

/// Runs an interpreter for its version, implementation and headers. `None` if it is no CPython 3.
fn ask(from: &str, path: PathBuf) -> Option<Python> {
    let script = "import sys, sysconfig\n\
                  print(sys.implementation.name)\n\
                  print(getattr(sys, '_is_gil_enabled', lambda: True)())\n\
                  print(*sys.version_info[:3])\n\
                  print(sysconfig.get_path('include'))";
    let asked = Command::new(&path)
        .args(["-I", "-c", script])
        .output()
        .ok()?;
    let text = String::from_utf8(asked.stdout).ok()?;
    let mut lines = text.lines();
    if lines.next() != Some("cpython") {
        return None;
    }
    let gil = lines.next()? == "True";
    let numbers: Vec<u32> = lines.next()?.split(' ').flat_map(str::parse).collect();
    let &[3, minor, patch] = numbers.as_slice() else {
        return None;
    };
    let include = PathBuf::from(lines.next()?);
    Some(Python {
        label: format!("{from} 3.{minor}.{patch}"),
        version: (3, minor, patch),
        supported: gil && SUPPORTED.contains(&minor),
        include: include.join("Python.h").exists().then_some(include),
        path,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interpreter_runs_and_says_its_version() {
        let all = interpreters();
        for python in &all {
            eprintln!("{}: {}", python.label, python.path.display());
            let asked = Command::new(&python.path)
                .arg("-V")
                .output()
                .expect("it ran before");
            let (major, minor, patch) = python.version;
            let says = String::from_utf8_lossy(&asked.stdout).into_owned();
            assert!(
                says.starts_with(&format!("Python {major}.{minor}.{patch}")),
                "{says}"
            );
        }
        assert!(!all.is_empty(), "no interpreter at all");
    }
}
