//! Whether a process is Python, which one, and where its state is: told from its files alone,
//! without stopping it or reading its memory.

use crate::layouts::{Build, layout_for};
use crate::python::{Program, version_text};
use memshed_target::elf::{Module, ModuleFile, modules};
use memshed_target::{Mapping, Process, Range, RemoteAddr, TargetError};

/// What a Python process runs.
#[derive(Clone, Debug)]
pub struct Identity {
    /// `CPython` or `PyPy`.
    pub implementation: &'static str,
    /// Version such as `3.12.1`; only `3.9` where the files do not say more; empty if unknown.
    pub version: String,
    /// Where its state is, or why memshed can't read it, as a sentence without a full stop.
    pub program: Result<Program, String>,
}

/// Tells what `process` runs; `None` if that is not Python.
///
/// # Errors
/// If its mappings can't be read.
pub fn identify(process: &Process) -> Result<Option<Identity>, TargetError> {
    let mappings = process.mappings()?;
    let exe = process
        .exe()
        .map(|path| path.to_string_lossy().into_owned())
        .unwrap_or_default();
    let exe = exe.strip_suffix(" (deleted)").unwrap_or(&exe);
    let all = modules(&mappings);
    let named = |module: &&Module, part: &str| {
        let name = module.path.rsplit('/').next().unwrap_or_default();
        let library = name.starts_with("lib") && name.contains(".so");
        (module.path == exe || library) && name.contains(part)
    };
    if let Some(pypy) = all.iter().find(|module| named(module, "pypy")) {
        return Ok(Some(pypy_identity(pypy)));
    }
    let libraries = all.iter().filter(|module| named(module, "python"));
    let programs = all.iter().filter(|module| module.path == exe);
    for module in libraries.chain(programs) {
        if let Some(identity) = cpython(process, module, &mappings) {
            return Ok(Some(identity));
        }
    }
    Ok(None)
}

fn pypy_identity(module: &Module) -> Identity {
    Identity {
        implementation: "PyPy",
        version: version_in_name(&module.path),
        program: Err("PyPy keeps its objects in another way than CPython".to_owned()),
    }
}

/// The interpreter in `module`, if it holds one.
fn cpython(process: &Process, module: &Module, mappings: &[Mapping]) -> Option<Identity> {
    let file = ModuleFile::open(process, module).ok()?;
    let names = ["_PyRuntime", "Py_Version", "Py_GetVersion"];
    let symbols = file.find_symbols(&names).ok()?;
    // `_PyRuntime` came with 3.7; without either symbol this is no interpreter.
    let runtime = symbols.get("_PyRuntime").copied();
    // From 3.10 on it is a section of its own, which even a program without symbols has.
    let section = || Some(RemoteAddr(file.find_section(".PyRuntime").ok()??.start));
    let runtime = runtime.or_else(section);
    symbols.get("Py_GetVersion").or(runtime.as_ref())?;
    let implementation = "CPython";
    // 3.11 and later export `Py_Version`; what is older says its version in texts only.
    let hex = symbols.get("Py_Version").and_then(|&at| {
        let bytes = file.read_mapped(at, 4).ok()?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    });
    let Some(version_hex) = hex.or_else(|| version_in_texts(&file, module)) else {
        let version = version_in_name(&module.path);
        let why = "only CPython 3.9 to 3.15 can be read".to_owned();
        return Some(Identity {
            implementation,
            version,
            program: Err(why),
        });
    };
    let name = module.path.rsplit('/').next().unwrap_or_default();
    // `libpython3.13t.so.1.0`, `python3.13t`, `libpython3.12d.so.1.0`.
    let flags = name.trim_start_matches("lib").trim_start_matches("python");
    let flags = flags.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let build = Build {
        version_hex,
        free_threaded: flags.starts_with('t'),
        debug: flags.starts_with('d'),
        interp_size: 0,
    };
    let version = version_text(version_hex);
    let program = match (layout_for(build), runtime) {
        (Err(error), _) => Err(error.to_string()),
        (Ok(_), None) => Err("its state `_PyRuntime` is not among its symbols".to_owned()),
        (Ok(_), Some(runtime)) => Ok(program(
            process.pid(),
            runtime,
            version_hex,
            module,
            mappings,
        )),
    };
    Some(Identity {
        implementation,
        version,
        program,
    })
}

fn program(
    pid: i32,
    runtime: RemoteAddr,
    version_hex: u32,
    module: &Module,
    mappings: &[Mapping],
) -> Program {
    let (mut statics, mut data): (Vec<Range>, Vec<Range>) = (Vec::new(), Vec::new());
    // The memory that a file's data ends in (`.bss`) is anonymous and follows it without a gap.
    let mut file = ("", 0);
    for mapping in mappings {
        let bss = mapping.path.is_empty() && mapping.start == file.1 && !file.0.is_empty();
        let of = if bss { file.0 } else { mapping.path.as_str() };
        file = (if bss || mapping.has_file() { of } else { "" }, mapping.end);
        if !(mapping.has_file() || bss) || !mapping.private() {
            continue;
        }
        statics.push(mapping.range());
        if of == module.path && mapping.writable() && mapping.readable() {
            data.push(mapping.range());
        }
    }
    Program {
        pid,
        runtime,
        version_hex,
        statics,
        data,
    }
}

/// `PY_VERSION_HEX` by the texts of a program older than 3.11: the tag of its cached bytecode,
/// `cpython-39`, and `PY_VERSION` as `sys.version` begins with it.
fn version_in_texts(file: &ModuleFile, module: &Module) -> Option<u32> {
    let constant = module.mappings.iter().filter(|m| !m.writable());
    let texts: Vec<Vec<u8>> = constant
        .filter_map(|m| file.read_mapped(RemoteAddr(m.start), m.range().len()).ok())
        .collect();
    let after = |start: &str| {
        texts
            .iter()
            .find_map(|text| text_after(text, start, u32_text))
    };
    let minor = after("cpython-3")?;
    let version = format!("3.{minor}.");
    texts
        .iter()
        .find_map(|text| text_after(text, &version, |rest| release(minor, rest)))
}

/// What `take` makes of the rest of the first C string in `bytes` that begins with `start` and of
/// which it makes something. (Linkers let strings share their ends, so what is before may be
/// anything but a part of a number.)
fn text_after<T>(bytes: &[u8], start: &str, take: impl Fn(&str) -> Option<T>) -> Option<T> {
    let mut from = 0;
    while let Some(at) = memchr::memmem::find(bytes.get(from..)?, start.as_bytes()) {
        let at = from + at;
        from = at + start.len();
        let before = at.checked_sub(1).map_or(0, |before| bytes[before]);
        let rest = &bytes[from..bytes.len().min(from + 16)];
        let end = rest.iter().position(|&b| b == 0);
        let rest = end.and_then(|end| str::from_utf8(&rest[..end]).ok());
        if !before.is_ascii_digit()
            && before != b'.'
            && let Some(made) = rest.and_then(&take)
        {
            return Some(made);
        }
    }
    None
}

fn u32_text(text: &str) -> Option<u32> {
    text.parse().ok().filter(|&number| number < 256)
}

/// `PY_VERSION_HEX` of 3.`minor`.`rest`, where `rest` is `18`, `18+`, `0rc1` and the like.
fn release(minor: u32, rest: &str) -> Option<u32> {
    let rest = rest.trim_end_matches('+');
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let micro = u32_text(&rest[..digits])?;
    let (level, serial) = match &rest[digits..] {
        "" => (0xf, "0"),
        level if level.starts_with("rc") => (0xc, &level[2..]),
        level if level.starts_with('b') => (0xb, &level[1..]),
        level if level.starts_with('a') => (0xa, &level[1..]),
        _ => return None,
    };
    let serial = u32_text(serial)?;
    Some(3 << 24 | minor << 16 | micro << 8 | level << 4 | serial & 0xf)
}

/// The version in a name such as `python3.10` or `libpypy3.9-c.so`; empty if there is none.
fn version_in_name(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default();
    let from = name
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(name.len());
    let parts = name[from..].split('.').map_while(|part| {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        (!digits.is_empty()).then_some(digits)
    });
    parts.take(2).collect::<Vec<_>>().join(".")
}
