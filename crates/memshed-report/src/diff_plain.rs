//! The first lines of `memshed diff`: what has changed in plain words, and what to do next.

use crate::diff::{DiffView, PlaceRow, Relation};
use crate::page::harmless;
use crate::units::{bytes, change, count, duration};
use crate::why_words::a;
use crate::words;
use memshed_analysis::growth;

/// Growth below this is not worth a sentence of its own.
const LITTLE: i64 = 100_000;

/// A few sentences, one a line.
pub(crate) fn lines(view: &DiffView) -> Vec<String> {
    [
        unrelated(view),
        swapped(view),
        Some(size(view)),
        Some(objects(view)),
        place(view),
        other(view),
        Some(next(view)),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn unrelated(view: &DiffView) -> Option<String> {
    let (old, new) = (&view.old.process, &view.new.process);
    match view.relation {
        Relation::SameProcess => None,
        Relation::TwoProcesses => Some(format!(
            "These are two different processes ({} and {}) of the same program: compared by type \
             only.",
            old.pid, new.pid
        )),
        Relation::TwoPrograms => Some(format!(
            "These are two different programs (Python {} and {}): compared by type only.",
            harmless(&old.python),
            harmless(&new.python)
        )),
    }
}

fn swapped(view: &DiffView) -> Option<String> {
    let wrong = view.relation == Relation::SameProcess && view.seconds < 0.0;
    wrong.then(|| {
        "The first was taken after the second: what looks like growth here has gone. Name the \
         older one first."
            .to_owned()
    })
}

fn size(view: &DiffView) -> String {
    let now = bytes(view.new.process.rss_bytes);
    let by = view.growth();
    let much = bytes(by.unsigned_abs());
    if view.relation != Relation::SameProcess {
        return match by {
            0 => format!("Both take {now} of memory."),
            1.. => format!("The second takes {now} of memory, {much} more than the first."),
            _ => format!("The second takes {now} of memory, {much} less than the first."),
        };
    }
    let within = duration(view.seconds.abs());
    match by {
        0 => format!("Within {within} the program's memory stayed at {now}."),
        1.. => format!("Within {within} the program's memory grew by {much}, to {now}."),
        _ => format!("Within {within} the program's memory shrank by {much}, to {now}."),
    }
}

fn objects(view: &DiffView) -> String {
    let (old, new) = (view.old.objects, view.new.objects);
    let by = growth(old.bytes, new.bytes);
    let number = growth(old.count, new.count);
    let most: Vec<String> = view
        .types
        .iter()
        .filter(|row| row.growth.bytes > 0)
        .take(2)
        .map(|row| format!("{} ({})", harmless(&row.name), change(row.growth.bytes)))
        .collect();
    let mostly = match most.as_slice() {
        [] => String::new(),
        names => format!(", mostly {}", names.join(" and ")),
    };
    let objects = |n: u64, word: &str| match n {
        1 => format!("one {word}"),
        n => format!("{} {word}", count(n)),
    };
    let number = match number {
        0 => "as many as before".to_owned(),
        1.. => objects(number.unsigned_abs(), "more"),
        _ => objects(number.unsigned_abs(), "fewer"),
    };
    match by {
        0 => format!("Python objects take as much room as before: there are {number}."),
        1.. => format!(
            "Python objects take {} more: {number}{mostly}.",
            bytes(by.unsigned_abs())
        ),
        _ => format!(
            "Python objects take {} less: {number}.",
            bytes(by.unsigned_abs())
        ),
    }
}

/// The place that grew most, if one did.
fn grown(view: &DiffView) -> Option<&PlaceRow> {
    let places = view.lives.iter().flat_map(|lives| &lives.places);
    places
        .filter(|place| place.growth.bytes > 0)
        .max_by_key(|place| place.growth.bytes)
}

fn place(view: &DiffView) -> Option<String> {
    let place = grown(view)?;
    let name = harmless(&place.place);
    if place.entries == 1 && place.added.count > 1 && !name.starts_with("held by ") {
        return Some(format!(
            "Most of what is new is {name}, {} with what hangs on it, {}.",
            a(&harmless(&place.entry_type)),
            bytes(place.added.bytes)
        ));
    }
    let with = match place.added.count.saturating_sub(place.entries) {
        0 => String::new(),
        _ => " and what hangs on them".to_owned(),
    };
    let gone = match place.gone.count {
        0 => String::new(),
        n => format!("; {} objects went", count(n)),
    };
    let new = format!(
        "{} new {}{with}, {}{gone}",
        count(place.entries),
        harmless(&place.entry_type),
        bytes(place.added.bytes)
    );
    Some(match name.strip_prefix("held by ") {
        Some(by) => format!("Most was added where no reference is known to lead ({by}): {new}."),
        None => format!("Most was added to {name}: {new}."),
    })
}

/// What grew most of what is no Python object, if that is most of the growth.
fn other(view: &DiffView) -> Option<String> {
    let objects = "python_objects";
    let rows = view.memory.iter().filter(|row| row.category != objects);
    let most = rows.max_by_key(|row| row.growth())?;
    let worth = most.growth() > LITTLE && most.growth() > view.growth() / 3;
    worth.then(|| {
        let part = most
            .parts
            .first()
            .filter(|part| part.growth() * 2 > most.growth());
        let part = part.map(|part| format!(", mostly {}", harmless(&part.category)));
        format!(
            "Beside the objects, {} grew by {}{}.",
            harmless(words::category(&most.category).0),
            bytes(most.growth().unsigned_abs()),
            part.unwrap_or_default()
        )
    })
}

/// The most useful next step for what was found.
fn next(view: &DiffView) -> String {
    let new = quoted(&view.options.new_name);
    let place = grown(view).filter(|place| place.growth.bytes >= LITTLE);
    let container = place.and_then(|place| place.container.as_ref());
    if let Some(container) = container {
        return format!(
            "Next: `memshed why {new} {}` shows what keeps that, and how to let go of it.",
            quoted(&harmless(container))
        );
    }
    let kind = view.types.iter().find(|row| row.growth.bytes >= LITTLE);
    match kind {
        Some(row) if view.relation == Relation::SameProcess => format!(
            "Next: `memshed why {new} {}` shows what holds objects of that type.",
            quoted(&harmless(&row.name))
        ),
        _ if view.relation != Relation::SameProcess => "Next: take both looks at one process, \
             some time apart, to see where objects were added."
            .to_owned(),
        _ if view.growth() < LITTLE => "Next: nothing to worry about in this time; a leak shows \
             when the two looks are further apart."
            .to_owned(),
        _ => format!("Next: `memshed inspect {new}` shows where the memory is."),
    }
}

/// An argument as a shell reads it.
pub(crate) fn quoted(argument: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "._-/+:@%,=".contains(c);
    match !argument.is_empty() && argument.chars().all(plain) {
        true => argument.to_owned(),
        false => format!("'{}'", argument.replace('\'', "'\\''")),
    }
}
