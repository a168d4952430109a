//! `memshed ps`: the Python processes of this machine.

use super::Status;
use crate::checks::process::why_not;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::proc::{self, ProcessInfo};
use crate::python;
use memshed_report::{PsRow, PsView};

/// Lists them.
pub fn run(printer: &Printer) -> Result<Status, CommandError> {
    let rows = ProcessInfo::all().filter_map(row).collect();
    printer.report(&PsView::new(rows))?;
    Ok(Status::Fine)
}

/// The row of a process, if it is Python.
fn row(info: ProcessInfo) -> Option<PsRow> {
    let python = python::python(&info)?;
    let why_not = python.unsupported.or_else(|| why_not(&info.process));
    let script = match proc::script(&info.command_line) {
        script if script.is_empty() => info.status.comm.clone(),
        script => script,
    };
    Some(PsRow {
        pid: info.pid(),
        python: python.version,
        rss_bytes: info.status.rss,
        uptime_seconds: info.process.uptime().unwrap_or_default().as_secs_f64(),
        user: proc::user_name(info.status.uid),
        script,
        can_look: why_not.is_none(),
        why_not,
    })
}
