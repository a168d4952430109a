//! What has changed from one look to a later one.

use crate::matching::{Matching, Unrelated, matching, same_process};
use crate::pattern::Pattern;
use crate::places::{PlaceId, Places};
use crate::summary::{SortBy, SummaryOptions, summary};
use memshed_heap::{Heap, ObjectId};
use rustc_hash::FxHashMap;
use std::cmp::Reverse;

/// Objects, and their bytes by `sys.getsizeof`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many.
    pub count: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Tally {
    /// Adds one more object, or several.
    pub fn add(&mut self, count: u64, bytes: u64) {
        self.count += count;
        // Sizes of a garbled heap may be of any size.
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

/// By how much `new` is more than `old`.
pub fn growth(old: u64, new: u64) -> i64 {
    let difference = i128::from(new) - i128::from(old);
    difference.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

/// The objects of the types of one name, before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TypeChange {
    /// `module.qualname`; builtins bare.
    pub name: String,
    /// What there was.
    pub old: Tally,
    /// What there is.
    pub new: Tally,
}

/// What was put somewhere, and what went from there. Objects are where the first object that is
/// in both looks holds them, through whatever is in one look only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceChange {
    /// What the place is called, indices and keys left out: `app.SESSIONS[…]`.
    pub place: String,
    /// Objects that are new.
    pub added: Tally,
    /// Objects that are gone.
    pub gone: Tally,
    /// How many objects that are in both looks hold the new ones.
    pub containers: u64,
    /// The one of them that holds most; what is new itself if that is one object with all that
    /// hangs on it. `NONE` if no object holds them: new local variables, new modules.
    pub container: ObjectId,
    /// The commonest type of what these hold directly, and how many of it are new.
    pub entries: (String, u64),
    /// The types of the new objects, those with most bytes first.
    pub types: Vec<(String, Tally)>,
}

impl PlaceChange {
    /// By how many bytes more was added than went.
    pub fn growth(&self) -> i64 {
        growth(self.gone.bytes, self.added.bytes)
    }
}

/// What became of the objects; known only of two looks at one process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lives {
    /// Objects that are in both looks.
    pub survived: Tally,
    /// Objects that are in the later one only.
    pub created: Tally,
    /// Objects that are in the earlier one only.
    pub gone: Tally,
    /// Where objects came and went, the places that grew most first.
    pub places: Vec<PlaceChange>,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Diff {
    /// Whether the objects could be matched, and if not, why not.
    pub relation: Result<(), Unrelated>,
    /// All objects before.
    pub old: Tally,
    /// All objects after.
    pub new: Tally,
    /// The types that the filter lets through and that either look has objects of; what grew most
    /// first, or by name.
    pub types: Vec<TypeChange>,
    /// What became of the objects.
    pub lives: Option<Lives>,
}

/// Types listed for a place.
const TYPES: usize = 5;
/// Places that are named; the rest is put together under no name.
const NAMED: usize = 4_000;
/// Places whose types are told.
const TOLD: usize = 200;

/// Compares `old` with `new`: by type, and object by object if both are of the same process.
pub fn diff(old: &Heap, new: &Heap, sort: SortBy, filter: Option<&Pattern>) -> Diff {
    let options = SummaryOptions {
        name: filter.cloned(),
        ..SummaryOptions::default()
    };
    let (before, after) = rayon::join(|| summary(old, &options), || summary(new, &options));
    let mut types: FxHashMap<&str, (Tally, Tally)> = FxHashMap::default();
    for row in &before.types {
        let (tally, _) = types.entry(&row.name).or_default();
        tally.add(row.amounts.count, row.amounts.bytes);
    }
    for row in &after.types {
        let (_, tally) = types.entry(&row.name).or_default();
        tally.add(row.amounts.count, row.amounts.bytes);
    }
    let types = types.into_iter().map(|(name, (old, new))| TypeChange {
        name: name.to_owned(),
        old,
        new,
    });
    let mut types: Vec<TypeChange> = types.collect();
    types.sort_by(|a, b| by_growth(sort, a).cmp(&by_growth(sort, b)));
    let relation = same_process(old, new);
    let tally = |amounts: &crate::Amounts| Tally {
        count: amounts.count,
        bytes: amounts.bytes,
    };
    Diff {
        relation,
        old: tally(&before.total),
        new: tally(&after.total),
        types,
        lives: relation.ok().map(|()| lives(old, new, sort)),
    }
}

/// What a type is sorted by: what grew most first.
fn by_growth(sort: SortBy, row: &TypeChange) -> (Reverse<i64>, Reverse<u64>, &str) {
    let key = match sort {
        SortBy::Name => 0,
        SortBy::Count | SortBy::GcTracked => growth(row.old.count, row.new.count),
        SortBy::Bytes | SortBy::Allocated => growth(row.old.bytes, row.new.bytes),
    };
    let size = if sort == SortBy::Name {
        0
    } else {
        row.new.bytes
    };
    (Reverse(key), Reverse(size), &row.name)
}

fn lives(old: &Heap, new: &Heap, sort: SortBy) -> Lives {
    let matching = matching(old, new);
    let survives = survivors(old, &matching);
    let (created, gone) = rayon::join(
        || Strays::new(new, |object| matching.is_old(object)),
        || Strays::new(old, |object| survives.get(object.0 as usize) == Some(&true)),
    );
    let mut lives = Lives {
        survived: Tally::default(),
        created: created.total,
        gone: gone.total,
        places: Vec::new(),
    };
    for (row, old) in matching.old_of.iter().enumerate() {
        if *old != ObjectId::NONE {
            lives.survived.add(1, new.objects.size.get(row));
        }
    }
    lives.places = created.changes(gone, sort);
    lives
}

/// For each object of the earlier look whether it is in the later one, too.
fn survivors(old: &Heap, matching: &Matching) -> Vec<bool> {
    let mut survives = vec![false; old.objects.len()];
    for object in &matching.old_of {
        if let Some(place) = survives.get_mut(object.0 as usize) {
            *place = true;
        }
    }
    survives
}

/// The objects of a heap that are not in the other one, by place.
struct Strays<'a> {
    heap: &'a Heap,
    /// For each object the stray at whose place it is: the last stray on the way up to an object
    /// that is in both. `COMMON` for those.
    anchor: Vec<u32>,
    places: Places<'a>,
    /// For each place, what strays there are.
    tallies: Vec<Tally>,
    /// What holds strays: place, holder and what it holds, sorted.
    holders: Vec<(PlaceId, ObjectId, ObjectId)>,
    total: Tally,
}

const COMMON: u32 = u32::MAX;
const UNKNOWN: u32 = u32::MAX - 1;

impl<'a> Strays<'a> {
    fn new(heap: &'a Heap, is_common: impl Fn(ObjectId) -> bool) -> Strays<'a> {
        let mut strays = Strays {
            heap,
            anchor: anchors(heap, is_common),
            places: Places::new(heap),
            tallies: Vec::new(),
            holders: Vec::new(),
            total: Tally::default(),
        };
        for row in 0..heap.objects.len() {
            let anchor = strays.anchor[row];
            if anchor == COMMON {
                continue;
            }
            let bytes = heap.objects.size.get(row);
            let place = strays.places.of(ObjectId(anchor));
            let needed = (place.0 as usize + 1).max(strays.tallies.len());
            strays.tallies.resize(needed, Tally::default());
            strays.tallies[place.0 as usize].add(1, bytes);
            strays.total.add(1, bytes);
            if anchor == row as u32 {
                let holder = heap.objects.holder[row];
                strays.holders.push((place, holder, ObjectId(anchor)));
            }
        }
        strays.holders.sort_unstable();
        strays
    }

    /// The places with strays under their names, those with most bytes first. Places may share a
    /// name.
    fn named(&self) -> Vec<(PlaceId, String)> {
        let rows = (0..self.tallies.len() as u32).map(PlaceId);
        let mut places: Vec<PlaceId> = rows
            .filter(|place| self.tallies[place.0 as usize].count > 0)
            .collect();
        places.sort_by_key(|place| Reverse(self.tallies[place.0 as usize].bytes));
        let name = |(row, place)| match row < NAMED {
            true => (place, self.places.name(place).0),
            false => (place, String::new()),
        };
        places.into_iter().enumerate().map(name).collect()
    }

    /// The places where these were added and `gone` went.
    fn changes(self, gone: Strays, sort: SortBy) -> Vec<PlaceChange> {
        let mut rows: Vec<PlaceChange> = Vec::new();
        let mut by_name: FxHashMap<String, usize> = FxHashMap::default();
        let mut slots = vec![usize::MAX; self.tallies.len()];
        let mut row = |name: String, rows: &mut Vec<PlaceChange>| {
            *by_name.entry(name).or_insert_with_key(|name| {
                rows.push(PlaceChange {
                    place: name.clone(),
                    added: Tally::default(),
                    gone: Tally::default(),
                    containers: 0,
                    container: ObjectId::NONE,
                    entries: (String::new(), 0),
                    types: Vec::new(),
                });
                rows.len() - 1
            })
        };
        for (place, name) in self.named() {
            let at = row(name, &mut rows);
            let tally = self.tallies[place.0 as usize];
            rows[at].added.add(tally.count, tally.bytes);
            slots[place.0 as usize] = at;
        }
        for (place, name) in gone.named() {
            let at = row(name, &mut rows);
            let tally = gone.tallies[place.0 as usize];
            rows[at].gone.add(tally.count, tally.bytes);
        }
        self.count_containers(&slots, &mut rows);
        // Where each row goes, to find it again from its slot.
        let mut order: Vec<usize> = (0..rows.len()).collect();
        let key = |row: &PlaceChange| match sort {
            SortBy::Count | SortBy::GcTracked => growth(row.gone.count, row.added.count),
            _ => row.growth(),
        };
        order.sort_by_key(|&at| (Reverse(key(&rows[at])), Reverse(rows[at].added.bytes)));
        let mut told = vec![usize::MAX; rows.len()];
        for (rank, &at) in order.iter().enumerate().take(TOLD) {
            told[at] = rank;
        }
        let types = self.types(|place| {
            let slot = *slots.get(place.0 as usize)?;
            told.get(slot).copied().filter(|rank| *rank != usize::MAX)
        });
        let mut rows: Vec<Option<PlaceChange>> = rows.into_iter().map(Some).collect();
        let mut types = types.into_iter();
        let sorted = order.into_iter().filter_map(|at| rows[at].take());
        let sorted = sorted.map(|mut row| {
            (row.entries, row.types) = types.next().unwrap_or_default();
            row
        });
        sorted.filter(|row| !row.place.is_empty()).collect()
    }

    /// How many objects hold what is at each place, and which of them holds most.
    fn count_containers(&self, slots: &[usize], rows: &mut [PlaceChange]) {
        let mut most = vec![0; rows.len()];
        let mut direct = vec![0; rows.len()];
        let runs = self.holders.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1));
        for run in runs {
            let Some(&(place, holder, object)) = run.first() else {
                continue;
            };
            let slot = slots.get(place.0 as usize).copied();
            let slot = slot.unwrap_or(usize::MAX);
            let Some(row) = rows.get_mut(slot) else {
                continue;
            };
            direct[slot] += run.len();
            row.containers += u64::from(holder != ObjectId::NONE);
            if run.len() > most[slot] {
                most[slot] = run.len();
                row.container = if direct[slot] == 1 { object } else { holder };
            }
        }
    }

    /// For each rank that `rank` gives a place, what types the strays there have.
    fn types(&self, rank: impl Fn(PlaceId) -> Option<usize>) -> Vec<Kinds> {
        let kinds = self.heap.types.len();
        let mut tallies: Vec<Vec<(Tally, u64)>> = Vec::new();
        for (row, &anchor) in self.anchor.iter().enumerate() {
            if anchor == COMMON {
                continue;
            }
            let Some(rank) = self.places.known(ObjectId(anchor)).and_then(&rank) else {
                continue;
            };
            let needed = (rank + 1).max(tallies.len());
            tallies.resize(needed, Vec::new());
            let of_rank = &mut tallies[rank];
            of_rank.resize(kinds, Default::default());
            let kind = self.heap.objects.type_id[row].0 as usize;
            if let Some((tally, entries)) = of_rank.get_mut(kind) {
                tally.add(1, self.heap.objects.size.get(row));
                *entries += u64::from(anchor == row as u32);
            }
        }
        tallies.iter().map(|row| self.heaviest(row)).collect()
    }

    fn heaviest(&self, tallies: &[(Tally, u64)]) -> Kinds {
        let heap = self.heap;
        let mut by_name: FxHashMap<&str, (Tally, u64)> = FxHashMap::default();
        for (kind, (tally, entries)) in heap.types.iter().zip(tallies) {
            if tally.count > 0 {
                let row = by_name.entry(heap.strings.get(kind.name)).or_default();
                row.0.add(tally.count, tally.bytes);
                row.1 += entries;
            }
        }
        let mut rows: Vec<(&str, (Tally, u64))> = by_name.into_iter().collect();
        rows.sort_by_key(|(name, (tally, _))| (Reverse(tally.bytes), *name));
        let most = rows
            .iter()
            .max_by_key(|(name, (_, entries))| (*entries, Reverse(*name)));
        let entries = most.map(|(name, (_, entries))| ((*name).to_owned(), *entries));
        let types = rows.iter().take(TYPES);
        let types = types.map(|(name, (tally, _))| ((*name).to_owned(), *tally));
        (entries.unwrap_or_default(), types.collect())
    }
}

/// The commonest type of the objects that are held directly and how many it has; and the types of
/// all, those with most bytes first.
type Kinds = ((String, u64), Vec<(String, Tally)>);

/// For each object the last one on its way up that `is_common` says nothing of; `COMMON` for
/// those that it does. Each object is passed once.
fn anchors(heap: &Heap, is_common: impl Fn(ObjectId) -> bool) -> Vec<u32> {
    let objects = &heap.objects;
    let rows = objects.len();
    let common = |row: u32| match is_common(ObjectId(row)) {
        true => COMMON,
        false => UNKNOWN,
    };
    let mut anchor: Vec<u32> = (0..rows as u32).map(common).collect();
    let mut way: Vec<u32> = Vec::new();
    for row in 0..rows as u32 {
        let mut at = row;
        // Holders that go in a circle come back to an object on the way: a garbled file.
        let found = loop {
            match anchor.get(at as usize).copied() {
                Some(UNKNOWN) => {}
                Some(COMMON) | None => break way.last().copied(),
                Some(known) => break Some(known),
            }
            anchor[at as usize] = at;
            way.push(at);
            let holder = objects.holder.get(at as usize).copied();
            at = holder.unwrap_or(ObjectId::NONE).0;
        };
        for at in way.drain(..) {
            if let Some(found) = found {
                anchor[at as usize] = found;
            }
        }
    }
    anchor
}
