//! Programs to look at, and their memory as it is while they wait.

use memshed_target::{Memory, Process, Range, ReadError, RemoteAddr};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What is read at a time.
const BLOCK: u64 = 4 << 10;

/// The memory of a process that waits, read as it is asked for. What has been read is kept until
/// the tests end.
pub struct Waiting {
    memory: File,
    runs: Vec<Range>,
    blocks: Mutex<HashMap<u64, Option<&'static [u8]>>>,
    read: AtomicU64,
}

impl Waiting {
    pub fn of(process: &Process) -> Waiting {
        let mut runs: Vec<Range> = Vec::new();
        for mapping in process.mappings().expect("its mappings") {
            if !mapping.safe_to_read() {
                continue;
            }
            match runs.last_mut() {
                Some(run) if run.end == mapping.start => run.end = mapping.end,
                _ => runs.push(mapping.range()),
            }
        }
        Waiting {
            memory: File::open(format!("/proc/{}/mem", process.pid())).expect("its memory"),
            runs,
            blocks: Mutex::default(),
            read: AtomicU64::new(0),
        }
    }

    /// How many bytes have been read.
    pub fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    fn read(&self, at: u64, len: usize) -> Option<&'static [u8]> {
        let mut bytes = vec![0; len];
        self.memory.read_exact_at(&mut bytes, at).ok()?;
        self.read.fetch_add(len as u64, Ordering::Relaxed);
        Some(Box::leak(bytes.into_boxed_slice()))
    }

    fn block(&self, at: u64, run: Range) -> Option<&'static [u8]> {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        *blocks
            .entry(at)
            .or_insert_with(|| self.read(at, (run.end - at).min(BLOCK) as usize))
    }
}

impl Memory for Waiting {
    fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
        let unmapped = ReadError::Unmapped(at);
        let run = self.mapped_run(at).ok_or(unmapped)?;
        let end = at.0.checked_add(len as u64).filter(|&end| end <= run.end);
        let end = end.ok_or(unmapped)?;
        let start = run.start + (at.0 - run.start) / BLOCK * BLOCK;
        if end > start + BLOCK {
            return self.read(at.0, len).ok_or(unmapped);
        }
        let block = self.block(start, run).ok_or(unmapped)?;
        let from = (at.0 - start) as usize;
        block.get(from..from + len).ok_or(unmapped)
    }

    fn mapped_run(&self, at: RemoteAddr) -> Option<Range> {
        let after = self.runs.partition_point(|r| r.end <= at.0);
        self.runs.get(after).copied().filter(|r| r.contains(at))
    }
}

/// A C library to run programs with.
#[derive(Clone, Debug)]
pub struct Libc {
    pub name: String,
    /// Where the loader and its libraries are; `None` for the system's own.
    folder: Option<PathBuf>,
    /// Whether the program has it built in.
    pub built_in: bool,
}

/// The system's own C library, the same built into the program, and those that were brought with
/// interpreters.
pub fn libcs() -> Vec<Libc> {
    let own = |name: &str, built_in| Libc {
        name: name.into(),
        folder: None,
        built_in,
    };
    let mut all = vec![own("system", false), own("static", true)];
    let brought = std::fs::read_dir(memshed_testing::brought());
    let mut folders: Vec<PathBuf> = brought
        .into_iter()
        .flatten()
        .flatten()
        .map(|e| e.path())
        .collect();
    folders.sort();
    for folder in folders {
        let libraries = folder.join("usr/lib/x86_64-linux-gnu");
        if libraries.join("libc.so.6").exists() {
            all.push(Libc {
                name: folder
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned(),
                folder: Some(libraries),
                built_in: false,
            });
        }
    }
    all
}

impl Libc {
    /// A command that runs a C program with this library.
    pub fn command(&self, name: &'static str) -> Command {
        let program = c_program(name, self.built_in);
        let Some(folder) = &self.folder else {
            return Command::new(program);
        };
        let mut command = Command::new(folder.join("ld-linux-x86-64.so.2"));
        command.arg("--library-path").arg(folder).arg(program);
        command
    }
}

/// Builds a C program of `tests/programs`, once.
fn c_program(name: &'static str, built_in: bool) -> PathBuf {
    type Built = Mutex<BTreeMap<(&'static str, bool), PathBuf>>;
    static BUILT: OnceLock<Built> = OnceLock::new();
    let mut built = BUILT
        .get_or_init(Default::default)
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let build = || {
        let suffix = if built_in { "-static" } else { "" };
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}{suffix}"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/programs/{name}.c"));
        let mut cc = Command::new("cc");
        cc.args(["-O1", "-pthread", "-o"]).args([&program, &source]);
        if built_in {
            cc.arg("-static");
        }
        assert!(cc.status().expect("a C compiler").success(), "{name}.c");
        program
    };
    built.entry((name, built_in)).or_insert_with(build).clone()
}

/// A running program; killed when dropped.
pub struct Program {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Program {
    pub fn start(mut command: Command) -> Program {
        let spawned = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|e| panic!("{command:?}: {e}"));
        Program {
            input: child.stdin.take().expect("a pipe"),
            output: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        }
    }

    /// Its lines up to the one that says `ready`.
    pub fn lines(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            let got = self.output.read_line(&mut line).expect("readable");
            assert!(got > 0, "it ended: {lines:?}");
            if line.trim_end() == "ready" {
                self.wait_until_it_waits();
                return lines;
            }
            lines.push(line.trim_end().to_string());
        }
    }

    /// Tells it something, for its lines.
    pub fn tell(&mut self, line: &str) -> Vec<String> {
        writeln!(self.input, "{line}").expect("it listens");
        self.lines()
    }

    pub fn process(&self) -> Process {
        Process::open(self.child.id() as i32).expect("it lives")
    }

    /// Until each of its threads is in read(2), pause(2) or a futex(2): then its memory stands
    /// still. Threads of Python must not wait by futex, which is how they wait for their turn, too.
    fn wait_until_it_waits(&self) {
        let tasks = format!("/proc/{}/task", self.child.id());
        let waits = |task: std::io::Result<std::fs::DirEntry>| {
            let call = task.and_then(|t| std::fs::read_to_string(t.path().join("syscall")));
            call.is_ok_and(|call| ["0 ", "34 ", "202 "].iter().any(|n| call.starts_with(n)))
        };
        while !std::fs::read_dir(&tasks).expect("its threads").all(waits) {
            std::thread::yield_now();
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An interpreter with packages, in a virtual environment that is made once. `None`, loudly, if it
/// cannot be made here.
pub fn python_with(name: &str, packages: &[&str]) -> Option<PathBuf> {
    let bases = memshed_testing::supported();
    let base = bases.iter().find(|p| p.version.1 == 12).or(bases.last())?;
    let label = base.label.replace(' ', "-");
    let dir = memshed_testing::root().join(format!("target/venvs/{name}-{label}"));
    let python = dir.join("bin/python");
    let stamp = dir.join("packages.txt");
    let wanted = packages.join(" ");
    if std::fs::read_to_string(&stamp).is_ok_and(|had| had == wanted) {
        return Some(python);
    }
    let run = |command: &mut Command| command.output().is_ok_and(|o| o.status.success());
    let mut venv = Command::new(&base.path);
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet"]).args(packages);
    let made = run(venv.args(["-m", "venv", "--clear"]).arg(&dir)) && run(&mut pip);
    if !made || std::fs::write(stamp, &wanted).is_err() {
        eprintln!(
            "SKIPPED: no virtual environment with {wanted} in {}",
            dir.display()
        );
        return None;
    }
    Some(python)
}
