//! The history of a watched process: a file of JSON lines that outlives memshed.
//!
//! It begins with which process it is of, told by process id, start time and boot; a later watch
//! of the same process goes on in it, one of another process adds another such beginning. Each
//! line is appended by one write, so that what is there stays readable; a line that a crash tore is
//! taken off by the next watch, one that a full disk tore at once.

use memshed_report::{WatchEvent, WatchStart};
use rustix::fs::{FlockOperation, OFlags, flock};
use serde::Deserialize;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// A longer line is none of ours.
const LONGEST: u64 = 4 << 20;

/// Why a history cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum HistoryError {
    /// The file system refused.
    #[error("cannot {action} the history {}: {error}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// It holds something else.
    #[error("{} is not a history of memshed's", .0.display())]
    Foreign(PathBuf),
    /// Another memshed writes to it.
    #[error("another memshed writes to the history {}", .0.display())]
    Busy(PathBuf),
}

impl HistoryError {
    /// What the user can do.
    pub fn hint(&self) -> &'static str {
        match self {
            HistoryError::Io { error, .. } if error.kind() == io::ErrorKind::StorageFull => {
                "free some space, or choose a file on another disk"
            }
            HistoryError::Io { .. } => "choose a file that can be written to",
            HistoryError::Foreign(_) => "choose another name; memshed overwrites no other file",
            HistoryError::Busy(_) => "give each watch a file of its own",
        }
    }
}

/// What tells which process a part of a history is of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
struct Identity {
    pid: i32,
    start_time: u64,
    boot_id: String,
}

/// A line, as far as it matters here.
#[derive(Deserialize)]
struct Line {
    #[serde(rename = "schema")]
    _schema: u32,
    kind: String,
    #[serde(flatten)]
    identity: Option<Identity>,
}

/// A history that is open for more.
pub struct History {
    path: PathBuf,
    file: File,
    /// Whose part comes last, and how many looks it has.
    last: Option<(Identity, u64)>,
}

impl History {
    /// Opens a history, or begins one that only its owner may read. Takes off a torn last line.
    ///
    /// # Errors
    /// If the file cannot be read and written, holds something else, or another memshed writes
    /// to it.
    pub fn open(path: &Path) -> Result<History, HistoryError> {
        let fail = |action| {
            let path = path.to_owned();
            move |error| HistoryError::Io {
                action,
                path,
                error,
            }
        };
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            // Else opening a pipe would wait for somebody at its other end.
            .custom_flags(OFlags::NONBLOCK.bits() as i32)
            .open(path)
            .map_err(fail("open"))?;
        let mut history = History {
            path: path.to_owned(),
            file,
            last: None,
        };
        if history.file.metadata().map_err(fail("read"))?.is_file() {
            flock(&history.file, FlockOperation::NonBlockingLockExclusive)
                .map_err(|_| HistoryError::Busy(path.to_owned()))?;
            let whole = history.read().map_err(fail("read"))?;
            let whole = whole.ok_or_else(|| HistoryError::Foreign(path.to_owned()))?;
            history.file.set_len(whole).map_err(fail("repair"))?;
        }
        Ok(history)
    }

    /// Reads what is there. The length of its whole lines; `None` if it is something else.
    fn read(&mut self) -> io::Result<Option<u64>> {
        self.file.seek(SeekFrom::Start(0))?;
        let mut reader = BufReader::new(&self.file);
        let (mut whole, mut text) = (0, Vec::new());
        loop {
            text.clear();
            let read = reader.by_ref().take(LONGEST).read_until(b'\n', &mut text)?;
            if read == 0 {
                return Ok(Some(whole));
            }
            if text.last() != Some(&b'\n') {
                let torn = (read as u64) < LONGEST;
                // A file of which not a line is ours is somebody else's.
                let ours = self.last.is_some()
                    || BEGINNING.starts_with(&text)
                    || text.starts_with(BEGINNING);
                return Ok((torn && ours).then_some(whole));
            }
            let Ok(line) = serde_json::from_slice::<Line>(&text) else {
                return Ok(None);
            };
            match (line.kind.as_str(), line.identity, &mut self.last) {
                ("start", Some(identity), last) => *last = Some((identity, 0)),
                ("look", _, Some((_, looks))) => *looks += 1,
                (_, _, Some(_)) => {}
                (_, _, None) => return Ok(None),
            }
            whole += read as u64;
        }
    }

    /// How many looks at the process of `start` it ends with; `None` if it ends with another
    /// process, or is new.
    pub fn continues(&self, start: &WatchStart) -> Option<u64> {
        let identity = Identity {
            pid: start.pid,
            start_time: start.start_time,
            boot_id: start.boot_id.clone(),
        };
        let last = self.last.as_ref().filter(|(last, _)| *last == identity);
        last.map(|(_, looks)| *looks)
    }

    /// Appends an event.
    ///
    /// # Errors
    /// If it cannot be written; then nothing of it is there.
    pub fn append(&mut self, event: &WatchEvent) -> Result<(), HistoryError> {
        let line = event.json() + "\n";
        let before = self.file.metadata().map(|about| about.len());
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|error| {
            if let Ok(before) = before {
                // Fails where there is nothing to cut off, such as a device.
                let _ = self.file.set_len(before);
            }
            HistoryError::Io {
                action: "write",
                path: self.path.clone(),
                error,
            }
        })
    }
}

/// How every line begins.
const BEGINNING: &[u8] = b"{\"schema\":";

#[cfg(test)]
mod tests {
    use super::*;
    use memshed_report::WatchLook;
    use std::os::unix::fs::PermissionsExt;

    fn start(pid: i32) -> WatchStart {
        WatchStart {
            pid,
            start_time: 7,
            boot_id: "a".into(),
            ..WatchStart::default()
        }
    }

    /// A history of process 1 with two looks.
    fn written(path: &Path) {
        let mut history = History::open(path).expect("opened");
        assert_eq!(history.continues(&start(1)), None);
        for event in [
            WatchEvent::Start(start(1)),
            WatchEvent::Look(WatchLook::default()),
            WatchEvent::Look(WatchLook::default()),
        ] {
            history.append(&event).expect("written");
        }
    }

    #[test]
    fn a_history_goes_on_where_it_ended() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("history");
        written(&path);
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut history = History::open(&path).expect("opened again");
        assert_eq!(history.continues(&start(1)), Some(2));
        assert_eq!(history.continues(&start(2)), None);
        let rebooted = WatchStart {
            boot_id: "b".into(),
            ..start(1)
        };
        assert_eq!(history.continues(&rebooted), None);
        assert!(matches!(History::open(&path), Err(HistoryError::Busy(_))));
        history
            .append(&WatchEvent::Start(start(2)))
            .expect("written");
        drop(history);
        let history = History::open(&path).expect("opened again");
        assert_eq!(history.continues(&start(2)), Some(0));
        assert_eq!(history.continues(&start(1)), None);
    }

    #[test]
    fn a_torn_last_line_is_taken_off() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("history");
        written(&path);
        let whole = std::fs::read(&path).expect("read");
        let lines: Vec<usize> = (0..whole.len()).filter(|&at| whole[at] == b'\n').collect();
        for keep in 0..=whole.len() {
            std::fs::write(&path, &whole[..keep]).expect("torn");
            let history = History::open(&path).expect("opened");
            let expected = lines
                .iter()
                .rfind(|&&end| end < keep)
                .map_or(0, |end| end + 1);
            let left = std::fs::metadata(&path).expect("there").len();
            assert_eq!(left, expected as u64, "of {keep}");
            let looks = lines
                .iter()
                .filter(|&&end| end < keep)
                .count()
                .checked_sub(1);
            assert_eq!(history.continues(&start(1)), looks.map(|n| n as u64));
        }
    }

    #[test]
    fn other_files_are_left_alone() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notes");
        for text in [
            "dear diary",
            "{\"schema\":1}\n",
            "{\"schema\":1,\"kind\":\"look\"}\n",
            "{\"schema\":1,\"kind\":\"start\",\"pid\":1,\"start_time\":1,\"boot_id\":\"\"}\nnotes\n",
            "\n",
        ] {
            std::fs::write(&path, text).expect("written");
            let opened = History::open(&path);
            assert!(matches!(opened, Err(HistoryError::Foreign(_))), "{text}");
            assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
        }
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let mut history = History::open(Path::new("/dev/full")).expect("opened");
        let error = history
            .append(&WatchEvent::Start(start(1)))
            .expect_err("full");
        assert!(error.hint().contains("space"), "{error}");
    }
}
