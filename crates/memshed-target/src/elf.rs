//! Program files: where their symbols and sections lie in a target.
//!
//! The files are somebody else's and may be anything: everything read from them is checked, and
//! what makes no sense is an error, never a panic.

use crate::error::TargetError;
use crate::maps::Mapping;
use crate::memory::{Range, RemoteAddr};
use crate::process::Process;
use object::elf;
use object::read::elf::{ElfFile64, FileHeader, ProgramHeader, SectionHeader};
use object::{LittleEndian, Object, ObjectSymbol, ReadCache, ReadRef};
use std::collections::HashMap;
use std::fs::File;

/// Longest file that is looked into.
const LARGEST: u64 = 4 << 30;
/// Most symbols that are looked at in one table.
const MOST_SYMBOLS: usize = 20_000_000;
/// Longest run of bytes handed out of a file.
const LONGEST_READ: u64 = 64 << 20;

type Cache = ReadCache<File>;
type Elf<'a> = ElfFile64<'a, LittleEndian, &'a Cache>;

/// A program or library that a target has mapped.
#[derive(Clone, Debug)]
pub struct Module {
    /// The file, as the target sees it.
    pub path: String,
    /// Its mappings, in order.
    pub mappings: Vec<Mapping>,
}

impl Module {
    /// Addresses from its first to its last mapping.
    pub fn range(&self) -> Range {
        let start = self.mappings.first().map_or(0, |m| m.start);
        Range {
            start,
            end: self.mappings.last().map_or(start, |m| m.end),
        }
    }
}

/// The programs and libraries that a target has mapped: files with an executable part.
pub fn modules(mappings: &[Mapping]) -> Vec<Module> {
    let mut found: Vec<Module> = Vec::new();
    let mut by_file: HashMap<(&str, u64), usize> = HashMap::new();
    for mapping in mappings
        .iter()
        .filter(|m| m.has_file() && m.path.starts_with('/'))
    {
        let key = (mapping.dev.as_str(), mapping.inode);
        let index = *by_file.entry(key).or_insert_with(|| {
            let path = mapping.file_path().to_string();
            found.push(Module {
                path,
                mappings: Vec::new(),
            });
            found.len() - 1
        });
        found[index].mappings.push(mapping.clone());
    }
    found.retain(|m| m.mappings.iter().any(Mapping::executable));
    found
}

/// An opened program file of a target, with the place where it was loaded.
pub struct ModuleFile {
    path: String,
    cache: Cache,
    mappings: Vec<Mapping>,
}

impl ModuleFile {
    /// Opens the file behind `module`.
    pub fn open(process: &Process, module: &Module) -> Result<ModuleFile, TargetError> {
        let fail = |why: String| TargetError::Elf {
            path: module.path.clone(),
            why,
        };
        let Some(first) = module.mappings.first() else {
            return Err(fail("it is not mapped".into()));
        };
        let file = process
            .open_mapped(first)
            .map_err(|e| fail(e.to_string()))?;
        ModuleFile::from_file(&module.path, file, module.mappings.clone())
    }

    /// Looks into a file that is already open.
    pub fn from_file(
        path: &str,
        file: File,
        mappings: Vec<Mapping>,
    ) -> Result<ModuleFile, TargetError> {
        let fail = |why: String| TargetError::Elf {
            path: path.to_string(),
            why,
        };
        let about = file.metadata().map_err(|e| fail(e.to_string()))?;
        if !about.is_file() || about.len() > LARGEST {
            return Err(fail("not a file that can be looked into".into()));
        }
        let module = ModuleFile {
            path: path.to_string(),
            cache: ReadCache::new(file),
            mappings,
        };
        module.parse()?;
        Ok(module)
    }

    fn fail(&self, why: impl Into<String>) -> TargetError {
        TargetError::Elf {
            path: self.path.clone(),
            why: why.into(),
        }
    }

    fn parse(&self) -> Result<Elf<'_>, TargetError> {
        let elf = Elf::parse(&self.cache).map_err(|e| self.fail(e.to_string()))?;
        if elf.elf_header().e_machine(LittleEndian) != elf::EM_X86_64 {
            return Err(self.fail("not a program for x86-64"));
        }
        Ok(elf)
    }

    /// What has to be added to an address in the file to get the one in the target: 0 for a
    /// program that is not position independent.
    pub fn bias(&self) -> Result<u64, TargetError> {
        let elf = self.parse()?;
        if elf.elf_header().e_type(LittleEndian) == elf::ET_EXEC {
            return Ok(0);
        }
        // The loader maps each PT_LOAD segment with its file offset rounded down to a page
        // (elf(5)); any of them that is mapped tells the bias.
        for segment in elf.elf_program_headers() {
            if segment.p_type(LittleEndian) != elf::PT_LOAD || segment.p_filesz(LittleEndian) == 0 {
                continue;
            }
            let offset = segment.p_offset(LittleEndian) & !0xfff;
            let address = segment.p_vaddr(LittleEndian) & !0xfff;
            if let Some(mapping) = self.mappings.iter().find(|m| m.offset == offset) {
                return Ok(mapping.start.wrapping_sub(address));
            }
        }
        Err(self.fail("none of its segments is mapped where it should be"))
    }

    /// The addresses in the target of those of `names` that the file defines, from its full
    /// symbol table if it has one, else from the dynamic one.
    pub fn find_symbols(&self, names: &[&str]) -> Result<HashMap<String, RemoteAddr>, TargetError> {
        let bias = self.bias()?;
        let elf = self.parse()?;
        let mut found = HashMap::new();
        let full = elf.symbols().take(MOST_SYMBOLS);
        for symbol in full.chain(elf.dynamic_symbols().take(MOST_SYMBOLS)) {
            let Ok(name) = symbol.name() else { continue };
            if symbol.is_definition() && names.contains(&name) {
                let address = RemoteAddr(bias.wrapping_add(symbol.address()));
                found.entry(name.to_string()).or_insert(address);
            }
        }
        Ok(found)
    }

    /// Where the section `name` lies in the target, if the file has one that is loaded.
    pub fn find_section(&self, name: &str) -> Result<Option<Range>, TargetError> {
        let bias = self.bias()?;
        let elf = self.parse()?;
        let Some((_, section)) = elf
            .elf_section_table()
            .section_by_name(LittleEndian, name.as_bytes())
        else {
            return Ok(None);
        };
        let address = section.sh_addr(LittleEndian);
        let start = bias.wrapping_add(address);
        let end = start.checked_add(section.sh_size(LittleEndian));
        Ok(end.filter(|_| address != 0).map(|end| Range { start, end }))
    }

    /// Bytes of the file that are mapped at `at` in the target and have not been changed there:
    /// for sections that are only read. At most 64 MiB.
    pub fn read_mapped(&self, at: RemoteAddr, len: u64) -> Result<Vec<u8>, TargetError> {
        let mapping = self.mappings.iter().find(|m| m.contains(at));
        let mapping = mapping.ok_or_else(|| self.fail(format!("not mapped at {at}")))?;
        if len > LONGEST_READ || len > mapping.end - at.0 {
            return Err(self.fail(format!("{len} bytes at {at} are too many")));
        }
        let offset = mapping.offset.checked_add(at.0 - mapping.start);
        let offset = offset.ok_or_else(|| self.fail("an offset without end"))?;
        let bytes = (&self.cache).read_bytes_at(offset, len);
        bytes
            .map(<[u8]>::to_vec)
            .map_err(|()| self.fail("it is shorter than its mapping"))
    }

    /// The file's build id, if it has one: the bytes of its GNU note.
    pub fn build_id(&self) -> Option<Vec<u8>> {
        self.parse().ok()?.build_id().ok()?.map(<[u8]>::to_vec)
    }
}

/// The addresses of `names` in the module of `process` whose path is `path`.
pub fn find_symbols(
    process: &Process,
    module: &Module,
    names: &[&str],
) -> Result<HashMap<String, RemoteAddr>, TargetError> {
    ModuleFile::open(process, module)?.find_symbols(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn look_into(bytes: &[u8]) -> Result<(), TargetError> {
        let mut file = tempfile(bytes);
        file.flush().expect("flush");
        let mapping = crate::maps::parse_maps("1000-9000 r-xp 00000000 08:01 7 /x");
        let module = ModuleFile::from_file("/x", file, mapping)?;
        module.find_symbols(&["main"])?;
        module.find_section(".text")?;
        module.build_id();
        Ok(())
    }

    fn tempfile(bytes: &[u8]) -> File {
        let mut file = crate::os::memory_file(0).expect("a file in memory");
        file.write_all(bytes).expect("written");
        file
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(look_into(b"").is_err());
        assert!(look_into(b"#!/bin/sh\n").is_err());
        assert!(look_into(&[0xff; 4096]).is_err());
    }

    #[test]
    fn a_damaged_program_never_panics() {
        let whole = std::fs::read("/proc/self/exe").expect("our own program");
        let whole = &whole[..whole.len().min(1 << 20)];
        for cut in [16, 64, 100, 1000, 4096, 60_000] {
            let _ = look_into(&whole[..cut.min(whole.len())]);
        }
        let mut random = 12345u64;
        for _ in 0..2000 {
            let mut damaged = whole[..4096.min(whole.len())].to_vec();
            for _ in 0..4 {
                random = random
                    .wrapping_mul(6364136223846793005)
                    .wrapping_add(1442695040888963407);
                let at = (random >> 33) as usize % 1024;
                damaged[at] = (random >> 20) as u8;
            }
            let _ = look_into(&damaged);
        }
    }

    #[test]
    fn finds_our_own_symbols() {
        let process = Process::open(std::process::id() as i32).expect("ourselves");
        let maps = process.mappings().expect("our mappings");
        let all = modules(&maps);
        let libc = all
            .iter()
            .find(|m| m.path.contains("libc.so"))
            .expect("a C library");
        let found = find_symbols(&process, libc, &["getpid", "no_such_name"]).expect("symbols");
        assert_eq!(found.len(), 1);
        assert_eq!(found["getpid"].0, libc::getpid as *const () as u64);
        let file = ModuleFile::open(&process, libc).expect("the file");
        let text = file
            .find_section(".text")
            .expect("sections")
            .expect("a .text");
        assert!(text.contains(found["getpid"]));
        assert!(file.read_mapped(found["getpid"], 4).is_ok());
        assert!(file.read_mapped(found["getpid"], u64::MAX).is_err());
    }
}
