//! Programs that work at a steady pace, with or without one fault: `acceptance/steady_*.py`.

use crate::accept::child::Target;
use crate::accept::ground::Ground;
use crate::accept::load::{Load, failures};
use crate::accept::venv;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result, ensure};
use std::path::PathBuf;
use std::time::Duration;

/// A program: its script below `acceptance/`, what it needs from the package index, and the path
/// to ask for if it serves.
#[derive(Debug)]
pub struct Program {
    /// What tables call it.
    pub name: &'static str,
    script: &'static str,
    /// The environment, which row "real" of "First light" uses too, and what is in it.
    environment: &'static str,
    packages: &'static [&'static str],
    path: Option<&'static str>,
}

/// A Django service.
pub const DJANGO: Program = Program {
    name: "Django",
    script: "steady_django.py",
    environment: "real_django",
    packages: &["django"],
    path: Some("/items/7"),
};

/// A FastAPI service.
pub const FASTAPI: Program = Program {
    name: "FastAPI",
    script: "steady_fastapi.py",
    environment: "real_fastapi",
    packages: &["fastapi", "uvicorn"],
    path: Some("/items/7"),
};

/// pandas work in a loop.
pub const PANDAS: Program = Program {
    name: "pandas loop",
    script: "steady_pandas.py",
    environment: "real_pandas",
    packages: &["pandas>=3"],
    path: None,
};

/// An asyncio client.
pub const CLIENT: Program = Program {
    name: "asyncio client",
    script: "steady_client.py",
    environment: "",
    packages: &[],
    path: None,
};

/// A thread pool.
pub const POOL: Program = Program {
    name: "thread pool",
    script: "steady_pool.py",
    environment: "",
    packages: &[],
    path: None,
};

/// A worker with a queue, a database and files.
pub const WORKER: Program = Program {
    name: "job worker",
    script: "steady_worker.py",
    environment: "",
    packages: &[],
    path: None,
};

impl Program {
    /// Whether it needs nothing but an interpreter.
    pub fn is_plain(&self) -> bool {
        self.packages.is_empty()
    }

    fn interpreter(&self, ground: &Ground, python: &Interpreter) -> Result<PathBuf> {
        if self.is_plain() {
            return Ok(python.path.clone());
        }
        venv::python(ground, python, self.environment, self.packages)
    }

    /// Starts it with a fault ("" for none) and lets it warm up.
    pub fn start(&self, ground: &Ground, python: &Interpreter, fault: &str) -> Result<Running> {
        let interpreter = self.interpreter(ground, python)?;
        let args: &[&str] = if fault.is_empty() { &[] } else { &[fault] };
        let target = Target::python(&interpreter, &ground.program(self.script), args)?;
        let ready = target.expect("ready", Duration::from_secs(120))?;
        let (_, port) = ready.split_once(' ').context("no pid and port")?;
        let port: u16 = port.parse()?;
        let load = self.path.map(|path| Load::start(port, path, 3));
        // What serves fills its caches only when it is asked.
        let warm_up = if load.is_some() { 15 } else { 5 };
        let warm_up = ground.count(warm_up, 3);
        std::thread::sleep(Duration::from_secs(warm_up));
        Ok(Running { target, load })
    }
}

/// A program at work.
pub struct Running {
    target: Target,
    load: Option<Load>,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.target.pid()
    }

    /// Ends it; fails if it had died, or had failed to answer. The number of its answers.
    pub fn end(mut self) -> Result<usize> {
        ensure!(self.target.alive(), "the program died");
        let requests = self.load.take().map(Load::finish).unwrap_or_default();
        let (failed, first) = failures(&requests);
        ensure!(failed == 0, "{failed} requests failed: {first}");
        self.target
            .ask("stop", "done", Duration::from_secs(30))
            .context("asking it to end")?;
        Ok(requests.len())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(load) = self.load.take() {
            load.finish();
        }
        // Killed, it would leave behind what it has started itself.
        let _ = self.target.ask("stop", "done", Duration::from_secs(5));
    }
}
