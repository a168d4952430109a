//! `cargo xtask pythons`: brings interpreters that the machine lacks into `target/pythons`, from
//! Debian's newer suites, without touching the system.
//!
//! apt does the fetching, with folders of its own, so that signatures and hashes are checked as
//! ever. The binary is made to load the C library of its own suite (`elf.rs`), so that its
//! process looks like any Python's.

mod apt;
mod elf;
mod settle;

use anyhow::{Context, Result, bail};
use apt::Apt;
use std::path::Path;
use std::process::{Command, ExitCode};

/// Arguments of `cargo xtask pythons`.
#[derive(clap::Args)]
pub struct Args {
    /// The versions to bring, such as 3.14 [default: all that are known]
    versions: Vec<String>,
    /// The mirror to use [default: the Debian mirror in apt's configuration]
    #[arg(long, value_name = "URL")]
    mirror: Option<String>,
    /// Bring anew what is there already
    #[arg(long)]
    again: bool,
}

/// Versions and the suites that have them, in the order in which they are tried.
const KNOWN: [(&str, &[&str]); 3] = [
    ("3.13", &["trixie", "forky"]),
    ("3.14", &["forky", "sid"]),
    ("3.15", &["forky", "sid"]),
];

/// Runs the verb.
pub fn run(args: Args) -> Result<ExitCode> {
    let folder = memshed_testing::brought();
    std::fs::create_dir_all(&folder)?;
    // The binaries will have this path written into them.
    let folder = folder.canonicalize()?;
    for wanted in &args.versions {
        if !KNOWN.iter().any(|(version, _)| version == wanted) {
            bail!(
                "no suite is known for {wanted}; known are {}",
                KNOWN.map(|k| k.0).join(", ")
            );
        }
    }
    let mut failed = false;
    for (version, suites) in KNOWN {
        if !args.versions.is_empty() && !args.versions.iter().any(|wanted| wanted == version) {
            continue;
        }
        let home = folder.join(format!("debian-{version}"));
        if !args.again && runs(&home.join("bin/python3")).is_some() {
            println!("{version}: there already, {}", home.display());
            continue;
        }
        match bring(version, suites, &home, args.mirror.as_deref()) {
            Ok(says) => println!("{version}: {says}, {}", home.display()),
            Err(error) => {
                eprintln!("{version}: {error:#}");
                failed = true;
            }
        }
    }
    for python in memshed_testing::interpreters() {
        println!("{:<18} {}", python.label, python.path.display());
    }
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// What an interpreter says of itself, if it runs.
fn runs(python: &Path) -> Option<String> {
    let script = "import sys, ctypes, sqlite3, asyncio, ssl; print(sys.version.split()[0])";
    let asked = Command::new(python)
        .args(["-I", "-c", script])
        .output()
        .ok()?;
    asked
        .status
        .success()
        .then(|| String::from_utf8_lossy(&asked.stdout).trim().to_owned())
}

/// Brings one version from the first suite that has it.
fn bring(version: &str, suites: &[&str], home: &Path, mirror: Option<&str>) -> Result<String> {
    let mirror = match mirror {
        Some(mirror) => mirror.to_owned(),
        None => apt::configured_mirror()?,
    };
    let workshop = home.with_extension("new");
    clear(&workshop)?;
    let outcome = suites
        .iter()
        .find_map(
            |suite| match Apt::of(&workshop.join("apt"), &mirror, suite) {
                Ok(apt) => apt
                    .has(&format!("python{version}"))
                    .then_some(Ok((suite, apt))),
                Err(error) => Some(Err(error)),
            },
        )
        .with_context(|| format!("none of {} has python{version}", suites.join(", ")))?
        .and_then(|(suite, apt)| {
            let root = workshop.join("root");
            settle::settle(&apt, version, &root, home)?;
            clear(home)?;
            std::fs::rename(&root, home)?;
            let says = runs(&home.join("bin/python3"))
                .with_context(|| format!("python{version} of {suite} does not run"))?;
            Ok(format!("{says} of {suite}"))
        });
    clear(&workshop)?;
    outcome
}

/// Removes a folder if it is there.
fn clear(folder: &Path) -> Result<()> {
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", folder.display()))
        }
        _ => Ok(()),
    }
}
