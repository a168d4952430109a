//! The mappings of a process: `/proc/PID/maps` and `/proc/PID/smaps` (proc_pid_maps(5)).

use crate::memory::{Range, RemoteAddr};

/// One mapping of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// Read, write, execute, and `p`rivate or `s`hared.
    pub perms: [u8; 4],
    /// Where in the file the mapping starts, in bytes.
    pub offset: u64,
    /// Device of the file, as `major:minor` in hexadecimal.
    pub dev: String,
    /// Inode of the file; 0 for memory without one.
    pub inode: u64,
    /// The file as the target sees it, or a name like `[heap]`; empty for anonymous memory.
    pub path: String,
}

/// What the bytes of a mapping come from, which decides how absent pages are treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MappingKind {
    /// Private memory without a file: absent pages are zeros.
    Anonymous,
    /// Private pages over a file: absent pages are the file's.
    PrivateFile,
    /// Shared with others, or with a file.
    Shared,
}

impl Mapping {
    /// The addresses of the mapping.
    pub fn range(&self) -> Range {
        Range {
            start: self.start,
            end: self.end,
        }
    }

    /// Whether `at` lies within.
    pub fn contains(&self, at: RemoteAddr) -> bool {
        self.range().contains(at)
    }

    /// Whether the target may read it.
    pub fn readable(&self) -> bool {
        self.perms[0] == b'r'
    }

    /// Whether the target may write to it.
    pub fn writable(&self) -> bool {
        self.perms[1] == b'w'
    }

    /// Whether the target may execute it.
    pub fn executable(&self) -> bool {
        self.perms[2] == b'x'
    }

    /// Whether its writes are the target's own.
    pub fn private(&self) -> bool {
        self.perms[3] == b'p'
    }

    /// Whether a file lies behind it.
    pub fn has_file(&self) -> bool {
        self.inode != 0
    }

    /// Where its bytes come from.
    pub fn kind(&self) -> MappingKind {
        match (self.private(), self.has_file()) {
            (false, _) => MappingKind::Shared,
            (true, true) => MappingKind::PrivateFile,
            (true, false) => MappingKind::Anonymous,
        }
    }

    /// The file's path without the mark that it has been deleted.
    pub fn file_path(&self) -> &str {
        self.path.strip_suffix(" (deleted)").unwrap_or(&self.path)
    }

    /// Whether reading it from outside is possible and harmless: not the kernel's own pages, and
    /// no device, whose registers may change when they are read.
    pub fn safe_to_read(&self) -> bool {
        let kernel = matches!(
            self.path.as_str(),
            "[vvar]" | "[vvar_vclock]" | "[vsyscall]"
        );
        let device = self.path.starts_with("/dev/")
            && !self.path.starts_with("/dev/shm/")
            && !self.path.starts_with("/dev/zero")
            && !self.path.starts_with("/dev/hugepages");
        let uring = self.path.starts_with("anon_inode:");
        self.readable() && !kernel && !device && !uring && self.end <= 1 << 47
    }
}

/// Reads the lines of `/proc/PID/maps`; lines that make no sense are left out.
pub fn parse_maps(text: &str) -> Vec<Mapping> {
    text.lines().filter_map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<Mapping> {
    // 55a5c3a00000-55a5c3a28000 r--p 00000000 08:01 1234                       /usr/bin/x
    let mut rest = line;
    let mut field = || {
        let (head, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = tail;
        head
    };
    let (start, end) = field().split_once('-')?;
    let perms: [u8; 4] = field().as_bytes().try_into().ok()?;
    let offset = u64::from_str_radix(field(), 16).ok()?;
    let dev = field().to_string();
    let inode = field().parse().ok()?;
    let path = rest.trim_start().to_string();
    let mapping = Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        perms,
        offset,
        dev,
        inode,
        path,
    };
    (mapping.start < mapping.end).then_some(mapping)
}

/// How much of one mapping is in memory, in bytes (`/proc/PID/smaps`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingUse {
    /// The mapping.
    pub mapping: Mapping,
    /// Resident bytes.
    pub rss: u64,
    /// Resident bytes, shared ones divided by the number of those who share them.
    pub pss: u64,
    /// Resident bytes that no other process has mapped, unchanged ones.
    pub private_clean: u64,
    /// Resident bytes that no other process has mapped, changed ones.
    pub private_dirty: u64,
    /// Resident bytes that belong to no file.
    pub anonymous: u64,
    /// Resident bytes in transparent huge pages.
    pub anon_huge: u64,
    /// Bytes in swap.
    pub swap: u64,
    /// The kernel's two-letter flags, separated by spaces (`dc`: not copied by fork).
    pub flags: String,
}

impl MappingUse {
    /// Whether the kernel has set a two-letter flag.
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.split(' ').any(|f| f == flag)
    }
}

/// Reads `/proc/PID/smaps`.
pub fn parse_smaps(text: &str) -> Vec<MappingUse> {
    let mut all: Vec<MappingUse> = Vec::new();
    for line in text.lines() {
        if let Some(mapping) = parse_line(line) {
            all.push(MappingUse {
                mapping,
                rss: 0,
                pss: 0,
                private_clean: 0,
                private_dirty: 0,
                anonymous: 0,
                anon_huge: 0,
                swap: 0,
                flags: String::new(),
            });
            continue;
        }
        let (Some(last), Some((key, value))) = (all.last_mut(), line.split_once(':')) else {
            continue;
        };
        match key {
            "Rss" => last.rss = kilobytes(value),
            "Pss" => last.pss = kilobytes(value),
            "Private_Clean" => last.private_clean = kilobytes(value),
            "Private_Dirty" => last.private_dirty = kilobytes(value),
            "Anonymous" => last.anonymous = kilobytes(value),
            "AnonHugePages" => last.anon_huge = kilobytes(value),
            "Swap" => last.swap = kilobytes(value),
            "VmFlags" => last.flags = value.trim().to_string(),
            _ => {}
        }
    }
    all
}

/// `   123 kB` in bytes; 0 when it is something else.
pub(crate) fn kilobytes(value: &str) -> u64 {
    let number = value.trim().trim_end_matches("kB").trim_end();
    number.parse::<u64>().unwrap_or(0).saturating_mul(1024)
}

/// Joins neighbouring ranges of a sorted list.
pub(crate) fn join(ranges: impl Iterator<Item = Range>) -> Vec<Range> {
    let mut runs: Vec<Range> = Vec::new();
    for range in ranges.filter(|r| !r.is_empty()) {
        match runs.last_mut() {
            Some(last) if last.end >= range.start => last.end = last.end.max(range.end),
            _ => runs.push(range),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_with_spaces_in_the_path() {
        let line = "7f00-8f00 rw-p 00001000 fd:01 77      /tmp/a b (deleted)\n";
        let maps = parse_maps(line);
        assert_eq!(maps.len(), 1);
        assert_eq!(maps[0].path, "/tmp/a b (deleted)");
        assert_eq!(maps[0].file_path(), "/tmp/a b");
        assert_eq!(
            (maps[0].start, maps[0].end, maps[0].offset),
            (0x7f00, 0x8f00, 0x1000)
        );
        assert_eq!(maps[0].kind(), MappingKind::PrivateFile);
    }

    #[test]
    fn leaves_out_garbage() {
        assert!(
            parse_maps("\n-\nzz-yy rwxp 0 0 0\n1-2 rw 0 0:0 0\n2-1 rw-p 0 0:0 0 x\n").is_empty()
        );
    }

    #[test]
    fn reads_smaps() {
        let text =
            "1000-3000 rw-p 00000000 00:00 0 \nRss:       8 kB\nSwap:  4 kB\nVmFlags: rd wr dc \n";
        let all = parse_smaps(text);
        assert_eq!((all[0].rss, all[0].swap), (8192, 4096));
        assert!(all[0].has_flag("dc") && !all[0].has_flag("wf"));
    }
}
