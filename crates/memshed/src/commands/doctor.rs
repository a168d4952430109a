//! `memshed doctor`: what works here, and what to change where it does not.

use super::Status;
use crate::checks::{machine, process};
use crate::cli::DoctorArgs;
use crate::error::{CommandError, TargetError};
use crate::printer::Printer;
use crate::settings::Settings;
use crate::target::{self, Target};
use memshed_report::DoctorView;
use std::ffi::OsStr;

/// Checks the machine, and a process if one is named.
pub fn run(
    args: &DoctorArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<Status, CommandError> {
    let pid = match &args.pid {
        None => None,
        Some(name) => match target::find(OsStr::new(name))? {
            Target::Process(pid) => Some(pid),
            Target::Snapshot(path) => return Err(TargetError::NotAProcess(path).into()),
        },
    };
    let mut checks = machine::checks(settings.virtual_env.as_deref());
    if let Some(pid) = pid {
        checks.extend(process::checks(pid));
    }
    let view = DoctorView::new(pid, checks);
    printer.report(&view)?;
    match view.can_look {
        true => Ok(Status::Fine),
        false => Ok(Status::CouldNot),
    }
}
