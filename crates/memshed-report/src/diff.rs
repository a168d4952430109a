//! The view behind `memshed diff`: what the text and the JSON show of two looks.

use crate::json::SCHEMA;
use crate::page::{Page, Report};
use memshed_analysis::matching::Unrelated;
use memshed_analysis::{
    self as analysis, PlaceChange, SortBy, Tally, TypeChange, expression, growth,
};
use memshed_heap::{Cache, Gc, Heap, MemoryPart, NativeKind, Pools, Process, SnapshotInfo};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What is shown, and how much of it.
#[derive(Clone, Debug)]
pub struct DiffOptions {
    /// Rows of a table at most; 0 for all. JSON has all regardless.
    pub top: usize,
    /// What is sorted by, each by its growth.
    pub sort: SortBy,
    /// Only types whose names match: a part, or a pattern with `*` and `?`.
    pub filter: Option<String>,
    /// What the user calls the later look, for commands to try next.
    pub new_name: String,
}

/// A number of objects and their bytes by `sys.getsizeof`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct TallyRow {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl From<Tally> for TallyRow {
    fn from(tally: Tally) -> TallyRow {
        TallyRow {
            count: tally.count,
            bytes: tally.bytes,
        }
    }
}

/// By how much a number of objects, and their bytes, have grown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GrowthRow {
    /// Objects more.
    pub count: i64,
    /// Bytes more.
    pub bytes: i64,
}

impl GrowthRow {
    fn between(old: TallyRow, new: TallyRow) -> GrowthRow {
        GrowthRow {
            count: growth(old.count, new.count),
            bytes: growth(old.bytes, new.bytes),
        }
    }
}

/// Something before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ChangeRow {
    /// What: a type, a cache.
    pub name: String,
    /// Before.
    pub old: TallyRow,
    /// After.
    pub new: TallyRow,
    /// The difference.
    pub growth: GrowthRow,
}

impl ChangeRow {
    fn new(name: &str, old: TallyRow, new: TallyRow) -> ChangeRow {
        ChangeRow {
            name: name.to_owned(),
            old,
            new,
            growth: GrowthRow::between(old, new),
        }
    }

    fn of(row: &TypeChange) -> ChangeRow {
        ChangeRow::new(&row.name, row.old.into(), row.new.into())
    }
}

/// The new objects of one type at a place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AddedType {
    /// The type's name.
    pub name: String,
    /// Its objects.
    #[serde(flatten)]
    pub tally: TallyRow,
}

/// A place where objects came or went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlaceRow {
    /// What it is called, indices and keys left out, such as `app.SESSIONS[…]`.
    pub place: String,
    /// Objects that are new there.
    pub added: TallyRow,
    /// Objects that were there and are gone.
    pub gone: TallyRow,
    /// The difference.
    pub growth: GrowthRow,
    /// How many objects, which were there before, hold the new ones.
    pub containers: u64,
    /// What to ask `memshed why` for: the container that got most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The commonest type of what these hold directly.
    pub entry_type: String,
    /// How many of that type are new.
    pub entries: u64,
    /// The types of the new ones, those with most bytes first.
    pub types: Vec<AddedType>,
}

impl PlaceRow {
    fn new(heap: &Heap, change: &PlaceChange) -> PlaceRow {
        let (added, gone) = (change.added.into(), change.gone.into());
        let types = change.types.iter().map(|(name, tally)| AddedType {
            name: name.clone(),
            tally: (*tally).into(),
        });
        PlaceRow {
            place: change.place.clone(),
            added,
            gone,
            growth: GrowthRow::between(gone, added),
            containers: change.containers,
            container: expression(heap, change.container),
            entry_type: change.entries.0.clone(),
            entries: change.entries.1,
            types: types.collect(),
        }
    }
}

/// What became of the objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LivesView {
    /// In both looks.
    pub survived: TallyRow,
    /// In the later one only.
    pub created: TallyRow,
    /// In the earlier one only.
    pub gone: TallyRow,
    /// Where objects came and went, the places that grew most first.
    pub places: Vec<PlaceRow>,
}

/// Resident bytes of a category, before and after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MemoryRow {
    /// Which.
    pub category: String,
    /// Before.
    pub old_bytes: u64,
    /// After.
    pub new_bytes: u64,
    /// Its parts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<MemoryRow>,
}

impl MemoryRow {
    /// By how many bytes it has grown.
    pub fn growth(&self) -> i64 {
        growth(self.old_bytes, self.new_bytes)
    }

    /// Both sides' parts under their names, what grew most first.
    fn pair(old: &[MemoryPart], new: &[MemoryPart]) -> Vec<MemoryRow> {
        let mut names: Vec<&str> = new.iter().map(|part| part.category.as_str()).collect();
        names.extend(old.iter().map(|part| part.category.as_str()));
        names.sort_unstable();
        names.dedup();
        let row = |name: &str| {
            let find = |parts: &'_ [MemoryPart]| {
                let part = parts.iter().find(|part| part.category == name);
                part.cloned().unwrap_or_default()
            };
            let (old, new) = (find(old), find(new));
            MemoryRow {
                category: name.to_owned(),
                old_bytes: old.bytes,
                new_bytes: new.bytes,
                parts: MemoryRow::pair(&old.parts, &new.parts),
            }
        };
        let mut rows: Vec<MemoryRow> = names.into_iter().map(row).collect();
        rows.sort_by_key(|row| Reverse((row.growth(), row.new_bytes)));
        rows
    }
}

/// Memory of C code of one kind, size and owner, before and after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NativeRow {
    /// Where it lies: `block`, `chunk`, `mapped_chunk`, `anonymous`, `shared`.
    pub kind: &'static str,
    /// Who points at it, if anybody is known to.
    pub owner: Option<String>,
    /// Bytes of each; 0 where they differ.
    pub size: u64,
    /// Before.
    pub old: TallyRow,
    /// After.
    pub new: TallyRow,
    /// The difference.
    pub growth: GrowthRow,
    /// Libraries that words in it point into, most first.
    pub points_into: Vec<String>,
}

impl NativeRow {
    fn pair(old: &Heap, new: &Heap) -> Vec<NativeRow> {
        type Key<'a> = (NativeKind, Option<&'a str>, u64);
        let mut rows: BTreeMap<Key, (TallyRow, TallyRow, Vec<String>)> = BTreeMap::new();
        for (heap, is_new) in [(old, false), (new, true)] {
            for one in &heap.native {
                let owner = one.owner.map(|owner| heap.strings.get(owner));
                let row = rows.entry((one.kind, owner, one.size)).or_default();
                let tally = if is_new { &mut row.1 } else { &mut row.0 };
                tally.count = tally.count.saturating_add(one.count);
                tally.bytes = tally.bytes.saturating_add(one.bytes);
                if is_new && row.2.is_empty() {
                    let names = one.points_into.iter();
                    row.2 = names
                        .map(|(name, _)| heap.strings.get(*name).to_owned())
                        .collect();
                }
            }
        }
        let row = |((kind, owner, size), (old, new, points_into)): (Key, _)| NativeRow {
            kind: kind.word(),
            owner: owner.map(str::to_owned),
            size,
            old,
            new,
            growth: GrowthRow::between(old, new),
            points_into,
        };
        let mut rows: Vec<NativeRow> = rows.into_iter().map(row).collect();
        rows.sort_by_key(|row| Reverse((row.growth.bytes, row.new.bytes)));
        rows
    }
}

/// What is known of one of the two looks.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Side {
    /// The process.
    pub process: Process,
    /// How it was looked at.
    pub snapshot: SnapshotInfo,
    /// All objects.
    pub objects: TallyRow,
    /// The pools.
    pub pools: Pools,
    /// The collector.
    pub gc: Gc,
}

impl Side {
    fn new(heap: &Heap, objects: Tally) -> Side {
        Side {
            process: heap.process.clone(),
            snapshot: heap.snapshot.clone(),
            objects: objects.into(),
            pools: heap.pools.clone(),
            gc: heap.gc.clone(),
        }
    }
}

/// How the two looks belong together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Relation {
    /// Two looks at one process.
    SameProcess,
    /// Two processes of one program.
    TwoProcesses,
    /// Two programs, or two versions of Python.
    TwoPrograms,
}

/// Everything that `memshed diff` shows.
#[derive(Clone, Debug)]
pub struct DiffView {
    /// How the two looks belong together.
    pub relation: Relation,
    /// Seconds from the first to the second; negative if they are the wrong way round.
    pub seconds: f64,
    /// The look that the user called old.
    pub old: Side,
    /// The other.
    pub new: Side,
    /// Objects by type, what grew most first.
    pub types: Vec<ChangeRow>,
    /// What became of the objects, of two looks at one process.
    pub lives: Option<LivesView>,
    /// Resident bytes by category, what grew most first.
    pub memory: Vec<MemoryRow>,
    /// Memory of C code, what grew most first.
    pub native: Vec<NativeRow>,
    /// Object caches, what grew most first.
    pub caches: Vec<ChangeRow>,
    /// What was asked for.
    pub options: DiffOptions,
}

impl DiffView {
    /// The view of two heaps.
    pub fn from_heaps(old: &Heap, new: &Heap, options: &DiffOptions) -> DiffView {
        let filter = options.filter.as_deref().map(analysis::Pattern::new);
        let diff = analysis::diff(old, new, options.sort, filter.as_ref());
        DiffView {
            relation: match diff.relation {
                Ok(()) => Relation::SameProcess,
                Err(Unrelated::Process) => Relation::TwoProcesses,
                Err(Unrelated::Program) => Relation::TwoPrograms,
            },
            seconds: new.snapshot.taken_at - old.snapshot.taken_at,
            old: Side::new(old, diff.old),
            new: Side::new(new, diff.new),
            types: diff.types.iter().map(ChangeRow::of).collect(),
            lives: diff.lives.as_ref().map(|lives| LivesView {
                survived: lives.survived.into(),
                created: lives.created.into(),
                gone: lives.gone.into(),
                places: lives
                    .places
                    .iter()
                    .map(|change| PlaceRow::new(new, change))
                    .collect(),
            }),
            memory: MemoryRow::pair(&old.memory, &new.memory),
            native: NativeRow::pair(old, new),
            caches: caches(&old.caches, &new.caches),
            options: options.clone(),
        }
    }

    /// By how many resident bytes the program has grown.
    pub fn growth(&self) -> i64 {
        growth(self.old.process.rss_bytes, self.new.process.rss_bytes)
    }
}

fn caches(old: &[Cache], new: &[Cache]) -> Vec<ChangeRow> {
    let mut rows: BTreeMap<&str, (TallyRow, TallyRow)> = BTreeMap::new();
    let tally = |cache: &Cache| TallyRow {
        count: cache.entries,
        bytes: cache.bytes,
    };
    for cache in old {
        rows.entry(&cache.name).or_default().0 = tally(cache);
    }
    for cache in new {
        rows.entry(&cache.name).or_default().1 = tally(cache);
    }
    let row = |(name, (old, new)): (&str, _)| ChangeRow::new(name, old, new);
    let mut rows: Vec<ChangeRow> = rows.into_iter().map(row).collect();
    rows.sort_by_key(|row| Reverse((row.growth.bytes, row.growth.count, row.new.bytes)));
    rows
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    relation: Relation,
    seconds: f64,
    verdict: Vec<String>,
    old: &'a Side,
    new: &'a Side,
    types: &'a [ChangeRow],
    #[serde(skip_serializing_if = "Option::is_none")]
    objects: Option<&'a LivesView>,
    memory: &'a [MemoryRow],
    native: &'a [NativeRow],
    caches: &'a [ChangeRow],
}

impl Report for DiffView {
    fn text(&self, page: &Page) -> String {
        crate::diff_text::diff(self, page)
    }

    fn json(&self) -> serde_json::Value {
        let document = Document {
            schema: SCHEMA,
            relation: self.relation,
            seconds: self.seconds,
            verdict: crate::diff_plain::lines(self),
            old: &self.old,
            new: &self.new,
            types: &self.types,
            objects: self.lives.as_ref(),
            memory: &self.memory,
            native: &self.native,
            caches: &self.caches,
        };
        // Plain structs of numbers and strings cannot fail to serialize.
        serde_json::to_value(document).unwrap_or_default()
    }
}
