//! All findings of a heap, and of the looks before it, in order of weight.

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
/// Leaks that are told at most.
const MOST_LEAKS: usize = 5;

/// What is wrong, most important first. `cohorts` has seen the heap last.
pub fn findings(heap: &Heap, cohorts: &Cohorts) -> Vec<Finding> {
    let mut leaks = growing::find(heap, cohorts);
    leaks.extend(native::find(heap, cohorts));
    if let Some(graph) = Graph::new(heap) {
        let garbage = garbage(&graph);
        leaks.extend(lost::find(&graph, &garbage, cohorts));
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
    let mut findings = weighty(folded(leaks));
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
                leak.bytes = leak.bytes.saturating_add(one.bytes);
                let more = one.bytes_per_second.unwrap_or(0.0);
                leak.bytes_per_second = leak.bytes_per_second.map(|rate| rate + more);
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
    leaks.truncate(MOST_LEAKS);
    leaks
}

/// Whether any of `findings` is of one of these kinds.
pub fn any_of(findings: &[Finding], kinds: &[FindingKind]) -> bool {
    findings.iter().any(|finding| kinds.contains(&finding.kind))
}
