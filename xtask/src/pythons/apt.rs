//! apt with folders of its own: another suite's packages, and nothing of the machine's changed.

use anyhow::{Context, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where Debian's packages come from on this machine, as apt's configuration says.
pub fn configured_mirror() -> Result<String> {
    let asked = Command::new("apt-get")
        .args([
            "indextargets",
            "--format",
            "$(SITE) $(RELEASE)",
            "Created-By: Packages",
        ])
        .output()
        .context("cannot run `apt-get`: this needs Debian or a relative of it")?;
    let text = String::from_utf8(asked.stdout)?;
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(site, _)| site.trim_end_matches('/'))
        .find(|site| site.ends_with("/debian"))
        .map(str::to_owned)
        .context("apt's sources name no Debian mirror; give one with --mirror URL")
}

/// apt, looking at one suite only.
pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Makes the folders and fetches the suite's index.
    pub fn of(folder: &Path, mirror: &str, suite: &str) -> Result<Apt> {
        for below in ["lists/partial", "cache/archives/partial"] {
            std::fs::create_dir_all(folder.join(below))?;
        }
        let keyring = Path::new("/usr/share/keyrings/debian-archive-keyring.gpg");
        ensure!(
            keyring.exists(),
            "{} is missing: install debian-archive-keyring",
            keyring.display()
        );
        let source = format!(
            "deb [signed-by={}] {mirror} {suite} main\n",
            keyring.display()
        );
        std::fs::write(folder.join("sources.list"), source)?;
        // No package counts as installed, so that a package's whole closure is fetched.
        std::fs::write(folder.join("status"), "")?;
        let at = folder.display();
        let settings = [
            format!("Dir::State \"{at}\";"),
            format!("Dir::State::status \"{at}/status\";"),
            format!("Dir::Cache \"{at}/cache\";"),
            format!("Dir::Etc::sourcelist \"{at}/sources.list\";"),
            "Dir::Etc::sourceparts \"-\";".to_owned(),
            "APT::Install-Recommends \"false\";".to_owned(),
            // The archive's hashes are checked either way; the folders are not `_apt`'s.
            "APT::Sandbox::User \"\";".to_owned(),
            "Acquire::Languages \"none\";".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled \"false\";".to_owned(),
        ];
        std::fs::write(folder.join("apt.conf"), settings.join("\n"))?;
        let apt = Apt {
            folder: folder.to_owned(),
        };
        apt.run(folder, &["update", "-q"])
            .with_context(|| format!("cannot fetch the index of {suite} from {mirror}"))?;
        Ok(apt)
    }

    /// Whether the suite has a package.
    pub fn has(&self, package: &str) -> bool {
        self.command("apt-cache", &self.folder)
            .args(["show", package])
            .output()
            .is_ok_and(|shown| shown.status.success() && !shown.stdout.is_empty())
    }

    /// Fetches packages with all that they depend on; the files.
    pub fn closure(&self, packages: &[&str]) -> Result<Vec<PathBuf>> {
        let archives = self.folder.join("cache/archives");
        for old in debs(&archives)? {
            std::fs::remove_file(old)?;
        }
        let mut arguments = vec!["install", "-q", "-y", "--download-only"];
        arguments.extend(packages);
        self.run(&self.folder, &arguments)?;
        debs(&archives)
    }

    /// Fetches one package alone; the file.
    pub fn alone(&self, package: &str) -> Result<PathBuf> {
        let into = self.folder.join("alone").join(package);
        std::fs::create_dir_all(&into)?;
        self.run(&into, &["download", "-q", package])?;
        debs(&into)?
            .pop()
            .with_context(|| format!("apt fetched no {package}"))
    }

    fn command(&self, program: &str, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(directory)
            .env("APT_CONFIG", self.folder.join("apt.conf"));
        command
    }

    fn run(&self, directory: &Path, arguments: &[&str]) -> Result<()> {
        let done = self
            .command("apt-get", directory)
            .args(arguments)
            .output()?;
        if !done.status.success() {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            bail!("apt-get {} failed: {}", arguments.join(" "), said.trim());
        }
        Ok(())
    }
}

/// The packages in a folder.
fn debs(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut all: Vec<PathBuf> = std::fs::read_dir(folder)?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    all.sort();
    Ok(all)
}
