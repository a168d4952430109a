//! Who may know whom: the crates' dependencies on each other.

use super::Finding;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::Path;
use std::process::Command;

/// Each room, and the rooms that its shipped code may use. Tests may use `memshed-testing` too.
pub const ROOMS: &[(&str, &[&str])] = &[
    ("memshed-agent", &[]),
    ("memshed-target", &["memshed-agent"]),
    ("memshed-malloc", &["memshed-target"]),
    ("memshed-heap", &[]),
    (
        "memshed-cpython",
        &[
            "memshed-agent",
            "memshed-target",
            "memshed-malloc",
            "memshed-heap",
        ],
    ),
    ("memshed-analysis", &["memshed-heap"]),
    ("memshed-report", &["memshed-heap", "memshed-analysis"]),
    (
        "memshed",
        &[
            "memshed-agent",
            "memshed-target",
            "memshed-malloc",
            "memshed-heap",
            "memshed-cpython",
            "memshed-analysis",
            "memshed-report",
        ],
    ),
    ("memshed-testing", &["memshed-target", "memshed-heap"]),
    (
        "xtask",
        &[
            "memshed-target",
            "memshed-heap",
            "memshed-cpython",
            "memshed-analysis",
            "memshed-testing",
        ],
    ),
];

/// What `cargo metadata` says, as far as it matters here.
#[derive(Deserialize)]
pub struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

/// Asks cargo for the members of the workspace at `root`.
pub fn metadata(root: &Path) -> Result<Metadata> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root)
        .output()
        .context("could not start cargo")?;
    anyhow::ensure!(
        output.status.success(),
        "cargo metadata: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).context("cargo metadata")
}

/// Finds dependencies that no room may have.
pub fn check(metadata: &Metadata) -> Vec<Finding> {
    metadata.packages.iter().flat_map(check_package).collect()
}

fn check_package(package: &Package) -> Vec<Finding> {
    let manifest = match package.name.as_str() {
        "xtask" => "xtask/Cargo.toml".to_owned(),
        name => format!("crates/{name}/Cargo.toml"),
    };
    let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == package.name) else {
        let what = "a room that xtask/src/tidy/rooms.rs and ARCHITECTURE.md do not know";
        return vec![Finding::new(&manifest, 0, what)];
    };
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.path.is_some())
        .filter(|dependency| {
            let for_tests = dependency.kind.as_deref() == Some("dev");
            let tests_may = for_tests && dependency.name == "memshed-testing";
            !tests_may && !allowed.contains(&dependency.name.as_str())
        })
        .map(|dependency| {
            let what = format!("{} must not know {}", package.name, dependency.name);
            Finding::new(&manifest, 0, what)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(json: &str) -> Vec<String> {
        let metadata: Metadata = serde_json::from_str(json).expect("valid JSON");
        check(&metadata)
            .into_iter()
            .map(|found| found.what)
            .collect()
    }

    #[test]
    fn a_forbidden_dependency_is_found() {
        let json = r#"{"packages": [{"name": "memshed-analysis", "dependencies": [
            {"name": "memshed-heap", "kind": null, "path": "/x"},
            {"name": "rayon", "kind": null, "path": null},
            {"name": "memshed-testing", "kind": "dev", "path": "/x"},
            {"name": "memshed-target", "kind": null, "path": "/x"}]}]}"#;
        assert_eq!(
            findings(json),
            ["memshed-analysis must not know memshed-target"]
        );
    }

    #[test]
    fn an_unknown_room_is_found() {
        let json = r#"{"packages": [{"name": "memshed-attic", "dependencies": []}]}"#;
        assert_eq!(findings(json).len(), 1);
    }
}
