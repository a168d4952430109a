//! `ps` and `doctor`.

use crate::support::{Running, WAITS, python, run};
use std::process::Command;

#[test]
fn ps_lists_a_python_process() {
    let Some(python) = python() else { return };
    let program = Running::start(Command::new(python).args(["-c", WAITS]));
    let text = run(&["ps"]);
    assert_eq!(text.status, Some(0), "{}", text.stderr);
    assert!(text.stdout.contains(&program.pid()), "{}", text.stdout);
    let json = run(&["ps", "--format", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let pid = program.0.id();
    let rows = json["processes"].as_array().expect("rows");
    let row = rows
        .iter()
        .find(|row| row["pid"] == pid)
        .expect("the program");
    assert!(row["rss_bytes"].as_u64() > Some(1_000_000), "{row}");
    assert!(
        row["python"].as_str().is_some_and(|v| v.starts_with("3.")),
        "{row}"
    );
    assert_eq!(row["script"], "-c");
}

#[test]
fn ps_lists_nothing_that_is_not_python() {
    let cat = Running::start(Command::new("sh").args(["-c", "echo ready; exec cat"]));
    let json = run(&["ps", "--format", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    let rows = json["processes"].as_array().expect("rows");
    assert!(rows.iter().all(|row| row["pid"] != cat.0.id()));
}

#[test]
fn doctor_checks_the_machine() {
    let json = run(&["doctor", "--format", "json"]).stdout;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["schema"], 1);
    let checks = json["checks"].as_array().expect("checks");
    for name in [
        "kernel",
        "ptrace_scope",
        "capabilities",
        "container",
        "seccomp",
        "overcommit",
    ] {
        assert!(checks.iter().any(|check| check["name"] == name), "{name}");
    }
    for check in checks {
        // Whatever is not well has a way out.
        assert_eq!(check["status"] == "ok", check["hint"].is_null(), "{check}");
    }
}

#[test]
fn doctor_checks_a_process() {
    let Some(python) = python() else { return };
    let program = Running::start(Command::new(python).args(["-c", WAITS]));
    let run = run(&["doctor", &program.pid()]);
    let can_look = run
        .stdout
        .contains(&format!("can look at process {}", program.pid()));
    assert_eq!(run.status == Some(0), can_look, "{}", run.stdout);
    assert!(run.stdout.contains("interpreter"), "{}", run.stdout);
}

#[test]
fn doctor_of_what_is_not_python_could_not_look() {
    let cat = Running::start(Command::new("sh").args(["-c", "echo ready; exec cat"]));
    let run = run(&["doctor", &cat.pid()]);
    assert_eq!(run.status, Some(2), "{}", run.stdout);
    assert!(run.stdout.contains("not Python"), "{}", run.stdout);
}
