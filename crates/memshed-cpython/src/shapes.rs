//! Which of CPython's own types is laid out how. Types that are not listed have their base's
//! shape, and what they add to it is scanned.

use crate::layouts::Layout;
use crate::layouts::private::{bytes_io, private_type};
use crate::types::TypeInfo;
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// How the references and the size of an object are found, beyond fields at fixed offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Fields and attributes only.
    Plain,
    /// A C type of variable size without a known layout: all of its block is scanned.
    Scanned,
    List,
    Tuple,
    Dict,
    /// `collections.OrderedDict`.
    OrderedDict,
    /// `set` and `frozenset`.
    Set,
    Str,
    Bytes,
    ByteArray,
    Int,
    Code,
    /// A frame object.
    Frame,
    /// A generator, coroutine or asynchronous generator.
    Generator,
    Module,
    Type,
    Deque,
    Weakref,
    /// `array.array`.
    Array,
    /// `io.BytesIO`.
    BytesIo,
}

/// The shape of one of CPython's types.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    /// Names and offsets of pointers to objects.
    pub(crate) fields: Fields,
    /// The same of pointers that are not owned.
    pub(crate) weak: Fields,
    /// Whether kind and fields are all there is.
    pub(crate) whole: bool,
    /// Otherwise: the offset from which on the object is scanned.
    pub(crate) known_until: u32,
}

/// Names and offsets of pointers to objects.
pub(crate) type Fields = Arc<[(&'static str, u32)]>;

/// The shapes of CPython's types, by `tp_name`.
pub(crate) struct Shapes(FxHashMap<&'static str, Shape>);

impl Shapes {
    /// The shape of the type called `tp_name`.
    pub(crate) fn get(&self, tp_name: &str) -> Option<&Shape> {
        self.0.get(tp_name)
    }

    /// Adds to `info`, which has its base's shape, what the table of private types knows of the type
    /// itself. Whether anything is known, and nothing is missing.
    pub(crate) fn extend(&self, info: &mut TypeInfo, tp_name: &str) -> bool {
        let Some(known) = private_type(tp_name, info.basicsize) else {
            return false;
        };
        let inherited = info.fields.clone();
        let own = known.references.iter().map(|r| (r.label, r.offset));
        let own = own.filter(|(_, offset)| inherited.iter().all(|(_, other)| other != offset));
        info.fields = inherited.iter().copied().chain(own).collect();
        let weak = known.weak.iter().map(|r| (r.label, r.offset));
        info.weak = info.weak.iter().copied().chain(weak).collect();
        info.blocks = info.blocks.iter().chain(&known.blocks).copied().collect();
        !known.more
    }

    /// The shapes as `layout` has them.
    pub(crate) fn new(layout: &Layout) -> Shapes {
        let mut shapes = Shapes(FxHashMap::default());
        for (name, kind) in [
            ("object", Kind::Plain),
            ("NoneType", Kind::Plain),
            ("ellipsis", Kind::Plain),
            ("NotImplementedType", Kind::Plain),
            ("float", Kind::Plain),
            ("complex", Kind::Plain),
            ("int", Kind::Int),
            ("bool", Kind::Int),
            ("str", Kind::Str),
            ("bytes", Kind::Bytes),
            ("list", Kind::List),
            ("tuple", Kind::Tuple),
            ("dict", Kind::Dict),
            ("frozendict", Kind::Dict),
            ("set", Kind::Set),
            ("frozenset", Kind::Set),
            ("collections.deque", Kind::Deque),
            ("array.array", Kind::Array),
        ] {
            shapes.add(name, kind, Vec::new());
        }
        // From 3.15 on the contents are an object.
        let contents = vec![("ob_bytes_object", layout.bytearray.ob_bytes_object)];
        shapes.add("bytearray", Kind::ByteArray, contents);
        let ordered = Shape {
            kind: Kind::OrderedDict,
            fields: Fields::default(),
            weak: Fields::default(),
            whole: false,
            known_until: layout.dict.size,
        };
        shapes.0.insert("collections.OrderedDict", ordered);
        let buffer = vec![("buf", Some(bytes_io::BUF))];
        shapes.add("_io.BytesIO", Kind::BytesIo, buffer);
        shapes.add_functions(layout);
        shapes.add_running_code(layout);
        shapes
    }

    fn add(&mut self, name: &'static str, kind: Kind, fields: Vec<(&'static str, Option<u32>)>) {
        let fields = fields
            .into_iter()
            .filter_map(|(n, at)| at.map(|at| (n, at)))
            .collect();
        self.0.insert(
            name,
            Shape {
                kind,
                fields,
                weak: Fields::default(),
                whole: true,
                known_until: 0,
            },
        );
    }

    fn add_functions(&mut self, layout: &Layout) {
        let f = &layout.function;
        self.add(
            "function",
            Kind::Plain,
            vec![
                ("__globals__", Some(f.func_globals)),
                ("__builtins__", f.func_builtins),
                ("__name__", Some(f.func_name)),
                ("__qualname__", Some(f.func_qualname)),
                ("__code__", Some(f.func_code)),
                ("__defaults__", Some(f.func_defaults)),
                ("__kwdefaults__", Some(f.func_kwdefaults)),
                ("__doc__", Some(f.func_doc)),
                ("__dict__", Some(f.func_dict)),
                ("__closure__", Some(f.func_closure)),
                ("__module__", Some(f.func_module)),
                ("__annotations__", Some(f.func_annotations)),
                ("__annotate__", f.func_annotate),
                ("__type_params__", f.func_typeparams),
            ],
        );
        let m = &layout.method;
        let method = vec![("__func__", Some(m.im_func)), ("__self__", Some(m.im_self))];
        self.add("method", Kind::Plain, method);
        let b = &layout.builtin_method;
        let builtin = vec![
            ("__self__", Some(b.m_self)),
            ("__module__", Some(b.m_module)),
        ];
        self.add("builtin_function_or_method", Kind::Plain, builtin.clone());
        let mut with_class = builtin;
        with_class.push(("mm_class", Some(b.mm_class)));
        self.add("builtin_method", Kind::Plain, with_class);
        self.add(
            "cell",
            Kind::Plain,
            vec![("cell_contents", Some(layout.cell.ob_ref))],
        );
        let w = Some(layout.weakref.wr_callback);
        for name in [
            "weakref",
            "weakref.ReferenceType",
            "weakproxy",
            "weakref.ProxyType",
            "weakcallableproxy",
            "weakref.CallableProxyType",
        ] {
            self.add(name, Kind::Weakref, vec![("__callback__", w)]);
            if let Some(shape) = self.0.get_mut(name) {
                shape.weak = Arc::new([("referent", layout.weakref.wr_object)]);
            }
        }
    }

    fn add_running_code(&mut self, layout: &Layout) {
        let c = &layout.code;
        self.add(
            "code",
            Kind::Code,
            vec![
                ("co_consts", Some(c.co_consts)),
                ("co_names", Some(c.co_names)),
                ("co_code", c.co_varnames.and(c.co_code)),
                ("co_varnames", c.co_varnames),
                ("co_cellvars", c.co_cellvars),
                ("co_freevars", c.co_freevars),
                ("co_localsplusnames", c.co_localsplusnames),
                ("co_localspluskinds", c.co_localspluskinds),
                ("co_filename", Some(c.co_filename)),
                ("co_name", Some(c.co_name)),
                ("co_qualname", c.co_qualname),
                ("co_linetable", Some(c.co_linetable)),
                ("co_exceptiontable", c.co_exceptiontable),
            ],
        );
        let f = &layout.frame_object;
        self.add(
            "frame",
            Kind::Frame,
            vec![
                ("f_back", Some(f.f_back)),
                ("f_trace", Some(f.f_trace)),
                ("f_extra_locals", f.f_extra_locals),
                ("f_locals_cache", f.f_locals_cache),
                ("f_overwritten_fast_locals", f.f_overwritten_fast_locals),
            ],
        );
        let (g, handled) = (&layout.generator, &layout.err_stack_item);
        for name in ["generator", "coroutine", "async_generator"] {
            self.add(
                name,
                Kind::Generator,
                vec![
                    ("gi_frame", g.gi_frame),
                    ("gi_code", g.gi_code),
                    ("__name__", Some(g.gi_name)),
                    ("__qualname__", Some(g.gi_qualname)),
                    ("exc_info", Some(g.gi_exc_state + handled.exc_value)),
                    ("exc_type", handled.exc_type.map(|at| g.gi_exc_state + at)),
                    (
                        "exc_traceback",
                        handled.exc_traceback.map(|at| g.gi_exc_state + at),
                    ),
                    // A coroutine's origin and an asynchronous generator's hooks share the place.
                    (
                        match name {
                            "generator" => "",
                            "coroutine" => "cr_origin",
                            _ => "ag_origin_or_finalizer",
                        },
                        (name != "generator").then_some(g.gi_origin_or_finalizer),
                    ),
                ],
            );
        }
        let t = &layout.traceback;
        let traceback = vec![("tb_next", Some(t.tb_next)), ("tb_frame", Some(t.tb_frame))];
        self.add("traceback", Kind::Plain, traceback);
        let e = &layout.exceptions;
        let exception = vec![
            ("args", Some(e.args)),
            ("__notes__", e.notes),
            ("__traceback__", Some(e.traceback)),
            ("__context__", Some(e.context)),
            ("__cause__", Some(e.cause)),
        ];
        self.add("BaseException", Kind::Plain, exception);
        let m = &layout.module;
        let module = vec![("__dict__", Some(m.md_dict)), ("__name__", Some(m.md_name))];
        self.add("module", Kind::Module, module);
        let t = &layout.ty;
        self.add(
            "type",
            Kind::Type,
            vec![
                ("__dict__", Some(t.tp_dict)),
                ("__bases__", Some(t.tp_bases)),
                ("__mro__", Some(t.tp_mro)),
                ("__base__", Some(t.tp_base)),
                ("tp_cache", Some(t.tp_cache)),
            ],
        );
    }
}
