//! Row "safety": programs that allocate in every size class, in threads that come and go, with
//! forks, give memory back again and again and check their own data; the allocator's rules are
//! checked from outside.

use super::ask::{self, ANSWER};
use crate::accept::ground::Ground;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Result, ensure};

const TARGET: &str = "2,000 releases in all: no program harmed, no rule of the allocator violated";
/// Between two checks of the allocator.
const CHECK_EVERY: u32 = 25;

/// Measures the row on every interpreter.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let each = ground
        .count(2000u32, 40)
        .div_ceil(ground.pythons.len() as u32);
    let mut findings = Vec::new();
    for python in &ground.pythons {
        findings.push(match on(ground, python, each) {
            Ok(measured) => Finding::new("safety", python.label(), TARGET, measured, true),
            Err(why) => Finding::new("safety", python.label(), TARGET, format!("{why:#}"), false),
        });
    }
    Ok(findings)
}

fn on(ground: &Ground, python: &Interpreter, times: u32) -> Result<String> {
    let mut target = ask::start(ground, python, "release_churn.py", &["fork"])?;
    target.expect("ready", ANSWER)?;
    let (mut gave, mut changed, mut longest, mut checks) = (0, 0u64, 0.0f64, 0);
    let ways: [&[&str]; 5] = [&[], &["--hard"], &[], &["--undo"], &["--caches"]];
    for number in 0..times {
        let way = ways[number as usize % ways.len()];
        let release = ask::release(ground, target.pid(), way)?;
        let bytes = release.released();
        gave += u32::from(bytes > 0.0);
        changed += bytes as u64;
        longest = longest.max(release.stopped_ms());
        if number % CHECK_EVERY == CHECK_EVERY - 1 {
            target.ask("rest", "resting", ANSWER)?;
            let check = ask::check(target.pid())?;
            ensure!(
                check.count == 0,
                "after {number} releases: {:?}",
                check.violations
            );
            checks += 1;
            target.ask("go", "going", ANSWER)?;
            ask::whole(&mut target)?;
        }
    }
    let end = target.ask("end", "ended", ANSWER)?;
    ensure!(end == "whole", "at its end it was {end}");
    Ok(format!(
        "{times} releases, {gave} of which made it smaller, by {} MB in all; {checks} checks without \
         a violation; longest stop {longest:.1} ms",
        changed >> 20
    ))
}
