//! All findings of a heap, and of the looks before it, in order of weight.

use super::c_types::CTypes;
use super::{Finding, FindingKind, cycles, fragmentation, growing, lost, native, standing};
use crate::cohorts::Cohorts;
use crate::garbage::garbage;
use crate::graph::Graph;
use crate::units::bytes;
use memshed_heap::Heap;

/// A leak that accounts for less than one part in so many of what the greatest one does is left
/// out.
const MINOR: u64 = 10;
/// So many looks tell what grows; with fewer, what holds most is told instead.
const TELLING: usize = 4;
/// From so many things on, equal numbers are no chance.
const MANY: u64 = 20;
/// What C code loses may come in multiples.
const MOST_TIMES: u64 = 8;
/// Leaks that are told at most.
const MOST_LEAKS: usize = 5;

/// What is wrong, most important first. `cohorts` has seen the heap last.
pub fn findings(heap: &Heap, cohorts: &Cohorts) -> Vec<Finding> {
    let c_types = CTypes::of(heap);
    let mut leaks = growing::find(heap, cohorts, &c_types);
    leaks.extend(native::find(heap, cohorts));
    if let Some(graph) = Graph::new(heap) {
        let garbage = garbage(&graph);
        leaks.extend(lost::find(&graph, &garbage, cohorts, &c_types));
        leaks.extend(cycles::find(&graph, &garbage, cohorts));
        if cohorts.len() < TELLING {
            leaks.extend(standing::large(&graph));
        }
    }
    leaks.extend(standing::caches(heap));
    leaks.extend(standing::duplicates(heap));
    leaks.extend(standing::oversized(heap));
    leaks.extend(standing::unclosed(heap));
    let (leaks, others): (Vec<Finding>, Vec<Finding>) = leaks
        .into_iter()
        .partition(|finding| finding.kind.is_leak());
    let leaks = of_c_types(&c_types, folded(leaks));
    let mut findings = together(weighty(leaks));
    findings.truncate(MOST_LEAKS);
    if let Some(fragmentation) = fragmentation::find(heap, cohorts) {
        let growing = findings.first().map_or(0, |leak| leak.bytes);
        let grown = fragmentation::grown(cohorts).unwrap_or(0.0);
        // What is held free has grown by more than anything that leaks.
        let first = grown > growing as f64;
        findings.insert(if first { 0 } else { findings.len() }, fragmentation);
    }
    findings.extend(others);
    findings
}

/// Leaks of which as many things came are one: an object and what was made with it, or one object in
/// several containers. `leaks` come greatest first.
fn together(leaks: Vec<Finding>) -> Vec<Finding> {
    let mut told: Vec<Finding> = Vec::new();
    for leak in leaks {
        match told.iter_mut().find(|first| comes_with(first, &leak)) {
            Some(first) => join(first, leak),
            None => told.push(leak),
        }
    }
    told
}

/// Whether the two are one leak: as many, or a multiple, came of the one as of the other, the one grows
/// within the other, or both come with new threads.
fn comes_with(first: &Finding, other: &Finding) -> bool {
    let (most, least) = (first.count.max(other.count), first.count.min(other.count));
    let times = match first.kind {
        FindingKind::Growth => 1,
        FindingKind::ReferenceCount => MOST_TIMES,
        _ => return false,
    };
    let off = |times: u64| most.abs_diff(least.saturating_mul(times));
    let as_many = least >= MANY && (1..=times).any(|times| off(times) <= (most / 200).max(1));
    let within = |outer: &Finding, inner: &Finding| {
        let rest = inner.holder.strip_prefix(&*outer.holder);
        rest.is_some_and(|rest| rest.starts_with(['.', '[']))
    };
    let nested = within(first, other) || within(other, first);
    let of_threads = |one: &Finding, frames: &Finding| {
        let is_thread = |name: &String| name == "threading.Thread";
        one.types.iter().any(is_thread) && frames.holder.starts_with("running frame of")
    };
    let threads = of_threads(first, other) || of_threads(other, first);
    first.kind == other.kind
        && (as_many || first.kind == FindingKind::Growth && (nested || threads))
}

fn join(first: &mut Finding, other: Finding) {
    let told = format!("together with that: {}", other.title);
    first.evidence.push(told);
    add_bytes(first, &other);
    for name in other.types {
        if !first.types.contains(&name) {
            first.types.push(name);
        }
    }
}

/// Adds to a finding the bytes of another that is told as a part of it.
fn add_bytes(first: &mut Finding, other: &Finding) {
    const IN_ALL: &str = "; in all ";
    first.bytes = first.bytes.saturating_add(other.bytes);
    let more = other.bytes_per_second.unwrap_or(0.0);
    first.bytes_per_second = first.bytes_per_second.map(|rate| rate + more);
    let title = first.title.split_once(IN_ALL);
    let title = title.map_or(first.title.as_str(), |(title, _)| title);
    first.title = format!("{title}{IN_ALL}{}", bytes(first.bytes));
}

/// What seems to be C code's but hangs on things that are themselves what leaks: memory of objects of
/// C types, and what the stacks of suspended greenlets refer to.
fn of_c_types(c_types: &CTypes<'_>, leaks: Vec<Finding>) -> Vec<Finding> {
    let holds = |leak: &&Finding| {
        let is_python = matches!(leak.kind, FindingKind::Growth | FindingKind::ReferenceCount);
        is_python && leak.types.iter().any(|name| c_types.contains(name))
    };
    // What is held comes before what is lost.
    let weight = |leak: &&Finding| (leak.kind == FindingKind::Growth, leak.bytes);
    let greatest = leaks.iter().filter(holds).max_by_key(weight).cloned();
    let Some(mut greatest) = greatest else {
        return leaks;
    };
    let is_greenlet = |name: &String| name.to_lowercase().ends_with("greenlet");
    let greenlets = greatest.types.iter().any(is_greenlet);
    let belongs = |leak: &Finding| match leak.kind {
        FindingKind::Native => {
            let of_stacks = greenlets && leak.holder.starts_with("libpython");
            leak.types.is_empty() && leak.holder != native::INTERPRETER || of_stacks
        }
        FindingKind::ReferenceCount => greenlets,
        _ => false,
    };
    let mut rest = Vec::new();
    for leak in leaks {
        if leak == greatest {
            continue;
        }
        match belongs(&leak) {
            true => join(&mut greatest, leak),
            false => rest.push(leak),
        }
    }
    rest.push(greatest);
    rest.retain(|leak| leak.kind != FindingKind::Growth || leak.bytes >= growing::LEAST_BYTES);
    rest
}

/// Native memory that hangs on objects which are themselves what leaks is part of that leak.
fn folded(leaks: Vec<Finding>) -> Vec<Finding> {
    let (native, mut leaks): (Vec<Finding>, Vec<Finding>) = leaks
        .into_iter()
        .partition(|leak| leak.kind == FindingKind::Native && !leak.types.is_empty());
    for one in native {
        let owner = leaks.iter_mut().find(|leak| {
            let mut types = leak.types.iter();
            leak.kind != FindingKind::Native && types.any(|name| one.types.contains(name))
        });
        match owner {
            Some(leak) => {
                add_bytes(leak, &one);
                leak.evidence.push(format!(
                    "beside the objects, memory of C code that hangs on {} grew by {}",
                    one.holder,
                    bytes(one.bytes)
                ));
            }
            None => leaks.push(one),
        }
    }
    leaks
}

/// The leaks that matter beside the greatest one.
fn weighty(mut leaks: Vec<Finding>) -> Vec<Finding> {
    leaks.sort_by(|a, b| b.bytes.cmp(&a.bytes).then_with(|| a.holder.cmp(&b.holder)));
    let most = leaks.first().map_or(0, |leak| leak.bytes);
    leaks.retain(|leak| leak.bytes.saturating_mul(MINOR) >= most);
    leaks
}

/// Whether any of `findings` is of one of these kinds.
pub fn any_of(findings: &[Finding], kinds: &[FindingKind]) -> bool {
    findings.iter().any(|finding| kinds.contains(&finding.kind))
}
