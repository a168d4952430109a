//! `cargo xtask layouts`: writes `crates/memshed-cpython/src/layouts/` from CPython's headers.

mod emit;
mod probe;
mod spec;
mod tables;

use anyhow::{Context, Result, bail};
use probe::Headers;
use spec::Spec;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use tables::Table;

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
    let mut seen: BTreeMap<&str, (String, probe::Answers)> = BTreeMap::new();
    for headers in sources(&args)? {
        let Some(table) = Table::of(headers.number)? else {
            println!("{}: no table holds for this version", headers.version);
            continue;
        };
        let answers = probe::ask(&spec, &headers)?;
        match seen.get(table.name) {
            Some((version, other)) => agree(&table, version, other, &headers, &answers)?,
            None => {
                let text = emit::table(&spec, &table, &headers, &answers)?;
                files.put(&format!("{}.rs", table.name), &text)?;
                println!(
                    "{}: {} from {}",
                    headers.version,
                    table.name,
                    headers.include[0].display()
                );
                seen.insert(table.name, (headers.version, answers));
            }
        }
    }
    if files.differing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("not as the headers say: {}", files.differing.join(", "));
    Ok(ExitCode::FAILURE)
}

/// Two versions of one table must give the same numbers.
fn agree(
    table: &Table,
    version: &str,
    other: &probe::Answers,
    headers: &Headers,
    answers: &probe::Answers,
) -> Result<()> {
    let mut differing: Vec<String> = answers
        .iter()
        .filter(|(name, number)| other.get(*name) != Some(number))
        .map(|(name, number)| format!("{name} {:?} -> {number}", other.get(name)))
        .collect();
    differing.sort();
    if differing.is_empty() {
        println!("{}: as {version} ({})", headers.version, table.name);
        return Ok(());
    }
    bail!(
        "{} needs a table apart from {}, which holds for {version}: {} numbers differ:\n{}",
        headers.version,
        table.name,
        differing.len(),
        differing.join("\n")
    )
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

/// The headers that were named, or all that are at hand.
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
        bail!("no interpreter with headers found; name one with --python or --headers");
    }
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
    Ok(PathBuf::from(String::from_utf8(asked.stdout)?.trim()))
}
