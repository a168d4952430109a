//! What a TARGET can be, and how a look at it is shown.

use crate::support::{Running, WAITS, memshed, python, run, write_snapshot};
use std::process::Command;

fn snapshot() -> (tempfile::TempDir, String) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("shop.memshed");
    write_snapshot(&path);
    let name = path.display().to_string();
    (directory, name)
}

#[test]
fn a_snapshot_is_a_target() {
    let (_directory, name) = snapshot();
    let run = run(&["inspect", &name]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert_eq!(run.stderr, "");
    let first = run.stdout.lines().next().unwrap_or("");
    assert_eq!(first, "This program takes 10.0 MB of memory.");
    assert!(run.stdout.contains("shop.ORDERS"), "{}", run.stdout);
    assert!(
        run.stdout.contains("read from a snapshot"),
        "{}",
        run.stdout
    );
}

#[test]
fn its_json_is_complete_whatever_the_top() {
    let (_directory, name) = snapshot();
    let run = run(&["--format", "json", "inspect", "--top", "1", &name]);
    let json: serde_json::Value = serde_json::from_str(&run.stdout).expect("JSON");
    assert_eq!(json["schema"], 1);
    assert_eq!(json["snapshot"]["method"], "file");
    assert_eq!(json["process"]["rss_bytes"], 10_000_000);
    assert_eq!(json["types"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["objects"]["gc_tracked"], 3);
    let parts = json["memory"].as_array().expect("parts");
    let sum: u64 = parts.iter().filter_map(|part| part["bytes"].as_u64()).sum();
    assert_eq!(sum, 10_000_000);
}

#[test]
fn rows_can_be_chosen_and_sorted() {
    let (_directory, name) = snapshot();
    let text = run(&["inspect", &name, "--filter", "shop.*", "--by-module"]).stdout;
    assert!(text.contains("matching shop.*"), "{text}");
    assert!(!text.contains("builtins"), "{text}");
    let by_count = run(&[
        "inspect", &name, "--sort", "count", "--top", "1", "--format", "json",
    ]);
    let json: serde_json::Value = serde_json::from_str(&by_count.stdout).expect("JSON");
    assert_eq!(json["types"][0]["name"], "shop.Order");
}

#[test]
fn a_name_that_several_programs_have_is_refused_with_a_list() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let script = directory.path().join("memshed_ambiguous.py");
    std::fs::write(&script, WAITS).expect("written");
    let start = || Running::start(Command::new(&python).arg(&script));
    let (one, two) = (start(), start());
    for name in ["memshed_ambiguous.py", "memshed_ambiguous"] {
        let run = run(&["inspect", name]);
        run.assert_could_not("2 Python processes are called", "give the process id");
        assert!(run.stderr.contains(&one.pid()) && run.stderr.contains(&two.pid()));
    }
}

#[test]
fn colours_are_for_terminals_or_on_demand() {
    let (_directory, name) = snapshot();
    let escapes = |arguments: &[&str], no_color: bool| {
        let mut command = memshed(arguments);
        if no_color {
            command.env("NO_COLOR", "1");
        }
        command
            .output()
            .expect("memshed runs")
            .stdout
            .contains(&0x1b)
    };
    assert!(!escapes(&["inspect", &name], false));
    assert!(!escapes(&["inspect", &name], true));
    assert!(escapes(&["inspect", &name, "--color", "always"], false));
    assert!(!escapes(&["inspect", &name, "--color", "never"], false));
}

#[test]
fn lines_fit_the_width() {
    let (_directory, name) = snapshot();
    let output = memshed(&["inspect", &name]).env("COLUMNS", "60").output();
    let text = String::from_utf8(output.expect("memshed runs").stdout).expect("UTF-8");
    let widest = text.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(60), "{widest:?}:\n{text}");
}
