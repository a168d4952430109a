//! What can go wrong, in words: an enum below, the story on top.

use crate::history::HistoryError;
use memshed_heap::SnapshotError;
use std::fmt;
use std::path::{Path, PathBuf};

/// Why a process could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// There is no such process.
    #[error("there is no process {0}")]
    NoSuchProcess(i32),
    /// It is not an interpreter, as far as can be told.
    #[error("process {pid} ({executable}) is not Python")]
    NotPython {
        /// The process.
        pid: i32,
        /// What it runs.
        executable: String,
    },
    /// It ended while it was looked at.
    #[error("process {0} ended while memshed looked at it")]
    Gone(i32),
    /// The kernel does not let this user look at it.
    #[error("no permission to look at process {pid}: {why}")]
    NoPermission {
        /// The process.
        pid: i32,
        /// What was refused and why, as far as can be told.
        why: String,
        /// What to do about it.
        hint: String,
    },
    /// A build of Python that memshed cannot read.
    #[error("process {pid} runs {build}, which memshed cannot read{why}")]
    Unsupported {
        /// The process.
        pid: i32,
        /// Which build, such as `CPython 3.10.13`.
        build: String,
        /// Why not: empty, or begins with `: `.
        why: String,
    },
    /// It would stand still for longer than the user allows.
    #[error(
        "process {pid} would stand still for about {predicted_ms:.0} ms, longer than the \
         {allowed_ms:.0} ms allowed"
    )]
    StopTooLong {
        /// The process.
        pid: i32,
        /// The prediction.
        predicted_ms: f64,
        /// The limit.
        allowed_ms: f64,
    },
    /// It could not be frozen or read for another reason.
    #[error("cannot look at process {pid}: {what}")]
    Other {
        /// The process.
        pid: i32,
        /// What went wrong.
        what: String,
    },
}

impl LookError {
    /// What the user can do.
    fn hint(&self) -> Option<String> {
        match self {
            LookError::NoSuchProcess(_) => {
                Some("`memshed ps` lists the Python processes of this machine".into())
            }
            LookError::NotPython { .. } => Some(
                "if it starts Python, give the process id of its child; `memshed ps` lists them"
                    .into(),
            ),
            LookError::Gone(_) => Some(
                "for a short-lived program let memshed start it: `memshed inspect -- COMMAND`"
                    .into(),
            ),
            LookError::NoPermission { pid, hint, .. } => {
                Some(format!("{hint}; `memshed doctor {pid}` checks everything"))
            }
            LookError::Unsupported { .. } => {
                Some("memshed reads the default builds of CPython 3.9 to 3.15".into())
            }
            LookError::StopTooLong { .. } => {
                Some("allow more with --max-stop, or use --method fork".into())
            }
            LookError::Other { pid, .. } => Some(format!(
                "`memshed doctor {pid}` checks what this machine permits"
            )),
        }
    }
}

/// Why a target could not be found.
#[derive(Debug, thiserror::Error)]
pub enum TargetError {
    /// Neither a process nor a snapshot has this name.
    #[error("no Python process and no snapshot is called {0:?}")]
    Unknown(String),
    /// More than one process has this name.
    #[error("{} Python processes are called {name:?}:{}", candidates.len(), lines(candidates))]
    Ambiguous {
        /// The name.
        name: String,
        /// One line each: process id and command line.
        candidates: Vec<String>,
    },
    /// The path leads nowhere.
    #[error("there is no snapshot {}", .0.display())]
    NoSuchPath(PathBuf),
    /// A snapshot where only a process will do.
    #[error("{} is a snapshot, not a process", .0.display())]
    NotAProcess(PathBuf),
    /// The path exists but is not a snapshot.
    #[error("{} is not a memshed snapshot", .0.display())]
    NotASnapshot(PathBuf),
}

/// Each on a line of its own, indented.
fn lines(rows: &[String]) -> String {
    rows.iter().map(|row| format!("\n  {row}")).collect()
}

impl TargetError {
    fn hint(&self) -> Option<String> {
        match self {
            TargetError::Unknown(_) => {
                Some("`memshed ps` lists the Python processes of this machine".into())
            }
            TargetError::Ambiguous { .. } | TargetError::NotAProcess(_) => {
                Some("give the process id".into())
            }
            TargetError::NoSuchPath(_) | TargetError::NotASnapshot(_) => Some(
                "a snapshot is a directory that `memshed snapshot TARGET -o NAME` wrote".into(),
            ),
        }
    }
}

/// Why a command could not be started and looked at.
#[derive(Debug, thiserror::Error)]
pub enum LaunchError {
    /// It could not be started.
    #[error("cannot start {command:?}: {error}")]
    Start {
        /// Its name.
        command: String,
        /// What the system says.
        error: std::io::Error,
    },
    /// It ended before it could be looked at.
    #[error("{command:?} ended ({ending}) before memshed could look at it")]
    Ended {
        /// Its name.
        command: String,
        /// How, such as `exit status 1`.
        ending: String,
    },
    /// None of its processes was Python.
    #[error("{command:?} {ending} and no process of it was Python")]
    NotPython {
        /// Its name.
        command: String,
        /// What became of it, such as `ended (exit status 0)`.
        ending: String,
    },
    /// The system refused something.
    #[error("cannot follow {command:?}: {what}: {error}")]
    System {
        /// Its name.
        command: String,
        /// What was tried.
        what: &'static str,
        /// What the system says.
        error: std::io::Error,
    },
}

impl LaunchError {
    fn hint(&self) -> Option<String> {
        match self {
            LaunchError::Start { error, .. } => Some(
                match error.kind() {
                    std::io::ErrorKind::NotFound => {
                        "is it spelled rightly and on your PATH? A script begins with a line \
                         such as `#!/usr/bin/env python3`, or is started by `python3 SCRIPT`"
                    }
                    std::io::ErrorKind::PermissionDenied => {
                        "is it a file that you may execute? A script that is not is started by \
                         `python3 SCRIPT`"
                    }
                    _ => {
                        "is it a program, or a script whose first line names one? Any other \
                         script is started by `python3 SCRIPT`"
                    }
                }
                .into(),
            ),
            LaunchError::Ended { .. } => {
                Some("its own messages are above; look at it while it works with --for".into())
            }
            LaunchError::NotPython { .. } => Some(
                "a command that hands its work to a server cannot be followed: look at the \
                      server's process id"
                    .into(),
            ),
            LaunchError::System { .. } => {
                Some("start it yourself and give memshed its process id".into())
            }
        }
    }
}

/// Why a result could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {error}", path.display())]
pub struct OutputError {
    /// Where to.
    pub path: PathBuf,
    /// What the system says.
    pub error: std::io::Error,
}

impl OutputError {
    /// The error of writing to `path`.
    pub fn new(path: &Path, error: std::io::Error) -> OutputError {
        OutputError {
            path: path.to_owned(),
            error,
        }
    }

    fn hint(&self) -> Option<String> {
        match self.error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Some(
                "the disk is full; nothing was left behind. Give -o a place with more room".into(),
            ),
            std::io::ErrorKind::PermissionDenied => {
                Some("give -o a place where you may write".into())
            }
            std::io::ErrorKind::NotFound => Some("its directory does not exist".into()),
            std::io::ErrorKind::AlreadyExists => {
                Some("give -o another name, or remove what is there".into())
            }
            _ => None,
        }
    }
}

/// Anything that ends a command with status 2.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// See [`LookError`].
    #[error(transparent)]
    Look(#[from] LookError),
    /// See [`TargetError`].
    #[error(transparent)]
    Target(#[from] TargetError),
    /// See [`LaunchError`].
    #[error(transparent)]
    Launch(#[from] LaunchError),
    /// See [`OutputError`].
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A snapshot that could not be read or written.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// See [`HistoryError`].
    #[error(transparent)]
    History(#[from] HistoryError),
    /// Options that do not go together.
    #[error("{what}")]
    Usage {
        /// What is wrong.
        what: String,
        /// What to do instead.
        hint: String,
    },
}

impl CommandError {
    /// What the user can do.
    fn hint(&self) -> Option<String> {
        match self {
            CommandError::Look(e) => e.hint(),
            CommandError::Target(e) => e.hint(),
            CommandError::Launch(e) => e.hint(),
            CommandError::Output(e) => e.hint(),
            CommandError::Snapshot(e) => e.hint().map(String::from),
            CommandError::History(e) => Some(e.hint().into()),
            CommandError::Usage { hint, .. } => Some(hint.clone()),
        }
    }

    /// The error and its hint as lines for standard error.
    pub fn story(&self) -> Story<'_> {
        Story(self)
    }
}

/// Shows an error as a person wants to read it.
pub struct Story<'a>(&'a CommandError);

impl fmt::Display for Story<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "memshed: {}", self.0)?;
        if let Some(hint) = self.0.hint() {
            write!(f, "\nhint: {hint}")?;
        }
        Ok(())
    }
}
