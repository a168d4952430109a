//! Pure functions over a heap: what fills it, what is largest, what holds an object.
//!
//! This room must not know files, processes, or how an answer is shown: no IO, no printing.
//!
//! Every function takes a [`memshed_heap::Heap`] as it is, from a live process or from a file.
//! None panics on a heap whose ids lead nowhere: such rows are named `?`.

mod audit;
mod findings;
mod holders;
mod largest;
mod pattern;
mod pins;
mod summary;

pub use audit::{Audit, Grown, ReferenceGrowth, Sum, Unexplained, audit, audit_growth};
pub use findings::{Confidence, Finding, FindingKind, Location};
pub use holders::{HolderPath, Hop, Segment, Start, holder_path, root_words};
pub use largest::{Large, largest, largest_ids};
pub use pattern::Pattern;
pub use pins::{Pinned, PinnedArena, Pinner, Pins, pins};
pub use summary::{Amounts, ModuleRow, Shares, SortBy, Summary, SummaryOptions, TypeRow, summary};

use memshed_heap::{Heap, ObjectId};

/// The name of an object's type, `?` where there is none.
pub fn type_name(heap: &Heap, object: ObjectId) -> &str {
    heap.objects
        .type_id
        .get(object.0 as usize)
        .and_then(|id| heap.types.get(id.0 as usize))
        .map_or("?", |kind| heap.strings.get(kind.name))
}
