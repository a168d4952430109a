//! `memshed schema`: the JSON schemas of what commands write with `--format json`.

use super::Status;
use crate::cli::SchemaOf;
use crate::error::CommandError;
use crate::printer::Printer;

/// Writes the schema of a command's JSON.
pub fn run(of: SchemaOf, printer: &Printer) -> Result<Status, CommandError> {
    let schema = match of {
        SchemaOf::Inspect => memshed_report::INSPECT_SCHEMA,
        SchemaOf::Leaks => memshed_report::LEAKS_SCHEMA,
        SchemaOf::Diff => memshed_report::DIFF_SCHEMA,
        SchemaOf::Why => memshed_report::WHY_SCHEMA,
        SchemaOf::Release => memshed_report::RELEASE_SCHEMA,
        SchemaOf::Advise => memshed_report::ADVISE_SCHEMA,
        SchemaOf::Tune => memshed_report::TUNE_SCHEMA,
    };
    printer.raw(schema.as_bytes())?;
    Ok(Status::Fine)
}
