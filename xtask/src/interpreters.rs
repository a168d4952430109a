//! The Python interpreters on this machine that memshed supports.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An interpreter.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// Its path, not resolved (a virtual environment's stays what it is).
    pub path: PathBuf,
    /// Its version, such as `3.12.1`.
    pub version: String,
    /// What tells it from others of its version: `pyenv`, `system` or `target`.
    pub origin: &'static str,
}

impl Interpreter {
    /// Version and origin, as tables show them.
    pub fn label(&self) -> String {
        format!("{} {}", self.version, self.origin)
    }

    /// Major and minor version.
    pub fn minor(&self) -> (u32, u32) {
        let mut parts = self
            .version
            .split('.')
            .map(|part| part.parse().unwrap_or(0));
        (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
    }
}

/// Every interpreter found under pyenv, in `/usr/bin` and under `target/pythons`, one for each
/// executable, ordered by version.
pub fn all(root: &Path) -> Vec<Interpreter> {
    let mut candidates = Vec::new();
    let pyenv = std::env::var_os("PYENV_ROOT")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".pyenv")));
    if let Some(pyenv) = pyenv {
        candidates.extend(children(&pyenv.join("versions")).map(|dir| (dir, "pyenv")));
    }
    candidates.extend(children(&root.join("target/pythons")).map(|dir| (dir, "target")));
    candidates.push((PathBuf::from("/usr"), "system"));

    let mut seen = HashSet::new();
    let mut found: Vec<_> = candidates
        .into_iter()
        .filter_map(|(prefix, origin)| {
            let path = executable(&prefix)?;
            if !seen.insert(path.canonicalize().ok()?) {
                return None;
            }
            let version = version(&path)?;
            Some(Interpreter {
                path,
                version,
                origin,
            })
        })
        .collect();
    found.sort_by_key(|one| (one.minor(), one.version.clone(), one.origin));
    found
}

/// Those of [`all`] that memshed's "First light" covers: CPython 3.11 to 3.14 with a GIL.
pub fn supported(root: &Path) -> Vec<Interpreter> {
    all(root)
        .into_iter()
        .filter(|one| (3, 11) <= one.minor() && one.minor() <= (3, 14))
        .collect()
}

/// `bin/python3` below a prefix, or whatever `bin/python3.N` there is.
fn executable(prefix: &Path) -> Option<PathBuf> {
    let bin = prefix.join("bin");
    ["python3", "python"]
        .iter()
        .map(|name| bin.join(name))
        .find(|path| path.exists())
        .or_else(|| {
            children(&bin).find(|path| {
                let name = path
                    .file_name()
                    .unwrap_or_default()
                    .to_string_lossy()
                    .into_owned();
                name.strip_prefix("python3.")
                    .is_some_and(|minor| minor.parse::<u32>().is_ok())
            })
        })
}

/// The version that the interpreter itself reports; `None` for what is not CPython with a GIL.
fn version(path: &Path) -> Option<String> {
    const ASK: &str = "import sys, platform\n\
        gil = getattr(sys, '_is_gil_enabled', lambda: True)()\n\
        sys.stdout.write('%s %s %d.%d.%d' % ((platform.python_implementation(), gil) + tuple(sys.version_info[:3])))";
    let said = Command::new(path).args(["-c", ASK]).output().ok()?;
    let said = String::from_utf8(said.stdout).ok()?;
    said.trim().strip_prefix("CPython True ").map(str::to_owned)
}

fn children(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let mut paths: Vec<_> = std::fs::read_dir(dir)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    paths.sort();
    paths.into_iter()
}
