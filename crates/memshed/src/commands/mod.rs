//! The verbs, one file each. A command is one function: resolved settings and a printer in, an
//! exit status out.

mod advise;
mod completions;
mod diff;
mod doctor;
mod inspect;
mod leaks;
mod man;
mod ps;
mod release;
mod schema;
mod snapshot;
mod supervise;
mod tune;
mod watch;
mod why;

use crate::cli::Command;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::settings::Settings;

/// How a command ended when nothing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Fine.
    Fine = 0,
    /// There is what the user asked to be told of by the exit status.
    Findings = 1,
    /// It could not do what it was asked, and has said why in its result.
    CouldNot = 2,
}

/// Runs a command.
pub fn run(
    command: &Command,
    settings: &Settings,
    printer: &Printer,
) -> Result<Status, CommandError> {
    match command {
        Command::Inspect(args) => inspect::run(args, printer),
        Command::Snapshot(args) => snapshot::run(args, settings, printer),
        Command::Leaks(args) => leaks::run(args, printer),
        Command::Diff(args) => diff::run(args, printer),
        Command::Why(args) => why::run(args, printer),
        Command::Release(args) => release::run(args, printer),
        Command::Advise(args) => advise::run(args, printer),
        Command::Tune(args) => tune::run(args, printer),
        Command::Ps => ps::run(printer),
        Command::Doctor(args) => doctor::run(args, settings, printer),
        Command::Completions { shell } => completions::run(*shell, printer),
        Command::Schema { of } => schema::run(*of, printer),
        Command::Man { page } => man::run(page.as_deref(), printer),
    }
}
