//! Row "bad-input" of `release`: a report or a clear refusal, never a panic, and the target
//! unharmed.

use super::ask::{self, ANSWER};
use crate::accept::answers::{LIMIT, either, refused, run};
use crate::accept::bad_input::each_unsupported;
use crate::accept::child::{self, Target};
use crate::accept::ground::Ground;
use crate::accept::refused::stand_in;
use crate::accept::table::Finding;
use anyhow::{Context, Result, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::os::unix::process::CommandExt;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const TARGET: &str = "a report, or a reason and a hint with status 2; the target unharmed";
const NOBODY: u32 = 65_534;

/// Measures every kind of bad input.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    type Case = (&'static str, fn(&Ground) -> Result<String>);
    let cases: [Case; 12] = [
        ("target gone half-way", gone_half_way),
        ("no such pid", no_such_pid),
        ("not Python", not_python),
        ("unsupported builds", unsupported),
        ("free-threaded", free_threaded),
        ("in namespaces of its own", namespaces),
        ("a snapshot", snapshot),
        ("no permission", no_permission),
        ("another memshed looks at it", busy),
        ("stopped by a signal", stopped),
        ("under seccomp", seccomp),
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

fn memshed(ground: &Ground, pid: i32) -> Result<Output> {
    run(Command::new(&ground.memshed).args(["release", &pid.to_string()]))
}

fn target(ground: &Ground) -> Result<Target> {
    let size = ground.count("1000000", "200000");
    let target = ask::start(
        ground,
        ground.one_python(),
        "release_busy.py",
        &["idle", size],
    )?;
    target.expect("ready", ANSWER)?;
    Ok(target)
}

fn gone_half_way(ground: &Ground) -> Result<String> {
    let mut told = Vec::new();
    for after in ground.count(vec![5, 20, 50, 100, 150, 200, 300], vec![20, 100]) {
        let target = target(ground)?;
        let mut running = Command::new(&ground.memshed)
            .args(["release", &target.pid().to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(after));
        drop(target);
        child::wait(&mut running, LIMIT)?;
        told.push(either(&running.wait_with_output()?)?);
    }
    told.sort();
    told.dedup_by_key(|said| said.split(' ').next().map(str::to_owned));
    Ok(told.join("; "))
}

fn no_such_pid(ground: &Ground) -> Result<String> {
    refused(&memshed(ground, i32::MAX - 7)?)
}

fn not_python(ground: &Ground) -> Result<String> {
    let mut sleeper = Command::new("sleep").arg("100").spawn()?;
    let output = memshed(ground, sleeper.id() as i32);
    sleeper.kill()?;
    sleeper.wait()?;
    refused(&output?)
}

fn unsupported(ground: &Ground) -> Result<String> {
    each_unsupported(|pid| refused(&memshed(ground, pid)?))
}

fn free_threaded(ground: &Ground) -> Result<String> {
    let mut command = stand_in(ground, "python3.14t", "0x030e08f0", 1)?;
    let mut target = Target::start(&mut command)?;
    target.expect("ready", ANSWER)?;
    let said = refused(&memshed(ground, target.pid())?)?;
    ensure!(target.alive(), "it died of it");
    ensure!(said.contains("free-threaded build"), "{said}");
    Ok(said)
}

/// As in a container: only root can make one by hand.
fn namespaces(ground: &Ground) -> Result<String> {
    let mut target = Target::start(
        Command::new("unshare")
            .args(["--pid", "--mount", "--uts", "--ipc", "--net", "--cgroup"])
            .args(["--fork", "--kill-child", "--mount-proc"])
            .arg(&ground.one_python().path)
            .arg(ground.program("release_busy.py"))
            .args(["idle", ground.count("1000000", "200000")]),
    )?;
    target.expect("ready", ANSWER)?;
    let unshare = target.pid();
    let children = format!("/proc/{unshare}/task/{unshare}/children");
    let children = std::fs::read_to_string(children)?;
    let inner = children.split_whitespace().next().context("no child")?;
    let said = either(&memshed(ground, inner.parse()?)?)?;
    ask::whole(&mut target)?;
    Ok(said)
}

fn snapshot(ground: &Ground) -> Result<String> {
    let into = ground.scratch("snapshot")?.join("snapshot");
    crate::accept::look::snapshot(ground, target(ground)?.pid(), &into)?;
    refused(&run(Command::new(&ground.memshed)
        .arg("release")
        .arg(&into))?)
}

/// A user who may not: only root can try that.
fn no_permission(ground: &Ground) -> Result<String> {
    ensure!(
        nix::unistd::geteuid().is_root(),
        "needs root, to become another user"
    );
    let mut target = target(ground)?;
    // The command may lie where another user cannot go.
    let copy = std::env::temp_dir().join(format!("memshed-release-{}", std::process::id()));
    std::fs::copy(&ground.memshed, &copy)?;
    let output = run(Command::new(&copy)
        .args(["release", &target.pid().to_string()])
        .uid(NOBODY)
        .gid(NOBODY));
    std::fs::remove_file(&copy)?;
    let said = refused(&output?)?;
    ask::whole(&mut target)?;
    Ok(said)
}

/// Another memshed holds it: a watch that looks again and again.
fn busy(ground: &Ground) -> Result<String> {
    let mut target = target(ground)?;
    let pid = target.pid().to_string();
    let mut others: Vec<_> = (0..4)
        .map(|_| {
            Command::new(&ground.memshed)
                .args(["release", &pid, "--hard"])
                .stdin(Stdio::null())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
        })
        .collect::<Result<_, _>>()?;
    let mut told = Vec::new();
    for mut other in others.drain(..) {
        child::wait(&mut other, LIMIT)?;
        told.push(either(&other.wait_with_output()?)?);
    }
    ask::whole(&mut target)?;
    told.sort();
    told.dedup_by_key(|said| said.split(' ').next().map(str::to_owned));
    Ok(told.join("; "))
}

/// Stopped by SIGSTOP: it must be stopped afterwards, too, and go on with SIGCONT.
fn stopped(ground: &Ground) -> Result<String> {
    let mut target = target(ground)?;
    let pid = Pid::from_raw(target.pid());
    kill(pid, Signal::SIGSTOP)?;
    let state = || -> Result<String> {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find(|line| line.starts_with("State:"));
        Ok(line.context("no state")?.to_owned())
    };
    while !state()?.contains('T') {
        std::thread::yield_now();
    }
    let said = either(&memshed(ground, target.pid())?)?;
    let after = state()?;
    ensure!(after.contains('T'), "it is not stopped any more: {after}");
    kill(pid, Signal::SIGCONT)?;
    ask::whole(&mut target)?;
    Ok(format!("{said}; left stopped"))
}

/// Under a filter that kills for every call that an idle program does not make.
fn seccomp(ground: &Ground) -> Result<String> {
    let code = "import ctypes, sys\n\
        kept = [[i] for i in range(300000)][::500]\n\
        print('ready', flush=True)\n\
        libc = ctypes.CDLL(None, use_errno=True)\n\
        class Filter(ctypes.Structure):\n    _fields_ = [('code', ctypes.c_uint16), ('jt', ctypes.c_uint8), ('jf', ctypes.c_uint8), ('k', ctypes.c_uint32)]\n\
        class Program(ctypes.Structure):\n    _fields_ = [('len', ctypes.c_uint16), ('filter', ctypes.POINTER(Filter))]\n\
        deny = (28, 440, 434, 9, 10, 11, 56)\n\
        rules = [Filter(0x20, 0, 0, 0)]\n\
        rules += [Filter(0x15, len(deny) - i, 0, number) for i, number in enumerate(deny)]\n\
        rules += [Filter(6, 0, 0, 0x7fff0000), Filter(6, 0, 0, 0x80000000)]\n\
        rules = (Filter * len(rules))(*rules)\n\
        program = Program(len(rules), rules)\n\
        assert libc.prctl(38, 1, 0, 0, 0) == 0\n\
        assert libc.prctl(22, 2, ctypes.byref(program), 0, 0) == 0\n\
        print('filtered', flush=True)\n\
        sys.stdin.readline()\n\
        print('ended', len(kept), flush=True)\n";
    let mut command = Command::new(&ground.one_python().path);
    let mut target = Target::start(command.args(["-c", code]))?;
    target.expect("filtered", ANSWER)?;
    let said = either(&memshed(ground, target.pid())?)?;
    let end = target.ask("go", "ended", ANSWER)?;
    ensure!(end == "600", "it has {end}");
    Ok(said)
}

fn interrupted(ground: &Ground) -> Result<String> {
    let mut target = target(ground)?;
    let mut told = Vec::new();
    for after in [5, 30, 60, 100, 150, 200] {
        let mut running = Command::new(&ground.memshed)
            .args(["release", &target.pid().to_string(), "--hard"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(after));
        kill(Pid::from_raw(running.id() as i32), Signal::SIGINT)?;
        let status = child::wait(&mut running, LIMIT)?;
        told.push(status.code().unwrap_or(-1));
        ask::release(ground, target.pid(), &["--undo"])?;
        ask::whole(&mut target)?;
    }
    let check = ask::check(target.pid())?;
    ensure!(check.count == 0, "{:?}", check.violations);
    ensure!(
        told.iter().all(|status| matches!(status, 0 | 130)),
        "statuses {told:?}"
    );
    Ok(format!(
        "ended with statuses {told:?}; unharmed, released again"
    ))
}
