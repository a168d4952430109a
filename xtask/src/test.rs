//! `cargo xtask test`: everything that has to hold, on every interpreter found: formatting, lints,
//! the tests of all crates and of the Python package, the invariants of the tree, and a quick
//! acceptance run.

use crate::accept::ground::workspace;
use crate::{interpreters, package};
use anyhow::{Context, Result};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::Instant;

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Leave the acceptance run out.
    #[arg(long)]
    no_accept: bool,
}

/// Runs the verb: all steps, also after one has failed; 1 if one has.
pub fn run(args: Args) -> Result<ExitCode> {
    let root = workspace();
    // What is missing is named on standard error.
    let found = interpreters::supported();
    let labels: Vec<_> = found.iter().map(|one| one.label()).collect();
    eprintln!("test: interpreters: {}", labels.join(", "));

    let mut steps: Vec<(&str, &str)> = vec![
        ("format", "fmt --all --check"),
        (
            "lints",
            "clippy --workspace --all-targets --quiet -- --deny warnings",
        ),
        // Acceptance and some tests run the command as users do; tests get its path from cargo.
        ("build", "build --release --quiet --package memshed"),
        // Not nextest: the plain runner is there wherever cargo is, and closes each binary with a
        // line of counts.
        ("tests", "test --workspace --no-fail-fast"),
        ("tidy", "xtask tidy"),
    ];
    if !args.no_accept {
        // The rows whose outcome does not depend on how busy the machine is.
        steps.push((
            "acceptance",
            "xtask accept first-light --quick --row objects --row edges --row pools --row bad-input",
        ));
    }

    let mut told = Vec::new();
    let mut failed = 0;
    for (name, step) in &steps {
        eprintln!("test: {name}: cargo {step}");
        let began = Instant::now();
        let good = cargo(&root, &step.split(' ').collect::<Vec<_>>())?;
        failed += usize::from(!good);
        let verdict = if good { "passed" } else { "FAILED" };
        told.push(format!(
            "{name}: {verdict} ({:.0} s)",
            began.elapsed().as_secs_f64()
        ));
    }
    // Not a verb of cargo's; on the binary that was built above.
    let began = Instant::now();
    let good = package::test(&root, &found)?;
    failed += usize::from(!good);
    let verdict = if good { "passed" } else { "FAILED" };
    told.push(format!(
        "package: {verdict} ({:.0} s)",
        began.elapsed().as_secs_f64()
    ));
    println!("{}", told.join("\n"));
    println!("{} of {} steps passed", told.len() - failed, told.len());
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn cargo(root: &Path, args: &[&str]) -> Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(args).current_dir(root).status();
    Ok(status.context("running cargo")?.success())
}
