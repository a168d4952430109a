//! `snapshot.json`: the format version and, for each table, its rows, bytes and checksum.
//!
//! The checksums are verified before a table is parsed, so that a truncated or altered file is
//! told apart from a mistake in the parser, and never reaches it.

use super::error::SnapshotError;
use super::table::{FORMAT, Table};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

/// The manifest's file within the snapshot's directory.
pub(super) const FILE: &str = "snapshot.json";
/// More than any manifest needs: a greater file is a foreign one.
const MAX_BYTES: u64 = 64 * 1024;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Manifest {
    /// See [`FORMAT`].
    pub format: u64,
    /// Program and version.
    pub written_by: String,
    /// Whether it holds contents, in the table `values`, and not only names and sizes.
    #[serde(default)]
    pub values: bool,
    /// By the table's name.
    pub tables: BTreeMap<String, Entry>,
}

/// What is known of a table's file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Entry {
    /// Rows.
    pub rows: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// XXH64 of the file, seed 0, in hexadecimal digits.
    pub xxh64: String,
}

impl Manifest {
    pub fn new() -> Manifest {
        Manifest {
            format: FORMAT,
            written_by: concat!("memshed ", env!("CARGO_PKG_VERSION")).to_owned(),
            values: false,
            tables: BTreeMap::new(),
        }
    }

    /// Writes the manifest of the snapshot in `directory` and waits until it is on disk.
    pub fn write(&self, directory: &Path) -> Result<(), SnapshotError> {
        let path = directory.join(FILE);
        let mut text = serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::from)
            .map_err(SnapshotError::io("write", &path))?;
        text.push(b'\n');
        let mut file = super::place::create_file(&path)?;
        file.write_all(&text)
            .and_then(|()| file.sync_all())
            .map_err(SnapshotError::io("write", &path))
    }

    /// The manifest of the snapshot in `directory`, of a format that this version knows.
    pub fn read(directory: &Path) -> Result<Manifest, SnapshotError> {
        let foreign = |why: &str| SnapshotError::NotASnapshot {
            path: directory.to_path_buf(),
            why: why.to_owned(),
        };
        let about = std::fs::metadata(directory).map_err(SnapshotError::io("read", directory))?;
        if !about.is_dir() {
            return Err(foreign("it is not a directory"));
        }
        let path = directory.join(FILE);
        let (file, length) = match super::place::open_file(&path) {
            Err(SnapshotError::Io { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                return Err(foreign("it has no file snapshot.json"));
            }
            other => other?,
        };
        if length > MAX_BYTES {
            return Err(SnapshotError::damaged(&path, "it is far too long"));
        }
        let text = read_at_most(file, MAX_BYTES).map_err(SnapshotError::io("read", &path))?;
        Manifest::parse(&text, directory, &path)
    }

    fn parse(text: &[u8], directory: &Path, path: &Path) -> Result<Manifest, SnapshotError> {
        /// What every format version has in common.
        #[derive(Deserialize)]
        struct Any {
            format: u64,
        }
        let damaged = |error: serde_json::Error| SnapshotError::damaged(path, error.to_string());
        let any: Any = serde_json::from_slice(text).map_err(damaged)?;
        if any.format == 0 {
            return Err(SnapshotError::damaged(path, "there is no format 0"));
        }
        if any.format != FORMAT {
            return Err(SnapshotError::OtherFormat {
                path: directory.to_path_buf(),
                found: any.format,
                known: FORMAT,
            });
        }
        serde_json::from_slice(text).map_err(damaged)
    }

    /// What is known of a table that every snapshot has.
    pub fn entry(&self, directory: &Path, table: Table) -> Result<&Entry, SnapshotError> {
        self.tables.get(table.name()).ok_or_else(|| {
            let what = format!("it does not mention the table {}", table.name());
            SnapshotError::damaged(&directory.join(FILE), what)
        })
    }
}

fn read_at_most(file: File, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut text = Vec::new();
    file.take(limit).read_to_end(&mut text)?;
    Ok(text)
}
