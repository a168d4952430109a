//! Row "stays": a service under steady load that has given memory back is as fast as before, beside
//! one that has not, and stays smaller.

use super::ask::{self, ANSWER};
use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};

const TARGET: &str = "CPU within 2 %, p99 as before (within 10 %), resident bytes settle lower";

/// Measures the row on one interpreter, and on the newest.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let newest = &ground.pythons[ground.pythons.len() - 1];
    let mut pythons = vec![ground.one_python()];
    if newest.path != pythons[0].path && !ground.quick {
        pythons.push(newest);
    }
    let mut findings = Vec::new();
    for python in pythons {
        findings.push(match on(ground, python) {
            Ok((measured, good)) => Finding::new("stays", python.label(), TARGET, measured, good),
            Err(why) => Finding::not_measured("stays", python.label(), TARGET, format!("{why:#}")),
        });
    }
    Ok(findings)
}

/// One batch of requests.
#[derive(Clone, Copy)]
struct Served {
    micros: f64,
    p99: f64,
    megabytes: f64,
}

fn serve(target: &mut Target, requests: u32) -> Result<Served> {
    let said = target.ask(&format!("serve {requests}"), "served", ANSWER)?;
    let numbers: Vec<f64> = said
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    let [micros, p99, kilobytes] = numbers[..] else {
        anyhow::bail!("it said {said}");
    };
    Ok(Served {
        micros,
        p99,
        megabytes: kilobytes / 1024.0,
    })
}

/// Batches of both in turn, so that both meet the same noise of the machine. The median of the
/// first's figures in relation to the second's.
fn compare(
    target: &mut Target,
    control: &mut Target,
    rounds: usize,
    requests: u32,
) -> Result<(f64, f64, Served)> {
    let (mut cpu, mut p99, mut last) = (Vec::new(), Vec::new(), None);
    for _ in 0..rounds {
        let (one, other) = (serve(target, requests)?, serve(control, requests)?);
        cpu.push(one.micros / other.micros);
        p99.push(one.p99 / other.p99);
        last = Some(one);
    }
    Ok((
        crate::accept::look::median(cpu),
        crate::accept::look::median(p99),
        last.context("no rounds")?,
    ))
}

fn on(ground: &Ground, python: &Interpreter) -> Result<(String, bool)> {
    let size = ground.count("5000000", "1000000");
    let (rounds, requests) = (ground.count(101, 11), ground.count(400, 200));
    let mut control = ask::start(ground, python, "release_service.py", &[size])?;
    let mut target = ask::start(ground, python, "release_service.py", &[size])?;
    control.expect("ready", ANSWER)?;
    target.expect("ready", ANSWER)?;
    let before = compare(&mut target, &mut control, rounds, requests)?;
    let release = ask::release(ground, target.pid(), &[])?;
    // The first batch takes back what it needs.
    compare(&mut target, &mut control, 1, requests)?;
    let after = compare(&mut target, &mut control, rounds, requests)?;
    let cpu = 100.0 * (after.0 / before.0 - 1.0);
    let p99 = 100.0 * (after.1 / before.1 - 1.0);
    let measured = format!(
        "CPU {cpu:+.1} %, p99 {p99:+.1} % ({:.0} µs a request); {:.0} MB before, {:.0} released, \
         {:.0} settled",
        after.2.micros,
        before.2.megabytes,
        release.released() / ask::MB,
        after.2.megabytes
    );
    let smaller = after.2.megabytes < before.2.megabytes * 0.9;
    Ok((measured, cpu <= 2.0 && p99 <= 10.0 && smaller))
}
