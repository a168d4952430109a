//! Views of a heap and of a machine, and their renderers: text for people, JSON for programs.
//!
//! This room must not know processes or files: views are plain data, renderers are pure.

mod doctor;
mod holder;
mod inspect;
mod json;
mod page;
mod plain;
mod ps;
mod snapshot;
mod text;
mod units;
mod words;

pub use doctor::{Check, CheckStatus, DoctorView};
pub use inspect::{InspectView, LargestRow, Options, PoolsView, SortKey, TypeRow};
pub use page::{Page, Report};
pub use ps::{PsRow, PsView};
pub use snapshot::SnapshotView;
pub use units::{bytes, count, duration, plural, share};
