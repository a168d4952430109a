//! Where results go, and what is left behind when they cannot go there.

use crate::support::{finish, memshed, run, write_snapshot};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_result_goes_to_a_private_file() {
    let directory = tempfile::tempdir().expect("a directory");
    let snapshot = directory.path().join("snapshot");
    write_snapshot(&snapshot);
    let file = directory.path().join("report.json");
    let (snapshot, name) = (snapshot.display().to_string(), file.display().to_string());
    let run = run(&["-o", &name, "inspect", &snapshot, "--format", "json"]);
    assert_eq!(
        (run.status, run.stdout.as_str()),
        (Some(0), ""),
        "{}",
        run.stderr
    );
    let mode = std::fs::metadata(&file)
        .expect("written")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&file).expect("readable");
    assert!(serde_json::from_str::<serde_json::Value>(&text).is_ok());
    assert_eq!(entries(directory.path()), ["report.json", "snapshot"]);
}

fn entries(directory: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(directory).expect("a directory");
    let mut names: Vec<String> = entries
        .map(|entry| {
            entry
                .expect("an entry")
                .file_name()
                .into_string()
                .expect("UTF-8")
        })
        .collect();
    names.sort();
    names
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut command = memshed(&["completions", "bash"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("memshed runs");
    drop(child.stdout.take());
    let mut said = String::new();
    let stderr = child.stderr.as_mut().expect("a pipe");
    stderr.read_to_string(&mut said).expect("readable");
    let status = child.wait().expect("memshed ends");
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}

#[test]
fn a_full_device_is_told() {
    let run = run(&["completions", "zsh", "-o", "/dev/full"]);
    run.assert_could_not("cannot write /dev/full", "the disk is full");
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let outer = tempfile::tempdir().expect("a directory");
    let disk = outer.path().display().to_string();
    // A disk of one page in a mount namespace of its own; the script is larger.
    let script = format!(
        "mkdir {disk}/disk && mount -t tmpfs -o size=4k tmpfs {disk}/disk || exit 77
         $0 completions zsh -o {disk}/disk/script; echo \"status $?\"; ls -A {disk}/disk"
    );
    let output = Command::new("unshare")
        .args(["-m", "sh", "-c", &script, env!("CARGO_BIN_EXE_memshed")])
        .output();
    let run = match output {
        Ok(output) if output.status.code() != Some(77) && output.status.code() != Some(1) => {
            finish(output)
        }
        _ => {
            eprintln!("SKIPPED: this user may not mount a small disk");
            return;
        }
    };
    assert_eq!(run.stdout, "status 2\n", "{}", run.stderr);
    assert!(
        run.stderr.contains("nothing was left behind"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_missing_directory_is_told() {
    let run = run(&["man", "-o", "/nonexistent/place/memshed.1"]);
    run.assert_could_not(
        "/nonexistent/place/memshed.1",
        "its directory does not exist",
    );
}

#[test]
fn completions_and_manual_pages_know_every_verb() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]).stdout;
        assert!(
            script.contains("inspect") && script.contains("doctor"),
            "{shell}"
        );
    }
    let page = run(&["man"]).stdout;
    assert!(
        page.contains(".TH memshed") && page.contains("memshed\\-snapshot"),
        "{page}"
    );
    let inspect = run(&["man", "inspect"]).stdout;
    assert!(
        inspect.contains("by\\-module") && inspect.contains("\\-\\-format"),
        "{inspect}"
    );
    run(&["man", "nosuch"]).assert_could_not("there is no command", "memshed --help");
}

#[test]
fn the_schema_can_be_had() {
    let schema: serde_json::Value = serde_json::from_str(&run(&["schema"]).stdout).expect("JSON");
    assert_eq!(schema["properties"]["schema"]["const"], 1);
}

#[test]
fn the_version_is_told() {
    let version = run(&["--version"]).stdout;
    assert_eq!(version, format!("memshed {}\n", env!("CARGO_PKG_VERSION")));
}
