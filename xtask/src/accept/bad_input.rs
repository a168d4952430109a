//! Bad input: a clear error with a hint, status 2, nothing left behind.

use super::answers::{refusal, run};
use super::child::{self, Target};
use super::ground::Ground;
use super::look;
use super::table::Finding;
use crate::interpreters;
use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const TARGET: &str = "clear error with a hint, status 2, nothing left behind";

/// Measures every kind of bad input.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    type Case = (&'static str, fn(&Ground) -> Result<String>);
    let cases: [Case; 10] = [
        ("no such pid", no_such_pid),
        ("not Python", not_python),
        ("exits half-way", exits_half_way),
        ("no permission", no_permission),
        ("unsupported builds", unsupported),
        ("garbled snapshot", garbled),
        ("no snapshot", no_snapshot),
        ("full disk", full_disk),
        ("output exists", output_exists),
        ("a second memshed", already_traced),
    ];
    Ok(cases
        .into_iter()
        .map(|(name, case)| match case(ground) {
            Ok(said) => Finding::new("bad-input", name, TARGET, said, true),
            Err(why) if why.is::<Unmeasurable>() => {
                Finding::not_measured("bad-input", name, TARGET, format!("{why:#}"))
            }
            Err(why) => Finding::new("bad-input", name, TARGET, format!("{why:#}"), false),
        })
        .collect())
}

/// This machine does not allow the case to be made.
#[derive(Debug)]
struct Unmeasurable(&'static str);

impl std::fmt::Display for Unmeasurable {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for Unmeasurable {}

fn memshed(ground: &Ground, args: &[&str]) -> Result<Output> {
    run(Command::new(&ground.memshed).args(args))
}

/// `inspect PID -o` is refused, and leaves the directory of its output empty.
pub fn refuses_pid(ground: &Ground, pid: i32) -> Result<String> {
    let dir = ground.scratch("bad")?;
    let out = dir.join("out.json");
    let said = refusal(&memshed(
        ground,
        &[
            "inspect",
            &pid.to_string(),
            "--format",
            "json",
            "-o",
            text(&out)?,
        ],
    )?)?;
    nothing_in(&dir)?;
    Ok(said)
}

fn nothing_in(dir: &Path) -> Result<()> {
    let left: Vec<_> = std::fs::read_dir(dir)?
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    ensure!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("an odd path")
}

fn sleeper(ground: &Ground) -> Result<Target> {
    let python = ground.one_python();
    let mut command = Command::new(&python.path);
    command.args([
        "-c",
        "import sys; print('ready', flush=True); sys.stdin.read()",
    ]);
    let target = Target::start(&mut command)?;
    target.expect("ready", Duration::from_secs(20))?;
    Ok(target)
}

fn no_such_pid(ground: &Ground) -> Result<String> {
    let mut gone = Command::new("true").spawn()?;
    gone.wait()?;
    refuses_pid(ground, gone.id() as i32)
}

fn not_python(ground: &Ground) -> Result<String> {
    let mut other = Command::new("sleep").arg("60").spawn()?;
    let said = refuses_pid(ground, other.id() as i32);
    let _ = other.kill();
    other.wait()?;
    said
}

/// The target is killed at various moments of a look: either the look was done, or it says why not.
fn exits_half_way(ground: &Ground) -> Result<String> {
    let mut refusals = 0;
    let (mut last, times) = (String::new(), ground.count(30, 8));
    for n in 0..times {
        let workloads = ground.root.join("benches/workloads");
        let target = Target::python(
            &ground.one_python().path,
            &ground.program("hold_heap.py"),
            &[text(&workloads)?, "200000"],
        )?;
        target.expect("ready", Duration::from_secs(30))?;
        let dir = ground.scratch("half")?;
        let mut looking = Command::new(&ground.memshed)
            .args([
                "inspect",
                &target.pid().to_string(),
                "--format",
                "json",
                "-o",
                text(&dir.join("out.json"))?,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        std::thread::sleep(Duration::from_millis(2 * n));
        drop(target); // SIGKILL
        if child::wait(&mut looking, Duration::from_secs(30))?.code() == Some(0) {
            continue;
        }
        last = refusal(&looking.wait_with_output()?)?;
        refusals += 1;
        nothing_in(&dir)?;
    }
    ensure!(refusals > 0, "no look was cut short in {times}");
    Ok(format!("{refusals} of {times} looks cut short; {last}"))
}

/// As an unprivileged user, at a process of root's.
fn no_permission(ground: &Ground) -> Result<String> {
    if !nix::unistd::geteuid().is_root() {
        return Err(Unmeasurable("needs root, to become another user").into());
    }
    let target = sleeper(ground)?;
    let dir = ground.scratch("unprivileged")?;
    // Directories above the binary may be closed to others.
    let copy = std::env::temp_dir().join(format!("memshed-unprivileged-{}", std::process::id()));
    std::fs::copy(&ground.memshed, &copy)?;
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&copy)
        .args(["inspect", &target.pid().to_string()])
        .current_dir("/")
        .output();
    let _ = std::fs::remove_file(&copy);
    let said = refusal(&output.context("running setpriv")?)?;
    nothing_in(&dir)?;
    Ok(said)
}

fn unsupported(ground: &Ground) -> Result<String> {
    each_unsupported(|pid| refuses_pid(ground, pid))
}

/// What is said of each interpreter on this machine that memshed does not cover, such as 3.8.
pub fn each_unsupported(refuses: impl Fn(i32) -> Result<String>) -> Result<String> {
    let others = interpreters::unsupported();
    if others.is_empty() {
        return Err(Unmeasurable("no unsupported interpreter on this machine").into());
    }
    let mut told = Vec::new();
    for python in others {
        let mut command = Command::new(&python.path);
        command.args([
            "-c",
            "import sys; sys.stdout.write('ready\\n'); sys.stdout.flush(); sys.stdin.read()",
        ]);
        let mut target = Target::start(&mut command)?;
        target.expect("ready", Duration::from_secs(20))?;
        let said = refuses(target.pid()).with_context(|| python.label())?;
        ensure!(target.alive(), "{} died of it", python.label());
        told.push(format!(
            "{}: {}",
            python.version,
            said.lines().next().unwrap_or_default()
        ));
    }
    Ok(told.join("; "))
}

fn snapshot_of_something(ground: &Ground) -> Result<PathBuf> {
    let target = sleeper(ground)?;
    let into = ground.scratch("whole")?.join("snapshot");
    look::snapshot(ground, target.pid(), &into)?;
    Ok(into)
}

/// Each file of a snapshot in turn cut short, overwritten or removed.
fn garbled(ground: &Ground) -> Result<String> {
    let whole = snapshot_of_something(ground)?;
    let fine = memshed(ground, &["inspect", text(&whole)?])?;
    ensure!(
        fine.status.success(),
        "the whole snapshot is refused: {}",
        String::from_utf8_lossy(&fine.stderr).trim()
    );
    let (mut tried, mut last) = (0, String::new());
    let files: Vec<_> = std::fs::read_dir(&whole)?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    for file in &files {
        let bytes = std::fs::read(file)?;
        let mut flipped = bytes.clone();
        let middle = flipped.len() / 2;
        if let Some(byte) = flipped.get_mut(middle) {
            *byte ^= 0xff;
        }
        for (what, garbage) in [
            ("cut short", &bytes[..middle]),
            ("altered", &flipped),
            ("empty", &[]),
        ] {
            std::fs::write(file, garbage)?;
            let output = memshed(ground, &["inspect", text(&whole)?])?;
            // A report does not read the edges; that they are of the wrong length it can tell.
            if file.ends_with("edges.parquet") && what == "altered" && output.status.success() {
                continue;
            }
            last = refusal(&output).with_context(|| format!("{} {what}", file.display()))?;
            tried += 1;
        }
        std::fs::remove_file(file)?;
        let output = memshed(ground, &["inspect", text(&whole)?])?;
        // The table of edges may be absent: a snapshot without edges is one.
        if !output.status.success() {
            last = refusal(&output).with_context(|| format!("{} removed", file.display()))?;
        }
        tried += 1;
        std::fs::write(file, bytes)?;
    }
    Ok(format!("{tried} kinds of damage; {last}"))
}

fn no_snapshot(ground: &Ground) -> Result<String> {
    let empty = ground.scratch("empty")?;
    let first = refusal(&memshed(ground, &["inspect", text(&empty)?])?)?;
    let absent = empty.join("absent");
    refusal(&memshed(ground, &["inspect", text(&absent)?])?)?;
    Ok(first)
}

/// A snapshot and a report onto a file system without a free page.
fn full_disk(ground: &Ground) -> Result<String> {
    let dir = ground.scratch("full")?;
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16k", "none"])
        .arg(&dir)
        .output()?;
    if !mounted.status.success() {
        return Err(Unmeasurable("may not mount a small tmpfs").into());
    }
    // Fails when the disk is full, which is what it is for.
    let _ = std::fs::write(dir.join("filler"), vec![1; 64 << 10]);
    let only_filler = || -> Result<()> {
        let left: Vec<_> = std::fs::read_dir(&dir)?
            .flatten()
            .map(|entry| entry.file_name())
            .collect();
        ensure!(left == ["filler"], "left behind: {left:?}");
        Ok(())
    };
    let result = (|| {
        let target = sleeper(ground)?;
        let pid = target.pid().to_string();
        let said = refusal(&memshed(
            ground,
            &["snapshot", &pid, "-o", text(&dir.join("snapshot"))?],
        )?)?;
        only_filler()?;
        refusal(&memshed(
            ground,
            &[
                "inspect",
                &pid,
                "--format",
                "json",
                "-o",
                text(&dir.join("out.json"))?,
            ],
        )?)
        .context("inspect -o")?;
        only_filler().context("inspect -o")?;
        Ok(said)
    })();
    let _ = Command::new("umount").arg(&dir).output();
    result
}

/// Neither a file nor another directory is taken for a snapshot to be replaced.
fn output_exists(ground: &Ground) -> Result<String> {
    let dir = ground.scratch("exists")?;
    let precious = dir.join("precious");
    std::fs::create_dir(&precious)?;
    std::fs::write(precious.join("work.txt"), "mine")?;
    let target = sleeper(ground)?;
    let output = memshed(
        ground,
        &[
            "snapshot",
            &target.pid().to_string(),
            "-o",
            text(&precious)?,
        ],
    )?;
    let said = refusal(&output)?;
    ensure!(
        std::fs::read_to_string(precious.join("work.txt"))? == "mine",
        "overwritten"
    );
    Ok(said)
}

/// While one memshed looks, a second one on the same pid is refused or looks by pausing later; no
/// look may fail with anything but a clear refusal.
fn already_traced(ground: &Ground) -> Result<String> {
    let workloads = ground.root.join("benches/workloads");
    let mut target = Target::python(
        &ground.one_python().path,
        &ground.program("hold_heap.py"),
        &[text(&workloads)?, "400000"],
    )?;
    target.expect("ready", Duration::from_secs(60))?;
    let pid = target.pid().to_string();
    let (mut refusals, mut fine, mut last) = (0, 0, String::new());
    for _ in 0..ground.count(10, 3) {
        let looks: Vec<_> = (0..3)
            .map(|_| {
                Command::new(&ground.memshed)
                    .args(["inspect", &pid, "--format", "json", "-o", "/dev/null"])
                    .stdin(Stdio::null())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
            })
            .collect::<std::io::Result<_>>()?;
        for mut look in looks {
            child::wait(&mut look, Duration::from_secs(60))?;
            let output = look.wait_with_output()?;
            if output.status.success() {
                fine += 1;
            } else {
                last = refusal(&output)?;
                refusals += 1;
            }
        }
    }
    ensure!(target.alive(), "the target died");
    if fine == 0 {
        bail!("of memsheds at the same time, none looked: {last}");
    }
    Ok(format!("{fine} looked, {refusals} were refused; {last}"))
}
