//! Processes that were forked from one, as preforking servers have them, and which of the memory
//! they were forked with they still share.

use memshed_analysis::advise::{Family, Member, SharedPage};
use memshed_target::{MappingKind, Process, Range, Residency};

/// Children that are told, and whose pages are looked at.
const MOST: usize = 256;
const MOST_PAGES: usize = 32;

/// The family of the process `pid`: its children that run the same program, or its parent and its
/// siblings. `None` if it has none, or they do not share their memory's addresses.
pub fn family(pid: i32) -> Option<Family> {
    let all = Process::list();
    let me = all.iter().find(|one| one.pid() == pid)?;
    let children = children(&all, me);
    if !children.is_empty() {
        return of(me, &children);
    }
    let parent = me.status().ok()?.parent;
    let parent = all.iter().find(|one| one.pid() == parent)?;
    let siblings = self::children(&all, parent);
    let among = siblings.iter().any(|one| one.pid() == pid);
    if among { of(parent, &siblings) } else { None }
}

/// Children that run the same program and were forked, not started anew.
fn children<'a>(all: &'a [Process], parent: &Process) -> Vec<&'a Process> {
    let Some(place) = place(parent) else {
        return Vec::new();
    };
    let forked = |one: &&Process| {
        let status = one.status();
        status.is_ok_and(|s| s.parent == parent.pid() && s.has_memory)
            && self::place(one) == Some(place.clone())
    };
    all.iter().filter(forked).take(MOST).collect()
}

/// What a process executes and where that lies: two that were started apart differ in the latter.
fn place(process: &Process) -> Option<(String, u64, u64)> {
    let exe = process.exe().ok()?;
    let mappings = process.mappings().ok()?;
    let first = mappings.first()?.start;
    let stack = mappings.iter().find(|one| one.path == "[stack]")?.end;
    Some((exe.display().to_string(), first, stack))
}

fn of(parent: &Process, children: &[&Process]) -> Option<Family> {
    let member = |process: &Process, is_parent: bool| {
        let sums = process.memory_use().ok()?;
        Some(Member {
            pid: process.pid(),
            parent: is_parent,
            rss_bytes: sums.rss,
            pss_bytes: sums.pss,
            uss_bytes: sums.uss,
        })
    };
    let mut members = vec![member(parent, true)?];
    members.extend(children.iter().filter_map(|one| member(one, false)));
    let looked_at = children.iter().take(MOST_PAGES);
    let pages: Vec<Vec<SharedPage>> = looked_at.filter_map(|one| pages(parent, one)).collect();
    (!pages.is_empty()).then_some(Family { members, pages })
}

/// Pages of private memory without a file that both processes have at the same place.
fn pages(parent: &Process, child: &Process) -> Option<Vec<SharedPage>> {
    let private = |process: &Process| -> Option<Vec<Range>> {
        let mappings = process.mappings().ok()?;
        let private = mappings
            .iter()
            .filter(|one| one.kind() == MappingKind::Anonymous && one.writable());
        Some(private.map(|one| one.range()).collect())
    };
    let both = common(&private(parent)?, &private(child)?);
    let of_parent = parent.residency(&both).ok()?;
    let of_child: Residency = child.residency(&both).ok()?;
    let mut pages = Vec::new();
    for range in both {
        let here = of_child.resident_pages(range);
        let in_both = here.filter(|&at| of_parent.is_resident(at));
        pages.extend(in_both.map(|at| SharedPage {
            address: at.0,
            shared: of_child.is_shared(at),
        }));
    }
    // Without one that is shared they have nothing to do with each other.
    pages.iter().any(|page| page.shared).then_some(pages)
}

/// What is in both of two lists of ranges, each in order.
fn common(a: &[Range], b: &[Range]) -> Vec<Range> {
    let (mut i, mut j) = (0, 0);
    let mut both = Vec::new();
    while let (Some(x), Some(y)) = (a.get(i), b.get(j)) {
        let range = Range {
            start: x.start.max(y.start),
            end: x.end.min(y.end),
        };
        if !range.is_empty() {
            both.push(range);
        }
        if x.end <= y.end {
            i += 1;
        } else {
            j += 1;
        }
    }
    both
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_lists_have_in_common() {
        let range = |(start, end)| Range { start, end };
        let a: Vec<Range> = [(0, 10), (20, 30), (40, 50)].map(range).to_vec();
        let b: Vec<Range> = [(5, 25), (28, 45), (60, 70)].map(range).to_vec();
        let both: Vec<Range> = [(5, 10), (20, 25), (28, 30), (40, 45)].map(range).to_vec();
        assert_eq!(common(&a, &b), both);
        assert_eq!(common(&b, &a), both);
        assert!(common(&a, &[]).is_empty());
    }
}
