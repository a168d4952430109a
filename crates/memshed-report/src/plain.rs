//! The first lines of the report: the state of the process in plain words, and what to do next.

use crate::inspect::InspectView;
use crate::page::harmless;
use crate::units::{bytes, count, share};

/// Up to five sentences, one a line.
pub(crate) fn lines(view: &InspectView) -> Vec<String> {
    [
        Some(size(view)),
        Some(objects(view)),
        free(view),
        largest(view),
        Some(next(view)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn size(view: &InspectView) -> String {
    let process = &view.process;
    let resident = bytes(process.rss_bytes);
    let swap = match process.swap_bytes {
        0 => String::new(),
        n => format!(", and {} more lie in swap", bytes(n)),
    };
    match &process.container {
        Some(c) if c.limit_bytes > 0 => format!(
            "This program takes {resident} of memory{swap}; its container uses {} of the {} it \
             may have.",
            share(c.used_bytes, c.limit_bytes),
            bytes(c.limit_bytes)
        ),
        _ => format!("This program takes {resident} of memory{swap}."),
    }
}

fn objects(view: &InspectView) -> String {
    let bytes_held = held_by_objects(view);
    let heaviest: Vec<String> = view
        .heaviest
        .iter()
        .map(|t| format!("{} ({})", harmless(&t.name), bytes(t.bytes)))
        .collect();
    let mostly = match heaviest.as_slice() {
        [] => String::new(),
        names => format!(", mostly {}", names.join(" and ")),
    };
    format!(
        "Python objects take {} ({}): {} of them{mostly}.",
        bytes(bytes_held),
        share(bytes_held, view.process.rss_bytes),
        count(view.objects.count),
    )
}

/// What the objects take of the resident memory; what the allocators gave for them where nothing
/// is known of the pages.
fn held_by_objects(view: &InspectView) -> u64 {
    let part = view.memory.iter().find(|p| p.category == "python_objects");
    match part.map_or(0, |part| part.bytes) {
        0 => view.objects.allocated_bytes.max(view.objects.bytes),
        resident => resident,
    }
}

fn free(view: &InspectView) -> Option<String> {
    let free = view.free_bytes();
    if free == 0 {
        return None;
    }
    let returnable = match view.pools.pools.releasable_bytes {
        0 => "none of that could be given back now".to_string(),
        n => format!("{} of that could be given back now", bytes(n)),
    };
    Some(format!(
        "{} ({}) is free but held for new objects; {returnable}.",
        bytes(free),
        share(free, view.process.rss_bytes),
    ))
}

fn largest(view: &InspectView) -> Option<String> {
    let largest = view.largest.first()?;
    let held_by = harmless(&largest.held_by);
    // What no root reaches says by itself who holds it.
    let held_by = held_by.strip_prefix("held by ").unwrap_or(&held_by);
    Some(format!(
        "The largest object is a {} of {}, held by {held_by}.",
        harmless(&largest.type_name),
        bytes(largest.bytes),
    ))
}

/// The most useful next step for what was found.
fn next(view: &InspectView) -> String {
    let rss = view.process.rss_bytes.max(1);
    let of_rss = |n: u64| n as f64 / rss as f64;
    let largest = view.largest.first().map_or(0, |largest| largest.bytes);
    let own = view.heaviest.iter().find(|t| t.name.contains('.'));
    let advice = match own {
        _ if of_rss(view.free_bytes()) > 0.3 => {
            "much was freed that the system does not get back: see \"Memory pools\" below".into()
        }
        _ if of_rss(largest) > 0.1 => {
            "one object alone matters here: see \"Largest objects\" below".into()
        }
        _ if of_rss(held_by_objects(view)) < 0.4 => {
            "most of it is not Python objects: see \"Where the memory is\" below".into()
        }
        Some(own) => format!("--filter {} shows that type alone", harmless(&own.name)),
        None if view.modules.is_none() => "--by-module shows whose types these are".into(),
        None => "`memshed snapshot TARGET -o NAME` keeps it all for later".into(),
    };
    format!("Next: {advice}.")
}
