//! `cargo xtask layouts`: writes `crates/memshed-cpython/src/layouts/` from CPython's headers.

mod emit;
mod probe;
mod spec;
mod tables;

use anyhow::{Context, Result, ensure};
use emit::Answered;
use probe::Headers;
use spec::Spec;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use tables::{TABLES, Table};

/// Arguments of `cargo xtask layouts`.
#[derive(clap::Args)]
pub struct Args {
    /// An interpreter whose headers are installed (again for more); all that are found otherwise.
    #[arg(long, value_name = "PATH")]
    python: Vec<PathBuf>,
    /// A directory with Python.h and internal/ (again for more).
    #[arg(long, value_name = "DIRECTORY")]
    headers: Vec<PathBuf>,
    /// Change nothing; fail if a committed table differs from what the headers say.
    #[arg(long)]
    check: bool,
}

/// Runs the verb.
pub fn run(args: Args) -> Result<ExitCode> {
    let spec = Spec::load()?;
    let destination =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/memshed-cpython/src/layouts");
    let mut files = Files {
        destination,
        check: args.check,
        differing: Vec::new(),
    };
    for (name, blocks) in &spec.files {
        files.put(&format!("{name}.rs"), &emit::shape(name, blocks)?)?;
    }
    files.put("layout.rs", &emit::whole(&spec)?)?;
    let mut seen: BTreeMap<&str, Answered> = BTreeMap::new();
    let mut united = true;
    for headers in sources(&args)? {
        let tables = Table::of(headers.number)?;
        if tables.is_empty() {
            println!("{}: no table holds for this version", headers.version);
        }
        for table in tables {
            let answered = Answered {
                answers: probe::ask(&spec, &headers, table.define)?,
                headers: headers.clone(),
            };
            match seen.get(table.name) {
                Some(other) => united &= agree(&spec, &table, other, &answered),
                None => {
                    let directory = headers.include[0].display();
                    println!("{}: {} from {directory}", headers.version, table.name);
                    seen.insert(table.name, answered);
                }
            }
        }
    }
    write_tables(&spec, &seen, &mut files)?;
    if !files.differing.is_empty() {
        println!("not as the headers say: {}", files.differing.join(", "));
    }
    Ok(match united && files.differing.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Writes the tables whose headers are at hand.
fn write_tables(spec: &Spec, seen: &BTreeMap<&str, Answered>, files: &mut Files) -> Result<()> {
    for table in TABLES {
        let Some(from) = seen.get(table.name) else {
            continue;
        };
        let text = match table.base {
            None => emit::table(spec, &table, from)?,
            Some(name) => {
                let base = TABLES.iter().find(|table| table.name == name);
                let (Some(base), Some(base_from)) = (base, seen.get(name)) else {
                    println!(
                        "{}: left as it is, for want of headers for {name}",
                        table.name
                    );
                    continue;
                };
                emit::difference(spec, &table, from, (base, base_from))?
            }
        };
        files.put(&format!("{}.rs", table.name), &text)?;
    }
    Ok(())
}

/// Two versions of one table must give the same numbers, but for those that move with the static
/// strings: says whether they do.
fn agree(spec: &Spec, table: &Table, other: &Answered, this: &Answered) -> bool {
    let mut differing: Vec<String> = this
        .answers
        .iter()
        .filter(|(name, number)| other.answers.get(*name) != Some(number) && !spec.drifts(name))
        .map(|(name, number)| match other.answers.get(name) {
            Some(old) => format!("  {name}: {old} -> {number}"),
            None => format!("  {name}: absent -> {number}"),
        })
        .collect();
    differing.sort();
    let (version, first) = (&this.headers.version, &other.headers.version);
    if differing.is_empty() {
        println!("{version}: as {first} ({})", table.name);
        return true;
    }
    println!(
        "{version}: needs a table apart from {}, which holds for {first}; {} numbers differ:\n{}",
        table.name,
        differing.len(),
        differing.join("\n")
    );
    false
}

/// The generated files.
struct Files {
    destination: PathBuf,
    check: bool,
    /// Under `--check`, those that are not as they should be.
    differing: Vec<String>,
}

impl Files {
    fn put(&mut self, name: &str, text: &str) -> Result<()> {
        let path = self.destination.join(name);
        if !self.check {
            std::fs::create_dir_all(&self.destination)?;
            return std::fs::write(&path, text)
                .with_context(|| format!("cannot write {}", path.display()));
        }
        // Which patch version a table was generated from is not what is checked.
        let body = |text: &str| {
            text.lines()
                .filter(|line| !line.starts_with("//!"))
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        if std::fs::read_to_string(&path).is_ok_and(|old| body(&old) == body(text)) {
            return Ok(());
        }
        self.differing.push(name.to_owned());
        Ok(())
    }
}

/// The headers that were named, or those of every interpreter at hand.
fn sources(args: &Args) -> Result<Vec<Headers>> {
    let mut all: Vec<Headers> = args
        .headers
        .iter()
        .map(|directory| Headers::at(directory.clone()))
        .collect::<Result<_>>()?;
    for python in &args.python {
        all.push(Headers::at(include_of(python)?)?);
    }
    if all.is_empty() {
        for python in memshed_testing::supported() {
            match python.include {
                Some(include) => all.push(Headers::at(include)?),
                None => println!("{}: its headers are not installed", python.label),
            }
        }
    }
    ensure!(
        !all.is_empty(),
        "no interpreter with headers found; name one with --python or --headers"
    );
    all.sort_by_key(|headers| headers.number);
    Ok(all)
}

/// Asks an interpreter where its headers are.
fn include_of(python: &Path) -> Result<PathBuf> {
    let asked = Command::new(python)
        .args([
            "-c",
            "import sysconfig; print(sysconfig.get_path('include'))",
        ])
        .output()
        .with_context(|| format!("cannot run {}", python.display()))?;
    ensure!(asked.status.success(), "{} does not run", python.display());
    Ok(PathBuf::from(String::from_utf8(asked.stdout)?.trim()))
}
