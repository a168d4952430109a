//! `cargo xtask bench`: memshed side by side with its peers, in one run on one machine.

mod look;
mod release;

use crate::accept::ground::Ground;
use anyhow::Result;
use std::process::ExitCode;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// How many objects the heap has; may be given several times.
    #[arg(long = "objects", value_name = "N", default_values_t = [1_000_000, 5_000_000])]
    objects: Vec<usize>,
    /// The interpreter's version, such as 3.12.
    #[arg(long, default_value = "3.12")]
    python: String,
    /// How often each tool is used; medians are told.
    #[arg(long, default_value_t = 3)]
    times: usize,
    /// Only this.
    #[arg(long)]
    only: Option<Part>,
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// Looking at a heap.
    Look,
    /// Having a program give memory back.
    Release,
}

/// Runs the verb.
pub fn run(args: Args) -> Result<ExitCode> {
    let ground = Ground::prepare(false, std::slice::from_ref(&args.python))?;
    let label = ground.one_python().label();
    println!("Python {label}; medians of {}", args.times);
    if args.only != Some(Part::Release) {
        println!("\nA look at a heap\n");
        look::compare(&ground, &args)?;
    }
    if args.only != Some(Part::Look) {
        println!("\nMemory given back, of objects of which all but every 501st were freed\n");
        release::compare(&ground, &args)?;
    }
    Ok(ExitCode::SUCCESS)
}
