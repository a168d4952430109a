//! What tells an old object from another one that has taken its place since: a number made from its
//! own words, reference count and weak references apart. Made of a sample.

use crate::edges::Visitor;
use crate::mark::Found;
use crate::shapes::Kind;
use crate::types::TypeInfo;
use memshed_heap::{ObjectId, Objects};
use memshed_target::{Memory, ReadError, RemoteAddr};
use rayon::prelude::*;
use rustc_hash::FxHasher;
use std::hash::Hasher;

/// One old object in so many, by its address.
const EVERY: u64 = 8;
/// Bytes of an object, and elements of a list, that are looked at.
const MOST_BYTES: u64 = 256;
const MOST_ITEMS: u64 = 8;

/// The numbers of a sample of the collector's old objects, in order.
pub(crate) fn find<M: Memory>(
    visitor: &Visitor<'_, M>,
    found: &Found<'_, M>,
    objects: &Objects,
) -> Vec<(ObjectId, u32)> {
    let starts = found.chunk_starts();
    let chunks = (0..found.objects.chunk_count()).into_par_iter();
    let of_chunk = |chunk: usize| {
        let rows = found.objects.chunk(chunk).zip(starts[chunk]..);
        let sample = rows.filter(|&(at, row)| {
            let generation = objects.generation[row as usize];
            let old = generation == 2 || generation == crate::columns::IN_COLLECTION;
            old && (at >> 4).is_multiple_of(EVERY)
        });
        sample.filter_map(|(at, row)| {
            let info = found.types.info(objects.type_id[row as usize].0);
            let print = visitor.fingerprint(RemoteAddr(at), info).ok()?;
            Some((ObjectId(row), print))
        })
    };
    let mut prints: Vec<(ObjectId, u32)> = chunks.flat_map_iter(of_chunk).collect();
    prints.sort_unstable_by_key(|&(object, _)| object);
    prints
}

impl<M: Memory> Visitor<'_, M> {
    fn fingerprint(&self, at: RemoteAddr, info: &TypeInfo) -> Result<u32, ReadError> {
        let (reader, layout) = (self.reader, self.layout);
        let head = u64::from(layout.object.size);
        let mut hasher = FxHasher::default();
        let mut size = info.basicsize;
        if info.itemsize > 0 {
            let items = reader.i64(at.add(layout.object.ob_size.into()))?;
            size += items.unsigned_abs().min(MOST_BYTES) * info.itemsize.min(MOST_BYTES);
        }
        let end = size.min(head + MOST_BYTES);
        let mut words = |from: u64, end: u64| -> Result<(), ReadError> {
            let count = end.saturating_sub(from) / 8;
            for (i, word) in (0..).zip(reader.pointers(at.add(from), count as usize)?) {
                if from + i * 8 != u64::from(info.weaklist) {
                    hasher.write_u64(word.0);
                }
            }
            Ok(())
        };
        words(head, end)?;
        let inline = layout.flags.inline_values;
        if inline.is_some_and(|flag| info.flags & flag != 0) {
            words(info.basicsize, info.basicsize + 8 * MOST_ITEMS)?;
        }
        if let Some(back) = layout
            .instance
            .managed_values
            .or(layout.instance.managed_dict)
            && info.dict == crate::types::DictPlace::Managed
        {
            hasher.write_u64(reader.u64(at.sub(back.into()))?);
        }
        if info.kind == Kind::List {
            let items = reader.pointer(at.add(layout.list.ob_item.into()))?;
            let length = reader.u64(at.add(layout.object.ob_size.into()))?;
            for item in reader.pointers(items, length.min(MOST_ITEMS) as usize)? {
                hasher.write_u64(item.0);
            }
        }
        let all = hasher.finish();
        Ok((all ^ all >> 32) as u32)
    }
}
