//! Running `memshed leaks`, and reading its findings.

use crate::accept::child;
use crate::accept::ground::Ground;
use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

/// The kinds of findings that mean: memory goes on growing.
const LEAKING: [&str; 5] = ["growth", "reference-count", "native", "cycle", "interned"];

/// What a finding has at least, and whether a value there is of the promised form.
type Field = (&'static str, fn(&Value) -> bool);
const FIELDS: [Field; 12] = [
    ("kind", Value::is_string),
    ("title", Value::is_string),
    ("bytes", Value::is_u64),
    ("bytes_per_second", |v| v.is_null() || v.is_number()),
    ("count", Value::is_u64),
    ("types", is_texts),
    ("holder", |v| v.is_null() || v.is_string()),
    ("path", is_texts),
    ("locations", is_locations),
    ("evidence", is_texts),
    ("fix", Value::is_string),
    ("confidence", |v| v.is_string() || v.is_number()),
];

fn is_texts(value: &Value) -> bool {
    value
        .as_array()
        .is_some_and(|all| all.iter().all(Value::is_string))
}

fn is_locations(value: &Value) -> bool {
    let good = |one: &Value| one["file"].is_string() && one["role"].is_string();
    value.as_array().is_some_and(|all| all.iter().all(good))
}

/// One finding of memshed's.
pub struct Found(Value);

impl Found {
    /// Its kind.
    pub fn kind(&self) -> &str {
        self.0["kind"].as_str().unwrap_or("?")
    }

    /// Whether it says that memory goes on growing.
    pub fn is_leak(&self) -> bool {
        LEAKING.contains(&self.kind())
    }

    /// Kind and title, in one line.
    pub fn told(&self) -> String {
        format!(
            "{}: {}",
            self.kind(),
            self.0["title"].as_str().unwrap_or("?")
        )
    }

    /// Whether what it says of the holder, the way to it and the types names one of `words`,
    /// whatever the case.
    pub fn names(&self, words: &[&str]) -> bool {
        let parts = ["title", "holder", "path", "types", "locations"];
        let text: String = parts.iter().map(|part| self.0[part].to_string()).collect();
        let text = text.to_lowercase();
        words.iter().any(|word| text.contains(&word.to_lowercase()))
    }
}

/// The findings in what `memshed leaks --format json` wrote; fails if they lack what is promised.
pub fn findings(json: &Value) -> Result<Vec<Found>> {
    ensure!(json.get("schema").is_some(), "no schema in the answer");
    ensure!(json.get("process").is_some(), "no process in the answer");
    let all = json["findings"]
        .as_array()
        .context("no findings in the answer")?;
    for finding in all {
        for (name, is_right) in FIELDS {
            ensure!(
                is_right(&finding[name]),
                "a finding's {name} is {}: {finding}",
                finding[name]
            );
        }
    }
    Ok(all.iter().cloned().map(Found).collect())
}

/// Runs `memshed leaks PID --for SECONDS --format json`.
pub fn leaks(ground: &Ground, pid: i32, seconds: u64) -> Result<Vec<Found>> {
    let pid = pid.to_string();
    let args = ["leaks", &pid, "--for", &seconds.to_string()];
    run(ground, &args, Duration::from_secs(3 * seconds + 60))
}

/// Runs memshed with `--format json` and reads its findings. Neither findings nor their absence
/// may change the exit status.
pub fn run(ground: &Ground, args: &[&str], limit: Duration) -> Result<Vec<Found>> {
    let directory = ground.scratch("leaks")?;
    let out = directory.join("leaks.json");
    let mut running = Command::new(&ground.memshed)
        .args(args)
        .args(["--format", "json", "-o"])
        .arg(&out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let status = child::wait(&mut running, limit)?;
    if !status.success() {
        let mut said = String::new();
        if let Some(mut stderr) = running.stderr.take() {
            stderr.read_to_string(&mut said)?;
        }
        bail!("memshed {}: {status}: {}", args.join(" "), said.trim());
    }
    let text = std::fs::read_to_string(&out).context("reading memshed's findings")?;
    let _ = std::fs::remove_dir_all(directory);
    findings(&serde_json::from_str(&text)?)
}
