//! Row "builds": what row "objects" demands, of programs that embed Python, of static and stripped
//! builds, under other allocators, and with subinterpreters.

use super::ground::Ground;
use super::objects::{self, Held};
use super::table::Finding;
use crate::interpreters::Interpreter;
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

const BLOCKS: &str = "blocks of all interpreters = sys.getallocatedblocks() ± 8";

/// A way of running a program.
type Way = fn(&Ground, &Interpreter) -> Result<Option<Command>>;

/// The ways, each with the program that it runs and that program's further arguments.
const WAYS: [(&str, Way, &str, &[&str]); 7] = [
    ("embedded in a C program", embedded, "objects.py", &[]),
    (
        "linked statically, stripped",
        embedded_static,
        "objects.py",
        &[],
    ),
    ("PYTHONMALLOC=malloc", malloc, "objects.py", &[]),
    ("PYTHONMALLOC=debug", debug, "objects.py", &[]),
    ("-X dev", dev_mode, "objects.py", &[]),
    ("3 subinterpreters", plain, "subinterpreters.py", &[]),
    (
        "3 subinterpreters with their own GIL",
        own_gil,
        "subinterpreters.py",
        &["own"],
    ),
];

/// Measures the row on every interpreter.
pub fn builds(ground: &Ground) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for python in &ground.pythons {
        for (name, way, program, more) in WAYS {
            let on = format!("{}, {name}", python.label());
            match measure(ground, python, way, program, more, &on) {
                Ok(found) => findings.extend(found),
                Err(why) => {
                    let why = format!("{why:#}");
                    findings.push(Finding::not_measured("builds", on, objects::COUNTS, why));
                }
            }
        }
    }
    Ok(findings)
}

fn measure(
    ground: &Ground,
    python: &Interpreter,
    way: Way,
    program: &str,
    more: &[&str],
    on: &str,
) -> Result<Vec<Finding>> {
    let Some(mut command) = way(ground, python)? else {
        return Ok(Vec::new());
    };
    let mut args = vec![ground.count("20", "2")];
    args.extend(more);
    command.arg(ground.program(program));
    let mut held = Held::wait_for(ground, command, &args)?;
    let (look, snapshot) = held.look(ground)?;
    let mut findings = objects::findings(ground, "builds", on, &look, &held, &snapshot)?;
    // From 3.12 on the count is of all interpreters, and the larger blocks are told.
    if let (Some(blocks), Some(raw), true) = (
        look.number("/pools/blocks"),
        look.number("/pools/raw_blocks"),
        program != "objects.py",
    ) {
        let said = held.truth["blocks"].as_f64().context("no blocks")?;
        let measured = format!("{said} in the target, {} reported", blocks + raw);
        let good = (blocks + raw - said).abs() <= 8.0;
        findings.push(Finding::new("builds", on, BLOCKS, measured, good));
    }
    held.release();
    Ok(findings)
}

fn plain(_: &Ground, python: &Interpreter) -> Result<Option<Command>> {
    let mut command = Command::new(&python.path);
    command.arg("-B");
    Ok(Some(command))
}

fn own_gil(ground: &Ground, python: &Interpreter) -> Result<Option<Command>> {
    match python.minor() >= (3, 12) {
        true => plain(ground, python),
        false => Ok(None),
    }
}

fn with_allocator(python: &Interpreter, allocator: &str) -> Result<Option<Command>> {
    let mut command = Command::new(&python.path);
    command.arg("-B").env("PYTHONMALLOC", allocator);
    Ok(Some(command))
}

fn malloc(_: &Ground, python: &Interpreter) -> Result<Option<Command>> {
    with_allocator(python, "malloc")
}

fn debug(_: &Ground, python: &Interpreter) -> Result<Option<Command>> {
    with_allocator(python, "debug")
}

fn dev_mode(_: &Ground, python: &Interpreter) -> Result<Option<Command>> {
    let mut command = Command::new(&python.path);
    command.args(["-B", "-X", "dev", "-W", "ignore"]);
    Ok(Some(command))
}

/// Where an interpreter's libraries are.
struct Libraries {
    include: String,
    folder: PathBuf,
    shared: String,
    archive: PathBuf,
    flags: String,
    prefix: String,
}

impl Libraries {
    fn of(python: &Interpreter) -> Result<Libraries> {
        let ask = "import sys, sysconfig as s\n\
                   v = s.get_config_var\n\
                   print(s.get_path('include'), v('LIBDIR'), v('LDVERSION'), v('LIBPL'), sys.base_prefix, sep='\\n')\n\
                   words = [*(v('LIBS') or '').split(), *(v('SYSLIBS') or '').split()]\n\
                   print(*words, *(w for w in (v('MODLIBS') or '').split() if w.startswith('-l')))";
        let asked = Command::new(&python.path)
            .args(["-I", "-c", ask])
            .output()?;
        let text = String::from_utf8(asked.stdout)?;
        let mut lines = text.lines().map(str::to_owned);
        let mut next = || lines.next().context("the interpreter says too little");
        let (include, folder, version) = (next()?, next()?, next()?);
        let archive = Path::new(&next()?).join(format!("libpython{version}.a"));
        Ok(Libraries {
            include,
            folder: folder.into(),
            shared: format!("libpython{version}.so"),
            archive,
            prefix: next()?,
            flags: next()?,
        })
    }

    /// Compiles `embed.c`, linked as `link` says.
    fn embed(&self, ground: &Ground, name: &str, link: &[&str]) -> Result<Command> {
        let directory = ground.root.join("target/acceptance");
        std::fs::create_dir_all(&directory)?;
        let binary = directory.join(name);
        let done = Command::new("cc")
            .args(["-O1", "-Wall", "-I", &self.include, "-o"])
            .arg(&binary)
            .arg(ground.program("embed.c"))
            .args(link)
            .args(self.flags.split_whitespace())
            .args(["-lm", "-ldl", "-lutil", "-pthread"])
            .output()
            .context("running cc, which the C programs need")?;
        let said = String::from_utf8_lossy(&done.stderr);
        ensure!(done.status.success(), "cc embed.c: {said}");
        let mut command = Command::new(binary);
        command
            .env("PYTHONHOME", &self.prefix)
            .env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }
}

/// A program linked with the shared library, where there is one.
fn embedded(ground: &Ground, python: &Interpreter) -> Result<Option<Command>> {
    let at = Libraries::of(python)?;
    let library = at.folder.join(&at.shared);
    if !library.exists() {
        return Ok(None);
    }
    let library = library.to_string_lossy();
    let rpath = format!("-Wl,-rpath,{}", at.folder.display());
    let name = format!("embed-{}-{}", python.version, python.origin);
    at.embed(ground, &name, &[&library, &rpath]).map(Some)
}

/// A program that holds the interpreter, not position independent, without any symbols but those
/// that extension modules need.
fn embedded_static(ground: &Ground, python: &Interpreter) -> Result<Option<Command>> {
    let at = Libraries::of(python)?;
    if !at.archive.exists() {
        return Ok(None);
    }
    let archive = at.archive.to_string_lossy();
    let name = format!("whole-{}-{}", python.version, python.origin);
    let link = ["-no-pie", "-s", &*archive, "-Wl,--export-dynamic"];
    at.embed(ground, &name, &link).map(Some)
}
