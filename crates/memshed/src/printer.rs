//! Where results go: standard output, or a file that appears whole or not at all.

use crate::cli::Format;
use crate::error::OutputError;
use crate::interrupt::OnInterrupt;
use crate::progress::Stages;
use crate::settings::Settings;
use anstream::AutoStream;
use memshed_report::{Report, WatchTable};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Writes results and remarks.
#[derive(Clone, Debug)]
pub struct Printer {
    settings: Settings,
}

impl Printer {
    /// A printer for these settings.
    pub fn new(settings: &Settings) -> Printer {
        Printer {
            settings: settings.clone(),
        }
    }

    /// Writes a result in the format asked for, to where it was asked for.
    pub fn report(&self, report: &dyn Report) -> Result<(), OutputError> {
        let content = self.render(report);
        match &self.settings.output {
            Some(path) => write_file(path, &content).map_err(|e| OutputError::new(path, e)),
            None => self.standard_output(&content),
        }
    }

    /// As [`Printer::report`], but always to standard output: for what a command says after it
    /// has written its file.
    pub fn summary(&self, report: &dyn Report) -> Result<(), OutputError> {
        self.standard_output(&self.render(report))
    }

    /// Writes bytes that are a result in themselves, such as a completion script.
    pub fn raw(&self, content: &[u8]) -> Result<(), OutputError> {
        match &self.settings.output {
            Some(path) => write_file(path, content).map_err(|e| OutputError::new(path, e)),
            None => self.standard_output(content),
        }
    }

    /// Somewhere to write a result line by line.
    pub fn stream(&self) -> Result<Stream, OutputError> {
        let (out, path): (Box<dyn Write + Send>, PathBuf) = match &self.settings.output {
            None => (Box::new(io::stdout()), "to standard output".into()),
            Some(path) => {
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true).mode(0o600);
                let file = options.open(path).map_err(|e| OutputError::new(path, e))?;
                (Box::new(file), path.clone())
            }
        };
        Ok(Stream {
            out,
            path,
            settings: self.settings.clone(),
        })
    }

    /// A table of looks for standard output.
    pub fn watch_table(&self) -> WatchTable {
        let watched = self.settings.output.is_none() && io::stdout().is_terminal();
        WatchTable::new(self.settings.page, watched)
    }

    /// A remark on standard error, for those who asked for more.
    pub fn remark(&self, text: &str) {
        if self.settings.verbose {
            // Nothing can be done about a closed standard error.
            let _ = writeln!(io::stderr(), "memshed: {text}");
        }
    }

    /// Somebody to tell what is being done.
    pub fn stages(&self) -> Stages {
        Stages::new(self.settings.watched, self.settings.verbose)
    }

    fn render(&self, report: &dyn Report) -> Vec<u8> {
        match self.settings.format {
            Format::Json => {
                let mut json = serde_json::to_vec_pretty(&report.json()).unwrap_or_default();
                json.push(b'\n');
                json
            }
            Format::Text => {
                let text = report.text(&self.settings.page);
                self.settings.styled(&text)
            }
        }
    }

    fn standard_output(&self, content: &[u8]) -> Result<(), OutputError> {
        let mut out = io::stdout().lock();
        match out.write_all(content).and_then(|()| out.flush()) {
            // The reader has seen enough: `memshed inspect … | head`.
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|e| OutputError::new(Path::new("to standard output"), e)),
        }
    }
}

/// A result that grows line by line.
pub struct Stream {
    out: Box<dyn Write + Send>,
    path: PathBuf,
    settings: Settings,
}

impl Stream {
    /// Writes whole lines, in the format asked for, at once. Whether anybody still reads.
    pub fn write(
        &mut self,
        text: impl FnOnce() -> String,
        json: impl FnOnce() -> String,
    ) -> Result<bool, OutputError> {
        let content = match self.settings.format {
            Format::Json => json().into_bytes(),
            Format::Text => self.settings.styled(&text()),
        };
        match self.out.write_all(&content).and_then(|()| self.out.flush()) {
            Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(false),
            other => other
                .map(|()| true)
                .map_err(|e| OutputError::new(&self.path, e)),
        }
    }
}

impl Settings {
    /// `text` with its styles as standard output can show them.
    fn styled(&self, text: &str) -> Vec<u8> {
        let mut styled = AutoStream::new(Vec::new(), self.color);
        // Writing to memory cannot fail.
        let _ = styled.write_all(text.as_bytes());
        styled.into_inner()
    }
}

/// Writes `content` to `path` under a temporary name in the same directory, readable by its
/// owner alone, then renames it. What is no regular file (a pipe, `/dev/stdout`) is written to
/// as it is.
pub fn write_file(path: &Path, content: &[u8]) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
        Ok(there) if !there.is_file() => {
            return match OpenOptions::new()
                .write(true)
                .open(path)?
                .write_all(content)
            {
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
                other => other,
            };
        }
        _ => {}
    }
    // A link's target is replaced, not the link.
    let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let temporary = Temporary::create(&path)?;
    let mut file = temporary.file()?;
    file.write_all(content)?;
    file.sync_all()?;
    temporary.keep_as(&path)
}

/// A file that is removed when this is dropped or memshed is interrupted, unless it was kept.
struct Temporary {
    path: PathBuf,
    _undo: OnInterrupt,
}

impl Temporary {
    fn create(beside: &Path) -> io::Result<Temporary> {
        let name = beside.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        let mut temporary = std::ffi::OsString::from(".");
        temporary.push(name);
        temporary.push(format!(".{}.tmp", std::process::id()));
        let path = beside.with_file_name(temporary);
        let undo = path.clone();
        Ok(Temporary {
            path,
            _undo: OnInterrupt::new(move || {
                let _ = std::fs::remove_file(undo);
            }),
        })
    }

    fn file(&self) -> io::Result<File> {
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&self.path)
    }

    fn keep_as(self, path: &Path) -> io::Result<()> {
        std::fs::rename(&self.path, path)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Gone already if it was renamed.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_private_and_replaced_whole() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("report.json");
        std::fs::write(&path, "old and long").expect("written");
        write_file(&path, b"new").expect("written");
        assert_eq!(std::fs::read(&path).expect("read"), b"new");
        let mode = std::fs::metadata(&path)
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 1);
    }

    #[test]
    fn a_directory_is_not_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let error = write_file(dir.path(), b"x").expect_err("a directory");
        assert_eq!(error.kind(), io::ErrorKind::IsADirectory);
    }

    #[test]
    fn a_full_device_is_an_error() {
        let error = write_file(Path::new("/dev/full"), b"x").expect_err("full");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
