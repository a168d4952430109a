//! Findings of references that C code forgot to let go: objects that nothing known of refers to,
//! and whose reference count says that something does.

use super::c_types::CTypes;
use super::words::{by_look, items};
use super::{Confidence, Finding, FindingKind, native, sources};
use crate::audit::audit;
use crate::cohorts::{Cohorts, turns_over};
use crate::garbage::Garbage;
use crate::graph::Graph;
use crate::growth::Ages;
use crate::type_name;
use crate::units::bytes as amount;
use memshed_heap::{Label, LabelKind, ObjectId};
use rustc_hash::FxHashMap;

/// What takes fewer bytes is not worth a finding.
const LEAST_BYTES: u64 = 32 * 1024;

/// Objects that one refers to, and that are named.
const MOST_NAMED: usize = 3;
/// Types that are named.
const MOST_TYPES: usize = 8;

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
    /// Whether memory of C code refers to them, rather than a count alone.
    kept: bool,
    /// One of the new ones.
    sample: Option<ObjectId>,
}

/// Types of which more and more objects are lost.
pub(crate) fn find(
    graph: &Graph<'_>,
    garbage: &Garbage,
    cohorts: &Cohorts,
    c_types: &CTypes<'_>,
) -> Vec<Finding> {
    let times = cohorts.times();
    let mut findings = Vec::new();
    for (name, lost) in lost(graph, garbage, cohorts) {
        let grown = lost.ages.total();
        if grown >= LEAST_BYTES
            && lost.ages.is_steady(&times)
            && !turns_over(cohorts, &name, lost.new)
        {
            let mut finding = finding(graph, cohorts, &name, &lost);
            let of_c = lost.types.keys().filter(|name| c_types.contains(name));
            let mut of_c: Vec<&String> = of_c.filter(|n| !finding.types.contains(n)).collect();
            of_c.sort();
            finding.types.extend(of_c.into_iter().cloned());
            findings.push(finding);
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
    let mut by_type: FxHashMap<(&str, bool), Lost> = FxHashMap::default();
    let mut roots = audit(heap).objects;
    roots.retain(|one| !reached.contains(one.object) && !is_garbage(one.object));
    for one in &roots {
        visited[one.object.0 as usize] = true;
    }
    // What memory of C code refers to without being an object's, such as a callback's argument.
    let kept = heap.outer_references.iter().map(|&(object, _)| object);
    let kept = kept.filter(|&object| !reached.contains(object) && !is_garbage(object));
    let roots = roots.iter().map(|one| (one.object, one.is_alone(), false));
    // What hangs on several counts for the first.
    let mut stack = Vec::new();
    for (root, alone, is_kept) in roots.chain(kept.map(|object| (object, false, true))) {
        if is_kept && std::mem::replace(&mut visited[root.0 as usize], true) {
            continue;
        }
        let lost = by_type.entry((type_name(heap, root), is_kept)).or_default();
        let new = cohorts.born(root) > 0;
        lost.kept = is_kept;
        lost.new += u64::from(new);
        if new {
            lost.sample = Some(root);
        }
        lost.alone += u64::from(new && alone);
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
        .map(|((name, _), lost)| (name.to_owned(), lost))
        .collect();
    list.sort_by(|a, b| (&a.0, a.1.kept).cmp(&(&b.0, b.1.kept)));
    list
}

/// Why they are not freed.
fn why(lost: &Lost) -> String {
    match (lost.kept, lost.alone) {
        (true, _) => "memory of C code refers to them, and nothing that is in use refers to that \
                      or to them"
            .to_owned(),
        (false, 0) => format!(
            "each of the {} new ones has a reference more than there are objects that refer to it, \
             and nothing in use leads to them, so they are never freed",
            lost.new
        ),
        (false, alone) => format!(
            "{alone} of the {} new ones have no referrer at all, yet their reference counts are not \
             zero, so they are never freed",
            lost.new
        ),
    }
}

/// What an object of such a type refers to, in words; empty if that is nothing of interest.
fn refers_to(graph: &Graph<'_>, object: ObjectId) -> Option<String> {
    let heap = graph.heap();
    let named = |(target, label): (ObjectId, Label)| {
        let hop = label.name().map(|name| heap.strings.get(name))?;
        let own = label.kind() != LabelKind::Weak && !graph.reached().contains(target);
        own.then(|| format!("{} by .{hop}", type_name(heap, target)))
    };
    let mut told: Vec<String> = graph.edges_of(object).filter_map(named).collect();
    told.dedup();
    told.truncate(MOST_NAMED);
    (!told.is_empty()).then(|| format!("one of them refers to {}", told.join(", ")))
}

fn finding(graph: &Graph<'_>, cohorts: &Cohorts, name: &str, lost: &Lost) -> Finding {
    let heap = graph.heap();
    let bytes = lost.ages.total();
    let seconds = cohorts.seconds().max(1e-3);
    let added = [(name.to_owned(), lost.new)];
    let mut others: Vec<(&String, &(u64, u64))> = lost.types.iter().collect();
    others.sort_by(|a, b| b.1.1.cmp(&a.1.1).then_with(|| a.0.cmp(b.0)));
    let mut types = vec![name.to_owned()];
    for (other, _) in &others {
        if types.len() < MOST_TYPES && *other != name {
            types.push((*other).clone());
        }
    }
    let mut evidence = vec![why(lost)];
    evidence.extend(lost.sample.and_then(|object| refers_to(graph, object)));
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
            "C code {} {}: they came in {seconds:.0} s, no {}Python object refers to them, and \
             they stay ({})",
            if lost.kept {
                "keeps"
            } else {
                "forgot to let go of"
            },
            items(&added, lost.new),
            if lost.kept { "living " } else { "" },
            amount(bytes)
        ),
        bytes,
        bytes_per_second: Some(bytes as f64 / seconds),
        count: lost.new,
        types,
        holder: match lost.kept {
            true => "memory of C code that no living Python object accounts for".to_owned(),
            false => format!(
                "no Python object: a reference that C code{} took and never gave back",
                match native::extension_packages(heap).as_slice() {
                    [only] => format!(", probably of {only},"),
                    _ => String::new(),
                }
            ),
        },
        path: Vec::new(),
        locations: sources::running(cohorts, 3),
        evidence,
        fix: match lost.kept {
            true => "Such objects were handed to C code (as a callback, a handler, a user function), \
                     and either it was never told to forget them, or they refer to the object that \
                     keeps them there, which is a cycle that Python's collector cannot see: \
                     unregister them, close what they were registered with, or let them refer to it \
                     weakly (weakref)."
                .to_owned(),
            false => format!(
                "The fault is not in Python code but in C code that the lines named here call: a \
                 reference is taken and not given back (a missing Py_DECREF). {suspects} Look for \
                 reports of a leak in it, or leave out that call; until then a worker process that \
                 is restarted now and then bounds it."
            ),
        },
        confidence: match cohorts.len() {
            6.. if lost.new >= 20 => Confidence::High,
            4.. => Confidence::Medium,
            _ => Confidence::Low,
        },
    }
}
