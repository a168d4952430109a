//! `-- COMMAND`: what is started, what is looked at, how it ends.

use crate::support::{memshed, python, run};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

#[test]
fn a_command_that_cannot_be_started() {
    run(&["inspect", "--", "no-command-has-this-name"])
        .assert_could_not("cannot start \"no-command-has-this-name\"", "PATH");
    run(&["inspect", "--", "/etc/passwd"]).assert_could_not("Permission denied", "");
}

#[test]
fn a_command_that_ends_at_once() {
    run(&["inspect", "--", "sh", "-c", "exit 7"])
        .assert_could_not("ended (exit status 7) and no process of it was Python", "");
    run(&["inspect", "--", "sh", "-c", "kill -9 $$"])
        .assert_could_not("ended (killed by signal 9)", "");
}

#[test]
fn a_command_that_is_not_python() {
    run(&["inspect", "--for", "100ms", "--", "sleep", "60"])
        .assert_could_not("still runs and no process of it was Python", "");
}

#[test]
fn its_output_does_not_mix_with_the_report() {
    let run = run(&[
        "inspect",
        "--",
        "sh",
        "-c",
        "echo to-stdout; echo to-stderr >&2",
    ]);
    assert_eq!(run.stdout, "");
    assert!(
        run.stderr.contains("to-stdout\nto-stderr\n"),
        "{}",
        run.stderr
    );
}

/// The process ids that `script`, run by memshed, prints as a first line.
#[test]
fn ctrl_c_ends_the_command_and_its_children() {
    let Some(python) = python() else { return };
    let script = "import os, subprocess, sys\n\
        child = subprocess.Popen([sys.executable, '-c', 'input()'], stdin=subprocess.PIPE)\n\
        print(os.getpid(), child.pid, flush=True)\n\
        child.wait()";
    let mut child = memshed(&["inspect", "--", &python, "-c", script])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("memshed runs");
    let mut stderr = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut line = String::new();
    stderr.read_line(&mut line).expect("a line");
    let pids: Vec<Pid> = line
        .split_whitespace()
        .map(|pid| Pid::from_raw(pid.parse().expect(&line)).expect("a process id"))
        .collect();
    assert_eq!(pids.len(), 2, "{line}");
    let own = Pid::from_raw(child.id() as i32).expect("a process id");
    kill_process(own, Signal::INT).expect("memshed runs");
    let status = child.wait().expect("memshed ends");
    assert_eq!(status.code(), Some(130));
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).expect("readable");
    for pid in pids {
        assert!(!lives(pid), "{pid:?} still runs; {rest}");
    }
}

/// Whether a process runs; one that ended but has not been taken notice of does not.
fn lives(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_ok() && stat.is_ok_and(|stat| !stat.contains(") Z"))
}
