//! What can go wrong with a target, in plain words.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Why a process could not be opened, read or frozen. Travels between the tracer and the command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum TargetError {
    /// There is no process of that number (any more).
    #[error("no process {0}")]
    NoSuchProcess(i32),
    /// The process ended while it was looked at.
    #[error("process {0} ended while it was looked at")]
    Exited(i32),
    /// The process replaced its program while it was looked at.
    #[error("process {0} started another program (exec) while it was looked at")]
    Execed(i32),
    /// The kernel does not let us look at the process; each sentence names a reason.
    #[error("process {pid} may not be looked at: {}", reasons.join("; "))]
    Denied {
        /// The process.
        pid: i32,
        /// Why, one sentence each.
        reasons: Vec<String>,
        /// What would help, if anything is known to.
        hint: Option<String>,
    },
    /// Another memshed holds a frozen copy of the process.
    #[error("another memshed is looking at process {0}")]
    Busy(i32),
    /// The predicted stop is longer than the caller allows.
    #[error(
        "stopping process {pid} would take about {predicted:?}, more than the {allowed:?} allowed"
    )]
    StopTooLong {
        /// The process.
        pid: i32,
        /// How long the stop would take.
        predicted: Duration,
        /// What the caller allows.
        allowed: Duration,
    },
    /// The method that was asked for cannot be used on this process.
    #[error("{0}")]
    Refused(String),
    /// Something did not happen within its limit.
    #[error("{what} took longer than {limit:?}")]
    Deadline {
        /// What was waited for.
        what: String,
        /// The limit.
        limit: Duration,
    },
    /// Only 64-bit x86 processes are understood.
    #[error("process {0} is not a 64-bit x86 program")]
    Architecture(i32),
    /// The tracer process could not be started, or died.
    #[error("the tracer: {0}")]
    Tracer(String),
    /// A system call failed.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system said.
        error: String,
    },
    /// A program file that cannot be understood.
    #[error("{path}: {why}")]
    Elf {
        /// The file, as the target sees it.
        path: String,
        /// What is wrong with it.
        why: String,
    },
}

impl TargetError {
    /// Wraps a failed system call with what was tried.
    pub(crate) fn io(what: impl Into<String>, error: &std::io::Error) -> TargetError {
        TargetError::Io {
            what: what.into(),
            error: error.to_string(),
        }
    }

    /// What the user can do about it, if anything is known to help.
    pub fn hint(&self) -> Option<String> {
        match self {
            TargetError::Denied { hint, .. } => hint.clone(),
            TargetError::Busy(_) => Some("wait until it is done".into()),
            TargetError::StopTooLong { .. } => {
                Some("allow a longer stop with --max-stop, or choose a quieter moment".into())
            }
            TargetError::Refused(_) => Some("leave out --method to have memshed choose".into()),
            TargetError::Deadline { .. } => Some("try again when the machine is less busy".into()),
            _ => None,
        }
    }
}
