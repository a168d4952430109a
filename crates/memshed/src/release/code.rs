//! Having the process run Python code: a garbage collection, and emptying caches.

use super::Wanted;
use super::account::Account;
use super::agent::{Inside, REST, Undone, WORDS, text};
use crate::error::LookError;
use memshed_agent::abi::{Call, Job, kind};
use memshed_report::{ReleaseView, StepName};
use std::time::Duration;

/// A collection takes 0.2 s per million objects. The tracer has to answer within 120 s.
const LIMIT: Duration = Duration::from_secs(90);
/// Bytes that the code may have.
const ROOM: u64 = REST - WORDS;

/// Empties the caches in `names`. A cache that cannot be emptied is left as it is.
const EMPTY: &str = include_str!("empty_caches.py");
/// Runs `code`, and gives what a signal handler of the program raises meanwhile back to the program.
const CAREFULLY: &str = include_str!("carefully.py");

/// Runs what is wanted.
pub fn run(
    inside: &Inside<'_>,
    account: &Account,
    wanted: &Wanted,
    view: &mut ReleaseView,
) -> Result<(), LookError> {
    if !wanted.caches.is_empty() {
        let names: Vec<String> = wanted.caches.iter().map(|name| quoted(name)).collect();
        let code = format!("names = {{{}}}\n{EMPTY}", names.join(", "));
        execute(inside, account, &code, StepName::Caches, view)?;
    }
    if wanted.collect && !inside.is_left_to_it() {
        let code = "import gc\ngc.collect()\n";
        execute(inside, account, code, StepName::Collect, view)?;
    }
    Ok(())
}

/// Runs code in a namespace of its own.
fn execute(
    inside: &Inside<'_>,
    account: &Account,
    code: &str,
    step: StepName,
    view: &mut ReleaseView,
) -> Result<(), LookError> {
    let (Some(allocator), run) = (
        account.allocators.first(),
        inside.function("PyRun_SimpleStringFlags"),
    ) else {
        return Ok(());
    };
    let statement = format!(
        "exec({}, {{'code': {}}})\0",
        quoted(CAREFULLY),
        quoted(code)
    );
    if run == 0 || statement.len() as u64 > ROOM {
        view.notes.push("it has no way to run Python code".into());
        return Ok(());
    }
    inside.put(WORDS, text(statement.as_bytes()))?;
    let mut job = Job::new(kind::CALL);
    job.call = Call {
        function: run,
        args: [inside.at(WORDS).0, 0, 0, 0, 0],
        ..Call::default()
    };
    let before = inside.target.resident()?;
    match inside.holding_gil(allocator, &mut job, LIMIT) {
        Ok(done) => {
            view.note(step, done.stopped, done.took);
            view.add(step, before.saturating_sub(inside.target.resident()?));
            if job.call.result as i32 != 0 {
                view.notes
                    .push("its code said an error, which it has told on its standard error".into());
            }
            Ok(())
        }
        Err(Undone::NoMoment(why)) => {
            view.notes.push(format!("running Python code: {why}"));
            Ok(())
        }
        Err(Undone::Failed(error)) => Err(error),
    }
}

/// Text as a literal of Python.
fn quoted(text: &str) -> String {
    let mut literal = String::from("'");
    for c in text.chars() {
        match c {
            '\'' => literal += "\\'",
            '\\' => literal += "\\\\",
            '\n' => literal += "\\n",
            c => literal.push(c),
        }
    }
    literal + "'"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_keep_their_text() {
        assert_eq!(quoted("a'b\\c\n"), "'a\\'b\\\\c\\n'");
    }

    #[test]
    fn the_code_fits() {
        assert!(((quoted(EMPTY).len() + quoted(CAREFULLY).len()) as u64) < ROOM / 2);
    }
}
