//! How old objects are: what several looks at one process tell together.
//!
//! A leak is not what grows but what stays: of the objects that were made between two looks, those
//! that are still there at the last one. A buffer that is emptied now and then, a cache that is
//! full, and the first minute of a program make objects too, but not in every interval, or they
//! do not keep them. So each object carries the number of the look that first saw it, by address
//! and type, and a heap is divided into cohorts by that number.
//!
//! An address may have been used again by an object of the same type: it then counts as older than
//! it is, which hides little, since that many addresses were in use already.

use memshed_heap::{Heap, NativeKind, ObjectId};
use rustc_hash::FxHashMap;

/// Looks that are told apart; later ones count as the last.
const MOST_LOOKS: usize = u8::MAX as usize;
/// Calls of a thread that are kept of each look.
const MOST_CALLS: usize = 24;
/// An object of so many bytes is followed by what holds it, too: it may be replaced by a larger one.
const LARGE: u64 = 32 * 1024;
/// Of an object that holds fewer others it is not kept how many they were.
const MANY_HELD: u32 = 8;
/// An object's own memory that grows by fewer bytes between two looks is left out.
const LEAST_GROWTH: u64 = 256;

/// What one look said in sum.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// When, in seconds since the epoch.
    pub at: f64,
    /// Resident bytes.
    pub rss: u64,
    /// Bytes free but held in Python's pools.
    pub pools_free: u64,
    /// Resident bytes by category of the account, `category/part` for parts.
    pub memory: FxHashMap<String, u64>,
    /// Memory that is no object's: count and bytes by kind, owner and size.
    pub native: FxHashMap<NativeKey, (u64, u64)>,
    /// Objects and their bytes by type, by the number that [`Cohorts`] gave the type.
    pub types: Vec<(u64, u64)>,
    /// The innermost calls of each thread.
    pub running: Vec<Running>,
}

/// A call that was running during a look.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Running {
    /// The thread.
    pub thread: String,
    /// The function's qualified name.
    pub function: String,
    /// Its file.
    pub file: String,
    /// The line.
    pub line: u32,
    /// How many calls it was away from the innermost one.
    pub depth: u32,
}

/// What memory without an object is told apart by.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NativeKey {
    /// Where it lies.
    pub kind: NativeKind,
    /// Who points at it, empty if nobody is known to.
    pub owner: String,
    /// Bytes of each; 0 for those of all sizes.
    pub size: u64,
}

/// What the looks so far say together.
#[derive(Clone, Debug, Default)]
pub struct Cohorts {
    /// The looks, oldest first.
    pub looks: Vec<Look>,
    types: FxHashMap<(u64, String), u32>,
    names: Vec<String>,
    address: Vec<u64>,
    kind: Vec<u32>,
    born: Vec<u8>,
    allocated: Vec<u32>,
    /// How many objects each one held at the last look.
    held: Vec<u32>,
    /// The same of those where it has changed, by address: from which look on, and how many.
    held_since: FxHashMap<u64, Vec<(u8, u32)>>,
    /// Bytes by which the own memory of objects has grown, by address: look and bytes.
    grown: FxHashMap<u64, Vec<(u8, u64)>>,
    /// Bytes of large objects at each look, by the address of what holds them, and how.
    large: FxHashMap<(u64, String), Vec<(u8, u64)>>,
}

impl Cohorts {
    /// Adds a look at the same process, taken after the others.
    pub fn add(&mut self, heap: &Heap) {
        let number = self.looks.len().min(MOST_LOOKS) as u8;
        let kinds = self.kinds(heap);
        let objects = &heap.objects;
        let count = objects.len();
        let mut address = Vec::with_capacity(count);
        let mut kind = Vec::with_capacity(count);
        let mut born = Vec::with_capacity(count);
        let mut allocated = Vec::with_capacity(count);
        let held = held(heap);
        let mut held_since = FxHashMap::default();
        let mut types = vec![(0u64, 0u64); self.names.len()];
        let mut grown = FxHashMap::default();
        let mut old = 0;
        for (row, at) in objects.address.iter().enumerate() {
            let of = kinds.get(objects.type_id[row].0 as usize).copied();
            let of = of.unwrap_or(u32::MAX);
            let bytes = objects.allocated.get(row);
            if let Some(sum) = types.get_mut(of as usize) {
                sum.0 += 1;
                sum.1 = sum.1.saturating_add(bytes);
            }
            while self.address.get(old).is_some_and(|&before| before < at) {
                old += 1;
            }
            let same = self.address.get(old) == Some(&at) && self.kind[old] == of;
            if same {
                let (before, now) = (self.held[old], held[row]);
                let mut history = self.held_since.remove(&at).unwrap_or_default();
                if before != now && before.max(now) >= MANY_HELD {
                    if history.is_empty() {
                        history.push((0, before));
                    }
                    history.push((number, now));
                }
                if !history.is_empty() {
                    held_since.insert(at, history);
                }
                let more = bytes.saturating_sub(self.allocated[old].into());
                let mut history = self.grown.remove(&at).unwrap_or_default();
                shrink(
                    &mut history,
                    u64::from(self.allocated[old]).saturating_sub(bytes),
                );
                if more >= LEAST_GROWTH && self.allocated[old] != u32::MAX {
                    history.push((number, more));
                }
                if !history.is_empty() {
                    grown.insert(at, history);
                }
            }
            address.push(at);
            kind.push(of);
            born.push(if same { self.born[old] } else { number });
            allocated.push(u32::try_from(bytes).unwrap_or(u32::MAX));
        }
        self.address = address;
        self.kind = kind;
        self.born = born;
        self.allocated = allocated;
        self.held = held;
        self.held_since = held_since;
        self.grown = grown;
        self.follow_large(heap, number);
        self.looks.push(look(heap, types));
    }

    fn follow_large(&mut self, heap: &Heap, number: u8) {
        for row in 0..heap.objects.len() {
            let bytes = heap.objects.allocated.get(row);
            if bytes >= LARGE
                && let Some(key) = held_by(heap, ObjectId(row as u32))
            {
                self.large.entry(key).or_default().push((number, bytes));
            }
        }
    }

    /// By how many bytes what is now this large object has grown from look to look, if its holder
    /// held one like it at each look: a string or a buffer that is replaced by a longer one.
    pub fn replaced(&self, heap: &Heap, object: ObjectId) -> Option<Vec<(u8, u64)>> {
        let history = self.large.get(&held_by(heap, object)?)?;
        // Several at one place are not told apart; from some look on it was large.
        let begun = usize::from(history.first()?.0);
        let one_each = begun + history.len() == self.looks.len() && begun * 2 <= self.looks.len();
        let mut grown = Vec::new();
        for pair in history.windows(2) {
            let ((before, less), (now, more)) = (pair[0], pair[1]);
            if now != before + 1 || more < less {
                return None;
            }
            grown.push((now, more - less));
        }
        one_each.then_some(grown)
    }

    /// How many looks there were.
    pub fn len(&self) -> usize {
        self.looks.len()
    }

    /// Whether there was none.
    pub fn is_empty(&self) -> bool {
        self.looks.is_empty()
    }

    /// The number of the look that first saw an object of the heap added last.
    pub fn born(&self, object: ObjectId) -> usize {
        self.born
            .get(object.0 as usize)
            .copied()
            .unwrap_or(0)
            .into()
    }

    /// By how much the own memory of an object of the heap added last has grown: look and bytes.
    pub fn grown(&self, heap: &Heap, object: ObjectId) -> &[(u8, u64)] {
        let row = object.0 as usize;
        if row >= heap.objects.len() {
            return &[];
        }
        let history = self.grown.get(&heap.objects.address.get(row));
        history.map_or(&[], Vec::as_slice)
    }

    /// How many objects an object of the heap added last held at each look, if it is as old as the
    /// first, and holds enough now that it has been kept.
    pub fn held(&self, heap: &Heap, object: ObjectId) -> Option<Vec<u32>> {
        let now = *self.held.get(object.0 as usize)?;
        if self.born(object) > 0 || now < MANY_HELD {
            return None;
        }
        let address = heap.objects.address.get(object.0 as usize);
        let Some(since) = self.held_since.get(&address) else {
            return Some(vec![now; self.looks.len()]);
        };
        let mut series = Vec::with_capacity(self.looks.len());
        let mut changes = since.iter().peekable();
        let mut count = 0;
        for look in 0..self.looks.len() {
            while let Some(&(_, held)) = changes.next_if(|change| usize::from(change.0) <= look) {
                count = held;
            }
            series.push(count);
        }
        Some(series)
    }

    /// Addresses of all objects whose own memory has grown.
    pub fn growing(&self) -> impl Iterator<Item = u64> + '_ {
        self.grown.keys().copied()
    }

    /// Objects of the type called `name`, and their bytes, at each look.
    pub fn series(&self, name: &str) -> Vec<(u64, u64)> {
        let kinds = self.names.iter().enumerate();
        let kinds: Vec<usize> = kinds.filter(|(_, n)| *n == name).map(|(k, _)| k).collect();
        let at = |look: &Look| {
            let of = |&kind: &usize| look.types.get(kind).copied().unwrap_or_default();
            let add = |a: (u64, u64), b: (u64, u64)| (a.0 + b.0, a.1.saturating_add(b.1));
            kinds.iter().map(of).fold((0, 0), add)
        };
        self.looks.iter().map(at).collect()
    }

    /// Seconds from the first look to each.
    pub fn times(&self) -> Vec<f64> {
        let first = self.looks.first().map_or(0.0, |look| look.at);
        self.looks.iter().map(|look| look.at - first).collect()
    }

    /// Seconds from the first look to the last.
    pub fn seconds(&self) -> f64 {
        self.times().last().copied().unwrap_or(0.0)
    }

    /// The number of each of the heap's types, by address and name.
    fn kinds(&mut self, heap: &Heap) -> Vec<u32> {
        let mut kinds = Vec::with_capacity(heap.types.len());
        for kind in &heap.types {
            let name = heap.strings.get(kind.name).to_owned();
            let next = self.names.len() as u32;
            let number = *self
                .types
                .entry((kind.address, name.clone()))
                .or_insert(next);
            if number == next {
                self.names.push(name);
            }
            kinds.push(number);
        }
        kinds
    }
}

/// Takes bytes off that what has grown has shrunk by, from the latest on.
fn shrink(history: &mut Vec<(u8, u64)>, mut bytes: u64) {
    while let Some((_, last)) = history.last_mut() {
        let part = bytes.min(*last);
        *last -= part;
        bytes -= part;
        if *last > 0 {
            break;
        }
        history.pop();
    }
}

/// How many objects each object holds, by the column of holders.
fn held(heap: &Heap) -> Vec<u32> {
    let mut held = vec![0u32; heap.objects.len()];
    for holder in &heap.objects.holder {
        if let Some(count) = held.get_mut(holder.0 as usize) {
            *count = count.saturating_add(1);
        }
    }
    held
}

/// Whether the objects of the type called `name` have not become more from the first third of the looks
/// to the last, and to the end, as far as `new` of them should have made them.
pub(crate) fn turns_over(cohorts: &Cohorts, name: &str, new: u64) -> bool {
    let series = cohorts.series(name);
    let third = series.len().div_ceil(3);
    let mean = |part: &[(u64, u64)]| {
        let sum: u64 = part.iter().map(|(count, _)| count).sum();
        sum as f64 / part.len().max(1) as f64
    };
    let early = mean(&series[..third]);
    let middle = mean(&series[third..(2 * third).min(series.len() - 1).max(third)]);
    let late = mean(&series[series.len() - third..]);
    // A steady leak would have made two thirds of them in between, one third in the second half.
    late - early < 0.4 * (2.0 / 3.0) * new as f64 || late - middle < 0.2 * (1.0 / 3.0) * new as f64
}

/// The address of what holds an object, and how, in words that stay the same from look to look. `None`
/// where a position tells it from others.
fn held_by(heap: &Heap, object: ObjectId) -> Option<(u64, String)> {
    let row = object.0 as usize;
    let holder = *heap.objects.holder.get(row)?;
    if (holder.0 as usize) < heap.objects.len() {
        let name = heap.objects.holder_label.get(row)?.name()?;
        let address = heap.objects.address.get(holder.0 as usize);
        return Some((address, heap.strings.get(name).to_owned()));
    }
    let root = heap.roots.binary_search_by_key(&object, |root| root.object);
    let name = heap.roots[root.ok()?].name;
    Some((0, heap.strings.get(name).to_owned()))
}

fn look(heap: &Heap, types: Vec<(u64, u64)>) -> Look {
    let mut memory = FxHashMap::default();
    for part in &heap.memory {
        memory.insert(part.category.clone(), part.bytes);
        for own in &part.parts {
            memory.insert(format!("{}/{}", part.category, own.category), own.bytes);
        }
    }
    let mut native: FxHashMap<NativeKey, (u64, u64)> = FxHashMap::default();
    for row in &heap.native {
        let owner = row.owner.map_or("", |owner| heap.strings.get(owner));
        let key = NativeKey {
            kind: row.kind,
            owner: owner.to_owned(),
            size: row.size,
        };
        let sum = native.entry(key).or_default();
        sum.0 = sum.0.saturating_add(row.count);
        sum.1 = sum.1.saturating_add(row.bytes);
    }
    Look {
        at: heap.snapshot.taken_at,
        rss: heap.process.rss_bytes,
        pools_free: heap.pools.free_bytes,
        memory,
        native,
        types,
        running: running(heap),
    }
}

/// The innermost calls of each thread.
fn running(heap: &Heap) -> Vec<Running> {
    let calls = |stack: &memshed_heap::Stack| {
        let thread = heap.strings.get(stack.thread).to_owned();
        let calls = (0..).zip(stack.calls.iter().take(MOST_CALLS));
        let calls = calls.filter_map(|(depth, call)| {
            let key = |code: &memshed_heap::Code| code.object;
            let row = heap.code.binary_search_by_key(&call.code, key).ok()?;
            let code = &heap.code[row];
            Some(Running {
                thread: thread.clone(),
                function: heap.strings.get(code.name).to_owned(),
                file: heap.strings.get(code.file).to_owned(),
                line: call.line,
                depth,
            })
        });
        calls.collect::<Vec<Running>>()
    };
    heap.stacks.iter().flat_map(calls).collect()
}
