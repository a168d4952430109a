//! Limits and state of the control groups a process is in (cgroups(7)), version 1 and 2.

use std::fs;
use std::path::{Path, PathBuf};

/// A limit of a control group, and how much of it is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLimit {
    /// The group's directory.
    pub group: PathBuf,
    /// The limit: bytes, or processes.
    pub limit: u64,
    /// How much is in use.
    pub usage: u64,
    /// Of a memory limit: bytes of files in use that the kernel can drop at once.
    pub reclaimable: u64,
}

impl GroupLimit {
    /// What is left.
    pub fn left(&self) -> u64 {
        self.limit
            .saturating_sub(self.usage.saturating_sub(self.reclaimable))
    }
}

/// The control groups of a process.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    memory: Option<Place>,
    pids: Option<Place>,
    freezer: Option<Place>,
    unified: Option<Place>,
}

/// A group's directory, and the mount point above which there is nothing to see.
#[derive(Clone, Debug)]
struct Place {
    top: PathBuf,
    group: PathBuf,
}

impl Place {
    /// The group and those above it.
    fn upwards(&self) -> impl Iterator<Item = &Path> {
        self.group
            .ancestors()
            .take_while(|dir| dir.starts_with(&self.top))
    }
}

impl Groups {
    /// The groups of process `pid`, as far as they are mounted where we are.
    pub fn of(pid: i32) -> Groups {
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        Groups::parse(&groups, &mounts)
    }

    fn parse(groups: &str, mounts: &str) -> Groups {
        let mut found = Groups::default();
        for line in groups.lines() {
            // 4:memory:/docker/abc, or 0::/user.slice for version 2
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(names), Some(path)) = (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            if names.is_empty() {
                found.unified = place(mounts, None, path);
            }
            for name in names.split(',') {
                match name {
                    "memory" => found.memory = place(mounts, Some(name), path),
                    "pids" => found.pids = place(mounts, Some(name), path),
                    "freezer" => found.freezer = place(mounts, Some(name), path),
                    _ => {}
                }
            }
        }
        found
    }

    /// The memory limit with the least left, of the process's group and those above it.
    pub fn memory_limit(&self) -> Option<GroupLimit> {
        let v1 = self
            .memory
            .iter()
            .flat_map(Place::upwards)
            .filter_map(|dir| {
                let reclaimable = stat(dir, "total_inactive_file");
                limit(
                    dir,
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    reclaimable,
                )
            });
        let v2 = self
            .unified
            .iter()
            .flat_map(Place::upwards)
            .filter_map(|dir| {
                limit(
                    dir,
                    "memory.max",
                    "memory.current",
                    stat(dir, "inactive_file"),
                )
            });
        v1.chain(v2).min_by_key(GroupLimit::left)
    }

    /// The limit on processes and threads with the least left.
    pub fn pids_limit(&self) -> Option<GroupLimit> {
        let dirs = self
            .pids
            .iter()
            .chain(&self.unified)
            .flat_map(Place::upwards);
        dirs.filter_map(|dir| limit(dir, "pids.max", "pids.current", 0))
            .min_by_key(GroupLimit::left)
    }

    /// Whether the process is in a frozen group.
    pub fn frozen(&self) -> bool {
        let read = |place: &Option<Place>, file: &str| {
            let path = place.as_ref().map(|p| p.group.join(file));
            path.and_then(|p| fs::read_to_string(p).ok())
                .unwrap_or_default()
        };
        read(&self.freezer, "freezer.state").trim() == "FROZEN"
            || read(&self.unified, "cgroup.events")
                .lines()
                .any(|l| l == "frozen 1")
    }
}

/// Where the group `path` of a hierarchy can be seen (proc_pid_mountinfo(5)).
fn place(mounts: &str, controller: Option<&str>, path: &str) -> Option<Place> {
    for line in mounts.lines() {
        // 36 35 98:0 /root /mount/point rw,noatime master:1 - cgroup cgroup rw,memory
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let mut right = right.split(' ');
        let kind = right.next().unwrap_or("");
        let options = right.nth(1).unwrap_or("");
        let fits = match controller {
            None => kind == "cgroup2",
            Some(name) => kind == "cgroup" && options.split(',').any(|o| o == name),
        };
        let mut left = left.split(' ');
        let (Some(root), Some(top)) = (left.nth(3), left.next()) else {
            continue;
        };
        if !fits {
            continue;
        }
        // A container may see only its own part of the hierarchy, mounted at the top.
        let inner = path
            .strip_prefix(root)
            .unwrap_or(path)
            .trim_start_matches('/');
        let top = PathBuf::from(top);
        let below = !inner.split('/').any(|part| part == "..");
        let group = if below { top.join(inner) } else { top.clone() };
        let group = if group.is_dir() { group } else { top.clone() };
        return Some(Place { top, group });
    }
    None
}

fn limit(dir: &Path, max: &str, current: &str, reclaimable: u64) -> Option<GroupLimit> {
    let number = |file| {
        fs::read_to_string(dir.join(file))
            .ok()?
            .trim()
            .parse::<u64>()
            .ok()
    };
    // "max" in version 2; version 1 says nearly 2^63 for no limit.
    let limit = number(max).filter(|&n| n < 1 << 62)?;
    Some(GroupLimit {
        group: dir.to_path_buf(),
        limit,
        usage: number(current)?,
        reclaimable,
    })
}

fn stat(dir: &Path, key: &str) -> u64 {
    let text = fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
    let value = text
        .lines()
        .find_map(|l| l.strip_prefix(key)?.strip_prefix(' ')?.parse().ok());
    value.unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_a_container_s_own_part() {
        let mounts = "1 0 0:1 /docker/abc /tmp rw - cgroup cgroup rw,memory\n";
        let groups = Groups::parse("4:memory:/docker/abc\n1:cpu:/x\ngarbage\n", mounts);
        let memory = groups.memory.expect("a place");
        assert_eq!(memory.group, Path::new("/tmp"));
        assert!(groups.pids.is_none() && groups.unified.is_none());
    }
}
