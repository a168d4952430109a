//! The age of objects over several looks, and what grows.

use crate::maker::Maker;
use memshed_analysis::{Ages, Cohorts, FindingKind, findings, places};
use memshed_heap::{Heap, Label, LabelKind, ObjectId, RootKind};

/// A heap with a module `app`, its dictionary `CACHE`, and in that the values at these addresses,
/// which are their numbers.
fn heap(second: f64, values: &[u64], others: u64) -> Heap {
    let mut maker = Maker::default();
    maker.heap.snapshot.taken_at = second;
    let module = maker.root(RootKind::Module, "app", "module");
    let cache = maker.in_dict(module, "CACHE", "dict");
    for (position, &value) in (0..).zip(values) {
        let label = Label::new(LabelKind::Value, position);
        let object = maker.held(cache, label, "app.Session");
        set(&mut maker.heap, object, 0x10_0000 + value * 64, 1000);
    }
    for other in 0..others {
        let object = maker.index(module, other, "app.Passing");
        // Each look sees others.
        let at = 0x80_0000 + (second as u64 * 10_000 + other) * 64;
        set(&mut maker.heap, object, at, 1000);
    }
    maker.heap
}

/// Moves an object, which must be the last one, and gives it bytes.
pub fn set(heap: &mut Heap, object: ObjectId, address: u64, bytes: u64) {
    let mut addresses: Vec<u64> = heap.objects.address.iter().collect();
    addresses[object.0 as usize] = address;
    heap.objects.address = addresses.into_iter().collect();
    let mut allocated: Vec<u64> = heap.objects.allocated.iter().collect();
    allocated[object.0 as usize] = bytes;
    heap.objects.allocated = Default::default();
    for bytes in allocated {
        heap.objects.allocated.push(bytes);
    }
}

/// The last heap, and all of them as cohorts; at each look the values in the cache are those that
/// `values` gives.
fn watch(looks: u64, values: impl Fn(u64) -> Vec<u64>) -> (Heap, Cohorts) {
    let mut cohorts = Cohorts::default();
    let mut last = Heap::default();
    for look in 0..looks {
        last = heap(look as f64, &values(look), 30);
        cohorts.add(&last);
    }
    (last, cohorts)
}

fn kinds(heap: &Heap, cohorts: &Cohorts) -> Vec<FindingKind> {
    findings(heap, cohorts)
        .into_iter()
        .map(|f| f.kind)
        .collect()
}

#[test]
fn what_stays_of_each_interval_is_a_leak_and_named_by_its_holder() {
    let (heap, cohorts) = watch(8, |look| (0..20 * (look + 1)).collect());
    let found = findings(&heap, &cohorts);
    assert_eq!(found.len(), 1, "{found:#?}");
    let leak = &found[0];
    assert_eq!(leak.kind, FindingKind::Growth);
    assert_eq!(leak.holder, "app.CACHE");
    assert_eq!(leak.count, 140);
    assert_eq!(leak.bytes, 140_000);
    assert_eq!(leak.types, ["app.Session"]);
    let rate = leak.bytes_per_second.expect("a rate");
    assert!((rate - 20_000.0).abs() < 1.0, "{rate}");
    assert!(
        leak.title.contains("140 app.Session objects"),
        "{}",
        leak.title
    );
}

#[test]
fn warming_up_is_no_leak() {
    let (heap, cohorts) = watch(10, |look| (0..40 * look.min(4) + 1).collect());
    assert_eq!(kinds(&heap, &cohorts), []);
}

#[test]
fn warming_up_that_ends_just_before_the_last_look_is_no_leak() {
    for (looks, warm) in [(6, 3), (7, 4), (8, 5), (9, 6), (6, 2)] {
        let (heap, cohorts) = watch(looks, |look| (0..40 * look.min(warm) + 1).collect());
        assert_eq!(
            kinds(&heap, &cohorts),
            [],
            "{looks} looks, warm after {warm}"
        );
    }
}

#[test]
fn a_job_that_runs_every_now_and_then_and_keeps_something_leaks() {
    let (heap, cohorts) = watch(11, |look| (0..look.div_ceil(3) * 100 + 1).collect());
    assert_eq!(kinds(&heap, &cohorts), [FindingKind::Growth]);
}

#[test]
fn what_c_code_or_the_interpreter_registers_is_named_by_its_root() {
    let mut cohorts = Cohorts::default();
    let mut last = Heap::default();
    for look in 0..7u64 {
        let mut maker = Maker::default();
        maker.heap.snapshot.taken_at = look as f64;
        for one in 0..(look + 1) * 20 {
            let object = maker.root(RootKind::Interpreter, "registered with atexit", "function");
            set(&mut maker.heap, object, 0x10_0000 + one * 64, 1000);
        }
        last = maker.heap;
        cohorts.add(&last);
    }
    let found = findings(&last, &cohorts);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].kind, FindingKind::Growth);
    assert_eq!(found[0].holder, "interpreter: registered with atexit");
    assert_eq!(found[0].count, 120);
}

#[test]
fn a_buffer_that_is_emptied_now_and_then_is_no_leak() {
    let (heap, cohorts) = watch(10, |look| {
        let since = look / 3 * 3;
        (since * 40..(look + 1) * 40).collect()
    });
    assert_eq!(kinds(&heap, &cohorts), []);
}

#[test]
fn a_full_cache_is_no_leak() {
    // As many go as come, and each stays for longer than anybody looks.
    let (heap, cohorts) = watch(8, |look| (look * 20..look * 20 + 400).collect());
    assert_eq!(kinds(&heap, &cohorts), []);
}

#[test]
fn few_looks_tell_of_no_leak() {
    let (heap, cohorts) = watch(3, |look| (0..100 * (look + 1)).collect());
    assert!(kinds(&heap, &cohorts).iter().all(|kind| !kind.is_leak()));
}

#[test]
fn an_object_is_as_old_as_the_first_look_that_saw_it() {
    let (heap, cohorts) = watch(5, |look| (0..10 * (look + 1)).collect());
    let born: Vec<usize> = (0..heap.objects.len() as u32)
        .map(|row| cohorts.born(ObjectId(row)))
        .collect();
    let sessions = cohorts.series("app.Session");
    assert_eq!(
        sessions.iter().map(|s| s.0).collect::<Vec<_>>(),
        [10, 20, 30, 40, 50]
    );
    for look in 0..4 {
        assert_eq!(
            born.iter().filter(|&&b| b == look).count() as u64,
            10 + 3 * u64::from(look == 0)
        );
    }
    assert_eq!(cohorts.born(ObjectId(u32::MAX)), 0);
}

#[test]
fn an_address_with_another_type_is_a_new_object() {
    let mut cohorts = Cohorts::default();
    let mut first = Maker::default();
    first.root(RootKind::Module, "app", "module");
    cohorts.add(&first.heap);
    let mut second = Maker::default();
    second.root(RootKind::Module, "app", "list");
    cohorts.add(&second.heap);
    assert_eq!(cohorts.born(ObjectId(0)), 1);
}

#[test]
fn what_an_old_object_itself_grows_by_counts() {
    let mut cohorts = Cohorts::default();
    let mut last = Heap::default();
    for look in 0..6u64 {
        let mut maker = Maker::default();
        maker.heap.snapshot.taken_at = look as f64;
        let module = maker.root(RootKind::Module, "app", "module");
        let log = maker.in_dict(module, "LOG", "bytearray");
        set(&mut maker.heap, log, 0x9000, 50_000 * (look + 1));
        last = maker.heap;
        cohorts.add(&last);
    }
    let found = places(&last, &cohorts);
    assert_eq!(found[0].pattern, "app.LOG");
    assert_eq!(found[0].ages.total(), 250_000);
    assert_eq!(kinds(&last, &cohorts), [FindingKind::Growth]);
}

#[test]
fn a_text_that_is_replaced_by_a_longer_one_each_time_grows() {
    let mut cohorts = Cohorts::default();
    let mut last = Heap::default();
    for look in 0..7u64 {
        let mut maker = Maker::default();
        maker.heap.snapshot.taken_at = look as f64;
        let module = maker.root(RootKind::Module, "app", "module");
        let text = maker.in_dict(module, "LOG", "str");
        set(
            &mut maker.heap,
            text,
            0x9_0000 + look * 0x10_0000,
            100_000 * (look + 1),
        );
        // One that is replaced by one of the same length does not.
        let other = maker.in_dict(module, "PAGE", "str");
        set(
            &mut maker.heap,
            other,
            0x900_0000 + look * 0x10_0000,
            300_000,
        );
        last = maker.heap;
        cohorts.add(&last);
    }
    let found = findings(&last, &cohorts);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].holder, "app.LOG");
    assert_eq!(found[0].bytes, 600_000);
}

#[test]
fn modules_that_are_made_again_and_again_are_held_by_sys_modules() {
    let mut cohorts = Cohorts::default();
    let mut last = Heap::default();
    for look in 0..7u64 {
        let mut maker = Maker::default();
        maker.heap.snapshot.taken_at = look as f64;
        for one in 0..(look + 1) * 20 {
            let object = maker.root(RootKind::Module, &format!("made{one}"), "module");
            set(&mut maker.heap, object, 0x10_0000 + one * 64, 1000);
        }
        last = maker.heap;
        cohorts.add(&last);
    }
    let found = findings(&last, &cohorts);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].holder, "sys.modules");
    assert_eq!(found[0].count, 120);
}

#[test]
fn a_list_that_is_made_anew_with_one_more_each_time_is_found_by_its_name() {
    let mut cohorts = Cohorts::default();
    let mut last = Heap::default();
    for look in 0..6u64 {
        let mut maker = Maker::default();
        maker.heap.snapshot.taken_at = look as f64;
        let module = maker.root(RootKind::Module, "app", "module");
        let rows = maker.in_dict(module, "ROWS", "list");
        set(&mut maker.heap, rows, 0x9_0000 + look * 0x1000, 100);
        for row in 0..(look + 1) * 10 {
            let object = maker.index(rows, row, "app.Row");
            set(&mut maker.heap, object, 0x10_0000 + row * 64, 1000);
        }
        last = maker.heap;
        cohorts.add(&last);
    }
    let found = findings(&last, &cohorts);
    assert_eq!(found[0].holder, "app.ROWS", "{found:#?}");
    assert_eq!(found[0].types[0], "app.Row");
}

#[test]
fn growth_in_many_alike_containers_is_one_finding() {
    let mut cohorts = Cohorts::default();
    let mut last = Heap::default();
    for look in 0..6u64 {
        let mut maker = Maker::default();
        maker.heap.snapshot.taken_at = look as f64;
        let module = maker.root(RootKind::Module, "app", "module");
        let users = maker.in_dict(module, "USERS", "list");
        let mut next = 0x10_0000;
        for user in 0..20u64 {
            let one = maker.index(users, user, "app.User");
            set(&mut maker.heap, one, 0x4_0000 + user * 64, 100);
            let log = maker.attribute(one, "log", "list");
            set(&mut maker.heap, log, 0x8_0000 + user * 64, 100);
            for entry in 0..look {
                let object = maker.index(log, entry, "app.Entry");
                set(&mut maker.heap, object, next + entry * 64, 2000);
            }
            next += 0x1000;
        }
        sort(&mut maker.heap);
        last = maker.heap;
        cohorts.add(&last);
    }
    let found = findings(&last, &cohorts);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(found[0].holder, "app.USERS[…].log");
    assert_eq!(found[0].count, 100);
}

/// Puts the objects in order of address, as a walk does.
pub fn sort(heap: &mut Heap) {
    let objects = std::mem::take(&mut heap.objects);
    let addresses: Vec<u64> = objects.address.iter().collect();
    let mut order: Vec<usize> = (0..addresses.len()).collect();
    order.sort_by_key(|&row| addresses[row]);
    let mut to = vec![0; order.len()];
    for (new, &old) in order.iter().enumerate() {
        to[old] = new as u32;
    }
    let moved = |id: ObjectId| match to.get(id.0 as usize) {
        Some(&row) => ObjectId(row),
        None => id,
    };
    for &old in &order {
        heap.objects.address.push(addresses[old]);
        heap.objects.type_id.push(objects.type_id[old]);
        heap.objects.size.push(objects.size.get(old));
        heap.objects.allocated.push(objects.allocated.get(old));
        heap.objects.refcount.push(objects.refcount[old]);
        heap.objects.generation.push(objects.generation[old]);
        heap.objects.holder.push(moved(objects.holder[old]));
        heap.objects.holder_label.push(objects.holder_label[old]);
    }
    for root in &mut heap.roots {
        root.object = moved(root.object);
    }
    heap.roots.sort_by_key(|root| root.object);
}

#[test]
fn ages_join_look_by_look() {
    let times = [0.0, 1.0, 2.0, 3.0, 4.0];
    let (heap, cohorts) = watch(5, |look| (0..20 * (look + 1)).collect());
    let all = places(&heap, &cohorts);
    let cache = all
        .iter()
        .find(|p| p.pattern == "app.CACHE")
        .expect("a place");
    assert!(cache.ages.is_steady(&times));
    assert_eq!(cache.ages.bytes, [0, 20_000, 20_000, 20_000, 20_000]);
    assert!(!Ages::default().is_steady(&times));
    assert!(!cache.ages.is_steady(&times[..3]));
}
