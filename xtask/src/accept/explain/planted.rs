//! Row "planted": the programs of row "steady" with one fault each, none of which is a case of
//! `benches/leaks`: it must be found, and be the first finding.

use super::ask::{self, Found};
use super::programs::{CLIENT, DJANGO, FASTAPI, PANDAS, POOL, Program, WORKER};
use crate::accept::ground::Ground;
use crate::accept::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::Result;

const TARGET: &str = "the planted fault is found, first, with the name of what holds on";

/// A fault: where it is, what the program is told, and what the first finding has to say: one of
/// these kinds, and one of these words where it speaks of the holder.
struct Fault {
    program: &'static Program,
    name: &'static str,
    kinds: &'static [&'static str],
    words: &'static [&'static str],
}

const fn fault(
    program: &'static Program,
    name: &'static str,
    kinds: &'static [&'static str],
    words: &'static [&'static str],
) -> Fault {
    Fault {
        program,
        name,
        kinds,
        words,
    }
}

const GROWTH: &[&str] = &["growth"];

const FAULTS: [Fault; 21] = [
    // A signal's receivers that nobody disconnects.
    fault(&DJANGO, "receivers", GROWTH, &["receivers"]),
    // A middleware that keeps each request under its number.
    fault(&DJANGO, "middleware", GROWTH, &["started"]),
    // A dependency that adds each request to a list in the application's state.
    fault(&FASTAPI, "state", GROWTH, &["seen", "_state"]),
    // An exit stack that lives as long as the application.
    fault(&FASTAPI, "exit-stack", GROWTH, &["_exit_callbacks"]),
    // A list that a closure holds.
    fault(&PANDAS, "closure", GROWTH, &["results"]),
    // A list in the frame of a generator that waits.
    fault(&PANDAS, "generator", GROWTH, &["running_mean", "frames"]),
    // Callbacks of a future that is never done.
    fault(&CLIENT, "callbacks", GROWTH, &["callback", "closing"]),
    // A queue that nobody reads.
    fault(&CLIENT, "queue", GROWTH, &["_queue", "events"]),
    // A dictionary with weak keys whose values refer to their keys.
    fault(
        &CLIENT,
        "weak-keys",
        GROWTH,
        &["details", "weakkeydictionary"],
    ),
    // Futures that stay in a dictionary when they are done.
    fault(&POOL, "futures", GROWTH, &["pending"]),
    // A list of the class that was meant to be each instance's own.
    fault(&POOL, "class-list", GROWTH, &["history"]),
    // A handler added to a logger with each task.
    fault(&POOL, "handlers", GROWTH, &["handlers"]),
    // Cycles, and a collector that is switched off.
    fault(&WORKER, "cycles", &["cycle"], &["job", "step"]),
    // Cycles that gc.freeze() has hidden from the collector.
    fault(&WORKER, "freeze", &["cycle"], &["job", "step"]),
    // An lru_cache without bound on a method, which keeps each self.
    fault(&WORKER, "cached-method", GROWTH, &["checksum"]),
    // Classes made for each job, and registered.
    fault(&WORKER, "registry", GROWTH, &["registry"]),
    // Files that are never closed.
    fault(&WORKER, "files", &["growth", "unclosed"], &["opened"]),
    // Threads that never end.
    fault(&WORKER, "threads", GROWTH, &["thread"]),
    // A warning with another text each time.
    fault(&WORKER, "warnings", GROWTH, &["__warningregistry__"]),
    // Each error has the one before as its cause.
    fault(&WORKER, "error-chain", GROWTH, &["last_error", "__cause__"]),
    // Functions to be called at the end, which does not come.
    fault(
        &WORKER,
        "atexit",
        &["growth", "reference-count"],
        &["atexit"],
    ),
];

/// In a quick run.
const QUICK: [&str; 3] = ["futures", "cached-method", "cycles"];

/// Measures the row. Faults of programs that need no packages are spread over the interpreters.
pub fn measure(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for (number, fault) in FAULTS.iter().enumerate() {
        if ground.quick && !QUICK.contains(&fault.name) {
            continue;
        }
        let python = if fault.program.is_plain() {
            &ground.pythons[number % ground.pythons.len()]
        } else {
            ground.one_python()
        };
        let on_what = format!("{}: {}, {}", fault.program.name, fault.name, python.label());
        findings.push(match on(ground, python, fault) {
            Ok((measured, good)) => Finding::new("planted", on_what, TARGET, measured, good),
            Err(why) => Finding::not_measured("planted", on_what, TARGET, format!("{why:#}")),
        });
    }
    Ok(findings)
}

fn on(ground: &Ground, python: &Interpreter, fault: &Fault) -> Result<(String, bool)> {
    let running = fault.program.start(ground, python, fault.name)?;
    let found = ask::leaks(ground, running.pid(), ground.count(15, 10));
    running.end()?;
    Ok(judge(&found?, fault))
}

fn judge(found: &[Found], fault: &Fault) -> (String, bool) {
    let is_right = |one: &Found| fault.kinds.contains(&one.kind()) && one.names(fault.words);
    let told: Vec<_> = found.iter().take(3).map(Found::told).collect();
    let measured = match found.iter().position(is_right) {
        Some(0) => format!("first: {}", told[0]),
        Some(at) => format!("only number {}: {}", at + 1, told.join(" | ")),
        None => format!(
            "not found ({} of {} wanted): {}",
            fault.kinds.join(" or "),
            fault.words.join(" or "),
            told.join(" | ")
        ),
    };
    (measured, found.first().is_some_and(is_right))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(findings: &[(&str, &str)]) -> Vec<Found> {
        let findings: Vec<_> = findings
            .iter()
            .map(|(kind, holder)| {
                serde_json::json!({
                    "kind": kind, "title": "words", "bytes": 1, "bytes_per_second": 1.0, "count": 1,
                    "types": ["list"], "holder": holder, "path": [], "locations": [],
                    "evidence": [], "fix": "words", "confidence": "high",
                })
            })
            .collect();
        let answer = serde_json::json!({"schema": 1, "process": {}, "findings": findings});
        ask::findings(&answer).expect("it has all that is promised")
    }

    #[test]
    fn only_the_first_finding_counts() {
        let fault = fault(&POOL, "futures", GROWTH, &["pending"]);
        let good = |findings| judge(&found(findings), &fault).1;
        assert!(good(&[("growth", "__main__.PENDING"), ("native", "x")]));
        assert!(!good(&[("native", "x"), ("growth", "__main__.pending")]));
        assert!(!good(&[("cycle", "__main__.pending")]));
        assert!(!good(&[("growth", "__main__.other")]));
        assert!(!good(&[]));
    }

    #[test]
    fn a_finding_that_lacks_a_field_is_refused() {
        let lacking =
            serde_json::json!({"schema": 1, "process": {}, "findings": [{"kind": "growth"}]});
        assert!(ask::findings(&lacking).is_err());
        assert!(ask::findings(&serde_json::json!({"schema": 1, "process": {}})).is_err());
    }
}
