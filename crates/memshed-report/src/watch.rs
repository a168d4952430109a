//! One process over time: what each look found, what grew since the one before, and the sum of
//! it. Rendered line by line, as text by [`crate::WatchTable`], as JSON by [`WatchEvent::json`].

use crate::json::SCHEMA;
use memshed_analysis::{SummaryOptions, summary};
use memshed_heap::{Heap, Method};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};

/// Types listed in the sum of a watch.
const TYPES: usize = 10;
/// Categories of memory that neither Python's own allocator nor the program's files take.
const NATIVE: [&str; 2] = ["malloc", "anonymous"];

/// Something to tell of a watch, in the order in which it happens.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum WatchEvent {
    /// It begins. The first line of a history, and of each part of it that is of another process.
    Start(WatchStart),
    /// A look.
    Look(WatchLook),
    /// A look that failed.
    Missed(WatchMissed),
    /// Looks left out because the one before took longer than the interval.
    Skipped(WatchSkipped),
    /// It ends.
    End(WatchEnd),
}

/// Which process is watched.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WatchStart {
    /// Its process id.
    pub pid: i32,
    /// When it was started, in clock ticks since the machine was: tells it from later processes
    /// of the same number.
    pub start_time: u64,
    /// The machine's boot, since which ticks count.
    pub boot_id: String,
    /// The interpreter's version.
    pub python: String,
    /// The program, as the process sees it.
    pub executable: String,
    /// When the watch began, in seconds since the epoch.
    pub at: f64,
    /// From the start of a look to the start of the next, in seconds.
    pub every_seconds: f64,
    /// Looks in the history that this watch continues.
    #[serde(skip)]
    pub continues: Option<u64>,
}

/// What a look found. Sizes are in bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct WatchLook {
    /// When it began, in seconds since the epoch.
    pub at: f64,
    /// Seconds since the watch began.
    pub elapsed_seconds: f64,
    /// Resident bytes.
    pub rss_bytes: u64,
    /// Python objects.
    pub objects: u64,
    /// Their bytes by `sys.getsizeof`.
    pub object_bytes: u64,
    /// Free in Python's own pools, but held for new objects.
    pub free_bytes: u64,
    /// The part of that which could be given back as things stand.
    pub releasable_bytes: u64,
    /// Resident outside of Python's own pools: malloc and anonymous mappings.
    pub native_bytes: u64,
    /// Collections of the garbage collector since the look before.
    pub collections: Option<i64>,
    /// The type that grew most since the look before, if one did.
    pub grew: Option<Growth>,
    /// How the process was frozen.
    pub method: Method,
    /// Why not by a fork.
    pub method_reason: Option<String>,
    /// For how long it stood still, in milliseconds.
    pub stopped_ms: f64,
    /// How long the look took, in seconds.
    pub look_seconds: f64,
}

/// By how much a type has grown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Growth {
    /// The type.
    pub name: String,
    /// Objects more.
    pub count: i64,
    /// Bytes more by `sys.getsizeof`.
    pub bytes: i64,
}

/// A look that failed.
#[derive(Clone, Debug, Serialize)]
pub struct WatchMissed {
    /// When, in seconds since the epoch.
    pub at: f64,
    /// Seconds since the watch began.
    pub elapsed_seconds: f64,
    /// Why, as a sentence without a full stop.
    pub why: String,
}

/// Looks that were left out.
#[derive(Clone, Debug, Serialize)]
pub struct WatchSkipped {
    /// How many.
    pub count: u64,
    /// How long the look before them took, in seconds.
    pub look_seconds: f64,
}

/// Why a watch ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum WatchReason {
    /// The process has ended.
    Exited,
    /// The user ended it.
    Interrupted,
    /// As many looks as were asked for.
    Count,
    /// As long as was asked for.
    Time,
}

/// The sum of a watch.
#[derive(Clone, Debug, Serialize)]
pub struct WatchEnd {
    /// Why it ended.
    pub reason: WatchReason,
    /// Looks taken.
    pub looks: u64,
    /// Looks that failed.
    pub missed: u64,
    /// From the first look to the last, in seconds.
    pub seconds: f64,
    /// The longest that the process stood still, in milliseconds.
    pub stopped_ms_most: f64,
    /// For how long it stood still in all, in milliseconds.
    pub stopped_ms_sum: f64,
    /// What grew from the first look to the last; nothing of fewer than two.
    pub per_hour: Option<PerHour>,
}

/// Growth in an hour, at the rate between the first look and the last. In bytes.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PerHour {
    /// Resident bytes.
    pub rss_bytes: i64,
    /// Resident bytes by category, those that changed, greatest change first.
    pub memory: Vec<CategoryGrowth>,
    /// The types that changed most.
    pub types: Vec<Growth>,
}

/// By how much a category of memory has grown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CategoryGrowth {
    /// Which.
    pub category: String,
    /// Bytes more.
    pub bytes: i64,
}

impl WatchEvent {
    /// The event as a line of JSON.
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            schema: u32,
            #[serde(flatten)]
            event: &'a WatchEvent,
        }
        let line = Line {
            schema: SCHEMA,
            event: self,
        };
        // Plain structs of numbers and strings cannot fail to serialize.
        serde_json::to_string(&line).unwrap_or_default()
    }
}

/// What is remembered of a look to compare later ones with.
#[derive(Clone, Debug, Default)]
struct Sample {
    at: f64,
    rss_bytes: u64,
    collections: i64,
    memory: BTreeMap<String, u64>,
    /// Count and bytes by name.
    types: HashMap<String, (u64, u64)>,
}

impl Sample {
    fn of(heap: &Heap) -> Sample {
        let types = summary(heap, &SummaryOptions::default()).types;
        let generations = heap.gc.generations.iter();
        Sample {
            at: heap.snapshot.taken_at,
            rss_bytes: heap.process.rss_bytes,
            collections: generations.map(|one| one.collections).sum(),
            memory: heap
                .memory
                .iter()
                .map(|part| (part.category.clone(), part.bytes))
                .collect(),
            types: types
                .into_iter()
                .map(|row| (row.name, (row.amounts.count, row.amounts.bytes)))
                .collect(),
        }
    }

    /// What has grown by type since `before`, most first; what has shrunk last.
    fn growth_since(&self, before: &Sample) -> Vec<Growth> {
        let of = |sample: &Sample, name: &str| sample.types.get(name).copied().unwrap_or_default();
        let gone = before.types.keys();
        let gone = gone.filter(|name| !self.types.contains_key(*name));
        let mut all: Vec<Growth> = self
            .types
            .keys()
            .chain(gone)
            .map(|name| {
                let ((count, bytes), (old_count, old_bytes)) = (of(self, name), of(before, name));
                Growth {
                    name: name.clone(),
                    count: difference(count, old_count),
                    bytes: difference(bytes, old_bytes),
                }
            })
            .filter(|growth| growth.count != 0 || growth.bytes != 0)
            .collect();
        all.sort_by(|a, b| (Reverse(a.bytes), &a.name).cmp(&(Reverse(b.bytes), &b.name)));
        all
    }
}

/// `now - before`, of numbers that the target gives and that may be anything.
fn difference(now: u64, before: u64) -> i64 {
    let difference = i128::from(now) - i128::from(before);
    i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
}

/// Turns looks into events, and adds them up.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    began: f64,
    first: Option<Sample>,
    last: Option<Sample>,
    looks: u64,
    missed: u64,
    stopped_ms_most: f64,
    stopped_ms_sum: f64,
}

impl Watch {
    /// A watch that began at `began`, in seconds since the epoch.
    pub fn new(began: f64) -> Watch {
        Watch {
            began,
            ..Watch::default()
        }
    }

    /// Looks taken so far.
    pub fn looks(&self) -> u64 {
        self.looks
    }

    /// A look was taken, which gave `heap`.
    pub fn look(&mut self, heap: &Heap) -> WatchLook {
        let sample = Sample::of(heap);
        let stopped_ms = heap.snapshot.stopped_ms;
        self.looks += 1;
        self.stopped_ms_most = self.stopped_ms_most.max(stopped_ms);
        self.stopped_ms_sum += stopped_ms;
        let native = heap.memory.iter();
        let native = native.filter(|part| NATIVE.contains(&part.category.as_str()));
        let before = self.last.as_ref();
        let grew = before.and_then(|before| sample.growth_since(before).into_iter().next());
        let collections = before.map(|before| {
            let collections = sample.collections;
            collections.saturating_sub(before.collections)
        });
        let look = WatchLook {
            at: sample.at,
            elapsed_seconds: sample.at - self.began,
            rss_bytes: sample.rss_bytes,
            objects: heap.objects.len() as u64,
            object_bytes: sample.types.values().map(|(_, bytes)| bytes).sum(),
            free_bytes: heap.pools.free_bytes,
            releasable_bytes: heap.pools.releasable_bytes,
            native_bytes: native.map(|part| part.bytes).sum(),
            collections,
            grew: grew.filter(|growth| growth.bytes > 0),
            method: heap.snapshot.method,
            method_reason: heap.snapshot.method_reason.clone(),
            stopped_ms,
            look_seconds: heap.snapshot.seconds,
        };
        self.first.get_or_insert_with(|| sample.clone());
        self.last = Some(sample);
        look
    }

    /// A look failed at `at`, in seconds since the epoch.
    pub fn missed(&mut self, at: f64, why: String) -> WatchMissed {
        self.missed += 1;
        WatchMissed {
            at,
            elapsed_seconds: at - self.began,
            why,
        }
    }

    /// The sum of it.
    pub fn end(&self, reason: WatchReason) -> WatchEnd {
        let (first, last) = (self.first.as_ref(), self.last.as_ref());
        let seconds = match (first, last) {
            (Some(first), Some(last)) => (last.at - first.at).max(0.0),
            _ => 0.0,
        };
        let both = first.zip(last).filter(|_| self.looks > 1 && seconds > 0.0);
        WatchEnd {
            reason,
            looks: self.looks,
            missed: self.missed,
            seconds,
            stopped_ms_most: self.stopped_ms_most,
            stopped_ms_sum: self.stopped_ms_sum,
            per_hour: both.map(|(first, last)| per_hour(first, last, seconds)),
        }
    }
}

fn per_hour(first: &Sample, last: &Sample, seconds: f64) -> PerHour {
    let hourly = |change: i64| (change as f64 * 3600.0 / seconds).round() as i64;
    let mut memory: Vec<CategoryGrowth> = last
        .memory
        .iter()
        .map(|(category, &bytes)| {
            let before = first.memory.get(category).copied().unwrap_or(0);
            CategoryGrowth {
                category: category.clone(),
                bytes: hourly(difference(bytes, before)),
            }
        })
        .filter(|growth| growth.bytes != 0)
        .collect();
    memory.sort_by_key(|growth| Reverse(growth.bytes.unsigned_abs()));
    let mut types = last.growth_since(first);
    types.sort_by_key(|growth| Reverse(growth.bytes.unsigned_abs()));
    types.truncate(TYPES);
    for growth in &mut types {
        growth.count = hourly(growth.count);
        growth.bytes = hourly(growth.bytes);
    }
    PerHour {
        rss_bytes: hourly(difference(last.rss_bytes, first.rss_bytes)),
        memory,
        types,
    }
}
