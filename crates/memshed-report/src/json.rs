//! The JSON that others build on. Its shape is promised in `schema/inspect.schema.json`.

use crate::inspect::{BlocksRow, InspectView, LargestRow, ObjectsRow, PoolsView, TypeRow};
use crate::pins::PinsView;
use memshed_heap::{Cache, Gc, MemoryPart, Process, SnapshotInfo};
use serde::Serialize;

/// The number of the JSON's shape; raised when a field changes its meaning or goes.
pub(crate) const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    process: &'a Process,
    snapshot: &'a SnapshotInfo,
    verdict: Vec<String>,
    objects: &'a ObjectsRow,
    types: &'a [TypeRow],
    #[serde(skip_serializing_if = "Option::is_none")]
    modules: Option<&'a [TypeRow]>,
    memory: &'a [MemoryPart],
    gc: &'a Gc,
    pools: &'a PoolsView,
    blocks: &'a [BlocksRow],
    pins: &'a PinsView,
    caches: &'a [Cache],
    largest: &'a [LargestRow],
}

/// The document of `memshed inspect`.
pub(crate) fn inspect(view: &InspectView) -> serde_json::Value {
    let document = Document {
        schema: SCHEMA,
        process: &view.process,
        snapshot: &view.snapshot,
        verdict: crate::plain::lines(view),
        objects: &view.objects,
        types: &view.types,
        modules: view.modules.as_deref(),
        memory: &view.memory,
        gc: &view.gc,
        pools: &view.pools,
        blocks: &view.blocks,
        pins: &view.pins,
        caches: &view.caches,
        largest: &view.largest,
    };
    // Plain structs of numbers and strings cannot fail to serialize.
    serde_json::to_value(document).unwrap_or_default()
}
