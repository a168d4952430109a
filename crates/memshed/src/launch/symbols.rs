//! Where a process has the symbols that tell that it is Python, and when it ends.

use super::trace::word;
use crate::proc;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

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
    let program = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
    let mut files = proc::mapped_files(pid);
    files.retain(|path| *path == program || is_library(path));
    let find = |name: &str| {
        files
            .iter()
            .find_map(|path| address(pid, path, &program, name))
    };
    let runtime = find("_PyRuntime")?;
    // Py_Version came with 3.11.
    let version = find("Py_Version").and_then(|at| word(pid, at).ok());
    Some(Python {
        finalizing: version.and_then(|version| Some(runtime + finalizing(version as u32)?)),
        exit: find("_exit"),
    })
}

/// The offset of `_finalizing` in `_PyRuntimeState` (pycore_runtime.h): five ints and padding
/// after `_Py_DebugOffsets`, which is there from 3.13 on.
fn finalizing(version_hex: u32) -> Option<u64> {
    match version_hex >> 16 {
        0x030b | 0x030c => Some(24),
        0x030d => Some(584 + 24),
        0x030e => Some(760 + 24),
        _ => None,
    }
}

fn is_library(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or("");
    ["libpython", "libc.so", "libc-", "ld-musl"]
        .iter()
        .any(|prefix| name.starts_with(prefix))
}

/// The address of a symbol of `path` in `pid`.
fn address(pid: i32, path: &Path, program: &Path, name: &str) -> Option<u64> {
    let view = match path == program {
        true => PathBuf::from(format!("/proc/{pid}/exe")),
        false => Path::new(&format!("/proc/{pid}/root")).join(path.strip_prefix("/").ok()?),
    };
    let symbol = dynamic_symbol(&File::open(view).ok()?, name)?;
    Some(symbol.checked_add(base(pid, path)?).unwrap_or(symbol))
}

/// Where the first byte of `path` is mapped in `pid`; 0 for a program that is not relocated.
fn base(pid: i32, path: &Path) -> Option<u64> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let line = maps.lines().find(|line| {
        let mut fields = line.split_whitespace();
        let offset = fields.nth(2);
        offset == Some("00000000")
            && line
                .find('/')
                .is_some_and(|at| Path::new(&line[at..]) == path)
    })?;
    let start = u64::from_str_radix(line.split('-').next()?, 16).ok()?;
    let mut header = [0; 18];
    File::open(format!("/proc/{pid}/mem"))
        .ok()?
        .read_exact_at(&mut header, start)
        .ok()?;
    // elf(5), e_type: ET_EXEC is 2, ET_DYN 3.
    Some(if header[16] == 2 { 0 } else { start })
}

/// The value of a symbol in a file's `.dynsym` (elf(5), 64 bits, little endian).
fn dynamic_symbol(file: &File, name: &str) -> Option<u64> {
    const SHT_DYNSYM: u32 = 11;
    /// No `.dynsym` or `.dynstr` is larger; a damaged file must not cost memory.
    const LARGEST: u64 = 64 << 20;
    let read = |at: u64, length: u64| -> Option<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length.min(LARGEST)).ok()?];
        file.read_exact_at(&mut bytes, at).ok()?;
        Some(bytes)
    };
    let u16_at =
        |b: &[u8], at: usize| Some(u16::from_le_bytes(b.get(at..at + 2)?.try_into().ok()?));
    let u32_at =
        |b: &[u8], at: usize| Some(u32::from_le_bytes(b.get(at..at + 4)?.try_into().ok()?));
    let u64_at =
        |b: &[u8], at: usize| Some(u64::from_le_bytes(b.get(at..at + 8)?.try_into().ok()?));
    let header = read(0, 64)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return None;
    }
    let (table, entry) = (u64_at(&header, 40)?, u64::from(u16_at(&header, 58)?));
    let sections = read(table, entry * u64::from(u16_at(&header, 60)?))?;
    let section = |i: usize| sections.get(i.checked_mul(usize::try_from(entry).ok()?)?..);
    let dynsym = (0..sections.len() / (entry as usize).max(1))
        .filter_map(section)
        .find(|section| u32_at(section, 4) == Some(SHT_DYNSYM))?;
    let contents = |section: &[u8]| read(u64_at(section, 24)?, u64_at(section, 32)?);
    let names = contents(section(u32_at(dynsym, 40)? as usize)?)?;
    let symbols = contents(dynsym)?;
    symbols.chunks_exact(24).find_map(|symbol| {
        let found = names.get(u32_at(symbol, 0)? as usize..)?;
        let value = u64_at(symbol, 8)?;
        let same = found.starts_with(name.as_bytes()) && found.get(name.len()) == Some(&0);
        (same && value != 0).then_some(value)
    })
}
