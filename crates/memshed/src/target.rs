//! From what the user calls a target to the thing itself.

use crate::error::{CommandError, LookError, TargetError};
use crate::proc::{self, ProcessInfo};
use crate::python;
use memshed_heap::snapshot::is_snapshot;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// A thing to look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// A running process.
    Process(i32),
    /// A snapshot directory.
    Snapshot(PathBuf),
}

/// Finds what `name` means: a number is a process id, a path a snapshot, anything else the name
/// of a Python program.
pub fn find(name: &OsStr) -> Result<Target, CommandError> {
    let text = name.to_string_lossy();
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        // A number too large for a process id names no process either.
        let pid = text.parse().unwrap_or(i32::MAX);
        return match proc::exists(pid) {
            true => Ok(Target::Process(pid)),
            false => Err(LookError::NoSuchProcess(pid).into()),
        };
    }
    let path = Path::new(name);
    if is_snapshot(path) {
        return Ok(Target::Snapshot(path.to_owned()));
    }
    if text.contains('/') || path.is_dir() {
        return Err(match path.exists() {
            true => TargetError::NotASnapshot(path.to_owned()),
            false => TargetError::NoSuchPath(path.to_owned()),
        }
        .into());
    }
    Ok(Target::Process(by_name(&text)?))
}

/// The one Python process that is called `name`.
pub fn by_name(name: &str) -> Result<i32, TargetError> {
    let me = std::process::id() as i32;
    let candidates: Vec<ProcessInfo> = ProcessInfo::all()
        .filter(|info| info.pid() != me && is_called(info, name))
        .filter(|info| python::python(info).is_some())
        .collect();
    match candidates.as_slice() {
        [] => Err(TargetError::Unknown(name.to_string())),
        [one] => Ok(one.pid()),
        many => Err(TargetError::Ambiguous {
            name: name.to_string(),
            candidates: many
                .iter()
                .map(|p| format!("{:>7}  {}", p.pid(), p.command_line.join(" ")))
                .collect(),
        }),
    }
}

/// Whether a process goes by `name`: its own, its executable's, or its script's with or without
/// `.py`.
fn is_called(info: &ProcessInfo, name: &str) -> bool {
    let script = proc::script(&info.command_line);
    let executable = info.executable.as_deref().and_then(Path::file_name);
    // The kernel keeps 15 bytes of a name (TASK_COMM_LEN less the final zero).
    let same_comm = match info.status.comm.len() {
        15 => name.as_bytes().get(..15) == Some(info.status.comm.as_bytes()),
        _ => info.status.comm == name,
    };
    same_comm
        || executable == Some(OsStr::new(name))
        || script == name
        || script.strip_suffix(".py") == Some(name)
        || script.strip_prefix("-m ") == Some(name)
}
