//! What holds things is called as the program calls it, on every interpreter.

use crate::support::{Run, run};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A decorator that memoizes, and attributes of threads.
const PROGRAM: &str = r#"
import functools, sys, threading
def memoize(function):
    cache, misses = {}, []
    @functools.wraps(function)
    def memoized(n):
        if n not in cache:
            misses.append(n)
            cache[n] = function(n)
        return cache[n]
    return memoized
@memoize
def parse(n):
    return bytes(n)
for n in range(3000):
    parse(n)
LOCAL = threading.local()
class Own(threading.local):
    pass
OWN = Own()
def work(started, stop):
    OWN.rows = bytearray(900_000)
    started.set()
    stop.wait()
started, stop = threading.Event(), threading.Event()
threading.Thread(target=work, args=(started, stop), daemon=True).start()
started.wait()
LOCAL.cursors = bytearray(800_000)
print("ready", flush=True)
sys.stdin.readline()
"#;

struct Program(Child);

impl Program {
    fn start(python: &std::path::Path) -> Program {
        let mut child = Command::new(python)
            .args(["-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut line = String::new();
        let stdout = child.stdout.take().expect("a pipe");
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("a line");
        assert_eq!(line, "ready\n");
        Program(child)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn fine(arguments: &[&str]) -> String {
    let Run {
        status,
        stdout,
        stderr,
    } = run(arguments);
    assert_eq!(status, Some(0), "{arguments:?}: {stderr}");
    stdout
}

#[test]
fn closures_and_attributes_of_threads() {
    for python in memshed_testing::supported() {
        let program = Program::start(&python.path);
        let pid = program.0.id().to_string();
        let found = fine(&["inspect", &pid]);
        for name in [
            "parse.<closure cache>",
            "parse.<closure misses>",
            "OWN.rows",
            "LOCAL.cursors",
        ] {
            let name = format!("__main__.{name}\n");
            assert!(found.contains(&name), "{}: {name}{found}", python.label);
        }
        let why = fine(&["why", &pid, "bytes"]);
        let name = "__main__.parse.<closure cache>[…]";
        assert!(why.contains(name), "{}: {why}", python.label);
    }
}

#[test]
fn bytecode_is_small() {
    for python in memshed_testing::supported() {
        let program = Program::start(&python.path);
        let pid = program.0.id().to_string();
        let found = fine(&["inspect", &pid, "--format", "json"]);
        let found: serde_json::Value = serde_json::from_str(&found).expect("JSON");
        let caches = found["caches"].as_array().expect("caches").iter();
        let mut bytecode = caches.filter(|cache| {
            let name = cache["name"].as_str();
            name.is_some_and(|name| name.starts_with("bytecode"))
        });
        let bytecode = bytecode.next().expect("bytecode");
        let number = |name: &str| bytecode[name].as_u64().expect("a number");
        let each = number("bytes") / number("entries");
        assert!((30..1000).contains(&each), "{}: {bytecode}", python.label);
    }
}
