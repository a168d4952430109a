//! Why a snapshot could not be written or read.

use parquet::errors::ParquetError;
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a snapshot could not be written or read. Every variant names the path concerned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// The file system refused: no such path, no permission, a full disk.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    Io {
        /// What was tried: "read", "create" and the like.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something is already there, and overwriting was not asked for.
    #[error("{path} exists already", path = .0.display())]
    Exists(PathBuf),
    /// What is there is not a snapshot, or holds other files too: it is never overwritten.
    #[error("{path} is not overwritten: {why}", path = path.display())]
    NotReplaceable {
        /// What is in the way.
        path: PathBuf,
        /// What speaks against overwriting it.
        why: String,
    },
    /// The path is something other than a snapshot.
    #[error("{path} is not a memshed snapshot: {why}", path = path.display())]
    NotASnapshot {
        /// What was looked at.
        path: PathBuf,
        /// What is missing.
        why: String,
    },
    /// The snapshot was written by another version of memshed, in a format that this one does
    /// not know.
    #[error("{path} has snapshot format {found}; this memshed reads format {known}", path = path.display())]
    OtherFormat {
        /// The snapshot.
        path: PathBuf,
        /// Its format version.
        found: u64,
        /// The format version that can be read.
        known: u64,
    },
    /// A file of the snapshot is truncated, altered or contradicts the others.
    #[error("{path} is damaged: {what}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// The heap handed over contradicts itself or does not fit the format; a mistake of memshed's.
    #[error("cannot write {path}: {what}", path = path.display())]
    Unwritable {
        /// The snapshot that was to be written.
        path: PathBuf,
        /// What is wrong with the heap.
        what: String,
    },
}

impl SnapshotError {
    /// What to do next, where there is something to do.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            SnapshotError::Io { source, .. } => match source.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Some("free some space, or choose a directory on another disk")
                }
                io::ErrorKind::PermissionDenied => Some(
                    "a snapshot is private to the user who took it; run as that user, or choose a \
                     directory that you may write to",
                ),
                io::ErrorKind::NotFound => Some("check the path; parent directories must exist"),
                io::ErrorKind::ReadOnlyFilesystem => {
                    Some("choose a directory that can be written to")
                }
                _ => None,
            },
            SnapshotError::Exists(_) => {
                Some("choose another name, or ask for it to be overwritten")
            }
            SnapshotError::NotReplaceable { .. } => Some("choose another name, or move it away"),
            SnapshotError::NotASnapshot { .. } => {
                Some("a snapshot is the directory that `memshed snapshot` writes")
            }
            SnapshotError::OtherFormat { found, known, .. } => Some(match found > known {
                true => "upgrade memshed",
                false => "take the snapshot again",
            }),
            SnapshotError::Damaged { .. } => {
                Some("copy the snapshot again, or take a new one; all of its files belong together")
            }
            SnapshotError::Unwritable { .. } => None,
        }
    }

    /// For `map_err`: an error of the file system at `path`.
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| SnapshotError::Io {
            action,
            path,
            source,
        }
    }

    /// For `map_err`: what the Parquet writer said about the file at `path`.
    pub(super) fn writing(path: &Path) -> impl FnOnce(ParquetError) -> Self {
        let path = path.to_path_buf();
        move |error| match error {
            ParquetError::External(inner) if inner.is::<io::Error>() => SnapshotError::Io {
                action: "write",
                path,
                source: inner
                    .downcast::<io::Error>()
                    .map_or_else(|e| io::Error::other(e.to_string()), |e| *e),
            },
            other => SnapshotError::Unwritable {
                path,
                what: other.to_string(),
            },
        }
    }

    pub(super) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        SnapshotError::Damaged {
            path: path.to_path_buf(),
            what: what.into(),
        }
    }
}
