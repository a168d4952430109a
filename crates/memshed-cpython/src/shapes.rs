//! Which of CPython's own types is laid out how. Types that are not listed have their base's
//! shape, and what they add to it is scanned.

use crate::layouts::Layout;
use crate::layouts::private::{
    array, bytes_io, cdata, deque, lru_cache, moment, ndarray, odict, private_type, simple_queue,
};
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
    /// The wrapper that `functools.lru_cache` makes.
    LruCache,
    /// `queue.SimpleQueue` from 3.13 on.
    SimpleQueue,
    /// A `datetime` or `time`; the time zone, if there is one, is at this offset.
    Moment(u32),
    /// An instance of a `ctypes` class.
    CData,
    /// `numpy.ndarray`.
    NdArray,
}

/// The shape of one of CPython's types.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    pub(crate) kind: Kind,
    /// Names and offsets of pointers to objects.
    pub(crate) fields: Fields,
    /// The same of pointers that are not owned.
    pub(crate) weak: Fields,
    /// `tp_basicsize`, where the kind stands on a struct that no header tells; another size is
    /// another struct.
    pub(crate) sizes: &'static [u32],
}

/// Names and offsets of pointers to objects.
pub(crate) type Fields = Arc<[(&'static str, u32)]>;

/// The shapes of CPython's types, by `tp_name`.
pub(crate) struct Shapes {
    by_name: FxHashMap<&'static str, Shape>,
    /// 11 for CPython 3.11.
    minor: u32,
}

impl Shapes {
    /// The shape of the type called `tp_name`, whose instances are of `basicsize` bytes.
    pub(crate) fn get(&self, tp_name: &str, basicsize: u64) -> Option<&Shape> {
        let shape = self.by_name.get(tp_name)?;
        let same = |size: &u32| u64::from(*size) == basicsize;
        (shape.sizes.is_empty() || shape.sizes.iter().any(same)).then_some(shape)
    }

    /// Adds to `info`, which has its base's shape, what the table of private types knows of the type
    /// itself. Whether anything is known, and nothing is missing.
    pub(crate) fn extend(&self, info: &mut TypeInfo, tp_name: &str) -> bool {
        let Some(known) = private_type(tp_name, info.basicsize, self.minor) else {
            return false;
        };
        let own = known.references.iter().map(|r| (r.label, r.offset));
        info.fields = joined(&info.fields, own);
        info.weak = joined(&info.weak, known.weak.iter().map(|r| (r.label, r.offset)));
        if !known.indirect.is_empty() {
            info.indirect = &known.indirect;
        }
        if !known.blocks.is_empty() {
            info.blocks = &known.blocks;
        }
        !known.more
    }

    /// The shapes as `layout` has them.
    pub(crate) fn new(layout: &Layout, minor: u32) -> Shapes {
        let mut shapes = Shapes {
            by_name: FxHashMap::default(),
            minor,
        };
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
            ("NoDefaultType", Kind::Plain),
        ] {
            shapes.add(name, kind, Vec::new());
        }
        // From 3.15 on the contents are an object.
        let contents = vec![("ob_bytes_object", layout.bytearray.ob_bytes_object)];
        shapes.add("bytearray", Kind::ByteArray, contents);
        shapes.add_private();
        shapes.add_exceptions(layout);
        shapes.add_contexts(layout);
        shapes.add_descriptors(layout);
        shapes.add_functions(layout);
        shapes.add_running_code(layout);
        shapes
    }

    /// Kinds that stand on structs of which no header tells.
    fn add_private(&mut self) {
        for (name, kind, sizes) in [
            (
                "collections.deque",
                Kind::Deque,
                &[deque::SIZE, deque::SIZE_3_10][..],
            ),
            ("array.array", Kind::Array, &[array::SIZE]),
            ("collections.OrderedDict", Kind::OrderedDict, &[odict::SIZE]),
            ("_io.BytesIO", Kind::BytesIo, &[bytes_io::SIZE]),
            (
                "functools._lru_cache_wrapper",
                Kind::LruCache,
                &[lru_cache::SIZE, lru_cache::SIZE_3_9],
            ),
            (
                "_queue.SimpleQueue",
                Kind::SimpleQueue,
                &[simple_queue::SIZE],
            ),
            (
                "datetime.datetime",
                Kind::Moment(moment::DATETIME_TZINFO),
                &[moment::DATETIME_SIZE],
            ),
            (
                "datetime.time",
                Kind::Moment(moment::TIME_TZINFO),
                &[moment::TIME_SIZE],
            ),
            ("_ctypes._CData", Kind::CData, &[cdata::SIZE]),
            (
                "numpy.ndarray",
                Kind::NdArray,
                &[ndarray::SIZE, ndarray::SIZE_1_20, ndarray::SIZE_1_19],
            ),
        ] {
            self.add(name, kind, Vec::new());
            if let Some(shape) = self.by_name.get_mut(name) {
                shape.sizes = sizes;
            }
        }
    }

    fn add(&mut self, name: &'static str, kind: Kind, fields: Vec<(&'static str, Option<u32>)>) {
        let fields = fields
            .into_iter()
            .filter_map(|(n, at)| at.map(|at| (n, at)))
            .collect();
        self.by_name.insert(
            name,
            Shape {
                kind,
                fields,
                weak: Fields::default(),
                sizes: &[],
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
            if let Some(shape) = self.by_name.get_mut(name) {
                shape.weak = Arc::new([("referent", layout.weakref.wr_object)]);
            }
        }
    }

    fn add_exceptions(&mut self, layout: &Layout) {
        let e = &layout.exceptions;
        let unicode = [
            ("encoding", Some(e.unicode_encoding)),
            ("object", Some(e.unicode_object)),
            ("reason", Some(e.unicode_reason)),
        ];
        let name = ("name", e.name_error_name);
        for (exception, own) in [
            ("BaseException", &[][..]),
            (
                "BaseExceptionGroup",
                &[("message", e.group_msg), ("exceptions", e.group_excs)],
            ),
            (
                "SyntaxError",
                &[
                    ("msg", Some(e.syntax_msg)),
                    ("filename", Some(e.syntax_filename)),
                    ("lineno", Some(e.syntax_lineno)),
                    ("offset", Some(e.syntax_offset)),
                    ("end_lineno", e.syntax_end_lineno),
                    ("end_offset", e.syntax_end_offset),
                    ("text", Some(e.syntax_text)),
                    ("print_file_and_line", Some(e.syntax_print_file_and_line)),
                ],
            ),
            (
                "ImportError",
                &[
                    ("msg", Some(e.import_msg)),
                    ("name", Some(e.import_name)),
                    ("path", Some(e.import_path)),
                    ("name_from", e.import_name_from),
                ],
            ),
            ("UnicodeEncodeError", &unicode),
            ("UnicodeDecodeError", &unicode),
            ("UnicodeTranslateError", &unicode),
            ("SystemExit", &[("code", Some(e.system_exit_code))]),
            (
                "OSError",
                &[
                    ("errno", Some(e.os_errno)),
                    ("strerror", Some(e.os_strerror)),
                    ("filename", Some(e.os_filename)),
                    ("filename2", Some(e.os_filename2)),
                ],
            ),
            ("StopIteration", &[("value", Some(e.stop_iteration_value))]),
            ("NameError", &[name]),
            (
                "AttributeError",
                &[
                    ("obj", e.attribute_error_obj),
                    ("name", e.attribute_error_name),
                ],
            ),
        ] {
            let mut fields = vec![
                ("args", Some(e.args)),
                ("__notes__", e.notes),
                ("__traceback__", Some(e.traceback)),
                ("__context__", Some(e.context)),
                ("__cause__", Some(e.cause)),
            ];
            fields.extend_from_slice(own);
            self.add(exception, Kind::Plain, fields);
        }
    }

    fn add_contexts(&mut self, layout: &Layout) {
        let (c, v, t) = (&layout.context, &layout.context_var, &layout.context_token);
        let context = vec![("previous", Some(c.ctx_prev)), ("vars", Some(c.ctx_vars))];
        self.add("_contextvars.Context", Kind::Plain, context);
        let variable = vec![("name", Some(v.var_name)), ("default", Some(v.var_default))];
        self.add("_contextvars.ContextVar", Kind::Plain, variable);
        let token = vec![
            ("context", Some(t.tok_ctx)),
            ("var", Some(t.tok_var)),
            ("old_value", Some(t.tok_oldval)),
        ];
        self.add("_contextvars.Token", Kind::Plain, token);
        let root = vec![("root", Some(layout.hamt.h_root))];
        self.add("hamt", Kind::Plain, root);
    }

    fn add_descriptors(&mut self, layout: &Layout) {
        let d = &layout.descr;
        for name in [
            "wrapper_descriptor",
            "method_descriptor",
            "classmethod_descriptor",
            "getset_descriptor",
            "member_descriptor",
        ] {
            let fields = vec![
                ("__objclass__", Some(d.d_type)),
                ("__name__", Some(d.d_name)),
                ("__qualname__", Some(d.d_qualname)),
            ];
            self.add(name, Kind::Plain, fields);
        }
        let function = vec![("__func__", Some(layout.instance_method.func))];
        self.add("instancemethod", Kind::Plain, function);
        let s = &layout.slice;
        let slice = vec![
            ("start", Some(s.start)),
            ("stop", Some(s.stop)),
            ("step", Some(s.step)),
        ];
        self.add("slice", Kind::Plain, slice);
        let m = &layout.memoryview;
        self.add("memoryview", Kind::Plain, vec![("mbuf", Some(m.mbuf))]);
        let object = vec![("obj", Some(m.managed_master_obj))];
        self.add("managedbuffer", Kind::Plain, object);
        self.add("types.SimpleNamespace", Kind::Plain, Vec::new());
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

/// `fields` and those of `more` that are at other offsets.
fn joined(fields: &Fields, more: impl Iterator<Item = (&'static str, u32)>) -> Fields {
    let new = more.filter(|(_, at)| fields.iter().all(|(_, other)| other != at));
    fields.iter().copied().chain(new).collect()
}
