//! Object caches: what the interpreter and the standard library keep for reuse.

use super::free_lists::FreeLists;
use crate::dicts::{self, Dict};
use crate::edges::Visitor;
use crate::interpreters::Interpreter;
use crate::layouts::Layout;
use crate::layouts::private::lru_cache;
use crate::mark::Found;
use crate::read::Reader;
use crate::roots::RawRoot;
use crate::shapes::Kind;
use crate::strings;
use memshed_heap::{Cache, Objects, RootKind};
use memshed_target::{Memory, RemoteAddr};

/// Caches in module-level dictionaries of the standard library: module, attribute, and what they
/// are for.
const MODULE_CACHES: &[(&str, &str, &str)] = &[
    ("re", "_cache", "compiled patterns"),
    ("re", "_cache2", "compiled patterns, the latest"),
    ("linecache", "cache", "source lines for tracebacks"),
    ("sys", "path_importer_cache", "importers by directory"),
    ("encodings", "_cache", "codecs"),
    ("copyreg", "dispatch_table", "pickling functions"),
    ("functools", "_registry", "dispatch"),
    ("xml.etree.ElementPath", "_cache", "compiled paths"),
    (
        "zipimport",
        "_zip_directory_cache",
        "directories of archives",
    ),
];

/// The program's own data has fewer strings than this.
const MAX_STATIC_STRINGS: u64 = 1 << 20;

/// Reads caches.
pub(crate) struct Caches<'a, 'm, M: Memory> {
    pub(crate) visitor: &'a Visitor<'m, M>,
    pub(crate) interpreters: &'a [Interpreter],
    pub(crate) found: &'a Found<'m, M>,
    pub(crate) objects: &'a Objects,
    pub(crate) roots: &'a [RawRoot],
    /// Interned strings in the program's own data, by [`static_strings`].
    pub(crate) static_strings: u64,
}

/// How many interned strings the program's own data has: from 3.12 on they have a table of their
/// own, to which the state of the runtime points.
pub(crate) fn static_strings<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Layout,
    runtime: RemoteAddr,
) -> u64 {
    let (Some(table), Some(count)) = (layout.runtime.interned_strings, layout.hashtable.nentries)
    else {
        return 0;
    };
    let table = reader.pointer(runtime.add(table.into()));
    let entries = table.and_then(|table| reader.u64(table.add(count.into())));
    entries
        .ok()
        .filter(|&n| n < MAX_STATIC_STRINGS)
        .unwrap_or(0)
}

impl<M: Memory> Caches<'_, '_, M> {
    /// All caches that are known and hold something.
    pub(crate) fn all(&self, free_lists: &FreeLists) -> Vec<Cache> {
        let mut caches = self.interned_strings();
        caches.push(self.static_strings());
        caches.push(self.small_ints());
        caches.push(self.method_cache());
        caches.push(self.bytecode());
        caches.extend(self.module_caches());
        caches.extend(self.lru_caches());
        caches.extend(free_lists.caches.iter().cloned());
        caches.retain(|cache| cache.entries > 0);
        caches
    }

    /// Interned strings, those that live as long as the interpreter apart.
    fn interned_strings(&self) -> Vec<Cache> {
        let layout = self.visitor.layout;
        let new = |name: &str| Cache {
            name: name.to_owned(),
            ..Cache::default()
        };
        let mut mortal = new("interned strings");
        let mut immortal = new("interned strings, kept for good");
        let tables = self
            .roots
            .iter()
            .filter(|r| r.kind == RootKind::Interned && self.is_dict(r.object));
        for root in tables {
            let Ok(Some(dict)) = Dict::read(self.visitor.reader, layout, root.object) else {
                continue;
            };
            let _ = dict.for_each(self.visitor.reader, layout, |_, key, _| {
                let row = self.found.objects.rank(key.0).map(|row| row as usize);
                let for_good = row.is_some_and(|r| self.objects.refcount[r] == Objects::IMMORTAL);
                let cache = if for_good { &mut immortal } else { &mut mortal };
                cache.entries += 1;
                let size = row.map_or(0, |row| self.objects.size.get(row));
                cache.bytes = cache.bytes.saturating_add(size);
            });
        }
        vec![mortal, immortal]
    }

    fn static_strings(&self) -> Cache {
        Cache {
            name: "interned strings (part of the interpreter's data)".to_owned(),
            entries: self.static_strings,
            bytes: 0,
        }
    }

    fn is_dict(&self, at: RemoteAddr) -> bool {
        let of = at.add(self.visitor.layout.object.ob_type.into());
        let of = self.visitor.reader.pointer(of).ok();
        let id = of.and_then(|of| self.found.types.known(of));
        id.is_some_and(|id| self.found.types.info(id).kind == Kind::Dict)
    }

    fn small_ints(&self) -> Cache {
        let l = &self.visitor.layout.runtime;
        Cache {
            name: match l.small_ints {
                Some(_) => "small integers (part of the interpreter's data)".to_owned(),
                None => "small integers".to_owned(),
            },
            entries: l.small_ints_count.into(),
            bytes: u64::from(l.small_ints_count) * u64::from(l.small_ints_stride),
        }
    }

    /// The cache of looked-up methods and attributes of types (Objects/typeobject.c).
    fn method_cache(&self) -> Cache {
        let (l, entry) = (
            &self.visitor.layout.interp,
            &self.visitor.layout.type_cache_entry,
        );
        let mut cache = Cache {
            name: "method cache (part of the interpreter's data)".to_owned(),
            ..Cache::default()
        };
        // 3.9 has one for all interpreters, in a variable of which nothing tells.
        let (Some(table), Some(entries), Some(size), Some(version)) = (
            l.type_cache,
            l.type_cache_entries,
            entry.size,
            entry.version,
        ) else {
            return cache;
        };
        for interpreter in self.interpreters {
            let first = interpreter.at.add(table.into());
            let used = (0..entries).filter(|i| {
                let at = first.add(u64::from(*i) * u64::from(size));
                let version = self.visitor.reader.u32(at.add(version.into()));
                version.is_ok_and(|version| version != 0)
            });
            cache.entries += used.count() as u64;
            cache.bytes += u64::from(entries) * u64::from(size);
        }
        cache
    }

    /// Bytecode, which since 3.11 is in the code objects, holds inline caches and is specialised
    /// as it runs. Before, it is a `bytes` object, and what a function that runs often caches is
    /// in blocks of its own (Objects/codeobject.c, `_PyCode_InitOpcache`).
    fn bytecode(&self) -> Cache {
        let inline = self.visitor.layout.code.co_code_adaptive.is_some();
        let mut cache = Cache {
            name: match inline {
                true => "bytecode with its inline caches (part of code objects)",
                false => "bytecode and its caches",
            }
            .to_owned(),
            ..Cache::default()
        };
        let code: Vec<bool> = self.is_type(|info| info.kind == Kind::Code);
        for (row, of) in self.objects.type_id.iter().enumerate() {
            if code[of.0 as usize] {
                let at = RemoteAddr(self.objects.address.get(row));
                let bytes = match inline {
                    true => self.inline_bytecode(at),
                    false => self.bytecode_apart(at),
                };
                cache.entries += 1;
                cache.bytes = cache.bytes.saturating_add(bytes.unwrap_or(0));
            }
        }
        cache
    }

    /// Bytes of the bytecode in a code object, which counts them in units of two.
    fn inline_bytecode(&self, code: RemoteAddr) -> Option<u64> {
        let size = code.add(self.visitor.layout.object.ob_size.into());
        Some(self.visitor.reader.u64(size).ok()?.min(1 << 30) * 2)
    }

    /// Bytes of the `bytes` object with a code object's bytecode, and of its caches.
    fn bytecode_apart(&self, code: RemoteAddr) -> Option<u64> {
        let (reader, l) = (self.visitor.reader, &self.visitor.layout.code);
        let pointer = |offset: u32| reader.pointer(code.add(offset.into())).ok();
        let bytes = pointer(l.co_code?)?;
        let mut size = self.size(bytes);
        if !pointer(l.co_opcache_map?)?.is_null() {
            // A byte for each instruction, which are of two bytes.
            let length = reader.u64(bytes.add(self.visitor.layout.object.ob_size.into()));
            size = size.saturating_add(length.ok()?.min(1 << 30) / 2);
        }
        if !pointer(l.co_opcache?)?.is_null() {
            let entries = reader.u8(code.add(l.co_opcache_size?.into())).ok()?;
            size = size.saturating_add(u64::from(entries) * u64::from(l.opcache_entry?));
        }
        Some(size)
    }

    fn is_type(&self, test: impl Fn(&crate::types::TypeInfo) -> bool) -> Vec<bool> {
        self.found.types.infos().iter().map(test).collect()
    }

    fn module_caches(&self) -> Vec<Cache> {
        let layout = self.visitor.layout;
        let modules = || self.roots.iter().filter(|r| r.kind == RootKind::Module);
        let mut caches = Vec::new();
        for (module, attribute, what) in MODULE_CACHES {
            let Some(root) = modules().find(|root| root.name == *module) else {
                continue;
            };
            let namespace = root.object.add(layout.module.md_dict.into());
            let namespace = self.visitor.reader.pointer(namespace).unwrap_or_default();
            let dict = dicts::get(self.visitor.reader, layout, namespace, attribute);
            if let Some(dict) = dict.filter(|&dict| self.is_dict(dict)) {
                let (entries, bytes) = self.dict_contents(dict);
                caches.push(Cache {
                    name: format!("{module}.{attribute} ({what})"),
                    entries,
                    bytes,
                });
            }
        }
        caches
    }

    /// Entries of a dictionary, and the bytes of the dictionary, its keys and its values.
    fn dict_contents(&self, dict: RemoteAddr) -> (u64, u64) {
        let (mut entries, mut bytes) = (0, self.size(dict));
        if let Ok(Some(dict)) = Dict::read(self.visitor.reader, self.visitor.layout, dict) {
            let _ = dict.for_each(self.visitor.reader, self.visitor.layout, |_, key, value| {
                entries += 1;
                let both = self.size(key).saturating_add(self.size(value));
                bytes = both.saturating_add(bytes);
            });
        }
        (entries, bytes)
    }

    fn size(&self, at: RemoteAddr) -> u64 {
        let row = self.found.objects.rank(at.0);
        row.map_or(0, |row| self.objects.size.get(row as usize))
    }

    /// Functions under `functools.lru_cache` or `functools.cache`, those with the most bytes
    /// first: entries, and bytes of the table, its keys, and the results where each is in one
    /// link of the ring.
    fn lru_caches(&self) -> Vec<Cache> {
        let wrappers = self.is_type(|info| info.kind == Kind::LruCache);
        let mut caches = Vec::new();
        for (row, of) in self.objects.type_id.iter().enumerate() {
            if !wrappers[of.0 as usize] {
                continue;
            }
            let at = RemoteAddr(self.objects.address.get(row));
            let dict = self.visitor.reader.pointer(at.add(lru_cache::CACHE.into()));
            let Some(dict) = dict.ok().filter(|&dict| self.is_dict(dict)) else {
                continue;
            };
            let (entries, bytes) = self.dict_contents(dict);
            caches.push(Cache {
                name: format!("lru_cache of {}", self.wrapped(at)),
                entries,
                bytes,
            });
        }
        caches.sort_by_key(|cache| std::cmp::Reverse(cache.bytes));
        caches
    }

    /// `module.qualname` of the function that a wrapper wraps.
    fn wrapped(&self, wrapper: RemoteAddr) -> String {
        let f = &self.visitor.layout.function;
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        let function = reader
            .pointer(wrapper.add(lru_cache::FUNC.into()))
            .unwrap_or_default();
        let of = reader.pointer(function.add(layout.object.ob_type.into()));
        let is_function = of
            .ok()
            .and_then(|of| self.found.types.known(of))
            .is_some_and(|id| {
                let info = self.found.types.info(id);
                &*info.qualname == "function" && &*info.module == "builtins"
            });
        if !is_function {
            return "a callable".to_owned();
        }
        let text = |offset: u32| {
            let at = reader.pointer(function.add(offset.into())).ok()?;
            strings::text(reader, layout, at)
        };
        let name = text(f.func_qualname).unwrap_or_else(|| "?".to_owned());
        match text(f.func_module) {
            Some(module) => format!("{module}.{name}"),
            None => name,
        }
    }
}
