//! The processes of this machine as they are shown to people: names, users, command lines.

use memshed_target::{Process, Status};
use std::path::{Path, PathBuf};

/// A process as the kernel describes it, without looking into it.
#[derive(Clone, Debug)]
pub struct ProcessInfo {
    /// The process.
    pub process: Process,
    /// Its status.
    pub status: Status,
    /// Its command line. May hold secrets: shown at most in part.
    pub command_line: Vec<String>,
    /// What it executes; `None` where the kernel does not say (another user's process).
    pub executable: Option<PathBuf>,
}

impl ProcessInfo {
    /// What the kernel says of a process; `None` if it has ended, or is part of the kernel.
    pub fn of(process: Process) -> Option<ProcessInfo> {
        let status = process.status().ok().filter(|status| status.has_memory)?;
        Some(ProcessInfo {
            status,
            command_line: process.cmdline(),
            executable: process.exe().ok(),
            process,
        })
    }

    /// All processes that have a program.
    pub fn all() -> impl Iterator<Item = ProcessInfo> {
        Process::list().into_iter().filter_map(ProcessInfo::of)
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.process.pid()
    }
}

/// Whether there is a process `pid` (one that has ended and waits to be reaped does not count).
pub fn exists(pid: i32) -> bool {
    pid > 0 && Process::open(pid).is_ok_and(|process| process.is_alive())
}

/// Resident bytes of a process as the kernel counts them in passing, in batches
/// (proc_pid_statm(5)); `None` if it has ended.
pub fn resident_bytes(pid: i32) -> Option<u64> {
    let statm = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    // A process that has ended and waits to be reaped has no memory.
    (pages > 0).then(|| pages * rustix::param::page_size() as u64)
}

/// Whether a process of this process group lives.
pub fn group_lives(group: i32) -> bool {
    Process::list().iter().any(|process| {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.pid()));
        // The name, in brackets, may hold anything; then state, parent, group (proc_pid_stat(5)).
        let stat = stat.unwrap_or_default();
        let mut fields = stat.rsplit(')').next().unwrap_or("").split_whitespace();
        let ended = matches!(fields.next(), Some("Z" | "X") | None);
        !ended && fields.nth(1).and_then(|field| field.parse().ok()) == Some(group)
    })
}

/// The name of a user; the number if it has none.
pub fn user_name(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let row = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)?.parse() == Ok(uid)).then(|| name.to_string())
    });
    row.unwrap_or_else(|| uid.to_string())
}

/// What a Python program is called: the script's file name, `-m MODULE`, `-c`, or nothing for
/// an interactive one.
pub fn script(command_line: &[String]) -> String {
    let mut arguments = command_line.iter().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "-m" => {
                return arguments
                    .next()
                    .map_or(String::new(), |m| format!("-m {m}"));
            }
            "-c" => return "-c".to_string(),
            // Options of the interpreter with a value of their own (python --help).
            "-W" | "-X" | "--check-hash-based-pycs" => {
                arguments.next();
            }
            "-" => return "-".to_string(),
            option if option.starts_with("--") => {}
            // -c and -m may follow other letters: `python -Im http.server`.
            option if option.starts_with('-') => match option.find(['c', 'm', 'W', 'X']) {
                Some(at) if option[at..] == *"m" => {
                    return arguments
                        .next()
                        .map_or(String::new(), |m| format!("-m {m}"));
                }
                Some(at) if option[at..].starts_with('c') => return "-c".to_string(),
                Some(at) if option.len() == at + 1 => {
                    arguments.next();
                }
                _ => {}
            },
            path => {
                let name = Path::new(path).file_name();
                return name
                    .map_or(path, |n| n.to_str().unwrap_or(path))
                    .to_string();
            }
        }
    }
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_programs() {
        let cases = [
            ("python app.py --port 80", "app.py"),
            ("python3 -u -X dev /srv/app.py", "app.py"),
            ("python -m http.server", "-m http.server"),
            ("python -Im http.server 80", "-m http.server"),
            ("python -c pass", "-c"),
            ("python -Wd -bb x/y.py -m z", "y.py"),
            ("/venv/bin/python /venv/bin/gunicorn app:app", "gunicorn"),
            ("python", ""),
            ("python -", "-"),
        ];
        for (line, expected) in cases {
            let line: Vec<String> = line.split(' ').map(str::to_string).collect();
            assert_eq!(script(&line), expected, "{line:?}");
        }
    }

    #[test]
    fn this_process() {
        let pid = std::process::id() as i32;
        let process = Process::open(pid).expect("this process");
        let me = ProcessInfo::of(process).expect("this process");
        assert!(me.status.rss > 100_000 && me.executable.is_some());
        assert!(exists(pid) && !exists(0) && !exists(-1) && !exists(i32::MAX));
        assert_eq!(user_name(0), "root");
    }
}
