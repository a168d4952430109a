//! `advise` on programs that run: what it promises of each is there, on every interpreter.

use crate::support::{Running, memshed, run};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Everything that there can be advice on at once, in one program.
const PROGRAM: &str = r#"
import functools, gc, sys, threading

class Point:
    def __init__(self, n):
        self.x = self.y = self.z = None

class Uneven:
    def __init__(self, n):
        self.a = None
        if n % 2:
            self.b = None

class Row:
    __slots__ = ("city",)

@functools.lru_cache(maxsize=None)
def described(n):
    return "the number %d " % n * 12

points = [Point(n) for n in range(60_000)]
uneven = [Uneven(n) for n in range(80_000)]
rows = []
for n in range(40_000):
    row = Row()
    row.city = "the city that is called %d" % (n % 300)
    rows.append(row)
for n in range(8_000):
    described(n)
SESSIONS = dict.fromkeys(range(100_000))
for n in range(100, 100_000):
    del SESSIONS[n]
gc.collect()
print("ready", flush=True)
sys.stdin.read()
"#;

fn advice(python: &Path, program: &str, time: &str) -> serde_json::Value {
    let target = Running::start(Command::new(python).args(["-c", program]));
    let said = run(&["advise", &target.pid(), "--for", time, "--format", "json"]);
    assert_eq!(said.status, Some(0), "{}", said.stderr);
    serde_json::from_str(&said.stdout).expect("JSON")
}

fn of<'a>(report: &'a serde_json::Value, kind: &str) -> &'a serde_json::Value {
    let all = report["advice"].as_array().expect("advice");
    let found = all.iter().find(|one| one["kind"] == kind);
    found.unwrap_or_else(|| panic!("no {kind} in {report:#}"))
}

/// The interpreters at hand.
fn pythons() -> Vec<(String, PathBuf)> {
    let all = memshed_testing::supported().into_iter();
    all.map(|one| (one.label, one.path)).collect()
}

#[test]
fn each_kind_of_waste_is_found_on_every_interpreter() {
    for (label, python) in pythons() {
        let report = advice(&python, PROGRAM, "200ms");
        let code = |kind: &str| of(&report, kind)["code"].to_string();
        let bytes = |kind: &str| of(&report, kind)["bytes"].as_u64().expect("bytes");
        assert!(
            code("slots").contains(r#"__slots__ = (\"x\", \"y\", \"z\")"#),
            "{label}"
        );
        assert!(
            code("equal").contains("sys.intern(self.city)"),
            "{label}: {}",
            code("equal")
        );
        assert!(
            code("cache").contains("__main__.described.cache_clear()"),
            "{label}"
        );
        assert!(
            code("room").contains("__main__.SESSIONS = dict("),
            "{label}"
        );
        // 39,700 strings of 75 bytes or so.
        assert!((2_500_000..4_000_000).contains(&bytes("equal")), "{label}");
        // 8,000 texts of 170 bytes to 220, and what the cache needs for each.
        assert!(
            (1_800_000..4_000_000).contains(&bytes("cache")),
            "{label}: {}",
            bytes("cache")
        );
        assert!(
            (3_500_000..8_000_000).contains(&bytes("room")),
            "{label}: {}",
            bytes("room")
        );
        let declined = report["declined"].to_string();
        assert!(declined.contains("__main__.Uneven"), "{label}: {declined}");
        assert_eq!(report["collector"]["share"], 0.0, "{label}");
        assert!(report["family"].is_null(), "{label}");
    }
}

/// What `__slots__` spares, by the sizes that the interpreter itself tells, which are in multiples of
/// what its allocator gives.
const SIZES: &str = r#"
import sys

class Plain:
    def __init__(self):
        self.a = self.b = self.c = self.d = self.e = None

class Slotted:
    __slots__ = ("a", "b", "c", "d", "e")
    __init__ = Plain.__init__

def blocks(make, many=60_000):
    before = sys.getallocatedblocks()
    made = [make() for _ in range(many)]
    return made, round((sys.getallocatedblocks() - before) / many)

plain, extra = blocks(Plain)
slotted, _ = blocks(Slotted)
slotted_size = (sys.getsizeof(slotted[0]) + 15) // 16 * 16
print("ready", flush=True)
sys.stdin.readline()
print(slotted_size, extra, flush=True)
sys.stdin.read()
"#;

#[test]
fn the_size_with_slots_is_what_the_interpreter_gives_an_object_with_slots() {
    use std::io::{BufRead, BufReader, Write};
    for (label, python) in pythons() {
        let mut child = Command::new(&python)
            .args(["-c", SIZES])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut says = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        says.read_line(&mut line).expect("a line");
        let pid = child.id().to_string();
        let said = run(&["advise", &pid, "--for", "10ms", "--format", "json"]);
        let mut tell = child.stdin.take().expect("a pipe");
        tell.write_all(b"go\n").expect("it listens");
        line.clear();
        says.read_line(&mut line).expect("a line");
        drop(tell);
        child.wait().expect("it ends");
        assert_eq!(said.status, Some(0), "{}", said.stderr);
        let report: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
        let told = of(&report, "slots")["evidence"][0].to_string();
        let size = line.split(' ').next().expect("a size");
        assert!(
            told.ends_with(&format!("with __slots__ {size} B\"")),
            "{label}: {told}, {size}"
        );
    }
}

/// A service that collects all the time.
const SERVICE: &str = r#"
import gc, threading
kept = [{"n": n, "more": [n]} for n in range(20_000)]

def serve():
    while True:
        gc.collect()
        for n in range(40):
            sum(len(str(i)) for i in range(100))

threading.Thread(target=serve, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"#;

#[test]
fn the_collector_is_watched_at_work_and_nothing_is_stopped_for_that() {
    for (label, python) in pythons() {
        let report = advice(&python, SERVICE, "1500ms");
        let collector = &report["collector"];
        let share = collector["share"].as_f64().expect("a share");
        assert!((0.3..=1.0).contains(&share), "{label}: {collector:#}");
        let full = &collector["generations"][2];
        assert!(
            full["collections"].as_u64() > Some(3),
            "{label}: {collector:#}"
        );
        assert!(
            full["share"].as_f64() > Some(0.9 * share),
            "{label}: {collector:#}"
        );
        let asked = of(&report, "own-collections");
        let left = asked["collector_share_after"].as_f64();
        assert!(left < Some(0.1 * share), "{label}: {asked:#}");
        assert!(
            asked["locations"].to_string().contains("serve()"),
            "{label}: {asked:#}"
        );
        let freeze = of(&report, "freeze")["collector_share_after"].as_f64();
        assert!(freeze < Some(0.5 * share), "{label}: {freeze:?} of {share}");
    }
}

/// Its collector works hard by itself; a function that asks for collections is never called.
const MENTIONS: &str = r#"
import gc, threading
kept = [[n, [n]] for n in range(20_000)]

def tidy():
    gc.collect()

def serve():
    recent, turn = {}, 0
    while True:
        recent[turn % 50] = [[n] for n in range(3000)]
        turn += 1

threading.Thread(target=serve, daemon=True).start()
print("ready", flush=True)
threading.Event().wait()
"#;

#[test]
fn collections_that_come_by_themselves_are_not_laid_to_the_program() {
    for (label, python) in pythons() {
        let report = advice(&python, MENTIONS, "1500ms");
        let full = &report["collector"]["generations"][2];
        assert!(
            full["collections"].as_u64() > Some(3),
            "{label}: {:#}",
            report["collector"]
        );
        let advice = report["advice"].as_array().expect("advice");
        let kinds: Vec<_> = advice.iter().map(|one| &one["kind"]).collect();
        assert!(
            !kinds.iter().any(|kind| *kind == "own-collections"),
            "{label}: {kinds:?}"
        );
    }
}

/// Forks a child that goes through everything, by a collection.
const FORKS: &str = r#"
import gc, os, sys
items = [[n, [n]] for n in range(60_000)]
texts = ["text number %d that nobody touches" % n for n in range(60_000)]
ended, alive = os.pipe()
done, ready = os.pipe()
if os.fork() == 0:
    os.close(alive)
    gc.collect()
    os.write(ready, b"x")
    os.read(ended, 1)
    os._exit(0)
os.read(done, 1)
print("ready", flush=True)
sys.stdin.read()
"#;

#[test]
fn what_a_forked_child_no_longer_shares_is_told() {
    for (label, python) in pythons() {
        let report = advice(&python, FORKS, "10ms");
        assert_eq!(
            report["family"]["members"].as_array().map(Vec::len),
            Some(2),
            "{label}"
        );
        let forks = of(&report, "forks");
        // 120,000 lists of 72 bytes and their elements at least, of which the collector wrote to the
        // former.
        let bytes = forks["bytes"].as_u64().expect("bytes");
        assert!(
            (6_000_000..16_000_000).contains(&bytes),
            "{label}: {forks:#}"
        );
    }
}

#[test]
fn nothing_to_gain_is_said_plainly_and_a_snapshot_says_what_it_lacks() {
    let Some((_, python)) = pythons().pop() else {
        return;
    };
    let target = Running::start(Command::new(&python).args(["-c", crate::support::WAITS]));
    let said = run(&["advise", &target.pid(), "--for", "10ms"]);
    assert_eq!(said.status, Some(0), "{}", said.stderr);
    assert!(
        said.stdout.starts_with("There is nothing to gain"),
        "{}",
        said.stdout
    );
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("one").display().to_string();
    assert_eq!(
        run(&["snapshot", &target.pid(), "-o", &path]).status,
        Some(0)
    );
    let said = run(&["advise", &path]);
    assert_eq!(said.status, Some(0), "{}", said.stderr);
    assert!(
        said.stdout.contains("A snapshot does not say"),
        "{}",
        said.stdout
    );
}

#[test]
fn a_command_is_started_watched_and_ended() {
    let Some((_, python)) = pythons().pop() else {
        return;
    };
    let python = python.display().to_string();
    let output = memshed(&["advise", "--for", "1500ms", "--", &python, "-c", SERVICE]).output();
    let said = crate::support::finish(output.expect("memshed runs"));
    assert_eq!(said.status, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains("gc.collect()"), "{}", said.stdout);
}
