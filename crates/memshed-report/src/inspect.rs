//! The view behind `memshed inspect`: what the text and the JSON renderer show.

use crate::page::{Page, Report};
use crate::pins::PinsView;
use memshed_analysis::{
    self as analysis, Amounts, Large, Pattern, SortBy, Summary, SummaryOptions, largest, summary,
};
use memshed_heap::{
    BlockKind, BlockUse, Cache, Gc, Heap, MemoryPart, Pools, Process, SnapshotInfo,
};
use serde::Serialize;
use std::cmp::Reverse;

/// Rows of the largest objects where all were asked for.
const MANY: usize = 100;
/// Arenas that are listed one by one.
const EMPTIEST: usize = 5;
/// The category of what has no other.
const UNEXPLAINED: &str = "unexplained";

/// What is shown, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rows of a table at most; 0 for all. JSON has all types regardless.
    pub top: usize,
    /// Order of the types.
    pub sort: SortBy,
    /// Only types whose names match: a part, or a pattern with `*` and `?`.
    pub filter: Option<String>,
    /// Whether the types are added up by module.
    pub by_module: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            top: 15,
            sort: SortBy::Bytes,
            filter: None,
            by_module: false,
        }
    }
}

/// The objects of a type, or of a module's types, in sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeRow {
    /// `module.qualname`, builtins bare; or the module.
    pub name: String,
    /// How many objects.
    pub count: u64,
    /// How many of them the collector tracks, frozen ones apart.
    pub gc_tracked: u64,
    /// Their bytes by `sys.getsizeof`.
    pub bytes: u64,
    /// What the allocators gave for them.
    pub allocated_bytes: u64,
}

impl TypeRow {
    fn of(row: &analysis::TypeRow) -> TypeRow {
        TypeRow::new(&row.name, &row.amounts)
    }

    fn new(name: &str, amounts: &Amounts) -> TypeRow {
        TypeRow {
            name: name.to_string(),
            count: amounts.count,
            gc_tracked: amounts.gc_tracked,
            bytes: amounts.bytes,
            allocated_bytes: amounts.allocated,
        }
    }
}

/// All objects in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectsRow {
    /// How many.
    pub count: u64,
    /// Their bytes by `sys.getsizeof`.
    pub bytes: u64,
    /// What the allocators gave for them.
    pub allocated_bytes: u64,
    /// How many of them the collector tracks, frozen ones apart.
    pub gc_tracked: u64,
}

impl ObjectsRow {
    fn new(amounts: &Amounts) -> ObjectsRow {
        ObjectsRow {
            count: amounts.count,
            bytes: amounts.bytes,
            allocated_bytes: amounts.allocated,
            gc_tracked: amounts.gc_tracked,
        }
    }
}

/// One of the largest objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LargestRow {
    /// Its address in the process, in hexadecimal.
    pub address: String,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its bytes by `sys.getsizeof`.
    pub bytes: u64,
    /// What the allocators gave for it.
    pub allocated_bytes: u64,
    /// The name of what holds it, such as `app.CACHE["users"]`.
    pub held_by: String,
    /// What it contains, if that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
}

impl LargestRow {
    fn new(heap: &Heap, large: &Large) -> LargestRow {
        LargestRow {
            address: format!("{:#x}", large.address),
            type_name: large.type_name.clone(),
            bytes: large.bytes,
            allocated_bytes: large.allocated,
            held_by: large.path.to_string(),
            preview: heap.preview(large.object, None).map(str::to_owned),
        }
    }
}

/// pymalloc's blocks in use of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BlocksRow {
    /// What they are: `object`, `part` of one, entry of a `free_list`, `possible` part of
    /// something, or `unknown`.
    pub kind: &'static str,
    /// How many.
    pub blocks: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl BlocksRow {
    /// One row for each kind, whatever there is of it.
    fn all(uses: &[BlockUse]) -> Vec<BlocksRow> {
        let row = |kind: BlockKind| {
            let of_kind = || uses.iter().filter(move |row| row.kind == kind);
            let bytes = |row: &BlockUse| row.blocks.saturating_mul(row.block_size.into());
            let add = u64::saturating_add;
            BlocksRow {
                kind: kind.word(),
                blocks: of_kind().map(|row| row.blocks).fold(0, add),
                bytes: of_kind().map(bytes).fold(0, add),
            }
        };
        BlockKind::ALL.map(row).to_vec()
    }
}

/// Pools, and what follows from them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PoolsView {
    /// The figures.
    #[serde(flatten)]
    pub pools: Pools,
    /// Free bytes scattered among blocks in use, as a share of the pools' bytes.
    pub fragmentation: f64,
}

impl PoolsView {
    fn new(pools: &Pools) -> PoolsView {
        let whole = pools.used_bytes + pools.free_bytes;
        let scattered = pools
            .free_bytes
            .saturating_sub(pools.free_pools.saturating_mul(pools.pool_bytes));
        PoolsView {
            pools: pools.clone(),
            fragmentation: if whole == 0 {
                0.0
            } else {
                scattered as f64 / whole as f64
            },
        }
    }
}

/// Everything that `memshed inspect` shows.
#[derive(Clone, Debug, Default)]
pub struct InspectView {
    /// The process.
    pub process: Process,
    /// How it was looked at.
    pub snapshot: SnapshotInfo,
    /// All objects in sum.
    pub objects: ObjectsRow,
    /// The types that the filter lets through, in the order asked for.
    pub types: Vec<TypeRow>,
    /// The types added up by module, if that was asked for.
    pub modules: Option<Vec<TypeRow>>,
    /// The two types with the most bytes, whatever the filter and the order.
    pub heaviest: Vec<TypeRow>,
    /// Resident bytes by category, largest first.
    pub memory: Vec<MemoryPart>,
    /// The collector.
    pub gc: Gc,
    /// The pools.
    pub pools: PoolsView,
    /// The pools' blocks in use by what they are.
    pub blocks: Vec<BlocksRow>,
    /// Object caches, largest first.
    pub caches: Vec<Cache>,
    /// Who keeps mostly empty arenas and pools.
    pub pins: PinsView,
    /// The largest objects.
    pub largest: Vec<LargestRow>,
    /// What was asked for.
    pub options: Options,
}

impl InspectView {
    /// The view of a heap.
    pub fn from_heap(heap: &Heap, options: &Options) -> InspectView {
        let summary = summary(
            heap,
            &SummaryOptions {
                sort: options.sort,
                name: options.filter.as_deref().map(Pattern::new),
                module: None,
            },
        );
        let rows = if options.top == 0 { MANY } else { options.top };
        InspectView {
            process: heap.process.clone(),
            snapshot: heap.snapshot.clone(),
            objects: ObjectsRow::new(&summary.total),
            heaviest: heaviest(heap, &summary, options),
            modules: options.by_module.then(|| {
                let row = |m: &analysis::ModuleRow| TypeRow::new(&m.module, &m.amounts);
                summary.modules.iter().map(row).collect()
            }),
            types: summary.types.iter().map(TypeRow::of).collect(),
            memory: by_size(&heap.memory, |part| {
                (part.category != UNEXPLAINED, part.bytes)
            }),
            gc: heap.gc.clone(),
            pools: PoolsView::new(&heap.pools),
            blocks: BlocksRow::all(&heap.blocks),
            pins: PinsView::new(&analysis::pins(
                heap,
                if options.top == 0 { MANY } else { EMPTIEST },
            )),
            caches: by_size(&heap.caches, |cache| cache.bytes),
            largest: largest(heap, rows)
                .iter()
                .map(|large| LargestRow::new(heap, large))
                .collect(),
            options: options.clone(),
        }
    }
}

impl InspectView {
    /// Resident bytes that are held for use to come, by Python or by the system's allocator:
    /// parts whose names begin with `free`.
    pub(crate) fn free_bytes(&self) -> u64 {
        let parts = self.memory.iter().flat_map(|part| &part.parts);
        let free = parts.filter(|part| part.category.starts_with("free"));
        free.map(|part| part.bytes).fold(0, u64::saturating_add)
    }
}

impl Report for InspectView {
    fn text(&self, page: &Page) -> String {
        crate::text::inspect(self, page)
    }

    fn json(&self) -> serde_json::Value {
        crate::json::inspect(self)
    }
}

/// The two types with the most bytes, whatever is listed.
fn heaviest(heap: &Heap, listed: &Summary, options: &Options) -> Vec<TypeRow> {
    let top = |summary: &Summary| summary.types.iter().take(2).map(TypeRow::of).collect();
    if options.filter.is_none() && options.sort == SortBy::Bytes {
        return top(listed);
    }
    top(&summary(heap, &SummaryOptions::default()))
}

/// `rows` with the greatest first; equal ones stay in their order.
fn by_size<T: Clone, K: Ord>(rows: &[T], key: impl Fn(&T) -> K) -> Vec<T> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| Reverse(key(row)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fragmentation_is_what_lies_between_blocks_in_use() {
        let pools = Pools {
            used_bytes: 600,
            free_bytes: 400,
            free_pools: 3,
            pool_bytes: 100,
            ..Pools::default()
        };
        assert!((PoolsView::new(&pools).fragmentation - 0.1).abs() < 1e-9);
        assert_eq!(PoolsView::new(&Pools::default()).fragmentation, 0.0);
    }
}
