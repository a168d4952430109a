//! Which objects of one look are still there in a later one.
//!
//! An object is known again by its address and its type. That needs two looks at one process. An
//! address that was freed and given to another object of the same type in between counts as the
//! same object, unless something tells them apart: an immutable object whose size differs, or one
//! that the collector holds for young although it was old already.

use memshed_heap::{Heap, ObjectId, Objects, Process, SnapshotInfo};
use rustc_hash::FxHashMap;

/// Why the objects of two looks cannot be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unrelated {
    /// Different executables or versions of Python.
    Program,
    /// The same program, but not the same process.
    Process,
}

/// How far apart two looks may date the start of one process, in seconds: the clock on the wall is
/// set now and then, and the age of a process is asked for some time after the look began.
const CLOCKS: f64 = 5.0;

/// Whether both looks are at the same process, as far as can be told.
///
/// # Errors
/// If they are not, in what they differ.
pub fn same_process(old: &Heap, new: &Heap) -> Result<(), Unrelated> {
    let program = |process: &Process| (process.executable.clone(), process.python.clone());
    if program(&old.process) != program(&new.process) {
        return Err(Unrelated::Program);
    }
    let started = |process: &Process, look: &SnapshotInfo| look.taken_at - process.uptime_seconds;
    let apart = started(&old.process, &old.snapshot) - started(&new.process, &new.snapshot);
    let looks = old.snapshot.seconds.abs() + new.snapshot.seconds.abs();
    if old.process.pid != new.process.pid || apart.abs() > CLOCKS + looks {
        return Err(Unrelated::Process);
    }
    Ok(())
}

/// The objects of two looks, put side by side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    /// For each object of the later look the same object in the earlier one; `NONE` for new ones.
    pub old_of: Vec<ObjectId>,
    /// How many are in both.
    pub survived: u64,
}

impl Matching {
    /// Whether the object of the later look was there in the earlier one.
    pub fn is_old(&self, object: ObjectId) -> bool {
        let old = self.old_of.get(object.0 as usize);
        old.is_some_and(|&old| old != ObjectId::NONE)
    }
}

/// Matches the objects of two looks at one process. Linear in their number.
pub fn matching(old: &Heap, new: &Heap) -> Matching {
    let kinds = Kinds::new(old, new);
    let (before, after) = (&old.objects, &new.objects);
    let mut matching = Matching {
        old_of: vec![ObjectId::NONE; after.len()],
        survived: 0,
    };
    let mut earlier = before.address.iter().enumerate().peekable();
    for (row, address) in after.address.iter().enumerate() {
        while earlier.next_if(|&(_, old)| old < address).is_some() {}
        let Some(&(old_row, old_address)) = earlier.peek() else {
            break;
        };
        if old_address == address && kinds.same_object(before, old_row, after, row) {
            matching.old_of[row] = ObjectId(old_row as u32);
            matching.survived += 1;
        }
    }
    matching
}

/// What is known of the types of both looks.
struct Kinds {
    /// For each type of the earlier look the same type in the later one.
    later: Vec<u32>,
    /// For each type of the later look.
    traits: Vec<Traits>,
}

/// What tells two objects of a type apart.
#[derive(Clone, Copy)]
struct Traits {
    /// Its objects never change their size.
    fixed: bool,
    /// Its objects never get smaller: a text may come to keep its UTF-8 form, too.
    kept: bool,
    /// Its objects never get younger in the collector's eyes.
    ages: bool,
}

impl Kinds {
    fn new(old: &Heap, new: &Heap) -> Kinds {
        let mut by_address: FxHashMap<(u64, &str), u32> = FxHashMap::default();
        for (row, kind) in new.types.iter().enumerate() {
            by_address.insert((kind.address, new.strings.get(kind.name)), row as u32);
        }
        let later = old.types.iter().map(|kind| {
            let key = (kind.address, old.strings.get(kind.name));
            by_address.get(&key).copied().unwrap_or(u32::MAX)
        });
        let traits = new.types.iter().map(|kind| {
            let name = new.strings.get(kind.name);
            Traits {
                fixed: matches!(name, "bytes" | "int" | "tuple" | "frozenset"),
                kept: name == "str",
                // Up to 3.13 the collector lets go of dictionaries that hold nothing but numbers
                // and strings; once they hold more they are young again (`MAINTAIN_TRACKING`,
                // Objects/dictobject.c). `gc.freeze` and 3.14.0's increments move old objects
                // among each other only.
                ages: name != "dict",
            }
        });
        Kinds {
            later: later.collect(),
            traits: traits.collect(),
        }
    }

    /// Whether two objects at one address are the same.
    fn same_object(&self, before: &Objects, old: usize, after: &Objects, new: usize) -> bool {
        let kind = after.type_id[new];
        if self.later.get(before.type_id[old].0 as usize) != Some(&kind.0) {
            return false;
        }
        let Some(traits) = self.traits.get(kind.0 as usize) else {
            return false;
        };
        let (was, is) = (before.size.get(old), after.size.get(new));
        let resized = traits.fixed && was != is || traits.kept && is < was;
        let old_age = before.generation[old];
        let younger = traits.ages
            && old_age != Objects::UNTRACKED
            && old_age > 0
            && after.generation[new] == 0;
        !resized && !younger
    }
}
