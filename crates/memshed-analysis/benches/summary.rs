//! Times the analyses on a synthetic heap of 6 M objects, on one core and on all:
//! `cargo bench -p memshed-analysis`.

use memshed_analysis::{SummaryOptions, largest, summary};
use memshed_heap::{Heap, Label, LabelKind, ObjectId, Type, TypeId};
use std::time::Instant;

const OBJECTS: u32 = 6_000_000;
const TYPES: u32 = 500;

fn heap() -> Heap {
    let mut heap = Heap::default();
    for row in 0..TYPES {
        heap.types.push(Type {
            name: heap
                .strings
                .intern(&format!("module{}.Type{row}", row / 10)),
            module: heap.strings.intern(&format!("module{}", row / 10)),
            address: u64::from(row),
            object: ObjectId::NONE,
        });
    }
    let mut random = 42u64;
    for row in 0..OBJECTS {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let bits = random >> 33;
        let objects = &mut heap.objects;
        objects.address.push(u64::from(row) * 64);
        objects.type_id.push(TypeId(bits as u32 % TYPES));
        objects.size.push(bits % 1000);
        objects.allocated.push(bits % 1000 + 16);
        objects.refcount.push(1);
        objects
            .generation
            .push(if bits & 1 == 0 { 2 } else { u8::MAX });
        objects
            .holder
            .push(row.checked_sub(1).map_or(ObjectId::NONE, ObjectId));
        objects.holder_label.push(Label::new(LabelKind::Index, 1));
    }
    heap
}

/// The shortest of five runs, in seconds.
fn shortest<T>(mut run: impl FnMut() -> T) -> f64 {
    let times = (0..5).map(|_| {
        let start = Instant::now();
        std::hint::black_box(run());
        start.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min)
}

fn main() {
    let heap = heap();
    println!("{OBJECTS} objects of {TYPES} types, each held by the one before it");
    for threads in [1, 0] {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .expect("threads");
        pool.install(|| {
            let threads = rayon::current_num_threads();
            let seconds = shortest(|| summary(&heap, &SummaryOptions::default()));
            println!("summary, {threads} thread(s): {seconds:.3} s");
            let seconds = shortest(|| largest(&heap, 20));
            println!("largest 20, {threads} thread(s): {seconds:.3} s");
        });
    }
}
