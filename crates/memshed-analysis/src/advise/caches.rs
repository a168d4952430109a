//! Caches that hold much: what would be free without them.

use super::{Advice, AdviceKind, Stake, matters};
use crate::dominators::Dominators;
use crate::findings::{Confidence, mentions};
use crate::graph::Graph;
use crate::holders::holder_path;
use crate::places::way_to;
use crate::units::{bytes as amount, count, share};
use crate::{Cohorts, type_name};
use memshed_heap::{LabelKind, ObjectId};

/// The type of what `functools.lru_cache` makes.
const LRU: &str = "functools._lru_cache_wrapper";
/// Types of containers that are caches if they are called so.
const CONTAINERS: [&str; 6] = [
    "dict",
    "list",
    "set",
    "collections.OrderedDict",
    "collections.defaultdict",
    "collections.deque",
];
/// What caches are called.
const NAMES: [&str; 3] = ["cache", "memo", "lookaside"];
/// What small blocks leave behind goes back to the system only so.
const TRIM: &str = "import ctypes; ctypes.CDLL(None).malloc_trim(0)  # or: memshed release";
/// A cache with fewer entries is something else.
const FEWEST: usize = 16;

/// Advice on caches.
pub(super) fn advise(graph: &Graph<'_>, dominators: &Dominators) -> Vec<Advice> {
    let heap = graph.heap();
    let mut advice = Vec::new();
    let mut stack: Vec<ObjectId> = dominators.top().to_vec();
    while let Some(object) = stack.pop() {
        let bytes = dominators.retained(object);
        if !matters(heap, bytes) {
            continue;
        }
        let name = type_name(heap, object);
        let found = match name {
            LRU => lru(graph, object, bytes),
            name if CONTAINERS.contains(&name) => named(graph, object, bytes),
            _ => None,
        };
        match found {
            Some(found) => advice.push(found),
            None => stack.extend(dominators.children(object)),
        }
    }
    advice
}

/// Entries of a container: keys, or elements.
fn entries(graph: &Graph<'_>, object: ObjectId) -> usize {
    let (mut keys, mut items) = (0, 0);
    for (_, label) in graph.edges_of(object) {
        match label.kind() {
            LabelKind::KeyObject => keys += 1,
            LabelKind::Index => items += 1,
            _ => {}
        }
    }
    if keys > 0 { keys } else { items }
}

fn lru(graph: &Graph<'_>, wrapper: ObjectId, bytes: u64) -> Option<Advice> {
    let heap = graph.heap();
    let field = |wanted: &str| {
        let mut edges = graph.edges_of(wrapper);
        edges.find_map(|(target, label)| {
            let name = label.name().map(|name| heap.strings.get(name));
            (name == Some(wanted)).then_some(target)
        })
    };
    let entries = entries(graph, field("cache")?);
    if entries < FEWEST {
        return None;
    }
    let way = way_to(heap, wrapper);
    let function = field("__wrapped__");
    let name = function.and_then(|function| heap.names.get(&function));
    let name = name.map_or(way.as_str(), |&name| heap.strings.get(name));
    let half = entries.div_ceil(10).next_multiple_of(100);
    Some(Advice {
        kind: AdviceKind::Cache,
        title: format!(
            "The results that functools.lru_cache keeps of {name}() take {} ({} of the memory)",
            amount(bytes),
            share(bytes, heap.process.rss_bytes)
        ),
        stake: Stake::Bytes(bytes),
        confidence: Confidence::Medium,
        evidence: vec![format!(
            "{} results and their arguments, {} each, which nothing else holds",
            count(entries as u64),
            amount(bytes / entries as u64)
        )],
        to_do: format!(
            "Give it a limit of what is asked for again and again, or clear it when the work is done; \
             {name}.cache_info() says how often it is of use."
        ),
        code: vec![
            format!("@functools.lru_cache(maxsize={half})"),
            format!("{way}.cache_clear()"),
            TRIM.to_owned(),
        ],
        locations: mentions(heap, &Cohorts::default(), &holder_path(heap, wrapper)),
        proof: "after the last two lines, the resident memory".to_owned(),
    })
}

/// A container that is called a cache.
fn named(graph: &Graph<'_>, object: ObjectId, bytes: u64) -> Option<Advice> {
    let heap = graph.heap();
    let way = way_to(heap, object);
    let last = way.rsplit(['.', ' ']).next().unwrap_or(&way).to_lowercase();
    let entries = entries(graph, object);
    if entries < FEWEST || !NAMES.iter().any(|name| last.contains(name)) {
        return None;
    }
    let name = type_name(heap, object);
    let mut code = vec![format!("{way}.clear()"), TRIM.to_owned()];
    if name.ends_with("dict") || name.ends_with("Dict") {
        let limit = entries.div_ceil(10).next_multiple_of(100);
        code.insert(
            0,
            format!("if len({way}) > {limit}: {way}.pop(next(iter({way})))"),
        );
    }
    Some(Advice {
        kind: AdviceKind::Cache,
        title: format!(
            "The cache {way} takes {} ({} of the memory)",
            amount(bytes),
            share(bytes, heap.process.rss_bytes)
        ),
        stake: Stake::Bytes(bytes),
        confidence: Confidence::Low,
        evidence: vec![format!(
            "a {name} with {} entries, {} each with all that nothing else holds",
            count(entries as u64),
            amount(bytes / entries as u64)
        )],
        to_do: "If that is more than it is worth, take out the oldest entries when it is full, or empty it \
                when the work that filled it is done."
            .to_owned(),
        code,
        locations: mentions(heap, &Cohorts::default(), &holder_path(heap, object)),
        proof: "after the last two lines, the resident memory".to_owned(),
    })
}
