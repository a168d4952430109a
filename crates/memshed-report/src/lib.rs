//! Views of a heap and of a machine, and their renderers: text for people, JSON for programs.
//!
//! This room must not know processes or files: views are plain data, renderers are pure.

mod doctor;
mod inspect;
mod json;
mod leaks;
mod page;
mod pins;
mod plain;
mod ps;
mod snapshot;
mod text;
mod watch;
mod watch_table;
mod words;

pub use doctor::{Check, CheckStatus, DoctorView};
pub use inspect::{InspectView, LargestRow, Options, PoolsView, TypeRow};
pub use leaks::{LeaksView, Sample};
pub use memshed_analysis::SortBy;
use memshed_analysis::units;
pub use memshed_analysis::units::{bytes, count, duration, plural, share};
pub use page::{Page, Report};
pub use ps::{PsRow, PsView};
pub use snapshot::SnapshotView;
pub use watch::{
    CategoryGrowth, Growth, PerHour, Watch, WatchEnd, WatchEvent, WatchLook, WatchMissed,
    WatchReason, WatchSkipped, WatchStart,
};
pub use watch_table::WatchTable;

/// The JSON schema of what `memshed inspect --format json` writes (draft 2020-12).
pub const INSPECT_SCHEMA: &str = include_str!("../schema/inspect.schema.json");
