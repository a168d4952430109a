//! `-- COMMAND`: what is started, what is looked at, how it ends.

use crate::support::{memshed, python, run, until};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;
use std::time::Duration;

#[test]
fn a_command_that_cannot_be_started() {
    run(&["inspect", "--", "no-command-has-this-name"])
        .assert_could_not("cannot start \"no-command-has-this-name\"", "PATH");
    for path in ["/etc/passwd", "/"] {
        for command in ["inspect", "leaks"] {
            run(&[command, "--", path])
                .assert_could_not("Permission denied", "a file that you may execute");
        }
    }
    // A script whose first line names what is not there.
    let script = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(script.path(), "#!/no/such/python3\n").expect("written");
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    std::fs::set_permissions(script.path(), executable).expect("permissions");
    let script = script.into_temp_path();
    run(&["inspect", "--", &script.to_string_lossy()])
        .assert_could_not("cannot start", "python3 SCRIPT");
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

/// The JSON of a look at `command`, which looks at live processes: nothing where that is forbidden.
fn look(command: &[&str], options: &[&str]) -> Option<serde_json::Value> {
    let doctor = run(&["doctor"]);
    if doctor.status != Some(0) {
        eprintln!("SKIPPED: ptrace is forbidden here\n{}", doctor.stdout);
        return None;
    }
    let run = run(&[&["inspect", "--format", "json"], options, &["--"], command].concat());
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    Some(serde_json::from_str(&run.stdout).expect(&run.stdout))
}

/// How many objects of the type `name` there are.
fn count(json: &serde_json::Value, name: &str) -> u64 {
    let types = json["types"].as_array().expect("types");
    let row = types.iter().find(|row| row["name"] == name);
    row.map_or(0, |row| row["count"].as_u64().expect("a number"))
}

const MARKERS: &str = "class Marker: pass\nkept = [Marker() for _ in range(1234)]\n";

#[test]
fn a_program_is_looked_at_just_before_it_ends_with_all_objects_in_place() {
    let endings = [
        "",
        "import sys; sys.exit(3)",
        "1/0",
        "import os; os._exit(3)",
    ];
    for python in memshed_testing::supported() {
        let path = python.path.display().to_string();
        for ending in endings {
            let script = format!("{MARKERS}{ending}");
            let Some(json) = look(&[&path, "-c", &script], &[]) else {
                return;
            };
            assert_eq!(
                count(&json, "__main__.Marker"),
                1234,
                "{} {ending:?}",
                python.label
            );
        }
    }
}

#[test]
fn a_shell_s_python_is_looked_at() {
    let Some(python) = python() else { return };
    let script = format!("cd / && true; {python} -c '{MARKERS}' ; exit 5");
    let Some(json) = look(&["sh", "-c", &script], &[]) else {
        return;
    };
    assert_eq!(count(&json, "__main__.Marker"), 1234);
}

#[test]
fn a_program_is_looked_at_after_a_time_and_ended() {
    let Some(python) = python() else { return };
    let script = format!("{MARKERS}input()");
    // Its standard input is memshed's, at whose end it would end: a pipe that stays open.
    let mut child = memshed(&["inspect", "--for", "1s", "--format", "json", "--"])
        .args([&python, "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("memshed runs");
    let _open = child.stdin.take();
    let output = child.wait_with_output().expect("memshed ends");
    if output.status.code() != Some(0) {
        eprintln!("SKIPPED: looking at live processes is forbidden here");
        return;
    }
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(count(&json, "__main__.Marker"), 1234);
    let pid = json["process"]["pid"].as_i64().expect("a process id");
    assert!(!lives(Pid::from_raw(pid as i32).expect("a process id")));
}

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

/// No process takes longer to end, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(30);

/// A grandchild, to which the kernel tells nothing, and which stands still as for a look.
#[test]
fn nothing_of_a_command_outlives_a_killed_memshed() {
    let Some(python) = python() else { return };
    if run(&["doctor"]).status != Some(0) {
        eprintln!("SKIPPED: ptrace is forbidden here");
        return;
    }
    let script = format!(
        "echo $$; {python} -c 'import os, time; print(os.getpid(), flush=True); time.sleep(600)'; true"
    );
    let mut child = memshed(&["leaks", "--for", "600s", "--", "sh", "-c", &script])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("memshed runs");
    let mut lines = BufReader::new(child.stderr.take().expect("a pipe")).lines();
    let pids = [(); 2].map(|()| {
        let line = lines.next().expect("a line").expect("a text");
        Pid::from_raw(line.parse().expect(&line)).expect("a process id")
    });
    // As long as memshed follows it, it would end with memshed anyway.
    until(LIMIT, "it is followed for ever", || {
        let status = format!("/proc/{}/status", pids[1].as_raw_nonzero());
        std::fs::read_to_string(status).is_ok_and(|text| text.contains("TracerPid:\t0\n"))
    });
    kill_process(pids[1], Signal::STOP).expect("it runs");
    child.kill().expect("memshed runs");
    child.wait().expect("memshed ends");
    until(LIMIT, "something outlives memshed", || {
        pids.iter().all(|pid| !lives(*pid))
    });
}

/// Whether a process runs; one that ended but has not been taken notice of does not.
fn lives(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    test_kill_process(pid).is_ok() && stat.is_ok_and(|stat| !stat.contains(") Z"))
}
