//! Running memshed, and what its run cost.

use super::child;
use super::ground::Ground;
use anyhow::{Context, Result, bail};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// How long one look may take, whatever the target.
pub const LIMIT: Duration = Duration::from_secs(300);

/// One run of `memshed inspect --format json`.
pub struct Look {
    /// What it said.
    pub json: Value,
    /// Its time on the wall clock.
    pub wall: Duration,
    /// Its time on processors, with that of its children that it waited for.
    pub cpu: Duration,
}

impl Look {
    /// A number at a JSON pointer; `None` if there is none.
    pub fn number(&self, pointer: &str) -> Option<f64> {
        self.json.pointer(pointer)?.as_f64()
    }

    /// How long the target stood still, in milliseconds.
    pub fn stopped_ms(&self) -> f64 {
        self.number("/snapshot/stopped_ms").unwrap_or(f64::NAN)
    }

    /// `fork` or `pause`.
    pub fn method(&self) -> &str {
        self.json
            .pointer("/snapshot/method")
            .and_then(Value::as_str)
            .unwrap_or("?")
    }

    /// The row of `types` for a type, if there is one.
    pub fn type_row(&self, name: &str) -> Option<&Value> {
        self.json["types"]
            .as_array()?
            .iter()
            .find(|row| row["name"] == name)
    }

    /// Whether the parts of memory sum to the resident bytes.
    pub fn memory_sums(&self) -> bool {
        let parts = self.json["memory"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let sum: i64 = parts.iter().filter_map(|part| part["bytes"].as_i64()).sum();
        let unexplained = parts.iter().any(|part| part["category"] == "unexplained");
        unexplained && Some(sum) == self.json["process"]["rss_bytes"].as_i64()
    }
}

/// Looks at a process with `memshed inspect PID --format json` and more arguments.
pub fn inspect(ground: &Ground, pid: i32, more: &[&str]) -> Result<Look> {
    let out = ground.scratch("look")?.join("look.json");
    let began = Instant::now();
    let before = children_cpu()?;
    let mut running = Command::new(&ground.memshed)
        .args(["inspect", &pid.to_string(), "--format", "json", "-o"])
        .arg(&out)
        .args(more)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let status = child::wait(&mut running, LIMIT)?;
    let wall = began.elapsed();
    let cpu = children_cpu()?.saturating_sub(before);
    if !status.success() {
        let mut said = String::new();
        if let Some(mut stderr) = running.stderr.take() {
            use std::io::Read;
            stderr.read_to_string(&mut said)?;
        }
        bail!("memshed inspect {pid}: {status}: {}", said.trim());
    }
    let text = std::fs::read_to_string(&out).context("reading memshed's output")?;
    if let Some(dir) = out.parent() {
        let _ = std::fs::remove_dir_all(dir);
    }
    Ok(Look {
        json: serde_json::from_str(&text)?,
        wall,
        cpu,
    })
}

/// Writes a snapshot of a process, with edges.
pub fn snapshot(ground: &Ground, pid: i32, into: &Path) -> Result<()> {
    let done = Command::new(&ground.memshed)
        .args(["snapshot", &pid.to_string(), "-o"])
        .arg(into)
        .stdin(Stdio::null())
        .output()?;
    if !done.status.success() {
        bail!(
            "memshed snapshot {pid}: {}: {}",
            done.status,
            String::from_utf8_lossy(&done.stderr).trim()
        );
    }
    Ok(())
}

/// Processor time of all children that were waited for, and of theirs.
pub fn children_cpu() -> Result<Duration> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let micros = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(micros.unsigned_abs()))
}

/// The median; `NaN` of nothing.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The least value; infinite of nothing.
pub fn least(values: Vec<f64>) -> f64 {
    values.into_iter().fold(f64::INFINITY, f64::min)
}
