//! `memshed man`: the manual pages.

use super::Status;
use crate::cli::Cli;
use crate::error::CommandError;
use crate::printer::Printer;
use clap::CommandFactory;
use clap_mangen::Man;

/// Writes memshed's own page, or that of one of its commands.
pub fn run(page: Option<&str>, printer: &Printer) -> Result<Status, CommandError> {
    let mut memshed = Cli::command();
    // Gives the commands the global options and their full names.
    memshed.build();
    let command = match page {
        None => memshed.clone(),
        Some(name) => match memshed.find_subcommand(name) {
            Some(command) => command.clone(),
            None => {
                return Err(CommandError::Usage {
                    what: format!("there is no command {name:?}"),
                    hint: "`memshed --help` lists the commands".into(),
                });
            }
        },
    };
    let mut roff = Vec::new();
    // Writing to memory cannot fail.
    let _ = Man::new(command).render(&mut roff);
    printer.raw(&roff)?;
    Ok(Status::Fine)
}
