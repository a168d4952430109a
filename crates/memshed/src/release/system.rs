//! Having the system's allocator, or one in its place, give back what it holds: by its own function,
//! called by a thread that is not within it.

use super::account::Account;
use super::agent::{Done, Inside, Undone, WORDS, text};
use crate::error::LookError;
use memshed_report::{ReleaseStep, ReleaseView, StepName};
use memshed_target::{Range, RemoteAddr, WordTest};
use std::time::Duration;

/// What is looked for in the libraries of a process.
pub const FUNCTIONS: [&str; 4] = [
    "malloc_trim",
    "mallctl",
    "mi_collect",
    "MallocExtension_ReleaseFreeMemory",
];

/// `malloc_trim` takes 100 ms per GB, in one piece.
const LIMIT: Duration = Duration::from_secs(60);
/// From so many bytes on there is nothing to explain.
const MUCH: u64 = 1 << 20;
/// What its function leaves is a matter of its settings (mimalloc's documentation, "Environment
/// Options").
const MIMALLOC_WAITS: &str = "malloc's memory: mimalloc puts off giving back; with \
     MIMALLOC_PURGE_DELAY=0 in its environment (before 2.1: MIMALLOC_DECOMMIT_DELAY=0) it gives \
     back at once, by itself";
/// Purges all arenas (jemalloc(3), `arena.<i>.purge` with `MALLCTL_ARENAS_ALL`).
const PURGE: &[u8] = b"arena.4096.purge\0";

/// A function to call.
struct Trim {
    function: RemoteAddr,
    args: [u64; 5],
    /// What must hold: the locks that it takes are free.
    free: Vec<WordTest>,
    /// Locks that the caller must not be waiting for.
    not_for: Vec<Range>,
}

/// Has the allocator give back what it can.
pub fn trim(
    inside: &Inside<'_>,
    account: &Account,
    view: &mut ReleaseView,
) -> Result<(), LookError> {
    let step = view.steps.iter().find(|step| step.name == StepName::Malloc);
    if !step.is_some_and(ReleaseStep::is_due) {
        return Ok(());
    }
    let Some(trim) = choose(inside, account, view)? else {
        return Ok(());
    };
    let before = inside.target.resident()?;
    let done = call(inside, account, trim, view)?;
    if let Some(done) = done {
        view.note(StepName::Malloc, done.stopped, done.took);
        let released = before.saturating_sub(inside.target.resident()?);
        view.add(StepName::Malloc, released);
        if account.other == Some("mimalloc") && released < MUCH {
            view.notes.push(MIMALLOC_WAITS.into());
        }
    }
    Ok(())
}

/// Calls the function, in one of the ways that there are.
fn call(
    inside: &Inside<'_>,
    account: &Account,
    trim: Trim,
    view: &mut ReleaseView,
) -> Result<Option<Done>, LookError> {
    let called = inside.call(trim.function, trim.args, trim.free, trim.not_for, LIMIT);
    let why = match called {
        Ok(done) => return Ok(Some(done)),
        Err(Undone::NoMoment(why)) => why,
        Err(Undone::Failed(error)) => return Err(error),
    };
    // A busy program: by whoever holds the GIL, which is released meanwhile.
    let also = match account.allocators.first() {
        _ if inside.is_left_to_it() => String::new(),
        None => String::new(),
        Some(allocator) => {
            let mut job = inside.released(trim.function, trim.args);
            match inside.pending(allocator, &mut job, LIMIT) {
                Ok(Some(done)) => return Ok(Some(done)),
                Ok(None) => String::new(),
                Err(Undone::NoMoment(also)) => format!("; {also}"),
                Err(Undone::Failed(error)) => return Err(error),
            }
        }
    };
    view.notes.push(format!("malloc's memory: {why}{also}"));
    Ok(None)
}

/// Which function, if any is known and worth it.
fn choose(
    inside: &Inside<'_>,
    account: &Account,
    view: &mut ReleaseView,
) -> Result<Option<Trim>, LookError> {
    let function = |name: &str| inside.functions.get(name).copied();
    if let Some(glibc) = &account.glibc {
        let Some(function) = function("malloc_trim") else {
            view.notes
                .push("malloc's memory: its library has no malloc_trim".into());
            return Ok(None);
        };
        // `mutex` is the first word of `struct malloc_state`.
        let free = |addr: &RemoteAddr| WordTest::is(*addr, 4, 0);
        return Ok(Some(Trim {
            function,
            args: [0; 5],
            free: glibc.locks.iter().map(free).collect(),
            // Whoever takes or drops the GIL is waited for by others who do.
            not_for: account.allocators.iter().map(|one| one.gil.state).collect(),
        }));
    }
    let name = match account.other {
        Some("jemalloc") => "mallctl",
        Some("mimalloc") => "mi_collect",
        Some("tcmalloc") => "MallocExtension_ReleaseFreeMemory",
        _ => return Ok(None),
    };
    let Some(function) = function(name) else {
        view.notes.push(format!(
            "malloc's memory: it is another allocator's, which has no {name}"
        ));
        return Ok(None);
    };
    let args = match account.other {
        Some("jemalloc") => {
            inside.put(WORDS + 8, text(PURGE))?;
            [inside.at(WORDS + 8).0, 0, 0, 0, 0]
        }
        Some("mimalloc") => [1, 0, 0, 0, 0],
        _ => [0; 5],
    };
    let everything = Range {
        start: 0,
        end: u64::MAX,
    };
    Ok(Some(Trim {
        function,
        args,
        free: Vec::new(),
        // What its locks are is not known.
        not_for: vec![everything],
    }))
}
