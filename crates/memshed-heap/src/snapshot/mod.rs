//! Snapshot files: a heap as a directory of Parquet tables that any engine opens.
//!
//! The directory holds `objects`, `edges` (optional), `types`, `strings`, `roots`, `pools`,
//! `blocks`, `sparse_parts`, `code`, `mentions`, `stacks`, `native`, `native_pointers`,
//! `outer_references`, `duplicates`, `fill`, `libraries`, `process` (one row), `generations`, `caches`, `memory` and
//! `problems`, each as `NAME.parquet`, and a manifest, `snapshot.json`, with the format version, and rows, bytes and
//! checksum of each table. Ids are row numbers: `edges.source`, `edges.target`, `roots.object`
//! and `objects.holder` are values of `objects.object_id`; `objects.type_id` one of
//! `types.type_id`. Numbers are signed, sizes in bytes, absent values null (`refcount` of an
//! immortal object, `generation` of one that the collector does not track).
//!
//! ```sql
//! -- DuckDB: what holds the strings
//! SELECT t.name, e.kind, e.name, count(*)
//! FROM 'snap/edges.parquet' e
//! JOIN 'snap/objects.parquet' s ON s.object_id = e.source
//! JOIN 'snap/types.parquet' t ON t.type_id = s.type_id
//! GROUP BY ALL ORDER BY 4 DESC;
//! ```
//!
//! This module must not know where a heap came from, nor what is done with it.

mod code;
mod error;
mod facts;
mod file;
mod manifest;
mod native;
mod place;
mod read;
mod table;
mod words;
mod write;

pub use error::SnapshotError;
pub use place::Existing;
pub use read::{ReadEdges, is_snapshot, read};
pub use table::FORMAT;
pub use write::{SnapshotWriter, write};
