//! `memshed inspect`: where the memory of a Python program is.

use super::{Status, watch};
use crate::cli::InspectArgs;
use crate::error::CommandError;
use crate::obtain;
use crate::printer::Printer;
use memshed_report::{InspectView, Options};

/// Looks and reports.
pub fn run(args: &InspectArgs, printer: &Printer) -> Result<Status, CommandError> {
    if let Some(every) = args.every {
        return watch::run(args, every, printer);
    }
    let heap = obtain::heap(&args.target, &args.look, false, printer)?;
    let options = Options {
        top: args.top,
        sort: args.sort.into(),
        filter: args.filter.clone(),
        by_module: args.by_module,
    };
    printer.report(&InspectView::from_heap(&heap, &options))?;
    Ok(Status::Fine)
}
