//! `memshed tune`: what is run, under which settings, what is left behind.

use crate::support::{memshed, python, run};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

/// The JSON of a run that went well.
fn tune(options: &[&str], command: &[&str]) -> serde_json::Value {
    let run = run(&[
        &["tune", "--format", "json", "--rounds", "5"],
        options,
        &["--"],
        command,
    ]
    .concat());
    assert_eq!(run.status, Some(0), "{}", run.stderr);
    serde_json::from_str(&run.stdout).expect(&run.stdout)
}

/// The setting of this name.
fn setting<'a>(json: &'a serde_json::Value, name: &str) -> &'a serde_json::Value {
    let all = json["settings"].as_array().expect("settings");
    all.iter()
        .find(|one| one["name"] == name)
        .unwrap_or_else(|| panic!("{name} in {json}"))
}

#[test]
fn what_cannot_be_run_is_said() {
    run(&["tune", "--", "no-command-has-this-name"])
        .assert_could_not("cannot start \"no-command-has-this-name\"", "PATH");
    run(&["tune", "--", "sh", "-c", "echo because >&2; exit 7"]).assert_could_not(
        "exit status 7; at the end it wrote:\n  because",
        "a good end",
    );
    run(&["tune", "--limit", "200ms", "--", "sleep", "60"])
        .assert_could_not("still running after 200.0 ms (--limit)", "--for");
    run(&["tune", "--only", "no-such-setting", "--", "true"])
        .assert_could_not("no setting \"no-such-setting\"", "gc-thresholds");
    run(&["tune", "--only", "malloc", "--skip", "malloc", "--", "true"])
        .assert_could_not("no setting is left", "--list");
    run(&["tune", "--html", "/no/such/folder/x.html", "--", "true"])
        .assert_could_not("cannot write /no/such/folder/x.html", "directory");
    run(&["tune", "--wait-for", "nowhere:x", "--", "true"])
        .assert_could_not("no place to listen on", "port");
    assert_eq!(run(&["tune"]).status, Some(2));
}

#[test]
fn settings_are_listed() {
    let list = run(&["tune", "--list"]);
    assert_eq!(list.status, Some(0), "{}", list.stderr);
    for name in [
        "gc-thresholds",
        "gc-freeze",
        "malloc",
        "jemalloc",
        "mimalloc",
        "arenas",
    ] {
        assert!(list.stdout.contains(name), "{name} in {}", list.stdout);
    }
    let json = run(&["tune", "--list", "--only", "malloc", "--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(json["settings"].as_array().map(Vec::len), Some(1));
}

/// Waits for the collector's work on a large heap; under fewer collections it is far faster.
const COLLECTS: &str = "
kept = [[i] for i in range(150_000)]
for i in range(60):
    new = [[i] for i in range(20_000)]
    if i % 2: kept[i * 100:i * 100 + 2000] = new[:2000]
";

#[test]
fn what_helps_is_found_and_shown() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a directory");
    let (html, png) = (folder.path().join("t.html"), folder.path().join("t.png"));
    // Its own thresholds make the collector as busy as can be; those from outside come first, so
    // that the program may say so only where nobody else has.
    let script = format!(
        "import gc\nif gc.get_threshold()[0] < 50_000: gc.set_threshold(50, 2, 2)\n{COLLECTS}"
    );
    let json = tune(
        &[
            "--only",
            "gc-thresholds",
            "--html",
            html.to_str().expect("UTF-8"),
            "--png",
            png.to_str().expect("UTF-8"),
        ],
        &[&python, "-c", &script],
    );
    let row = setting(&json, "gc-thresholds");
    assert_eq!(json["gain"], "much", "{json:#}");
    assert_eq!(json["recommended"], "gc-thresholds", "{json:#}");
    let cpu = row["changes"].as_array().expect("changes");
    let cpu = cpu
        .iter()
        .find(|change| change["metric"] == "cpu")
        .expect("cpu");
    assert!(cpu["ratio"].as_f64().expect("a number") < 0.8 && cpu["better"] == true);
    assert!(
        json["interpreter"]
            .as_str()
            .expect("a text")
            .starts_with("CPython 3.")
    );
    let html = std::fs::read_to_string(html).expect("a page");
    assert!(html.contains("<svg") && html.contains("gc.set_threshold(100000, 50, 50)"));
    assert!(
        std::fs::read(png)
            .expect("a picture")
            .starts_with(b"\x89PNG")
    );
}

#[test]
fn a_setting_under_which_the_program_fails_is_not_recommended() {
    let Some(python) = python() else { return };
    let script = "import gc, sys\nif gc.get_threshold()[0] == 100_000: sys.exit('no such pace')";
    let json = tune(
        &["--only", "gc-thresholds,arenas"],
        &[&python, "-c", script],
    );
    let row = setting(&json, "gc-thresholds");
    assert_eq!(row["verdict"], "fails");
    assert_eq!(row["why"], "exit status 1");
    assert_eq!(row["stderr"], "no such pace");
    assert_eq!(json["recommended"], serde_json::Value::Null);
    assert_eq!(setting(&json, "arenas")["rounds"], 3);
}

#[test]
fn what_cannot_be_applied_is_said() {
    let Some(python) = python() else { return };
    let json = tune(
        &["--only", "gc-thresholds,arenas"],
        &[&python, "-I", "-c", ""],
    );
    let row = setting(&json, "gc-thresholds");
    assert_eq!(row["verdict"], "not_tried");
    assert!(row["why"].as_str().expect("a reason").contains("-I"));
    assert_eq!(json["interpreter"], serde_json::Value::Null);
    // Too short for a start-up to be over.
    let json = tune(&["--only", "gc-freeze"], &[&python, "-c", ""]);
    assert_eq!(setting(&json, "gc-freeze")["verdict"], "not_tried");
}

#[test]
fn a_program_with_thresholds_of_its_own_is_told_so() {
    let Some(python) = python() else { return };
    let script = "import gc; gc.set_threshold(500)";
    let json = tune(&["--only", "gc-thresholds"], &[&python, "-c", script]);
    let row = setting(&json, "gc-thresholds");
    assert_eq!(row["verdict"], "not_tried");
    assert_eq!(row["why"], "the program sets thresholds of its own");
}

#[test]
fn a_run_that_fails_once_is_repeated() {
    let Some(python) = python() else { return };
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), "0").expect("written");
    let script = "import sys\n\
        runs = int(open(sys.argv[1]).read())\n\
        open(sys.argv[1], 'w').write(str(runs + 1))\n\
        sys.exit(runs == 3)";
    let path = file.path().to_string_lossy();
    let json = tune(&["--only", "arenas"], &[&python, "-c", script, &path]);
    assert_eq!(json["gain"], "none", "{json:#}");
    assert_eq!(setting(&json, "arenas")["verdict"], "no_better");
    let runs = std::fs::read_to_string(file.path()).expect("text");
    assert_eq!(json["rounds"]["runs"].to_string(), runs);
    assert_eq!(runs, "8");
}

#[test]
fn what_a_worker_loads_is_frozen_too() {
    let Some(python) = python() else { return };
    let script = "import gc, os, sys, time\n\
        if os.fork() == 0:\n    \
            kept = [[] for _ in range(200000)]\n    \
            until = time.monotonic() + 2\n    \
            while time.monotonic() < until: [[] for _ in range(20000)]\n    \
            wanted = 'MEMSHED_TUNE_FREEZE' in os.environ\n    \
            os._exit(wanted and gc.get_freeze_count() < 200000)\n\
        sys.exit(os.wait()[1] != 0)";
    let json = tune(&["--only", "gc-freeze"], &[&python, "-c", script]);
    let row = setting(&json, "gc-freeze");
    assert!(row["rounds"].as_u64() >= Some(3), "{row:#}");
}

#[test]
fn a_server_is_asked_once_to_end() {
    let Some(python) = python() else { return };
    let file = tempfile::NamedTempFile::new().expect("a file");
    let script = "import os, signal, sys, time\n\
        out = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)\n\
        asked = []\n\
        def handler(*_): asked.append(os.write(out, b'asked\\n'))\n\
        signal.signal(signal.SIGTERM, handler)\n\
        os.write(out, b'began\\n')\n\
        while not asked: time.sleep(0.01)\n\
        time.sleep(0.2)";
    let path = file.path().to_string_lossy();
    let json = tune(
        &["--only", "arenas", "--for", "2s"],
        &[&python, "-c", script, &path],
    );
    let told = std::fs::read_to_string(file.path()).expect("text");
    let count = |line: &str| told.lines().filter(|told| *told == line).count() as u64;
    assert_eq!(
        Some(count("began")),
        json["rounds"]["runs"].as_u64(),
        "{told}"
    );
    assert_eq!(count("began"), count("asked"), "{told}");
}

#[test]
fn every_interpreter_takes_the_hook_up_and_its_own_sitecustomize_too() {
    let folder = tempfile::tempdir().expect("a directory");
    let own = "import builtins; builtins.own_was_here = True";
    std::fs::write(folder.path().join("sitecustomize.py"), own).expect("written");
    let script = format!(
        "import gc, os, sys, sitecustomize\n\
         assert own_was_here and sitecustomize.__file__.startswith({:?})\n\
         assert not any('memshed' in path for path in sys.path), sys.path\n\
         assert len(gc.callbacks) == 1\n\
         gc.collect()\n\
         if os.fork() == 0: gc.collect(); os._exit(0)\n\
         assert os.wait()[1] == 0\n\
         assert gc.get_freeze_count() > 0 or 'MEMSHED_TUNE_FREEZE' not in os.environ",
        folder.path().display().to_string()
    );
    for python in memshed_testing::supported() {
        let path = python.path.display().to_string();
        let output = memshed(&["tune", "--format", "json", "--rounds", "5"])
            .args(["--only", "gc-freeze", "--", &path, "-c", &script])
            .env("PYTHONPATH", folder.path())
            .output()
            .expect("memshed runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{}: {said}", python.label);
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        let row = setting(&json, "gc-freeze");
        // Frozen before the fork.
        assert_ne!(row["verdict"], "fails", "{}: {row:#}", python.label);
        assert_ne!(row["verdict"], "not_tried", "{}: {row:#}", python.label);
        assert!(row["froze_after"].as_f64().expect("a time") > 0.0);
        let version = format!("CPython 3.{}", python.version.1);
        assert_eq!(json["interpreter"], version.as_str());
    }
}

const SERVER: &str = "
import http.server, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'ok')
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
";

#[test]
fn a_server_is_put_under_load_and_ended() {
    let Some(python) = python() else { return };
    let port = free_port();
    let load = format!(
        "{python} -I -c 'import urllib.request as r\nfor _ in range(20): r.urlopen(\"http://127.0.0.1:{port}/\").read()'"
    );
    let json = tune(
        &["--only", "gc-freeze", "--wait-for", &port, "--load", &load],
        &[&python, "-c", SERVER, &port],
    );
    // Twenty requests may bring no collection at all: then there is nothing to freeze.
    let row = setting(&json, "gc-freeze");
    assert_ne!(row["verdict"], "fails", "{row:#}");
    let metrics = json["as_is"].as_array().expect("figures").iter();
    let names: Vec<_> = metrics.filter_map(|row| row["metric"].as_str()).collect();
    assert_eq!(names, ["cpu", "wall", "peak", "settled", "pause"]);
    // A load that fails is told.
    let options = ["tune", "--wait-for", &port, "--load", "exit 3", "--"];
    run(&[&options[..], &[&python, "-c", SERVER, &port]].concat())
        .assert_could_not("the load failed (exit status 3)", "");
    assert!(std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err());
}

fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener
        .local_addr()
        .expect("an address")
        .port()
        .to_string()
}

#[test]
fn after_a_time_a_program_is_ended_with_all_that_it_started() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a directory");
    let pids = folder.path().join("pids");
    // A child that leaves the session and is left by its parent.
    let script = "import os, sys, time\n\
        if os.fork() == 0:\n    os.setsid()\n\
        \x20   if os.fork() == 0:\n        open(sys.argv[1], 'a').write(f'{os.getpid()}\\n')\n\
        \x20       while True: time.sleep(60)\n    os._exit(0)\n\
        os.wait()\ntime.sleep(60)";
    let path = pids.to_str().expect("UTF-8");
    let json = tune(
        &["--only", "mimalloc-python", "--for", "300ms"],
        &[&python, "-S", "-c", script, path],
    );
    assert!(json["as_is"].as_array().is_some());
    let started = std::fs::read_to_string(pids).expect("written");
    assert!(started.lines().count() >= 1, "{started}");
    for pid in started.lines() {
        assert!(
            !std::path::Path::new("/proc").join(pid).exists(),
            "{pid} still runs"
        );
    }
}

#[test]
fn ctrl_c_ends_everything_and_leaves_no_file() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a directory");
    let pipe = folder.path().join("pipe");
    let made = Command::new("mkfifo")
        .arg(&pipe)
        .status()
        .expect("mkfifo runs");
    assert!(made.success());
    let script = "import os, sys\nprint(os.getpid(), file=open(sys.argv[1], 'w'), flush=True)\n\
        import time; time.sleep(600)";
    let mut child = memshed(&[
        "tune",
        "--",
        &python,
        "-c",
        script,
        pipe.to_str().expect("UTF-8"),
    ])
    .env("TMPDIR", folder.path())
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .expect("memshed runs");
    let mut line = String::new();
    let reader = std::fs::File::open(&pipe).expect("a pipe");
    BufReader::new(reader).read_line(&mut line).expect("a line");
    let own = Pid::from_raw(child.id().cast_signed()).expect("a process id");
    kill_process(own, Signal::INT).expect("memshed runs");
    assert_eq!(child.wait().expect("memshed ends").code(), Some(130));
    let mut said = String::new();
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_to_string(&mut said)
        .expect("text");
    assert_eq!(said, "");
    assert!(!std::path::Path::new("/proc").join(line.trim()).exists());
    let left: Vec<_> = std::fs::read_dir(folder.path())
        .expect("listed")
        .flatten()
        .collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
