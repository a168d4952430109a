//! Heaps for the tests: random ones, a small known one, and comparison.

use memshed_heap::{
    BlockKind, BlockUse, Cache, Call, Code, Container, Duplicate, Edges, Fill, Gc, Generation,
    Heap, Label, LabelKind, MemoryPart, Method, NativeKind, NativeUse, ObjectId, Objects, Pools,
    Preview, Problem, Process, Releasable, Root, RootKind, Sizes, SnapshotInfo, SparsePart, Stack,
    StringId, Type, TypeId,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// A size as a snapshot can hold it: some small, some of more than 32 bits.
fn bytes() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..4096, Just(u64::from(u32::MAX)), 0..=i64::MAX as u64]
}

/// Names of all sorts: empty, with quotes, line breaks, NUL and letters beyond ASCII.
fn name() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z_]{0,12}", "\\PC{0,8}", "[\u{0}\n\"'é漢🐍]{0,4}"]
}

/// A sequence of object rows' worth of raw material; ids are reduced to what exists.
pub fn heap() -> impl Strategy<Value = Heap> {
    let tables = (
        vec(name(), 1..20),
        vec((any::<u16>(), any::<u16>(), 0..1u64 << 48), 1..6),
        vec(object(), 0..60),
        vec((any::<u16>(), any::<u16>(), label()), 0..200),
        vec((any::<u16>(), 0usize..6, any::<u16>()), 0..8),
        vec((0..1u64 << 48, any::<[u16; 4]>()), 0..5),
        vec((any::<[u16; 3]>(), vec(any::<u16>(), 0..5)), 0..8),
        vec((0usize..5, any::<[u16; 4]>(), bytes()), 0..5),
    );
    (tables, facts(), any::<bool>()).prop_map(|(tables, facts, with_edges)| {
        let (names, types, rows, edges, roots, pools, code, native) = tables;
        let mut heap = facts;
        for name in &names {
            heap.strings.intern(name);
        }
        let strings = heap.strings.len() as u32;
        let string = |n: u16| StringId(u32::from(n) % strings);
        let count = rows.len() as u32;
        let object = |n: u16| match count {
            0 => ObjectId::NONE,
            _ => ObjectId(u32::from(n) % count),
        };
        heap.types = types
            .into_iter()
            .map(|(name, object_row, address)| Type {
                name: string(name),
                module: string(name / 2),
                address,
                object: object(object_row),
            })
            .collect();
        fill_objects(&mut heap, rows);
        if with_edges {
            let edges = edges.into_iter().filter(|_| count > 0);
            let mut sorted: Vec<_> = edges
                .map(|(source, target, label)| {
                    (object(source), object(target), limit(label, strings))
                })
                .collect();
            sorted.sort_by_key(|edge| edge.0);
            heap.edges = Some(compress(&sorted, count));
        }
        if with_edges {
            let previews = roots.iter().filter(|_| count > 0);
            let mut previews: Vec<Preview> = previews
                .map(|&(row, kind, name)| Preview {
                    object: object(row),
                    position: (kind > 2).then_some(u32::from(name)),
                    text: names[name as usize % names.len()].clone(),
                })
                .collect();
            previews.sort_by_key(|one| (one.object, one.position));
            heap.previews = Some(previews);
        }
        heap.roots = roots
            .into_iter()
            .filter(|_| count > 0)
            .map(|(row, kind, name)| Root {
                object: object(row),
                kind: RootKind::ALL[kind],
                name: string(name),
            })
            .collect();
        heap.roots.sort_by_key(|root| root.object);
        for ([row, name, line], mentions) in code.into_iter().filter(|_| count > 0) {
            heap.stacks.push(Stack {
                thread: string(name),
                calls: mentions
                    .iter()
                    .map(|&n| Call {
                        code: object(n),
                        line: u32::from(n) << 15,
                    })
                    .collect(),
            });
            heap.outer_references.push((object(line), name.into()));
            heap.duplicates.push(Duplicate {
                object: object(name),
                count: line.into(),
                bytes: u64::from(row) << 40,
            });
            heap.libraries.push(string(line));
            heap.fill.push(Fill {
                type_id: heap.objects.type_id[object(row).0 as usize],
                containers: line.into(),
                used: name.into(),
                slots: u64::from(row) << 33,
                spare_bytes: u64::from(line) << 40,
                emptiest: object(name),
            });
            heap.code.push(Code {
                object: object(row),
                name: string(name),
                file: string(line),
                line: line.into(),
                free: mentions.iter().skip(1).map(|&n| string(n / 3)).collect(),
                mentions: mentions.into_iter().map(string).collect(),
            });
        }
        heap.code.sort_by_key(|code| code.object);
        heap.code.dedup_by_key(|code| code.object);
        heap.outer_references.sort_unstable();
        heap.outer_references.dedup_by_key(|one| one.0);
        heap.native = native
            .into_iter()
            .map(|(kind, [owner, number, ..], bytes)| NativeUse {
                kind: NativeKind::ALL[kind],
                owner: (owner % 3 > 0).then(|| string(owner)),
                size: bytes / 3,
                count: number.into(),
                bytes,
                points_into: (0..owner % 4).map(|n| (string(n), n.into())).collect(),
            })
            .collect();
        for (address, [arena, block_size, used, capacity]) in pools {
            heap.pool_table.address.push(address);
            heap.pool_table.arena.push(arena.into());
            heap.pool_table.block_size.push(block_size.into());
            heap.pool_table.used.push(used.into());
            heap.pool_table.capacity.push(capacity.into());
            heap.pool_table.resident.push(u32::from(used) * 4);
        }
        heap
    })
}

#[derive(Clone, Debug)]
struct Row {
    gap: u32,
    type_id: u16,
    size: u64,
    allocated: u64,
    refcount: u32,
    generation: u8,
    holder: Option<(u16, Label)>,
    name: Option<u16>,
}

fn object() -> impl Strategy<Value = Row> {
    let refcount = prop_oneof![1u32..5, Just(Objects::IMMORTAL), any::<u32>()];
    let generation = prop_oneof![0u8..4, Just(Objects::UNTRACKED)];
    (
        (1u32..5000, any::<u16>(), bytes(), bytes()),
        (refcount, generation),
        option::of((any::<u16>(), label())),
        option::of(any::<u16>()),
    )
        .prop_map(|(a, b, holder, name)| Row {
            gap: a.0,
            type_id: a.1,
            size: a.2,
            allocated: a.3,
            refcount: b.0,
            generation: b.1,
            holder,
            name,
        })
}

fn label() -> impl Strategy<Value = Label> {
    let value = prop_oneof![0u64..10, Just(u64::from(Label::MAX)), any::<u64>()];
    (0usize..12, value).prop_map(|(kind, value)| Label::new(LabelKind::ALL[kind], value))
}

/// The label with a name that exists.
fn limit(label: Label, strings: u32) -> Label {
    match label.name() {
        Some(name) => Label::named(label.kind(), StringId(name.0 % strings)),
        None => label,
    }
}

fn fill_objects(heap: &mut Heap, rows: Vec<Row>) {
    let strings = heap.strings.len() as u32;
    let count = rows.len() as u32;
    let objects = &mut heap.objects;
    let mut address = 0x7f00_0000_0000;
    for (row, id) in rows.into_iter().zip(0..) {
        address += u64::from(row.gap);
        objects.address.push(address);
        let kind = TypeId(u32::from(row.type_id) % heap.types.len() as u32);
        objects.type_id.push(kind);
        objects.size.push(row.size);
        objects.allocated.push(row.allocated);
        objects.refcount.push(row.refcount);
        objects.generation.push(row.generation);
        let (holder, label) = match row.holder {
            Some((holder, label)) => (ObjectId(u32::from(holder) % count), limit(label, strings)),
            None => (ObjectId::NONE, Label::new(LabelKind::Unknown, 0)),
        };
        objects.holder.push(holder);
        objects.holder_label.push(label);
        if let Some(name) = row.name {
            heap.names
                .insert(ObjectId(id), StringId(u32::from(name) % strings));
        }
    }
}

fn compress(edges: &[(ObjectId, ObjectId, Label)], objects: u32) -> Edges {
    let mut compressed = Edges {
        start: vec![0],
        ..Edges::default()
    };
    for row in 0..objects {
        for (_, target, label) in edges.iter().filter(|edge| edge.0 == ObjectId(row)) {
            compressed.target.push(*target);
            compressed.label.push(*label);
        }
        compressed.start.push(compressed.target.len() as u64);
    }
    compressed
}

prop_compose! {
    fn facts()(
        words in vec(name(), 6),
        sizes in vec(bytes(), 30),
        signed in any::<[i64; 4]>(),
        pid in any::<i32>(),
        seconds in any::<[u32; 4]>(),
        flags in any::<[bool; 3]>(),
        method in 0usize..4,
        rows in 0usize..3,
    ) -> Heap {
        let reason = flags[0].then(|| words[2].clone());
        let container = flags[1].then_some(Container { limit_bytes: sizes[5], used_bytes: sizes[6] });
        Heap {
            process: Process {
                pid,
                python: words[0].clone(),
                executable: words[1].clone(),
                uptime_seconds: f64::from(seconds[0]) / 7.0,
                threads: seconds[1] >> 1,
                rss_bytes: sizes[0],
                pss_bytes: sizes[1],
                uss_bytes: sizes[2],
                swap_bytes: sizes[3],
                peak_rss_bytes: sizes[4],
                page_tables_bytes: sizes[5],
                kernel_stacks_bytes: sizes[6],
                huge_pool_bytes: sizes[7],
                huge_pages_bytes: sizes[8],
                locked_bytes: sizes[9],
                container,
            },
            snapshot: SnapshotInfo {
                method: [Method::Fork, Method::Pause, Method::Core, Method::File][method],
                method_reason: reason,
                taken_at: f64::from(seconds[2]) / 3.0,
                stopped_ms: f64::from(seconds[3]) / 9.0,
                seconds: 0.25,
                problems: vec![Problem { kind: words[3].clone(), count: sizes[7], example: words[4].clone() }; rows],
            },
            gc: Gc {
                enabled: flags[2],
                generations: vec![Generation {
                    objects: sizes[8],
                    threshold: signed[0],
                    count: signed[1],
                    collections: signed[1],
                    collected: signed[2],
                    uncollectable: signed[3],
                }; rows],
                frozen: sizes[9],
            },
            pools: Pools {
                arenas: sizes[10],
                arena_bytes: sizes[11],
                pools: sizes[12],
                free_pools: sizes[13],
                pool_bytes: sizes[14],
                blocks: sizes[15],
                raw_blocks: flags[0].then_some(sizes[16]),
                used_bytes: sizes[17],
                free_bytes: sizes[18],
                releasable_bytes: sizes[19],
                releasable: Releasable {
                    free_pools: sizes[10],
                    arena_tops: sizes[11],
                    used_pools: sizes[12],
                    malloc: sizes[13],
                },
            },
            caches: vec![Cache { name: words[5].clone(), entries: sizes[20], bytes: sizes[21] }; rows],
            memory: vec![MemoryPart {
                category: words[5].clone(),
                bytes: sizes[22],
                count: sizes[21],
                parts: vec![MemoryPart::sum("a", vec![MemoryPart::new("b", 7)]), MemoryPart::new("c", 0)],
            }; rows],
            blocks: vec![BlockUse { kind: BlockKind::ALL[rows % 5], block_size: 512, blocks: sizes[20] }; rows],
            ..Heap::default()
        }
    }
}

fn sizes(column: &Sizes) -> Vec<u64> {
    column.iter().collect()
}

/// Every column and every fact of the two heaps is equal; edges too, where `expected` has them.
pub fn assert_same(found: &Heap, expected: &Heap) {
    assert_eq!(found.process, expected.process);
    assert_eq!(found.snapshot, expected.snapshot);
    assert_eq!(found.gc, expected.gc);
    assert_eq!(found.pools, expected.pools);
    assert_eq!(found.caches, expected.caches);
    assert_eq!(found.memory, expected.memory);
    assert_eq!(found.blocks, expected.blocks);
    assert_eq!(found.sparse_parts, expected.sparse_parts);
    assert_eq!(found.code, expected.code);
    assert_eq!(found.stacks, expected.stacks);
    assert_eq!(found.native, expected.native);
    assert_eq!(found.outer_references, expected.outer_references);
    assert_eq!(found.duplicates, expected.duplicates);
    assert_eq!(found.fill, expected.fill);
    let paths = |heap: &Heap| -> Vec<String> {
        let paths = heap.libraries.iter().map(|&path| heap.strings.get(path));
        paths.map(str::to_owned).collect()
    };
    assert_eq!(paths(found), paths(expected));
    assert_eq!(found.types, expected.types);
    assert_eq!(found.roots, expected.roots);
    assert_eq!(found.names, expected.names);
    assert!(found.strings.iter().eq(expected.strings.iter()));
    assert_eq!(found.previews, expected.previews);
    let (a, b) = (&found.objects, &expected.objects);
    assert_eq!(a.address, b.address);
    assert_eq!(a.type_id, b.type_id);
    assert_eq!(sizes(&a.size), sizes(&b.size));
    assert_eq!(sizes(&a.allocated), sizes(&b.allocated));
    assert_eq!(a.refcount, b.refcount);
    assert_eq!(a.generation, b.generation);
    assert_eq!(a.holder, b.holder);
    assert_eq!(a.holder_label, b.holder_label);
    let (a, b) = (&found.pool_table, &expected.pool_table);
    assert_eq!(a.address, b.address);
    assert_eq!(a.arena, b.arena);
    assert_eq!(a.block_size, b.block_size);
    assert_eq!(a.used, b.used);
    assert_eq!(a.capacity, b.capacity);
    assert_eq!(a.resident, b.resident);
    match (&found.edges, &expected.edges) {
        (None, None) => {}
        (Some(a), Some(b)) => {
            assert_eq!(a.start, b.start);
            assert_eq!(a.target, b.target);
            assert_eq!(a.label, b.label);
        }
        (a, b) => panic!("edges: {} instead of {}", a.is_some(), b.is_some()),
    }
}

/// A heap of `count` objects in a long list of dictionaries with names, in which every column
/// has something to it.
pub fn example(count: u32) -> Heap {
    let mut heap = Heap::default();
    let names: Vec<StringId> = [
        "dict",
        "builtins",
        "app.Row",
        "app",
        "next",
        "café_漢",
        "__main__",
    ]
    .iter()
    .map(|name| heap.strings.intern(name))
    .collect();
    heap.process.pid = 4242;
    heap.process.python = "3.12.1".to_owned();
    heap.process.rss_bytes = 1 << 30;
    heap.gc.generations = vec![Generation::default(); 3];
    heap.caches.push(Cache::default());
    heap.memory.push(MemoryPart::default());
    heap.sparse_parts.push(SparsePart {
        address: 1 << 40,
        bytes: 512,
        owner: ObjectId(0),
    });
    heap.blocks.push(BlockUse {
        kind: BlockKind::Object,
        block_size: 64,
        blocks: 3,
    });
    heap.snapshot.problems.push(Problem::default());
    for (kind, object) in [(0, 0), (2, 1)] {
        heap.types.push(Type {
            name: names[kind],
            module: names[kind + 1],
            address: 0x5000 + kind as u64,
            object: ObjectId(object),
        });
    }
    let mut edges = Edges {
        start: vec![0],
        ..Edges::default()
    };
    for row in 0..count {
        let objects = &mut heap.objects;
        objects.address.push(0x7f00_0000_0000 + 64 * u64::from(row));
        objects.type_id.push(TypeId(row % 2));
        objects.size.push(64 + u64::from(row % 3));
        objects.allocated.push(if row == 1 { 5 << 32 } else { 80 });
        objects
            .refcount
            .push(if row == 0 { Objects::IMMORTAL } else { 1 });
        objects
            .generation
            .push([0, 1, 2, 3, Objects::UNTRACKED][row as usize % 5]);
        let label = match row % 3 {
            0 => Label::named(LabelKind::Attribute, names[4]),
            1 => Label::named(LabelKind::Key, names[5]),
            _ => Label::new(LabelKind::Index, u64::from(row)),
        };
        objects
            .holder
            .push(row.checked_sub(1).map_or(ObjectId::NONE, ObjectId));
        objects.holder_label.push(match row {
            0 => Label::new(LabelKind::Unknown, 0),
            _ => label,
        });
        if row + 1 < count {
            edges.target.push(ObjectId(row + 1));
            edges.label.push(label);
            edges.target.push(ObjectId(row % 2));
            edges.label.push(Label::named(LabelKind::Field, names[0]));
        }
        edges.start.push(edges.target.len() as u64);
        heap.pool_table.address.push(u64::from(row) << 14);
        heap.pool_table.arena.push(row / 64);
        heap.pool_table.block_size.push(32);
        heap.pool_table.used.push(5);
        heap.pool_table.capacity.push(510);
        heap.pool_table.resident.push(16384);
    }
    let preview = |(object, position)| Preview {
        object: ObjectId(object),
        position,
        text: format!("what is in {object}"),
    };
    let previewed = [(0, None), (0, Some(7)), (count - 1, None)];
    heap.previews = Some(previewed.map(preview).to_vec());
    explanations(&mut heap, &names);
    heap.names.insert(ObjectId(0), names[6]);
    heap.roots.push(Root {
        object: ObjectId(0),
        kind: RootKind::Module,
        name: names[6],
    });
    heap.edges = Some(edges);
    heap
}

/// Fills in what explains a heap.
fn explanations(heap: &mut Heap, names: &[StringId]) {
    heap.code.push(Code {
        object: ObjectId(1),
        name: names[4],
        file: names[5],
        line: 12,
        mentions: vec![names[6], names[0]],
        free: vec![names[0], names[5]],
    });
    heap.stacks.push(Stack {
        thread: names[6],
        calls: vec![Call {
            code: ObjectId(1),
            line: 13,
        }],
    });
    heap.native.push(NativeUse {
        kind: NativeKind::Chunk,
        owner: Some(names[3]),
        size: 1008,
        count: 3,
        bytes: 3024,
        points_into: vec![(names[5], 2)],
    });
    heap.outer_references.push((ObjectId(0), 2));
    heap.duplicates.push(Duplicate {
        object: ObjectId(1),
        count: 5,
        bytes: 400,
    });
    heap.libraries = vec![names[2], names[1]];
    heap.fill.push(Fill {
        type_id: TypeId(0),
        containers: 3,
        used: 10,
        slots: 24,
        spare_bytes: 112,
        emptiest: ObjectId(2),
    });
}

/// An empty directory of this test's own, removed with all that is in it.
pub struct Scratch(pub std::path::PathBuf);

impl Scratch {
    pub fn new(name: &str) -> Scratch {
        let path = std::path::Path::new(env!("CARGO_TARGET_TMPDIR"))
            .join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a directory for the test");
        Scratch(path)
    }

    pub fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.join(name)
    }

    /// The names of what is in it.
    pub fn list(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(&self.0)
            .expect("the test's directory")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .to_string_lossy()
                    .into_owned()
            })
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
