//! Freezes real processes and asks them afterwards whether they have noticed.
//!
//! This program is also the tracer of its own tests and, when told so, a command that is killed
//! in the middle of its work. `MEMSHED_HARM_ROUNDS` sets how often each target is frozen.

mod contents;
mod harm;
mod residency;
mod states;
mod support;

use std::panic;
use std::process::ExitCode;
use std::time::Instant;

type Test = (&'static str, fn());

fn main() -> ExitCode {
    memshed_target::tracer::run_if_asked();
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [role, pid] = args.as_slice()
        && role == harm::LOOK
    {
        return harm::look_until_killed(pid);
    }
    if let [role, pid] = args.as_slice()
        && role == states::LOOK_ONCE
    {
        return states::look_once(pid);
    }
    if let Err(why) = memshed_target::access::ptrace_works() {
        eprintln!("SKIPPED, all of it: ptrace is not permitted here: {why}");
        return ExitCode::SUCCESS;
    }
    let tests: Vec<Test> = [
        contents::TESTS,
        residency::TESTS,
        harm::TESTS,
        states::TESTS,
    ]
    .concat();
    if args.iter().any(|a| a == "--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let filters: Vec<&String> = args.iter().filter(|a| !a.starts_with('-')).collect();
    let chosen = |name: &str| filters.is_empty() || filters.iter().any(|f| name.contains(*f));
    let mut failed = 0;
    for (name, test) in tests.iter().filter(|(name, _)| chosen(name)) {
        let started = Instant::now();
        let good = panic::catch_unwind(test).is_ok();
        failed += u32::from(!good);
        let word = if good { "ok" } else { "FAILED" };
        println!(
            "test {name} ... {word} ({:.1} s)",
            started.elapsed().as_secs_f64()
        );
    }
    println!("test result: {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
