//! `memshed snapshot`: keep the heap of a Python program for later.

use super::Status;
use crate::cli::SnapshotArgs;
use crate::error::CommandError;
use crate::interrupt::OnInterrupt;
use crate::look::Progress;
use crate::obtain;
use crate::printer::Printer;
use crate::settings::Settings;
use memshed_heap::SnapshotError;
use memshed_heap::snapshot::{Existing, is_snapshot, write};
use memshed_report::SnapshotView;
use std::path::Path;

/// Looks, writes the snapshot and says so.
pub fn run(
    args: &SnapshotArgs,
    settings: &Settings,
    printer: &Printer,
) -> Result<Status, CommandError> {
    let Some(path) = &settings.output else {
        return Err(CommandError::Usage {
            what: "a snapshot needs a name".into(),
            hint: "`memshed snapshot TARGET -o NAME` makes the directory NAME".into(),
        });
    };
    // Known before anybody has to stand still.
    if path.symlink_metadata().is_ok() && !(args.overwrite && is_snapshot(path)) {
        return Err(SnapshotError::Exists(path.clone()).into());
    }
    let existing = match args.overwrite {
        true => Existing::Overwrite,
        false => Existing::Keep,
    };
    let heap = obtain::heap(&args.target, &args.look, true, printer)?;
    let stages = printer.stages();
    stages.stage("writing the snapshot");
    let unfinished = path.clone();
    let _undo = OnInterrupt::new(move || remove_unfinished(&unfinished));
    write(&heap, path, existing)?;
    drop(stages);
    let name = path.display().to_string();
    printer.summary(&SnapshotView::new(&heap, &name, size_of(path)))?;
    Ok(Status::Fine)
}

/// Removes what this process has written of the snapshot `path` under a temporary name,
/// `.NAME.memshed-PID-…`; the next snapshot of that name would do so, too.
fn remove_unfinished(path: &Path) {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return;
    };
    let here = parent.as_os_str().is_empty();
    let parent = if here { Path::new(".") } else { parent };
    let prefix = format!(
        ".{}.memshed-{}-",
        name.to_string_lossy(),
        std::process::id()
    );
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// Bytes of the files in a directory.
fn size_of(directory: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(directory) else {
        return 0;
    };
    entries
        .filter_map(|entry| entry.ok()?.metadata().ok())
        .map(|metadata| metadata.len())
        .sum()
}
