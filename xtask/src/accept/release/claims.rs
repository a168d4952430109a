//! The programs of `benches/advise`, and how each piece of advice on them is followed.

use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::load::{Load, failures};
use crate::accept::venv;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result, bail, ensure};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// No program takes longer to get ready.
const READY: Duration = Duration::from_secs(180);
const ANSWER: Duration = Duration::from_secs(60);

/// How a piece of advice is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// The program is started again with these arguments.
    Switch(&'static str),
    /// It is asked to do it while it runs.
    Asking,
    /// `memshed release` does it.
    Release,
}

/// What a claim is measured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Figure {
    /// Resident bytes of the process.
    Resident,
    /// Private bytes of its children in sum.
    PrivateOfChildren,
    /// The collector's share of the processor time.
    Collector,
}

/// Kinds of advice that are followed together.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// The kinds, as words of the JSON.
    pub kinds: &'static [&'static str],
    /// How they are followed.
    pub by: By,
    /// What that is measured by.
    pub figure: Figure,
    /// Whether there has to be such advice.
    pub expected: bool,
}

/// A check of advice that has to be given.
pub const fn check(kinds: &'static [&'static str], by: By, figure: Figure) -> Check {
    Check {
        kinds,
        by,
        figure,
        expected: true,
    }
}

/// A check of advice that may be given.
pub const fn perhaps(kinds: &'static [&'static str], by: By, figure: Figure) -> Check {
    Check {
        kinds,
        by,
        figure,
        expected: false,
    }
}

/// A program.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// What tables call it.
    pub name: &'static str,
    /// Its script, and arguments.
    pub line: &'static [&'static str],
    /// What it needs from the package index.
    pub packages: &'static [&'static str],
    /// Whether it serves requests.
    pub serves: bool,
    /// Seconds that it is left alone before anything is measured.
    pub warm_up: u64,
    /// Seconds that it is watched.
    pub watch: u64,
    /// The checks.
    pub checks: &'static [Check],
}

/// A program at work.
pub struct Running {
    target: Target,
    load: Option<Load>,
}

impl Program {
    fn interpreter(&self, ground: &Ground, python: &Interpreter) -> Result<PathBuf> {
        if self.packages.is_empty() {
            return Ok(python.path.clone());
        }
        let name = self.line[0].trim_end_matches(".py");
        venv::python(ground, python, &format!("advise_{name}"), self.packages)
    }

    /// Starts it, with a switch or without ("").
    pub fn start(&self, ground: &Ground, python: &Interpreter, switch: &str) -> Result<Running> {
        let interpreter = self.interpreter(ground, python)?;
        let mut command = Command::new(interpreter);
        let directory = ground.root.join("benches/advise");
        command.arg("-B").arg(directory.join(self.line[0]));
        command
            .args(&self.line[1..])
            .args(switch.split_whitespace());
        let target = Target::start(&mut command)?;
        let port = target.expect("ready", READY)?.parse().unwrap_or(0u16);
        let load = self.serves.then(|| Load::start(port, "/items/7", 3));
        std::thread::sleep(Duration::from_secs(self.warm_up));
        Ok(Running { target, load })
    }
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.target.pid()
    }

    /// Resident bytes of it, or private ones of its children.
    pub fn bytes(&self, figure: Figure) -> Result<f64> {
        match figure {
            Figure::Resident => sum(self.pid(), &["Rss"]),
            Figure::PrivateOfChildren => {
                let children = children(self.pid())?;
                ensure!(!children.is_empty(), "it has no children");
                let private = |&pid: &i32| sum(pid, &["Private_Dirty", "Private_Clean"]);
                children.iter().map(private).sum()
            }
            Figure::Collector => bail!("not in bytes"),
        }
    }

    /// The collector's share of the processor time since this was last asked, and the rounds of work
    /// in a second of processor time, by the program's own clock.
    pub fn collector(&mut self) -> Result<(f64, f64)> {
        let said = self.target.ask("collector", "collector", ANSWER)?;
        let (share, rounds) = said.split_once(' ').context("two numbers")?;
        Ok((share.parse()?, rounds.parse()?))
    }

    /// Has it follow the advice as it runs.
    pub fn apply(&mut self) -> Result<()> {
        self.target.ask("apply", "applied", ANSWER).map(drop)
    }

    /// Ends the requests; fails if one failed.
    pub fn end(mut self) -> Result<()> {
        ensure!(self.target.alive(), "the program died");
        let requests = self.load.take().map(Load::finish).unwrap_or_default();
        let (failed, first) = failures(&requests);
        ensure!(failed == 0, "{failed} requests failed: {first}");
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(load) = self.load.take() {
            load.finish();
        }
    }
}

/// Sums of lines of `/proc/PID/smaps_rollup`, in bytes.
fn sum(pid: i32, names: &[&str]) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let of = |name: &&str| {
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}:")));
        let kilobytes = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.with_context(|| format!("no {name}"))
    };
    Ok(names.iter().map(of).sum::<Result<f64>>()? * 1024.0)
}

fn children(pid: i32) -> Result<Vec<i32>> {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let text = std::fs::read_to_string(path)?;
    Ok(text
        .split_whitespace()
        .filter_map(|n| n.parse().ok())
        .collect())
}
