//! Allocators that are recognised by name, and not read.

use memshed_target::elf::{self, ModuleFile};
use memshed_target::{Mapping, Process};

/// Names of allocators, how the names of their library files begin, what they call their mappings
/// (`PR_SET_VMA_ANON_NAME`), and functions that a program has if one of them is built in.
const KNOWN: [Known; 4] = [
    Known {
        name: "jemalloc",
        files: &["libjemalloc"],
        mappings: &["[anon:jemalloc"],
        functions: &["mallctl", "je_mallctl", "_rjem_mallctl"],
    },
    Known {
        name: "tcmalloc",
        files: &["libtcmalloc"],
        mappings: &["[anon:tcmalloc"],
        functions: &["tc_malloc", "TCMallocInternalMalloc"],
    },
    Known {
        name: "mimalloc",
        files: &["libmimalloc"],
        mappings: &["[anon:mimalloc"],
        functions: &["mi_malloc"],
    },
    Known {
        name: "musl",
        files: &["ld-musl-", "libc.musl-"],
        mappings: &[],
        functions: &["__malloc_atfork", "__libc_malloc_impl"],
    },
];

struct Known {
    name: &'static str,
    files: &'static [&'static str],
    mappings: &'static [&'static str],
    functions: &'static [&'static str],
}

/// The allocator that stands in for glibc's in a process, such as `jemalloc`; `None` if none of
/// those that are known does. A library that is there may be used for a part only.
#[must_use]
pub fn other_allocator(process: &Process, mappings: &[Mapping]) -> Option<&'static str> {
    by_mappings(mappings).or_else(|| built_in(process, mappings))
}

fn by_mappings(mappings: &[Mapping]) -> Option<&'static str> {
    let known = |mapping: &Mapping| {
        let file = mapping.file_path().rsplit('/').next().unwrap_or("");
        KNOWN.iter().find(|known| {
            known.files.iter().any(|start| file.starts_with(start))
                || known.mappings.iter().any(|s| mapping.path.starts_with(s))
        })
    };
    mappings.iter().find_map(known).map(|known| known.name)
}

/// Looks into the program itself.
fn built_in(process: &Process, mappings: &[Mapping]) -> Option<&'static str> {
    let program = process.exe().ok()?;
    let modules = elf::modules(mappings);
    let module = modules
        .iter()
        .find(|m| program.as_os_str() == m.path.as_str())?;
    let names: Vec<&str> = KNOWN.iter().flat_map(|k| k.functions).copied().collect();
    let file = ModuleFile::open(process, module).ok()?;
    let found = file.find_symbols(&names).ok()?;
    let has = |known: &&Known| known.functions.iter().any(|f| found.contains_key(*f));
    KNOWN.iter().find(has).map(|known| known.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use memshed_target::parse_maps;

    #[test]
    fn allocators_are_recognised_by_files_and_names() {
        let cases = [
            ("/usr/lib/libjemalloc.so.2", Some("jemalloc")),
            ("[anon:tcmalloc_region_NORMAL]", Some("tcmalloc")),
            ("/opt/libmimalloc.so.2.1", Some("mimalloc")),
            ("/lib/ld-musl-x86_64.so.1", Some("musl")),
            ("/usr/lib/libc.so.6", None),
            ("/home/libjemalloc/x.so", None),
        ];
        for (path, expected) in cases {
            let maps = parse_maps(&format!("1000-2000 rw-p 00000000 08:01 7 {path}"));
            assert_eq!(by_mappings(&maps), expected, "{path}");
        }
    }
}
