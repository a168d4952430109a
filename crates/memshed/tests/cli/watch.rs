//! `inspect --every`: one process over time.

use crate::support::{finish, memshed, python, run, until, write_snapshot};
use memshed_target::{Process, Session, SessionOptions, TracerProgram};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::io::{BufRead, BufReader, Lines, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

/// Nothing takes longer, unless something is wrong.
const LIMIT: Duration = Duration::from_secs(60);

/// Told "grow", makes 20,000 objects and says "grown"; told "end", ends.
const SCRIPT: &str = "
import sys
class Grown:
    __slots__ = ('a', 'b')
kept = []
print('ready', flush=True)
for line in sys.stdin:
    if line == 'end\\n':
        break
    kept += [Grown() for _ in range(20_000)]
    print('grown', flush=True)
";

/// The program that is watched.
struct Target {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Target {
    /// `None` where there is no Python, or ptrace is forbidden.
    fn start() -> Option<Target> {
        let doctor = run(&["doctor"]);
        if doctor.status != Some(0) {
            eprintln!("SKIPPED: ptrace is forbidden here\n{}", doctor.stdout);
            return None;
        }
        let mut child = Command::new(python()?)
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python starts");
        let input = child.stdin.take().expect("a pipe");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let mut target = Target {
            child,
            input,
            lines,
        };
        assert_eq!(target.line(), "ready");
        Some(target)
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("it runs").expect("a line")
    }

    fn pid(&self) -> String {
        self.child.id().to_string()
    }

    fn process(&self) -> Process {
        Process::open(self.child.id() as i32).expect("it runs")
    }

    fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("it listens");
    }

    fn grow(&mut self) {
        self.tell("grow");
        assert_eq!(self.line(), "grown");
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A watch that is under way: its lines as they come.
struct Watching {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Watching {
    fn start(arguments: &[&str]) -> Watching {
        let mut child = memshed(&["inspect", "--format", "json"])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("memshed runs");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Watching { child, lines }
    }

    /// The next line of this kind.
    fn next(&mut self, kind: &str) -> Value {
        loop {
            let line = self.lines.next().expect("more lines").expect("a line");
            let line: Value = serde_json::from_str(&line).expect("JSON");
            assert_eq!(line["schema"], 1);
            if line["kind"] == kind {
                return line;
            }
            assert_ne!(line["kind"], "end", "{line} before {kind}");
        }
    }

    fn interrupt(&self) {
        let pid = Pid::from_raw(self.child.id() as i32).expect("a process id");
        kill_process(pid, Signal::INT).expect("memshed runs");
    }

    fn status(&mut self) -> Option<i32> {
        self.child.wait().expect("memshed ends").code()
    }
}

#[test]
fn a_line_a_look_and_the_sum_at_ctrl_c() {
    let Some(mut target) = Target::start() else {
        return;
    };
    let mut watching = Watching::start(&["--every", "100ms", &target.pid()]);
    let start = watching.next("start");
    assert_eq!(start["pid"].to_string(), target.pid());
    let first = watching.next("look");
    assert_eq!(first["grew"], Value::Null);
    target.grow();
    until(LIMIT, "its growth was never seen", || {
        let look = watching.next("look");
        look["grew"]["name"] == "__main__.Grown" && look["grew"]["count"] == 20_000
    });
    let later = watching.next("look");
    assert!(later["rss_bytes"].as_u64() > first["rss_bytes"].as_u64());
    assert!(later["objects"].as_u64() >= first["objects"].as_u64().map(|n| n + 20_000));
    watching.interrupt();
    let end = watching.next("end");
    assert_eq!(end["reason"], "interrupted");
    assert_eq!(end["per_hour"]["types"][0]["name"], "__main__.Grown");
    assert!(end["stopped_ms_sum"].as_f64() > Some(0.0));
    assert_eq!(watching.status(), Some(0));
}

#[test]
fn ctrl_c_at_any_moment_leaves_the_process_as_it_was() {
    let Some(mut target) = Target::start() else {
        return;
    };
    for round in 0..20 {
        let mut watching = Watching::start(&["--every", "100ms", &target.pid()]);
        watching.next("look");
        // From here on it looks without a break; growing takes the target a few milliseconds.
        for _ in 0..round % 7 {
            target.grow();
        }
        watching.interrupt();
        watching.next("end");
        assert_eq!(watching.status(), Some(0));
        until(LIMIT, "the tracer never ended", || {
            let status = target.process().status().expect("a status");
            status.tracer == 0 && !matches!(status.state, 'T' | 't')
        });
        let children = format!("/proc/{0}/task/{0}/children", target.pid());
        until(LIMIT, "a copy is left", || {
            std::fs::read_to_string(&children)
                .expect("children")
                .is_empty()
        });
        target.grow();
    }
}

#[test]
fn the_end_of_the_process_is_the_end_of_the_watch() {
    let Some(mut target) = Target::start() else {
        return;
    };
    let mut watching = Watching::start(&["--every", "200ms", &target.pid()]);
    watching.next("look");
    target.tell("end");
    target.child.wait().expect("it ends");
    let end = watching.next("end");
    assert_eq!(
        (&end["reason"], &end["missed"]),
        (&"exited".into(), &0.into())
    );
    assert_eq!(watching.status(), Some(0));
}

#[test]
fn a_look_that_fails_is_told_and_the_watch_goes_on() {
    let Some(target) = Target::start() else {
        return;
    };
    let mut watching = Watching::start(&["--every", "100ms", &target.pid()]);
    watching.next("look");
    let options = || SessionOptions {
        tracer: TracerProgram::Path(PathBuf::from(env!("CARGO_BIN_EXE_memshed"))),
    };
    // Between two looks of the other's there is a moment for a session of our own.
    let mut session = None;
    until(LIMIT, "no moment for a session", || {
        session = Session::start(&target.process(), options()).ok();
        session.is_some()
    });
    let missed = watching.next("missed");
    let why = missed["why"].as_str().expect("words");
    assert!(why.contains("another memshed"), "{why}");
    drop(session);
    watching.next("look");
    watching.interrupt();
    assert!(watching.next("end")["missed"].as_u64() >= Some(1));
    assert_eq!(watching.status(), Some(0));
}

#[test]
fn a_history_outlives_a_watch() {
    let (Some(one), Some(two)) = (Target::start(), Target::start()) else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("history.jsonl");
    let name = path.display().to_string();
    let watch = |target: &Target| {
        let options = ["--every", "100ms", "--count", "2", "--history", &name];
        let run = run(&[&["inspect"], &options[..], &[&target.pid()]].concat());
        assert_eq!(run.status, Some(0), "{}", run.stderr);
        run.stdout
    };
    assert!(!watch(&one).contains("continues"));
    // What a crash leaves.
    let mut file = std::fs::OpenOptions::new().append(true).open(&path);
    let file = file.as_mut().expect("the history");
    file.write_all(b"{\"schema\":1,\"kin").expect("written");
    let again = watch(&one);
    assert!(again.contains("continues a history of 2 looks"), "{again}");
    assert!(!watch(&two).contains("continues"));
    let text = std::fs::read_to_string(&path).expect("the history");
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let kinds: Vec<&str> = lines
        .iter()
        .filter_map(|line| line["kind"].as_str())
        .collect();
    let wanted = |kind| kinds.iter().filter(|&&one| one == kind).count();
    assert_eq!((wanted("start"), wanted("look"), wanted("end")), (2, 6, 3));
    run(&[
        "inspect",
        "--every",
        "1s",
        "--history",
        "/proc/nowhere/x",
        &one.pid(),
    ])
    .assert_could_not("cannot open the history", "choose a file");
    let cargo = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    run(&["inspect", "--every", "1s", "--history", cargo, &one.pid()])
        .assert_could_not("is not a history", "choose another name");
}

#[test]
fn a_full_disk_does_not_end_a_watch() {
    let Some(target) = Target::start() else {
        return;
    };
    let options = ["--every", "100ms", "--count", "3", "--history", "/dev/full"];
    let run = run(&[&["inspect"], &options[..], &[&target.pid()]].concat());
    assert_eq!(run.status, Some(2), "{}", run.stderr);
    assert!(run.stdout.contains("3 looks in"), "{}", run.stdout);
    assert_eq!(
        run.stderr.matches("No space left").count(),
        1,
        "{}",
        run.stderr
    );
}

#[test]
fn a_command_is_watched_until_it_ends_or_the_time_is_over() {
    let (Some(_), Some(python)) = (Target::start(), python()) else {
        return;
    };
    let mut command = memshed(&["inspect", "--every", "200ms", "--", &python]);
    command.args(["-c", "import time; time.sleep(1.5)"]);
    let whole = finish(command.output().expect("memshed runs"));
    assert_eq!(whole.status, Some(0), "{}", whole.stderr);
    assert!(
        whole.stdout.contains("The program has ended."),
        "{}",
        whole.stdout
    );
    let mut command = memshed(&[
        "inspect", "--every", "200ms", "--for", "500ms", "--", &python,
    ]);
    command.args(["-c", "import time; time.sleep(600)"]);
    let part = finish(command.output().expect("memshed runs"));
    assert_eq!(part.status, Some(0), "{}", part.stderr);
    assert!(part.stdout.contains("The time is over."), "{}", part.stdout);
}

#[test]
fn what_cannot_be_watched_is_told() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("shop.memshed");
    write_snapshot(&path);
    let name = path.display().to_string();
    run(&["inspect", "--every", "1s", &name]).assert_could_not("is a snapshot", "process id");
    run(&["inspect", "--for", "1s", &name]).assert_could_not("--for says when", "--every");
    let own = std::process::id().to_string();
    run(&["inspect", "--every", "1ms", &own]).assert_could_not("too short", "100ms");
    run(&["inspect", "--every", "1s", &own]).assert_could_not("is not Python", "child");
}
