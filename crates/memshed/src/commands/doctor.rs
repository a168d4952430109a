//! `memshed doctor`: what works here, and what to change where it does not.

use super::Status;
use crate::checks::{machine, process};
use crate::cli::DoctorArgs;
use crate::error::{CommandError, LookError, TargetError};
use crate::printer::Printer;
use crate::settings::Settings;
use crate::target::{self, Target};
use memshed_report::DoctorView;
use memshed_target::Process;
use std::ffi::OsStr;

/// Checks the machine, and a process if one is named.
pub fn run(
    args: &DoctorArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<Status, CommandError> {
    let process = match &args.pid {
        None => None,
        Some(name) => match target::find(OsStr::new(name))? {
            Target::Process(pid) => {
                Some(Process::open(pid).map_err(|_| LookError::NoSuchProcess(pid))?)
            }
            Target::Snapshot(path) => return Err(TargetError::NotAProcess(path).into()),
        },
    };
    let mut checks = machine::checks(settings.virtual_env.as_deref());
    if let Some(process) = &process {
        checks.extend(process::checks(process));
    }
    let view = DoctorView::new(process.map(|process| process.pid()), checks);
    printer.report(&view)?;
    match view.can_look {
        true => Ok(Status::Fine),
        false => Ok(Status::CouldNot),
    }
}
