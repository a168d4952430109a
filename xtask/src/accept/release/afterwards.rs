//! Row "afterwards": what a burst of new objects costs a program that has given memory back, beside
//! the same program that has not.

use super::ask::{self, ANSWER};
use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::Result;

const TARGET: &str = "a burst of new objects ≤ +50 % CPU once, the next one as before (≤ +10 %)";
/// Pairs of programs; each burst's least time counts.
const ROUNDS: usize = 5;

/// Measures the row on each interpreter whose pools have more than one page.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in ask::with_large_pools(ground) {
        findings.push(match on(ground, python) {
            Ok(finding) => finding,
            Err(why) => {
                Finding::not_measured("afterwards", python.label(), TARGET, format!("{why:#}"))
            }
        });
    }
    Ok(findings)
}

fn burst(target: &mut Target) -> Result<f64> {
    Ok(target.ask("burst", "burst", ANSWER)?.parse()?)
}

fn on(ground: &Ground, python: &Interpreter) -> Result<Finding> {
    let size = ground.count("5000000", "1000000");
    let (mut first, mut second) = (Vec::new(), Vec::new());
    for _ in 0..ground.count(ROUNDS, 3) {
        let mut control = ask::start(ground, python, "release_fragment.py", &[size])?;
        control.expect("ready", ANSWER)?;
        let mut target = ask::start(ground, python, "release_fragment.py", &[size])?;
        target.expect("ready", ANSWER)?;
        ask::release(ground, target.pid(), &[])?;
        first.push((burst(&mut control)?, burst(&mut target)?));
        second.push((burst(&mut control)?, burst(&mut target)?));
        ask::whole(&mut target)?;
    }
    let least = |pairs: &[(f64, f64)]| {
        let control = pairs.iter().map(|pair| pair.0).fold(f64::MAX, f64::min);
        let target = pairs.iter().map(|pair| pair.1).fold(f64::MAX, f64::min);
        (control, target, 100.0 * (target / control - 1.0))
    };
    let (once, next) = (least(&first), least(&second));
    Ok(Finding::new(
        "afterwards",
        python.label(),
        TARGET,
        format!(
            "{:.2} s, {:.2} without ({:+.0} %); then {:.2} s, {:.2} without ({:+.0} %)",
            once.1, once.0, once.2, next.1, next.0, next.2
        ),
        once.2 <= 50.0 && next.2 <= 10.0,
    ))
}
