//! Row "tune": whether `memshed tune` finds the setting that makes a service with a large heap
//! faster, doesn't say that there is much to gain where there is not, and tells a program that nothing helps
//! from one that something does, run after run.

use crate::accept::ground::Ground;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::Command;

const FINDS: &str =
    "recommends a setting of the collector, 1.8 times as fast (1.75 or more), start included";
const LITTLE: &str = "says that there is little to gain, or something, but not much";
const CONTROL: &str = "a program that no setting helps is told as such, every time";
/// The collector of these spends half of the service's time; later ones run far less often.
const SLOW: [(u32, u32); 2] = [(3, 11), (3, 12)];
const FAST: (u32, u32) = (3, 13);

/// Measures the row on the interpreters that it is about.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let wanted = |python: &&Interpreter| SLOW.contains(&python.minor()) || python.minor() == FAST;
    let mut seen = Vec::new();
    for python in ground.pythons.iter().filter(wanted) {
        if seen.contains(&python.minor()) {
            continue;
        }
        seen.push(python.minor());
        let target = if python.minor() == FAST {
            LITTLE
        } else {
            FINDS
        };
        findings.push(match service(ground, python) {
            Ok((measured, good)) => Finding::new("tune", python.label(), target, measured, good),
            Err(why) => Finding::not_measured("tune", python.label(), target, format!("{why:#}")),
        });
    }
    let python = ground.one_python();
    findings.push(match control(ground, python) {
        Ok((measured, good)) => Finding::new("tune", python.label(), CONTROL, measured, good),
        Err(why) => Finding::not_measured("tune", python.label(), CONTROL, format!("{why:#}")),
    });
    Ok(findings)
}

fn service(ground: &Ground, python: &Interpreter) -> Result<(String, bool)> {
    let requests = ground.count("10000", "3000");
    let mut options = Vec::new();
    if ground.quick {
        options.extend(["--only", "gc-thresholds,gc-freeze"]);
    }
    let told = tune(
        ground,
        python,
        &options,
        &["service.py", "1000000", requests],
    )?;
    let gain = told["gain"].as_str().context("no gain")?;
    let name = told["recommended"].as_str().unwrap_or("nothing");
    let faster = faster(&told, name);
    let good = match python.minor() {
        FAST => gain != "much",
        _ => gain == "much" && name.starts_with("gc-") && faster >= ground.count(1.75, 1.3),
    };
    let rounds = &told["rounds"];
    let measured = format!(
        "{gain} to gain: {name}, {faster:.2} times as fast; {} runs, {} deciding rounds",
        rounds["runs"], rounds["deciding"]
    );
    Ok((measured, good))
}

/// How many times as fast the program is under a setting, by processor time.
fn faster(told: &Value, name: &str) -> f64 {
    let of = |list: &Value, key: &str, value: &str| {
        let mut all = list.as_array()?.iter();
        all.find(|one| one[key] == value).cloned()
    };
    let setting = of(&told["settings"], "name", name);
    let change = setting.and_then(|setting| of(&setting["changes"], "metric", "cpu"));
    let ratio = change.and_then(|change| change["ratio"].as_f64());
    ratio.map_or(1.0, |ratio| 1.0 / ratio)
}

fn control(ground: &Ground, python: &Interpreter) -> Result<(String, bool)> {
    let times = ground.count(10, 3);
    let mut right = 0;
    let mut wrong = Vec::new();
    for _ in 0..times {
        let told = tune(ground, python, &[], &["control.py"])?;
        if told["gain"] == "none" {
            right += 1;
        } else {
            wrong.push(told["recommended"].as_str().unwrap_or("?").to_string());
        }
    }
    Ok((
        format!("{right} of {times} {}", wrong.join(", ")),
        right == times,
    ))
}

/// Runs `memshed tune` on a program of `benches/tune`; its JSON.
fn tune(
    ground: &Ground,
    python: &Interpreter,
    options: &[&str],
    program: &[&str],
) -> Result<Value> {
    let folder = ground.root.join("benches/tune");
    let done = Command::new(&ground.memshed)
        .args(["tune", "--format", "json"])
        .args(options)
        .arg("--")
        .arg(&python.path)
        .args(program)
        .current_dir(folder)
        .output()?;
    let said = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "memshed tune: {}", said.trim());
    Ok(serde_json::from_slice(&done.stdout)?)
}
