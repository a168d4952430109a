//! What `memshed snapshot` says when it is done.

use crate::page::{Page, Report};
use crate::units::{bytes, count};
use crate::words;
use memshed_heap::{Heap, SnapshotInfo};

/// A snapshot that was written.
#[derive(Clone, Debug)]
pub struct SnapshotView {
    /// Where it is.
    pub path: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// Objects in it.
    pub objects: u64,
    /// Edges in it.
    pub edges: u64,
    /// The process it was taken of.
    pub pid: i32,
    /// How it was taken.
    pub snapshot: SnapshotInfo,
}

impl SnapshotView {
    /// The view of `heap`, written to `path`, where it takes `bytes`.
    pub fn new(heap: &Heap, path: &str, bytes: u64) -> SnapshotView {
        SnapshotView {
            path: path.to_string(),
            bytes,
            objects: heap.objects.len() as u64,
            edges: heap.edges.as_ref().map_or(0, |e| e.target.len() as u64),
            pid: heap.process.pid,
            snapshot: heap.snapshot.clone(),
        }
    }
}

impl Report for SnapshotView {
    fn text(&self, page: &Page) -> String {
        let what = format!(
            "Wrote {}: {} objects and {} edges of process {} in {}.",
            self.path,
            count(self.objects),
            count(self.edges),
            self.pid,
            bytes(self.bytes),
        );
        let frozen = format!("Frozen {}.", words::frozen(&self.snapshot));
        let next = format!("Next: `memshed inspect {}`", self.path);
        [what, frozen, next]
            .iter()
            .map(|line| page.wrap(line, 2) + "\n")
            .collect()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::json!({
            "schema": crate::json::SCHEMA,
            "path": self.path,
            "bytes": self.bytes,
            "objects": self.objects,
            "edges": self.edges,
            "pid": self.pid,
            "snapshot": self.snapshot,
        })
    }
}
