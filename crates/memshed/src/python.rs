//! Which processes are Python, as far as can be told without freezing them.

use crate::proc::{self, ProcessInfo};
use std::path::Path;

/// What a Python process runs, and whether memshed can read it.
#[derive(Clone, Debug)]
pub struct Python {
    /// Version and build, such as `3.12.1`; empty if it could not be told.
    pub version: String,
    /// Why memshed cannot read this build, if so.
    pub unsupported: Option<String>,
}

/// What `process` runs if it is Python; `None` if it is not.
pub fn identify(process: &ProcessInfo) -> Option<Python> {
    let executable = process.executable.as_deref()?;
    let name = |path: &Path| Some(path.file_name()?.to_str()?.to_string());
    let interpreter = |name: &str| {
        ["libpython", "python", "pypy", "libpypy"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    let names = std::iter::once(executable.to_owned()).chain(proc::mapped_files(process.pid));
    let found = names
        .filter_map(|path| name(&path))
        .find(|name| interpreter(name))?;
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
