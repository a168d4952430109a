//! What memshed answers when it is given something bad: a report or a clear refusal, in time.

use super::child;
use anyhow::{Result, ensure};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

/// Nothing that is asked here takes longer.
pub const LIMIT: Duration = Duration::from_secs(120);

/// Runs a command that says little to its end.
pub fn run(command: &mut Command) -> Result<Output> {
    let mut running = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // What it says is short: it fits into the pipes while it is waited for.
    child::wait(&mut running, LIMIT)?;
    Ok(running.wait_with_output()?)
}

/// What it said, of which a panic is never part.
pub fn said(output: &Output) -> Result<String> {
    let text = [&output.stdout[..], &output.stderr[..]].concat();
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    ensure!(!text.contains("panicked"), "a panic: {text}");
    Ok(text)
}

/// All that a refusal said: status 2, a reason and a hint, and nothing on standard output.
pub fn refusal(output: &Output) -> Result<String> {
    let text = said(output)?;
    let status = output.status;
    ensure!(status.code() == Some(2), "{status}, not status 2: {text}");
    ensure!(text.contains("hint:"), "no hint: {text}");
    ensure!(output.stdout.is_empty(), "standard output, all the same");
    Ok(text)
}

/// A refusal, in a line.
pub fn refused(output: &Output) -> Result<String> {
    Ok(format!("refused: {}", first_line(&refusal(output)?)))
}

/// A report on standard output, in a line.
pub fn reported(output: &Output) -> Result<String> {
    let text = said(output)?;
    let status = output.status;
    ensure!(status.success(), "{status}: {text}");
    ensure!(!output.stdout.is_empty(), "no report: {text}");
    Ok(format!("reported: {}", first_line(&text)))
}

/// The one or the other.
pub fn either(output: &Output) -> Result<String> {
    if output.status.success() {
        reported(output)
    } else {
        refused(output)
    }
}

/// The first line with something in it.
pub fn first_line(text: &str) -> &str {
    let mut lines = text.lines();
    lines.find(|line| !line.trim().is_empty()).unwrap_or("")
}
