//! The Python interpreters that acceptance runs on: those that the tests share, by the names that
//! tables show.

use std::path::PathBuf;

/// An interpreter.
#[derive(Clone, Debug)]
pub struct Interpreter {
    /// Its binary.
    pub path: PathBuf,
    /// Its version, such as `3.12.1`.
    pub version: String,
    /// Where it comes from: `pyenv`, `system` or `brought`.
    pub origin: String,
    minor: (u32, u32),
    supported: bool,
}

impl Interpreter {
    /// Version and origin, as tables show them.
    pub fn label(&self) -> String {
        format!("{} {}", self.version, self.origin)
    }

    /// Major and minor version.
    pub fn minor(&self) -> (u32, u32) {
        self.minor
    }
}

/// Every CPython 3 on this machine, ordered by version.
pub fn all() -> Vec<Interpreter> {
    memshed_testing::interpreters()
        .into_iter()
        .map(|python| {
            let (major, minor, patch) = python.version;
            Interpreter {
                path: python.path,
                version: format!("{major}.{minor}.{patch}"),
                origin: python
                    .label
                    .split(' ')
                    .next()
                    .unwrap_or_default()
                    .to_owned(),
                minor: (major, minor),
                supported: python.supported,
            }
        })
        .collect()
}

/// Those that memshed covers.
pub fn supported() -> Vec<Interpreter> {
    all().into_iter().filter(|one| one.supported).collect()
}

/// Those that it must refuse.
pub fn unsupported() -> Vec<Interpreter> {
    all().into_iter().filter(|one| !one.supported).collect()
}
