//! `cargo xtask test`.

use anyhow::Result;
use std::process::ExitCode;

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the verb.
pub fn run(_: Args) -> Result<ExitCode> {
    anyhow::bail!("not built yet")
}
