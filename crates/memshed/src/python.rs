//! Which processes are Python, as far as can be told without freezing them.

use crate::proc::ProcessInfo;
use std::path::{Path, PathBuf};

/// What a Python process runs, and whether memshed can read it.
#[derive(Clone, Debug)]
pub struct Python {
    /// Version and build, such as `3.12.1`; empty if it could not be told.
    pub version: String,
    /// Why memshed cannot read this build, if so.
    pub unsupported: Option<String>,
}

/// What `process` runs if it is Python; `None` if it is not.
pub fn identify(info: &ProcessInfo) -> Option<Python> {
    // Where the kernel does not show what another user's process executes, its command line
    // still tells what it was started as.
    let started_as = info.command_line.first().map(PathBuf::from);
    let executable = info.executable.clone().or(started_as)?;
    let mappings = info.process.mappings().unwrap_or_default();
    let files = mappings.iter().filter(|mapping| mapping.has_file());
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_string());
    let interpreter = |name: &String| {
        ["libpython", "python", "pypy", "libpypy"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    let found = std::iter::once(name(&executable))
        .chain(files.map(|mapping| name(Path::new(mapping.file_path()))))
        .flatten()
        .find(interpreter)?;
    Some(Python {
        version: version(&found),
        unsupported: None,
    })
}

/// The version in a name such as `python3.11` or `libpython3.12.so.1.0`.
fn version(name: &str) -> String {
    let from = name
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(name.len());
    let digits = name[from..].split(|c: char| !c.is_ascii_digit());
    digits.take(2).collect::<Vec<_>>().join(".")
}
