//! Times the writing and reading of a snapshot of a synthetic heap, and says the size of each
//! file: `cargo bench -p memshed-heap [-- OBJECTS]`.

use memshed_heap::snapshot::{self, Existing, ReadEdges};
use memshed_heap::{Edges, Heap, Label, LabelKind, ObjectId, Objects, StringId, Type, TypeId};
use std::time::Instant;

/// A heap as a service's might be: 200 types of very different frequency, 20,000 names, sizes
/// of few kinds, a little over three edges for each object, most of them to objects near by.
fn heap(count: u32) -> Heap {
    let mut heap = Heap::default();
    for name in 0..20_000 {
        heap.strings.intern(&format!("attribute_{name}"));
    }
    for row in 0..200u32 {
        heap.types.push(Type {
            name: StringId(row),
            module: StringId(row / 10),
            address: 0x5000 + 400 * u64::from(row),
            object: ObjectId(row),
        });
    }
    let mut random = Random(42);
    let mut edges = Edges {
        start: vec![0],
        ..Edges::default()
    };
    let mut address = 0x7f00_0000_0000;
    for row in 0..count {
        let kind = random.below(200) * random.below(200) / 200;
        let size = 48 + 16 * (kind % 30);
        address += size + 16 * random.below(3);
        let objects = &mut heap.objects;
        objects.address.push(address);
        objects.type_id.push(TypeId(kind as u32));
        objects.size.push(size - 8);
        objects.allocated.push(size);
        objects.refcount.push(1 + random.below(3) as u32);
        objects.generation.push(match kind % 2 {
            0 => 2,
            _ => Objects::UNTRACKED,
        });
        objects.holder.push(match row {
            0 => ObjectId::NONE,
            _ => ObjectId(row - 1 - random.below(u64::from(row.min(1000))) as u32),
        });
        let label = match row {
            0 => Label::new(LabelKind::Unknown, 0),
            _ => label(&mut random),
        };
        objects.holder_label.push(label);
        for _ in 0..random.below(7) + u64::from(row % 5 == 0) {
            let target = match random.below(3) {
                0 => random.below(u64::from(count)) as u32,
                _ => (row + random.below(2000) as u32).min(count - 1),
            };
            edges.target.push(ObjectId(target));
            edges.label.push(label_of(&mut random, row));
        }
        edges.start.push(edges.target.len() as u64);
    }
    heap.edges = Some(edges);
    heap
}

fn label(random: &mut Random) -> Label {
    label_of(random, 0)
}

fn label_of(random: &mut Random, row: u32) -> Label {
    match random.below(4) {
        0 => Label::new(LabelKind::Index, u64::from(row % 1000)),
        1 => Label::new(LabelKind::Value, u64::from(row % 50)),
        2 => Label::named(LabelKind::Field, StringId(random.below(20) as u32)),
        _ => {
            let name = random.below(20_000) * random.below(20_000) / 20_000;
            Label::named(LabelKind::Attribute, StringId(name as u32))
        }
    }
}

/// Knuth's linear congruential generator: the same heap on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// The greatest number of resident bytes so far, in MiB (proc(5), `VmHWM`).
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
    kib.unwrap_or(0u64) / 1024
}

/// Seconds of the processor that this process has used (proc(5), `stat`: fields 14 and 15, in
/// hundredths): steadier than the clock on a busy machine.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let ticks = fields.split_whitespace().skip(11).take(2);
    ticks.filter_map(|n| n.parse::<f64>().ok()).sum::<f64>() / 100.0
}

fn timed(what: &str, run: impl FnOnce()) {
    let (start, cpu) = (Instant::now(), cpu_seconds());
    run();
    let (wall, cpu) = (start.elapsed().as_secs_f64(), cpu_seconds() - cpu);
    println!("{what}: {wall:.2} s, {cpu:.2} s of processor time");
}

fn main() {
    let count = std::env::args().find_map(|argument| argument.parse().ok());
    let heap = heap(count.unwrap_or(5_000_000));
    let edges = heap.edges.as_ref().map_or(0, |edges| edges.target.len());
    println!("{} objects, {edges} edges", heap.objects.len());
    println!("peak before: {} MiB", peak_mib());
    let scratch = std::env::temp_dir().join(format!("memshed-bench-{}", std::process::id()));
    for _ in 0..3 {
        timed("write", || {
            snapshot::write(&heap, &scratch, Existing::Overwrite).expect("written");
        });
    }
    println!("peak after writing: {} MiB", peak_mib());
    for (edges, what) in [
        (ReadEdges::Skip, "read without edges"),
        (ReadEdges::Load, "read with edges"),
    ] {
        for _ in 0..3 {
            timed(what, || {
                let read = snapshot::read(&scratch, edges).expect("read");
                assert_eq!(read.objects.len(), heap.objects.len());
            });
        }
    }
    println!("peak after reading a second heap: {} MiB", peak_mib());
    for entry in std::fs::read_dir(&scratch).expect("listed").flatten() {
        let bytes = entry.metadata().map_or(0, |about| about.len());
        if bytes > 1_000_000 {
            println!(
                "{}: {:.1} MB",
                entry.file_name().display(),
                bytes as f64 / 1e6
            );
        }
    }
    std::fs::remove_dir_all(&scratch).expect("removed");
}
