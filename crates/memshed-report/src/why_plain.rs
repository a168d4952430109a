//! The first lines of `memshed why`: the answer in plain words, what to change, what to do next.

use crate::diff_plain::quoted;
use crate::page::harmless;
use crate::units::{bytes, count, plural, share};
use crate::why::{WayRow, WhyView};
use crate::why_words::{a, advice, held};
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
        more => format!(
            "{what}; with the {} that only {only} {keep} alive, {}.",
            plural(more, "other object"),
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
        0 => format!(
            "Nothing reachable from your program refers to {it}: garbage that waits for Python's \
             cycle collector."
        ),
        n if n == view.objects.count => format!(
            "Nothing reachable from your program refers to {it}, but more references are counted \
             than there are: C code holds {it}, or has forgotten to let go."
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
    if garbage(view).is_some() {
        return None;
    }
    let all = view.ways.len() as u64 + view.more_ways;
    let them = if is_single(view) { "it" } else { "all of them" };
    let cut = view.cut.as_ref().or_else(|| {
        let keeper = view.keeper.as_ref();
        keeper.filter(|keeper| keeper.one_cut && !keeper.is_module)
    });
    match cut {
        Some(cut) if all > 1 || !is_single(view) => Some(format!(
            "All ways there go through {}: letting go of that would free {them}, {} in all.",
            harmless(&cut.path),
            bytes(cut.frees_bytes)
        )),
        None if all > 1 && is_single(view) => Some(format!(
            "They have nothing in common that could be let go of: to free it, all {} have to go.",
            count(all)
        )),
        _ => None,
    }
}

/// The way whose end frees most.
fn best(view: &WhyView) -> Option<&WayRow> {
    let ways = view.ways.iter();
    ways.max_by_key(|way| (way.frees_bytes, way.objects))
}

fn change(view: &WhyView) -> Option<String> {
    if garbage(view).is_some() {
        return Some(match view.held_by_c {
            0 => "To free that: `gc.collect()` in the program; if it comes again and again, break \
                  the cycle where it is made, or see that the collector is on (gc.isenabled())."
                .to_owned(),
            _ => "To free that: look for the C extension that made it, and whether a later \
                  version of it lets go."
                .to_owned(),
        });
    }
    let way = best(view)?;
    let (first, above) = (way.steps.first(), way.steps.get(1));
    Some(format!(
        "To free that: {}.",
        harmless(&advice(first, above, &way.path))
    ))
}

fn next(view: &WhyView) -> Option<String> {
    let target = quoted(&view.request.target);
    let container = best(view)?.container.as_ref();
    let container = container.filter(|_| garbage(view).is_none() && !is_single(view))?;
    Some(format!(
        "Next: `memshed why {target} {}` shows what keeps that in turn.",
        quoted(&harmless(container))
    ))
}
