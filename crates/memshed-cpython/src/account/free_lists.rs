//! Free lists: unused objects that the interpreter keeps for the next ones of their kind. Live
//! blocks to the allocator, no objects to anybody.

use crate::edges::Visitor;
use crate::interpreters::Interpreter;
use crate::layouts::{FreeList, FreeListForm};
use crate::pymalloc::Arenas;
use memshed_heap::Cache;
use memshed_target::{Memory, ReadError, RemoteAddr};
use rustc_hash::FxHashSet;

/// A free list longer than this is misread.
const MAX_ENTRIES: u64 = 1 << 20;

/// What the free lists of all interpreters hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct FreeLists {
    /// One row for each list with entries.
    pub(crate) caches: Vec<Cache>,
    /// The blocks of the entries, by the address at which each begins, in order. Entries too
    /// large for a pool have no block here.
    pub(crate) blocks: Vec<u64>,
}

impl FreeLists {
    /// Reads all lists.
    pub(crate) fn read<M: Memory>(
        visitor: &Visitor<'_, M>,
        interpreters: &[Interpreter],
        arenas: &Arenas,
    ) -> FreeLists {
        let mut all = FreeLists::default();
        let mut seen = FxHashSet::default();
        for list in visitor.layout.freelists {
            let mut cache = Cache {
                name: format!("free list: {}", list.name),
                ..Cache::default()
            };
            for interpreter in interpreters {
                // What can't be read of a list is not counted.
                let _ = entries(visitor, interpreter.at, list, &mut |at| {
                    let block = arenas.block_of(visitor.reader, visitor.layout, at);
                    let (start, size) = block.map_or((at.0, 0), |b| (b.start, b.size));
                    let new = seen.insert(start);
                    if new {
                        cache.entries += 1;
                        cache.bytes += u64::from(size);
                        all.blocks.extend(block.map(|b| b.start));
                    }
                    new
                });
            }
            if cache.entries > 0 {
                all.caches.push(cache);
            }
        }
        all.blocks.sort_unstable();
        all
    }
}

/// Calls `entry` for each entry of a list, until it returns `false`: an entry met twice is a loop.
fn entries<M: Memory>(
    visitor: &Visitor<'_, M>,
    interpreter: RemoteAddr,
    list: &FreeList,
    entry: &mut impl FnMut(RemoteAddr) -> bool,
) -> Result<(), ReadError> {
    let reader = visitor.reader;
    let count = |at: u32| -> Result<u64, ReadError> {
        let count = reader.i32(interpreter.add(at.into()))?;
        Ok(u64::try_from(count).unwrap_or(0).min(MAX_ENTRIES))
    };
    match list.form {
        FreeListForm::Chain {
            heads,
            head_stride,
            counts,
            count_stride,
            lists,
            link,
        } => {
            for i in 0..lists {
                let head = interpreter.add((heads + i * head_stride).into());
                let mut at = reader.pointer(head)?;
                for _ in 0..count(counts + i * count_stride)? {
                    if at.is_null() || !entry(at) {
                        break;
                    }
                    at = reader.pointer(at.add(link.into()))?;
                }
            }
        }
        FreeListForm::Array {
            items,
            count: at,
            capacity,
        } => {
            let count = count(at)?.min(capacity.into());
            for at in reader.pointers(interpreter.add(items.into()), count as usize)? {
                entry(at);
            }
        }
        FreeListForm::Single { slot } => {
            let at = reader.pointer(interpreter.add(slot.into()))?;
            if !at.is_null() {
                entry(at);
            }
        }
    }
    Ok(())
}
