//! `cargo xtask fuzz`: runs the fuzz targets of `fuzz/`, each for a while, and says what came of it.
//!
//! Needs `cargo install cargo-fuzz`. New inputs gather in `fuzz/found`, failures in
//! `fuzz/artifacts`; what is to stay fixed is copied to `fuzz/corpus`, which the tests run too.

use crate::accept::ground::workspace;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// The targets, in the order of the way of the data.
pub const TARGETS: [&str; 5] = ["proc", "elf", "protocol", "walk", "snapshot"];
/// An input that takes longer, in seconds, is a hang.
const TIMEOUT: u32 = 25;

/// Arguments of `cargo xtask fuzz`.
#[derive(clap::Args)]
pub struct Args {
    /// Only this target (default: all of them, one after the other).
    target: Option<String>,
    /// How long each runs.
    #[arg(long, default_value_t = 600)]
    seconds: u32,
}

/// Runs the verb; 1 if an input failed.
pub fn run(args: Args) -> Result<ExitCode> {
    let root = workspace();
    let chosen: Vec<&str> = match &args.target {
        None => TARGETS.to_vec(),
        Some(one) => match TARGETS.into_iter().find(|target| target == one) {
            Some(target) => vec![target],
            None => bail!("there is no target {one}; there are {}", TARGETS.join(", ")),
        },
    };
    let mut failed = false;
    for target in chosen {
        let outcome = fuzz(&root, target, args.seconds)?;
        failed |= !outcome.good;
        println!("{target}: {}", outcome.told);
    }
    Ok(ExitCode::from(u8::from(failed)))
}

/// What came of fuzzing a target.
pub struct Outcome {
    /// In words.
    pub told: String,
    /// Whether it ran to its end and no input failed.
    pub good: bool,
}

/// Runs `target` for so many seconds.
pub fn fuzz(root: &Path, target: &str, seconds: u32) -> Result<Outcome> {
    let found = root.join("fuzz/found").join(target);
    std::fs::create_dir_all(&found).context("making fuzz/found")?;
    let artifacts = root.join("fuzz/artifacts").join(target);
    let before = count(&artifacts);
    let output = Command::new("cargo")
        // No sanitizer: of unsafe code there is next to none, and the walker is slow enough.
        .args(["fuzz", "run", "--sanitizer", "none"])
        // The walker compares addresses, millions a run: telling the fuzzer of each takes two
        // thirds of the time.
        .args((target == "walk").then_some("--no-trace-compares"))
        .arg(target)
        .arg(&found)
        .arg(root.join("fuzz/corpus").join(target))
        .args([
            "--",
            "-print_final_stats=1",
            "-rss_limit_mb=8192",
            "-max_len=4096",
        ])
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-timeout={TIMEOUT}"))
        .current_dir(root)
        // libFuzzer's hooks are unstable options of the compiler.
        .env("RUSTC_BOOTSTRAP", "1")
        // One processor: the fuzzer counts what one thread does after the other.
        .env("RAYON_NUM_THREADS", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::inherit())
        .output()
        .context("running cargo fuzz; `cargo install cargo-fuzz` brings it")?;
    let log = String::from_utf8_lossy(&output.stderr);
    let executions = figure(&log, "stat::number_of_executed_units:");
    let covered = log.lines().rev().find_map(|line| figure(line, " cov:"));
    let crashes = count(&artifacts).saturating_sub(before);
    let good = output.status.success() && executions.is_some();
    if !good {
        eprintln!("{log}");
    }
    let told = format!(
        "{} executions in {seconds} s, {} edges covered, {crashes} failures{}",
        executions.unwrap_or(0),
        covered.unwrap_or(0),
        if crashes > 0 {
            format!(", in {}", artifacts.display())
        } else {
            String::new()
        },
    );
    Ok(Outcome { told, good })
}

/// The number after `name`.
fn figure(text: &str, name: &str) -> Option<u64> {
    let (_, rest) = text.split_once(name)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// Entries of a folder; 0 if there is none. What was merely slow, on a machine that may be busy, is
/// no failure: what takes longer than [`TIMEOUT`] is.
fn count(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let failed = |name: &std::ffi::OsStr| !name.to_string_lossy().starts_with("slow-unit-");
    entries.filter(|entry| failed(&entry.file_name())).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_of_the_fuzzer() {
        let log = "#2 INITED cov: 41 ft: 42\n#9 NEW cov: 57 ft: 60\n\
                   stat::number_of_executed_units: 1234\n";
        assert_eq!(figure(log, "stat::number_of_executed_units:"), Some(1234));
        let covered = log.lines().rev().find_map(|line| figure(line, " cov:"));
        assert_eq!(covered, Some(57));
        assert_eq!(figure(log, "no such figure"), None);
    }

    #[test]
    fn every_target_has_a_program_and_inputs() {
        let root = workspace();
        let manifest = std::fs::read_to_string(root.join("fuzz/Cargo.toml")).expect("a manifest");
        for target in TARGETS {
            assert!(
                manifest.contains(&format!("name = \"{target}\"")),
                "{target}"
            );
            assert!(
                count(&root.join("fuzz/corpus").join(target)) > 0,
                "{target}"
            );
        }
    }
}
