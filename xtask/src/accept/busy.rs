//! Row "busy targets": looks at a program that allocates and collects in four threads. What it
//! counts of itself before and after each look must enclose what the look counts.

use super::child::Target;
use super::ground::Ground;
use super::look;
use super::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Result, ensure};
use serde_json::Value;
use std::path::Path;
use std::time::Duration;

const TARGET: &str = "looks at a busy target: none fails, counts between before and after";

/// Types whose instances the program counts; it only ever adds to them.
const COUNTED: [&str; 3] = ["__main__.Tracked", "__main__.Slotted", "__main__.Untracked"];

/// Measures the row on every interpreter.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    Ok(ground
        .pythons
        .iter()
        .map(|python| match on(ground, python) {
            Ok((measured, good)) => Finding::new("busy", python.label(), TARGET, measured, good),
            Err(why) => Finding::not_measured("busy", python.label(), TARGET, format!("{why:#}")),
        })
        .collect())
}

fn on(ground: &Ground, python: &Interpreter) -> Result<(String, bool)> {
    let counters = ground.scratch("busy")?.join("counters");
    let path = counters.to_string_lossy().into_owned();
    let mut target = Target::python(&python.path, &ground.program("busy.py"), &[&path])?;
    target.expect("ready", Duration::from_secs(30))?;
    let times = ground.count(200, 12);
    let (mut failed, mut outside, mut swept) = (Vec::new(), Vec::new(), 0);
    for _ in 0..times {
        let least = Counters::read(&counters)?.made;
        let look = look::inspect(ground, target.pid(), &[]);
        let most = Counters::read(&counters)?.begun;
        let look = match look {
            Ok(look) => look,
            Err(why) => {
                failed.push(format!("{why:#}"));
                ensure!(target.alive(), "the target died: {}", failed.join("; "));
                continue;
            }
        };
        let problems = look
            .json
            .pointer("/snapshot/problems")
            .and_then(Value::as_array);
        swept += usize::from(problems.is_some_and(|all| !all.is_empty()));
        for (at, name) in COUNTED.iter().enumerate() {
            let counted = look
                .type_row(name)
                .and_then(|row| row["count"].as_u64())
                .unwrap_or(0);
            if !(least[at]..=most[at]).contains(&counted) {
                outside.push(format!(
                    "{name} {counted} not in {}..={}",
                    least[at], most[at]
                ));
            }
        }
    }
    let fine = target.ask("stop", "done", Duration::from_secs(60));
    let good = failed.is_empty() && outside.is_empty() && fine.is_ok();
    failed.truncate(3);
    let wrong = outside.len();
    outside.truncate(3);
    Ok((
        format!(
            "{times} looks, {} failed {}, {wrong} counts outside {}, {swept} with problems reported, the target {}",
            failed.len(),
            failed.join("; "),
            outside.join("; "),
            match fine {
                Ok(_) => "is fine".to_owned(),
                Err(why) => format!("{why:#}"),
            },
        ),
        good,
    ))
}

/// What the program counts, in a file that it maps: for each thread and type, how many it was
/// about to make and how many it has made.
struct Counters {
    begun: [u64; 3],
    made: [u64; 3],
}

impl Counters {
    fn read(path: &Path) -> Result<Counters> {
        let bytes = std::fs::read(path)?;
        let mut sums = [0u64; 6];
        for (at, word) in bytes.chunks_exact(8).enumerate() {
            sums[at % 6] += u64::from_le_bytes(word.try_into()?);
        }
        let [a, b, c, d, e, f] = sums;
        Ok(Counters {
            begun: [a, b, c],
            made: [d, e, f],
        })
    }
}
