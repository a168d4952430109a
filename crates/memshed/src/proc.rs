//! What `/proc` says of the processes of this machine (proc(5)), without looking into them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// A process as the kernel describes it.
#[derive(Clone, Debug)]
pub struct ProcessInfo {
    /// Its process id.
    pub pid: i32,
    /// Its name, at most 15 bytes of it.
    pub comm: String,
    /// Its command line.
    pub command_line: Vec<String>,
    /// What it executes; `None` where the kernel does not say (another user's process).
    pub executable: Option<PathBuf>,
    /// The effective user.
    pub uid: u32,
    /// Resident bytes (VmRSS).
    pub rss_bytes: u64,
    /// Seconds since it started.
    pub uptime_seconds: f64,
}

/// The ids of all processes.
pub fn pids() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    let mut pids: Vec<i32> = entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// Whether there is a process `pid` (a zombie does not count).
pub fn exists(pid: i32) -> bool {
    pid > 0 && state(pid).is_some_and(|state| state != 'Z' && state != 'X')
}

/// The state of a process, such as `S`.
pub fn state(pid: i32) -> Option<char> {
    stat(pid)?.first()?.chars().next()
}

/// The fields of `/proc/PID/stat` after the name, which may itself hold blanks and brackets.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let after = &stat[stat.rfind(')')? + 1..];
    Some(after.split_whitespace().map(str::to_string).collect())
}

/// The value of a line of `/proc/PID/status`.
pub fn status_field(pid: i32, name: &str) -> Option<String> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    field(&status, name).map(str::to_string)
}

fn field<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .map(str::trim)
}

/// What the kernel says of a process; `None` if there is none, or it is the kernel's own.
pub fn info(pid: i32) -> Option<ProcessInfo> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let kilobytes = field(&status, "VmRSS")?.split_whitespace().next()?;
    let uid = field(&status, "Uid")?.split_whitespace().nth(1)?;
    let command_line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    Some(ProcessInfo {
        pid,
        comm: field(&status, "Name")?.to_string(),
        command_line: command_line
            .split(|&b| b == 0)
            .filter(|part| !part.is_empty())
            .map(|part| String::from_utf8_lossy(part).into_owned())
            .collect(),
        executable: std::fs::read_link(format!("/proc/{pid}/exe")).ok(),
        uid: uid.parse().ok()?,
        rss_bytes: kilobytes.parse::<u64>().ok()? * 1024,
        uptime_seconds: uptime(pid).unwrap_or(0.0),
    })
}

/// Seconds since a process started.
fn uptime(pid: i32) -> Option<f64> {
    // Field 22 of stat in clock ticks, of which Linux on x86-64 has always shown 100 a second.
    const TICKS: f64 = 100.0;
    let started: f64 = stat(pid)?.get(19)?.parse().ok()?;
    let up = std::fs::read_to_string("/proc/uptime").ok()?;
    let up: f64 = up.split_whitespace().next()?.parse().ok()?;
    Some((up - started / TICKS).max(0.0))
}

/// Whether a process of this group lives; one that has ended but was not taken notice of does
/// not.
pub fn group_lives(group: i32) -> bool {
    pids().into_iter().filter_map(stat).any(|fields| {
        let in_group = fields.get(2).and_then(|g| g.parse().ok()) == Some(group);
        in_group && !matches!(fields.first().map(String::as_str), Some("Z" | "X"))
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

/// The files that a process has mapped; empty where the kernel does not say.
pub fn mapped_files(pid: i32) -> Vec<PathBuf> {
    let maps = std::fs::read(format!("/proc/{pid}/maps")).unwrap_or_default();
    let mut files = Vec::new();
    for line in maps.split(|&b| b == b'\n') {
        let Some(at) = line.iter().position(|&b| b == b'/') else {
            continue;
        };
        let path = PathBuf::from(OsString::from_vec(line[at..].to_vec()));
        if files.last() != Some(&path) {
            files.push(path);
        }
    }
    files
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
        let me = info(pid).expect("this process");
        assert!(me.rss_bytes > 100_000 && me.uptime_seconds >= 0.0);
        assert!(exists(pid) && !exists(0) && !exists(-1) && !exists(i32::MAX));
        assert!(pids().contains(&pid));
        assert_eq!(user_name(0), "root");
    }
}
