//! Findings of memory that is free but not given back.

use super::{Confidence, Finding, FindingKind};
use crate::cohorts::Cohorts;
use crate::pins::pins;
use crate::units::bytes as amount;
use memshed_heap::Heap;

/// Less than this, in bytes or as a part in so many of the resident bytes, is usual.
const LEAST_BYTES: u64 = 4 * 1024 * 1024;
const LEAST_PART: u64 = 5;
/// Arenas that are told of one by one.
const ARENAS: usize = 3;

/// Memory that is free and held, if that is much.
pub(crate) fn find(heap: &Heap, cohorts: &Cohorts) -> Option<Finding> {
    let resident = heap.process.rss_bytes;
    let python = part(heap, "python_free");
    let malloc = malloc_free(heap);
    let free = python.saturating_add(malloc);
    if free < LEAST_BYTES || free.saturating_mul(LEAST_PART) < resident {
        return None;
    }
    let pins = pins(heap, ARENAS);
    let mut evidence = vec![format!(
        "{} is free in {} memory arenas of Python (pymalloc), of which {} are mostly empty; {} is \
         free in malloc's heaps",
        amount(python),
        heap.pools.arenas,
        pins.arenas.places,
        amount(malloc)
    )];
    evidence.push(format!(
        "live objects take {} of {}",
        amount(part(heap, "python_objects")),
        amount(resident)
    ));
    for pinner in pins.arenas.by.iter().take(3) {
        evidence.push(format!(
            "{} {} objects ({}) keep mostly empty arenas; most are held by {}",
            pinner.count,
            pinner.type_name,
            amount(pinner.bytes),
            pinner.held_by
        ));
    }
    let releasable = heap.pools.releasable_bytes;
    evidence.push(format!(
        "{} of it could be given back as things stand",
        amount(releasable)
    ));
    let grown = grown(cohorts);
    let pinners = pins.arenas.by.iter().chain(&pins.pools.by);
    let holder = pinners.clone().map(|p| p.held_by.clone()).next();
    let fix = match malloc > python {
        true => {
            "Start the program with MALLOC_TRIM_THRESHOLD_=131072 MALLOC_ARENA_MAX=2, call \
             malloc_trim(0) through ctypes after the peak, or use another allocator (jemalloc, \
             mimalloc, preloaded)."
        }
        false => {
            "Do the work that makes the peak in a child process (multiprocessing, a worker that \
             is restarted after some jobs), or make the objects that stay before it, or copy them \
             after it, so that they lie together. Python gives an arena back only when nothing in \
             it is in use."
        }
    };
    Some(Finding {
        kind: FindingKind::Fragmentation,
        title: format!(
            "{} of {} is free, but the system does not get it back: a few objects that stay lie \
             scattered over the memory of many that went",
            amount(free),
            amount(resident)
        ),
        bytes: free,
        bytes_per_second: grown.map(|bytes| bytes / cohorts.seconds().max(1e-3)),
        count: pins.arenas.places,
        types: pinners.map(|p| p.type_name.clone()).take(3).collect(),
        holder: holder.unwrap_or_default(),
        path: Vec::new(),
        locations: Vec::new(),
        evidence,
        fix: fix.to_owned(),
        confidence: Confidence::High,
    })
}

/// By how many bytes what is free and held in Python's pools has grown.
pub(crate) fn grown(cohorts: &Cohorts) -> Option<f64> {
    let (first, last) = (cohorts.looks.first()?, cohorts.looks.last()?);
    let grown = last.pools_free as f64 - first.pools_free as f64;
    (cohorts.len() > 1).then_some(grown)
}

/// Resident bytes of a category.
pub(crate) fn part(heap: &Heap, category: &str) -> u64 {
    let parts = heap.memory.iter().filter(|part| part.category == category);
    parts.map(|part| part.bytes).fold(0, u64::saturating_add)
}

/// What of malloc's heaps is free.
pub(crate) fn malloc_free(heap: &Heap) -> u64 {
    let malloc = heap.memory.iter().filter(|part| part.category == "malloc");
    let free = malloc
        .flat_map(|part| &part.parts)
        .filter(|part| part.category.starts_with("free"));
    free.map(|part| part.bytes).fold(0, u64::saturating_add)
}
