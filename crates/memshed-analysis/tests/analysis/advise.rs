//! Advice on heaps made by hand: what is promised follows from what was seen, and nothing small is told.

use crate::maker::Maker;
use memshed_analysis::advise::{
    Advice, AdviceKind, CollectorCost, Family, GenerationCost, Member, Oldest, Seen, SharedPage,
    Stake, Staying, advise,
};
use memshed_heap::{Generation, Heap, Instances, Label, LabelKind, ObjectId, RootKind, TypeId};

const MB: u64 = 1_000_000;

fn heap(rss: u64) -> Heap {
    let mut heap = Heap::default();
    heap.process.rss_bytes = rss;
    heap.process.python = "3.12.1".into();
    heap.gc.generations = [700, 10, 10]
        .map(|threshold| Generation {
            threshold,
            ..Generation::default()
        })
        .to_vec();
    heap
}

/// The same with so many old objects.
fn heap_with_old(objects: usize) -> Heap {
    let mut heap = heap(100 * MB);
    heap.objects.generation = vec![2; objects];
    heap
}

/// Ten seconds, nine of them on a processor, with so many collections and seconds within them.
fn cost(of: [(u64, f64); 3]) -> CollectorCost {
    CollectorCost {
        seconds: 10.0,
        processor: 9.0,
        samples: 10_000,
        inside: 1,
        generations: of.map(|(collections, seconds)| GenerationCost {
            collections,
            seconds,
            processor: seconds,
            longest: seconds / collections.max(1) as f64,
        }),
        oldest: None,
    }
}

fn seen(cost: CollectorCost, stayed: u64) -> Seen {
    Seen {
        collector: Some(cost),
        staying: Some(Staying {
            old: 1000,
            stayed,
            seconds: 3.0,
            young: (70, 1),
        }),
        ..Seen::default()
    }
}

fn kinds(heap: &Heap, seen: &Seen) -> Vec<AdviceKind> {
    let advised = advise(heap, seen).advice;
    advised.iter().map(|one| one.kind).collect()
}

fn of(heap: &Heap, seen: &Seen, kind: AdviceKind) -> Advice {
    let advised = advise(heap, seen).advice;
    let found = advised.into_iter().find(|one| one.kind == kind);
    found.expect("such advice")
}

fn time(advice: &Advice) -> (f64, f64, f64) {
    match advice.stake {
        Stake::Time {
            ms_per_second,
            share_before,
            share_after,
        } => (ms_per_second, share_before, share_after),
        Stake::Bytes(_) => panic!("not time"),
    }
}

#[test]
fn freezing_spares_full_collections_of_what_stays() {
    // Four full collections took 3.6 of 9 seconds; everything old stays. Between two of them 9,625
    // objects are added: 50 × 11 × 700, of which one in ten outlives its first collection.
    let seen = seen(cost([(900, 0.2), (50, 0.07), (4, 3.6)]), 1000);
    let freeze = of(&heap_with_old(30_000), &seen, AdviceKind::Freeze);
    let (ms, before, after) = time(&freeze);
    assert!((before - 3.87 / 9.0).abs() < 1e-6, "{before}");
    // A visit of what was added takes 1.75 times as long.
    let added = 1.75 * 9625.0;
    let left = 3.6 * added / (30_000.0 + added);
    assert!((ms - 100.0 * (3.6 - left)).abs() < 1e-3, "{ms}");
    // What is left is a share of what is left in all.
    assert!(
        (after - (0.27 + left) / (5.4 + left)).abs() < 1e-6,
        "{after}"
    );
    assert!(
        freeze.title.contains("43 %") && freeze.title.contains("23 %"),
        "{}",
        freeze.title
    );
}

#[test]
fn what_turns_over_is_gone_through_still() {
    let stays = seen(cost([(900, 0.2), (50, 0.07), (4, 3.6)]), 1000);
    let turns = seen(cost([(900, 0.2), (50, 0.07), (4, 3.6)]), 950);
    let heap = heap_with_old(30_000);
    let gain = |seen| time(&of(&heap, seen, AdviceKind::Freeze)).0;
    assert!(gain(&turns) < 0.95 * gain(&stays));
    // Where most of it would stay, other thresholds are advised instead.
    let most = seen(cost([(900, 0.2), (50, 0.07), (4, 3.6)]), 300);
    assert_eq!(kinds(&heap, &most), [AdviceKind::Thresholds]);
}

#[test]
fn where_much_is_added_freezing_is_not_told() {
    // Measured on CPython 3.12: with a million objects frozen, full collections took as much time as
    // before, eight times as often.
    let seen = seen(cost([(10_362, 0.5), (942, 0.16), (11, 1.9)]), 930);
    let young = Staying {
        young: (238, 1),
        ..seen.staying.expect("two looks")
    };
    let seen = Seen {
        staying: Some(young),
        ..seen
    };
    let found = kinds(&heap_with_old(1_087_000), &seen);
    assert_eq!(found, [AdviceKind::Thresholds]);
}

#[test]
fn collections_that_the_program_asks_for_are_told_apart() {
    // Nothing young was collected, so that no full collection came by itself.
    let asked = seen(cost([(0, 0.0), (0, 0.0), (30, 4.5)]), 1000);
    let found = kinds(&heap(100 * MB), &asked);
    assert!(found.contains(&AdviceKind::OwnCollections), "{found:?}");
    let by_itself = seen(cost([(900, 0.2), (50, 0.07), (4, 3.6)]), 1000);
    let found = kinds(&heap(100 * MB), &by_itself);
    assert!(!found.contains(&AdviceKind::OwnCollections), "{found:?}");
}

#[test]
fn what_the_collector_counts_itself_tells_who_asked() {
    let counted = |asked, of: [(u64, f64); 3]| {
        let oldest = Oldest {
            added: 40_000,
            seen: of[2].0,
            asked,
        };
        let cost = CollectorCost {
            oldest: Some(oldest),
            ..cost(of)
        };
        kinds(&heap_with_old(100_000), &seen(cost, 1000))
    };
    // More than other counts explain, but none came too early.
    let many = [(900, 0.2), (50, 0.07), (30, 4.5)];
    assert!(!counted(0, many).contains(&AdviceKind::OwnCollections));
    assert!(counted(20, many).contains(&AdviceKind::OwnCollections));
    // No more than other counts explain, but they did come too early.
    let few = [(9000, 0.2), (500, 0.07), (10, 4.5)];
    assert!(counted(8, few).contains(&AdviceKind::OwnCollections));
    assert!(!counted(1, few).contains(&AdviceKind::OwnCollections));
}

#[test]
fn a_collector_that_costs_little_is_left_alone() {
    let little = seen(cost([(10, 0.01), (1, 0.01), (1, 0.05)]), 1000);
    assert_eq!(kinds(&heap(100 * MB), &little), []);
}

#[test]
fn slots_where_all_instances_are_alike_and_nobody_asks_for_their_dictionaries() {
    let mut maker = Maker::default();
    let kind = maker.new_type("shop.Order");
    let mut heap = maker.heap;
    heap.process.rss_bytes = 50 * MB;
    heap.process.python = "3.12.1".into();
    let class = Instances {
        type_id: kind,
        instances: 100_000,
        bytes: 11_200_000,
        slotted_bytes: 6_400_000,
        attributes: 4,
        alike: true,
        dictionaries: 0,
        weakly_referenced: false,
        example: ObjectId::NONE,
    };
    let with = |class: Instances| {
        let mut heap = heap.clone();
        heap.instances = vec![class];
        let advised = advise(&heap, &Seen::default());
        (advised.advice.len(), advised.declined.len())
    };
    assert_eq!(with(class), (1, 0));
    assert_eq!(
        with(Instances {
            alike: false,
            ..class
        }),
        (0, 1)
    );
    assert_eq!(
        with(Instances {
            dictionaries: 50_000,
            ..class
        }),
        (0, 1)
    );
    // What would spare little is not told at all.
    let small = Instances {
        slotted_bytes: 10_300_000,
        ..class
    };
    assert_eq!(with(small), (0, 0));
    let nowhere = Instances {
        type_id: TypeId(9),
        ..class
    };
    assert_eq!(with(nowhere), (1, 0));
}

#[test]
fn a_table_that_was_full_once_is_told_with_its_place() {
    let mut maker = Maker::default();
    let module = maker.root(RootKind::Module, "shop", "module");
    let dict = maker.in_dict(module, "SESSIONS", "dict");
    let mut edges = Vec::new();
    for entry in 0..4 {
        let key = maker.object("str");
        edges.push((dict, Label::new(LabelKind::KeyObject, entry), key));
        let value = maker.held(dict, Label::new(LabelKind::Value, entry), "list");
        edges.push((dict, Label::new(LabelKind::Value, entry), value));
    }
    maker.edges_and(&edges);
    let mut heap = maker.heap;
    heap.process.rss_bytes = 20 * MB;
    let type_id = heap.objects.type_id[dict.0 as usize];
    let fill = memshed_heap::Fill {
        type_id,
        containers: 1,
        used: 4,
        slots: 100_000,
        spare_bytes: 5 * MB,
        emptiest: dict,
    };
    heap.fill = vec![fill];
    assert_eq!(kinds(&heap, &Seen::default()), []);
    let mut sizes = memshed_heap::Sizes::default();
    for row in 0..heap.objects.len() {
        let large = row == dict.0 as usize;
        sizes.push(if large { 5 * MB } else { 64 });
    }
    heap.objects.allocated = sizes;
    let room = of(&heap, &Seen::default(), AdviceKind::Room);
    assert!(
        room.code[0].starts_with("shop.SESSIONS = dict("),
        "{:?}",
        room.code
    );
    let Stake::Bytes(bytes) = room.stake else {
        panic!("not bytes")
    };
    assert!((4_990_000..=5_000_000).contains(&bytes), "{bytes}");
}

#[test]
fn what_the_collector_unshares_is_told_from_what_counting_does() {
    let mut maker = Maker::default();
    let (list, text) = (maker.kind("list"), maker.kind("str"));
    for _ in 0..128 {
        maker.object_of(list, 48, 2);
    }
    for _ in 0..128 {
        maker.object_of(text, 48, memshed_heap::Objects::UNTRACKED);
    }
    let mut heap = maker.heap;
    heap.process.rss_bytes = 100_000;
    // Objects are 64 bytes apart from 0x1000 on: two pages of lists, two of texts. Repeated, so that
    // it is worth a line, for every page may be told again.
    let copied = |page: u64| page <= 3;
    let pages: Vec<SharedPage> = (0..200)
        .flat_map(|_| {
            (1..=4).map(|page| SharedPage {
                address: page << 12,
                shared: !copied(page),
            })
        })
        .collect();
    let member = |pid, parent| Member {
        pid,
        parent,
        rss_bytes: 4 * MB,
        pss_bytes: 2 * MB,
        uss_bytes: MB,
    };
    let family = Family {
        members: vec![member(1, true), member(2, false), member(3, false)],
        pages: vec![pages],
    };
    let seen = Seen {
        family: Some(family),
        ..Seen::default()
    };
    let forks = of(&heap, &seen, AdviceKind::Forks);
    // All pages of lists were copied, and half of the others: the collector's are the other half.
    let Stake::Bytes(bytes) = forks.stake else {
        panic!("not bytes")
    };
    let pages_of_lists = 2 * 200 + 200 / 2;
    assert!(bytes <= 2 * pages_of_lists * 4096 && bytes >= MB, "{bytes}");
}
