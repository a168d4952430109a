//! Contents: they leave the process on request only.

use crate::support::{Run, Running, memshed, python, run};
use memshed_heap::snapshot::{self, ReadEdges};
use std::path::Path;
use std::process::Command;

/// Secrets of every kind, in the largest objects and on the way to them. Names and what they hold
/// are put together at run time: the source is a text in the program, too.
const SCRIPT: &str = r#"
import sys
def secret(n):
    return "hush" + "hush" + str(n)
class Holder:
    pass
holder = Holder()
holder.text = secret(1) + "x" * 3_000_000
holder.data = secret(2).encode() + b"y" * 3_000_000
holder.array = bytearray(secret(3).encode() + b"z" * 3_000_000)
CACHE = {secret(4): [0] * 1_000_000}
holder.numbers = [int("98765432109" + "87654321")] * 1_000_000
holder.table = {secret(5): {(secret(6), 1): [0] * 1_000_000}}
holder.members = {secret(7)} | set(range(200_000))
print('ready', flush=True)
sys.stdin.read()
"#;

/// What must not be seen.
const SECRETS: [&str; 2] = ["hushhush", "9876543210987654321"];

fn seen(text: &str) -> bool {
    SECRETS.iter().any(|secret| text.contains(secret))
}

/// A run on a live process; `None` where that is forbidden.
fn look(arguments: &[&str]) -> Option<Run> {
    let doctor = run(&["doctor"]);
    if doctor.status != Some(0) {
        eprintln!("SKIPPED: ptrace is forbidden here\n{}", doctor.stdout);
        return None;
    }
    let run = run(arguments);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    Some(run)
}

/// Everything that a snapshot holds, as text.
fn contents(path: &Path) -> String {
    let heap = snapshot::read(path, ReadEdges::Load).expect("a snapshot");
    format!("{heap:?}")
}

#[test]
fn nothing_but_names_and_sizes_leaves_the_process() {
    let Some(python) = python() else { return };
    let target = Running::start(Command::new(python).args(["-c", SCRIPT]));
    let pid = target.pid();
    let directory = tempfile::tempdir().expect("a directory");
    let kept = directory.path().join("kept");
    let kept_name = kept.display().to_string();
    for arguments in [
        &["inspect", &pid, "--top", "0"][..],
        &["inspect", &pid, "--format", "json", "--top", "0"],
        &["inspect", &pid, "--method", "pause", "--format", "json"],
        &["inspect", &pid, "--by-module"],
        &["snapshot", &pid, "-o", &kept_name],
        &["inspect", &kept_name, "--top", "0"],
    ] {
        let Some(run) = look(arguments) else { return };
        assert!(!seen(&run.stdout), "{arguments:?}: {}", run.stdout);
        assert!(!seen(&run.stderr), "{arguments:?}: {}", run.stderr);
    }
    assert!(contents(&kept).contains("__main__"));
    assert!(!seen(&contents(&kept)));
    assert!(!kept.join("values.parquet").exists());
    run(&["inspect", &kept_name, "--values"])
        .assert_could_not("holds no contents", "taken without --values");
}

#[test]
fn contents_are_shown_and_kept_on_request() {
    let Some(python) = python() else { return };
    let target = Running::start(Command::new(python).args(["-c", SCRIPT]));
    let pid = target.pid();
    let directory = tempfile::tempdir().expect("a directory");
    let kept = directory.path().join("kept").display().to_string();
    for method in ["fork", "pause"] {
        let Some(text) = look(&["inspect", &pid, "--values", "--method", method]) else {
            return;
        };
        let text = text.stdout;
        for wanted in [
            "\"hushhush1xxx",
            "b\"hushhush2yyy",
            "bytearray(b\"hushhush3zzz",
            "1000000 elements: [9876543210987654321, ",
            "CACHE[\"hushhush4\"]",
            "[\"hushhush5\"][(\"hushhush6\", 1)]",
        ] {
            assert!(text.contains(wanted), "{method}: {wanted} is not in {text}");
        }
    }
    let json = ["inspect", &pid, "--values", "--format", "json"];
    let json = look(&json).expect("as before").stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let largest = json["largest"].as_array().expect("rows");
    assert!(largest.iter().all(|row| row["preview"].is_string()));

    look(&["snapshot", &pid, "--values", "-o", &kept]).expect("as before");
    let manifest = std::fs::read_to_string(Path::new(&kept).join("snapshot.json"));
    assert!(manifest.expect("a manifest").contains("\"values\": true"));
    let without = run(&["inspect", &kept, "--top", "0"]).stdout;
    assert!(!seen(&without), "{without}");
    let with = run(&["inspect", &kept, "--values"]).stdout;
    assert!(with.contains("CACHE[\"hushhush4\"]") && with.contains("b\"hushhush2yyy"));
    // A copy of it holds contents only if that is asked for again.
    let copy = directory.path().join("copy").display().to_string();
    assert_eq!(run(&["snapshot", &kept, "-o", &copy]).status, Some(0));
    assert!(!seen(&contents(Path::new(&copy))));
}

/// Escapes of a terminal in a text stay escapes.
#[test]
fn a_preview_cannot_steer_the_terminal() {
    let Some(python) = python() else { return };
    let script = "import sys; big = '\\x1b[31m\\x07\\u202e' * 300_000; \
                  print('ready', flush=True); sys.stdin.read()";
    let target = Running::start(Command::new(python).args(["-c", script]));
    let Some(text) = look(&["inspect", &target.pid(), "--values"]) else {
        return;
    };
    assert!(
        text.stdout.contains("\"\\u{1b}[31m\\u{7}\\u{202e}"),
        "{}",
        text.stdout
    );
    assert!(!text.stdout.contains(['\x1b', '\x07', '\u{202e}']));
    let colours = memshed(&["inspect", &target.pid(), "--values", "--color", "always"]);
    let mut colours = colours;
    let output = colours.output().expect("memshed runs");
    assert!(!String::from_utf8_lossy(&output.stdout).contains(['\x07', '\u{202e}']));
}
