//! A program that is looked at: started, spoken with by lines over pipes, ended. Every wait has
//! a limit.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// A running program; killed when dropped.
pub struct Target {
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Target {
    /// Starts a program with pipes at its standard input and output.
    pub fn start(command: &mut Command) -> Result<Target> {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {command:?}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("no pipe from the program")?;
        let (send, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines() {
                let Ok(line) = line else { break };
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Target {
            child,
            stdin,
            lines,
        })
    }

    /// Starts a Python program of this suite.
    pub fn python(
        python: &std::path::Path,
        program: &std::path::Path,
        args: &[&str],
    ) -> Result<Target> {
        Target::start(Command::new(python).arg("-B").arg(program).args(args))
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id() as i32
    }

    /// Waits for a line that begins with `word` and returns the rest of it.
    pub fn expect(&self, word: &str, limit: Duration) -> Result<String> {
        let deadline = Instant::now() + limit;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => {
                    if let Some(rest) = line.strip_prefix(word) {
                        return Ok(rest.trim().to_owned());
                    }
                    if line.starts_with("failed") {
                        bail!("the program said: {line}");
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("no \"{word}\" within {limit:?}"),
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("the program ended before it said \"{word}\"")
                }
            }
        }
    }

    /// Sends a line.
    pub fn say(&mut self, line: &str) -> Result<()> {
        let stdin = self
            .stdin
            .as_mut()
            .context("the program's input is closed")?;
        writeln!(stdin, "{line}")?;
        Ok(stdin.flush()?)
    }

    /// Sends a line and waits for one.
    pub fn ask(&mut self, line: &str, word: &str, limit: Duration) -> Result<String> {
        self.say(line)?;
        self.expect(word, limit)
    }

    /// Whether it still runs.
    pub fn alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits for a child's end; kills it when the limit has passed.
pub fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() > deadline {
            let _ = child.kill();
            let _ = child.wait();
            bail!("did not end within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(1));
    }
}
