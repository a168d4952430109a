//! Findings of cyclic garbage: what it is, why it is still there, and which reference to break.

use super::words::by_look;
use super::{Confidence, Finding, FindingKind, Location};
use crate::cohorts::Cohorts;
use crate::garbage::{Cut, CycleGroup, Garbage, Remedy, Uncollected};
use crate::graph::Graph;
use crate::growth::Ages;
use crate::type_name;
use crate::units::{self, bytes as amount};
use memshed_heap::{Heap, ObjectId};

/// Garbage of fewer bytes is usual.
const LEAST_BYTES: u64 = 32 * 1024;
/// Garbage that will be collected is told of from one part in so many of the resident bytes on.
const WAITING_PART: u64 = 20;
/// Kinds of cycles that are told.
const MOST: usize = 3;

/// Cycles that are garbage. Those that no collection ends and that grow are leaks; others wait.
pub(crate) fn find(graph: &Graph<'_>, garbage: &Garbage, cohorts: &Cohorts) -> Vec<Finding> {
    let heap = graph.heap();
    let times = cohorts.times();
    let mut findings = Vec::new();
    for group in &garbage.groups {
        if findings.len() >= MOST || group.bytes < LEAST_BYTES {
            break;
        }
        let ages = ages(graph, garbage, group, cohorts);
        let never = match group.reason {
            Uncollected::Disabled | Uncollected::Frozen | Uncollected::TypeWithoutGc(_) => true,
            Uncollected::Waiting { .. } | Uncollected::Collecting => false,
        };
        let grows = never && (times.len() < 2 || ages.is_steady(&times));
        let large = group.bytes.saturating_mul(WAITING_PART) >= heap.process.rss_bytes;
        if grows || large || never {
            findings.push(finding(heap, cohorts, group, &ages, grows));
        }
    }
    findings
}

/// The age of the garbage that is of the types of a group's cycles, and of what hangs on it.
fn ages(graph: &Graph<'_>, garbage: &Garbage, group: &CycleGroup, cohorts: &Cohorts) -> Ages {
    let heap = graph.heap();
    let mut ages = Ages::default();
    let is_of = |object: ObjectId| {
        let name = type_name(heap, object);
        let mut all = group.types.iter().chain(&group.held);
        all.any(|amount| amount.name == name)
    };
    for object in garbage.collectable.iter().chain(garbage.rest.iter()) {
        if is_of(object) {
            ages.add(cohorts.born(object), 1, graph.bytes(object));
        }
    }
    ages
}

fn finding(
    heap: &Heap,
    cohorts: &Cohorts,
    group: &CycleGroup,
    ages: &Ages,
    grows: bool,
) -> Finding {
    let seconds = cohorts.seconds().max(1e-3);
    let watched = cohorts.len() > 1;
    let cycle = cycle(group);
    let names: Vec<&str> = group
        .types
        .iter()
        .map(|t| t.name.as_str())
        .take(3)
        .collect();
    let many = match group.cycles {
        1 => "one cycle of objects that refer to each other".to_owned(),
        n => format!(
            "{} cycles of objects that refer to each other",
            units::count(n)
        ),
    };
    let why = match &group.reason {
        Uncollected::Disabled => "the garbage collector is switched off".to_owned(),
        Uncollected::Frozen => {
            "gc.freeze() has put them where the collector never looks".to_owned()
        }
        Uncollected::TypeWithoutGc(types) => format!(
            "{} takes part, a type of C code that does not support garbage collection",
            types.join(", ")
        ),
        Uncollected::Waiting { generation, .. } => {
            format!("they wait for the next collection of generation {generation}")
        }
        Uncollected::Collecting => "a collection was running".to_owned(),
    };
    let title = format!(
        "{} ({}) {} though nothing uses them, since {why}: {} {}",
        in_sentence(&many),
        names.join(", "),
        match group.cycles {
            1 => "stays",
            _ => "stay",
        },
        units::count(group.objects),
        match grows && watched {
            true => format!("objects, {}, and growing", amount(group.bytes)),
            false => format!("objects, {}", amount(group.bytes)),
        },
    );
    let mut types: Vec<String> = group.types.iter().map(|t| t.name.clone()).collect();
    types.truncate(6);
    for held in &group.held {
        if types.len() < 8 && !types.contains(&held.name) {
            types.push(held.name.clone());
        }
    }
    let path: Vec<String> = group
        .hops
        .iter()
        .map(|hop| format!("{}{}", hop.type_name, hop.hop))
        .collect();
    Finding {
        kind: match grows {
            true => FindingKind::Cycle,
            false => FindingKind::Garbage,
        },
        title,
        bytes: if watched && grows {
            ages.total().min(group.bytes)
        } else {
            group.bytes
        },
        bytes_per_second: (watched && grows).then(|| ages.total() as f64 / seconds),
        count: group.cycles,
        types,
        holder: format!("each other: {cycle}"),
        path,
        locations: locations(heap, group),
        evidence: evidence(heap, cohorts, group, ages),
        fix: fix(group),
        confidence: match (group.guessed, &group.reason) {
            (true, _) => Confidence::Medium,
            (false, Uncollected::Waiting { .. }) => Confidence::Low,
            (false, _) => Confidence::High,
        },
    }
}

fn in_sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().collect::<String>());
    first.unwrap_or_default() + letters.as_str()
}

/// `A.b → C.d → A`.
fn cycle(group: &CycleGroup) -> String {
    let mut text: Vec<String> = group
        .hops
        .iter()
        .map(|hop| format!("{}{}", hop.type_name, hop.hop))
        .collect();
    text.extend(group.hops.first().map(|hop| hop.type_name.clone()));
    text.join(" → ")
}

fn evidence(heap: &Heap, cohorts: &Cohorts, group: &CycleGroup, ages: &Ages) -> Vec<String> {
    let mut evidence = Vec::new();
    let held: Vec<String> = group
        .held
        .iter()
        .take(3)
        .map(|t| format!("{} {} ({})", units::count(t.count), t.name, amount(t.bytes)))
        .collect();
    evidence.push(format!(
        "in them and held by them alone: {}",
        held.join(", ")
    ));
    if cohorts.len() > 1 {
        evidence.push(by_look(ages, "there"));
    }
    if let Uncollected::Waiting {
        generation,
        objects,
        threshold,
        count,
    } = group.reason
    {
        evidence.push(next_collection(generation, objects, threshold, count));
    }
    if !group.finalizers.is_empty() {
        evidence.push(format!(
            "these types have a finalizer (__del__): {}",
            group.finalizers.join(", ")
        ));
    }
    if group.guessed {
        evidence.push(
            "some of these references were told from words in the memory of a C type that look \
             like them"
                .to_owned(),
        );
    }
    let collected: i64 = heap.gc.generations.iter().map(|g| g.collections).sum();
    evidence.push(format!(
        "the collector is {}, and has run {collected} times",
        if heap.gc.enabled { "on" } else { "off" }
    ));
    evidence
}

/// When the collector will look at a generation of so many objects.
fn next_collection(generation: u8, objects: u64, threshold: i64, count: i64) -> String {
    let holds = format!(
        "generation {generation} holds {} objects and is collected ",
        units::count(objects)
    );
    let times = match generation {
        0 => format!("after {threshold} new ones, with {count} so far"),
        _ => format!(
            "when generation {} has been for more than {threshold} times, with {count} so far",
            generation - 1
        ),
    };
    holds + &times
}

/// Where the classes in a cycle are written, as far as their methods tell.
fn locations(heap: &Heap, group: &CycleGroup) -> Vec<Location> {
    let mut locations = Vec::new();
    for amount in &group.types {
        let class = amount.name.rsplit('.').next().unwrap_or_default();
        let method = |code: &&memshed_heap::Code| {
            let name = heap.strings.get(code.name);
            name.strip_prefix(class)
                .is_some_and(|rest| rest.starts_with('.'))
        };
        if let Some(code) = heap.code.iter().filter(method).min_by_key(|code| code.line) {
            locations.push(Location {
                file: heap.strings.get(code.file).to_owned(),
                line: code.line,
                role: format!("{}(), a method of the class", heap.strings.get(code.name)),
            });
        }
    }
    locations.truncate(3);
    locations
}

fn fix(group: &CycleGroup) -> String {
    let cut = group.cut.as_ref().map(break_it);
    let reason = match &group.reason {
        Uncollected::Disabled => {
            "Or switch the collector on again (gc.enable()), or call gc.collect() at moments that \
             suit."
        }
        Uncollected::Frozen => {
            "Call gc.collect() before gc.freeze(), so that no garbage is frozen."
        }
        Uncollected::TypeWithoutGc(_) => {
            "Or look for a newer version of the package that brings that type: its type should \
             support garbage collection (Py_TPFLAGS_HAVE_GC, tp_traverse)."
        }
        Uncollected::Waiting { .. } => {
            "It goes by itself; gc.collect() frees it now, and without the cycle it would be freed \
             at once."
        }
        Uncollected::Collecting => "",
    };
    [cut.unwrap_or_default(), reason.to_owned()]
        .join(" ")
        .trim()
        .to_owned()
}

fn break_it(cut: &Cut) -> String {
    match cut.remedy {
        Remedy::Weak => {
            format!("Break the cycle at {cut}: keep a weak reference there (weakref.ref).")
        }
        Remedy::WeakMethod => {
            format!("Break the cycle at {cut}: keep weakref.WeakMethod there, or a plain function.")
        }
        Remedy::Delete => format!(
            "Break the cycle at {cut}: delete that local variable (del) when it is no longer needed."
        ),
        Remedy::Clear => format!(
            "Break the cycle at {cut}: set it to None, or take it out, when it is no longer needed, \
             for example in close()."
        ),
    }
}
