//! `memshed schema`: the JSON schema of what `memshed inspect --format json` writes.

use super::Status;
use crate::error::CommandError;
use crate::printer::Printer;

/// Writes the schema.
pub fn run(printer: &Printer) -> Result<Status, CommandError> {
    printer.raw(memshed_report::INSPECT_SCHEMA.as_bytes())?;
    Ok(Status::Fine)
}
