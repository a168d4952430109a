//! Row "steady": programs without a fault, under steady load: nothing to be found.

use super::ask;
use super::programs::{CLIENT, DJANGO, FASTAPI, PANDAS, POOL, Program, WORKER};
use crate::accept::ground::Ground;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::Result;

const TARGET: &str = "no finding of a leaking kind in 60 s under steady load";
const PROGRAMS: [Program; 6] = [DJANGO, FASTAPI, PANDAS, CLIENT, POOL, WORKER];

/// Measures the row: each program on one interpreter, and what needs no packages on the newest
/// as well.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let usual = ground.one_python();
    let newest = &ground.pythons[ground.pythons.len() - 1];
    for program in &PROGRAMS {
        if ground.quick && !program.is_plain() {
            continue;
        }
        let mut pythons = vec![usual];
        if program.is_plain() && newest.path != usual.path && !ground.quick {
            pythons.push(newest);
        }
        for python in pythons {
            let on_what = format!("{}, {}", program.name, python.label());
            findings.push(match on(ground, python, program) {
                Ok((measured, good)) => Finding::new("steady", on_what, TARGET, measured, good),
                Err(why) => Finding::not_measured("steady", on_what, TARGET, format!("{why:#}")),
            });
        }
    }
    Ok(findings)
}

fn on(ground: &Ground, python: &Interpreter, program: &Program) -> Result<(String, bool)> {
    let running = program.start(ground, python, "")?;
    let seconds = ground.count(60, 20);
    let found = ask::leaks(ground, running.pid(), seconds);
    let answers = running.end()?;
    let found = found?;
    let false_alarms: Vec<_> = found.iter().filter(|one| one.is_leak()).collect();
    let told: Vec<_> = false_alarms.iter().map(|one| one.told()).collect();
    let measured = format!(
        "{seconds} s, {answers} requests: {} false alarms {}; {} findings of other kinds",
        told.len(),
        told.join(" | "),
        found.len() - told.len(),
    );
    Ok((measured, told.is_empty()))
}
