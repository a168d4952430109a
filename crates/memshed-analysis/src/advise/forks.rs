//! Processes that were forked from one: what they share, and what each has had to copy.
//!
//! A page is shared until somebody writes to it. Counting references writes to every object that is
//! used; a collection writes to every object that the collector knows, used or not. How much of the
//! copying is the collector's is told by comparison with pages that hold none of its objects.

use super::{Advice, AdviceKind, Stake};
use crate::findings::Confidence;
use crate::units::{bytes as amount, plural};
use memshed_heap::{Heap, Objects};
use rustc_hash::FxHashMap;

/// A page.
const PAGE: u64 = 4096;
/// The header that the collector writes to lies before the object (`PyGC_Head`).
const HEADER: u64 = 16;

/// One of the processes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Member {
    /// Process id.
    pub pid: i32,
    /// Whether the others were forked from it.
    pub parent: bool,
    /// Resident bytes.
    pub rss_bytes: u64,
    /// The same, shared ones divided by the number of those who share them.
    pub pss_bytes: u64,
    /// Resident bytes that nobody else has.
    pub uss_bytes: u64,
}

/// A page of memory that a child has where its parent has one, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SharedPage {
    /// Its address.
    pub address: u64,
    /// Whether the two still share it.
    pub shared: bool,
}

/// Processes that were forked from one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Family {
    /// The parent first.
    pub members: Vec<Member>,
    /// For each child, or some of many, the private pages that it has where the parent has one, too, in
    /// order.
    pub pages: Vec<Vec<SharedPage>>,
}

impl Family {
    /// How many children there are.
    pub fn children(&self) -> u64 {
        self.members.iter().filter(|one| !one.parent).count() as u64
    }
}

#[derive(Clone, Copy, Default)]
struct Sums {
    pages: u64,
    copied: u64,
}

impl Sums {
    fn part(self) -> f64 {
        self.copied as f64 / self.pages.max(1) as f64
    }
}

/// Advice on a family.
pub(super) fn advise(heap: &Heap, family: &Family) -> Option<Advice> {
    let children = family.children();
    let uses = uses(heap);
    let sums: Vec<(Sums, Sums)> = family.pages.iter().map(|one| by_use(&uses, one)).collect();
    // Of many children some were looked at.
    let times = children as f64 / sums.len().max(1) as f64;
    let saved: f64 = sums
        .iter()
        .map(|&(known, others)| collectors(known, others))
        .sum();
    let all = (saved * times) as u64 * PAGE;
    // The one that has copied most says what will become of the others.
    let most = sums
        .iter()
        .max_by_key(|(known, others)| known.copied + others.copied);
    let &(known, others) = most.filter(|(known, _)| known.pages > 0)?;
    let copied = (known.copied + others.copied) * PAGE;
    let sum = |of: fn(&Member) -> u64| family.members.iter().map(of).sum::<u64>();
    Some(Advice {
        kind: AdviceKind::Forks,
        title: format!(
            "{} forked processes would share {} more with gc.freeze() before the fork",
            children,
            amount(all)
        ),
        stake: Stake::Bytes(all),
        confidence: if others.pages > 50 { Confidence::Medium } else { Confidence::Low },
        evidence: vec![
            format!(
                "the child that has copied most has copied {} of the {} that it was forked with; the {} take \
                 {} together, of which {} is private",
                amount(copied),
                amount((known.pages + others.pages) * PAGE),
                plural(children + 1, "process"),
                amount(sum(|one| one.pss_bytes)),
                amount(sum(|one| one.uss_bytes))
            ),
            format!(
                "of its pages with objects that the collector goes through {:.0} % were copied, of pages \
                 without {:.0} %: the difference is the collector's",
                known.part() * 100.0,
                others.part() * 100.0
            ),
        ],
        to_do: "Load everything in the parent with the collector off, freeze it right before the fork, \
                and let the children turn the collector on. With gunicorn: --preload, and these lines in \
                its configuration."
            .to_owned(),
        code: vec![
            "import gc".to_owned(),
            "gc.disable()  # at the parent's start".to_owned(),
            "def pre_fork(server, worker): gc.freeze()".to_owned(),
            "def post_fork(server, worker): gc.enable()".to_owned(),
        ],
        locations: Vec::new(),
        proof: format!(
            "the same server so changed: the sum of Private_Dirty in /proc/PID/smaps_rollup, or \
             memshed advise {}",
            heap.process.pid
        ),
    })
}

/// Pages that the collector has copied: more of those that it goes through than of the others, which
/// counting references has copied.
fn collectors(known: Sums, others: Sums) -> f64 {
    let counted = others.part().min(known.part());
    (known.copied as f64 - counted * known.pages as f64).max(0.0)
}

/// For each page with objects: whether one is gone through in collections.
fn uses(heap: &Heap) -> FxHashMap<u64, bool> {
    let objects = &heap.objects;
    let mut pages: FxHashMap<u64, bool> = FxHashMap::default();
    for (row, address) in objects.address.iter().enumerate() {
        let generation = objects.generation[row];
        // Frozen objects are left alone, and what is static is in no pool.
        let gone_through = generation != Objects::UNTRACKED && generation != 3;
        if objects.allocated.get(row) == 0 {
            continue;
        }
        let page = address.saturating_sub(if gone_through { HEADER } else { 0 }) / PAGE;
        *pages.entry(page).or_default() |= gone_through;
    }
    pages
}

/// Pages with objects that a collection goes through, and pages with other objects only.
fn by_use(uses: &FxHashMap<u64, bool>, pages: &[SharedPage]) -> (Sums, Sums) {
    let (mut known, mut others) = (Sums::default(), Sums::default());
    for page in pages {
        let sums = match uses.get(&(page.address / PAGE)) {
            Some(true) => &mut known,
            Some(false) => &mut others,
            None => continue,
        };
        sums.pages += 1;
        sums.copied += u64::from(!page.shared);
    }
    (known, others)
}
