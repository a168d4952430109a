//! `memshed diff`: what has changed from one look at a Python program to a later one.

use super::Status;
use crate::cli::{DiffArgs, LookArgs};
use crate::error::CommandError;
use crate::obtain;
use crate::printer::Printer;
use crate::target::{self, Target};
use memshed_report::{DiffOptions, DiffView};
use std::path::Path;

/// Reads or looks at both, compares and reports.
pub fn run(args: &DiffArgs, printer: &Printer) -> Result<Status, CommandError> {
    // Both are found before either is read: a mistyped name is told at once.
    let (old, new) = (target::find(&args.old)?, target::find(&args.new)?);
    check(&old, &new)?;
    // What things contain does not matter here.
    let look = LookArgs {
        method: args.method,
        max_stop: args.max_stop,
        values: false,
    };
    let old = obtain::found(&old, &look, false, printer)?;
    let new = obtain::found(&new, &look, false, printer)?;
    let options = DiffOptions {
        top: args.top,
        sort: args.sort.into(),
        filter: args.filter.clone(),
        new_name: args.new.to_string_lossy().into_owned(),
    };
    printer.report(&DiffView::from_heaps(&old, &new, &options))?;
    Ok(Status::Fine)
}

/// Whether the two can be compared at all.
fn check(old: &Target, new: &Target) -> Result<(), CommandError> {
    let same = |a: &Path, b: &Path| match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => a == b,
    };
    match (old, new) {
        (Target::Process(pid), _) => Err(CommandError::Usage {
            what: format!("process {pid} is as it is now: OLD must be a snapshot of earlier"),
            hint: format!(
                "`memshed snapshot {pid} -o before` now, then some time later \
                 `memshed diff before {pid}`"
            ),
        }),
        (Target::Snapshot(a), Target::Snapshot(b)) if same(a, b) => Err(CommandError::Usage {
            what: format!("{} cannot be compared with itself", a.display()),
            hint: "name two snapshots, the earlier one first, or a snapshot and a process".into(),
        }),
        _ => Ok(()),
    }
}
