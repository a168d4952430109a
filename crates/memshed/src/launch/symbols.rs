//! Where a process has the symbols that tell that it is Python, and when it ends.

use memshed_cpython::layouts::{Build, layout_for};
use memshed_target::{Process, elf};
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
    let process = Process::open(pid).ok()?;
    let identity = memshed_cpython::identify(&process).ok()??;
    let known = identity.program.ok();
    let program = process.exe().ok()?;
    let modules = elf::modules(&process.mappings().ok()?);
    let libraries = modules.iter().filter(|m| may_have_it(&m.path, &program));
    let exit = libraries
        .filter_map(|module| elf::find_symbols(&process, module, &["_exit"]).ok())
        .find_map(|found| found.get("_exit").copied());
    Some(Python {
        finalizing: known.and_then(|known| Some(known.runtime.0 + finalizing(known.version_hex)?)),
        exit: exit.map(|at| at.0),
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

/// The modules that may have `_exit`: the program, the C library.
fn may_have_it(path: &str, program: &Path) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let libraries = ["libc.so", "libc-", "ld-musl"];
    Path::new(path) == program || libraries.iter().any(|prefix| name.starts_with(prefix))
}
