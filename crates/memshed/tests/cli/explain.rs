//! `diff` and `why` on programs that run.

use crate::support::{Run, memshed, python, run, write_snapshot};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

/// Holds things in all ways; adds to some of them when it is told to, and says what it knows.
const PROGRAM: &str = r#"
import functools, gc, sys, threading
gc.disable()

class Session:
    def __init__(self, n):
        self.user = "user %d" % n
        self.items = [object() for _ in range(4)]

class Server:
    pool = [bytearray(100 + n) for n in range(20)]

class Node:
    def __init__(self):
        self.me = self

class Shared:
    pass

SESSIONS = {n: Session(n) for n in range(100)}
LIST, DICT = [], {}
for n in range(30):
    LIST.append(Shared())
    DICT[n] = LIST[-1]
for n in range(10):
    Node()

@functools.lru_cache(maxsize=None)
def compute(n):
    return [n] * 10

compute(0)

def serve(started, stop):
    connection = bytearray(5000)
    started.set()
    stop.wait()

started, stop = threading.Event(), threading.Event()
thread = threading.Thread(target=serve, args=(started, stop), daemon=True)
thread.start()
started.wait()
print("ready", hex(id(SESSIONS)), hex(id(SESSIONS[7])), flush=True)
sys.stdin.readline()
for n in range(100, 1100):
    SESSIONS[n] = Session(n)
for n in range(1, 300):
    compute(n)
print("grown", flush=True)
sys.stdin.readline()
"#;

/// That program.
struct Program {
    child: Child,
    says: BufReader<ChildStdout>,
    /// What it said first: the addresses of its sessions, and of one of them.
    addresses: Vec<String>,
}

impl Program {
    fn start(python: &str) -> Program {
        let mut child = Command::new(python)
            .args(["-c", PROGRAM])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut says = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        says.read_line(&mut line).expect("a line");
        let mut words = line.split_whitespace().map(str::to_owned);
        assert_eq!(words.next().as_deref(), Some("ready"));
        Program {
            child,
            says,
            addresses: words.collect(),
        }
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    fn grow(&mut self) {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(b"\n").expect("it listens");
        let mut line = String::new();
        self.says.read_line(&mut line).expect("a line");
        assert_eq!(line, "grown\n");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
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

fn json(arguments: &[&str]) -> serde_json::Value {
    let mut all = arguments.to_vec();
    all.extend(["--format", "json"]);
    serde_json::from_str(&fine(&all)).expect("JSON")
}

fn snapshot(program: &Program, directory: &tempfile::TempDir, name: &str) -> String {
    let path = directory.path().join(name).display().to_string();
    fine(&["snapshot", &program.pid(), "-o", &path]);
    path
}

#[test]
fn what_grew_and_where() {
    for python in memshed_testing::supported() {
        let label = &python.label;
        let directory = tempfile::tempdir().expect("a directory");
        let mut program = Program::start(&python.path.display().to_string());
        let before = snapshot(&program, &directory, "before");
        program.grow();
        let found = json(&["diff", &before, &program.pid()]);
        assert_eq!(found["relation"], "same_process", "{label}");
        let row = |rows: &serde_json::Value, key: &str, name: &str| {
            let rows = rows.as_array().expect("rows");
            let row = rows.iter().find(|row| row[key] == name);
            row.unwrap_or_else(|| panic!("{label}: no {name} in {rows:?}"))
                .clone()
        };
        let sessions = row(&found["types"], "name", "__main__.Session");
        assert_eq!(sessions["old"]["count"], 100, "{label}");
        assert_eq!(sessions["growth"]["count"], 1000, "{label}");
        let place = row(&found["objects"]["places"], "place", "__main__.SESSIONS[…]");
        assert_eq!(found["objects"]["places"][0], place, "{label}");
        assert_eq!(place["entry_type"], "__main__.Session", "{label}");
        assert_eq!(place["entries"], 1000, "{label}");
        assert_eq!(place["container"], "__main__.SESSIONS", "{label}");
        // Each with its name, its list and four objects, at least.
        assert!(
            place["added"]["count"].as_u64() >= Some(6_900),
            "{label}: {place}"
        );
        let cached = row(
            &found["objects"]["places"],
            "place",
            "__main__.compute.cache[…]",
        );
        assert!(cached["entries"].as_u64() >= Some(290), "{label}: {cached}");
        let cache = row(&found["caches"], "name", "lru_cache of __main__.compute");
        assert_eq!(cache["growth"]["count"], 299, "{label}");
    }
}

#[test]
fn why_things_are_there() {
    for python in memshed_testing::supported() {
        let label = &python.label;
        let directory = tempfile::tempdir().expect("a directory");
        let program = Program::start(&python.path.display().to_string());
        let taken = snapshot(&program, &directory, "taken");
        let why = |what: &str| json(&["why", &taken, what]);

        let sessions = why("Session");
        assert_eq!(sessions["name"], "__main__.Session", "{label}");
        assert_eq!(sessions["objects"]["count"], 100, "{label}");
        let way = &sessions["ways"][0];
        assert_eq!(way["way"], "__main__.SESSIONS[…]", "{label}");
        assert_eq!(
            (&way["objects"], &way["alone"]),
            (&100.into(), &100.into()),
            "{label}"
        );
        assert_eq!(way["container"], "__main__.SESSIONS", "{label}");
        assert_eq!(
            sessions["dominator"]["path"], "__main__.SESSIONS",
            "{label}"
        );
        assert_eq!(way["frees_bytes"], sessions["retained"]["bytes"], "{label}");

        // By name and by address, with and without the module: the same.
        let container = why("__main__.SESSIONS");
        assert_eq!(
            container["address"],
            program.addresses[0].as_str(),
            "{label}"
        );
        assert_eq!(
            why("SESSIONS")["retained"],
            container["retained"],
            "{label}"
        );
        let same = why(&program.addresses[0]);
        assert_eq!(same["ways"], container["ways"], "{label}");
        assert_eq!(container["dominator"]["is_module"], true, "{label}");
        assert_eq!(container["references"]["count"], 1, "{label}");
        let one = why(&program.addresses[1]);
        assert_eq!(one["type"], "__main__.Session", "{label}");

        let pool = why("Server.pool");
        assert_eq!(pool["type"], "list", "{label}");
        assert!(pool["retained"]["bytes"].as_u64() > Some(2_000), "{label}");
        assert_eq!(why("Server.pool[…]")["objects"]["count"], 20, "{label}");

        // Two hold each: cutting one of them frees nothing.
        let shared = why("Shared");
        let ways = shared["ways"].as_array().expect("ways");
        assert_eq!(ways.len(), 2, "{label}: {ways:?}");
        for way in ways {
            assert_eq!(
                (&way["objects"], &way["frees_bytes"]),
                (&30.into(), &0.into()),
                "{label}"
            );
        }

        let garbage = why("Node");
        assert_eq!(garbage["unreached"], 10, "{label}");
        assert_eq!(garbage["cycle"]["way"], ".me", "{label}");

        let local = fine(&["why", &taken, "bytearray"]);
        assert!(
            local.contains("local variable connection of serve()"),
            "{label}: {local}"
        );
    }
}

#[test]
fn the_first_lines_say_what_to_do() {
    let Some(python) = python() else { return };
    let program = Program::start(&python);
    let text = fine(&["why", &program.pid(), "Session"]);
    for says in [
        "The 100 objects of type __main__.Session take",
        "All of them are held by __main__.SESSIONS[…], and by nothing else.",
        "To free that: take entries out of __main__.SESSIONS once they are no longer needed",
        "└─ .SESSIONS of the module __main__",
    ] {
        assert!(text.contains(says), "{says:?} is not in {text}");
    }
    let text = fine(&["why", &program.pid(), "Node"]);
    assert!(
        text.contains("collector is switched off (`gc.disable()`)"),
        "{text}"
    );
    let mut ascii = memshed(&["why", &program.pid(), "Shared"]);
    let output = ascii.env("LC_ALL", "C").output().expect("memshed runs");
    assert!(output.status.success());
    assert!(output.stdout.is_ascii());
}

#[test]
fn contents_of_keys_are_shown_only_if_asked_for() {
    let Some(python) = python() else { return };
    let program = Program::start(&python);
    let text = fine(&["why", &program.pid(), &program.addresses[1]]);
    assert!(text.contains("[…] of a dict"), "{text}");
    assert!(!text.contains("user 7"), "{text}");
}

#[test]
fn what_is_not_there() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let program = Program::start(&python);
    let taken = snapshot(&program, &directory, "taken");
    let why = |what: &str| run(&["why", &taken, what]);
    why("Sesion").assert_could_not("nothing in it is called \"Sesion\"", "__main__.Session");
    why("__main__.SESION").assert_could_not("__main__ has no .SESION", "SESSIONS");
    why("Server.pol").assert_could_not("__main__.Server has no .pol", "pool");
    why("").assert_could_not("nothing was asked for", "app.CACHE");
    why("0xg").assert_could_not("is not an address", "hexadecimal");
    why("0x10").assert_could_not("there is no object at 0x10", "one process");
    let address = &program.addresses[1];
    let inside = u64::from_str_radix(&address[2..], 16).expect("an address") + 8;
    why(&format!("{inside:#x}"))
        .assert_could_not("lies in the memory of a __main__.Session", address);
}

#[test]
fn looks_that_cannot_be_compared() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("before");
    write_snapshot(&path);
    let before = path.display().to_string();
    let again = format!("{before}/../before");
    run(&["diff", &before, &again])
        .assert_could_not("cannot be compared with itself", "two snapshots");
    let me = std::process::id().to_string();
    run(&["diff", &me, &before]).assert_could_not("OLD must be a snapshot", "memshed snapshot");
    run(&["diff", &before, "99999999"]).assert_could_not("there is no process", "memshed ps");
    run(&["diff", &before, "./nosuch"])
        .assert_could_not("there is no snapshot", "memshed snapshot");
    run(&["why", &before, "Order"]).assert_could_not("holds no references", "memshed snapshot");
    let damaged = directory.path().join("damaged");
    write_snapshot(&damaged);
    let objects = damaged.join("objects.parquet");
    let bytes = std::fs::read(&objects).expect("readable");
    std::fs::write(&objects, &bytes[..bytes.len() / 2]).expect("writable");
    let damaged = damaged.display().to_string();
    run(&["diff", &before, &damaged]).assert_could_not("objects.parquet", "take a new one");
    run(&["why", &damaged, "Order"]).assert_could_not("objects.parquet", "take a new one");
}

#[test]
fn two_programs_are_compared_by_type() {
    let Some(python) = python() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("before");
    write_snapshot(&path);
    let program = Program::start(&python);
    let text = fine(&["diff", &path.display().to_string(), &program.pid()]);
    let first = text.lines().next().unwrap_or("");
    assert!(
        first.starts_with("These are two different programs"),
        "{first}"
    );
    assert!(first.contains("compared by type only"), "{first}");
}

#[test]
fn schemas_of_all_commands() {
    for command in ["inspect", "diff", "why", "advise"] {
        let schema = fine(&["schema", command]);
        let schema: serde_json::Value = serde_json::from_str(&schema).expect("JSON");
        let title = schema["title"].as_str().expect("a title");
        assert!(title.contains(command), "{title}");
    }
}
