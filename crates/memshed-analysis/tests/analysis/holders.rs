//! Paths as a Python developer would write them.

use crate::maker::Maker;
use memshed_analysis::{Hop, Places, Start, holder_path};
use memshed_heap::{Code, Heap, Label, LabelKind, ObjectId, RootKind};
use proptest::prelude::*;

fn check(heap: &Heap, object: ObjectId, expected: &str) {
    assert_eq!(holder_path(heap, object).to_string(), expected);
}

#[test]
fn a_path_from_a_module_is_an_expression() {
    let mut m = Maker::default();
    let main = m.root(RootKind::Module, "__main__", "module");
    let cache = m.in_dict(main, "cache", "dict");
    let label = m.named(LabelKind::Key, "users");
    let users = m.held(cache, label, "list");
    let user = m.index(users, 3, "app.User");
    let name = m.attribute(user, "name", "str");
    check(&m.heap, main, "__main__");
    check(&m.heap, cache, "__main__.cache");
    check(&m.heap, name, "__main__.cache[\"users\"][3].name");
    let path = holder_path(&m.heap, name);
    assert_eq!(path.length, 5);
    let types: Vec<_> = path.segments.iter().map(|s| &*s.type_name).collect();
    assert_eq!(types, ["dict", "list", "app.User", "str"]);
    assert_eq!(path.segments[3].object, name);
}

#[test]
fn keys_that_are_not_kept_and_odd_names() {
    let mut m = Maker::default();
    let shop = m.root(RootKind::Module, "shop", "module");
    let cache = m.in_dict(shop, "CACHE", "dict");
    let value = m.held(cache, Label::new(LabelKind::Value, 7), "bytes");
    let key = m.held(cache, Label::new(LabelKind::KeyObject, 7), "str");
    let tags = m.in_dict(shop, "TAGS", "set");
    let tag = m.held(tags, Label::new(LabelKind::KeyObject, 1), "str");
    let odd = m.in_dict(shop, "two words\u{1b}[31m", "list");
    let word = m.held(odd, Label::new(LabelKind::Possible, 24), "str");
    check(&m.heap, value, "shop.CACHE[…]");
    check(&m.heap, key, "shop.CACHE.<key>");
    check(&m.heap, tag, "shop.TAGS.<member>");
    check(
        &m.heap,
        word,
        "shop.__dict__[\"two words\\u{1b}[31m\"].<possibly at offset 24>",
    );
}

#[test]
fn what_a_waiting_function_holds_is_called_by_its_variable() {
    let mut m = Maker::default();
    let asyncio = m.root(RootKind::Module, "asyncio.events", "module");
    let handles = m.in_dict(asyncio, "scheduled", "list");
    let task = m.index(handles, 0, "_asyncio.Task");
    let field = m.named(LabelKind::Field, "coro");
    let outer = m.held(task, field, "coroutine");
    let local = m.named(LabelKind::Local, "inner");
    let inner = m.held(outer, local, "coroutine");
    let local = m.named(LabelKind::Local, "events");
    let events = m.held(inner, local, "asyncio.queues.Queue");
    let queue = m.attribute(events, "_queue", "collections.deque");
    let code = m.object("code");
    // Without edges nothing leads to the code.
    let long = "asyncio.events.scheduled[0].coro.<local inner>.<local events>._queue";
    check(&m.heap, queue, long);
    let own = m.named(LabelKind::Field, "gi_code");
    m.edges_and(&[(inner, own, code)]);
    let name = m.string("consume");
    m.heap.code.push(Code {
        object: code,
        name,
        file: m.heap.strings.intern("/srv/app.py"),
        line: 7,
        mentions: Vec::new(),
        free: Vec::new(),
    });
    let short = "local variable events of consume() (app.py:7), which waits";
    check(&m.heap, events, short);
    check(&m.heap, queue, &format!("{short} → ._queue"));
    check(&m.heap, task, "asyncio.events.scheduled[0]");
}

#[test]
fn functions_that_were_left_do_not_wait() {
    let mut m = Maker::default();
    let app = m.root(RootKind::Module, "app", "module");
    let error = m.in_dict(app, "LAST", "ValueError");
    let field = m.named(LabelKind::Field, "__traceback__");
    let traceback = m.held(error, field, "traceback");
    let field = m.named(LabelKind::Field, "tb_frame");
    let frame = m.held(traceback, field, "frame");
    let local = m.named(LabelKind::Local, "rows");
    let rows = m.held(frame, local, "list");
    let code = m.object("code");
    let own = m.named(LabelKind::Field, "f_code");
    m.edges_and(&[(frame, own, code)]);
    let name = m.string("load");
    m.heap.code.push(Code {
        object: code,
        name,
        file: name,
        line: 7,
        mentions: Vec::new(),
        free: Vec::new(),
    });
    let whole = "app.LAST.__traceback__.tb_frame.<local rows>";
    check(&m.heap, rows, whole);
    // Of a generator, up to 3.10, it is the frame that has the code.
    let mut heap = m.heap;
    let waits = heap.strings.intern("gi_frame");
    heap.objects.holder_label[frame.0 as usize] = Label::named(LabelKind::Field, waits);
    check(
        &heap,
        rows,
        "local variable rows of load() (load:7), which waits",
    );
}

#[test]
fn paths_from_frames_closures_and_the_interpreter() {
    let mut m = Maker::default();
    let place = "local variable rows of handle() (app.py:12), thread 140";
    let rows = m.root(RootKind::Frame, place, "list");
    let row = m.index(rows, 2, "app.Row");
    let codecs = m.root(RootKind::Interpreter, "codec_search_path", "list");
    let search = m.index(codecs, 0, "function");
    let closure = m.named(LabelKind::Closure, "seen");
    let cell = m.held(search, closure, "cell");
    let contents = m.named(LabelKind::Field, "cell_contents");
    let seen = m.held(cell, contents, "set");
    let word = m.root(RootKind::Interned, "interned strings", "str");
    check(&m.heap, rows, place);
    check(&m.heap, row, &format!("{place} → [2]"));
    check(
        &m.heap,
        seen,
        "interpreter: codec_search_path → [0].<closure seen>",
    );
    check(&m.heap, word, "the table of interned strings");
}

/// A decorated function whose closure has the cells of `f` and `cache`, and the edges to its code.
fn decorated(m: &mut Maker) -> (ObjectId, [ObjectId; 3]) {
    let app = m.root(RootKind::Module, "app", "module");
    let parse = m.in_dict(app, "parse", "function");
    let label = m.named(LabelKind::Field, "__code__");
    let code = m.held(parse, label, "code");
    let label = m.named(LabelKind::Field, "__closure__");
    let closure = m.held(parse, label, "tuple");
    let contents = m.named(LabelKind::Field, "cell_contents");
    let held = [(0, "function"), (1, "dict"), (2, "int")].map(|(index, kind)| {
        let cell = m.index(closure, index, "cell");
        m.held(cell, contents, kind)
    });
    let (name, free) = (m.string("inner"), ["f", "cache"].map(|name| m.string(name)));
    m.heap.code.push(Code {
        object: code,
        name,
        file: name,
        line: 1,
        mentions: Vec::new(),
        free: free.to_vec(),
    });
    m.edges_and(&[]);
    (code, held)
}

#[test]
fn variables_of_closures_have_the_names_of_the_code() {
    let mut m = Maker::default();
    let (code, held) = decorated(&mut m);
    let names = |heap: &Heap| held.map(|object| holder_path(heap, object).to_string());
    let unnamed = |index| format!("app.parse.__closure__[{index}].cell_contents");
    let named = [
        "app.parse.<closure f>".to_owned(),
        "app.parse.<closure cache>".to_owned(),
        // More cells than names: a garbled heap.
        unnamed(2),
    ];
    assert_eq!(names(&m.heap), named);
    let mut places = Places::new(&m.heap);
    let of = held.map(|object| places.of(object));
    assert_ne!(of[0], of[1]);
    assert_eq!(of.map(|place| places.name(place).0)[..2], named[..2]);
    // Nothing is known of the code, there are no edges, or they are cut off.
    let unnamed = [0, 1, 2].map(unnamed);
    let damages: [&dyn Fn(&mut Heap); 5] = [
        &|heap| heap.code.clear(),
        &|heap| heap.code[0].object = ObjectId(code.0 + 1),
        &|heap| heap.edges = None,
        &|heap| heap.edges.as_mut().expect("edges").start.truncate(1),
        &|heap| heap.edges.as_mut().expect("edges").target.clear(),
    ];
    for damage in damages {
        let mut heap = m.heap.clone();
        damage(&mut heap);
        assert_eq!(names(&heap), unnamed);
        let mut places = Places::new(&heap);
        let [first, second, _] = held.map(|object| places.of(object));
        assert_eq!(first, second);
        // A look without edges has the names of the cells.
        for (object, name) in held.into_iter().zip(["f", "cache", "more"]) {
            let name = heap.strings.intern(name);
            let cell = heap.objects.holder[object.0 as usize];
            heap.names.insert(cell, name);
        }
        let by_cell = ["f", "cache", "more"].map(|name| format!("app.parse.<closure {name}>"));
        assert_eq!(names(&heap), by_cell);
        let mut places = Places::new(&heap);
        let of = held.map(|object| places.of(object));
        assert_eq!(of.map(|place| places.name(place).0), by_cell);
    }
}

#[test]
fn attributes_of_threads() {
    let mut m = Maker::default();
    let app = m.root(RootKind::Module, "app", "module");
    for (local, field) in [("OLD", "dummies"), ("NEW", "localdummies")] {
        let object = m.in_dict(app, local, "_thread._local");
        let label = m.named(LabelKind::Field, field);
        let dummies = m.held(object, label, "dict");
        let of_thread = m.held(dummies, Label::new(LabelKind::Value, 2), "dict");
        let label = m.named(LabelKind::Key, "cursors");
        let cursors = m.held(of_thread, label, "list");
        let cursor = m.index(cursors, 3, "app.Cursor");
        check(&m.heap, cursor, &format!("app.{local}.cursors[3]"));
        check(&m.heap, of_thread, &format!("app.{local}.{field}[…]"));
        let label = m.named(LabelKind::Key, "no name");
        let odd = m.held(of_thread, label, "list");
        let expected = format!("app.{local}.{field}[…][\"no name\"]");
        check(&m.heap, odd, &expected);
    }
}

#[test]
fn what_no_root_reaches() {
    let mut m = Maker::default();
    let lost = m.object("app.Node");
    let next = m.attribute(lost, "next", "app.Node");
    check(
        &m.heap,
        lost,
        "held by C code, or garbage waiting for a collection",
    );
    check(&m.heap, next, "a app.Node that no root reaches → .next");
    assert!(matches!(
        holder_path(&m.heap, ObjectId(99)).start,
        Start::Nowhere
    ));
    assert!(matches!(
        holder_path(&m.heap, ObjectId::NONE).start,
        Start::Nowhere
    ));
}

#[test]
fn a_linked_list_is_not_written_out() {
    let mut m = Maker::default();
    let main = m.root(RootKind::Module, "app", "module");
    let mut node = m.in_dict(main, "head", "app.Node");
    for _ in 0..1205 {
        node = m.in_dict(node, "next", "app.Node");
    }
    check(&m.heap, node, "app.head.next … (1,204 more) …");
    let value = m.attribute(node, "value", "str");
    check(&m.heap, value, "app.head.next … (1,204 more) … .value");
    assert_eq!(holder_path(&m.heap, value).length, 2 + 2 * 1205 + 1);
}

#[test]
fn the_middle_of_a_long_path_is_left_out() {
    let mut m = Maker::default();
    let mut node = m.root(RootKind::Module, "app", "module");
    for index in 0..100 {
        node = m.index(node, index, "list");
    }
    let path = holder_path(&m.heap, node);
    assert!(path.segments.len() < 30);
    let text = path.to_string();
    assert!(text.starts_with("app[0][1][2]"), "{text}");
    assert!(text.contains("[9] … (80 more) … [90]"), "{text}");
    assert!(text.ends_with("[98][99]"), "{text}");
    let shown: usize = path
        .segments
        .iter()
        .map(|segment| match segment.hop {
            Hop::Elided(count) => count,
            _ => 1,
        })
        .sum();
    assert_eq!(shown, 100);
}

proptest! {
    /// A garbled column of holders, circles and all: every path ends, at a root or not at all.
    #[test]
    fn paths_end_whatever_the_holders(
        holders in prop::collection::vec(0u32..45, 40),
        labels in prop::collection::vec(any::<u32>(), 40),
        roots in prop::collection::btree_set(0u32..40, 0..5),
    ) {
        let mut m = Maker::default();
        for _ in 0..40 {
            m.object("list");
        }
        let name = m.string("root");
        for root in &roots {
            m.heap.roots.push(memshed_heap::Root { object: ObjectId(*root), kind: RootKind::Module, name });
        }
        for (row, (holder, label)) in holders.iter().zip(&labels).enumerate() {
            // 40 and 41 lead out of the heap, 42 and above mean none.
            m.heap.objects.holder[row] = if *holder < 42 { ObjectId(*holder) } else { ObjectId::NONE };
            m.heap.objects.holder_label[row] = Label(*label);
        }
        for row in 0..40 {
            let path = holder_path(&m.heap, ObjectId(row));
            prop_assert!(!path.to_string().is_empty());
            prop_assert!(path.length <= 40);
            match path.start {
                Start::Root { object, .. } => {
                    prop_assert!(roots.contains(&object.0));
                    prop_assert_eq!(m.heap.objects.holder[object.0 as usize], ObjectId::NONE);
                }
                Start::Unreached { object, .. } => {
                    prop_assert_eq!(m.heap.objects.holder[object.0 as usize], ObjectId::NONE);
                }
                Start::Nowhere => prop_assert!(path.segments.is_empty()),
            }
            if let Some(last) = path.segments.last() {
                prop_assert_eq!(last.object, ObjectId(row));
            }
        }
    }
}
