//! Pure functions over a heap: what fills it, what is largest, what holds an object.
//!
//! This room must not know files, processes, or how an answer is shown: no IO, no printing.
//!
//! Every function takes a [`memshed_heap::Heap`] as it is, from a live process or from a file.
//! None panics on a heap whose ids lead nowhere: such rows are named `?`.

pub mod advise;
mod audit;
mod cohorts;
mod components;
mod diff;
mod dominators;
mod expressions;
mod findings;
mod garbage;
mod graph;
mod growth;
mod holders;
mod largest;
pub mod matching;
mod paths;
mod pattern;
mod pins;
mod places;
mod search;
mod set;
mod spelling;
mod summary;
pub mod tune;
pub mod units;
pub mod what;
mod why;

pub use audit::{Audit, Grown, ReferenceGrowth, Sum, Unexplained, audit, audit_growth};
pub use cohorts::{Cohorts, Look, NativeKey, Running};
pub use components::{Components, components};
pub use diff::{Diff, Lives, PlaceChange, Tally, TypeChange, diff, growth};
pub use dominators::Dominators;
pub use expressions::expression;
pub use findings::{Confidence, Finding, FindingKind, Location, any_of, findings};
pub use garbage::{
    Cut, CycleGroup, CycleHop, Garbage, Remedy, TypeAmount, Uncollected, collector_garbage, garbage,
};
pub use graph::Graph;
pub use growth::{Ages, Place, places};
pub use holders::{HolderPath, Hop, Segment, Start, holder_path, root_words};
pub use largest::{Large, largest, largest_ids};
pub use paths::{MergedPath, Paths, merged_paths, paths};
pub use pattern::Pattern;
pub use pins::{Pinned, PinnedArena, Pinner, Pins, pins};
pub use places::{PlaceId, Places};
pub use set::ObjectSet;
pub use summary::{Amounts, ModuleRow, Shares, SortBy, Summary, SummaryOptions, TypeRow, summary};
pub use why::{Cycle, Keeper, References, Way, Why, WhyOptions, why};

use memshed_heap::{Heap, ObjectId};

/// The name of an object's type, `?` where there is none.
pub fn type_name(heap: &Heap, object: ObjectId) -> &str {
    heap.objects
        .type_id
        .get(object.0 as usize)
        .and_then(|id| heap.types.get(id.0 as usize))
        .map_or("?", |kind| heap.strings.get(kind.name))
}
