//! Parsers of this room under arbitrary bytes: what the fuzz targets in `fuzz/` run, and the tests
//! below on the inputs that `fuzz/corpus` keeps. A panic or a hang is the failure.

use crate::elf::{self, ModuleFile};
use crate::maps::{self, parse_maps, parse_smaps};
use crate::memory::RemoteAddr;
use crate::os;
use crate::protocol::{self, Answer, Fetch, Fetched, Request};
use crate::status::{self, MemoryUse, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::io::Write;
use std::os::unix::net::UnixStream;

/// The kernel's texts about a process: `maps`, `smaps`, `smaps_rollup` and `status` (proc(5)).
pub fn proc_files(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mappings = parse_maps(&text);
    for mapping in &mappings {
        assert!(mapping.start < mapping.end, "{mapping:?}");
        let _ = (mapping.kind(), mapping.safe_to_read(), mapping.has_file());
        assert!(mapping.path.starts_with(mapping.file_path()));
    }
    for module in elf::modules(&mappings) {
        assert!(!module.mappings.is_empty());
        let _ = module.range().len();
    }
    let mut ranges: Vec<_> = mappings.iter().map(maps::Mapping::range).collect();
    ranges.sort_unstable();
    let joined = maps::join(ranges.into_iter());
    assert!(joined.windows(2).all(|pair| pair[0].end < pair[1].start));
    for usage in parse_smaps(&text) {
        let _ = (usage.has_flag("dc"), usage.rss);
    }
    let _ = MemoryUse::parse(&text);
    let _ = Status::parse(&text);
    let _ = status::field(&text, "VmRSS:");
}

/// A program file: everything that is looked up in one.
pub fn elf_file(data: &[u8]) {
    let Ok(mut file) = os::memory_file(0) else {
        return;
    };
    if file.write_all(data).is_err() {
        return;
    }
    let maps = "1000-9000 r--p 00000000 08:01 7 /x\n9000-f000 r-xp 00008000 08:01 7 /x\n\
                7ffffffff000-fffffffffffff000 rw-p 0000e000 08:01 7 /x\n";
    let Ok(module) = ModuleFile::from_file("/x", file, parse_maps(maps)) else {
        return;
    };
    let _ = module.find_symbols(&["main", "_init", "environ"]);
    for section in [".text", ".rodata", ".bss", ".note.gnu.build-id"] {
        if let Ok(Some(range)) = module.find_section(section) {
            let _ = module.read_mapped(RemoteAddr(range.start), range.len());
        }
    }
    let _ = module.build_id();
}

/// What the command and the tracer send each other. What is understood can be said again.
pub fn messages(data: &[u8]) {
    one::<Request>(data);
    one::<Answer>(data);
    one::<Fetch>(data);
    one::<Fetched>(data);
}

fn one<T: DeserializeOwned + Serialize>(data: &[u8]) {
    let Ok((near, mut far)) = UnixStream::pair() else {
        return;
    };
    // More than a socket holds would block: nobody reads yet.
    if far.write_all(&data[..data.len().min(64 << 10)]).is_err() {
        return;
    }
    drop(far);
    let Ok(message) = protocol::receive::<T>(&near) else {
        return;
    };
    let Ok((near, far)) = UnixStream::pair() else {
        return;
    };
    protocol::send(&far, &message).expect("it was a message");
    protocol::receive::<T>(&near).expect("the same message");
}

#[cfg(test)]
mod tests {
    /// Runs `parser` on every input that is kept for it.
    fn replay(name: &str, parser: fn(&[u8])) {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fuzz/corpus");
        let inputs = std::fs::read_dir(format!("{folder}/{name}")).expect("inputs");
        let mut count = 0;
        for input in inputs {
            let path = input.expect("an input").path();
            eprintln!("{}", path.display());
            parser(&std::fs::read(path).expect("bytes"));
            count += 1;
        }
        assert!(count > 0, "no inputs for {name}");
    }

    #[test]
    fn kept_texts_of_the_kernel() {
        replay("proc", super::proc_files);
    }

    #[test]
    fn kept_programs() {
        replay("elf", super::elf_file);
    }

    #[test]
    fn kept_messages() {
        replay("protocol", super::messages);
    }
}
