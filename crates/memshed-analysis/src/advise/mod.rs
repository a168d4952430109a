//! Advice: what would make a program smaller or faster, what is at stake, and the line to change.
//!
//! Each piece is a guess from what was seen, with a figure that can be checked by doing it.

mod caches;
mod collector;
mod equal;
mod forks;
mod held;
mod oldest;
mod room;
mod slots;
mod timing;

pub use collector::{Staying, staying};
pub use forks::{Family, Member, SharedPage};
pub use oldest::Oldest;
pub use timing::{CollectorCost, CollectorSample, GenerationCost};

use crate::dominators::Dominators;
use crate::findings::{Confidence, Location};
use crate::graph::Graph;
use memshed_heap::Heap;

/// Fewer bytes are not worth a line.
pub const LEAST_BYTES: u64 = 1_000_000;
/// Nor is a smaller part of the resident bytes than one in so many.
pub const LEAST_PART: u64 = 50;
/// Nor are fewer milliseconds in each second.
pub const LEAST_TIME: f64 = 10.0;
/// Pieces of advice of one kind.
const MOST: usize = 4;

/// What a piece of advice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AdviceKind {
    /// `gc.freeze()`: objects that stay need not be gone through again and again.
    Freeze,
    /// `gc.set_threshold()`: collections need not come so often.
    Thresholds,
    /// The program calls `gc.collect()` itself.
    OwnCollections,
    /// Memory that is free and could be given back as things stand.
    HeldFree,
    /// Memory that is free between live objects.
    Scattered,
    /// A cache that holds much.
    Cache,
    /// Values of equal contents.
    Equal,
    /// `__slots__`.
    Slots,
    /// Containers with room for more than is in them.
    Room,
    /// Memory that forked processes no longer share.
    Forks,
}

impl AdviceKind {
    /// All kinds.
    pub const ALL: [AdviceKind; 10] = [
        AdviceKind::Freeze,
        AdviceKind::Thresholds,
        AdviceKind::OwnCollections,
        AdviceKind::HeldFree,
        AdviceKind::Scattered,
        AdviceKind::Cache,
        AdviceKind::Equal,
        AdviceKind::Slots,
        AdviceKind::Room,
        AdviceKind::Forks,
    ];

    /// The kind as a word, as in JSON.
    pub fn word(self) -> &'static str {
        match self {
            AdviceKind::Freeze => "freeze",
            AdviceKind::Thresholds => "thresholds",
            AdviceKind::OwnCollections => "own-collections",
            AdviceKind::HeldFree => "held-free",
            AdviceKind::Scattered => "scattered",
            AdviceKind::Cache => "cache",
            AdviceKind::Equal => "equal",
            AdviceKind::Slots => "slots",
            AdviceKind::Room => "room",
            AdviceKind::Forks => "forks",
        }
    }
}

/// What following a piece of advice would give.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stake {
    /// Resident bytes less.
    Bytes(u64),
    /// Processor time less.
    Time {
        /// Milliseconds in each second that passes.
        ms_per_second: f64,
        /// The collector's share of the processor time now, from 0 to 1.
        share_before: f64,
        /// The share that would be left.
        share_after: f64,
    },
}

/// A piece of advice.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// What it is about.
    pub kind: AdviceKind,
    /// One sentence in plain words.
    pub title: String,
    /// What is at stake.
    pub stake: Stake,
    /// How sure that is.
    pub confidence: Confidence,
    /// Why memshed thinks so, in numbers.
    pub evidence: Vec<String>,
    /// What to do, in words.
    pub to_do: String,
    /// The lines to write.
    pub code: Vec<String>,
    /// Where.
    pub locations: Vec<Location>,
    /// The command, or the steps, that prove it.
    pub proof: String,
}

impl Advice {
    /// What is at stake as a part of what the process takes: of its resident bytes, or of a
    /// processor.
    pub fn weight(&self, heap: &Heap) -> f64 {
        match self.stake {
            Stake::Bytes(bytes) => bytes as f64 / heap.process.rss_bytes.max(1) as f64,
            Stake::Time { ms_per_second, .. } => ms_per_second / 1000.0,
        }
    }
}

/// What was seen beside the heap.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What the collector cost while the process was watched.
    pub collector: Option<CollectorCost>,
    /// What of the collector's objects stays.
    pub staying: Option<Staying>,
    /// The processes that were forked from one.
    pub family: Option<Family>,
    /// What was free while the process was watched.
    pub free: Option<FreeMeanwhile>,
}

/// What could have been given back at several moments.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FreeMeanwhile {
    /// The least, in bytes.
    pub least: u64,
    /// The most, in bytes.
    pub most: u64,
    /// How many moments.
    pub moments: usize,
    /// From the first to the last, in seconds.
    pub seconds: f64,
}

/// Advice on one process.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Advised {
    /// Most at stake first.
    pub advice: Vec<Advice>,
    /// What was considered and is not advised, and why, in sentences.
    pub declined: Vec<String>,
}

/// Advice on the process of `heap`.
pub fn advise(heap: &Heap, seen: &Seen) -> Advised {
    let mut advised = Advised::default();
    if let Some(cost) = &seen.collector {
        let staying = seen.staying.as_ref();
        advised
            .advice
            .extend(collector::advise(heap, cost, staying));
    }
    held::advise(heap, seen.free, &mut advised);
    advised.advice.extend(equal::advise(heap));
    slots::advise(heap, &mut advised);
    if let Some(family) = &seen.family {
        advised.advice.extend(forks::advise(heap, family));
    }
    if let Some(graph) = Graph::new(heap) {
        let dominators = Dominators::new(&graph);
        advised.advice.extend(caches::advise(&graph, &dominators));
        advised.advice.extend(room::advise(&graph));
    }
    let weight = |advice: &Advice| advice.weight(heap);
    advised.advice.retain(|advice| match advice.stake {
        Stake::Bytes(bytes) => matters(heap, bytes),
        Stake::Time { ms_per_second, .. } => ms_per_second >= LEAST_TIME,
    });
    let all = &mut advised.advice;
    all.sort_by(|a, b| weight(b).total_cmp(&weight(a)).then(a.title.cmp(&b.title)));
    let mut told: Vec<AdviceKind> = Vec::new();
    all.retain(|advice| {
        told.push(advice.kind);
        told.iter().filter(|kind| **kind == advice.kind).count() <= MOST
    });
    advised
}

/// Whether so many bytes are worth a line.
fn matters(heap: &Heap, bytes: u64) -> bool {
    bytes >= LEAST_BYTES && bytes.saturating_mul(LEAST_PART) >= heap.process.rss_bytes
}
