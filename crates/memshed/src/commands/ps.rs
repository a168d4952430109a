//! `memshed ps`: the Python processes of this machine.

use super::Status;
use crate::checks::process::why_not;
use crate::error::CommandError;
use crate::printer::Printer;
use crate::{proc, python};
use memshed_report::{PsRow, PsView};

/// Lists them.
pub fn run(printer: &Printer) -> Result<Status, CommandError> {
    let rows = proc::pids()
        .into_iter()
        .filter_map(proc::info)
        .filter_map(row)
        .collect();
    printer.report(&PsView::new(rows))?;
    Ok(Status::Fine)
}

/// The row of a process, if it is Python.
fn row(process: proc::ProcessInfo) -> Option<PsRow> {
    let python = python::identify(&process)?;
    let why_not = python.unsupported.or_else(|| why_not(process.pid));
    let script = match proc::script(&process.command_line) {
        script if script.is_empty() => process.comm.clone(),
        script => script,
    };
    Some(PsRow {
        pid: process.pid,
        python: python.version,
        rss_bytes: process.rss_bytes,
        uptime_seconds: process.uptime_seconds,
        user: proc::user_name(process.uid),
        script,
        can_look: why_not.is_none(),
        why_not,
    })
}
