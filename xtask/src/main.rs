//! Chores that developers do twice: `cargo xtask VERB`, one module for each verb.

mod accept;
mod bench;
#[cfg(test)]
mod example;
mod fuzz;
mod interpreters;
mod layouts;
mod package;
mod pythons;
mod test;
mod tidy;
mod wheel;

use clap::Parser;
use std::process::ExitCode;

/// Chores that developers do twice.
#[derive(Parser)]
#[command(name = "cargo xtask")]
enum Verb {
    /// Generate the layout tables from the headers of the interpreters at hand.
    Layouts(layouts::Args),
    /// Bring interpreters that the machine lacks into target/pythons.
    Pythons(pythons::Args),
    /// Measure memshed side by side with its peers.
    Bench(bench::Args),
    /// Measure what an issue promises, row by row.
    Accept(accept::Args),
    /// Run the whole suite on every interpreter found.
    Test(test::Args),
    /// Run the fuzz targets.
    Fuzz(fuzz::Args),
    /// Check the invariants of ARCHITECTURE.md.
    Tidy(tidy::Args),
    /// Build the wheel and check its tag, its binary and its command.
    Wheel(wheel::Args),
}

fn main() -> ExitCode {
    let done = match Verb::parse() {
        Verb::Fuzz(args) => fuzz::run(args),
        Verb::Layouts(args) => layouts::run(args),
        Verb::Pythons(args) => pythons::run(args),
        Verb::Bench(args) => bench::run(args),
        Verb::Accept(args) => accept::run(args),
        Verb::Test(args) => test::run(args),
        Verb::Tidy(args) => tidy::run(args),
        Verb::Wheel(args) => wheel::run(args),
    };
    match done {
        Ok(status) => status,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::from(2)
        }
    }
}
