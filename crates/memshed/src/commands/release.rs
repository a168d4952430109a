//! `memshed release`: have a running process give memory back to the system.

use super::{Status, supervise};
use crate::cli::ReleaseArgs;
use crate::error::{CommandError, TargetError};
use crate::look::{LookOptions, look};
use crate::printer::Printer;
use crate::release::{self, Wanted};
use crate::target::{self, Target};

/// Has the process give memory back, and says what came of it.
pub fn run(args: &ReleaseArgs, printer: &Printer) -> Result<Status, CommandError> {
    let pid = match target::find(&args.target)? {
        Target::Process(pid) => pid,
        Target::Snapshot(path) => return Err(TargetError::NotAProcess(path).into()),
    };
    let wanted = Wanted {
        dry_run: args.dry_run,
        hard: args.hard,
        undo: args.undo,
        collect: args.collect,
        caches: args.caches.clone(),
        least: 0,
    };
    if let Some(every) = args.every {
        return supervise::run(pid, &wanted, every, args, printer);
    }
    let stages = printer.stages();
    // Before anything is emptied one wants to see what there is.
    let caches = match args.dry_run && !args.caches.is_empty() {
        true => look(pid, &LookOptions::default(), &stages)?.caches,
        false => Vec::new(),
    };
    let target = release::Target::open(pid)?;
    let mut view = release::release(&target, &wanted, &stages)?;
    view.list_caches(&caches);
    drop(stages);
    printer.report(&view)?;
    Ok(Status::Fine)
}
