//! The text of `memshed why`.

use crate::page::{Column, DIM, Page, WARN, cut, harmless, styled};
use crate::units::{bytes, count, plural};
use crate::why::{StepRow, WayRow, WhyView};
use crate::why_words::{a, held, root};
use crate::{why_plain, words};
use memshed_analysis::what::{Meaning, Other};
use memshed_heap::ObjectId;
use std::collections::HashSet;

/// Steps of a branch, at most.
const DEPTH: usize = 16;
/// Columns that the end of the deepest branch has to itself.
const ROOM: usize = 36;

/// The whole report.
pub(crate) fn why(view: &WhyView, page: &Page) -> String {
    let mut out = String::new();
    for line in why_plain::lines(view) {
        out.push_str(&page.wrap(&line, 2));
        out.push('\n');
    }
    out += &what(view, page);
    out += &problems(view, page);
    out += &tree(view, page);
    out += &cuts(view, page);
    out += &goes_with(view, page);
    out
}

fn fact(page: &Page, name: &str, says: &str) -> String {
    let wrapped = page.wrap(&format!("  {name:12}{says}"), 14);
    format!("{}\n", wrapped.replacen(name, &styled(DIM, name), 1))
}

fn what(view: &WhyView, page: &Page) -> String {
    let mut out = page.heading("What it is");
    let name = harmless(&view.name);
    let process = &view.process;
    let of = format!(
        "process {}, Python {}",
        process.pid,
        harmless(&process.python)
    );
    match (&view.meaning, &view.address) {
        (Meaning::Type(_), None) => {
            let says = format!(
                "all {} of type {name}, in {of}",
                plural(view.objects.count, "object")
            );
            out += &fact(page, "objects", &says);
        }
        (_, Some(address)) => {
            let kind = view.type_name.as_deref().unwrap_or("?");
            let says = format!("{} at {address}, in {of}", a(&harmless(kind)));
            out += &fact(page, "object", &says);
        }
        _ => {
            let says = format!(
                "the {} at {name}, in {of}",
                plural(view.objects.count, "object")
            );
            out += &fact(page, "objects", &says);
        }
    }
    if let Some(preview) = &view.preview {
        let preview = cut(&harmless(preview), page.width.saturating_sub(14));
        out += &fact(page, "contains", &preview);
    }
    out += &fact(
        page,
        "size",
        &format!("{} by sys.getsizeof", bytes(view.objects.bytes)),
    );
    out += &fact(
        page,
        "keeps alive",
        &match view.retained.count.saturating_sub(view.objects.count) {
            0 => format!(
                "nothing else; {} would be freed",
                bytes(view.retained.bytes)
            ),
            more => format!(
                "{} more; {} in all would be freed with {}",
                plural(more, "object"),
                bytes(view.retained.bytes),
                if view.objects.count == 1 {
                    "it"
                } else {
                    "them"
                },
            ),
        },
    );
    if let Some(references) = &view.references {
        let counted = match references.count {
            None => "never counted: it stays for as long as the program runs".to_owned(),
            Some(n) => {
                let seen = match references.known.cmp(&u64::from(n)) {
                    std::cmp::Ordering::Less => format!(
                        "{} counted, {} found; C code may hold the rest",
                        count(n.into()),
                        count(references.known)
                    ),
                    _ => format!("{} counted, all found", count(n.into())),
                };
                match references.in_cycles {
                    0 => seen,
                    n => format!(
                        "{seen}; {} of them from objects that only it keeps alive: a cycle",
                        count(n)
                    ),
                }
            }
        };
        out += &fact(page, "references", &counted);
    }
    if let Some(other) = &view.other {
        let ask = |words: &str| {
            format!(
                "`memshed why {} {}`",
                crate::diff_plain::quoted(&view.request.target),
                crate::diff_plain::quoted(&harmless(words))
            )
        };
        let says = match other {
            Other::Itself(words) => {
                format!(
                    "these are the objects of that type; for the class itself: {}",
                    ask(words)
                )
            }
            Other::Instances(words) => {
                format!(
                    "this is the class itself; for the objects of that type: {}",
                    ask(words)
                )
            }
        };
        out += &fact(page, "meant", &says);
    }
    out
}

fn problems(view: &WhyView, page: &Page) -> String {
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

/// Lines with their branches.
struct Tree<'p> {
    page: &'p Page,
    out: String,
    /// Holders drawn so far: what is above them has been drawn, too.
    drawn: HashSet<ObjectId>,
}

impl Tree<'_> {
    /// A line below `indent`; the last one there, or not.
    fn line(&mut self, indent: &str, last: bool, text: &str) {
        let branch = match (self.page.unicode, last) {
            (true, true) => "└─ ",
            (true, false) => "├─ ",
            (false, true) => "`- ",
            (false, false) => "|- ",
        };
        let room = self.page.width.saturating_sub(indent.chars().count() + 3);
        let text = self.page.plain(&cut(text, room.max(ROOM)));
        self.out += &format!("{indent}{}{text}\n", self.art(branch));
    }

    fn art(&self, art: &str) -> String {
        styled(DIM, art)
    }

    fn below(&self, indent: &str, last: bool) -> String {
        let rule = match (last, self.page.unicode) {
            (true, _) => "   ",
            (false, true) => "│  ",
            (false, false) => "|  ",
        };
        format!("{indent}{rule}")
    }

    fn way(&mut self, way: &WayRow, last: bool, several: bool) {
        let mut indent = "  ".to_owned();
        let amount = match several {
            true => format!("{}: ", count(way.objects)),
            false => String::new(),
        };
        let Some((first, above)) = way.steps.split_first() else {
            self.line(
                &indent,
                last,
                &format!("{amount}{}", harmless(&root(&way.path))),
            );
            return;
        };
        let place = match (several, way.holders) {
            (true, 2..) => format!(" ({} such)", count(way.holders)),
            _ => String::new(),
        };
        let text = format!("{amount}{}{place}", harmless(&held(first)));
        let mut is_last = last;
        self.line(&indent, is_last, &text);
        let room = self.page.width.saturating_sub(ROOM) / 3;
        let depth = DEPTH.min(room).max(3);
        let mut ends = self.ends(first);
        let mut shown = 1;
        for step in above {
            if ends {
                break;
            }
            indent = self.below(&indent, is_last);
            is_last = true;
            if shown == depth {
                let left = above.len() + 1 - shown;
                let more = format!("… {} more, up to:", plural(left as u64, "step"));
                self.line(&indent, true, &more);
                break;
            }
            self.line(&indent, true, &harmless(&held(step)));
            ends = self.ends(step);
            shown += 1;
        }
        indent = self.below(&indent, is_last);
        if ends {
            self.line(&indent, true, "… as above");
            return;
        }
        // A module says by itself that it is one.
        let says = harmless(&root(&way.path));
        let is_module = way.root.kind == "module" && shown == above.len() + 1;
        if !is_module {
            self.line(&indent, true, &says);
        }
    }

    /// Whether what holds `step` was drawn before; remembers that it is now.
    fn ends(&mut self, step: &StepRow) -> bool {
        // Modules are short, and telling them again says more than "as above".
        let again = step.holder.is_some_and(|holder| !self.drawn.insert(holder));
        again && step.type_name != "module"
    }
}

fn tree(view: &WhyView, page: &Page) -> String {
    let several = view.objects.count > 1;
    let title = match several {
        true => format!("{} of {}", count(view.objects.count), harmless(&view.name)),
        false => harmless(&view.name),
    };
    let mut tree = Tree {
        page,
        out: format!("  {}\n", page.plain(&title)),
        drawn: HashSet::new(),
    };
    for (at, way) in view.ways.iter().enumerate() {
        let last = at + 1 == view.ways.len() && view.more_ways == 0;
        tree.way(way, last, several);
    }
    if view.more_ways > 0 {
        tree.line("  ", true, &format!("… {} more", count(view.more_ways)));
    }
    page.heading(match several {
        true => "What holds them, up to what is alive by itself",
        false => "What holds it, up to what is alive by itself",
    }) + &tree.out
}

fn cuts(view: &WhyView, page: &Page) -> String {
    let several = view.objects.count > 1;
    let mut rows = Vec::new();
    let cuttable =
        |way: &&WayRow| way.holders > 0 && (!way.steps.is_empty() || way.root.kind == "frame");
    for way in view.ways.iter().filter(cuttable) {
        let mut row = vec![bytes(way.frees_bytes)];
        if several {
            row.push(count(way.alone));
        }
        row.push(harmless(&way.way));
        rows.push(row);
    }
    let mut keepers = Vec::new();
    keepers.extend(view.keeper.iter().filter(|keeper| !keeper.is_module));
    keepers.extend(&view.cut);
    keepers.dedup_by_key(|keeper| keeper.address.clone());
    for keeper in keepers {
        if rows
            .iter()
            .any(|row| row.last() == Some(&harmless(&keeper.path)))
        {
            continue;
        }
        let mut row = vec![bytes(keeper.frees_bytes)];
        if several {
            row.push(count(view.objects.count));
        }
        row.push(format!("{} as a whole", harmless(&keeper.path)));
        rows.push(row);
    }
    if rows.is_empty() {
        return String::new();
    }
    let mut columns = vec![("FREED", Column::Right)];
    if several {
        columns.push(("OBJECTS", Column::Right));
    }
    columns.push(("WITHOUT THE REFERENCE", Column::Name));
    page.heading("What would be freed if one of these references were cut")
        + &page.table(&columns, rows)
}

fn goes_with(view: &WhyView, page: &Page) -> String {
    if view.retained.count <= view.objects.count {
        return String::new();
    }
    let rows = view.retained_types.iter().map(|row| {
        vec![
            harmless(&row.name),
            count(row.tally.count),
            bytes(row.tally.bytes),
        ]
    });
    let columns = [
        ("TYPE", Column::Name),
        ("OBJECTS", Column::Right),
        ("BYTES", Column::Right),
    ];
    page.heading(match view.objects.count {
        1 => "What would be freed with it, by type",
        _ => "What would be freed with them, by type",
    }) + &page.table(&columns, rows.collect())
}
