//! Giving memory back, by programs that run.

use crate::support::{Running, WAITS, python, run};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

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

/// Computes, without the GIL, in vector registers; says how often the result was wrong.
const COMPUTES: &str = r#"
import gc, hashlib, select, sys
made = [[str(i), (i, float(i))] for i in range(150_000)]
kept = made[::501]
del made
gc.collect()
data = bytes(range(256)) * 65536
truth = hashlib.sha256(data).digest()
print("ready", flush=True)
wrong = turns = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    wrong += hashlib.sha256(data).digest() != truth
    turns += 1
print(wrong, turns, flush=True)
"#;

/// Computes, and says for each signal that it has had it.
const HEEDS: &str = r#"
import gc, hashlib, os, signal
made = [[str(i), (i, float(i))] for i in range(150_000)]
kept = made[::501]
del made
gc.collect()
data = bytes(range(256)) * 4096
came = []
signal.signal(signal.SIGUSR1, lambda *_: came.append(1))
print("ready", flush=True)
while True:
    hashlib.sha256(data).digest()
    if came:
        came.pop()
        os.write(1, b"had\n")
"#;

struct Program {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Program {
    fn start(python: &std::path::Path, how: &str) -> Program {
        Program::run(Command::new(python).args(["-c", PROGRAM, how]))
    }

    fn run(command: &mut Command) -> Program {
        let mut child = command
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
        let read = self.output.read_line(&mut line).expect("a line");
        assert_ne!(read, 0, "the program has ended");
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
fn a_thread_that_computes_meanwhile_computes_right() {
    for python in memshed_testing::supported() {
        let mut program = Program::run(Command::new(&python.path).args(["-c", COMPUTES]));
        for _ in 0..4 {
            program.release(&["--hard"]);
            program.release(&["--undo"]);
        }
        let stdin = program.child.stdin.as_mut().expect("a pipe");
        writeln!(stdin).expect("it reads");
        let line = program.line();
        assert!(line.starts_with("0 "), "{}: {line}", python.label);
        assert_ne!(line, "0 0\n", "{}", python.label);
    }
}

#[test]
fn no_signal_is_lost() {
    for python in memshed_testing::supported() {
        let mut program = Program::run(Command::new(&python.path).args(["-c", HEEDS]));
        let pid = Pid::from_child(&program.child);
        let over = AtomicBool::new(false);
        let releases = || {
            while !over.load(Ordering::Relaxed) {
                for how in ["--hard", "--undo"] {
                    run(&["release", &pid.to_string(), how]);
                }
            }
        };
        std::thread::scope(|scope| {
            let releasing = scope.spawn(releases);
            let (answer, answers) = channel();
            let output = &mut program.output;
            scope.spawn(move || {
                for line in output.lines().map_while(Result::ok) {
                    let _ = answer.send(line);
                }
            });
            let mut had = 0;
            for _ in 0..400 {
                kill_process(pid, Signal::USR1).expect("the program runs");
                had += u32::from(answers.recv_timeout(Duration::from_secs(5)).is_ok());
            }
            over.store(true, Ordering::Relaxed);
            releasing.join().expect("releases go well");
            kill_process(pid, Signal::KILL).expect("the program runs");
            assert_eq!(had, 400, "{}", python.label);
        });
    }
}

#[test]
fn allocators_in_malloc_s_place_give_back_by_their_own_function() {
    let Some(python) = python() else { return };
    let libraries = [
        "libjemalloc.so.2",
        "libmimalloc.so.2",
        "libtcmalloc_minimal.so.4",
    ];
    for library in libraries {
        let folders = ["/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"];
        let mut paths = folders.iter().map(|folder| format!("{folder}/{library}"));
        let Some(path) = paths.find(|path| std::path::Path::new(path).exists()) else {
            eprintln!("SKIPPED: {library} is not installed");
            continue;
        };
        for how in ["idle", "busy"] {
            let mut program = Program::run(
                Command::new(&python)
                    .args(["-c", PROGRAM, how])
                    .env("PYTHONMALLOC", "malloc")
                    .env("LD_PRELOAD", &path),
            );
            let done = program.release(&[]);
            program.assert_same();
            let steps = done["steps"].as_array().expect("steps");
            let malloc = steps.iter().find(|step| step["name"] == "malloc");
            let malloc = malloc.unwrap_or_else(|| panic!("{library}, {how}: {done:#}"));
            assert!(
                malloc["took_ms"].as_f64() > Some(0.0),
                "{library}, {how}: {done:#}"
            );
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
