//! A look at the heap of `benches/workloads/heap.py`. What counts is how long the program stands
//! still and how much memory the look takes inside it; memshed's own time and memory, spent
//! elsewhere, are told too.

use super::Args;
use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::look::{self, median};
use crate::accept::{venv, watch::watch};
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;
use std::time::Duration;

const PEERS: [&str; 5] = ["guppy3", "pympler", "objgraph", "gc.collect()", "fork()"];

/// Prints the table.
pub(super) fn compare(ground: &Ground, args: &Args) -> Result<()> {
    let python = venv::python(
        ground,
        ground.one_python(),
        "peers",
        &["guppy3", "pympler", "objgraph"],
    )?;
    let workloads = ground
        .root
        .join("benches/workloads")
        .to_string_lossy()
        .into_owned();
    println!(
        "| objects | tool | program stands still, s | extra memory inside it, MB | outside: wall s, CPU s, MB |"
    );
    println!("|---|---|---|---|---|");
    for &objects in &args.objects {
        println!(
            "{}",
            memshed(ground, &python, &workloads, objects, args.times)?
        );
        for tool in PEERS {
            let (mut seconds, mut extra) = (Vec::new(), Vec::new());
            for _ in 0..args.times {
                let done = Command::new(&python)
                    .arg("-B")
                    .arg(ground.program("peers.py"))
                    .args([&workloads, tool, &objects.to_string()])
                    .output()?;
                ensure!(
                    done.status.success(),
                    "{tool}: {}",
                    String::from_utf8_lossy(&done.stderr).trim()
                );
                let told: Value = serde_json::from_slice(&done.stdout)?;
                seconds.push(told["seconds"].as_f64().context("no seconds")?);
                extra.push(told["extra_mb"].as_f64().context("no extra memory")?);
            }
            println!(
                "| {objects} | {tool} | {:.3} | {:.0} | – |",
                median(seconds),
                median(extra)
            );
        }
    }
    Ok(())
}

fn memshed(
    ground: &Ground,
    python: &std::path::Path,
    workloads: &str,
    objects: usize,
    times: usize,
) -> Result<String> {
    let target = Target::python(
        python,
        &ground.program("hold_heap.py"),
        &[workloads, &objects.to_string()],
    )?;
    target.expect("ready", Duration::from_secs(300))?;
    let pid = target.pid();
    let (mut stops, mut extra, mut walls, mut cpus, mut peaks) =
        (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..times {
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        let before = status_mb(pid, "VmRSS:")?;
        let (look, cost) = watch(&ground.memshed, || look::inspect(ground, pid, &[]))?;
        stops.push(look.stopped_ms() / 1e3);
        extra.push((status_mb(pid, "VmHWM:")? - before).max(0.0));
        walls.push(look.wall.as_secs_f64());
        cpus.push(cost.cpu.max(look.cpu).as_secs_f64());
        peaks.push(cost.peak_pss as f64 / 1e6);
    }
    Ok(format!(
        "| {objects} | memshed inspect | {:.4} | {:.0} | {:.2}, {:.2}, {:.0} |",
        median(stops),
        median(extra),
        median(walls),
        median(cpus),
        median(peaks),
    ))
}

fn status_mb(pid: i32, field: &str) -> Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .context("no such field")?;
    Ok(line
        .split_whitespace()
        .next()
        .unwrap_or("")
        .parse::<f64>()?
        / 1024.0)
}
