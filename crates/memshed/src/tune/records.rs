//! The folder that is put before the program: memshed's `sitecustomize.py`, and for each run the
//! records that the program's Pythons keep there.

use super::settings::{Interpreter, Kind, Python};
use std::ffi::OsString;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};

const HOOK: &str = include_str!("sitecustomize.py");
/// Doubles in a record.
const FIELDS: usize = 16;
/// Where memshed says that start-up is over.
const READY: u64 = 5;
/// What the folders are called, before the process id.
const PREFIX: &str = "memshed-tune-";
/// No run has more records than this; a program that forks without end may not fill memory.
const MOST: usize = 100_000;

/// The folder; removed when this is dropped.
pub struct Folder {
    path: PathBuf,
    runs: u32,
}

impl Folder {
    /// Makes it, readable by its owner alone.
    pub fn make() -> io::Result<Folder> {
        let nanos = std::time::SystemTime::UNIX_EPOCH.elapsed();
        let nanos = nanos.map_or(0, |since| since.subsec_nanos());
        let name = format!("{PREFIX}{}-{nanos}", std::process::id());
        let path = std::env::temp_dir().join(name);
        sweep();
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Folder { path, runs: 0 };
        std::fs::write(folder.path.join("sitecustomize.py"), HOOK)?;
        Ok(folder)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Room for the records of another run.
    pub fn run(&mut self) -> io::Result<Records> {
        self.runs += 1;
        let folder = self.path.join(format!("records-{}", self.runs));
        std::fs::create_dir(&folder)?;
        Ok(Records { folder })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

/// Removes folders that a killed memshed has left.
fn sweep() {
    let entries = std::fs::read_dir(std::env::temp_dir());
    for entry in entries.into_iter().flatten().flatten() {
        let name = entry.file_name();
        let pid = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        let pid = pid.and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            // Those of other users stay.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// The records of a run; removed when this is dropped.
pub struct Records {
    folder: PathBuf,
}

/// What the Pythons of a run say.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Said {
    /// What they are; `None` if none spoke.
    pub interpreter: Option<Interpreter>,
    /// Collections of all of them.
    pub collections: f64,
    /// Processor time of these, in seconds.
    pub collecting: f64,
    /// The longest, in seconds of processor time.
    pub longest: f64,
    /// When the first one froze, in seconds after its start.
    pub frozen: Option<f64>,
    /// Resident bytes when it ended, if it was only one and it ended by itself.
    pub resident: Option<f64>,
    /// The most resident bytes of any of them, as far as it said.
    pub peak: f64,
    /// Whether the library asked for was loaded.
    pub preload: bool,
    /// Whether one of them had other thresholds of the collector at its end than those set.
    pub own_thresholds: bool,
}

impl Records {
    /// The environment that has Pythons keep records and apply `python`.
    pub fn environment(&self, python: Python, library: Option<&Path>) -> Vec<(OsString, OsString)> {
        let mut all = vec![("MEMSHED_TUNE_RECORDS".into(), self.folder.clone().into())];
        if let Some([young, middle, old]) = python.thresholds {
            let text = format!("{young},{middle},{old}");
            all.push(("MEMSHED_TUNE_THRESHOLDS".into(), text.into()));
        }
        if python.freeze {
            all.push(("MEMSHED_TUNE_FREEZE".into(), "1".into()));
        }
        if let Some(library) = library {
            // The kernel shows what a link leads to.
            let real = library.canonicalize().unwrap_or_else(|_| library.into());
            all.push(("MEMSHED_TUNE_LIBRARY".into(), real.into()));
        }
        all
    }

    /// Tells the Pythons of the run that start-up is over, those that come later too.
    pub fn ready(&self) {
        // Whoever cannot be told freezes by its own judgement.
        let _ = std::fs::write(self.folder.join("ready"), "");
        for path in self.files() {
            let file = std::fs::OpenOptions::new().write(true).open(path);
            let _ = file.and_then(|file| file.write_at(&1f64.to_ne_bytes(), READY * 8));
        }
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> {
        let entries = std::fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten();
        let paths = entries.map(|entry| entry.path());
        paths.filter(|path| !path.ends_with("ready")).take(MOST)
    }

    /// Reads what was said.
    pub fn read(&self) -> Said {
        let mut said = Said::default();
        let mut files = 0;
        for path in self.files() {
            if let Some(fields) = std::fs::read(path).ok().and_then(|bytes| decode(&bytes)) {
                files += 1;
                said.add(&fields);
            }
        }
        if files != 1 {
            said.resident = None;
        }
        said
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The fields of a record. The program could have written anything into it.
fn decode(bytes: &[u8]) -> Option<[f64; FIELDS]> {
    let mut fields = [0.0; FIELDS];
    for (field, bytes) in fields.iter_mut().zip(bytes.chunks_exact(8)) {
        *field = f64::from_ne_bytes(bytes.try_into().ok()?);
        if !field.is_finite() || *field < 0.0 {
            return None;
        }
    }
    (bytes.len() == FIELDS * 8 && fields[0] == 1.0).then_some(fields)
}

impl Said {
    fn add(&mut self, fields: &[f64; FIELDS]) {
        let interpreter = Interpreter {
            kind: match fields[9] {
                1.0 => Kind::Usual,
                2.0 => Kind::WithoutGil,
                _ => Kind::Other,
            },
            version: fields[10] as u32,
        };
        self.interpreter = self.interpreter.or(Some(interpreter));
        self.collections += fields[1];
        self.collecting += fields[2];
        self.longest = self.longest.max(fields[3]);
        if fields[4] > 0.0 {
            let earliest = self
                .frozen
                .map_or(fields[4], |frozen| frozen.min(fields[4]));
            self.frozen = Some(earliest);
        }
        if fields[6] > 0.0 {
            self.resident = Some(fields[6]);
        }
        self.peak = self.peak.max(fields[7]);
        self.preload |= fields[8] > 0.0;
        self.own_thresholds |= fields[12] > 0.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &[(usize, f64)]) -> Vec<u8> {
        let mut all = [0.0; FIELDS];
        all[0] = 1.0;
        for (at, value) in fields {
            all[*at] = *value;
        }
        all.iter().flat_map(|field| field.to_ne_bytes()).collect()
    }

    #[test]
    fn records_add_up_and_damaged_ones_do_not_count() {
        let mut folder = Folder::make().expect("a folder");
        let records = folder.run().expect("a folder in it");
        let write = |name: &str, bytes: &[u8]| {
            std::fs::write(records.folder.join(name), bytes).expect("written");
        };
        write(
            "1-1",
            &record(&[
                (1, 3.0),
                (2, 0.5),
                (3, 0.2),
                (6, 1e7),
                (9, 1.0),
                (10, 312.0),
            ]),
        );
        assert_eq!(records.read().resident, Some(1e7));
        write(
            "2-1",
            &record(&[(1, 2.0), (2, 0.25), (3, 0.1), (4, 1.5), (8, 1.0)]),
        );
        write("3-1", &record(&[(2, f64::NAN)]));
        write("4-1", b"short");
        let said = records.read();
        assert_eq!(
            (said.collections, said.collecting, said.longest),
            (5.0, 0.75, 0.2)
        );
        assert_eq!(
            (said.frozen, said.preload, said.resident),
            (Some(1.5), true, None)
        );
        records.ready();
        let told = std::fs::read(records.folder.join("1-1")).expect("read");
        assert_eq!(decode(&told).expect("whole")[READY as usize], 1.0);
        let path = folder.path().to_owned();
        drop(records);
        drop(folder);
        assert!(!path.exists());
    }
}
