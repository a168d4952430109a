//! Views of a heap and of a machine, and their renderers: text for people, JSON for programs.
//!
//! This room must not know processes or files: views are plain data, renderers are pure.

mod advise;
mod diff;
mod diff_plain;
mod diff_text;
mod doctor;
mod inspect;
mod json;
mod leaks;
mod page;
mod pins;
mod plain;
mod ps;
mod release;
mod snapshot;
mod supervise;
mod text;
mod tune;
mod tune_list;
mod tune_picture;
mod tune_text;
mod watch;
mod watch_table;
mod why;
mod why_plain;
mod why_text;
mod why_words;
mod words;

pub use advise::AdviseView;
pub use diff::{DiffOptions, DiffView, Relation};
pub use doctor::{Check, CheckStatus, DoctorView};
pub use inspect::{InspectView, LargestRow, Options, PoolsView, TypeRow};
pub use leaks::{LeaksView, Sample};
pub use memshed_analysis::SortBy;
use memshed_analysis::units;
pub use memshed_analysis::units::{bytes, count, duration, plural, share};
pub use page::{Page, Report};
pub use ps::{PsRow, PsView};
pub use release::{CacheRow, MemorySummary, ReleaseStep, ReleaseView, StepName};
pub use snapshot::SnapshotView;
pub use supervise::{BackOff, LeftAlone, ReleaseEvent};
pub use tune::{Gain, SettingRow, TuneMeasured, TuneSetting, TuneView, Verdict};
pub use tune_list::{TuneList, TuneListRow};
pub use tune_picture::{PictureError, tune_html, tune_png};
pub use watch::{
    CategoryGrowth, Growth, PerHour, Watch, WatchEnd, WatchEvent, WatchLook, WatchMissed,
    WatchReason, WatchSkipped, WatchStart,
};
pub use watch_table::WatchTable;
pub use why::{WhyRequest, WhyView};

/// The JSON schema of what `memshed inspect --format json` writes (draft 2020-12).
pub const INSPECT_SCHEMA: &str = include_str!("../schema/inspect.schema.json");

/// The JSON schema of what `memshed leaks --format json` writes.
pub const LEAKS_SCHEMA: &str = include_str!("../schema/leaks.schema.json");

/// The JSON schema of what `memshed diff --format json` writes.
pub const DIFF_SCHEMA: &str = include_str!("../schema/diff.schema.json");

/// The JSON schema of what `memshed advise --format json` writes.
pub const ADVISE_SCHEMA: &str = include_str!("../schema/advise.schema.json");

/// The JSON schema of what `memshed why --format json` writes.
pub const WHY_SCHEMA: &str = include_str!("../schema/why.schema.json");

/// The JSON schema of what `memshed release --format json` writes.
pub const RELEASE_SCHEMA: &str = include_str!("../schema/release.schema.json");
/// The JSON schema of what `memshed tune --format json` writes.
pub const TUNE_SCHEMA: &str = include_str!("../schema/tune.schema.json");
