//! The largest objects.

use crate::holders::{HolderPath, holder_path};
use crate::type_name;
use memshed_heap::{Heap, ObjectId};
use rayon::prelude::*;
use std::cmp::Reverse;

/// A large object, and what holds it.
#[derive(Clone, Debug, PartialEq)]
pub struct Large {
    /// The object.
    pub object: ObjectId,
    /// Its address in the target.
    pub address: u64,
    /// Its type's name.
    pub type_name: String,
    /// What `sys.getsizeof` says, in bytes.
    pub bytes: u64,
    /// What the allocators gave for it and its own buffers, in bytes.
    pub allocated: u64,
    /// What holds it.
    pub path: HolderPath,
}

/// The `n` objects with the most bytes as `sys.getsizeof` says, the largest first; equal ones by
/// the bytes allocated, then by address.
pub fn largest(heap: &Heap, n: usize) -> Vec<Large> {
    let objects = &heap.objects;
    let rows = largest_ids(heap, n).into_iter();
    rows.map(|object| {
        let row = object.0 as usize;
        Large {
            object,
            address: objects.address.get(row),
            type_name: type_name(heap, object).to_owned(),
            bytes: objects.size.get(row),
            allocated: objects.allocated.get(row),
            path: holder_path(heap, object),
        }
    })
    .collect()
}

/// As [`largest`], the handles alone.
pub fn largest_ids(heap: &Heap, n: usize) -> Vec<ObjectId> {
    let objects = &heap.objects;
    let key = |row: &u32| {
        let at = *row as usize;
        Reverse((
            objects.size.get(at),
            objects.allocated.get(at),
            Reverse(*row),
        ))
    };
    // Each part keeps its own n largest; these are few enough to be put together.
    let mut rows: Vec<u32> = (0..objects.len() as u32)
        .collect::<Vec<u32>>()
        .par_chunks_mut(512 * 1024)
        .flat_map_iter(|part| {
            let n = n.min(part.len());
            if n < part.len() {
                part.select_nth_unstable_by_key(n, key);
            }
            part[..n].to_vec()
        })
        .collect();
    rows.sort_unstable_by_key(key);
    rows.truncate(n);
    rows.into_iter().map(ObjectId).collect()
}
