//! What comes and goes, and what comes together: over several looks, addresses used again.

use crate::cohorts::{set, sort};
use crate::maker::Maker;
use memshed_analysis::{Cohorts, Finding, FindingKind, findings};
use memshed_heap::{Code, Label, LabelKind, MemoryPart, NativeKind, NativeUse, ObjectId, RootKind};

/// The findings after so many looks, a second apart, at heaps that `make` fills; it is given the
/// look's number and a module `app`.
fn watch(looks: u64, make: impl Fn(u64, ObjectId, &mut Maker)) -> Vec<Finding> {
    let mut cohorts = Cohorts::default();
    let mut last = None;
    for look in 0..looks {
        let mut maker = Maker::default();
        maker.heap.snapshot.taken_at = look as f64;
        let module = maker.root(RootKind::Module, "app", "module");
        make(look, module, &mut maker);
        sort(&mut maker.heap);
        cohorts.add(&maker.heap);
        last = Some(maker.heap);
    }
    findings(&last.expect("a look"), &cohorts)
}

/// Fills a dictionary with an object at each of these places, which tell its address.
fn fill(maker: &mut Maker, cache: ObjectId, of: &str, places: Vec<u64>) {
    for (position, place) in (0..).zip(places) {
        let object = maker.held(cache, Label::new(LabelKind::Value, position), of);
        set(&mut maker.heap, object, 0x10_0000 + place * 64, 4000);
    }
}

/// A dictionary `app.NAME`, filled so.
fn cache(maker: &mut Maker, module: ObjectId, name: &str, of: &str, places: Vec<u64>) {
    let cache = maker.in_dict(module, name, "dict");
    fill(maker, cache, of, places);
}

/// The places of 60 sessions: as many from each look so far, since the new ones take the addresses of
/// some that went.
fn mixed(look: u64) -> Vec<u64> {
    (0..=look)
        .flat_map(|one| one * 100..one * 100 + 60 / (look + 1))
        .collect()
}

#[test]
fn a_full_cache_whose_addresses_are_used_again_is_no_leak() {
    let found = watch(10, |look, module, maker| {
        cache(maker, module, "CACHE", "app.Session", mixed(look));
    });
    assert_eq!(found, []);
}

#[test]
fn a_cache_that_fills_after_the_first_look_is_no_leak() {
    let found = watch(10, |look, module, maker| {
        let places = if look == 0 {
            (0..7).collect()
        } else {
            mixed(look)
        };
        cache(maker, module, "CACHE", "app.Session", places);
    });
    assert_eq!(found, []);
}

#[test]
fn a_buffer_that_is_emptied_and_filled_at_the_same_addresses_is_no_leak() {
    for period in [3, 4, 5] {
        let found = watch(10, |look, module, maker| {
            // A few addresses more each time.
            let places = (0..(look % period + 1) * 50 + look * 10).collect();
            cache(maker, module, "BUFFER", "app.Event", places);
        });
        assert_eq!(found, [], "emptied each {period} looks");
    }
}

#[test]
fn a_list_whose_room_is_given_up_now_and_then_is_no_leak() {
    let found = watch(10, |look, module, maker| {
        let list = maker.in_dict(module, "BUFFER", "list");
        set(&mut maker.heap, list, 0x9000, 60_000 * (look % 2 + 1));
    });
    assert_eq!(found, []);
}

#[test]
fn what_two_containers_keep_of_the_same_is_one_finding() {
    let found = watch(8, |look, module, maker| {
        let places: Vec<u64> = (0..50 * (look + 1)).collect();
        let others = places.iter().map(|place| place + 10_000).collect();
        let names = maker.in_dict(module, "BY_NAME", "dict");
        let mails = maker.in_dict(module, "BY_MAIL", "dict");
        fill(maker, names, "app.User", places);
        fill(maker, mails, "app.Mail", others);
    });
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].types.contains(&"app.User".to_owned()));
    assert!(found[0].types.contains(&"app.Mail".to_owned()));
    let other = "together with that: app.BY_";
    assert!(found[0].evidence.iter().any(|line| line.starts_with(other)));
    assert_eq!(found[0].bytes, 2 * 350 * 4000);
    assert!(
        found[0].title.ends_with("; in all 2.8 MB"),
        "{}",
        found[0].title
    );
}

#[test]
fn a_finalizer_that_puts_objects_back_is_told() {
    for (method, told) in [("append", true), ("remove", false)] {
        let found = watch(8, |look, module, maker| {
            let pool = maker.in_dict(module, "POOL", "list");
            let code = maker.object("code");
            fill(maker, pool, "app.Buffer", (0..20 * (look + 1)).collect());
            let names = ["POOL", method].map(|name| maker.string(name));
            let code = Code {
                object: code,
                name: maker.string("Buffer.__del__"),
                file: maker.string("/srv/app.py"),
                line: 12,
                mentions: names.to_vec(),
                free: Vec::new(),
            };
            maker.heap.code.push(code);
        });
        assert_eq!(found.len(), 1, "{found:#?}");
        let why = "the finalizer Buffer.__del__() puts objects back";
        assert_eq!(found[0].evidence[0].starts_with(why), told, "{found:#?}");
        assert_eq!(found[0].fix.starts_with("Let Buffer.__del__() not"), told);
        assert_eq!(found[0].locations[0].line, 12);
    }
}

/// Chunks of one size that nobody points at.
fn chunks(maker: &mut Maker, size: u64, count: u64) {
    maker.heap.native.push(NativeUse {
        kind: NativeKind::Chunk,
        owner: None,
        size,
        count,
        bytes: size * count,
        points_into: Vec::new(),
    });
    let bytes = maker.heap.native.iter().map(|row| row.bytes).sum();
    let part = |category: &str, parts| MemoryPart {
        category: category.to_owned(),
        bytes,
        parts,
        ..MemoryPart::default()
    };
    let own = part("in use, by whom is not known", Vec::new());
    maker.heap.memory = vec![part("malloc", vec![own])];
}

#[test]
fn a_size_that_grows_is_found_beside_one_that_comes_and_goes() {
    let found = watch(10, |look, _, maker| {
        chunks(maker, 720, 1000 + 200 * look);
        chunks(maker, 1216, if look % 2 == 0 { 500 } else { 4000 });
    });
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].kind, FindingKind::Native);
    assert_eq!(found[0].count, 1800);
    assert_eq!(found[0].bytes, 1800 * 720);
}

#[test]
fn memory_of_c_types_belongs_to_what_holds_them() {
    let found = watch(8, |look, module, maker| {
        cache(
            maker,
            module,
            "CONTEXTS",
            "_ssl._SSLContext",
            (0..10 * (look + 1)).collect(),
        );
        chunks(maker, 48, 100_000 * (look + 1));
    });
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].kind, FindingKind::Growth);
    assert_eq!(found[0].holder, "app.CONTEXTS");
    assert_eq!(found[0].bytes, 70 * 4000 + 700_000 * 48);
}

#[test]
fn what_only_memory_of_c_code_refers_to_and_grows_is_told() {
    let found = watch(8, |look, _, maker| {
        let mut edges = Vec::new();
        for one in 0..30 * (look + 1) {
            let method = maker.object("method");
            set(&mut maker.heap, method, 0x10_0000 + one * 128, 64);
            let repository = maker.object("app.Repository");
            set(&mut maker.heap, repository, 0x10_0040 + one * 128, 3000);
            let own = maker.named(LabelKind::Field, "__self__");
            edges.push((method, own, repository));
            maker.heap.outer_references.push((method, 1));
        }
        maker.edges(&edges);
    });
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].kind, FindingKind::ReferenceCount);
    assert_eq!(found[0].count, 210);
    assert!(
        found[0]
            .title
            .starts_with("C code keeps 210 method objects")
    );
    assert_eq!(found[0].types, ["method", "app.Repository"]);
    let told = "one of them refers to app.Repository by .__self__";
    assert!(
        found[0].evidence.iter().any(|line| line == told),
        "{found:#?}"
    );
}
