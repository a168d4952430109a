//! From a process to its heap: freeze, copy, walk.

use crate::error::LookError;
use memshed_heap::{Heap, Method};
use std::time::Duration;

/// How a process is to be looked at.
#[derive(Clone, Debug, Default)]
pub struct LookOptions {
    /// The way to freeze it, if it is the user's choice.
    pub method: Option<Method>,
    /// The longest that it may stand still.
    pub max_stop: Option<Duration>,
    /// Whether contents are wanted, and not only names and sizes.
    pub values: bool,
    /// Whether the edges are wanted.
    pub want_edges: bool,
}

/// Told what is being done, so that somebody can watch.
pub trait Progress: Sync {
    /// A new stage begins, such as `copying memory`; `total` is in units of `done`, if known.
    fn stage(&self, name: &str, total: Option<u64>);
    /// So much of the stage is done.
    fn done(&self, units: u64);
}

/// Looks at the process `pid`.
pub fn look(pid: i32, _options: &LookOptions, _progress: &dyn Progress) -> Result<Heap, LookError> {
    Err(LookError::Other {
        pid,
        what: "looking at live processes is not built yet".into(),
    })
}
