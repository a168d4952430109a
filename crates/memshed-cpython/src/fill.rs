//! How full dictionaries, sets and lists are: each keeps room for more than is in it, and none gives
//! room back when things are taken out.

use crate::dicts::{Dict, table_size};
use crate::edges::Visitor;
use crate::mark::Found;
use crate::shapes::Kind;
use crate::types::TypeInfo;
use memshed_heap::{Fill, ObjectId, TypeId};
use memshed_target::{Memory, ReadError, RemoteAddr};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Slots of the smallest set, which are part of the object (`PySet_MINSIZE`).
const SMALLEST_SET: u64 = 8;
/// More slots are garbage.
const MOST_SLOTS: u64 = 1 << 40;

/// How full one container is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Room {
    used: u64,
    slots: u64,
    /// Bytes by which its table is larger than that of a copy.
    spare: u64,
}

/// How full the containers of each type are, those first of which most could be spared.
pub(crate) fn find<M: Memory>(visitor: &Visitor<'_, M>, found: &Found<'_, M>) -> Vec<Fill> {
    let starts = found.chunk_starts();
    let chunks = (0..found.objects.chunk_count()).into_par_iter();
    let sums = chunks.map(|chunk| {
        let mut sums: FxHashMap<TypeId, (Fill, u64)> = FxHashMap::default();
        for (at, row) in found.objects.chunk(chunk).zip(starts[chunk]..) {
            let Some((id, room)) = container(visitor, found, RemoteAddr(at)) else {
                continue;
            };
            let one = Fill {
                type_id: id,
                containers: 1,
                used: room.used,
                slots: room.slots,
                spare_bytes: room.spare,
                emptiest: ObjectId(row),
            };
            add(&mut sums, one, room.spare);
        }
        sums
    });
    let sums = chunks_joined(sums);
    let mut fill: Vec<Fill> = sums.into_values().map(|(fill, _)| fill).collect();
    fill.sort_by_key(|one| (Reverse(one.spare_bytes), one.type_id));
    fill
}

fn chunks_joined(
    sums: impl ParallelIterator<Item = FxHashMap<TypeId, (Fill, u64)>>,
) -> FxHashMap<TypeId, (Fill, u64)> {
    sums.reduce(FxHashMap::default, |mut all, more| {
        for (fill, most) in more.into_values() {
            add(&mut all, fill, most);
        }
        all
    })
}

/// Adds `one`, whose emptiest container could spare `most` bytes.
fn add(sums: &mut FxHashMap<TypeId, (Fill, u64)>, one: Fill, most: u64) {
    let (sum, known) = sums.entry(one.type_id).or_insert((
        Fill {
            containers: 0,
            used: 0,
            slots: 0,
            spare_bytes: 0,
            ..one
        },
        most,
    ));
    if (Reverse(most), one.emptiest) < (Reverse(*known), sum.emptiest) {
        *known = most;
        sum.emptiest = one.emptiest;
    }
    sum.containers += one.containers;
    sum.used = sum.used.saturating_add(one.used);
    sum.slots = sum.slots.saturating_add(one.slots);
    sum.spare_bytes = sum.spare_bytes.saturating_add(one.spare_bytes);
}

fn container<M: Memory>(
    visitor: &Visitor<'_, M>,
    found: &Found<'_, M>,
    at: RemoteAddr,
) -> Option<(TypeId, Room)> {
    let of = at.add(visitor.layout.object.ob_type.into());
    let id = found.types.known(visitor.reader.pointer(of).ok()?)?;
    let room = visitor.room(at, found.types.info(id)).ok()??;
    Some((TypeId(id), room))
}

impl<M: Memory> Visitor<'_, M> {
    /// `None` for what has no table of its own.
    fn room(&self, at: RemoteAddr, info: &TypeInfo) -> Result<Option<Room>, ReadError> {
        match info.kind {
            Kind::List => self.list_room(at),
            Kind::Dict | Kind::OrderedDict => self.dict_room(at),
            Kind::Set => self.set_room(at),
            _ => Ok(None),
        }
    }

    fn list_room(&self, at: RemoteAddr) -> Result<Option<Room>, ReadError> {
        let used = self.reader.u64(at.add(self.layout.object.ob_size.into()))?;
        let slots = self.reader.u64(at.add(self.layout.list.allocated.into()))?;
        let room = Room {
            used,
            slots,
            spare: slots.wrapping_sub(used).wrapping_mul(8),
        };
        Ok((used <= slots && slots < MOST_SLOTS).then_some(room))
    }

    /// A dictionary that shares its keys has no table of its own.
    fn dict_room(&self, at: RemoteAddr) -> Result<Option<Room>, ReadError> {
        let used = self.reader.u64(at.add(self.layout.dict.ma_used.into()))?;
        let dict = Dict::read(self.reader, self.layout, at)?;
        let Some(dict) = dict.filter(|dict| dict.values.is_null() && dict.keys.refcount == 1)
        else {
            return Ok(None);
        };
        let slots = dict.keys.usable;
        let copied = table_size(self.layout, used, dict.keys.general);
        let room = Room {
            used,
            slots,
            spare: dict.keys.size(self.layout).saturating_sub(copied),
        };
        Ok((used <= slots).then_some(room))
    }

    fn set_room(&self, at: RemoteAddr) -> Result<Option<Room>, ReadError> {
        let l = &self.layout.set;
        let used = self.reader.u64(at.add(l.used.into()))?;
        let slots = self.reader.u64(at.add(l.mask.into()))?.wrapping_add(1);
        if used >= slots || slots >= MOST_SLOTS {
            return Ok(None);
        }
        // As `set_merge` has it in Objects/setobject.c: more slots than twice the elements.
        let copied = (2 * used + 1).next_power_of_two().max(SMALLEST_SET);
        let bytes = |slots: u64| match slots <= SMALLEST_SET {
            true => 0,
            false => slots * u64::from(l.entry_size),
        };
        Ok(Some(Room {
            used,
            slots,
            spare: bytes(slots).saturating_sub(bytes(copied)),
        }))
    }
}
