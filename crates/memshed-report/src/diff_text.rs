//! The text of `memshed diff`.

use crate::diff::{ChangeRow, DiffView, MemoryRow, PlaceRow, Relation};
use crate::page::{Column, DIM, Page, WARN, cut, harmless, shorten, styled};
use crate::units::{bytes, change, count, duration, more, plural};
use crate::words;
use memshed_analysis::growth;
use memshed_heap::Problem;

/// Parts of a category that are shown.
const PARTS: usize = 3;
/// Rows of what got less.
const SHRUNK: usize = 3;
/// Rows of tables that are beside the point.
const FEW: usize = 5;
/// Pages narrower than this have fewer columns.
const NARROW: usize = 80;

/// The whole report.
pub(crate) fn diff(view: &DiffView, page: &Page) -> String {
    let mut out = String::new();
    for line in crate::diff_plain::lines(view) {
        out.push_str(&page.wrap(&line, 2));
        out.push('\n');
    }
    out += &sides(view, page);
    out += &problems(view, page);
    out += &places(view, page);
    out += &types(view, page);
    out += &memory(view, page);
    out += &native(view, page);
    out += &caches(view, page);
    out += &beside(view, page);
    out
}

fn fact(page: &Page, name: &str, says: &str) -> String {
    let wrapped = page.wrap(&format!("  {name:12}{says}"), 14);
    format!("{}\n", wrapped.replacen(name, &styled(DIM, name), 1))
}

fn sides(view: &DiffView, page: &Page) -> String {
    let mut out = page.heading("What is compared");
    for (name, side) in [("before", &view.old), ("after", &view.new)] {
        let process = &side.process;
        let says = format!(
            "process {}, Python {} ({}), running for {}; taken {}; {} resident, {} objects",
            process.pid,
            harmless(&process.python),
            harmless(&process.executable),
            duration(process.uptime_seconds),
            words::utc(side.snapshot.taken_at),
            bytes(process.rss_bytes),
            count(side.objects.count),
        );
        out += &fact(page, name, &says);
    }
    if let Some(lives) = &view.lives {
        let says = format!(
            "{} ({}) are in both, {} ({}) are new, {} ({}) are gone",
            count(lives.survived.count),
            bytes(lives.survived.bytes),
            count(lives.created.count),
            bytes(lives.created.bytes),
            count(lives.gone.count),
            bytes(lives.gone.bytes),
        );
        out += &fact(page, "objects", &says);
    }
    out
}

fn problems(view: &DiffView, page: &Page) -> String {
    let all = |side: &'static str, problems: &[Problem]| -> Vec<String> {
        let line = |problem| format!("  {side}: {}", harmless(&words::problem(problem)));
        problems.iter().map(line).collect()
    };
    let mut lines = all("before", &view.old.snapshot.problems);
    lines.extend(all("after", &view.new.snapshot.problems));
    if lines.is_empty() {
        return String::new();
    }
    let mut out = page.heading("Problems");
    for line in lines {
        out += &format!("{}\n", styled(WARN, &page.wrap(&line, 4)));
    }
    out
}

/// How many of `rows` rows are shown.
fn shown(view: &DiffView, rows: usize) -> usize {
    match view.options.top {
        0 => rows,
        top => top.min(rows),
    }
}

fn places(view: &DiffView, page: &Page) -> String {
    let Some(lives) = &view.lives else {
        return String::new();
    };
    let grown: Vec<&PlaceRow> = lives
        .places
        .iter()
        .filter(|place| place.growth.bytes > 0 || place.growth.count > 0)
        .collect();
    let heading = page.heading("Where objects were added");
    if grown.is_empty() {
        return heading + "  nowhere: no place holds more than before\n";
    }
    // What hardly grew is noise, unless all is asked for.
    let worth = match view.options.top {
        0 => 0,
        _ => lives.created.bytes / 500,
    };
    let worth = |place: &&&PlaceRow| place.growth.bytes.unsigned_abs() >= worth;
    let large = grown.iter().take_while(worth).count();
    let large = if large == 0 { grown.len() } else { large };
    let shown = &grown[..shown(view, large)];
    let narrow = page.width < NARROW;
    let rows = shown.iter().map(|place| {
        let mut row = vec![change(place.growth.bytes)];
        if !narrow {
            row.push(count(place.added.count));
            row.push(count(place.gone.count));
        }
        row.push(harmless(&place.place));
        row
    });
    let mut columns = vec![("GROWTH", Column::Right)];
    if !narrow {
        columns.extend([("NEW", Column::Right), ("GONE", Column::Right)]);
    }
    columns.push(("PLACE", Column::Name));
    let table = page.table(&columns, rows.collect());
    let mut lines = table.lines();
    let mut out = heading;
    out.extend(lines.next().map(|line| format!("{line}\n")));
    for (line, place) in lines.zip(shown) {
        out += &format!("{line}\n");
        let says = entries(place);
        let indent = 12;
        let says = cut(&says, page.width.saturating_sub(indent));
        out += &format!("{:indent$}{}\n", "", styled(DIM, &page.plain(&says)));
    }
    let rest = &grown[shown.len()..];
    if !rest.is_empty() {
        let sum = rest.iter().map(|place| place.growth.bytes);
        let sum = sum.fold(0, i64::saturating_add);
        let more = plural(rest.len() as u64, "place");
        let sum = change(sum);
        let says = format!(
            "  {} more in {more} that grew less",
            sum.trim_start_matches('+')
        );
        out += &format!("{}\n", page.wrap(&says, 4));
    }
    out
}

/// What came to a place: `4 app.Session, and with them 12 str, 4 dict`.
fn entries(place: &PlaceRow) -> String {
    let number = |n: u64, name: &str| format!("{} {}", count(n), harmless(name));
    let mut says = number(place.entries, &place.entry_type);
    let rest: Vec<String> = place
        .types
        .iter()
        .filter_map(|row| {
            let direct = if row.name == place.entry_type {
                place.entries
            } else {
                0
            };
            let more = row.tally.count.saturating_sub(direct);
            (more > 0).then(|| number(more, &row.name))
        })
        .take(3)
        .collect();
    if !rest.is_empty() {
        says += &format!(", and with that {}", rest.join(", "));
    }
    match place.containers {
        0 | 1 => says,
        n => format!("{says}; in {} places such as that", count(n)),
    }
}

fn types(view: &DiffView, page: &Page) -> String {
    let heading = page.heading(&match &view.options.filter {
        Some(pattern) => format!("Objects by type matching {}", harmless(pattern)),
        None => "Objects by type, what grew most first".to_owned(),
    });
    let changed = |row: &&ChangeRow| row.growth.bytes != 0 || row.growth.count != 0;
    let rows: Vec<&ChangeRow> = view.types.iter().filter(changed).collect();
    if rows.is_empty() {
        return heading + "  no difference\n";
    }
    let narrow = page.width < NARROW;
    let cells = |name: String, old: u64, new: u64, more_: i64, after: u64, change_: i64| {
        let mut cells = vec![name];
        if !narrow {
            cells.extend([count(old), count(new)]);
        }
        cells.extend([more(more_), bytes(after), change(change_)]);
        cells
    };
    let row = |row: &ChangeRow| {
        cells(
            harmless(&row.name),
            row.old.count,
            row.new.count,
            row.growth.count,
            row.new.bytes,
            row.growth.bytes,
        )
    };
    let sum = |name: String, rows: &[&ChangeRow]| {
        let add =
            |of: fn(&ChangeRow) -> u64| rows.iter().map(|row| of(row)).fold(0, u64::saturating_add);
        let (old, new) = (add(|row| row.old.count), add(|row| row.new.count));
        let (before, after) = (add(|row| row.old.bytes), add(|row| row.new.bytes));
        cells(
            name,
            old,
            new,
            growth(old, new),
            after,
            growth(before, after),
        )
    };
    // By name they come as they are; otherwise what got less has a few rows of its own.
    let by_name = view.options.sort == memshed_analysis::SortBy::Name;
    let less = |row: &ChangeRow| !by_name && row.growth.bytes.min(row.growth.count) < 0;
    let split = rows.partition_point(|row| !less(row) || row.growth.bytes > 0);
    let (grown, shrunk) = rows.split_at(split);
    let top = shown(view, grown.len());
    let mut table: Vec<Vec<String>> = grown[..top].iter().map(|r| row(r)).collect();
    if top < grown.len() {
        let rest = &grown[top..];
        table.push(sum(format!("{} more", count(rest.len() as u64)), rest));
    }
    let few = match view.options.top {
        0 => shrunk.len(),
        _ => SHRUNK.min(shrunk.len()),
    };
    let (rest, most) = shrunk.split_at(shrunk.len() - few);
    table.extend(most.iter().rev().map(|r| row(r)));
    if !rest.is_empty() {
        let name = format!("{} more that got less", count(rest.len() as u64));
        table.push(sum(name, rest));
    }
    let mut columns = vec![("TYPE", Column::Name)];
    if !narrow {
        columns.extend([("BEFORE", Column::Right), ("AFTER", Column::Right)]);
    }
    columns.extend([
        ("OBJECTS", Column::Right),
        ("BYTES", Column::Right),
        ("GROWTH", Column::Right),
    ]);
    heading + &page.table(&columns, table)
}

fn memory(view: &DiffView, page: &Page) -> String {
    let all = view.options.top == 0;
    let whole = view.new.process.rss_bytes.max(view.old.process.rss_bytes);
    let worth = |row: &&MemoryRow| all || row.growth().unsigned_abs() >= (whole / 200).max(1);
    let cells = |name: String, row: &MemoryRow| {
        vec![
            name,
            bytes(row.old_bytes),
            bytes(row.new_bytes),
            change(row.growth()),
        ]
    };
    let mut rows = Vec::new();
    for row in view.memory.iter().filter(|row| all || row.growth() != 0) {
        rows.push(cells(harmless(words::category(&row.category).0), row));
        let most = if all { usize::MAX } else { PARTS };
        for part in row.parts.iter().filter(worth).take(most) {
            rows.push(cells(
                format!("  {}", shorten(&harmless(&part.category), 36)),
                part,
            ));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    let total = MemoryRow {
        old_bytes: view.old.process.rss_bytes,
        new_bytes: view.new.process.rss_bytes,
        ..MemoryRow::default()
    };
    rows.push(cells("resident in all".to_owned(), &total));
    let columns = [
        ("CATEGORY", Column::Name),
        ("BEFORE", Column::Right),
        ("AFTER", Column::Right),
        ("GROWTH", Column::Right),
    ];
    page.heading("Where the memory is") + &page.table(&columns, rows)
}

fn native(view: &DiffView, page: &Page) -> String {
    let rows = view.native.iter().filter(|row| row.growth.bytes > 0);
    let few = if view.options.top == 0 {
        usize::MAX
    } else {
        FEW
    };
    let rows: Vec<Vec<String>> = rows
        .take(few)
        .map(|row| {
            let owner = match (&row.owner, row.points_into.first()) {
                (Some(owner), _) => harmless(owner),
                (None, Some(library)) => format!("not known; points into {}", harmless(library)),
                (None, None) => "not known".to_owned(),
            };
            let size = match row.size {
                0 => String::new(),
                size => bytes(size),
            };
            vec![
                change(row.growth.bytes),
                more(row.growth.count),
                size,
                row.kind.replace('_', " "),
                owner,
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = [
        ("GROWTH", Column::Right),
        ("NUMBER", Column::Right),
        ("EACH", Column::Right),
        ("IN", Column::Left),
        ("OF", Column::Name),
    ];
    page.heading("What C code holds more of") + &page.table(&columns, rows)
}

fn caches(view: &DiffView, page: &Page) -> String {
    let few = if view.options.top == 0 {
        usize::MAX
    } else {
        FEW
    };
    let more = |row: &&ChangeRow| row.growth.bytes > 0 || view.options.top == 0;
    let rows = view.caches.iter().filter(more);
    let rows: Vec<Vec<String>> = rows
        .take(few)
        .map(|row| {
            vec![
                harmless(&row.name),
                count(row.old.count),
                count(row.new.count),
                change(row.growth.bytes),
            ]
        })
        .collect();
    if rows.is_empty() {
        return String::new();
    }
    let columns = [
        ("CACHE", Column::Name),
        ("BEFORE", Column::Right),
        ("AFTER", Column::Right),
        ("GROWTH", Column::Right),
    ];
    page.heading("Object caches with more entries") + &page.table(&columns, rows)
}

fn beside(view: &DiffView, page: &Page) -> String {
    let (old, new) = (&view.old, &view.new);
    let mut out = page.heading("Collector and pools");
    if view.relation == Relation::SameProcess {
        let ran: Vec<String> = (new.gc.generations.iter().zip(&old.gc.generations))
            .enumerate()
            .map(|(row, (new, old))| {
                let ran = new.collections.saturating_sub(old.collections);
                format!("{} of generation {}", more(ran), words::generation(row))
            })
            .collect();
        let state = match (old.gc.enabled, new.gc.enabled) {
            (true, true) => "it is on",
            (false, false) => "it is switched off: cycles are never freed",
            (true, false) => "it has been switched off: cycles are no longer freed",
            (false, true) => "it has been switched on",
        };
        out += &fact(page, "collections", &format!("{}; {state}", ran.join(", ")));
    }
    let from_to = |old: u64, new: u64| format!("{} → {}", bytes(old), bytes(new));
    let (before, after) = (&old.pools, &new.pools);
    let says = format!(
        "used {}, free {}, of which could go back as things stand {}",
        from_to(before.used_bytes, after.used_bytes),
        from_to(before.free_bytes, after.free_bytes),
        from_to(before.releasable_bytes, after.releasable_bytes),
    );
    out += &fact(page, "pools", &says);
    out
}
