//! Unpacks an interpreter into a folder and makes it run from there.

use super::apt::Apt;
use super::elf;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Packages of the closure that an interpreter runs without.
const NEEDLESS: [&str; 7] = [
    "debconf_",
    "libc-gconv-modules-extra_",
    "media-types_",
    "netbase_",
    "openssl-provider-legacy_",
    "readline-common_",
    "tzdata_",
];

/// Where the suite's libraries are, below the root.
const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";

/// Unpacks `python{version}` into `root`, so that it runs once the folder is moved to `home`.
pub fn settle(apt: &Apt, version: &str, root: &Path, home: &Path) -> Result<()> {
    fs::create_dir_all(root)?;
    let python = format!("python{version}");
    for package in apt.closure(&[&python])? {
        let name = package
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        if !NEEDLESS.iter().any(|needless| name.starts_with(needless)) {
            unpack(&package, root, &[])?;
        }
    }
    // Of the headers' package only the headers: the rest is a large static library.
    unpack(
        &apt.alone(&format!("lib{python}-dev"))?,
        root,
        &["./usr/include"],
    )?;
    redirect(&root.join("usr/bin").join(&python), home)?;
    fs::create_dir_all(root.join("bin"))?;
    symlink(format!("../usr/bin/{python}"), root.join("bin/python3"))?;
    for needless in ["usr/share", "usr/sbin", "etc", "var"] {
        let _ = fs::remove_dir_all(root.join(needless));
    }
    Ok(())
}

/// Unpacks a package, or only the given folders of it.
fn unpack(package: &Path, into: &Path, folders: &[&str]) -> Result<()> {
    fs::create_dir_all(into)?;
    let mut reader = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(package)
        .stdout(std::process::Stdio::piped())
        .spawn()
        .context("cannot run `dpkg-deb`")?;
    let tar = reader
        .stdout
        .take()
        .context("dpkg-deb without a standard output")?;
    let written = Command::new("tar")
        .args(["--extract", "--no-same-owner", "--directory"])
        .arg(into)
        .args(folders)
        .stdin(tar)
        .status()?;
    ensure!(
        reader.wait()?.success() && written.success(),
        "cannot unpack {}",
        package.display()
    );
    Ok(())
}

/// Makes `binary` load the C library and the rest below `home`. As `DT_RPATH`, which holds for
/// extension modules too, where `DT_RUNPATH` would not.
fn redirect(binary: &Path, home: &Path) -> Result<()> {
    let libraries = home.join(LIBRARIES);
    let loader = libraries.join("ld-linux-x86-64.so.2");
    let (Some(loader), Some(libraries)) = (loader.to_str(), libraries.to_str()) else {
        bail!("{} is not UTF-8", home.display());
    };
    let mut bytes = fs::read(binary)?;
    elf::redirect(&mut bytes, loader, libraries)
        .with_context(|| format!("cannot change {}", binary.display()))?;
    fs::write(binary, bytes)?;
    Ok(())
}
