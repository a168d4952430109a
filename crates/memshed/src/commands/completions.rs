//! `memshed completions`: a completion script for a shell.

use super::Status;
use crate::cli::Cli;
use crate::error::CommandError;
use crate::printer::Printer;
use clap::CommandFactory;
use clap_complete::Shell;

/// Writes the script.
pub fn run(shell: Shell, printer: &Printer) -> Result<Status, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "memshed", &mut script);
    printer.raw(&script)?;
    Ok(Status::Fine)
}
