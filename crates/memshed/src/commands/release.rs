//! `memshed release`: have a running process give memory back to the system.

use super::{Status, supervise};
use crate::cli::ReleaseArgs;
use crate::error::{CommandError, TargetError};
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
    };
    if let Some(every) = args.every {
        return supervise::run(pid, &wanted, every, args, printer);
    }
    let stages = printer.stages();
    let target = release::Target::open(pid)?;
    let view = release::release(&target, &wanted, &stages)?;
    drop(stages);
    printer.report(&view)?;
    Ok(Status::Fine)
}
