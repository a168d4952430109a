//! `cargo xtask wheel`: builds the wheel as `pip` does and checks that it keeps its promises.
//!
//! One wheel serves every Python (`py3-none`), its tag's glibc is not newer than what its binaries
//! need, the command and the package run from a fresh virtual environment of every interpreter
//! found, and the command from an empty root directory as in the barest container.

use crate::interpreters::{self, Interpreter};
use anyhow::{Context, Result, bail, ensure};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Arguments of `cargo xtask wheel`.
#[derive(clap::Args)]
pub struct Args {}

/// Builds, checks, says what was checked.
pub fn run(_: Args) -> Result<ExitCode> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .context("xtask lies in the workspace")?;
    let place = root.join("target/wheel");
    if place.exists() {
        std::fs::remove_dir_all(&place)?;
    }
    std::fs::create_dir_all(&place)?;

    // Older ones are not what pyproject.toml's `requires-python` lets in; those that
    // `cargo xtask pythons` brought come without pip.
    let mut interpreters = interpreters::all();
    interpreters.retain(|one| one.minor() >= (3, 9) && one.origin != "brought");
    let builder = builder(&interpreters, &place)?;
    let wheel = build(&builder, root, &place)?;
    let glibc = tagged_glibc(&wheel)?;
    println!("{}", file_name(&wheel));

    let unpacked = place.join("unpacked");
    run_command(
        &builder,
        [
            OsStr::new("-m"),
            "zipfile".as_ref(),
            "-e".as_ref(),
            wheel.as_ref(),
            unpacked.as_ref(),
        ],
    )?;
    let binaries = elf_files(&unpacked)?;
    ensure!(!binaries.is_empty(), "the wheel holds no binary");
    for binary in &binaries {
        check_glibc(binary, glibc)?;
    }
    for interpreter in &interpreters {
        check_install(&builder, interpreter, &wheel, &place)?;
    }
    let command = binaries
        .iter()
        .find(|path| path.ends_with("scripts/memshed"))
        .context("the wheel holds no memshed command")?;
    check_alone(command, &place)?;
    Ok(ExitCode::SUCCESS)
}

/// The Python of a fresh environment with pip, from the first interpreter that can make one.
fn builder(interpreters: &[Interpreter], place: &Path) -> Result<PathBuf> {
    let on_path = PathBuf::from("python3");
    let newest_first = interpreters.iter().rev().map(|one| &one.path);
    for python in [&on_path].into_iter().chain(newest_first) {
        let venv = place.join("builder");
        if run_command(
            python,
            [
                OsStr::new("-m"),
                "venv".as_ref(),
                "--clear".as_ref(),
                venv.as_ref(),
            ],
        )
        .is_ok()
        {
            return Ok(venv.join("bin/python"));
        }
    }
    bail!("no Python here can make a virtual environment with pip\nhint: apt install python3-venv")
}

/// Builds the wheel of the workspace at `root`; there must be exactly one.
fn build(builder: &Path, root: &Path, place: &Path) -> Result<PathBuf> {
    let dist = place.join("dist");
    let arguments = ["-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir"];
    let paths = [dist.as_os_str(), root.as_os_str()];
    run_command(builder, arguments.iter().map(OsStr::new).chain(paths))?;
    let mut wheels = std::fs::read_dir(&dist)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    ensure!(wheels.len() == 1, "{} wheels were built", wheels.len());
    Ok(wheels.remove(0))
}

/// The minor version of glibc 2 in the wheel's tag, which must name no Python and no ABI.
fn tagged_glibc(wheel: &Path) -> Result<u32> {
    let name = file_name(wheel);
    let expected = concat!(
        "memshed-",
        env!("CARGO_PKG_VERSION"),
        "-py3-none-manylinux_2_"
    );
    name.strip_prefix(expected)
        .and_then(|rest| rest.strip_suffix("_x86_64.whl"))
        .and_then(|minor| minor.parse().ok())
        .with_context(|| format!("the tag of {name} is not {expected}N_x86_64"))
}

/// All ELF files below `folder`.
fn elf_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(elf_files(&path)?);
        } else if std::fs::read(&path)?.starts_with(b"\x7fELF") {
            found.push(path);
        }
    }
    Ok(found)
}

/// Checks that `binary` needs no symbol of a glibc newer than 2.`promised`.
fn check_glibc(binary: &Path, promised: u32) -> Result<()> {
    let table = run_command(
        OsStr::new("readelf"),
        [
            OsStr::new("--wide"),
            "--version-info".as_ref(),
            binary.as_ref(),
        ],
    )?;
    let needed = newest_glibc(&table);
    if let Some(needed) = needed {
        ensure!(
            needed <= promised,
            "{} needs glibc 2.{needed}, the tag says 2.{promised}",
            binary.display()
        );
    }
    let name = file_name(binary);
    match needed {
        Some(minor) => println!("  {name}: needs glibc 2.{minor}"),
        None => println!("  {name}: needs no glibc"),
    }
    Ok(())
}

/// The greatest N of all `GLIBC_2.N` in a version table.
fn newest_glibc(table: &str) -> Option<u32> {
    table
        .split("GLIBC_2.")
        .skip(1)
        .filter_map(|rest| {
            rest.split(|c: char| !c.is_ascii_digit())
                .next()?
                .parse()
                .ok()
        })
        .max()
}

/// Looks at itself, by the package and the command that it finds.
const PROGRAM: &str = "
import memshed, os
try:
    assert memshed.inspect().process.pid == os.getpid()
except memshed.Unsupported:
    pass
print('memshed', memshed.__version__)
";

/// Installs the wheel into a fresh environment of `interpreter`, asks the command its version, and
/// has the package look at its own process.
fn check_install(
    builder: &Path,
    interpreter: &Interpreter,
    wheel: &Path,
    place: &Path,
) -> Result<()> {
    let venv = place.join(format!("venv-{}", interpreter.label().replace(' ', "-")));
    let make = [
        OsStr::new("-m"),
        "venv".as_ref(),
        "--without-pip".as_ref(),
        venv.as_ref(),
    ];
    run_command(&interpreter.path, make)?;
    let python = venv.join("bin/python");
    let install = ["install", "--quiet", "--no-index", "--no-deps"].map(OsStr::new);
    let pip = [
        OsStr::new("-m"),
        "pip".as_ref(),
        "--python".as_ref(),
        python.as_ref(),
    ];
    run_command(
        builder,
        pip.into_iter().chain(install).chain([wheel.as_ref()]),
    )?;
    let said = run_command(venv.join("bin/memshed"), ["--version".as_ref()])?;
    check_version(&said)?;
    let program = ["-I", "-c", PROGRAM].map(OsStr::new);
    check_version(&run_command(&python, program)?)?;
    println!("  installed and ran: Python {}", interpreter.label());
    Ok(())
}

/// Runs the command where there is nothing else: no library, no file.
fn check_alone(command: &Path, place: &Path) -> Result<()> {
    let room = place.join("empty");
    std::fs::create_dir(&room)?;
    std::fs::copy(command, room.join("memshed"))?;
    make_executable(&room.join("memshed"))?;
    if !nix::unistd::geteuid().is_root() {
        eprintln!("  skipped: the empty root directory, which only root can enter");
        return Ok(());
    }
    let inside = [room.as_ref(), OsStr::new("/memshed"), "--version".as_ref()];
    check_version(&run_command(OsStr::new("/usr/sbin/chroot"), inside)?)?;
    println!("  ran in an empty root directory");
    Ok(())
}

fn make_executable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::Permissions::from_mode(0o755);
    Ok(std::fs::set_permissions(path, mode)?)
}

fn check_version(said: &str) -> Result<()> {
    let expected = concat!("memshed ", env!("CARGO_PKG_VERSION"));
    ensure!(
        said.starts_with(expected),
        "memshed --version says {said:?}"
    );
    Ok(())
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// What `program` writes to standard output; its standard error passes through. An error if it
/// does not end well.
fn run_command<'a>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = &'a OsStr>,
) -> Result<String> {
    let program = program.as_ref();
    let output = Command::new(program)
        .args(arguments)
        .stderr(std::process::Stdio::inherit())
        .output()
        .with_context(|| format!("could not start {}", program.display()))?;
    ensure!(
        output.status.success(),
        "{}: {}",
        program.display(),
        output.status
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_glibc_is_found_in_a_version_table() {
        let table = "0x0010: Name: GLIBC_2.9  Flags: none\n0x0020: Name: GLIBC_2.34  Version: 5\n\
                     0x0030: Name: GLIBC_2.2.5  Flags: none\n0x0040: Name: GCC_4.2.0\n";
        assert_eq!(newest_glibc(table), Some(34));
        assert_eq!(
            newest_glibc("No version information found in this file.\n"),
            None
        );
    }

    #[test]
    fn only_a_tag_for_every_python_is_accepted() {
        let version = env!("CARGO_PKG_VERSION");
        let wheel = |tag: &str| PathBuf::from(format!("memshed-{version}-{tag}.whl"));
        assert_eq!(
            tagged_glibc(&wheel("py3-none-manylinux_2_17_x86_64")).ok(),
            Some(17)
        );
        assert!(tagged_glibc(&wheel("cp311-cp311-manylinux_2_17_x86_64")).is_err());
        assert!(tagged_glibc(&wheel("py3-none-linux_x86_64")).is_err());
    }
}
