//! Giving memory back, by programs that run.

use crate::support::{Running, WAITS, python, run};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Objects of which few stay; says for each line it reads whether they are what they were.
const PROGRAM: &str = r#"
import gc, hashlib, sys, threading
busy = "busy" in sys.argv
made = [[str(i), (i, float(i))] for i in range(150_000)]
kept = made[::501]
del made
gc.collect()
truth = hashlib.sha256(repr(kept).encode()).hexdigest()
stop = threading.Event()
def read():
    for line in sys.stdin:
        same = hashlib.sha256(repr(kept).encode()).hexdigest() == truth
        print("same" if same else "changed", flush=True)
    stop.set()
print("ready", flush=True)
if busy:
    threading.Thread(target=read, daemon=True).start()
    while not stop.is_set():
        [{"k": k} for k in range(100)]
else:
    read()
"#;

struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(python: &std::path::Path, how: &str) -> Program {
        let mut child = Command::new(python)
            .args(["-c", PROGRAM, how])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let output = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut program = Program { child, output };
        assert_eq!(program.line(), "ready\n");
        program
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("a line");
        line
    }

    fn assert_same(&mut self) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        writeln!(stdin).expect("it reads");
        assert_eq!(self.line(), "same\n");
    }

    fn release(&self, more: &[&str]) -> serde_json::Value {
        let pid = self.child.id().to_string();
        let arguments = [&["release", &pid, "--format", "json"], more].concat();
        let run = run(&arguments);
        assert_eq!(run.status, Some(0), "{arguments:?}: {}", run.stderr);
        serde_json::from_str(&run.stdout).expect("JSON")
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn bytes(json: &serde_json::Value, pointer: &str) -> f64 {
    let number = json.pointer(pointer).and_then(serde_json::Value::as_f64);
    number.unwrap_or_else(|| panic!("no {pointer} in {json:#}"))
}

#[test]
fn what_was_freed_goes_and_what_was_kept_stays() {
    for python in memshed_testing::supported() {
        for how in ["idle", "busy"] {
            let label = format!("{}, {how}", python.label);
            let mut program = Program::start(&python.path, how);
            let planned = program.release(&["--dry-run"]);
            let could = bytes(&planned, "/releasable_bytes");
            assert!(planned["after"].is_null(), "{label}");
            let done = program.release(&[]);
            let gave = bytes(&done, "/released_bytes");
            program.assert_same();
            // Pools of 3.9 are single pages, of which few go.
            let most = if python.version.1 == 9 {
                0.0
            } else {
                0.7 * could
            };
            assert!(gave >= most, "{label}: {gave} of {could}; {:#}", done);
            assert!(python.version.1 == 9 || could > 5e6, "{label}: {planned:#}");
            program.release(&["--hard"]);
            program.assert_same();
            program.release(&["--undo"]);
            program.assert_same();
            program.release(&["--collect", "--caches"]);
            program.assert_same();
        }
    }
}

#[test]
fn a_supervisor_ends_with_its_process_or_its_count() {
    let Some(python) = python() else { return };
    let mut python = Command::new(python);
    let running = Running::start(python.args(["-c", WAITS]));
    let pid = running.pid();
    let once = run(&["release", &pid, "--every", "1s", "--count", "1"]);
    assert_eq!(once.status, Some(0), "{}", once.stderr);
    assert!(
        once.stdout.starts_with(&format!("process {pid}: ")),
        "{}",
        once.stdout
    );
    let below = run(&[
        "release", &pid, "--every", "1s", "--count", "1", "--above", "9GB",
    ]);
    assert!(below.stdout.contains("below the limit"), "{}", below.stdout);
    drop(running);
    let gone = run(&["release", &pid, "--every", "1s"]);
    gone.assert_could_not("there is no process", "memshed ps");
}

#[test]
fn only_processes_give_memory_back() {
    run(&["release", "/nowhere/at/all"]).assert_could_not("no snapshot", "");
    let sleeper = Command::new("sleep").arg("100").spawn();
    let mut sleeper = sleeper.expect("a process");
    let asked = run(&["release", &sleeper.id().to_string()]);
    sleeper.kill().expect("it runs");
    sleeper.wait().expect("it ends");
    asked.assert_could_not("is not Python", "memshed ps");
}
