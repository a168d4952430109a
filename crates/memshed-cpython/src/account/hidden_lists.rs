//! Free lists of 3.9: static variables, most of one name (`free_list`), none of them known to a
//! stripped program. Their entries are told by what a freed object leaves in its block: no
//! reference, and its type, or in a `float`'s place of it the next free one
//! (Objects/listobject.c, tupleobject.c, dictobject.c, frameobject.c, floatobject.c).

use super::claims::Claims;
use super::free_lists::FreeLists;
use crate::edges::Visitor;
use crate::mark::Found;
use crate::problems::Problems;
use crate::pymalloc::{Arenas, Pool};
use memshed_heap::Cache;
use memshed_target::{Memory, Range, RemoteAddr};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

/// A `float`'s block, in bytes, without what debug hooks add before and after it.
const FLOAT_BLOCK: u64 = 32;
/// `PyFloat_MAXFREELIST`.
const MAX_FLOATS: usize = 100;

/// Finds the entries.
pub(crate) struct HiddenLists<'a, 'm, M: Memory> {
    pub(crate) visitor: &'a Visitor<'m, M>,
    pub(crate) found: &'a Found<'m, M>,
    pub(crate) arenas: &'a Arenas,
    /// What blocks belong to somebody: those are no entries.
    pub(crate) claims: &'a Claims,
    /// Writable data of the interpreter's file.
    pub(crate) data: &'a [Range],
}

/// A block in use that is nobody's, and looks like an entry.
#[derive(Clone, Copy)]
enum Entry {
    /// Of an object of this type.
    Object { block: u64, size: u32, type_id: u32 },
    /// Perhaps of a `float` at `at`, with the next one.
    Float { at: u64, size: u32, next: u64 },
}

impl<M: Memory> HiddenLists<'_, '_, M> {
    /// All entries, a cache for each type.
    pub(crate) fn read(&self) -> FreeLists {
        let mut lists = FreeLists::default();
        let mut caches = FxHashMap::<u32, Cache>::default();
        let mut floats = FxHashMap::default();
        for entry in self.entries() {
            match entry {
                Entry::Object {
                    block,
                    size,
                    type_id,
                } => {
                    let cache = caches.entry(type_id).or_default();
                    cache.entries += 1;
                    cache.bytes += u64::from(size);
                    lists.blocks.push(block);
                }
                Entry::Float { at, size, next } => {
                    floats.insert(at, (size, next));
                }
            }
        }
        for (type_id, cache) in caches {
            let name = format!("free list: {}", self.found.types.info(type_id).full_name());
            lists.caches.push(Cache { name, ..cache });
        }
        let chain = self.chain(&floats);
        if !chain.is_empty() {
            let sizes = chain.iter().map(|at| u64::from(floats[at].0));
            lists.caches.push(Cache {
                name: "free list: float".to_owned(),
                entries: chain.len() as u64,
                bytes: sizes.sum(),
            });
        }
        let prefix = self.arenas.prefix;
        lists.blocks.extend(chain.iter().map(|at| at - prefix));
        lists.blocks.sort_unstable();
        lists.caches.sort_by(|a, b| a.name.cmp(&b.name));
        lists
    }

    fn entries(&self) -> Vec<Entry> {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        // Torn pools are counted by the account.
        let untold = Problems::default();
        let pool_size = self.arenas.pool_size();
        let arenas = self.arenas.list().par_iter();
        arenas
            .flat_map_iter(|arena| arena.pools(reader, layout, pool_size, &untold))
            .flat_map_iter(|pool| self.in_pool(&pool))
            .collect()
    }

    fn in_pool(&self, pool: &Pool) -> Vec<Entry> {
        let mut entries = Vec::new();
        let (Some(live), Some(run)) = (pool.live(self.visitor.reader), self.claims.run(pool.start))
        else {
            return entries;
        };
        for k in live.iter() {
            let block = pool.block(k);
            if self.claims.get_in(run, block).is_none() {
                entries.extend(self.entry(block, pool.block_size));
            }
        }
        entries
    }

    fn entry(&self, block: u64, size: u32) -> Option<Entry> {
        let start = RemoteAddr(block + self.arenas.prefix);
        let read = self.visitor.reader.pointers(start, 4).ok()?;
        let mut words = [RemoteAddr(0); 4];
        for (word, read) in words.iter_mut().zip(read) {
            *word = read;
        }
        let is_of = |at: usize| {
            let id = self.found.types.known(words[at + 1])?;
            let header = self.found.types.info(id).pre_header;
            (words[at].is_null() && header == at as u64 * 8).then_some(id)
        };
        if let Some(type_id) = is_of(0).or_else(|| is_of(2)) {
            return Some(Entry::Object {
                block,
                size,
                type_id,
            });
        }
        let fits = u64::from(size) <= FLOAT_BLOCK + 2 * self.arenas.prefix;
        (fits && words[0].is_null()).then_some(Entry::Float {
            at: start.0,
            size,
            next: words[1].0,
        })
    }

    /// The longest chain that begins in the interpreter's data: the list of `float`s.
    fn chain(&self, floats: &FxHashMap<u64, (u32, u64)>) -> Vec<u64> {
        let mut longest = Vec::new();
        for range in self.data {
            let words = (range.len() / 8) as usize;
            let words = self.visitor.reader.pointers(RemoteAddr(range.start), words);
            for head in words.into_iter().flatten() {
                let chain = follow(floats, head.0);
                if chain.len() > longest.len() {
                    longest = chain;
                }
            }
        }
        longest
    }
}

/// The blocks from `at` on, if they end as a list does.
fn follow(floats: &FxHashMap<u64, (u32, u64)>, mut at: u64) -> Vec<u64> {
    let mut chain = Vec::new();
    while at != 0 {
        let Some(&(_, next)) = floats.get(&at) else {
            return Vec::new();
        };
        chain.push(at);
        if chain.len() > MAX_FLOATS {
            return Vec::new();
        }
        at = next;
    }
    chain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_floats_ends_with_null() {
        let floats = [(16, 48), (48, 80), (80, 0), (112, 7), (144, 144)];
        let floats = floats.map(|(at, next)| (at, (32, next)));
        let floats = FxHashMap::from_iter(floats);
        assert_eq!(follow(&floats, 16), [16, 48, 80]);
        assert_eq!(follow(&floats, 80), [80]);
        assert_eq!(follow(&floats, 0), [0; 0]);
        assert_eq!(follow(&floats, 112), [0; 0], "ends elsewhere");
        assert_eq!(follow(&floats, 144), [0; 0], "a loop");
        assert_eq!(follow(&floats, 5), [0; 0]);
    }
}
