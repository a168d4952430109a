//! From a TARGET to its heap, whatever the target is.

use crate::cli::{FreezeMethod, LookArgs, TargetArgs};
use crate::error::CommandError;
use crate::launch::Launched;
use crate::look::{LookOptions, look};
use crate::printer::Printer;
use crate::progress::Stages;
use crate::target::{self, Target};
use memshed_heap::snapshot::{ReadEdges, read};
use memshed_heap::{Heap, Method};
use std::path::Path;

/// The heap of the target that the user named, or of the command that is to be started.
pub fn heap(
    target: &TargetArgs,
    options: &LookArgs,
    want_edges: bool,
    printer: &Printer,
) -> Result<Heap, CommandError> {
    if target.target.is_some() && target.run_for.is_some() {
        return Err(CommandError::Usage {
            what: "--for says when to look at a COMMAND".into(),
            hint: "with --every it says for how long to look at any target".into(),
        });
    }
    match &target.target {
        None => {
            let options = self::options(options, want_edges);
            started(target, &options, &printer.stages(), printer)
        }
        Some(name) => found(&target::find(name)?, options, want_edges, printer),
    }
}

/// The heap of a target that was found already.
pub fn found(
    target: &Target,
    options: &LookArgs,
    want_edges: bool,
    printer: &Printer,
) -> Result<Heap, CommandError> {
    let stages = printer.stages();
    match target {
        Target::Process(pid) => Ok(look(*pid, &self::options(options, want_edges), &stages)?),
        Target::Snapshot(path) => snapshot(path, want_edges, options.values),
    }
}

/// How a process is to be looked at, as the user said it.
pub fn options(options: &LookArgs, want_edges: bool) -> LookOptions {
    LookOptions {
        method: options.method.map(|method| match method {
            FreezeMethod::Fork => Method::Fork,
            FreezeMethod::Pause => Method::Pause,
        }),
        max_stop: options.max_stop,
        values: options.values,
        want_edges,
        duplicates: false,
        advice: false,
        fingerprints: false,
    }
}

/// Starts a command, waits until it is due, looks at it and ends it.
fn started(
    target: &TargetArgs,
    options: &LookOptions,
    stages: &Stages,
    printer: &Printer,
) -> Result<Heap, CommandError> {
    let launched = Launched::start(&target.command, target.run_for)?;
    printer.remark(&format!("looking at process {}", launched.pid));
    Ok(look(launched.pid, options, stages)?)
}

/// Reads a snapshot. How it was taken moves into the reason, since this look is of a file.
pub fn snapshot(path: &Path, want_edges: bool, values: bool) -> Result<Heap, CommandError> {
    let edges = match want_edges {
        true => ReadEdges::Load,
        false => ReadEdges::Skip,
    };
    let mut heap = read(path, edges)?;
    match (values, &heap.previews) {
        (true, None) => {
            return Err(CommandError::Usage {
                what: format!("{} holds no contents", path.display()),
                hint: "it was taken without --values".into(),
            });
        }
        (true, Some(_)) => {}
        (false, _) => heap.previews = None,
    }
    let taken = match heap.snapshot.method {
        Method::Fork => "of a forked copy",
        Method::Pause => "during a pause",
        Method::Core => "of a core file",
        Method::File => "of a snapshot",
    };
    heap.snapshot.method = Method::File;
    heap.snapshot.method_reason = Some(taken.to_string());
    Ok(heap)
}
