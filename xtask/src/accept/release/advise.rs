//! Row "advise": every claim of `memshed advise` is checked by following the advice: what it gives
//! has to be within a factor of two of what was promised.

use super::claims::{By, Check, Figure, Program, Running, check, perhaps};
use crate::accept::child::{self, Target};
use crate::accept::ground::Ground;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::process::{Command, Stdio};
use std::time::Duration;

const TARGET: &str = "what following it gives is within a factor of two of what was promised";
const FACTOR: f64 = 2.0;
const LIMIT: Duration = Duration::from_secs(180);

const RESIDENT: Figure = Figure::Resident;
const COLLECTOR: Figure = Figure::Collector;

/// Programs that need nothing but an interpreter, on every one.
const EVERYWHERE: &[Program] = &[
    Program {
        name: "slots",
        line: &["slots.py"],
        checks: &[check(&["slots"], By::Switch("--slots"), RESIDENT)],
        ..PLAIN
    },
    Program {
        name: "equal values",
        line: &["equal.py"],
        checks: &[check(&["equal"], By::Switch("--intern"), RESIDENT)],
        ..PLAIN
    },
    Program {
        name: "caches",
        line: &["caches.py"],
        checks: &[check(&["cache"], By::Asking, RESIDENT)],
        ..PLAIN
    },
    Program {
        name: "room",
        line: &["room.py"],
        checks: &[check(&["room"], By::Asking, RESIDENT)],
        ..PLAIN
    },
    Program {
        name: "free between objects",
        line: &["held.py", "objects"],
        checks: &[
            check(&["held-free"], By::Release, RESIDENT),
            check(&["held-free", "scattered"], By::Switch("--child"), RESIDENT),
        ],
        ..PLAIN
    },
    Program {
        name: "free in malloc",
        line: &["held.py", "buffers"],
        checks: &[
            check(&["held-free"], By::Asking, RESIDENT),
            check(&["held-free", "scattered"], By::Switch("--child"), RESIDENT),
        ],
        ..PLAIN
    },
    Program {
        name: "prefork",
        line: &["prefork.py"],
        checks: &[check(
            &["forks"],
            By::Switch("--freeze"),
            Figure::PrivateOfChildren,
        )],
        ..PLAIN
    },
    Program {
        name: "collector",
        line: &["collector.py", "1000000"],
        warm_up: 5,
        watch: 20,
        checks: &[
            perhaps(&["freeze"], By::Switch("--freeze"), COLLECTOR),
            perhaps(&["thresholds"], By::Switch("--thresholds"), COLLECTOR),
        ],
        ..PLAIN
    },
];

/// The same that asks for collections itself, on one interpreter.
const ASKS: Program = Program {
    name: "collector, asked for",
    line: &["collector.py", "600000", "--asks"],
    warm_up: 5,
    watch: 12,
    checks: &[
        perhaps(&["own-collections"], By::Switch("--asks-not"), COLLECTOR),
        perhaps(&["freeze"], By::Switch("--freeze"), COLLECTOR),
        perhaps(&["thresholds"], By::Switch("--thresholds"), COLLECTOR),
    ],
    ..PLAIN
};

/// Real services.
const SERVICES: [Program; 5] = [
    Program {
        name: "FastAPI, uvicorn",
        line: &["service_fastapi.py"],
        packages: &["fastapi", "uvicorn"],
        serves: true,
        warm_up: 8,
        watch: 20,
        checks: &[
            check(&["slots"], By::Switch("--slots"), RESIDENT),
            check(&["equal"], By::Switch("--intern"), RESIDENT),
            perhaps(&["freeze"], By::Switch("--freeze"), COLLECTOR),
            perhaps(&["thresholds"], By::Switch("--thresholds"), COLLECTOR),
        ],
    },
    Program {
        name: "Flask, gunicorn --preload",
        line: &["service_gunicorn.py"],
        packages: &["flask", "gunicorn"],
        serves: true,
        warm_up: 25,
        watch: 5,
        checks: &[check(
            &["forks"],
            By::Switch("--freeze"),
            Figure::PrivateOfChildren,
        )],
    },
    Program {
        name: "Django",
        line: &["service_django.py"],
        packages: &["django"],
        serves: true,
        warm_up: 8,
        watch: 10,
        checks: &[check(&["cache"], By::Asking, RESIDENT)],
    },
    Program {
        name: "huey worker",
        line: &["service_huey.py"],
        packages: &["huey"],
        checks: &[check(&["cache", "room"], By::Asking, RESIDENT)],
        ..PLAIN
    },
    Program {
        name: "pandas job",
        line: &["service_pandas.py"],
        packages: &["pandas>=3"],
        checks: &[
            check(&["equal"], By::Switch("--intern"), RESIDENT),
            perhaps(&["held-free", "scattered"], By::Switch("--child"), RESIDENT),
        ],
        ..PLAIN
    },
];

const PLAIN: Program = Program {
    name: "",
    line: &[],
    packages: &[],
    serves: false,
    warm_up: 1,
    watch: 2,
    checks: &[],
};

/// Controls of `benches/leaks`: nothing is to be gained in them.
const CONTROLS: [&str; 2] = ["91-ctl-warmup", "93-ctl-sawtooth"];

/// Measures the row.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    let usual = ground.one_python();
    for name in CONTROLS {
        findings.push(control(ground, usual, name));
    }
    let newest = &ground.pythons[ground.pythons.len() - 1];
    for program in EVERYWHERE {
        for python in &ground.pythons {
            let is_one = python.path == usual.path || python.path == newest.path;
            if ground.quick && !is_one {
                continue;
            }
            findings.extend(of(ground, python, program));
        }
    }
    findings.extend(of(ground, usual, &ASKS));
    if newest.path != usual.path {
        findings.extend(of(ground, newest, &ASKS));
    }
    for program in &SERVICES {
        findings.extend(of(ground, usual, program));
    }
    Ok(findings)
}

fn of(ground: &Ground, python: &Interpreter, program: &Program) -> Vec<Finding> {
    let on = format!("{}, {}", program.name, python.label());
    match claims(ground, python, program) {
        Ok(measured) => measured
            .into_iter()
            .map(|(said, good)| match good {
                Some(good) => Finding::new("advise", &on, TARGET, said, good),
                None => Finding::not_measured("advise", &on, TARGET, said),
            })
            .collect(),
        Err(why) => vec![Finding::not_measured(
            "advise",
            on,
            TARGET,
            format!("{why:#}"),
        )],
    }
}

/// A control: no claim is made, or it is told which.
fn control(ground: &Ground, python: &Interpreter, name: &str) -> Finding {
    let on = format!("control {name}, {}", python.label());
    let asked = || -> Result<Vec<String>> {
        let script = ground
            .root
            .join("benches/leaks")
            .join(name)
            .join("repro.py");
        let target = Target::python(&python.path, &script, &["forever"])?;
        target.expect("t=5", Duration::from_secs(30))?;
        let report = advice(ground, target.pid(), 5)?;
        let all = report["advice"].as_array().context("advice")?;
        Ok(all.iter().map(|one| one["title"].to_string()).collect())
    };
    match asked() {
        Ok(claims) => {
            let said = format!("{} claims {}", claims.len(), claims.join(" | "));
            Finding::new(
                "advise",
                on,
                "nothing to gain, and so no claim",
                said,
                claims.is_empty(),
            )
        }
        Err(why) => Finding::not_measured("advise", on, "no claim", format!("{why:#}")),
    }
}

/// Before the advice is followed.
struct Before {
    report: Value,
    resident: f64,
    private: f64,
    /// The collector's share, and rounds in a second of processor time.
    collector: (f64, f64),
}

/// What was promised and measured, and whether that is good, if it could be measured.
type Measured = (String, Option<bool>);

/// Each check that there was advice for.
fn claims(ground: &Ground, python: &Interpreter, program: &Program) -> Result<Vec<Measured>> {
    let mut running = program.start(ground, python, "")?;
    let before = look(ground, program, &mut running)?;
    let mut measured = Vec::new();
    let unchecked = unchecked(&before.report, program)?;
    let mut resident = before.resident;
    let release = program.checks.iter().find(|one| one.by == By::Release);
    let promised_free = match release {
        Some(check) => promised(&before.report, check)?,
        None => unchecked.held_free,
    };
    if let Some(promised) = promised_free {
        let (said, good, left) = released(ground, &running, promised, resident)?;
        measured.push((said, good));
        resident = left;
    }
    let mut asked = None;
    if program.checks.iter().any(|one| one.by == By::Asking) {
        running.apply()?;
        asked = Some(running.bytes(RESIDENT)?);
    }
    running.end()?;
    for check in program.checks {
        let Some(promised) = promised(&before.report, check)? else {
            if check.expected {
                measured.push((
                    format!("no advice of {}", check.kinds.join(", ")),
                    Some(false),
                ));
            }
            continue;
        };
        let gained = match check.by {
            By::Release => continue,
            By::Asking => resident - asked.context("it was asked")?,
            By::Switch(switch) => {
                let mut running = program.start(ground, python, switch)?;
                let gained = gained(program, &before, check, &mut running)?;
                running.end()?;
                gained
            }
        };
        measured.push(compared(check, promised, gained));
    }
    if !unchecked.others.is_empty() {
        let others = unchecked.others.join(" | ");
        measured.push((format!("nothing checks {others}"), Some(false)));
    }
    if measured.is_empty() {
        measured.push(("no claim".to_owned(), Some(true)));
    }
    Ok(measured)
}

fn look(ground: &Ground, program: &Program, running: &mut Running) -> Result<Before> {
    let has = |figure| program.checks.iter().any(|check| check.figure == figure);
    let resident = running.bytes(RESIDENT)?;
    let private = match has(Figure::PrivateOfChildren) {
        true => running.bytes(Figure::PrivateOfChildren)?,
        false => 0.0,
    };
    if has(COLLECTOR) {
        running.collector()?;
    }
    let report = advice(ground, running.pid(), program.watch)?;
    let collector = match has(COLLECTOR) {
        true => running.collector()?,
        false => (0.0, 0.0),
    };
    Ok(Before {
        report,
        resident,
        private,
        collector,
    })
}

/// What following the advice has given: bytes, or a part of the processor time.
fn gained(program: &Program, before: &Before, check: &Check, running: &mut Running) -> Result<f64> {
    match check.figure {
        Figure::Resident => Ok(before.resident - running.bytes(RESIDENT)?),
        Figure::PrivateOfChildren => Ok(before.private - running.bytes(Figure::PrivateOfChildren)?),
        Figure::Collector => {
            running.collector()?;
            std::thread::sleep(Duration::from_secs(program.watch));
            let (share, rounds) = running.collector()?;
            let (share_before, rounds_before) = before.collector;
            // A round of work takes less processor time then; the collector's share is of that.
            Ok(share_before - share * (rounds_before / rounds))
        }
    }
}

/// What advice of these kinds promises together: bytes, or a part of the processor time.
fn promised(report: &Value, check: &Check) -> Result<Option<f64>> {
    let all = report["advice"].as_array().context("advice")?;
    let of = all.iter().filter(|one| {
        let kind = one["kind"].as_str().unwrap_or_default();
        check.kinds.contains(&kind)
    });
    let mut sum = None;
    for one in of {
        let figure = match check.figure {
            Figure::Collector => {
                let collector = &report["collector"];
                let number = |name: &str| collector[name].as_f64().context("a number");
                let load = number("processor_seconds")? / number("seconds")?;
                one["ms_per_second"].as_f64().context("ms")? / 1000.0 / load
            }
            _ => one["bytes"].as_f64().context("bytes")?,
        };
        *sum.get_or_insert(0.0) += figure;
    }
    Ok(sum)
}

/// Advice that no check follows.
#[derive(Default)]
struct Unchecked {
    /// What could be given back at once: `memshed release` does that to any program.
    held_free: Option<f64>,
    others: Vec<String>,
}

fn unchecked(report: &Value, program: &Program) -> Result<Unchecked> {
    let mut unchecked = Unchecked::default();
    for one in report["advice"].as_array().context("advice")? {
        let kind = one["kind"].as_str().unwrap_or_default();
        let mut checks = program.checks.iter();
        if checks.any(|check| check.kinds.contains(&kind)) {
            continue;
        }
        match kind {
            "held-free" => unchecked.held_free = one["bytes"].as_f64(),
            _ => unchecked.others.push(one["title"].to_string()),
        }
    }
    Ok(unchecked)
}

/// Follows the advice to give back what is free. Without that verb the claim stays unchecked, which is
/// told. What was measured, whether that is good, and what is resident then.
fn released(
    ground: &Ground,
    running: &Running,
    promised: f64,
    before: f64,
) -> Result<(String, Option<bool>, f64)> {
    let said = Command::new(&ground.memshed)
        .args(["release", &running.pid().to_string()])
        .stdin(Stdio::null())
        .output()?;
    // 2: no such verb, or it could not.
    if said.status.code() == Some(2) {
        let said = format!(
            "held-free: promised {:.1} MB, which memshed release could not check",
            promised / 1e6
        );
        return Ok((said, None, before));
    }
    let left = running.bytes(RESIDENT)?;
    let check = check(&["held-free"], By::Release, RESIDENT);
    let (said, good) = compared(&check, promised, before - left);
    Ok((said, good, left))
}

fn compared(check: &Check, promised: f64, gained: f64) -> Measured {
    let ratio = gained / promised;
    let good = (1.0 / FACTOR..=FACTOR).contains(&ratio);
    let kinds = check.kinds.join(" and ");
    let said = match check.figure {
        Figure::Collector => format!(
            "{kinds}: promised {:.1} % of the processor time, gave {:.1} %",
            promised * 100.0,
            gained * 100.0
        ),
        _ => format!(
            "{kinds}: promised {:.1} MB, gave {:.1} MB",
            promised / 1e6,
            gained / 1e6
        ),
    };
    (format!("{said} ({ratio:.2} times)"), Some(good))
}

/// Asks for advice.
fn advice(ground: &Ground, pid: i32, seconds: u64) -> Result<Value> {
    let out = ground.scratch("advise")?.join("advice.json");
    let mut running = Command::new(&ground.memshed)
        .args(["advise", &pid.to_string(), "--for", &format!("{seconds}s")])
        .args(["--format", "json", "-o"])
        .arg(&out)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()?;
    let status = child::wait(&mut running, LIMIT)?;
    ensure!(status.success(), "memshed advise {pid}: {status}");
    let text = std::fs::read_to_string(&out).context("reading memshed's output")?;
    Ok(serde_json::from_str(&text)?)
}
