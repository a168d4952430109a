//! The columns of the objects found: one pass over them in order of address, on all cores.

use crate::account::{Ledger, Near};
use crate::edges::Visitor;
use crate::mark::Found;
use crate::problems::Problems;
use crate::types::TypeInfo;
use memshed_heap::{Addresses, Label, LabelKind, ObjectId, Objects, Sizes, TypeId};
use memshed_target::{Memory, ReadError, RemoteAddr};
use rayon::prelude::*;

/// The generation of an object that is tracked, but in none of the lists: the process was frozen
/// inside a collection.
pub(crate) const IN_COLLECTION: u8 = 254;

/// Builds the columns, holders apart.
pub(crate) fn build<M: Memory>(
    visitor: &Visitor<'_, M>,
    found: &Found<'_, M>,
    ledger: &Ledger<'_>,
    swept: bool,
    problems: &Problems,
) -> Objects {
    let maker = Maker {
        visitor,
        found,
        ledger,
        swept,
        problems,
    };
    let count = found.objects.len() as usize;
    let mut all = Objects {
        address: Addresses::with_capacity(count),
        type_id: Vec::with_capacity(count),
        size: Sizes::with_capacity(count),
        allocated: Sizes::with_capacity(count),
        refcount: Vec::with_capacity(count),
        generation: Vec::with_capacity(count),
        ..Objects::default()
    };
    // Parts are joined as they come, so that no second copy of all columns exists.
    let chunks = found.objects.chunk_count();
    for start in (0..chunks).step_by(64) {
        let parts: Vec<Objects> = (start..chunks.min(start + 64))
            .into_par_iter()
            .map(|chunk| maker.chunk(chunk))
            .collect();
        for part in parts {
            all.address.extend(part.address.iter());
            all.type_id.extend(part.type_id);
            all.size.append(part.size);
            all.allocated.append(part.allocated);
            all.refcount.extend(part.refcount);
            all.generation.extend(part.generation);
        }
    }
    all.holder = vec![ObjectId::NONE; all.address.len()];
    all.holder_label = vec![Label::new(LabelKind::Unknown, 0); all.address.len()];
    all
}

struct Maker<'a, 'm, M: Memory> {
    visitor: &'a Visitor<'m, M>,
    found: &'a Found<'m, M>,
    ledger: &'a Ledger<'a>,
    swept: bool,
    problems: &'a Problems,
}

impl<M: Memory> Maker<'_, '_, M> {
    fn chunk(&self, chunk: usize) -> Objects {
        let mut objects = Objects::default();
        let mut near = [Near::default(); 2];
        for address in self.found.objects.chunk(chunk) {
            let at = RemoteAddr(address);
            let Ok((type_id, refcount, size, allocated)) = self.row(at, &mut near) else {
                // It was read when it was found, so this row keeps the columns aligned.
                self.problems
                    .add("torn-object", || format!("an object at {at}"));
                objects.address.push(address);
                objects.type_id.push(TypeId(0));
                objects.size.push(0);
                objects.allocated.push(0);
                objects.refcount.push(0);
                objects.generation.push(Objects::UNTRACKED);
                continue;
            };
            objects.address.push(address);
            objects.type_id.push(TypeId(type_id));
            objects.size.push(size);
            objects.allocated.push(allocated);
            objects.refcount.push(refcount);
            let info = self.found.types.info(type_id);
            objects.generation.push(self.generation(at, info));
        }
        objects
    }

    fn row(&self, at: RemoteAddr, near: &mut [Near; 2]) -> Result<(u32, u32, u64, u64), ReadError> {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        let of = reader.pointer(at.add(layout.object.ob_type.into()))?;
        let id = self.found.types.known(of).ok_or(ReadError::Unmapped(at))?;
        let info = self.found.types.info(id);
        let size = self.visitor.size_of(at, info).unwrap_or_else(|error| {
            self.problems.add("torn-object", || {
                format!("the size of {} at {at}: {error}", info.full_name())
            });
            info.basicsize + info.pre_header
        });
        let allocated = self
            .visitor
            .enter(at, info, id, self.ledger, near)
            .unwrap_or(size);
        let count = reader.u64(at.add(layout.object.ob_refcnt.into()))?;
        Ok((id, refcount(count), size, allocated))
    }

    fn generation(&self, at: RemoteAddr, info: &TypeInfo) -> u8 {
        if !info.gc {
            return Objects::UNTRACKED;
        }
        // Most objects are old.
        for generation in [2, 0, 1, 3] {
            if self.found.generations[generation as usize].contains(at.0) {
                return generation;
            }
        }
        let head = at.sub(self.visitor.layout.gc.head_size.into());
        match self.swept && self.visitor.reader.u64(head).unwrap_or(0) != 0 {
            true => IN_COLLECTION,
            false => Objects::UNTRACKED,
        }
    }
}

/// A reference count as a column has it. Immortal objects are negative as 32 bits from 3.12 on;
/// before, static ones start at 999,999,999 and only ever move a little.
fn refcount(count: u64) -> u32 {
    let low = count as u32;
    match (low as i32) < 0 {
        true => Objects::IMMORTAL,
        false => low,
    }
}
