//! Findings of references that C code forgot to let go: objects that nothing known of refers to,
//! and whose reference count says that something does.

use super::words::{by_look, items};
use super::{Confidence, Finding, FindingKind, native, sources};
use crate::audit::audit;
use crate::cohorts::{Cohorts, turns_over};
use crate::garbage::Garbage;
use crate::graph::Graph;
use crate::growth::Ages;
use crate::type_name;
use crate::units::bytes as amount;
use memshed_heap::{Heap, LabelKind};
use rustc_hash::FxHashMap;

/// What takes fewer bytes is not worth a finding.
const LEAST_BYTES: u64 = 32 * 1024;

/// Objects of one type that something unknown refers to, and what hangs on them alone.
#[derive(Clone, Debug, Default)]
struct Lost {
    /// The objects themselves, those that were new since the first look.
    new: u64,
    /// All that hangs on them, by age.
    ages: Ages,
    /// Their types: count and bytes of what is new.
    types: FxHashMap<String, (u64, u64)>,
    /// How many of the new ones nothing at all refers to.
    alone: u64,
}

/// Types of which more and more objects are lost.
pub(crate) fn find(graph: &Graph<'_>, garbage: &Garbage, cohorts: &Cohorts) -> Vec<Finding> {
    let heap = graph.heap();
    let times = cohorts.times();
    let mut findings = Vec::new();
    for (name, lost) in lost(graph, garbage, cohorts) {
        let grown = lost.ages.total();
        if grown >= LEAST_BYTES
            && lost.ages.is_steady(&times)
            && !turns_over(cohorts, &name, lost.new)
        {
            findings.push(finding(heap, cohorts, &name, &lost));
        }
    }
    findings
}

/// What is lost, by the type of what something unknown refers to.
fn lost(graph: &Graph<'_>, garbage: &Garbage, cohorts: &Cohorts) -> Vec<(String, Lost)> {
    let heap = graph.heap();
    let reached = graph.reached();
    let is_garbage = |o| garbage.collectable.contains(o) || garbage.rest.contains(o);
    let mut visited = vec![false; graph.len()];
    let mut by_type: FxHashMap<&str, Lost> = FxHashMap::default();
    let mut roots = audit(heap).objects;
    roots.retain(|one| !reached.contains(one.object) && !is_garbage(one.object));
    for one in &roots {
        visited[one.object.0 as usize] = true;
    }
    // What hangs on several counts for the first.
    let mut stack = Vec::new();
    for one in &roots {
        let root = one.object;
        let name = type_name(heap, root);
        let lost = by_type.entry(name).or_default();
        let new = cohorts.born(root) > 0;
        lost.new += u64::from(new);
        lost.alone += u64::from(new && one.is_alone());
        stack.push(root);
        while let Some(object) = stack.pop() {
            let born = cohorts.born(object);
            let bytes = graph.bytes(object);
            lost.ages.add(born, 1, bytes);
            if born > 0 {
                let sum = lost.types.entry(type_name(heap, object).to_owned());
                let sum = sum.or_default();
                sum.0 += 1;
                sum.1 += bytes;
            }
            for (target, label) in graph.edges_of(object) {
                let row = target.0 as usize;
                if label.kind() != LabelKind::Weak && !reached.contains(target) && !visited[row] {
                    visited[row] = true;
                    stack.push(target);
                }
            }
        }
    }
    let mut list: Vec<(String, Lost)> = by_type
        .into_iter()
        .map(|(name, lost)| (name.to_owned(), lost))
        .collect();
    list.sort_by(|a, b| a.0.cmp(&b.0));
    list
}

fn finding(heap: &Heap, cohorts: &Cohorts, name: &str, lost: &Lost) -> Finding {
    let bytes = lost.ages.total();
    let seconds = cohorts.seconds().max(1e-3);
    let added = [(name.to_owned(), lost.new)];
    let mut others: Vec<(&String, &(u64, u64))> = lost.types.iter().collect();
    others.sort_by(|a, b| b.1.1.cmp(&a.1.1).then_with(|| a.0.cmp(b.0)));
    let mut types = vec![name.to_owned()];
    for (other, _) in &others {
        if types.len() < 5 && *other != name {
            types.push((*other).clone());
        }
    }
    let mut evidence = vec![format!(
        "{} of the {} new ones have no referrer at all, yet their reference counts are not zero, so \
         they are never freed",
        lost.alone, lost.new
    )];
    evidence.push(by_look(&lost.ages, "there"));
    let kinds: Vec<String> = others
        .iter()
        .take(3)
        .map(|(name, (count, bytes))| format!("{count} {name} ({})", amount(*bytes)))
        .collect();
    evidence.push(format!("with all that hangs on them: {}", kinds.join(", ")));
    evidence.extend(native::packages(heap));
    let suspects = native::suspects(&native::extensions(heap));
    Finding {
        kind: FindingKind::ReferenceCount,
        title: format!(
            "C code forgot to let go of {}: they came in {seconds:.0} s, no Python object refers \
             to them, and they stay ({})",
            items(&added, lost.new),
            amount(bytes)
        ),
        bytes,
        bytes_per_second: Some(bytes as f64 / seconds),
        count: lost.new,
        types,
        holder: "no Python object: a reference that C code took and never gave back".to_owned(),
        path: Vec::new(),
        locations: sources::running(cohorts, 3),
        evidence,
        fix: format!(
            "The fault is not in Python code but in C code that the lines named here call: a \
             reference is taken and not given back (a missing Py_DECREF). {suspects} Look for \
             reports of a leak in it, or leave out that call; until then a worker process that is \
             restarted now and then bounds it."
        ),
        confidence: match cohorts.len() {
            6.. if lost.new >= 20 => Confidence::High,
            4.. => Confidence::Medium,
            _ => Confidence::Low,
        },
    }
}
