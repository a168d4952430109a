//! `cargo xtask test`: everything that has to hold, on every interpreter found: formatting, lints,
//! the tests of all crates, the invariants of the tree, and a quick acceptance run.

use crate::accept::ground::workspace;
use crate::interpreters;
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

    let mut steps: Vec<(&str, Vec<&str>)> = vec![
        ("format", vec!["fmt", "--all", "--check"]),
        (
            "lints",
            vec![
                "clippy",
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "--deny",
                "warnings",
            ],
        ),
        // Acceptance and some tests run the command as users do; tests get its path from cargo.
        (
            "build",
            vec!["build", "--release", "--quiet", "--package", "memshed"],
        ),
    ];
    // Not nextest: the plain runner is there wherever cargo is, and closes each binary with a
    // line of counts.
    steps.push(("tests", vec!["test", "--workspace", "--no-fail-fast"]));
    steps.push(("tidy", vec!["xtask", "tidy"]));
    if !args.no_accept {
        steps.push((
            "acceptance",
            vec!["xtask", "accept", "first-light", "--quick"],
        ));
    }

    let mut told = Vec::new();
    let mut failed = 0;
    for (name, step) in &steps {
        eprintln!("test: {name}: cargo {}", step.join(" "));
        let began = Instant::now();
        let good = cargo(&root, step)?;
        failed += usize::from(!good);
        let verdict = if good { "passed" } else { "FAILED" };
        told.push(format!(
            "{name}: {verdict} ({:.0} s)",
            began.elapsed().as_secs_f64()
        ));
    }
    println!("{}", told.join("\n"));
    println!("{} of {} steps passed", steps.len() - failed, steps.len());
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn cargo(root: &Path, args: &[&str]) -> Result<bool> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo).args(args).current_dir(root).status();
    Ok(status.context("running cargo")?.success())
}
