//! `leaks` on programs that run, on their snapshots, and on what it must refuse.

use crate::support::{Run, Running, WAITS, memshed, python, run, write_snapshot};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// Does a step whenever it is told to: keeps more in a dictionary and in a closure, makes cycles
/// that nobody collects, fills a queue that is full already, and warms up at the beginning.
const STEPS: &str = r#"
import collections, gc, sys
gc.disable()

class Session:
    def __init__(self, n):
        self.name = "session %d" % n

class Node:
    def __init__(self):
        self.payload = bytearray(900)
        self.child = Child(self)

class Child:
    def __init__(self, parent):
        self.parent = parent

CACHE = {}
RECENT = collections.deque((bytearray(400) for _ in range(200)), maxlen=200)
WARM = []
print("ready", flush=True)
for step in range(100):
    if not sys.stdin.readline():
        break
    for n in range(300):
        CACHE[step, n] = Session(n)
    for _ in range(100):
        Node()
    RECENT.extend(bytearray(400) for _ in range(20))
    if step < 2:
        WARM.extend(bytearray(500) for _ in range(500))
    print("done", flush=True)
"#;

/// Snapshots of that program, one after each step.
fn snapshots(python: &Path, directory: &Path, count: usize) -> Vec<String> {
    let mut program = Command::new(python)
        .args(["-c", STEPS])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut says = BufReader::new(program.stdout.take().expect("a pipe"));
    let mut tell = program.stdin.take().expect("a pipe");
    let pid = program.id().to_string();
    let mut expect = |word: &str| {
        let mut line = String::new();
        says.read_line(&mut line).expect("a line");
        assert_eq!(line.trim(), word);
    };
    expect("ready");
    let mut paths = Vec::new();
    for number in 0..count {
        tell.write_all(b"step\n").expect("it listens");
        expect("done");
        let path = directory.join(number.to_string()).display().to_string();
        let taken = run(&["snapshot", &pid, "-o", &path]);
        assert_eq!(taken.status, Some(0), "{}", taken.stderr);
        paths.push(path);
    }
    drop(tell);
    program.wait().expect("it ends");
    paths
}

fn leaks(arguments: &[&str], targets: &[String]) -> Run {
    let targets = targets.iter().map(String::as_str);
    let all: Vec<&str> = ["leaks"]
        .into_iter()
        .chain(arguments.iter().copied())
        .chain(targets)
        .collect();
    run(&all)
}

fn json(run: &Run) -> serde_json::Value {
    assert!(
        matches!(run.status, Some(0 | 1)),
        "{}{}",
        run.stdout,
        run.stderr
    );
    serde_json::from_str(&run.stdout).expect("JSON")
}

fn found<'a>(report: &'a serde_json::Value, kind: &str) -> Vec<&'a serde_json::Value> {
    let findings = report["findings"].as_array().expect("findings");
    findings.iter().filter(|f| f["kind"] == kind).collect()
}

#[test]
fn what_stays_of_each_step_is_found_and_nothing_else_on_every_interpreter() {
    for interpreter in memshed_testing::supported() {
        let label = &interpreter.label;
        let directory = tempfile::tempdir().expect("a directory");
        let paths = snapshots(&interpreter.path, directory.path(), 7);
        let report = json(&leaks(&["--format", "json"], &paths));
        let growth = found(&report, "growth");
        assert_eq!(growth.len(), 1, "{label}: {report:#}");
        assert_eq!(growth[0]["holder"], "__main__.CACHE", "{label}");
        assert_eq!(growth[0]["types"][0], "__main__.Session", "{label}");
        assert_eq!(growth[0]["count"], 1800, "{label}");
        let cycles = found(&report, "cycle");
        assert_eq!(cycles.len(), 1, "{label}: {report:#}");
        let types = cycles[0]["types"].to_string();
        assert!(
            types.contains("Node") && types.contains("Child"),
            "{label}: {types}"
        );
        let fix = cycles[0]["fix"].as_str().expect("a fix");
        assert!(
            fix.contains("__main__.Child.parent -> __main__.Node"),
            "{label}: {fix}"
        );
        assert!(fix.contains("gc.enable()"), "{label}: {fix}");
        for kind in ["reference-count", "native", "interned"] {
            assert!(found(&report, kind).is_empty(), "{label}: {report:#}");
        }
    }
}

#[test]
fn the_exit_status_tells_of_the_kinds_asked_for() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let paths = snapshots(Path::new(&python), directory.path(), 6);
    assert_eq!(
        leaks(&["--fail-on", "growth,native"], &paths).status,
        Some(1)
    );
    assert_eq!(leaks(&["--fail-on", "interned"], &paths).status, Some(0));
    assert_eq!(leaks(&[], &paths).status, Some(0));
    let text = leaks(&[], &paths).stdout;
    assert!(text.starts_with("2 things leak, as 6 looks in "), "{text}");
    assert!(text.contains("__main__.CACHE keeps growing: "), "{text}");
    // Fewer looks cannot tell, and say so.
    let text = leaks(&[], &paths[..2]).stdout;
    assert!(text.starts_with("2 looks in "), "{text}");
    let text = leaks(&[], &paths[..1]).stdout;
    assert!(
        text.starts_with("One thing is never freed; what grows, one look cannot tell."),
        "{text}"
    );
    // The keys of a dictionary are the program's data.
    assert!(!text.contains("session "), "{text}");
    let mut backwards = paths.clone();
    backwards.reverse();
    leaks(&[], &backwards).assert_could_not("was taken before", "oldest snapshot first");
}

#[test]
fn a_command_is_started_watched_and_ended() {
    let Some(python) = python() else { return };
    let program = "import time\nKEPT = []\nwhile True:\n    KEPT.append(bytearray(2000))\n    time.sleep(0.002)\n";
    let run = run(&[
        "leaks", "--for", "4s", "--format", "json", "--", &python, "-c", program,
    ]);
    let report = json(&run);
    let first = &report["findings"][0];
    assert_eq!(first["kind"], "growth", "{report:#}");
    assert_eq!(first["holder"], "__main__.KEPT");
    assert_eq!(first["types"][0], "bytearray");
    let pid = report["process"]["pid"].as_i64().expect("a pid");
    assert!(!Path::new(&format!("/proc/{pid}")).exists());
}

#[test]
fn a_program_that_does_nothing_does_not_leak_and_goes_on() {
    let Some(python) = python() else { return };
    let mut running = Running::start(Command::new(python).args(["-c", WAITS]));
    let run = run(&["leaks", "--for", "2s", &running.pid()]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(
        run.stdout.starts_with("Nothing leaks, as far as "),
        "{}",
        run.stdout
    );
    assert!(running.0.try_wait().expect("asked").is_none());
}

#[test]
fn a_program_that_ends_while_it_is_watched_is_told_of_as_far_as_it_was_seen() {
    let Some(python) = python() else { return };
    let program = "import time\nuntil = time.monotonic() + 3\nKEPT = []\nprint('ready', flush=True)\n\
                   while time.monotonic() < until:\n    KEPT.append(bytearray(2000))\n    time.sleep(0.002)\n";
    let running = Running::start(Command::new(python).args(["-c", program]));
    let run = run(&["leaks", "--for", "60s", &running.pid()]);
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    assert!(
        run.stdout.contains("ended while it was watched")
            || run.stdout.contains("The last look failed"),
        "{}",
        run.stdout
    );
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let one = directory.path().join("one").display().to_string();
    write_snapshot(Path::new(&one));
    run(&["leaks", "--for", "0", &one]).assert_could_not("leaves no time", "--for 30s");
    run(&["leaks", "--fail-on", "leaks", &one]).assert_could_not("no kind of finding", "growth");
    run(&["leaks", &one, "1"])
        .assert_could_not("only snapshots can be given together", "one process");
    run(&["leaks", "2147483647"]).assert_could_not("there is no process", "memshed ps");
    run(&["leaks", "/nowhere/at/all"]).assert_could_not("there is no snapshot", "memshed snapshot");
    let help = memshed(&["leaks"]).output().expect("memshed runs");
    assert_eq!(help.status.code(), Some(2));
}

#[test]
fn snapshots_of_two_processes_are_refused() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let mut paths = Vec::new();
    for name in ["one", "two"] {
        let running = Running::start(Command::new(&python).args(["-c", WAITS]));
        let taken = run(&["snapshot", &running.pid(), "-o", &path(name)]);
        assert_eq!(taken.status, Some(0), "{}", taken.stderr);
        paths.push(path(name));
    }
    leaks(&[], &paths).assert_could_not("is of another process", "memshed diff");
}
