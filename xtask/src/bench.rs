//! `cargo xtask bench`.

use anyhow::Result;
use std::process::ExitCode;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {}

/// Runs the verb.
pub fn run(_: Args) -> Result<ExitCode> {
    anyhow::bail!("not built yet")
}
