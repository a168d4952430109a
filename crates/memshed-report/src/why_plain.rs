//! The first lines of `memshed why`: the answer in plain words, what to change, what to do next.

use crate::diff_plain::quoted;
use crate::page::harmless;
use crate::units::{bytes, count, share};
use crate::why::{KeeperRow, StepRow, WayRow, WhyView};
use crate::why_words::{a, advice, emptied, held};
use memshed_analysis::Hop;
use memshed_analysis::what::Meaning;

/// A few sentences, one a line.
pub(crate) fn lines(view: &WhyView) -> Vec<String> {
    let held = match view.objects.count {
        1 => single(view),
        _ => several(view),
    };
    [
        Some(size(view)),
        Some(held),
        together(view),
        change(view),
        next(view),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn is_single(view: &WhyView) -> bool {
    view.objects.count == 1
}

fn size(view: &WhyView) -> String {
    let name = harmless(&view.name);
    let own = bytes(view.objects.bytes);
    let more = view.retained.count.saturating_sub(view.objects.count);
    let (what, only) = match (&view.meaning, is_single(view)) {
        (Meaning::Type(_), true) => (format!("The only {name} takes {own}"), "it"),
        (_, true) => {
            let kind = a(&harmless(view.type_name.as_deref().unwrap_or("?")));
            (format!("{name} is {kind} of {own}"), "it")
        }
        (Meaning::Type(_), false) => {
            let number = count(view.objects.count);
            (
                format!("The {number} objects of type {name} take {own}"),
                "they",
            )
        }
        (_, false) => {
            let number = count(view.objects.count);
            (format!("The {number} objects at {name} take {own}"), "they")
        }
    };
    let keep = if is_single(view) { "keeps" } else { "keep" };
    match more {
        0 => format!(
            "{what}; nothing else goes with {}.",
            if is_single(view) { "it" } else { "them" }
        ),
        1 => format!(
            "{what}; with the one other object that only {only} {keep} alive, {}.",
            bytes(view.retained.bytes)
        ),
        more => format!(
            "{what}; with the {} other objects that only {only} {keep} alive, {}.",
            count(more),
            bytes(view.retained.bytes)
        ),
    }
}

/// The ways that begin somewhere.
fn real(view: &WhyView) -> impl Iterator<Item = &WayRow> {
    view.ways.iter().filter(|way| way.holders > 0)
}

fn garbage(view: &WhyView) -> Option<String> {
    if view.unreached < view.objects.count || view.unreached == 0 {
        return None;
    }
    let it = if is_single(view) { "it" } else { "them" };
    Some(match view.held_by_c {
        0 if view.collector_on => format!(
            "Nothing reachable from your program refers to {it}: garbage that waits for Python's \
             cycle collector."
        ),
        0 => format!(
            "Nothing reachable from your program refers to {it}: garbage, which stays because \
             Python's cycle collector is switched off (`gc.disable()`)."
        ),
        n if n == view.objects.count => format!(
            "Nothing reachable from your program refers to {it}, but more references are counted \
             than memshed finds: C code holds {it}, or has forgotten to let go."
        ),
        n => format!(
            "Nothing reachable from your program refers to {it}: garbage, or held by C code ({} \
             of them have references that cannot be seen).",
            count(n)
        ),
    })
}

fn single(view: &WhyView) -> String {
    if let Some(garbage) = garbage(view) {
        return garbage;
    }
    if view.type_name.as_deref() == Some("module") {
        return "It is a module: imported once, and kept in sys.modules.".to_owned();
    }
    let all = view.ways.len() as u64 + view.more_ways;
    match (view.ways.as_slice(), all) {
        ([only], 1) => match only.steps.first() {
            Some(step) => format!("Only one reference keeps it: {}.", harmless(&held(step))),
            None => format!(
                "Only {} keeps it.",
                harmless(&crate::why_words::root(&only.path))
            ),
        },
        _ => format!(
            "{} references keep it: cutting one of them frees nothing by itself.",
            count(all)
        ),
    }
}

fn several(view: &WhyView) -> String {
    if let Some(garbage) = garbage(view) {
        return garbage;
    }
    let Some(first) = real(view).next() else {
        return "Nothing that your program can reach holds them.".to_owned();
    };
    if first.bytes.saturating_mul(FEW) < view.retained.bytes {
        return format!(
            "They are held in {} different places, none of which holds much of them; the first is \
             {}.",
            count(view.ways.len() as u64 + view.more_ways),
            harmless(&first.way)
        );
    }
    let rest = view.objects.count.saturating_sub(first.objects);
    if view.ways.len() == 1 && rest > 0 {
        let (some, those) = match first.objects {
            1 => ("One of them is".to_owned(), "that one"),
            n => (format!("{} of them are", count(n)), "those"),
        };
        return format!(
            "{some} held by {}; the other {} hang on {those}.",
            harmless(&first.way),
            count(rest)
        );
    }
    let of_them = match first.objects {
        n if n == view.objects.count => "All of them are".to_owned(),
        1 => "One of them is".to_owned(),
        n => format!(
            "{} of them ({}) are",
            count(n),
            share(n, view.objects.count)
        ),
    };
    let alone = match first.alone {
        n if n == first.objects => ", and by nothing else".to_owned(),
        0 => ", and by something else, too".to_owned(),
        n => format!(", {} by nothing else", count(n)),
    };
    format!("{of_them} held by {}{alone}.", harmless(&first.way))
}

/// What all ways have in common, where there are several.
fn together(view: &WhyView) -> Option<String> {
    let module = is_single(view) && view.type_name.as_deref() == Some("module");
    if garbage(view).is_some() || module {
        return None;
    }
    let all = view.ways.len() as u64 + view.more_ways;
    if all <= 1 {
        return None;
    }
    let them = if is_single(view) { "it" } else { "all of them" };
    match common(view) {
        Some(cut) => Some(format!(
            "All ways there go through {}: letting go of that would free {them}, {} in all.",
            harmless(&cut.path),
            bytes(cut.frees_bytes)
        )),
        None if is_single(view) => Some(format!(
            "They have nothing in common that could be let go of: to free it, all {} have to go.",
            count(all)
        )),
        None if best(view)?.frees_bytes == 0 => {
            Some("Cutting one of these references alone frees nothing.".to_owned())
        }
        None => None,
    }
}

/// What all ways have in common and one reference keeps, if there is such a thing.
fn common(view: &WhyView) -> Option<&KeeperRow> {
    let keeper = view.keeper.as_ref();
    let keeper = keeper.filter(|keeper| keeper.one_cut && !keeper.is_module);
    view.cut.as_ref().or(keeper)
}

/// The way whose end frees most; where none frees much, since what it holds is held otherwise, too,
/// the one that holds most.
fn best(view: &WhyView) -> Option<&WayRow> {
    let much = |way: &WayRow| match way.frees_bytes.saturating_mul(FEW) {
        frees if frees < view.retained.bytes => 0,
        _ => way.frees_bytes,
    };
    // The first of several that are equal; what begins somewhere before what does not.
    let ways = view.ways.iter().rev();
    ways.max_by_key(|way| (way.holders > 0, much(way), way.bytes))
}

fn change(view: &WhyView) -> Option<String> {
    if garbage(view).is_some() {
        return Some(match (view.held_by_c, &view.cycle) {
            (0, Some(cycle)) => format!(
                "{} refers to itself through {}. To free that: `gc.collect()` in the program; if \
                 it comes again, set one of these to None when done, or make one a weakref.",
                capital(&a(&harmless(&cycle.type_name))),
                harmless(&cycle.way),
            ),
            (0, None) => "To free that: `gc.collect()` in the program; if it comes again and \
                          again, break the cycle where it is made."
                .to_owned(),
            _ => "To free that: look for the C extension that made it, and whether a later \
                  version of it lets go."
                .to_owned(),
        });
    }
    if view.type_name.as_deref() == Some("module") && is_single(view) {
        return Some("Modules stay until the program ends; empty what is in it.".to_owned());
    }
    let way = best(view)?;
    // Too many places to say what to change in one of them.
    if !is_single(view) && way.bytes.saturating_mul(FEW) < view.retained.bytes {
        return None;
    }
    let own = is_single(view) && (view.retained.count > 8 || view.objects.bytes > 1_000);
    let kind = view.type_name.as_deref().unwrap_or("?");
    if let Some(says) = emptied(kind, &view.name).filter(|_| own) {
        return Some(format!("To free that: {}.", harmless(&says)));
    }
    let several = view.ways.len() > 1 && way.frees_bytes.saturating_mul(FEW) < way.bytes;
    let says = match common(view) {
        // All ways are told below, and that all of them have to go above.
        None if several && is_single(view) => return None,
        None if several => {
            let large = |way: &&WayRow| way.bytes.saturating_mul(FEW) >= view.retained.bytes;
            let ways = view.ways.iter().filter(large).take(3);
            let ways = ways.map(|way| harmless(&way.way));
            format!(
                "let go in each of these places: {}",
                ways.collect::<Vec<_>>().join(", ")
            )
        }
        common => advice(&way.steps, at(view, way, common), &way.path),
    };
    Some(format!("To free that: {}.", harmless(&says)))
}

/// If no way holds one part in so many of the bytes, none is worth advice.
const FEW: u64 = 5;

/// The step of a way that is to be cut: in what all ways have in common; in what one of many
/// objects is an item or entry of; or the last.
fn at(view: &WhyView, way: &WayRow, common: Option<&KeeperRow>) -> usize {
    let in_common = |step: &StepRow| common.is_some_and(|common| common.address == step.address);
    if let Some(at) = way.steps.iter().position(in_common) {
        return at;
    }
    let many = |step: &StepRow| {
        matches!(
            step.hop,
            Some(Hop::Value | Hop::Index(_) | Hop::Entry(_) | Hop::Member | Hop::KeyObject)
        )
    };
    let outermost = way.steps.iter().rposition(many);
    outermost.filter(|_| !is_single(view)).unwrap_or(0)
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + letters.as_str()
}

fn next(view: &WhyView) -> Option<String> {
    if garbage(view).is_some() || is_single(view) {
        return None;
    }
    let target = quoted(&view.request.target);
    let way = best(view)?;
    let step = way.steps.get(at(view, way, common(view)))?;
    let container = step.expression.as_ref();
    let container = container.filter(|_| step.type_name != "module")?;
    Some(format!(
        "Next: `memshed why {target} {}` shows what keeps that in turn.",
        quoted(&harmless(container))
    ))
}
