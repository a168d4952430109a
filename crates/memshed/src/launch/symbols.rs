//! Where a process has the symbols that tell that it is Python, and when it ends.

use super::trace::word;
use memshed_cpython::layouts::{Build, layout_for};
use memshed_target::{Process, RemoteAddr, elf};
use std::collections::HashMap;
use std::path::Path;

/// A Python process at its first instruction.
#[derive(Clone, Copy, Debug)]
pub struct Python {
    /// Address of the word that becomes non-zero when the interpreter begins to end, with all
    /// objects still in place; `None` for versions that memshed cannot read.
    pub finalizing: Option<u64>,
    /// Address of `_exit`, for programs that end without more ado.
    pub exit: Option<u64>,
}

/// What `pid`, stopped before its program's first instruction with its libraries in place, is
/// if it is Python.
pub fn python(pid: i32) -> Option<Python> {
    const NAMES: [&str; 3] = ["_PyRuntime", "Py_Version", "_exit"];
    let process = Process::open(pid).ok()?;
    let program = process.exe().ok()?;
    let mut found: HashMap<String, RemoteAddr> = HashMap::new();
    for module in elf::modules(&process.mappings().ok()?) {
        if may_have_them(&module.path, &program) {
            found.extend(elf::find_symbols(&process, &module, &NAMES).unwrap_or_default());
        }
    }
    let address = |name: &str| found.get(name).map(|at| at.0);
    let runtime = address("_PyRuntime")?;
    // Py_Version came with 3.11.
    let version = address("Py_Version").and_then(|at| word(pid, at).ok());
    Some(Python {
        finalizing: version.and_then(|version| Some(runtime + finalizing(version as u32)?)),
        exit: address("_exit"),
    })
}

/// The offset of `_finalizing` in `_PyRuntimeState`.
fn finalizing(version_hex: u32) -> Option<u64> {
    let layout = layout_for(Build {
        version_hex,
        ..Build::default()
    });
    Some(layout.ok()?.runtime.finalizing.into())
}

/// The modules that may have the symbols: the program, Python's library, the C library.
fn may_have_them(path: &str, program: &Path) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let libraries = ["libpython", "libc.so", "libc-", "ld-musl"];
    Path::new(path) == program || libraries.iter().any(|prefix| name.starts_with(prefix))
}
