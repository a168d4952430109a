//! What the tests share: running memshed, programs to look at, a heap made by hand.

use memshed_heap::{
    Heap, Label, LabelKind, MemoryPart, ObjectId, Objects, Root, RootKind, Type, TypeId, snapshot,
};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A command line of memshed's, without colours.
pub fn memshed(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_memshed"));
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .env("LC_ALL", "C.UTF-8");
    command
}

/// What a run gave.
pub struct Run {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs memshed to its end.
pub fn run(arguments: &[&str]) -> Run {
    finish(memshed(arguments).output().expect("memshed runs"))
}

/// An output as texts.
pub fn finish(output: Output) -> Run {
    Run {
        status: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}

impl Run {
    /// Asserts that it could not do what it was asked, and said why and what to do.
    pub fn assert_could_not(&self, why: &str, hint: &str) {
        assert_eq!(self.status, Some(2), "{}{}", self.stdout, self.stderr);
        assert!(self.stderr.starts_with("memshed: "), "{}", self.stderr);
        assert!(
            self.stderr.contains(why),
            "{why:?} is not in {}",
            self.stderr
        );
        let given = self
            .stderr
            .split_once("hint: ")
            .map_or("", |(_, hint)| hint);
        assert!(given.contains(hint), "{hint:?} is not in {}", self.stderr);
        assert_eq!(self.stdout, "");
    }
}

/// A program that runs until it is dropped.
pub struct Running(pub Child);

impl Running {
    /// Starts `command` and waits for the line `ready` on its standard output.
    pub fn start(command: &mut Command) -> Running {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let stdout = child.stdout.take().expect("a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        Running(child)
    }

    /// Its process id, as an argument.
    pub fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A Python for tests that need any: its path.
pub fn python() -> Option<String> {
    let found = memshed_testing::supported().into_iter().last();
    if found.is_none() {
        eprintln!("SKIPPED: no supported Python at hand");
    }
    Some(found?.path.display().to_string())
}

/// A Python program that says `ready` and waits for its standard input to end.
pub const WAITS: &str = "import sys; print('ready', flush=True); sys.stdin.read()";

/// Writes a small heap as the snapshot `path`.
pub fn write_snapshot(path: &Path) {
    let mut heap = Heap::default();
    heap.process.pid = 4711;
    heap.process.python = "3.12.1".into();
    heap.process.executable = "/usr/bin/python3.12".into();
    heap.process.rss_bytes = 10_000_000;
    heap.memory = vec![
        MemoryPart::new("python_objects", 7_000_000),
        MemoryPart::new("unexplained", 3_000_000),
    ];
    for (module, name) in [
        ("builtins", "module"),
        ("builtins", "dict"),
        ("shop", "shop.Order"),
    ] {
        heap.types.push(Type {
            name: heap.strings.intern(name),
            module: heap.strings.intern(module),
            address: 0x1000,
            object: ObjectId::NONE,
        });
    }
    let shop = heap.strings.intern("shop");
    let orders = heap.strings.intern("ORDERS");
    let rows = [
        (0, 72, 2, ObjectId::NONE, Label(0)),
        (
            1,
            5_000_000,
            2,
            ObjectId(0),
            Label::named(LabelKind::Attribute, orders),
        ),
        (2, 48, 0, ObjectId(1), Label::new(LabelKind::Value, 0)),
        (
            2,
            48,
            Objects::UNTRACKED,
            ObjectId(1),
            Label::new(LabelKind::Value, 1),
        ),
    ];
    for (row, (kind, size, generation, holder, label)) in rows.into_iter().enumerate() {
        heap.objects.address.push(0x7f00_0000 + 64 * row as u64);
        heap.objects.type_id.push(TypeId(kind));
        heap.objects.size.push(size);
        heap.objects.allocated.push(size);
        heap.objects.refcount.push(1);
        heap.objects.generation.push(generation);
        heap.objects.holder.push(holder);
        heap.objects.holder_label.push(label);
    }
    heap.roots.push(Root {
        object: ObjectId(0),
        kind: RootKind::Module,
        name: shop,
    });
    heap.names.insert(ObjectId(0), shop);
    snapshot::write(&heap, path, snapshot::Existing::Keep).expect("the snapshot is written");
}

/// Asks again and again, not for longer than `limit`, until the answer is yes.
pub fn until(limit: Duration, otherwise: &str, mut yes: impl FnMut() -> bool) {
    let started = Instant::now();
    while !yes() {
        assert!(started.elapsed() < limit, "{otherwise}");
        std::thread::yield_now();
    }
}
