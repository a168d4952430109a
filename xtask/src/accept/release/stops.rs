//! Row "stops": programs that are busy or idle in several ways all give memory back, and none waits
//! long for it.

use super::ask::{self, ANSWER, MB};
use crate::accept::ground::Ground;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::Result;

const TARGET: &str = "no stop over 10 ms; at least 90 % of what the idle one gives";
const MODES: [&str; 6] = ["idle", "main", "four", "worker", "join", "lock"];

/// Measures the row: every way of being busy, on each interpreter whose pools have more than one
/// page.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in ask::with_large_pools(ground) {
        let mut idle = f64::NAN;
        for mode in MODES {
            let on_what = format!("{}, {mode}", python.label());
            findings.push(match on(ground, python, mode, &mut idle) {
                Ok((measured, good)) => Finding::new("stops", on_what, TARGET, measured, good),
                Err(why) => Finding::not_measured("stops", on_what, TARGET, format!("{why:#}")),
            });
        }
    }
    Ok(findings)
}

fn on(ground: &Ground, python: &Interpreter, mode: &str, idle: &mut f64) -> Result<(String, bool)> {
    let size = ground.count("2000000", "500000");
    let times = ground.count(3, 1);
    let (mut released, mut stops, mut gaps, mut usual) = (0.0f64, Vec::new(), Vec::new(), 0.0f64);
    for _ in 0..times {
        let mut target = ask::start(ground, python, "release_busy.py", &[mode, size])?;
        target.expect("ready", ANSWER)?;
        let gap = |target: &mut crate::accept::child::Target| -> Result<f64> {
            Ok(target.ask("gap", "gap", ANSWER)?.parse()?)
        };
        gap(&mut target)?;
        std::thread::sleep(std::time::Duration::from_millis(500));
        usual = usual.max(gap(&mut target)?);
        let release = ask::release(ground, target.pid(), &[])?;
        gaps.push(gap(&mut target)?);
        ask::whole(&mut target)?;
        released = released.max(release.released());
        stops.push(release.stopped_ms());
    }
    if mode == "idle" {
        *idle = released;
    }
    let longest = stops.iter().copied().fold(0.0, f64::max);
    let measured = format!(
        "gave {:.0} MB of {:.0}; longest stops {stops:.1?} ms; its threads' longest waits {gaps:.0?} \
         ms, {usual:.0} without",
        released / MB,
        *idle / MB
    );
    Ok((measured, longest <= 10.0 && released >= 0.9 * *idle))
}
