//! Which processes are Python, as far as can be told without freezing them.

use crate::proc::ProcessInfo;
use memshed_cpython::identify;
use std::path::Path;

/// What a Python process runs, and whether memshed can read it.
#[derive(Clone, Debug)]
pub struct Python {
    /// Version such as `3.12.1`, after the implementation if that is not CPython; empty if it
    /// could not be told.
    pub version: String,
    /// Why memshed cannot read this build, if so.
    pub unsupported: Option<String>,
}

/// What a process runs if it is Python; `None` if it is not.
pub fn python(info: &ProcessInfo) -> Option<Python> {
    match identify(&info.process) {
        Ok(Some(identity)) => Some(Python {
            version: match identity.implementation {
                "CPython" => identity.version,
                other => format!("{other} {}", identity.version),
            },
            unsupported: identity.program.err(),
        }),
        Ok(None) => None,
        Err(_) => by_name(info),
    }
}

/// Where the kernel does not show what another user's process executes, its command line still
/// tells what it was started as.
fn by_name(info: &ProcessInfo) -> Option<Python> {
    let path = Path::new(info.command_line.first()?);
    let name = path.file_name()?.to_str()?;
    let is_python = ["python", "pypy"]
        .iter()
        .any(|prefix| name.starts_with(prefix));
    is_python.then(|| Python {
        version: String::new(),
        unsupported: None,
    })
}
