//! A process's control groups: the memory and the processes that they still allow (cgroups(7)).

use std::path::{Path, PathBuf};

/// A limit and what is used of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// The limit.
    pub limit: u64,
    /// What is used.
    pub used: u64,
}

impl Limit {
    /// What is left.
    pub fn room(self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}

/// The tightest memory limit over a process, in bytes.
pub fn memory(pid: i32) -> Option<Limit> {
    tightest(
        pid,
        "memory",
        &[
            ("memory.max", "memory.current"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        ],
    )
}

/// The tightest limit on the number of processes over a process.
pub fn processes(pid: i32) -> Option<Limit> {
    tightest(pid, "pids", &[("pids.max", "pids.current")])
}

/// The limit with the least room among a process's group and those above it.
fn tightest(pid: i32, controller: &str, files: &[(&str, &str)]) -> Option<Limit> {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    directories(&groups, controller)
        .iter()
        .flat_map(|directory| files.iter().filter_map(|names| limit(directory, names)))
        .min_by_key(|limit| limit.room())
}

/// The directories of a process's group and of those above it, for both versions of cgroups.
fn directories(groups: &str, controller: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) =
            (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let base = if controllers.is_empty() {
            Path::new("/sys/fs/cgroup").to_owned()
        } else if controllers.split(',').any(|c| c == controller) {
            Path::new("/sys/fs/cgroup").join(controller)
        } else {
            continue;
        };
        let mut directory = base.join(path.trim_start_matches('/'));
        while directory.starts_with(&base) {
            found.push(directory.clone());
            if !directory.pop() {
                break;
            }
        }
    }
    found
}

fn limit(directory: &Path, (limit, used): &(&str, &str)) -> Option<Limit> {
    // Version 1 writes "no limit" as a number near 2^63.
    const NO_LIMIT: u64 = 1 << 60;
    let number = |name: &str| -> Option<u64> {
        let text = std::fs::read_to_string(directory.join(name)).ok()?;
        text.trim().parse().ok()
    };
    let limit = number(limit).filter(|&limit| limit < NO_LIMIT)?;
    Some(Limit {
        limit,
        used: number(used)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_of_both_versions() {
        let v2 = directories("0::/system.slice/shop.service\n", "memory");
        let expected = [
            "/sys/fs/cgroup/system.slice/shop.service",
            "/sys/fs/cgroup/system.slice",
            "/sys/fs/cgroup",
        ];
        assert_eq!(v2, expected.map(PathBuf::from));
        let v1 = directories("4:cpu,memory:/a\n1:name=systemd:/x\n", "memory");
        assert_eq!(
            v1,
            ["/sys/fs/cgroup/memory/a", "/sys/fs/cgroup/memory"].map(PathBuf::from)
        );
        assert!(directories("rubbish", "memory").is_empty());
    }
}
