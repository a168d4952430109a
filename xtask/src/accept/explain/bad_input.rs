//! Row "bad-input" of `leaks`, `why` and `diff`: a report or a clear refusal, never a panic, and
//! nothing left running.

use crate::accept::answers::{either, first_line, refused, reported, run, said};
use crate::accept::child::{self, Target};
use crate::accept::ground::Ground;
use crate::accept::look;
use crate::accept::table::Finding;
use anyhow::{Context, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const TARGET: &str = "a report, or a reason and a hint with status 2; never a panic";
/// A program that keeps more and more.
const GROWS: &str = "import time\nkept = []\nprint('ready', flush=True)\nwhile True:\n    kept.append([bytearray(2000)])\n    time.sleep(0.001)\n";
/// One that does nothing.
const RESTS: &str = "import sys\nprint('ready', flush=True)\nsys.stdin.read()\n";

/// Measures every kind of bad input.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    type Case = (&'static str, fn(&Ground) -> Result<String>);
    let cases: [Case; 15] = [
        ("target gone half-way", gone_half_way),
        ("no such pid", no_such_pid),
        ("not Python", not_python),
        ("no permission", no_permission),
        ("torn heap", torn),
        ("one snapshot only", one_snapshot),
        ("snapshots of different programs", different),
        ("garbled snapshot", garbled),
        ("--for 0", for_no_time),
        ("a command that ends at once", ends_at_once),
        ("a command that fails at once", fails_at_once),
        ("a command that cannot be started", cannot_start),
        ("why of what is not there", why_nothing),
        ("--fail-on", fail_on),
        ("interrupted", interrupted),
    ];
    Ok(cases
        .into_iter()
        .map(|(name, case)| match case(ground) {
            Ok(said) => Finding::new("bad-input", name, TARGET, said, true),
            Err(why) => Finding::new("bad-input", name, TARGET, format!("{why:#}"), false),
        })
        .collect())
}

/// Runs memshed to its end.
fn memshed(ground: &Ground, args: &[&str]) -> Result<Output> {
    let mut command = Command::new(&ground.memshed);
    run(command.args(args)).with_context(|| format!("memshed {}", args.join(" ")))
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("an odd path")
}

fn python(ground: &Ground, code: &str) -> Result<Target> {
    let mut command = Command::new(&ground.one_python().path);
    let target = Target::start(command.args(["-c", code]))?;
    target.expect("ready", Duration::from_secs(20))?;
    Ok(target)
}

fn snapshot(ground: &Ground, code: &str) -> Result<PathBuf> {
    let into = ground.scratch("snapshot")?.join("snapshot");
    look::snapshot(ground, python(ground, code)?.pid(), &into)?;
    Ok(into)
}

/// Killed at several moments of a run of six seconds.
fn gone_half_way(ground: &Ground) -> Result<String> {
    let mut told = Vec::new();
    for after in ground.count(vec![50, 300, 1000, 2500, 5000], vec![300, 2500]) {
        let target = python(ground, GROWS)?;
        let mut looking = Command::new(&ground.memshed)
            .args(["leaks", &target.pid().to_string(), "--for", "6"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(after));
        drop(target);
        child::wait(&mut looking, Duration::from_secs(30))?;
        let output = looking.wait_with_output()?;
        told.push(either(&output).with_context(|| format!("killed after {after} ms"))?);
    }
    told.dedup();
    Ok(told.join(" | "))
}

fn no_such_pid(ground: &Ground) -> Result<String> {
    let mut gone = Command::new("true").spawn()?;
    gone.wait()?;
    let pid = gone.id().to_string();
    refused(&memshed(ground, &["why", &pid, "list"])?).context("why")?;
    refused(&memshed(ground, &["leaks", &pid, "--for", "1"])?)
}

fn not_python(ground: &Ground) -> Result<String> {
    let mut other = Command::new("sleep").arg("60").spawn()?;
    let pid = other.id().to_string();
    let leaks = memshed(ground, &["leaks", &pid, "--for", "1"]);
    let why = memshed(ground, &["why", &pid, "list"]);
    let _ = other.kill();
    other.wait()?;
    refused(&why?).context("why")?;
    refused(&leaks?)
}

/// As an unprivileged user, at a process of root's.
fn no_permission(ground: &Ground) -> Result<String> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "needs root, to become another user"
    );
    let target = python(ground, RESTS)?;
    // Directories above the binary may be closed to others.
    let copy = std::env::temp_dir().join(format!("memshed-as-nobody-{}", std::process::id()));
    std::fs::copy(&ground.memshed, &copy)?;
    let output = run(Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["leaks", &target.pid().to_string(), "--for", "2"])
        .current_dir("/"));
    let _ = std::fs::remove_file(&copy);
    refused(&output.context("running setpriv")?)
}

/// On every interpreter, as a process and as a snapshot.
fn torn(ground: &Ground) -> Result<String> {
    let mut last = String::new();
    for python in &ground.pythons {
        let target = Target::python(&python.path, &ground.program("torn.py"), &[])?;
        target.expect("ready", Duration::from_secs(60))?;
        let pid = target.pid().to_string();
        let directory = ground.scratch("torn")?;
        let (into, later) = (directory.join("snapshot"), directory.join("later"));
        look::snapshot(ground, target.pid(), &into)?;
        look::snapshot(ground, target.pid(), &later)?;
        for args in [
            &["leaks", &pid, "--for", "3"][..],
            &["leaks", text(&into)?],
            &["leaks", text(&into)?, text(&later)?],
            &["why", text(&into)?, "__main__.Plain"],
            &["why", text(&into)?, "__main__.kept"],
            &["why", text(&into)?, "list"],
            &["diff", text(&into)?, text(&later)?],
        ] {
            let output = memshed(ground, args)?;
            let on_what = || format!("memshed {} on {}", args[0], python.label());
            let told = reported(&output).with_context(on_what)?;
            if args[0] == "leaks" {
                last = told;
            }
        }
    }
    Ok(format!("{} interpreters; {last}", ground.pythons.len()))
}

fn one_snapshot(ground: &Ground) -> Result<String> {
    let one = snapshot(ground, GROWS)?;
    let lacking = memshed(ground, &["diff", text(&one)?])?;
    ensure!(
        lacking.status.code() == Some(2),
        "diff: {}",
        said(&lacking)?
    );
    said(&lacking).context("diff")?;
    reported(&memshed(ground, &["leaks", text(&one)?])?)
}

fn different(ground: &Ground) -> Result<String> {
    let (one, other) = (snapshot(ground, GROWS)?, snapshot(ground, RESTS)?);
    let mut told = Vec::new();
    for verb in ["leaks", "diff"] {
        let output = memshed(ground, &[verb, text(&one)?, text(&other)?])?;
        told.push(either(&output).context(verb)?);
        let words = said(&output)?.to_lowercase();
        let says_so = ["different", "another process", "another program"];
        ensure!(
            says_so.iter().any(|word| words.contains(word)),
            "{verb} does not say that the programs are different ones: {words}"
        );
    }
    Ok(told.join(" | "))
}

/// The file of edges cut short, altered and removed.
fn garbled(ground: &Ground) -> Result<String> {
    let whole = snapshot(ground, GROWS)?;
    let file = whole.join("edges.parquet");
    let bytes = std::fs::read(&file)?;
    let mut told = Vec::new();
    for (what, garbage) in [
        ("cut short", Some(bytes[..bytes.len() / 2].to_vec())),
        (
            "altered",
            Some(bytes.iter().map(|byte| byte ^ 0x55).collect()),
        ),
        ("removed", None),
    ] {
        match garbage {
            Some(garbage) => std::fs::write(&file, garbage)?,
            None => std::fs::remove_file(&file)?,
        }
        for args in [
            &["leaks", text(&whole)?][..],
            &["why", text(&whole)?, "list"],
        ] {
            let output = memshed(ground, args)?;
            let said = either(&output).with_context(|| format!("{} with edges {what}", args[0]))?;
            told.push(format!("{} {what}: {said}", args[0]));
        }
    }
    Ok(told.join(" | "))
}

fn for_no_time(ground: &Ground) -> Result<String> {
    let target = python(ground, GROWS)?;
    let pid = target.pid().to_string();
    for seconds in ["-1", "soon", "1e30"] {
        let output = memshed(ground, &["leaks", &pid, &format!("--for={seconds}")])?;
        said(&output)?;
        ensure!(
            output.status.code() == Some(2),
            "--for={seconds}: {}",
            output.status
        );
    }
    either(&memshed(ground, &["leaks", &pid, "--for", "0"])?)
}

/// `leaks --for 5 -- python -c CODE`.
fn leaks_of_command(ground: &Ground, code: &str) -> Result<Output> {
    let python = text(&ground.one_python().path)?;
    memshed(ground, &["leaks", "--for", "5", "--", python, "-c", code])
}

fn ends_at_once(ground: &Ground) -> Result<String> {
    let began = Instant::now();
    let told = either(&leaks_of_command(ground, "pass")?)?;
    ensure!(
        began.elapsed() < Duration::from_secs(5),
        "waited although the command had ended"
    );
    // In the midst of things.
    let later = "import time; kept = [[n] for n in range(100000)]; time.sleep(2)";
    let later = either(&leaks_of_command(ground, later)?).context("ends after 2 s")?;
    Ok(format!("{told} | {later}"))
}

fn fails_at_once(ground: &Ground) -> Result<String> {
    either(&leaks_of_command(ground, "raise SystemExit(3)")?)?;
    either(&leaks_of_command(
        ground,
        "import os; os.kill(os.getpid(), 9)",
    )?)
}

fn cannot_start(ground: &Ground) -> Result<String> {
    let mut told = Vec::new();
    for command in [
        "/nowhere/python",
        "no-such-program",
        "/etc/hostname",
        "/tmp",
    ] {
        let output = memshed(ground, &["leaks", "--for", "2", "--", command])?;
        told.push(refused(&output).with_context(|| command.to_owned())?);
    }
    Ok(told.join(" | "))
}

fn why_nothing(ground: &Ground) -> Result<String> {
    let one = snapshot(ground, GROWS)?;
    let mut told = Vec::new();
    for what in [
        "NoSuchType",
        "no.such.module",
        "0x10",
        "__main__.absent",
        "",
        "0xfffffffffffffffffff",
    ] {
        let output = memshed(ground, &["why", text(&one)?, what])?;
        told.push(refused(&output).with_context(|| format!("why {what:?}"))?);
    }
    told.truncate(2);
    Ok(told.join(" | "))
}

/// Status 1 if there is a finding of that kind, 0 if there is none, 2 if there is no such kind.
fn fail_on(ground: &Ground) -> Result<String> {
    let status = |code: &str, kinds: &str| -> Result<Option<i32>> {
        let target = python(ground, code)?;
        let pid = target.pid().to_string();
        let output = memshed(ground, &["leaks", &pid, "--for", "5", "--fail-on", kinds])?;
        said(&output)?;
        Ok(output.status.code())
    };
    let statuses = [
        status(GROWS, "growth,cycle")?,
        status(GROWS, "cycle")?,
        status(RESTS, "growth")?,
        status(RESTS, "nonsense")?,
    ];
    ensure!(
        statuses == [Some(1), Some(0), Some(0), Some(2)],
        "statuses {statuses:?}, not 1, 0, 0, 2"
    );
    Ok(format!("statuses {statuses:?}"))
}

/// Ctrl-C half-way: it ends soon, the target goes on, and a command that it started does not.
fn interrupted(ground: &Ground) -> Result<String> {
    let mut target = python(ground, GROWS)?;
    let pid = target.pid().to_string();
    let attached = interrupt(ground, &["leaks", &pid, "--for", "60"])?;
    ensure!(target.alive(), "the target died");
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let state = stat.rsplit_once(") ").map_or("", |(_, rest)| &rest[..1]);
    ensure!(
        matches!(state, "S" | "R"),
        "the target was left in state {state}"
    );

    let directory = ground.scratch("interrupted")?;
    let own = directory.join("pid");
    let code = format!(
        "import os\nopen({:?}, 'w').write(str(os.getpid()))\n{GROWS}",
        text(&own)?
    );
    let python = text(&ground.one_python().path)?;
    let launched = interrupt(ground, &["leaks", "--for", "60", "--", python, "-c", &code])?;
    let started: i32 = std::fs::read_to_string(&own)?.parse()?;
    let gone = Instant::now() + Duration::from_secs(5);
    while is_running(started) {
        if Instant::now() > gone {
            let _ = kill(Pid::from_raw(started), Signal::SIGKILL);
            bail!("the command was left running");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(format!("attached: {attached}; launched: {launched}"))
}

/// Whether there is such a process, and it has not ended; its parent need not have noticed.
fn is_running(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat
        .rsplit_once(") ")
        .and_then(|(_, rest)| rest.chars().next());
    state.is_some_and(|state| state != 'Z')
}

fn interrupt(ground: &Ground, args: &[&str]) -> Result<String> {
    let mut looking = Command::new(&ground.memshed)
        .args(args)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    std::thread::sleep(Duration::from_secs(3));
    kill(Pid::from_raw(looking.id() as i32), Signal::SIGINT)?;
    let status = child::wait(&mut looking, Duration::from_secs(15))?;
    let output = looking.wait_with_output()?;
    let words = said(&output)?;
    Ok(format!("{status}, {:?}", first_line(&words)))
}
