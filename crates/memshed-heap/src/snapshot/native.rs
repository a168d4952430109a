//! The tables `native`, `native_pointers`, `outer_references`, `duplicates` and `fill`.

use super::facts::{unsigned, unsigned_int};
use super::file::Batch;
use super::read::object;
use super::write::{ints, longs, texts};
use crate::facts::{Duplicate, Fill};
use crate::heap::{ObjectId, TypeId};
use crate::native::{NativeKind, NativeUse};
use crate::strings::Strings;
use arrow_array::{ArrayRef, StringArray};
use std::sync::Arc;

pub(super) fn native(rows: &[NativeUse], strings: &Strings) -> Vec<ArrayRef> {
    let owners = rows.iter().map(|row| row.owner.map(|id| strings.get(id)));
    vec![
        ints(0..rows.len() as u32),
        texts(rows.iter().map(|row| row.kind.word())),
        Arc::new(StringArray::from_iter(owners)),
        longs(rows.iter().map(|row| row.size)),
        longs(rows.iter().map(|row| row.count)),
        longs(rows.iter().map(|row| row.bytes)),
    ]
}

pub(super) fn native_pointers(rows: &[NativeUse], strings: &Strings) -> Vec<ArrayRef> {
    let all = || {
        let rows = (0..).zip(rows);
        rows.flat_map(|(number, row)| row.points_into.iter().map(move |one| (number, one)))
    };
    vec![
        ints(all().map(|(number, _)| number)),
        texts(all().map(|(_, (library, _))| strings.get(*library))),
        ints(all().map(|(_, (_, count))| *count)),
    ]
}

pub(super) fn read_native(
    batch: &Batch,
    strings: &mut Strings,
    to: &mut Vec<NativeUse>,
) -> Result<(), String> {
    let numbers = batch.ints("native_id")?;
    let (sizes, counts) = (batch.longs("size")?, batch.longs("count")?);
    let bytes = batch.longs("bytes")?;
    let words = batch.texts("kind")?.zip(batch.optional_texts("owner")?);
    for (row, (kind, owner)) in words.enumerate() {
        if numbers[row] as usize != to.len() {
            return Err(format!("row {} is missing", to.len()));
        }
        to.push(NativeUse {
            kind: NativeKind::from_word(kind).ok_or_else(|| format!("no kind {kind:?}"))?,
            owner: owner.map(|owner| strings.intern(owner)),
            size: unsigned(sizes[row])?,
            count: unsigned(counts[row])?,
            bytes: unsigned(bytes[row])?,
            points_into: Vec::new(),
        });
    }
    Ok(())
}

pub(super) fn read_native_pointers(
    batch: &Batch,
    strings: &mut Strings,
    to: &mut [NativeUse],
) -> Result<(), String> {
    let counts = batch.ints("count")?;
    let numbers = batch.ints("native_id")?;
    for (row, library) in batch.texts("library")?.enumerate() {
        let number = unsigned_int(numbers[row])? as usize;
        let one = to.get_mut(number);
        let one = one.ok_or_else(|| format!("there is no native memory {number}"))?;
        let count = unsigned_int(counts[row])?;
        one.points_into.push((strings.intern(library), count));
    }
    Ok(())
}

pub(super) fn outer_references(rows: &[(ObjectId, u32)]) -> Vec<ArrayRef> {
    vec![
        ints(rows.iter().map(|(object, _)| object.0)),
        ints(rows.iter().map(|(_, count)| *count)),
    ]
}

/// Takes over references to objects, of which there are `objects`.
pub(super) fn read_outer_references(
    batch: &Batch,
    objects: u64,
    to: &mut Vec<(ObjectId, u32)>,
) -> Result<(), String> {
    for (&id, &count) in batch.ints("object")?.iter().zip(batch.ints("count")?) {
        let id = object(id, objects)?;
        if to.last().is_some_and(|last| last.0 >= id) {
            return Err("its references are not sorted by object".to_owned());
        }
        to.push((id, unsigned_int(count)?));
    }
    Ok(())
}

pub(super) fn duplicates(rows: &[Duplicate]) -> Vec<ArrayRef> {
    vec![
        ints(rows.iter().map(|row| row.object.0)),
        longs(rows.iter().map(|row| row.count)),
        longs(rows.iter().map(|row| row.bytes)),
    ]
}

/// Takes over duplicates among objects, of which there are `objects`.
pub(super) fn read_duplicates(
    batch: &Batch,
    objects: u64,
    to: &mut Vec<Duplicate>,
) -> Result<(), String> {
    let (counts, bytes) = (batch.longs("count")?, batch.longs("bytes")?);
    for (row, &id) in batch.ints("object")?.iter().enumerate() {
        to.push(Duplicate {
            object: object(id, objects)?,
            count: unsigned(counts[row])?,
            bytes: unsigned(bytes[row])?,
        });
    }
    Ok(())
}

pub(super) fn fill(rows: &[Fill]) -> Vec<ArrayRef> {
    vec![
        ints(rows.iter().map(|row| row.type_id.0)),
        longs(rows.iter().map(|row| row.containers)),
        longs(rows.iter().map(|row| row.used)),
        longs(rows.iter().map(|row| row.slots)),
        longs(rows.iter().map(|row| row.spare_bytes)),
        ints(rows.iter().map(|row| row.emptiest.0)),
    ]
}

fn kind(id: i32, types: u64) -> Result<TypeId, String> {
    match u32::try_from(id) {
        Ok(id) if u64::from(id) < types => Ok(TypeId(id)),
        _ => Err(format!("there is no type {id}")),
    }
}

/// Takes over how full containers are, of so many `objects` and `types`.
pub(super) fn read_fill(
    batch: &Batch,
    objects: u64,
    types: u64,
    to: &mut Vec<Fill>,
) -> Result<(), String> {
    let (containers, used) = (batch.longs("containers")?, batch.longs("used")?);
    let (slots, spare) = (batch.longs("slots")?, batch.longs("spare_bytes")?);
    let emptiest = batch.ints("emptiest")?;
    for (row, &id) in batch.ints("type_id")?.iter().enumerate() {
        to.push(Fill {
            type_id: kind(id, types)?,
            containers: unsigned(containers[row])?,
            used: unsigned(used[row])?,
            slots: unsigned(slots[row])?,
            spare_bytes: unsigned(spare[row])?,
            emptiest: object(emptiest[row], objects)?,
        });
    }
    Ok(())
}
