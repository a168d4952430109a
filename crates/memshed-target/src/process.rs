//! A process: what it is, how much memory it has, and its files as it sees them.

use crate::cgroup::Groups;
use crate::error::TargetError;
use crate::maps::{self, Mapping, MappingUse};
use crate::os;
use crate::status::{self, MemoryBeside, MemoryUse, Status};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A thread of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadInfo {
    /// Its number, as we count.
    pub tid: i32,
    /// Its number in its own pid namespace, as it counts itself.
    pub own_tid: i32,
    /// Its name, at most 15 bytes (pthread_setname_np(3)).
    pub name: String,
}

/// A process, told apart from later ones of the same number by its start time.
#[derive(Clone, Debug)]
pub struct Process {
    pid: i32,
    start_time: u64,
}

impl Process {
    /// Finds a process. A thread's number is taken for its process's.
    pub fn open(pid: i32) -> Result<Process, TargetError> {
        let start_time = status::start_time(pid).ok_or(TargetError::NoSuchProcess(pid))?;
        Ok(Process { pid, start_time })
    }

    /// All processes that can be seen, in order of their numbers; kernel threads too.
    pub fn list() -> Vec<Process> {
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = entries.filter_map(|e| e.file_name().to_str()?.parse().ok());
        let mut all: Vec<Process> = numbers.filter_map(|pid| Process::open(pid).ok()).collect();
        all.sort_by_key(|p| p.pid);
        all
    }

    /// Its number, as we count processes.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// When it was started, in clock ticks since the machine was (proc_pid_stat(5), field 22).
    pub fn start_time(&self) -> u64 {
        self.start_time
    }

    /// Whether it is still there: its number may have gone to another process.
    pub fn is_alive(&self) -> bool {
        status::start_time(self.pid) == Some(self.start_time)
            && self.status().is_ok_and(|s| !matches!(s.state, 'Z' | 'X'))
    }

    /// For how long it has been running.
    pub fn uptime(&self) -> Option<Duration> {
        let started = self.start_time.checked_div(os::ticks_per_second())?;
        Some(status::machine_uptime()?.saturating_sub(Duration::from_secs(started)))
    }

    fn path(&self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.pid))
    }

    fn read(&self, name: &str) -> Result<String, TargetError> {
        match fs::read(self.path(name)) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                Err(TargetError::NoSuchProcess(self.pid))
            }
            Err(e) if e.raw_os_error() == Some(libc::ESRCH) => Err(TargetError::Exited(self.pid)),
            Err(e) => Err(TargetError::io(self.path(name).to_string_lossy(), &e)),
        }
    }

    /// Names, owners, state and the like.
    pub fn status(&self) -> Result<Status, TargetError> {
        Ok(Status::parse(&self.read("status")?))
    }

    /// Its program, as it sees the path. Needs the right to look at it.
    pub fn exe(&self) -> Result<PathBuf, TargetError> {
        fs::read_link(self.path("exe")).map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => TargetError::Exited(self.pid),
            _ => TargetError::io("reading the name of its program", &e),
        })
    }

    /// Its command line, for display. May hold secrets: not to be kept.
    pub fn cmdline(&self) -> Vec<String> {
        let text = self.read("cmdline").unwrap_or_default();
        text.split_terminator('\0').map(String::from).collect()
    }

    /// Exact sums of its memory.
    pub fn memory_use(&self) -> Result<MemoryUse, TargetError> {
        Ok(MemoryUse::parse(&self.read("smaps_rollup")?))
    }

    /// What it costs beside its resident bytes.
    pub fn memory_beside(&self) -> Result<MemoryBeside, TargetError> {
        Ok(MemoryBeside::parse(
            &self.read("status")?,
            &self.read("smaps_rollup")?,
        ))
    }

    /// Its threads, in order of their numbers; those that end meanwhile are left out.
    pub fn threads(&self) -> Vec<ThreadInfo> {
        let tasks = fs::read_dir(self.path("task"));
        let numbers = tasks.into_iter().flatten().flatten();
        let mut all: Vec<ThreadInfo> = numbers
            .filter_map(|task| {
                let tid = task.file_name().to_str()?.parse().ok()?;
                let text = fs::read(task.path().join("status")).ok()?;
                let status = Status::parse(&String::from_utf8_lossy(&text));
                Some(ThreadInfo {
                    tid,
                    own_tid: status.namespace_pids.last().copied().unwrap_or(tid),
                    name: status.comm,
                })
            })
            .collect();
        all.sort_by_key(|t| t.tid);
        all
    }

    /// Its mappings, in order.
    pub fn mappings(&self) -> Result<Vec<Mapping>, TargetError> {
        Ok(maps::parse_maps(&self.read("maps")?))
    }

    /// Its mappings with how much of each is in memory. Slow: the kernel looks at every page.
    pub fn mapping_use(&self) -> Result<Vec<MappingUse>, TargetError> {
        Ok(maps::parse_smaps(&self.read("smaps")?))
    }

    /// Its control groups.
    pub fn groups(&self) -> Groups {
        Groups::of(self.pid)
    }

    /// Its root directory as we can reach it; files below are what it sees itself, in a
    /// container too.
    pub fn root(&self) -> PathBuf {
        self.path("root")
    }

    /// Opens a file by the path that the process uses for it.
    pub fn open_file(&self, path: &Path) -> io::Result<File> {
        let inside = path.strip_prefix("/").unwrap_or(path);
        File::open(self.root().join(inside))
    }

    /// Opens the file behind a mapping: the very file, even if it has been deleted or replaced.
    /// That way needs CAP_SYS_ADMIN or CAP_CHECKPOINT_RESTORE; without, the file of that name is
    /// taken if it is the same.
    pub fn open_mapped(&self, mapping: &Mapping) -> io::Result<File> {
        use std::os::unix::fs::MetadataExt;
        let link = format!("map_files/{:x}-{:x}", mapping.start, mapping.end);
        if let Ok(file) = File::open(self.path(&link)) {
            return Ok(file);
        }
        let by_exe = || {
            let same = |p: PathBuf| p.as_os_str() == mapping.path.as_str();
            self.exe()
                .is_ok_and(same)
                .then(|| File::open(self.path("exe")))
        };
        let file = match by_exe() {
            Some(file) => file?,
            None => self.open_file(Path::new(mapping.file_path()))?,
        };
        if file.metadata()?.ino() == mapping.inode {
            Ok(file)
        } else {
            Err(io::Error::other(
                "the file has been replaced since it was mapped",
            ))
        }
    }
}
