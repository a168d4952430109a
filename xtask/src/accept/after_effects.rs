//! Row "after-effects": a loaded service, looked at once in every other period; throughput and
//! latency of the periods with a look against those without.

use super::child::Target;
use super::ground::Ground;
use super::load::{Load, Request, failures};
use super::look::{self, median};
use super::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};
use std::time::Duration;

const TARGET: &str = "looked at every 10 s: throughput within 5 %, p99 within 20 ms + the stop";
const CONNECTIONS: usize = 4;

/// Measures the row on one interpreter, for each kind of service.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let python = ground.one_python();
    let kinds: &[&str] = ground.count(&["asyncio", "threads"], &["asyncio"]);
    Ok(kinds
        .iter()
        .map(|kind| {
            let on_what = format!("{}, {kind}", python.label());
            match on(ground, python, kind) {
                Ok((measured, good)) => {
                    Finding::new("after-effects", on_what, TARGET, measured, good)
                }
                Err(why) => {
                    Finding::not_measured("after-effects", on_what, TARGET, format!("{why:#}"))
                }
            }
        })
        .collect())
}

fn on(ground: &Ground, python: &Interpreter, kind: &str) -> Result<(String, bool)> {
    let objects = ground.count("1000000", "200000");
    let mut service = Target::python(
        &python.path,
        &ground.program("service.py"),
        &[kind, objects],
    )?;
    let port: u16 = service
        .expect("ready", Duration::from_secs(60))?
        .parse()
        .context("no port")?;
    let period = Duration::from_secs(ground.count(10, 5));
    let pairs = ground.count(10, 3);

    let load = Load::start(port, "/work", CONNECTIONS);
    sleep_until(&load, Duration::from_secs(2));
    let mut periods = Vec::new(); // (begin, looked at)
    let mut stops = Vec::new();
    let mut problems = Vec::new();
    let mut slowest = Duration::ZERO;
    for pair in 0..pairs {
        // Begin with the other kind every time, so that drift does not favour one.
        for looked in [pair % 2 == 0, pair % 2 == 1] {
            let began = load.elapsed();
            periods.push((began, looked));
            if looked {
                match look::inspect(ground, service.pid(), &[]) {
                    Ok(look) => {
                        stops.push(look.stopped_ms());
                        slowest = slowest.max(look.wall);
                    }
                    Err(why) => problems.push(format!("{why:#}")),
                }
            }
            sleep_until(&load, began + period);
        }
    }
    let requests = load.finish();
    let alive = service.alive();
    let (failed, first) = failures(&requests);
    let throughput = |looked: bool| -> Vec<f64> {
        let each = periods.iter().filter(|(_, was)| *was == looked);
        each.map(|(began, _)| {
            within(&requests, *began, period).count() as f64 / period.as_secs_f64()
        })
        .collect()
    };
    let p99 = |looked: bool| {
        let mut all: Vec<f64> = periods
            .iter()
            .filter(|(_, was)| *was == looked)
            .flat_map(|(began, _)| within(&requests, *began, period))
            .map(|request| request.took.as_secs_f64() * 1e3)
            .collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() * 99 / 100).copied().unwrap_or(f64::NAN)
    };
    // Neighbouring periods are compared, so that the machine's slower moods cancel out.
    let (with, without) = (throughput(true), throughput(false));
    let ratio = median(with.iter().zip(&without).map(|(a, b)| a / b).collect());
    let (with, without) = (median(with), median(without));
    // A quick run has too few periods to tell 5 % from chance.
    let least_ratio = ground.count(0.95, 0.7);
    let (late_with, late_without) = (p99(true), p99(false));
    let stop = stops.iter().copied().fold(0.0, f64::max);
    let good = alive
        && failed == 0
        && problems.is_empty()
        && !stops.is_empty()
        && ratio >= least_ratio
        && late_with <= late_without + 20.0 + stop;
    Ok((
        format!(
            "{with:.0}/s with, {without:.0}/s without ({:+.1} %); p99 {late_with:.1} ms with, {late_without:.1} ms without; \
             longest stop {stop:.1} ms, longest look {:.1} s; {} requests, {failed} failed {first} {}",
            100.0 * (ratio - 1.0),
            slowest.as_secs_f64(),
            requests.len(),
            problems.join("; "),
        ),
        good,
    ))
}

fn within(
    requests: &[Request],
    began: Duration,
    period: Duration,
) -> impl Iterator<Item = &Request> {
    requests
        .iter()
        .filter(move |request| request.sent >= began && request.sent < began + period)
}

fn sleep_until(load: &Load, moment: Duration) {
    std::thread::sleep(moment.saturating_sub(load.elapsed()));
}
