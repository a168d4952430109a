//! The text of `memshed inspect`.

use crate::inspect::{InspectView, TypeRow};
use crate::page::{Column, DIM, Page, WARN, cut, harmless, shorten, styled};
use crate::units::{bytes, count, duration, plural, share, signed};
use crate::{plain, words};
use memshed_heap::MemoryPart;

/// Parts of a category that are shown unless all are asked for.
const PARTS: usize = 4;
/// Rows of those that keep half-empty memory.
const PINNERS: usize = 5;
/// Characters of a part's name.
const PART_WIDTH: usize = 36;

/// The whole report.
pub(crate) fn inspect(view: &InspectView, page: &Page) -> String {
    let mut out = String::new();
    for line in plain::lines(view) {
        out.push_str(&page.wrap(&line, 2));
        out.push('\n');
    }
    out.push_str(&header(view, page));
    out.push_str(&problems(view, page));
    out.push_str(&memory(view, page));
    if let Some(modules) = &view.modules {
        out.push_str(&types("Objects by module", "MODULE", modules, view, page));
    } else {
        out.push_str(&types("Objects by type", "TYPE", &view.types, view, page));
    }
    out.push_str(&largest(view, page));
    out.push_str(&collector(view, page));
    out.push_str(&pools(view, page));
    let rows = if view.options.top == 0 { 0 } else { PINNERS };
    out.push_str(&view.pins.text(page, view.process.rss_bytes, rows));
    out.push_str(&caches(view, page));
    out
}

/// A line of the header: a dimmed name and what it says.
fn fact(page: &Page, name: &str, says: &str) -> String {
    named(page, 12, name, says)
}

/// The same with room of `width` for the name.
fn named(page: &Page, width: usize, name: &str, says: &str) -> String {
    let wrapped = page.wrap(&format!("  {name:width$}{says}"), width + 2);
    format!("{}\n", wrapped.replacen(name, &styled(DIM, name), 1))
}

fn header(view: &InspectView, page: &Page) -> String {
    let process = &view.process;
    let mut out = page.heading(&format!("Process {}", process.pid));
    out += &fact(
        page,
        "Python",
        &format!(
            "{} ({})",
            harmless(&process.python),
            harmless(&process.executable)
        ),
    );
    out += &fact(
        page,
        "running",
        &format!(
            "for {}, with {}",
            duration(process.uptime_seconds),
            plural(u64::from(process.threads), "thread")
        ),
    );
    out += &fact(
        page,
        "resident",
        &format!(
            "{}, at most {} so far; {} its own (USS), {} with its share of shared pages (PSS)",
            bytes(process.rss_bytes),
            bytes(process.peak_rss_bytes.max(process.rss_bytes)),
            bytes(process.uss_bytes),
            bytes(process.pss_bytes),
        ),
    );
    out += &fact(page, "swap", &bytes(process.swap_bytes));
    let beside = [
        (process.page_tables_bytes, "in page tables"),
        (
            process.kernel_stacks_bytes,
            "in the kernel's stacks of its threads",
        ),
        (process.huge_pool_bytes, "in the pool of huge pages"),
    ];
    let beside = beside.iter().filter(|(n, _)| *n > 0);
    let beside: Vec<String> = beside
        .map(|(n, what)| format!("{} {what}", bytes(*n)))
        .collect();
    if !beside.is_empty() {
        out += &fact(page, "beside", &beside.join(", "));
    }
    if let Some(container) = &process.container {
        out += &fact(
            page,
            "container",
            &format!(
                "limit {}, {} of it used; this process {}",
                bytes(container.limit_bytes),
                share(container.used_bytes, container.limit_bytes),
                share(process.rss_bytes, container.limit_bytes),
            ),
        );
    }
    out += &fact(page, "frozen", &harmless(&words::frozen(&view.snapshot)));
    out
}

fn problems(view: &InspectView, page: &Page) -> String {
    if view.snapshot.problems.is_empty() {
        return String::new();
    }
    let mut out = page.heading("Problems");
    for problem in &view.snapshot.problems {
        let line = page.wrap(&format!("  {}", harmless(&words::problem(problem))), 4);
        out += &format!("{}\n", styled(WARN, &line));
    }
    out
}

fn memory(view: &InspectView, page: &Page) -> String {
    if view.memory.is_empty() {
        return String::new();
    }
    let whole = view.process.rss_bytes;
    let all = view.options.top == 0;
    let widest = view.memory.iter().map(|p| p.bytes).max().unwrap_or(0);
    let mut rows = Vec::new();
    for part in &view.memory {
        rows.push(vec![
            harmless(words::category(&part.category).0),
            bytes(part.bytes),
            share(part.bytes, whole),
            page.bar(part.bytes, widest, 20),
        ]);
        for part in shown_parts(part, whole, all) {
            rows.push(vec![
                format!("  {}", shorten(&harmless(&part.category), PART_WIDTH)),
                bytes(part.bytes),
                share(part.bytes, whole),
            ]);
        }
    }
    let columns = [
        ("CATEGORY", Column::Left),
        ("RESIDENT", Column::Right),
        ("SHARE", Column::Right),
        ("", Column::Left),
    ];
    let mut out = page.heading("Where the memory is") + &page.table(&columns, rows);
    out += &page.heading("What that is, and whether it can shrink");
    for part in view
        .memory
        .iter()
        .filter(|part| all || part.bytes >= whole / 100)
    {
        let (name, meaning) = words::category(&part.category);
        out += &named(page, 16, &harmless(name), meaning);
    }
    out
}

/// The parts of a category that are worth a line: at most [`PARTS`], each a hundredth of the
/// whole or more; or `all`.
fn shown_parts(part: &MemoryPart, whole: u64, all: bool) -> impl Iterator<Item = &MemoryPart> {
    let most = if all { usize::MAX } else { PARTS };
    let large = move |part: &&MemoryPart| all || part.bytes >= whole / 100;
    part.parts.iter().filter(large).take(most)
}

/// As many of `rows` as are asked for, and the sum of the rest.
fn types(title: &str, name: &str, rows: &[TypeRow], view: &InspectView, page: &Page) -> String {
    let total: u64 = view.objects.bytes;
    let shown = if view.options.top == 0 {
        rows.len()
    } else {
        view.options.top.min(rows.len())
    };
    let row = |t: &TypeRow| {
        vec![
            harmless(&t.name),
            count(t.count),
            bytes(t.bytes),
            share(t.bytes, total),
        ]
    };
    let mut cells: Vec<Vec<String>> = rows[..shown].iter().map(row).collect();
    let rest = &rows[shown..];
    if !rest.is_empty() {
        cells.push(row(&TypeRow {
            name: format!("{} more", count(rest.len() as u64)),
            count: rest.iter().map(|t| t.count).sum(),
            gc_tracked: 0,
            allocated_bytes: 0,
            bytes: rest.iter().map(|t| t.bytes).sum(),
        }));
    }
    let heading = match &view.options.filter {
        Some(pattern) => format!("{title} matching {}", harmless(pattern)),
        None => format!(
            "{title} ({} objects, {} by sys.getsizeof)",
            count(view.objects.count),
            bytes(total)
        ),
    };
    if cells.is_empty() {
        return page.heading(&heading) + "  none\n";
    }
    let columns = [
        (name, Column::Name),
        ("OBJECTS", Column::Right),
        ("BYTES", Column::Right),
        ("SHARE", Column::Right),
    ];
    page.heading(&heading) + &page.table(&columns, cells)
}

fn largest(view: &InspectView, page: &Page) -> String {
    if view.largest.is_empty() {
        return String::new();
    }
    let rows = view.largest.iter().map(|object| {
        vec![
            bytes(object.bytes),
            harmless(&object.type_name),
            harmless(&object.held_by),
        ]
    });
    let columns = [
        ("BYTES", Column::Right),
        ("TYPE", Column::Left),
        ("HELD BY", Column::Name),
    ];
    let table = page.table(&columns, rows.collect());
    let mut lines = table.lines();
    let mut out = page.heading("Largest objects");
    // The heading, then a line for each object.
    out.extend(lines.next().map(|line| format!("{line}\n")));
    for (line, object) in lines.zip(&view.largest) {
        out += &format!("{line}\n");
        if let Some(preview) = &object.preview {
            let indent = 12;
            let preview = cut(&harmless(preview), page.width.saturating_sub(indent));
            out += &format!("{:indent$}{}\n", "", styled(DIM, &page.plain(&preview)));
        }
    }
    out
}

fn collector(view: &InspectView, page: &Page) -> String {
    let gc = &view.gc;
    // What hardly ever is anything but zero goes first where room is short.
    let shown = if page.width < 76 { 5 } else { 6 };
    let rows = gc.generations.iter().enumerate().map(|(i, g)| {
        let mut row = vec![
            words::generation(i),
            count(g.objects),
            signed(g.threshold),
            signed(g.collections),
            signed(g.collected),
            signed(g.uncollectable),
        ];
        row.truncate(shown);
        row
    });
    let columns = [
        ("GENERATION", Column::Left),
        ("OBJECTS", Column::Right),
        ("THRESHOLD", Column::Right),
        ("COLLECTIONS", Column::Right),
        ("COLLECTED", Column::Right),
        ("UNCOLLECTABLE", Column::Right),
    ];
    let state = if gc.enabled { "on" } else { "switched off" };
    let frozen = match gc.frozen {
        0 => String::new(),
        n => format!(", {} set aside for good (gc.freeze)", plural(n, "object")),
    };
    page.heading(&format!("Garbage collector: {state}{frozen}"))
        + &page.table(&columns[..shown], rows.collect())
}

fn pools(view: &InspectView, page: &Page) -> String {
    let pools = &view.pools.pools;
    if pools.pools == 0 {
        return page.heading("Memory pools")
            + "  Python's own pools for small objects are not in use.\n";
    }
    let whole = pools.used_bytes + pools.free_bytes;
    let larger = match pools.raw_blocks {
        Some(n) => format!("; {} larger ones come from the C library", count(n)),
        None => String::new(),
    };
    let mut out = page.heading("Memory pools, where Python puts small objects");
    out += &fact(
        page,
        "held",
        &format!(
            "{} in {} of {}, carved into {} of {}",
            bytes(pools.arenas.saturating_mul(pools.arena_bytes)),
            plural(pools.arenas, "arena"),
            bytes(pools.arena_bytes),
            plural(pools.pools, "pool"),
            bytes(pools.pool_bytes),
        ),
    );
    out += &fact(
        page,
        "used",
        &format!(
            "{} ({}) by {}{larger}",
            bytes(pools.used_bytes),
            share(pools.used_bytes, whole),
            plural(pools.blocks, "block"),
        ),
    );
    out += &fact(
        page,
        "free",
        &format!(
            "{} ({}), of which {} in {} without any object",
            bytes(pools.free_bytes),
            share(pools.free_bytes, whole),
            bytes(pools.free_pools.saturating_mul(pools.pool_bytes)),
            plural(pools.free_pools, "pool"),
        ),
    );
    out += &fact(page, "returnable", &words::returnable(pools));
    out += &fact(
        page,
        "scattered",
        &format!(
            "{:.1} % of the pools: {}",
            view.pools.fragmentation * 100.0,
            words::fragmentation(view.pools.fragmentation)
        ),
    );
    out
}

fn caches(view: &InspectView, page: &Page) -> String {
    if view.caches.is_empty() {
        return String::new();
    }
    let rows = view.caches.iter().map(|cache| {
        vec![
            harmless(&cache.name),
            count(cache.entries),
            bytes(cache.bytes),
        ]
    });
    let columns = [
        ("CACHE", Column::Name),
        ("ENTRIES", Column::Right),
        ("BYTES", Column::Right),
    ];
    page.heading("Object caches") + &page.table(&columns, rows.collect())
}
