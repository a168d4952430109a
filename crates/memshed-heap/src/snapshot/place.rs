//! Where a snapshot comes to be: a directory under a temporary name, renamed into place when it
//! is whole and on disk, and removed when it is not to be.

use super::error::SnapshotError;
use super::manifest;
use super::table::Table;
use rustix::fs::{FlockOperation, OFlags, RenameFlags, flock, renameat_with};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// What to do with a snapshot that is there already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// Refuse to write.
    #[default]
    Keep,
    /// Put the new one in its place, once that is whole. Only ever done to a snapshot: any other
    /// file or directory is kept.
    Overwrite,
}

/// A directory under a temporary name. Dropping it removes it, unless it was put in place.
pub(super) struct Place {
    target: PathBuf,
    parent: PathBuf,
    temporary: PathBuf,
    existing: Existing,
    /// Holds a lock for as long as this process is at work, so that what a killed one left
    /// behind can be told from what is being written.
    _lock: File,
}

impl Place {
    /// An empty private directory next to `target`.
    pub fn create(target: &Path, existing: Existing) -> Result<Place, SnapshotError> {
        let name = target.file_name().ok_or_else(|| SnapshotError::Io {
            action: "create",
            path: target.to_path_buf(),
            source: io::Error::new(io::ErrorKind::InvalidInput, "the path has no last part"),
        })?;
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent.to_path_buf(),
            _ => PathBuf::from("."),
        };
        check_target(target, existing)?;
        remove_leftovers(&parent, name);
        let temporary = parent.join(temporary_name(name));
        DirBuilder::new()
            .mode(0o700)
            .create(&temporary)
            .map_err(SnapshotError::io("create", &temporary))?;
        let lock = File::open(&temporary)
            .and_then(|directory| {
                flock(&directory, FlockOperation::NonBlockingLockExclusive).or_else(
                    // Some network file systems have no locks; then leftovers stay.
                    |e| {
                        if matches!(e, Errno::NOLCK | Errno::OPNOTSUPP) {
                            Ok(())
                        } else {
                            Err(e)
                        }
                    },
                )?;
                Ok(directory)
            })
            .map_err(|source| {
                remove(&temporary);
                SnapshotError::io("open", &temporary)(source)
            })?;
        Ok(Place {
            target: target.to_path_buf(),
            parent,
            temporary,
            existing,
            _lock: lock,
        })
    }

    /// The directory, for the time being.
    pub fn directory(&self) -> &Path {
        &self.temporary
    }

    /// Where it will be.
    pub fn target(&self) -> &Path {
        &self.target
    }

    /// Waits until the directory is on disk and gives it its name.
    pub fn put(self) -> Result<(), SnapshotError> {
        sync_directory(&self.temporary)?;
        check_target(&self.target, self.existing)?;
        match self.rename(RenameFlags::NOREPLACE) {
            Ok(()) => {}
            Err(Errno::EXIST) => match self.existing {
                Existing::Keep => return Err(SnapshotError::Exists(self.target.clone())),
                Existing::Overwrite => self.exchange()?,
            },
            // A file system without rename flags (some network ones); checked just above.
            Err(Errno::INVAL | Errno::NOSYS) => self.replace()?,
            Err(e) => return Err(SnapshotError::io("create", &self.target)(e.into())),
        }
        sync_directory(&self.parent)
        // Dropped here: what was replaced now bears the temporary name, and goes.
    }

    fn rename(&self, flags: RenameFlags) -> Result<(), Errno> {
        renameat_with(
            rustix::fs::CWD,
            &self.temporary,
            rustix::fs::CWD,
            &self.target,
            flags,
        )
    }

    /// Swaps the new snapshot with the old one: at no moment is there none.
    fn exchange(&self) -> Result<(), SnapshotError> {
        match self.rename(RenameFlags::EXCHANGE) {
            Ok(()) => Ok(()),
            Err(Errno::INVAL | Errno::NOSYS) => self.replace(),
            Err(e) => Err(SnapshotError::io("replace", &self.target)(e.into())),
        }
    }

    fn replace(&self) -> Result<(), SnapshotError> {
        if self.existing == Existing::Overwrite && self.target.exists() {
            remove(&self.target);
        }
        std::fs::rename(&self.temporary, &self.target)
            .map_err(SnapshotError::io("create", &self.target))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        remove(&self.temporary);
    }
}

/// Creates a file that only its owner may read; it must not exist.
pub(super) fn create_file(path: &Path) -> Result<File, SnapshotError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(SnapshotError::io("create", path))
}

/// Opens a regular file; a pipe or a device in its place is not waited for. Also its length.
pub(super) fn open_file(path: &Path) -> Result<(File, u64), SnapshotError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits() as i32)
        .open(path)
        .map_err(SnapshotError::io("read", path))?;
    let about = file.metadata().map_err(SnapshotError::io("read", path))?;
    if !about.is_file() {
        return Err(SnapshotError::damaged(path, "it is not a regular file"));
    }
    Ok((file, about.len()))
}

/// Whether `target` may be written, as things stand.
fn check_target(target: &Path, existing: Existing) -> Result<(), SnapshotError> {
    let about = match std::fs::symlink_metadata(target) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        other => other.map_err(SnapshotError::io("create", target))?,
    };
    if existing == Existing::Keep {
        return Err(SnapshotError::Exists(target.to_path_buf()));
    }
    let kept = |why: &str| SnapshotError::NotReplaceable {
        path: target.to_path_buf(),
        why: why.to_owned(),
    };
    if !about.is_dir() {
        return Err(kept("it is not a directory, and so no snapshot"));
    }
    let files = ours();
    let mut manifest_found = false;
    for entry in std::fs::read_dir(target).map_err(SnapshotError::io("read", target))? {
        let name = entry
            .map_err(SnapshotError::io("read", target))?
            .file_name();
        manifest_found |= name == manifest::FILE;
        if !files.contains(&name) {
            let what = format!("it holds {}, which no snapshot does", name.display());
            return Err(kept(&what));
        }
    }
    if manifest_found {
        Ok(())
    } else {
        Err(kept("it has no file snapshot.json, and so is no snapshot"))
    }
}

/// The names of all files that a snapshot may have.
fn ours() -> Vec<OsString> {
    let tables = Table::ALL.iter().map(|table| table.file().into());
    tables.chain([manifest::FILE.into()]).collect()
}

/// Removes a snapshot, whole or partial: the files that are known, then the directory if that
/// has left it empty. Errors are of no use here: whoever looks next will meet them.
fn remove(directory: &Path) {
    for name in ours() {
        let _ = std::fs::remove_file(directory.join(name));
    }
    let _ = std::fs::remove_dir(directory);
}

const TEMPORARY: &[u8] = b".memshed-";

/// `.NAME.memshed-PID-N`; unlike any other in use on this machine, and if not, refused by mkdir.
fn temporary_name(name: &OsStr) -> OsString {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut temporary = OsString::from(".");
    temporary.push(name);
    temporary.push(format!(".memshed-{}-{number}", std::process::id()));
    temporary
}

/// Removes what killed writers of the same snapshot left behind: directories with a temporary
/// name that nobody has locked.
fn remove_leftovers(parent: &Path, name: &OsStr) {
    let mut prefix = b".".to_vec();
    prefix.extend_from_slice(name.as_bytes());
    prefix.extend_from_slice(TEMPORARY);
    let Ok(entries) = std::fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        if !entry.file_name().as_bytes().starts_with(&prefix) {
            continue;
        }
        let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags.bits() as i32)
            .open(entry.path());
        if let Ok(directory) = opened
            && flock(&directory, FlockOperation::NonBlockingLockExclusive).is_ok()
        {
            remove(&entry.path());
        }
    }
}

fn sync_directory(path: &Path) -> Result<(), SnapshotError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(SnapshotError::io("write", path))
}
