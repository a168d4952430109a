//! Times the graph analyses and measures their memory, on synthetic heaps of 5 and 20 million
//! objects with three references each: `cargo bench -p memshed-analysis --bench graph [MILLIONS | SNAPSHOT]`.
//!
//! Half of the objects are known to the collector; 1 in 100 is garbage, in cycles of two. Of the
//! references to an object, one is from its holder, mostly a neighbour, since what is made together
//! lies together in real heaps, too; one it has itself to a type, and one to a shared object.

use memshed_analysis::{Dominators, Graph, ObjectSet, garbage, merged_paths};
use memshed_heap::snapshot::{ReadEdges, read};
use memshed_heap::{
    Edges, Heap, Label, LabelKind, ObjectId, Objects, Root, RootKind, Type, TypeId,
};
use std::time::Instant;

const TYPES: u32 = 500;
const MODULES: u32 = 1000;

struct Random(u64);

impl Random {
    fn below(&mut self, limit: u32) -> u32 {
        let step = self.0.wrapping_mul(6_364_136_223_846_793_005);
        self.0 = step.wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(limit)) as u32
    }
}

fn heap(count: u32) -> Heap {
    let mut heap = Heap::default();
    let mut random = Random(42);
    for row in 0..TYPES {
        let name = heap
            .strings
            .intern(&format!("module{}.Type{row}", row / 10));
        heap.types.push(Type {
            name,
            module: name,
            address: u64::from(row),
            object: ObjectId(row),
        });
    }
    let attribute = Label::named(LabelKind::Attribute, heap.strings.intern("next"));
    let class = Label::named(LabelKind::Field, heap.strings.intern("__class__"));
    let garbage = count - count / 100 / 2 * 2;
    // Each object but the first ones is held by one before it, as in a tree, mostly by a neighbour,
    // and refers to one that is shared by many: to one of the first twentieth, or to a neighbour.
    let mut held = Vec::with_capacity(2 * count as usize);
    let mut holders = vec![ObjectId::NONE; count as usize];
    let first = TYPES + MODULES;
    let shared = (count / 20).max(first);
    for row in first..garbage {
        let mut near = |range: u32| first.max(row - 1 - random.below(row.min(range)));
        let holder = near(2000);
        let neighbour = near(50);
        let holder = match random.below(5) {
            0 => TYPES + random.below(row - TYPES),
            _ => holder,
        };
        let other = match random.below(5) {
            0 => neighbour,
            _ => first + random.below(shared - first + 1),
        };
        let holder = if row == first { TYPES } else { holder };
        held.push((holder, row));
        holders[row as usize] = ObjectId(holder);
        held.push((row, other));
    }
    held.sort_unstable();
    let mut counts = vec![0u32; count as usize];
    let mut edges = Edges {
        start: Vec::with_capacity(count as usize + 1),
        target: Vec::with_capacity(3 * count as usize),
        label: Vec::with_capacity(3 * count as usize),
    };
    edges.start.push(0);
    let mut next = held.iter().peekable();
    for row in 0..count {
        let mut add = |target: u32, label: Label| {
            edges.target.push(ObjectId(target));
            edges.label.push(label);
            counts[target as usize] += 1;
        };
        let kind = row % TYPES;
        if row >= TYPES {
            add(kind, class);
        }
        if row >= garbage {
            add(row ^ 1, attribute);
        }
        while let Some((_, target)) = next.next_if(|(source, _)| *source == row) {
            add(*target, attribute);
        }
        edges.start.push(edges.target.len() as u64);
        let objects = &mut heap.objects;
        objects.address.push(u64::from(row) * 64);
        objects.type_id.push(TypeId(kind));
        objects.size.push(48);
        objects.allocated.push(u64::from(row % 7) * 16 + 32);
        objects
            .generation
            .push(match row >= garbage || row % 2 == 0 {
                true => 2,
                false => Objects::UNTRACKED,
            });
    }
    heap.objects.refcount = counts;
    heap.objects.holder = holders;
    heap.objects.holder_label = vec![attribute; count as usize];
    for object in (0..TYPES + MODULES).map(ObjectId) {
        heap.roots.push(Root {
            object,
            kind: RootKind::Module,
            name: heap.types[0].name,
        });
        heap.objects.refcount[object.0 as usize] += 1;
    }
    heap.edges = Some(edges);
    heap
}

/// A line of /proc/self/status, in MB.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let words = line.unwrap_or_default().split_whitespace().nth(1);
    words.and_then(|kb| kb.parse::<u64>().ok()).unwrap_or(0) / 1000
}

/// Processor time so far, in seconds.
fn processor() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|n| n.parse::<f64>().ok());
    (ticks(13).unwrap_or(0.0) + ticks(14).unwrap_or(0.0)) / 100.0
}

fn timed<T>(what: &str, run: impl FnOnce() -> T) -> T {
    let (start, before) = (Instant::now(), processor());
    let result = run();
    println!(
        "  {what}: {:.2} s, {:.2} s of processor time, resident {} MB, at most {} MB",
        start.elapsed().as_secs_f64(),
        processor() - before,
        memory("VmRSS"),
        memory("VmHWM"),
    );
    result
}

fn main() {
    let mut arguments = std::env::args()
        .skip(1)
        .filter(|word| !word.starts_with("--"));
    let sizes = match arguments.next().map(|word| (word.parse::<u32>(), word)) {
        Some((Ok(millions), _)) => vec![millions],
        Some((Err(_), path)) => {
            let heap = timed("reading", || read(path.as_ref(), ReadEdges::Load));
            return analyses(&heap.expect("a snapshot"));
        }
        None => vec![5, 20],
    };
    for millions in sizes {
        let heap = heap(millions * 1_000_000);
        // The peak of making the heap does not count.
        let _ = std::fs::write("/proc/self/clear_refs", "5");
        analyses(&heap);
    }
}

fn analyses(heap: &Heap) {
    println!(
        "{} objects, {} references, {} threads; the heap: {} MB",
        heap.objects.len(),
        heap.edges.as_ref().map_or(0, |edges| edges.target.len()),
        rayon::current_num_threads(),
        memory("VmRSS"),
    );
    let Some(graph) = timed("graph", || Graph::new(heap)) else {
        return;
    };
    let tree = timed("dominators", || Dominators::new(&graph));
    let found = timed("garbage", || garbage(&graph));
    println!(
        "  {} objects below the top; {} garbage, {} kinds of cycles",
        tree.top().len(),
        found.collectable.len(),
        found.groups.len()
    );
    let mut counts = vec![0u32; heap.types.len()];
    for id in &heap.objects.type_id {
        counts[id.0 as usize] += 1;
    }
    let commonest = counts.iter().enumerate().max_by_key(|(_, count)| **count);
    let mut members = ObjectSet::new(graph.len());
    for (object, id) in (0..).zip(&heap.objects.type_id) {
        if commonest.is_some_and(|(row, _)| row == id.0 as usize) {
            members.insert(ObjectId(object));
        }
    }
    let merged = timed("merged paths of the commonest type", || {
        merged_paths(&graph, &members)
    });
    println!("  {} objects, {} places", members.len(), merged.len());
}
