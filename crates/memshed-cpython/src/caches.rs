//! Object caches: what the interpreter keeps for reuse.

use crate::dicts::Dict;
use crate::edges::Visitor;
use crate::interpreters::Interpreter;
use crate::layouts::{FreeList, FreeListForm};
use crate::mark::Found;
use memshed_heap::{Cache, Objects};
use memshed_target::{Memory, ReadError, RemoteAddr};

/// A free list longer than this is misread.
const MAX_ENTRIES: u64 = 1 << 20;

/// All caches that are known.
pub(crate) fn all<M: Memory>(
    visitor: &Visitor<'_, M>,
    interpreters: &[Interpreter],
    found: &Found<'_, M>,
    objects: &Objects,
    interned: &[RemoteAddr],
) -> Vec<Cache> {
    let mut caches = vec![interned_strings(visitor, found, objects, interned)];
    caches.push(small_ints(visitor));
    for list in visitor.layout.freelists {
        let mut cache = Cache {
            name: format!("free list: {}", list.name),
            ..Cache::default()
        };
        for interpreter in interpreters {
            if let Ok(entries) = free_list_entries(visitor, interpreter.at, list) {
                cache.entries += entries;
            }
        }
        caches.push(cache);
    }
    caches.retain(|cache| cache.entries > 0);
    caches
}

fn interned_strings<M: Memory>(
    visitor: &Visitor<'_, M>,
    found: &Found<'_, M>,
    objects: &Objects,
    interned: &[RemoteAddr],
) -> Cache {
    let mut cache = Cache {
        name: "interned strings".to_owned(),
        ..Cache::default()
    };
    for &at in interned {
        let Ok(Some(dict)) = Dict::read(visitor.reader, visitor.layout, at) else {
            continue;
        };
        let _ = dict.for_each(visitor.reader, visitor.layout, |_, key, _| {
            cache.entries += 1;
            let row = found.objects.rank(key.0);
            cache.bytes += row.map_or(0, |row| objects.size.get(row as usize));
        });
    }
    cache
}

fn small_ints<M: Memory>(visitor: &Visitor<'_, M>) -> Cache {
    let l = &visitor.layout.runtime;
    Cache {
        name: match l.small_ints {
            Some(_) => "small integers (part of the interpreter's data)".to_owned(),
            None => "small integers".to_owned(),
        },
        entries: l.small_ints_count.into(),
        bytes: u64::from(l.small_ints_count) * u64::from(l.small_ints_stride),
    }
}

/// How many entries a free list says it has.
fn free_list_entries<M: Memory>(
    visitor: &Visitor<'_, M>,
    interpreter: RemoteAddr,
    list: &FreeList,
) -> Result<u64, ReadError> {
    let reader = visitor.reader;
    let count = |at: u32| -> Result<u64, ReadError> {
        let count = reader.i32(interpreter.add(at.into()))?;
        Ok(u64::try_from(count).unwrap_or(0).min(MAX_ENTRIES))
    };
    match list.form {
        FreeListForm::Chain {
            counts,
            count_stride,
            lists,
            ..
        } => (0..lists).map(|i| count(counts + i * count_stride)).sum(),
        FreeListForm::Array {
            count: at,
            capacity,
            ..
        } => Ok(count(at)?.min(capacity.into())),
        FreeListForm::Single { slot } => Ok(u64::from(
            !reader.pointer(interpreter.add(slot.into()))?.is_null(),
        )),
    }
}
