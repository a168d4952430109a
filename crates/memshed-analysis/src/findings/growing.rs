//! Findings of growth: containers that keep what they are given, and interned strings.

use super::advice;
use super::c_types::CTypes;
use super::words::{by_look, in_sentence, items};
use super::{Confidence, Finding, FindingKind, Location, sources};
use crate::cohorts::{Cohorts, turns_over};
use crate::growth::{Place, places};
use crate::holders::{HolderPath, Hop, holder_path, last_hop};
use crate::places::way_to;
use crate::type_name;
use crate::units::bytes as amount;
use memshed_heap::{Code, Heap, ObjectId, RootKind};

/// A place that grew by fewer bytes is not worth a finding.
pub(crate) const LEAST_BYTES: u64 = 32 * 1024;
/// The same where objects of C types came, which may have memory that is not known to be theirs.
const LEAST_OF_C: u64 = 2 * 1024;
/// Places that are judged.
const JUDGED: usize = 400;
/// Things added from which on it is asked how many the container held before.
const COUNTED: u64 = 8;
/// The part of what was added by which a container must have come to hold more.
const LEAST_MORE: f64 = 0.4;
/// The part of that which must have come in each half of the time.
const LEAST_HALF: f64 = 0.15;
/// Types of C code that are named beside the others.
const MOST_OF_C: usize = 3;
/// Types that objects consist of, and how many such parts an object's content is away from it.
const PLAIN: &[&str] = &["dict", "list", "set", "tuple"];
const PARTS: usize = 3;
/// Objects below a sample that are gone through to find what is heaviest there.
const LARGEST_SAMPLE: usize = 4_000;

/// Containers that go on growing; where objects of C types came, also some by less than is worth a
/// finding for itself.
pub(crate) fn find(heap: &Heap, cohorts: &Cohorts, c_types: &CTypes<'_>) -> Vec<Finding> {
    let times = cohorts.times();
    let mut findings = Vec::new();
    for place in places(heap, cohorts).iter().take(JUDGED) {
        let of_c = of_c(place, c_types);
        let least = match of_c.is_empty() {
            true => LEAST_BYTES,
            false => LEAST_OF_C,
        };
        if place.ages.total() < least || !place.ages.is_steady(&times) {
            continue;
        }
        match place.root(heap) {
            // What nothing reaches is garbage, or lost by C code: found by other means.
            RootKind::Unreached => continue,
            RootKind::Interned => findings.push(interned(heap, cohorts, place)),
            _ if is_turnover(cohorts, place) => continue,
            _ => {
                let mut finding = growth(heap, cohorts, place);
                let told = |name: &String| finding.types.contains(name);
                let of_c: Vec<String> = of_c.into_iter().filter(|name| !told(name)).collect();
                finding.types.extend(of_c);
                finding
                    .types
                    .extend(owner(heap, place.container, &finding.types));
                findings.push(finding);
            }
        }
    }
    findings
}

/// Whether as much of the same went as came: a queue, or a cache that is full. What is freed leaves
/// its address to the next of its kind, which then looks as old; so the container has to hold more,
/// too, or where it is not known what it held, the program has to have more of that kind.
fn is_turnover(cohorts: &Cohorts, place: &Place) -> bool {
    let Some((name, count, _)) = place.types.first() else {
        return false;
    };
    let held = place.held.as_ref().filter(|_| place.added >= COUNTED);
    let goes_on = held.map(|held| goes_on(held, place.added));
    match (goes_on, place.containers) {
        (Some(false), _) => true,
        (Some(true), 1) => false,
        // What one object has grown by itself has come without others of its kind.
        (None, _) if place.ages.own() * 2 >= place.ages.total() => false,
        // Of several containers others may have gone, with what they held.
        _ => turns_over(cohorts, name, *count),
    }
}

/// Whether a container to which so many things were added has come to hold more by that, in the
/// first half of the looks and in the second, and was never emptied.
fn goes_on(held: &[u32], added: u64) -> bool {
    let counts: Vec<f64> = held.iter().map(|&count| count.into()).collect();
    let (Some(&first), Some(&last)) = (counts.first(), counts.last()) else {
        return false;
    };
    let emptied = |pair: &[f64]| pair[1] < pair[0] / 2.0;
    let middle = counts[counts.len() / 2];
    let more = last - first;
    !counts.windows(2).any(emptied)
        && more >= LEAST_MORE * added as f64
        && middle - first >= LEAST_HALF * more
        && last - middle >= LEAST_HALF * more
}

/// The type of the object whose part a container is, unless it is `told` already.
fn owner(heap: &Heap, container: ObjectId, told: &[String]) -> Option<String> {
    let mut at = container;
    for _ in 0..PARTS {
        let name = type_name(heap, at);
        if !PLAIN.contains(&name) {
            let fresh = name.contains('.') && !told.iter().any(|one| one == name);
            return fresh.then(|| name.to_owned());
        }
        at = *heap.objects.holder.get(at.0 as usize)?;
    }
    None
}

/// Types of C code of which objects came.
fn of_c(place: &Place, c_types: &CTypes<'_>) -> Vec<String> {
    let names = place.types.iter().map(|(name, _, _)| name);
    let names = names.filter(|name| c_types.contains(name));
    names.take(MOST_OF_C).cloned().collect()
}

fn growth(heap: &Heap, cohorts: &Cohorts, place: &Place) -> Finding {
    let path = holder_path(heap, place.container);
    let bytes = place.ages.total();
    let seconds = cohorts.seconds().max(1e-3);
    let rate = bytes as f64 / seconds;
    let below = content(heap, place.sample);
    let facts = advice::Facts {
        heap,
        place,
        below: &below,
        container_type: type_name(heap, place.container),
    };
    let advice = advice::of(&facts);
    let mut types: Vec<String> = place.added_types.iter().map(|(n, _)| n.clone()).collect();
    types.truncate(3);
    if place.ages.own() * 2 >= bytes {
        types.insert(0, type_name(heap, place.container).to_owned());
    }
    for (name, _, _) in &place.types {
        if types.len() < 6 && !types.contains(name) {
            types.push(name.clone());
        }
    }
    let title = match place.added {
        0 | 1 => format!(
            "{} keeps growing: by {} in {seconds:.0} s",
            in_sentence(&place.pattern),
            amount(bytes)
        ),
        _ => format!(
            "{} keeps growing: {} came in {seconds:.0} s and stayed ({})",
            in_sentence(&place.pattern),
            items(&place.added_types, place.added),
            amount(bytes)
        ),
    };
    let mut way: Vec<String> = vec![start(&path)];
    way.extend(path.segments.iter().map(|s| s.hop.to_string()));
    if !below.is_empty() {
        way.extend(below.iter().map(|(hop, name)| format!("{hop} ({name})")));
    }
    let mut locations: Vec<Location> = sources::mentions(heap, cohorts, &path);
    locations.extend(sources::running(cohorts, 2));
    let mut finding = Finding {
        kind: FindingKind::Growth,
        title,
        bytes,
        bytes_per_second: Some(rate),
        count: place.added.max(1),
        types,
        holder: place.pattern.clone(),
        path: way,
        locations,
        evidence: evidence(cohorts, place, advice.why),
        fix: advice.fix,
        confidence: confidence(cohorts, place),
    };
    if let Some(finalizer) = sources::resurrecting(heap, &path, &place.added_types) {
        tell_resurrection(heap, finalizer, &mut finding);
    }
    finding
}

/// That a finalizer puts objects back which were about to be freed.
fn tell_resurrection(heap: &Heap, finalizer: &Code, finding: &mut Finding) {
    let function = format!("{}()", heap.strings.get(finalizer.name));
    let location = Location {
        file: heap.strings.get(finalizer.file).to_owned(),
        line: finalizer.line,
        role: format!("{function} puts objects back"),
    };
    let same = |one: &Location| (&one.file, one.line) == (&location.file, location.line);
    finding.locations.retain(|one| !same(one));
    finding.locations.insert(0, location);
    let why = format!("the finalizer {function} puts objects back that were about to be freed");
    finding.evidence.insert(0, why);
    let fix = &finding.fix;
    finding.fix = format!("Let {function} not put the object back, or only up to a limit. {fix}");
}

/// Where a way begins, in words.
fn start(path: &HolderPath) -> String {
    let root = HolderPath {
        segments: Vec::new(),
        ..path.clone()
    };
    root.to_string()
}

fn confidence(cohorts: &Cohorts, place: &Place) -> Confidence {
    match cohorts.len() {
        6.. if place.added >= 20 => Confidence::High,
        4.. => Confidence::Medium,
        _ => Confidence::Low,
    }
}

fn evidence(cohorts: &Cohorts, place: &Place, why: Option<String>) -> Vec<String> {
    let mut evidence: Vec<String> = why.into_iter().collect();
    let looks = cohorts.len();
    evidence.push(by_look(&place.ages, "held"));
    if place.containers > 1 {
        evidence.push(format!("{} such containers grow", place.containers));
    }
    let kinds: Vec<String> = place
        .types
        .iter()
        .take(4)
        .map(|(name, count, bytes)| format!("{count} {name} ({})", amount(*bytes)))
        .collect();
    if !kinds.is_empty() {
        evidence.push(format!("with all that hangs on it: {}", kinds.join(", ")));
    }
    evidence.push(format!("{looks} looks in {:.1} s", cohorts.seconds()));
    evidence
}

/// The way from one of the things added to what is heaviest below it: hops, and types.
fn content(heap: &Heap, sample: ObjectId) -> Vec<(String, String)> {
    let Some(edges) = &heap.edges else {
        return Vec::new();
    };
    let objects = &heap.objects;
    if sample.0 as usize >= objects.len() {
        return Vec::new();
    }
    // Those that the sample holds, and what these hold, as the column of holders has it.
    let mut below = vec![(sample, usize::MAX)];
    let mut next = 0;
    while next < below.len() && below.len() < LARGEST_SAMPLE {
        let (source, _) = below[next];
        for (target, _) in edges.of(source) {
            let held = objects.holder.get(target.0 as usize) == Some(&source);
            if held && target != source && below.len() < LARGEST_SAMPLE {
                below.push((target, next));
            }
        }
        next += 1;
    }
    let heaviest = (0..below.len()).max_by_key(|&i| objects.allocated.get(below[i].0.0 as usize));
    let mut way = Vec::new();
    let mut at = heaviest.unwrap_or(0);
    while at != usize::MAX && way.len() < 64 {
        let (object, up) = below[at];
        if up != usize::MAX {
            let hop = last_hop(heap, object).map(|hop| match hop {
                Hop::Index(_) | Hop::Entry(_) => Hop::Value.to_string(),
                hop => hop.to_string(),
            });
            way.push((hop.unwrap_or_default(), type_name(heap, object).to_owned()));
        }
        at = up;
    }
    way.push((String::from("[…]"), type_name(heap, sample).to_owned()));
    way.reverse();
    way
}

fn interned(heap: &Heap, cohorts: &Cohorts, place: &Place) -> Finding {
    let bytes = place.ages.total();
    let seconds = cohorts.seconds().max(1e-3);
    let immortal = place.sample;
    let for_good =
        heap.objects.refcount.get(immortal.0 as usize) == Some(&memshed_heap::Objects::IMMORTAL);
    let kept = match for_good {
        true => "Python keeps such strings until the program ends (they are immortal)",
        false => "something interns strings that are never used again",
    };
    Finding {
        kind: FindingKind::Interned,
        title: format!(
            "The table of interned strings keeps growing: {} strings came in {seconds:.0} s and \
             stayed ({})",
            place.ages.objects(),
            amount(bytes)
        ),
        bytes,
        bytes_per_second: Some(bytes as f64 / seconds),
        count: place.ages.objects(),
        types: vec!["str".to_owned()],
        holder: way_to(heap, place.container),
        path: vec!["the table of interned strings".to_owned()],
        locations: sources::running(cohorts, 3),
        evidence: evidence(cohorts, place, Some(kept.to_owned())),
        fix: "Something calls sys.intern(), or makes names of data: attributes set with \
              setattr(), keyword arguments, paths (pathlib before Python 3.12.4 interns every \
              part of a path). Keep such data as ordinary dictionary keys, or update Python: from \
              3.12.5 on interned strings can be freed again."
            .to_owned(),
        confidence: confidence(cohorts, place),
    }
}
