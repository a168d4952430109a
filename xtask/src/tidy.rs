//! `cargo xtask tidy`: the invariants of ARCHITECTURE.md, checked.
//!
//! Most are absences: who must not know whom, what must not be done where. A test of this crate
//! holds the whole tree to them.

mod rooms;
mod rules;
mod source;

use anyhow::{Context, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Arguments of `cargo xtask tidy`.
#[derive(clap::Args)]
pub struct Args {}

/// Prints what is untidy; status 1 if anything is.
pub fn run(_: Args) -> Result<ExitCode> {
    let findings = check_tree(root())?;
    for finding in &findings {
        println!("{finding}");
    }
    Ok(ExitCode::from(u8::from(!findings.is_empty())))
}

/// The page that names the rooms.
const MAP: &str = "ARCHITECTURE.md";

/// A place that breaks an invariant.
#[derive(Debug)]
pub struct Finding {
    path: String,
    /// Counts from 1; 0 stands for the whole file.
    line: usize,
    what: String,
}

impl Finding {
    fn new(path: &str, line: usize, what: impl Into<String>) -> Finding {
        Finding {
            path: path.to_owned(),
            line,
            what: what.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.what),
            line => write!(f, "{}:{line}: {}", self.path, self.what),
        }
    }
}

/// The root of the workspace.
fn root() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// All findings in the workspace at `root`.
fn check_tree(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = rooms::check(&rooms::metadata(root)?);
    for path in files(root)? {
        let name = path
            .strip_prefix(root)
            .unwrap_or(&path)
            .to_string_lossy()
            .into_owned();
        // Files that are not text have nothing to say to these rules.
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        findings.extend(strangers(&name, &text));
        if name.ends_with(".rs") {
            findings.extend(rules::check(&name, &text));
        }
        if name.ends_with(".md") {
            findings.extend(stale_paths(root, &name, &text));
        }
        if name == MAP {
            findings.extend(missing_rooms(&text));
        }
    }
    Ok(findings)
}

/// The project's own files under `root`, sorted: nothing built, nothing hidden but `.ci` and `.cargo`.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).with_context(|| folder.display().to_string())?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type()?;
            if kind.is_dir() && is_ours(&folder, &name) {
                folders.push(entry.path());
            // In a second working tree, `.git` is a file that says where the repository is.
            } else if kind.is_file() && name != ".git" {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

fn is_ours(parent: &Path, folder: &str) -> bool {
    let hidden = folder.starts_with('.') && folder != ".ci" && folder != ".cargo";
    // Cargo's directory lies beside a manifest; there are others of that name.
    let cargo = folder == "target" && parent.join("Cargo.toml").exists();
    let built = cargo || ["build", "dist", "__pycache__"].contains(&folder);
    !hidden && !built && !folder.ends_with(".egg-info")
}

/// Finds what ties the project to one machine: paths outside of it, registries of its own.
fn strangers(path: &str, text: &str) -> Vec<Finding> {
    // In two parts, or this file would find itself.
    let words = [
        concat!("/wo", "rk/"),
        concat!("../sha", "red"),
        concat!(".libr", "ary"),
    ];
    let registry = "registry+https://github.com/rust-lang/crates.io-index";
    let stranger = |line: &str| {
        let elsewhere = line.starts_with("source = ") && !line.contains(registry);
        words.iter().any(|word| line.contains(word)) || path == "Cargo.lock" && elsewhere
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| stranger(line))
        .map(|(at, _)| Finding::new(path, at + 1, "names a place outside the project"))
        .collect()
}

/// Checks that the map names every room.
fn missing_rooms(text: &str) -> Vec<Finding> {
    rooms::ROOMS
        .iter()
        .filter(|(room, _)| !text.contains(&format!("`{room}`")))
        .map(|(room, _)| Finding::new(MAP, 0, format!("does not name the room {room}")))
        .collect()
}

/// Checks that a page of documentation names no path of the project that is not there.
fn stale_paths(root: &Path, page: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let words = line.split(|c: char| c.is_whitespace() || "`()[],;".contains(c));
        for name in words.filter(|word| is_path(word)) {
            if !root.join(name.trim_end_matches('.')).exists() {
                findings.push(Finding::new(page, at + 1, format!("{name} does not exist")));
            }
        }
    }
    findings
}

/// Whether `name` is meant as a path of this project, and not as a pattern.
fn is_path(name: &str) -> bool {
    let ours = ["crates/", "xtask/", "examples/", "python/", ".ci/"];
    ours.iter().any(|folder| name.starts_with(folder)) && !name.contains(['*', '…', '<'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_tidy() {
        let findings = check_tree(root()).expect("the tree can be read");
        let lines: Vec<String> = findings.iter().map(Finding::to_string).collect();
        assert!(lines.is_empty(), "{}", lines.join("\n"));
    }

    #[test]
    fn strangers_are_found() {
        let outside = format!("see {}x\n", concat!("/wo", "rk/"));
        assert_eq!(strangers("README.md", &outside).len(), 1);
        let lock = "source = \"git+https://example.org/x\"\n";
        assert_eq!(strangers("Cargo.lock", lock).len(), 1);
        assert!(strangers("README.md", "plain words\n").is_empty());
    }

    #[test]
    fn a_map_that_is_not_true_is_found() {
        let rooms: String = rooms::ROOMS
            .iter()
            .map(|(room, _)| format!("`{room}` "))
            .collect();
        assert!(missing_rooms(&rooms).is_empty());
        assert_eq!(missing_rooms("").len(), rooms::ROOMS.len());
    }

    #[test]
    fn a_path_that_is_not_there_is_found() {
        let text = "`crates/attic/src/lib.rs`, xtask/src/tidy.rs and crates/*/src.\n";
        let found = stale_paths(root(), "README.md", text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(
            found[0].to_string(),
            "README.md:1: crates/attic/src/lib.rs does not exist"
        );
    }
}
