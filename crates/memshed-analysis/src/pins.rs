//! Who pins what: the objects that keep mostly empty arenas and pools from going back to the
//! system.
//!
//! pymalloc gives an arena back when none of its blocks is in use, and memory inside it not at
//! all. One small object may hold a mebibyte.

use crate::holders::{Hop, holder_path};
use memshed_heap::{Heap, ObjectId};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Arenas and pools count as mostly empty if no more than this share of them, one part in so
/// many, is in use.
const SPARSE: u64 = 3;
/// Objects whose way from a root is looked up, for each table.
const LOOKED_UP: usize = 4_000;
/// Rows of a table of those that pin.
const ROWS: usize = 12;

/// Objects of one type that pin something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pinner {
    /// The type's name.
    pub type_name: String,
    /// How many blocks: the objects', and those of their parts.
    pub count: u64,
    /// Bytes of these blocks.
    pub bytes: u64,
    /// What holds most of them, such as `app.CACHE[…]`.
    pub held_by: String,
}

/// Mostly empty arenas, or pools, and what keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pinned {
    /// How many.
    pub places: u64,
    /// Their resident bytes: what would go back if what keeps them went.
    pub resident: u64,
    /// Bytes of their blocks in use.
    pub live: u64,
    /// Blocks in use that belong to no object known.
    pub others: u64,
    /// What keeps them, by type; those with the most objects first.
    pub by: Vec<Pinner>,
}

/// An arena that is mostly empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinnedArena {
    /// Its number.
    pub arena: u32,
    /// Address of its first pool.
    pub address: u64,
    /// What keeps it. [`Pinned::places`] is 1.
    pub pinned: Pinned,
}

/// What is pinned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pins {
    /// All mostly empty arenas in sum.
    pub arenas: Pinned,
    /// The emptiest of them.
    pub emptiest: Vec<PinnedArena>,
    /// All mostly empty pools in sum, whatever arena they are in.
    pub pools: Pinned,
}

/// A pool in use, by its row.
#[derive(Clone, Copy)]
struct Place {
    row: usize,
    live: u64,
    resident: u64,
}

/// Finds out who pins what; the `emptiest` arenas one by one.
pub fn pins(heap: &Heap, emptiest: usize) -> Pins {
    let table = &heap.pool_table;
    let place = |row: usize| Place {
        row,
        live: u64::from(table.used[row]) * u64::from(table.block_size[row]),
        resident: table.resident[row].into(),
    };
    let mut arenas: FxHashMap<u32, Vec<Place>> = FxHashMap::default();
    let mut pools = Vec::new();
    for row in 0..table.len() {
        let place = place(row);
        arenas.entry(table.arena[row]).or_default().push(place);
        let used = u64::from(table.used[row]);
        if used > 0 && used * SPARSE <= table.capacity[row].into() {
            pools.push(place);
        }
    }
    let live = |places: &[Place]| {
        places
            .iter()
            .fold(0, |sum: u64, p| sum.saturating_add(p.live))
    };
    let mut arenas: Vec<(u32, Vec<Place>)> = arenas.into_iter().collect();
    arenas.retain(|(_, places)| {
        let live = live(places);
        live > 0 && live.saturating_mul(SPARSE) <= heap.pools.arena_bytes
    });
    arenas.sort_by_key(|(number, places)| (live(places), *number));
    let all: Vec<Place> = arenas
        .iter()
        .flat_map(|(_, places)| places.clone())
        .collect();
    Pins {
        arenas: Pinned {
            places: arenas.len() as u64,
            ..pinned(heap, &all)
        },
        emptiest: arenas
            .iter()
            .take(emptiest)
            .map(|(number, places)| PinnedArena {
                arena: *number,
                address: table.address[places[0].row],
                pinned: Pinned {
                    places: 1,
                    ..pinned(heap, places)
                },
            })
            .collect(),
        pools: Pinned {
            places: pools.len() as u64,
            ..pinned(heap, &pools)
        },
    }
}

/// What keeps all of `places`.
fn pinned(heap: &Heap, places: &[Place]) -> Pinned {
    let mut owners: FxHashMap<u32, TypeSum> = FxHashMap::default();
    let mut sum = Pinned::default();
    for place in places {
        sum.resident += place.resident;
        sum.live = sum.live.saturating_add(place.live);
        let used = u64::from(heap.pool_table.used[place.row]);
        let mut known = 0;
        for (owner, bytes) in blocks_of(heap, place.row) {
            known += 1;
            let Some(of) = heap.objects.type_id.get(owner.0 as usize) else {
                continue;
            };
            let entry = owners.entry(of.0).or_default();
            entry.bytes += bytes;
            entry.count += 1;
            entry.sample.push(owner);
        }
        sum.others += used.saturating_sub(known);
    }
    let mut rows: Vec<(u32, TypeSum)> = owners.into_iter().collect();
    rows.sort_by_key(|(of, row)| (Reverse(row.count), *of));
    rows.truncate(ROWS);
    sum.by = rows
        .into_iter()
        .map(|(of, row)| {
            let kind = heap.types.get(of as usize);
            Pinner {
                type_name: kind
                    .map_or("?", |kind| heap.strings.get(kind.name))
                    .to_owned(),
                count: row.count,
                bytes: row.bytes,
                held_by: mostly_held_by(heap, &row.sample),
            }
        })
        .collect();
    sum
}

#[derive(Default)]
struct TypeSum {
    count: u64,
    bytes: u64,
    sample: Vec<ObjectId>,
}

/// The blocks in use of a pool as far as they are known: the object whose own or whose part each
/// is, and its bytes.
fn blocks_of(heap: &Heap, row: usize) -> impl Iterator<Item = (ObjectId, u64)> + '_ {
    let table = &heap.pool_table;
    let start = table.address[row];
    let end = start.saturating_add(heap.pools.pool_bytes);
    let size = table.block_size[row];
    let from = heap.objects.address.lower_bound(start);
    let to = heap.objects.address.lower_bound(end);
    let objects = (from..to).map(move |row| (ObjectId(row as u32), size.into()));
    let parts = &heap.sparse_parts;
    let first = parts.partition_point(|part| part.address < start);
    let parts = parts[first..].iter().take_while(move |p| p.address < end);
    objects.chain(parts.map(|part| (part.owner, part.bytes.into())))
}

/// What holds most of `objects`, by a sample of them.
fn mostly_held_by(heap: &Heap, objects: &[ObjectId]) -> String {
    let mut counts: FxHashMap<String, u64> = FxHashMap::default();
    let step = objects.len().div_ceil(LOOKED_UP / ROWS).max(1);
    for &object in objects.iter().step_by(step) {
        *counts.entry(container(heap, object)).or_default() += 1;
    }
    let most = counts
        .into_iter()
        .max_by(|a, b| (a.1, &b.0).cmp(&(b.1, &a.0)));
    most.map_or_else(String::new, |(name, _)| name)
}

/// The way to `object` as far as it is a name: up to the first element of a container, which
/// stands as `[…]`.
fn container(heap: &Heap, object: ObjectId) -> String {
    let mut path = holder_path(heap, object);
    let element = |hop: &Hop| {
        matches!(
            hop,
            Hop::Key(_) | Hop::Value | Hop::Index(_) | Hop::KeyObject | Hop::Member
        )
    };
    match path
        .segments
        .iter()
        .position(|segment| element(&segment.hop))
    {
        Some(at) => {
            path.segments.truncate(at);
            format!("{path}[…]")
        }
        None => path.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use memshed_heap::{Label, LabelKind, Objects, Root, RootKind, SparsePart, Type, TypeId};

    /// Two arenas of two pools; in the first, one object of each type and a part of the second.
    fn heap() -> Heap {
        let mut heap = Heap::default();
        let app = heap.strings.intern("app");
        for name in ["app.Row", "dict"] {
            let name = heap.strings.intern(name);
            heap.types.push(Type {
                name,
                module: name,
                address: 0,
                object: ObjectId::NONE,
            });
        }
        heap.pools.arena_bytes = 0x8000;
        heap.pools.pool_bytes = 0x4000;
        for (row, used, resident) in [(0, 2, 0x4000), (1, 1, 0x1000), (2, 200, 0x4000), (3, 0, 0)] {
            let table = &mut heap.pool_table;
            table.address.push(0x10_0000 + row * 0x4000);
            table.arena.push(row as u32 / 2);
            table.block_size.push(64);
            table.used.push(used);
            table.capacity.push(255);
            table.resident.push(resident);
        }
        let objects: &mut Objects = &mut heap.objects;
        for (address, kind, holder, label) in [
            (
                0x10_0030,
                1,
                ObjectId::NONE,
                Label::new(LabelKind::Unknown, 0),
            ),
            (0x10_4030, 0, ObjectId(0), Label::new(LabelKind::Value, 0)),
        ] {
            objects.address.push(address);
            objects.type_id.push(TypeId(kind));
            objects.size.push(64);
            objects.allocated.push(64);
            objects.refcount.push(1);
            objects.generation.push(Objects::UNTRACKED);
            objects.holder.push(holder);
            objects.holder_label.push(label);
        }
        heap.roots.push(Root {
            object: ObjectId(0),
            kind: RootKind::Module,
            name: app,
        });
        heap.sparse_parts.push(SparsePart {
            address: 0x10_0070,
            bytes: 64,
            owner: ObjectId(0),
        });
        heap
    }

    #[test]
    fn an_arena_is_kept_by_its_objects_and_their_parts() {
        let pins = pins(&heap(), 8);
        assert_eq!(pins.arenas.places, 1);
        assert_eq!(pins.emptiest.len(), 1);
        let arena = &pins.emptiest[0];
        assert_eq!((arena.arena, arena.address), (0, 0x10_0000));
        assert_eq!(arena.pinned.resident, 0x5000);
        assert_eq!((arena.pinned.live, arena.pinned.others), (3 * 64, 0));
        let by: Vec<_> = arena
            .pinned
            .by
            .iter()
            .map(|p| (&*p.type_name, p.count, &*p.held_by))
            .collect();
        assert_eq!(by, [("dict", 2, "app"), ("app.Row", 1, "app[…]")]);
    }

    #[test]
    fn pools_count_whatever_arena_they_are_in() {
        let mut heap = heap();
        heap.pool_table.used[3] = 4;
        let pins = pins(&heap, 0);
        assert_eq!(pins.pools.places, 3);
        assert_eq!(pins.pools.others, 4);
        assert!(pins.emptiest.is_empty());
    }
}
