//! A small heap made by hand: a web shop with a cache that is too large.

use memshed_heap::{
    Cache, Container, Edges, Gc, Generation, Heap, Label, LabelKind, MemoryPart, Method,
    NativeKind, NativeUse, ObjectId, Objects, Pools, Problem, Process, Releasable, Root, RootKind,
    SnapshotInfo, Type, TypeId,
};

/// The heap with its edges: those that its holders tell, and one from a customer to the next.
pub fn heap_with_edges() -> Heap {
    let mut heap = heap();
    let objects = &heap.objects;
    let friend = Label::named(LabelKind::Attribute, heap.strings.intern("friend"));
    let mut edges = Edges::default();
    edges.start.push(0);
    for source in 0..objects.len() as u32 {
        for (row, holder) in objects.holder.iter().enumerate() {
            if *holder == ObjectId(source) {
                edges.target.push(ObjectId(row as u32));
                edges.label.push(objects.holder_label[row]);
            }
        }
        if source == 5 {
            edges.target.push(ObjectId(6));
            edges.label.push(friend);
        }
        edges.start.push(edges.target.len() as u64);
    }
    for (row, count) in heap.objects.refcount.iter_mut().enumerate() {
        let to = edges.target.iter().filter(|one| one.0 as usize == row);
        *count = to.count() as u32;
    }
    // Held by C code.
    heap.objects.refcount[10] = 1;
    heap.edges = Some(edges);
    heap
}

/// The same program some time later: a thousand customers more, each with a name.
pub fn heap_later() -> Heap {
    let mut heap = heap();
    heap.snapshot.taken_at += 300.0;
    heap.process.uptime_seconds += 300.0;
    heap.process.rss_bytes += 3_200_000;
    heap.memory[0].bytes += 2_900_000;
    heap.memory[0].parts[0].bytes += 2_900_000;
    heap.memory[3].bytes += 300_000;
    heap.memory[3].parts[0].bytes += 300_000;
    heap.caches[1].entries += 40;
    heap.caches[1].bytes += 4_000;
    heap.gc.generations[0].collections += 12;
    let name = heap.strings.intern("name");
    let owner = heap.strings.intern("pyexpat.xmlparser");
    heap.native.push(NativeUse {
        kind: NativeKind::Chunk,
        owner: Some(owner),
        size: 1_024,
        count: 290,
        bytes: 296_960,
        points_into: Vec::new(),
    });
    for at in 0..1_000u32 {
        let customer = heap.objects.len() as u32;
        let index = Label::new(LabelKind::Index, u64::from(at + 3));
        let attribute = Label::named(LabelKind::Attribute, name);
        for (kind, size, holder, label) in [
            (4, 48, ObjectId(3), index),
            (1, 2_049, ObjectId(customer), attribute),
        ] {
            let objects = &mut heap.objects;
            let row = objects.len() as u64;
            objects.address.push(0x7f00_0000_1000 + 0x100 * row);
            objects.type_id.push(TypeId(kind));
            objects.size.push(size);
            objects.allocated.push(size.next_multiple_of(16));
            objects.refcount.push(1);
            objects
                .generation
                .push(if kind == 4 { 0 } else { Objects::UNTRACKED });
            objects.holder.push(holder);
            objects.holder_label.push(label);
        }
    }
    heap
}

/// The heap.
pub fn heap() -> Heap {
    let mut heap = Heap {
        process: process(),
        snapshot: snapshot(),
        gc: gc(),
        pools: pools(),
        memory: memory(),
        caches: caches(),
        ..Heap::default()
    };
    for (module, name) in [
        ("builtins", "dict"),
        ("builtins", "str"),
        ("builtins", "list"),
        ("builtins", "module"),
        ("shop.models", "shop.models.Customer"),
        ("shop", "shop.make.<locals>.\x1b[31mRed"),
    ] {
        let row = Type {
            name: heap.strings.intern(name),
            module: heap.strings.intern(module),
            address: 0x5000_0000,
            object: ObjectId::NONE,
        };
        heap.types.push(row);
    }
    let (dict, str_, list, module, customer, red) = (0, 1, 2, 3, 4, 5);
    let names = ["__dict__", "CACHE", "users", "orders", "shop", "name"];
    let [dunder, cache, users, orders, shop, name] = names.map(|n| heap.strings.intern(n));
    let attribute = |name| Label::named(LabelKind::Attribute, name);
    let key = |name| Label::named(LabelKind::Key, name);
    // The module, its dictionary, the cache in it, and what the cache holds.
    let rows = [
        (module, 72, 2, ObjectId::NONE, Label(0)),
        (dict, 4_704, 2, ObjectId(0), attribute(dunder)),
        (dict, 41_943_136, 2, ObjectId(1), key(cache)),
        (list, 8_448_728, 2, ObjectId(2), key(users)),
        (list, 1_048, 1, ObjectId(2), key(orders)),
        (
            customer,
            48,
            0,
            ObjectId(3),
            Label::new(LabelKind::Index, 0),
        ),
        (
            customer,
            48,
            0,
            ObjectId(3),
            Label::new(LabelKind::Index, 1),
        ),
        (
            customer,
            48,
            3,
            ObjectId(3),
            Label::new(LabelKind::Index, 2),
        ),
        (
            str_,
            1_000_049,
            Objects::UNTRACKED,
            ObjectId(5),
            attribute(name),
        ),
        (
            str_,
            57,
            Objects::UNTRACKED,
            ObjectId(2),
            Label::new(LabelKind::KeyObject, 7),
        ),
        (red, 56, 0, ObjectId::NONE, Label(0)),
    ];
    for (i, (kind, size, generation, holder, label)) in rows.into_iter().enumerate() {
        let objects = &mut heap.objects;
        objects.address.push(0x7f00_0000_1000 + 0x100 * i as u64);
        objects.type_id.push(TypeId(kind));
        objects.size.push(size);
        objects.allocated.push(size.next_multiple_of(16));
        objects.refcount.push(1);
        objects.generation.push(generation);
        objects.holder.push(holder);
        objects.holder_label.push(label);
    }
    heap.roots.push(Root {
        object: ObjectId(0),
        kind: RootKind::Module,
        name: shop,
    });
    heap.names.insert(ObjectId(0), shop);
    heap
}

fn process() -> Process {
    Process {
        pid: 4711,
        python: "3.12.1".into(),
        executable: "/usr/local/bin/python3.12".into(),
        uptime_seconds: 273_600.0,
        threads: 14,
        rss_bytes: 100_000_000,
        pss_bytes: 97_500_000,
        uss_bytes: 95_000_000,
        swap_bytes: 0,
        peak_rss_bytes: 130_000_000,
        page_tables_bytes: 327_680,
        kernel_stacks_bytes: 229_376,
        huge_pool_bytes: 0,
        huge_pages_bytes: 0,
        locked_bytes: 0,
        container: Some(Container {
            limit_bytes: 256_000_000,
            used_bytes: 180_000_000,
        }),
    }
}

fn snapshot() -> SnapshotInfo {
    SnapshotInfo {
        method: Method::Fork,
        method_reason: None,
        taken_at: 1_795_465_859.0,
        stopped_ms: 5.8,
        seconds: 1.42,
        problems: vec![Problem {
            kind: "torn_object".into(),
            count: 3,
            example: "0x7f0000001000: a list of 2^61 items".into(),
        }],
    }
}

fn gc() -> Gc {
    let generation = |objects, threshold, collections, collected| Generation {
        objects,
        threshold,
        count: 2,
        collections,
        collected,
        uncollectable: 0,
    };
    Gc {
        enabled: true,
        generations: vec![
            generation(3, 700, 12_345, 678_901),
            generation(1, 10, 1_122, 0),
            generation(4, 10, 17, -1),
        ],
        frozen: 1,
    }
}

fn pools() -> Pools {
    Pools {
        arenas: 12,
        arena_bytes: 1_048_576,
        pools: 768,
        free_pools: 34,
        pool_bytes: 16_384,
        blocks: 98_765,
        raw_blocks: Some(4_321),
        used_bytes: 9_000_000,
        free_bytes: 3_500_000,
        releasable_bytes: 417_792,
        releasable: Releasable {
            free_pools: 393_216,
            arena_tops: 16_384,
            used_pools: 8_192,
            malloc: 0,
        },
    }
}

fn memory() -> Vec<MemoryPart> {
    let part = |name: &str, bytes| MemoryPart::new(name, bytes);
    vec![
        MemoryPart::sum(
            "python_objects",
            vec![
                part("small objects", 41_000_000),
                part("small tables and buffers", 9_500_000),
                part("large ones", 9_500_000),
            ],
        ),
        MemoryPart::sum(
            "python_free",
            vec![
                part("free blocks between objects", 3_000_000),
                part("free pools", 500_000),
            ],
        ),
        part("libraries", 12_000_000),
        MemoryPart::sum(
            "malloc",
            vec![
                part("in use, for pyexpat.xmlparser", 14_000_000),
                part("free", 500_000),
            ],
        ),
        part("unexplained", 10_000_000),
    ]
}

fn caches() -> Vec<Cache> {
    [
        ("tuple free lists", 120, 7_680),
        ("interned strings", 5_432, 393_216),
    ]
    .into_iter()
    .map(|(name, entries, bytes)| Cache {
        name: name.into(),
        entries,
        bytes,
    })
    .collect()
}
