//! From a process id to a Python that may be looked at, and what went wrong in its words.

use crate::error::LookError;
use memshed_cpython::{Identity, Program, WalkError, identify};
use memshed_target::{Process, TargetError, access};
use std::time::{Duration, Instant};

/// How long the tracer of a memshed that has just been interrupted may take to let go, and how often
/// that is looked at.
const PARTING: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(2);

/// Opens the process `pid`, if it is there and may be looked at.
pub fn open(pid: i32) -> Result<Process, LookError> {
    let process = Process::open(pid).map_err(|error| match error {
        TargetError::NoSuchProcess(pid) => LookError::NoSuchProcess(pid),
        error => target_error(pid, error),
    })?;
    let until = Instant::now() + PARTING;
    let check = || access::check(&process).map_err(|error| target_error(pid, error));
    let mut access = check()?;
    while access.is_traced_by_memshed() && Instant::now() < until {
        std::thread::sleep(PAUSE);
        access = check()?;
    }
    access
        .into_result(pid)
        .map_err(|error| target_error(pid, error))?;
    Ok(process)
}

/// Where the interpreter's state of a process is.
pub fn program(process: &Process) -> Result<Program, LookError> {
    let pid = process.pid();
    let found = identify(process).map_err(|error| target_error(pid, error))?;
    let Some(Identity {
        implementation,
        version,
        program,
    }) = found
    else {
        let exe = process.exe().unwrap_or_default();
        let executable = exe.display().to_string();
        return Err(LookError::NotPython { pid, executable });
    };
    program.map_err(|why| LookError::Unsupported {
        pid,
        build: format!("{implementation} {version}").trim_end().to_owned(),
        why: format!(": {why}"),
    })
}

/// What stopped the walk through a heap.
pub fn walk_error(pid: i32, error: WalkError) -> LookError {
    match error {
        WalkError::Unsupported(why) => LookError::Unsupported {
            pid,
            build: "a build of CPython".to_owned(),
            why: format!(": {why}"),
        },
        error => LookError::Other {
            pid,
            what: error.to_string(),
        },
    }
}

/// What stopped the look at a process.
pub fn target_error(pid: i32, error: TargetError) -> LookError {
    let hint = error.hint();
    match error {
        TargetError::NoSuchProcess(pid) | TargetError::Exited(pid) => LookError::Gone(pid),
        TargetError::Denied { pid, reasons, .. } => LookError::NoPermission {
            pid,
            why: reasons.join("; "),
            hint: hint.unwrap_or_else(|| "run memshed as root".to_owned()),
        },
        TargetError::StopTooLong {
            pid,
            predicted,
            allowed,
        } => LookError::StopTooLong {
            pid,
            predicted_ms: predicted.as_secs_f64() * 1e3,
            allowed_ms: allowed.as_secs_f64() * 1e3,
        },
        error => LookError::Other {
            pid,
            what: error.to_string(),
        },
    }
}
