//! Having a program give memory back. How long the program stands still is what a thread of its own
//! measures, that wakes up every millisecond.

use super::Args;
use crate::accept::answers;
use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::look::median;
use crate::accept::release::ask::{self, ANSWER};
use anyhow::{Context, Result, ensure};
use std::process::Command;
use std::time::Instant;

/// A way to have a program give memory back.
#[derive(Clone, Copy)]
enum Way {
    Memshed(&'static [&'static str]),
    /// `malloc_trim` called by gdb, as is done by hand to programs that run.
    Gdb,
    /// What a program can do about it itself.
    Within,
}

const WAYS: [(&str, Way); 4] = [
    ("memshed release", Way::Memshed(&[])),
    ("memshed release --hard", Way::Memshed(&["--hard"])),
    ("gdb, malloc_trim(0)", Way::Gdb),
    ("gc.collect() and malloc_trim(0) from within", Way::Within),
];

/// Prints the table.
pub(super) fn compare(ground: &Ground, args: &Args) -> Result<()> {
    println!(
        "| objects | allocator | tool | resident before, MB | after | longest standstill, ms | \
         wall, s |"
    );
    println!("|---|---|---|---|---|---|---|");
    for &objects in &args.objects {
        for allocator in ["pymalloc", "malloc"] {
            for (name, way) in WAYS {
                let mut runs = Vec::new();
                for _ in 0..args.times {
                    runs.push(one(ground, objects, allocator, way)?);
                }
                let of = |column: usize| median(runs.iter().map(|run| run[column]).collect());
                println!(
                    "| {objects} | {allocator} | {name} | {:.0} | {:.0} | {:.1} | {:.2} |",
                    of(0),
                    of(1),
                    of(2),
                    of(3)
                );
            }
        }
    }
    Ok(())
}

/// Resident MB before and after, the longest standstill in milliseconds, seconds in all.
fn one(ground: &Ground, objects: usize, allocator: &str, way: Way) -> Result<[f64; 4]> {
    let mut command = Command::new(&ground.one_python().path);
    command
        .arg("-B")
        .arg(ground.program("release_fragment.py"))
        .arg(objects.to_string())
        .env("PYTHONMALLOC", allocator);
    let mut target = Target::start(&mut command)?;
    target.expect("ready", ANSWER)?;
    target.ask("watch", "watching", ANSWER)?;
    let before = ask::resident(target.pid())? / 1e6;
    target.ask("gap", "gap", ANSWER)?;
    let began = Instant::now();
    match way {
        Way::Memshed(more) => {
            ask::release(ground, target.pid(), more)?;
        }
        Way::Gdb => gdb(target.pid())?,
        Way::Within => {
            target.ask("collect", "collected", ANSWER)?;
            target.ask("trim", "trimmed", ANSWER)?;
        }
    }
    let wall = began.elapsed().as_secs_f64();
    let gap: f64 = target.ask("gap", "gap", ANSWER)?.parse()?;
    let after = ask::resident(target.pid())? / 1e6;
    ask::whole(&mut target)?;
    Ok([before, after, gap, wall])
}

fn gdb(pid: i32) -> Result<()> {
    let output = answers::run(
        Command::new("gdb")
            .args(["--batch", "--nx", "--pid", &pid.to_string()])
            .args(["--eval-command", "call (int)malloc_trim(0)"]),
    )
    .context("running gdb")?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(
        said.contains("$1 = "),
        "gdb did not call malloc_trim: {said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
