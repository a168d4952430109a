//! What cannot be looked at, and what memshed says then.

use crate::support::{Running, WAITS, python, run, write_snapshot};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

#[test]
fn no_such_process() {
    for pid in ["2147483647", "99999999999999", "0"] {
        for verb in ["inspect", "doctor"] {
            run(&[verb, pid]).assert_could_not("there is no process", "memshed ps");
        }
    }
}

#[test]
fn no_such_program() {
    run(&["inspect", "no-program-has-this-name"])
        .assert_could_not("no Python process and no snapshot is called", "memshed ps");
}

#[test]
fn not_python() {
    let cat = Running::start(Command::new("sh").args(["-c", "echo ready; exec cat"]));
    run(&["inspect", &cat.pid()]).assert_could_not("is not Python", "memshed ps");
}

#[test]
fn a_process_that_has_ended_but_is_still_listed() {
    let mut child = Command::new("true").spawn().expect("true starts");
    // Ended, and not taken notice of: a zombie. Its state is its handshake.
    let stat = format!("/proc/{}/stat", child.id());
    while !std::fs::read_to_string(&stat)
        .expect("listed")
        .contains(") Z")
    {
        std::thread::yield_now();
    }
    let run = run(&["inspect", &child.id().to_string()]);
    run.assert_could_not("there is no process", "memshed ps");
    let _ = child.wait();
}

#[test]
fn an_unsupported_version() {
    let unsupported = memshed_testing::interpreters()
        .into_iter()
        .find(|python| !python.supported && python.version >= (3, 7, 0));
    let Some(python) = unsupported else {
        eprintln!("SKIPPED: no unsupported Python at hand");
        return;
    };
    let program = Running::start(Command::new(&python.path).args(["-c", WAITS]));
    let run = run(&["inspect", &program.pid()]);
    let (major, minor, _) = python.version;
    run.assert_could_not(&format!("{major}.{minor}"), "3.9 to 3.15");
}

#[test]
fn somebody_else_s_process() {
    let Some(python) = python() else { return };
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can act as two users");
        return;
    }
    let program = Running::start(Command::new(python).args(["-c", WAITS]));
    // memshed is copied to where everybody may execute it.
    let directory = tempfile::tempdir_in("/tmp").expect("a directory");
    let memshed = directory.path().join("memshed");
    std::fs::copy(env!("CARGO_BIN_EXE_memshed"), &memshed).expect("copied");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(directory.path(), open).expect("permitted");
    let output = Command::new(&memshed)
        .args(["inspect", &program.pid()])
        .stdin(Stdio::null())
        .uid(65534)
        .gid(65534)
        .current_dir("/")
        .output()
        .expect("memshed runs");
    crate::support::finish(output).assert_could_not("permission", "sudo ");
}

#[test]
fn a_directory_that_is_no_snapshot() {
    run(&["inspect", "/usr"]).assert_could_not("not a memshed snapshot", "memshed snapshot");
    run(&["inspect", "./nosuch"]).assert_could_not("there is no snapshot", "memshed snapshot");
}

#[test]
fn a_garbled_snapshot() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("snapshot");
    write_snapshot(&path);
    let objects = path.join("objects.parquet");
    let mut bytes = std::fs::read(&objects).expect("readable");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x55;
    std::fs::write(&objects, bytes).expect("writable");
    let name = path.display().to_string();
    run(&["inspect", &name]).assert_could_not("objects.parquet", "take a new one");
    std::fs::write(path.join("snapshot.json"), "{").expect("writable");
    run(&["inspect", &name]).assert_could_not("snapshot.json", "");
}

#[test]
fn a_snapshot_needs_a_name_that_is_free() {
    run(&["snapshot", "1"]).assert_could_not("a snapshot needs a name", "-o NAME");
    let directory = tempfile::tempdir().expect("a directory");
    let name = directory.path().display().to_string();
    run(&["snapshot", "1", "-o", &name]).assert_could_not("exists already", "another name");
}

#[test]
fn wrong_usage() {
    for arguments in [
        &["inspect"][..],
        &["inspect", "--top", "x", "1"],
        &["nosuch"],
    ] {
        let run = run(arguments);
        assert_eq!(run.status, Some(2), "{arguments:?}");
        assert!(run.stderr.contains("--help"), "{}", run.stderr);
    }
}
