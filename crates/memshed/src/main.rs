//! The memshed command.

mod checks;
mod cli;
mod collector;
mod commands;
mod ended;
mod error;
mod family;
mod history;
mod interrupt;
mod launch;
mod look;
mod obtain;
mod open;
mod printer;
mod proc;
mod progress;
mod python;
mod release;
mod settings;
mod target;
mod tune;

use anstream::AutoStream;
use clap::Parser;
use std::io::{Read, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    memshed_target::tracer::run_if_asked();
    let cli = cli::Cli::parse();
    let settings = settings::Settings::resolve(&cli.global);
    interrupt::install();
    if cli.global.await_input && std::io::stdin().read(&mut [0]).unwrap_or(0) == 0 {
        // Whoever started memshed has gone, or has changed its mind.
        return ExitCode::from(2);
    }
    let printer = printer::Printer::new(&settings);
    let result = commands::run(&cli.command, &settings, &printer);
    interrupt::yield_to_interrupt();
    match result {
        Ok(status) => ExitCode::from(status as u8),
        Err(error) => {
            let mut out = AutoStream::new(std::io::stderr(), settings.error_color);
            // Nobody listens if standard error is closed; the exit status still tells.
            let _ = writeln!(out, "{}", error.story());
            ExitCode::from(2)
        }
    }
}
