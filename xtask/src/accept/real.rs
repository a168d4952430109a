//! Row "real": programs that people run, busy, each looked at 20 times; none may fail a request.

use super::child::Target;
use super::ground::Ground;
use super::load::{Load, failures};
use super::look;
use super::table::Finding;
use super::venv;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result};
use std::path::PathBuf;
use std::time::Duration;

const TARGET: &str = "20 looks while busy, 0 failed requests";

/// A program: its script below `acceptance/`, what it needs from the package index, types that a
/// look must find, and the path to ask for if it serves.
struct Program {
    name: &'static str,
    script: &'static str,
    packages: &'static [&'static str],
    types: &'static [&'static str],
    path: Option<&'static str>,
}

const PROGRAMS: [Program; 7] = [
    Program {
        name: "FastAPI",
        script: "real_fastapi.py",
        packages: &["fastapi", "uvicorn"],
        types: &["fastapi.routing.APIRoute", "__main__.Item"],
        path: Some("/items/7"),
    },
    Program {
        name: "Django",
        script: "real_django.py",
        packages: &["django"],
        types: &["django.urls.resolvers.URLPattern", "dict"],
        path: Some("/items/7"),
    },
    Program {
        name: "pandas job",
        script: "real_pandas.py",
        packages: &["pandas>=3"],
        types: &["pandas.DataFrame", "numpy.ndarray"],
        path: None,
    },
    Program {
        name: "worker with threads",
        script: "real_worker.py",
        packages: &[],
        types: &["__main__.Job", "threading.Thread"],
        path: None,
    },
    Program {
        name: "asyncio client",
        script: "real_client.py",
        packages: &[],
        types: &["__main__.Answer", "_asyncio.Task"],
        path: None,
    },
    Program {
        name: "aiohttp client",
        script: "real_aiohttp.py",
        packages: &["aiohttp"],
        types: &["aiohttp.client.ClientSession", "_asyncio.Task"],
        path: None,
    },
    Program {
        name: "notebook kernel",
        script: "real_kernel.py",
        packages: &["ipykernel", "jupyter_client"],
        types: &["ipykernel.zmqshell.ZMQInteractiveShell", "dict"],
        path: None,
    },
];

/// Measures the row: on one interpreter, and what needs no packages on all.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for program in &PROGRAMS {
        let plain = program.packages.is_empty();
        if ground.quick && !plain {
            continue;
        }
        let pythons = if plain {
            &ground.pythons[..]
        } else {
            std::slice::from_ref(ground.one_python())
        };
        for python in pythons {
            let on_what = format!("{}, {}", program.name, python.label());
            findings.push(match on(ground, python, program) {
                Ok((measured, good)) => Finding::new("real", on_what, TARGET, measured, good),
                Err(why) => Finding::not_measured("real", on_what, TARGET, format!("{why:#}")),
            });
        }
    }
    Ok(findings)
}

fn interpreter(ground: &Ground, python: &Interpreter, program: &Program) -> Result<PathBuf> {
    if program.packages.is_empty() {
        return Ok(python.path.clone());
    }
    let name = program.script.trim_end_matches(".py");
    venv::python(ground, python, name, program.packages)
}

/// The protocol: the program prints "ready PID PORT" when it is busy (PORT 0 if it serves
/// nothing), and after a line on its standard input "done FAILURES ROUNDS".
fn on(ground: &Ground, python: &Interpreter, program: &Program) -> Result<(String, bool)> {
    let interpreter = interpreter(ground, python, program)?;
    let mut target = Target::python(&interpreter, &ground.program(program.script), &[])?;
    let ready = target.expect("ready", Duration::from_secs(120))?;
    let (pid, port) = ready.split_once(' ').context("no pid and port")?;
    let (pid, port): (i32, u16) = (pid.parse()?, port.parse()?);
    let load = program.path.map(|path| Load::start(port, path, 4));

    let mut problems = Vec::new();
    let (mut methods, mut longest, mut seconds) = (Vec::new(), 0f64, 0f64);
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        let look = match look::inspect(ground, pid, &[]) {
            Ok(look) => look,
            Err(why) => {
                problems.push(format!("{why:#}"));
                continue;
            }
        };
        longest = longest.max(look.stopped_ms());
        seconds = seconds.max(look.wall.as_secs_f64());
        if !methods.contains(&look.method().to_owned()) {
            methods.push(look.method().to_owned());
        }
        if !look.memory_sums() {
            problems.push("memory does not sum to rss_bytes, or lacks unexplained".into());
        }
        for name in program.types {
            if look.type_row(name).is_none() {
                problems.push(format!("no {name} among the types"));
            }
        }
    }
    let requests = load.map(Load::finish).unwrap_or_default();
    let (failed, first) = failures(&requests);
    let done = target.ask("stop", "done", Duration::from_secs(60))?;
    let (own_failures, rounds) = done.split_once(' ').context("no counts")?;
    let (own_failures, rounds): (u64, u64) = (own_failures.parse()?, rounds.parse()?);
    let good = problems.is_empty()
        && failed == 0
        && own_failures == 0
        && rounds + requests.len() as u64 > 0;
    let wrong = problems.len();
    problems.dedup();
    problems.truncate(4);
    Ok((
        format!(
            "20 looks by {}, longest stop {longest:.1} ms, longest look {seconds:.2} s; {} requests, {failed} failed {first}; \
             {rounds} rounds of its own, {own_failures} failed; {wrong} problems {}",
            methods.join(", "),
            requests.len(),
            problems.join("; "),
        ),
        good,
    ))
}
