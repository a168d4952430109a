//! Findings that one look is enough for: what holds most, large caches, equal objects, resources
//! that nobody closed.

use super::words::in_sentence;
use super::{Confidence, Finding, FindingKind};
use crate::dominators::Dominators;
use crate::graph::Graph;
use crate::holders::{Start, holder_path};
use crate::places::way_to;
use crate::type_name;
use crate::units::{self, bytes as amount};
use memshed_heap::{Heap, ObjectId};
use rustc_hash::FxHashMap;

/// What takes fewer bytes, or a smaller part of the resident bytes than one in so many, is not told.
const LEAST_BYTES: u64 = 1 << 20;
const LEAST_PART: u64 = 20;
/// Equal objects are told of from so many bytes, and such a part of the resident bytes, on.
const LEAST_SPARED: u64 = 4 << 20;
const SPARED_PART: u64 = 10;
/// Containers that are told.
const MOST_LARGE: usize = 3;
/// A container of fewer things is a structure rather than a container.
const FEWEST: usize = 16;
/// So many open files, sockets or the like are unusual.
const MANY_OPEN: u64 = 200;
/// Kinds of equal objects that are told as evidence.
const EXAMPLES: usize = 4;
/// Types that stand for something open, and how it is called.
const OPEN: &[(&str, &str)] = &[
    ("_io.FileIO", "files"),
    ("socket.socket", "sockets"),
    ("ssl.SSLSocket", "TLS sockets"),
    ("sqlite3.Connection", "database connections"),
    ("psycopg2.extensions.connection", "database connections"),
    ("mmap.mmap", "memory-mapped files"),
    ("subprocess.Popen", "child processes"),
    (
        "multiprocessing.shared_memory.SharedMemory",
        "shared memory segments",
    ),
    ("tempfile.TemporaryDirectory", "temporary directories"),
    ("zipfile.ZipFile", "archives"),
    ("select.epoll", "epoll descriptors"),
];

/// Whether so many bytes matter in this process.
fn matters(heap: &Heap, bytes: u64) -> bool {
    bytes >= LEAST_BYTES && bytes.saturating_mul(LEAST_PART) >= heap.process.rss_bytes
}

/// The containers that hold most, by what would be freed with them.
pub(crate) fn large(graph: &Graph<'_>) -> Vec<Finding> {
    let heap = graph.heap();
    let dominators = Dominators::new(graph);
    let mut found: Vec<(u64, ObjectId)> = Vec::new();
    let mut stack: Vec<ObjectId> = dominators.top().to_vec();
    while let Some(object) = stack.pop() {
        let all = dominators.retained(object);
        if !matters(heap, all) {
            continue;
        }
        let children = dominators.children(object);
        let most = children.iter().map(|&c| dominators.retained(c)).max();
        // It is what lies below one of its parts that is large.
        let spread = most.unwrap_or(0) * 2 < all;
        if spread && children.len() >= FEWEST && type_name(heap, object) != "module" {
            found.push((all, object));
        } else {
            stack.extend(children);
        }
    }
    found.sort_by(|a, b| b.cmp(a));
    found.truncate(MOST_LARGE);
    let finding = |(all, object): (u64, ObjectId)| {
        let children = dominators.children(object);
        container(heap, object, all, children)
    };
    found.into_iter().map(finding).collect()
}

fn container(heap: &Heap, object: ObjectId, all: u64, children: &[ObjectId]) -> Finding {
    let holder = way_to(heap, object);
    let mut types: FxHashMap<&str, u64> = FxHashMap::default();
    for &child in children {
        *types.entry(type_name(heap, child)).or_default() += 1;
    }
    let mut types: Vec<(&str, u64)> = types.into_iter().collect();
    types.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(b.0)));
    let kinds: Vec<String> = types
        .iter()
        .take(3)
        .map(|(name, count)| format!("{} {name}", units::count(*count)))
        .collect();
    Finding {
        kind: FindingKind::Large,
        title: format!(
            "{} holds {} in memory, {} of what this program takes",
            in_sentence(&holder),
            amount(all),
            units::share(all, heap.process.rss_bytes)
        ),
        bytes: all,
        bytes_per_second: None,
        count: children.len() as u64,
        types: types
            .iter()
            .take(6)
            .map(|(name, _)| (*name).to_owned())
            .collect(),
        path: Vec::new(),
        locations: Vec::new(),
        evidence: vec![format!(
            "a {} whose content would be freed with it: {}",
            type_name(heap, object),
            kinds.join(", ")
        )],
        fix: format!(
            "If it should not hold that much, take out of {holder} what is no longer needed, or give \
             it a limit. Whether it grows, a longer look tells: `memshed leaks PID --for 60s`."
        ),
        holder,
        confidence: Confidence::Low,
    }
}

/// Caches that take much.
pub(crate) fn caches(heap: &Heap) -> Vec<Finding> {
    let large = heap.caches.iter().filter(|cache| {
        let internal = [
            "interned",
            "free list",
            "bytecode",
            "method cache",
            "small ints",
        ];
        let internal = internal.iter().any(|name| cache.name.starts_with(name));
        !internal && matters(heap, cache.bytes)
    });
    let finding = |cache: &memshed_heap::Cache| Finding {
        kind: FindingKind::Cache,
        title: format!(
            "The cache {} has {} entries, which take {}",
            cache.name,
            units::count(cache.entries),
            amount(cache.bytes)
        ),
        bytes: cache.bytes,
        bytes_per_second: None,
        count: cache.entries,
        types: Vec::new(),
        holder: cache.name.clone(),
        path: Vec::new(),
        locations: Vec::new(),
        evidence: vec![format!("{} of the resident memory", {
            units::share(cache.bytes, heap.process.rss_bytes)
        })],
        fix: format!(
            "If that is more than it is worth, give {} a smaller limit, or clear it when the work \
             that filled it is done.",
            cache.name
        ),
        confidence: Confidence::Medium,
    };
    large.map(finding).collect()
}

/// Equal objects, if one of each would spare much.
pub(crate) fn duplicates(heap: &Heap) -> Option<Finding> {
    let wasted = |one: &memshed_heap::Duplicate| one.bytes - one.bytes / one.count.max(1);
    // What nothing in use refers to is told as garbage, or as lost.
    let is_used = |one: &&memshed_heap::Duplicate| {
        matches!(holder_path(heap, one.object).start, Start::Root { .. })
    };
    let duplicates: Vec<_> = heap.duplicates.iter().filter(is_used).collect();
    let all = duplicates.iter().map(|one| wasted(one));
    let all: u64 = all.fold(0, u64::saturating_add);
    if all < LEAST_SPARED || all.saturating_mul(SPARED_PART) < heap.process.rss_bytes {
        return None;
    }
    let examples = duplicates.iter().take(EXAMPLES);
    let evidence: Vec<String> = examples
        .clone()
        .map(|one| {
            format!(
                "{} equal {} objects of {} each; one of them is {}",
                units::count(one.count),
                type_name(heap, one.object),
                amount(one.bytes / one.count.max(1)),
                way_to(heap, one.object)
            )
        })
        .collect();
    let mut types: Vec<String> = Vec::new();
    for one in examples {
        let name = type_name(heap, one.object).to_owned();
        if !types.contains(&name) {
            types.push(name);
        }
    }
    let count = duplicates.iter().map(|one| one.count - 1).sum();
    Some(Finding {
        kind: FindingKind::Duplicate,
        title: format!(
            "{} objects are equal to another one: keeping one of each would spare {}",
            units::count(count),
            amount(all)
        ),
        bytes: all,
        bytes_per_second: None,
        count,
        types,
        holder: duplicates
            .first()
            .map_or(String::new(), |one| way_to(heap, one.object)),
        path: Vec::new(),
        locations: Vec::new(),
        evidence,
        fix: "Where such values are made (read from a file, a database, JSON), keep one of each: \
              sys.intern() for strings that are few and come often, or a dictionary value → value; \
              in tables, a categorical column."
            .to_owned(),
        confidence: Confidence::Medium,
    })
}

/// Containers with room for far more than is in them: once many were, and the tables stayed.
pub(crate) fn oversized(heap: &Heap) -> Option<Finding> {
    let all = heap.fill.iter().map(|one| one.spare_bytes);
    let all = all.fold(0, u64::saturating_add);
    if all < LEAST_SPARED || all.saturating_mul(SPARED_PART) < heap.process.rss_bytes {
        return None;
    }
    let name = |one: &memshed_heap::Fill| {
        let kind = heap.types.get(one.type_id.0 as usize);
        kind.map_or("?", |kind| heap.strings.get(kind.name))
    };
    let told: Vec<_> = heap.fill.iter().take(EXAMPLES).collect();
    let told: Vec<_> = told
        .into_iter()
        .filter(|one| one.spare_bytes.saturating_mul(SPARED_PART) >= all)
        .collect();
    let evidence = told.iter().map(|one| {
        format!(
            "{} {} hold {} entries in room for {}; {} more than copies of them would take, most \
             of it in {}",
            units::count(one.containers),
            name(one),
            units::count(one.used),
            units::count(one.slots),
            amount(one.spare_bytes),
            way_to(heap, one.emptiest)
        )
    });
    Some(Finding {
        kind: FindingKind::Oversized,
        title: format!(
            "Dictionaries, sets and lists keep room for more than is in them: {} could be spared",
            amount(all)
        ),
        bytes: all,
        bytes_per_second: None,
        count: told.iter().map(|one| one.containers).sum(),
        types: told.iter().map(|one| name(one).to_owned()).collect(),
        holder: told
            .first()
            .map_or(String::new(), |one| way_to(heap, one.emptiest)),
        path: Vec::new(),
        locations: Vec::new(),
        evidence: evidence.collect(),
        fix: "What is taken out of a container leaves its room behind. Where many entries go at \
              once, replace the container by a copy of what stays (`d = dict(d)`, `s = set(s)`, \
              `l = list(l)`); where very many small ones exist, use tuples or __slots__."
            .to_owned(),
        confidence: Confidence::High,
    })
}

/// Open files, sockets and the like, where there are unusually many.
pub(crate) fn unclosed(heap: &Heap) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (row, kind) in heap.types.iter().enumerate() {
        let name = heap.strings.get(kind.name);
        let Some((_, what)) = OPEN.iter().find(|(open, _)| *open == name) else {
            continue;
        };
        let of = heap.objects.type_id.iter().enumerate();
        let of = of.filter(|(_, id)| id.0 as usize == row);
        let objects: Vec<ObjectId> = of.map(|(row, _)| ObjectId(row as u32)).collect();
        if (objects.len() as u64) < MANY_OPEN {
            continue;
        }
        let mut holders: FxHashMap<String, u64> = FxHashMap::default();
        // A sample is enough to name who holds most.
        for &object in objects.iter().step_by(objects.len().div_ceil(1000)) {
            *holders.entry(way_to(heap, object)).or_default() += 1;
        }
        let most = holders.into_iter().max_by_key(|(_, count)| *count);
        let holder = most.map_or(String::new(), |(holder, _)| holder);
        let holder = holder.strip_prefix("held by ").unwrap_or(&holder);
        let bytes = objects
            .iter()
            .map(|o| heap.objects.allocated.get(o.0 as usize));
        findings.push(Finding {
            kind: FindingKind::Unclosed,
            title: format!(
                "{} {what} are open: {name} objects that nobody has closed or let go",
                units::count(objects.len() as u64)
            ),
            bytes: bytes.sum(),
            bytes_per_second: None,
            count: objects.len() as u64,
            types: vec![name.to_owned()],
            evidence: vec![format!("most are held by {holder}")],
            holder: holder.to_owned(),
            path: Vec::new(),
            locations: Vec::new(),
            fix: "Close each when it is no longer needed: use `with`, or call close() where its owner \
                  ends."
                .to_owned(),
            confidence: Confidence::Low,
        });
    }
    findings
}
