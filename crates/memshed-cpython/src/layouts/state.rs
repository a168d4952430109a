// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! Struct definitions of the layout: state.

/// The process-wide state, symbol `_PyRuntime`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// `sizeof(_PyRuntimeState)`.
    pub size: u32,
    /// `offsetof(_PyRuntimeState, initialized)`.
    pub initialized: u32,
    /// `offsetof(_PyRuntimeState, core_initialized)`.
    pub core_initialized: u32,
    /// `offsetof(_PyRuntimeState, _finalizing)`.
    pub finalizing: u32,
    /// `offsetof(_PyRuntimeState, interpreters.head)`.
    pub interpreters_head: u32,
    /// `offsetof(_PyRuntimeState, interpreters.main)`.
    pub interpreters_main: u32,
    /// `offsetof(_PyRuntimeState, main_thread)`.
    pub main_thread: u32,
    /// The statically allocated main interpreter. `offsetof(_PyRuntimeState, _main_interpreter)`.
    pub main_interpreter: Option<u32>,
    /// `offsetof(_PyRuntimeState, unicode_state.ids.next_index)`.
    pub unicode_next_index: Option<u32>,
    /// Pointer to the `_Py_hashtable_t` of static interned strings. `offsetof(_PyRuntimeState, cached_objects.interned_strings)`.
    pub interned_strings: Option<u32>,
    /// Start of the statically allocated objects. `offsetof(_PyRuntimeState, static_objects)`.
    pub static_objects: Option<u32>,
    /// Bytes of them. `sizeof(((_PyRuntimeState*)0)->static_objects)`.
    pub static_objects_size: Option<u32>,
    /// First of the preallocated integers. `offsetof(_PyRuntimeState, static_objects.singletons.small_ints)`.
    pub small_ints: Option<u32>,
    /// How many there are, 32 bytes apart. `_PY_NSMALLNEGINTS + _PY_NSMALLPOSINTS`.
    pub small_ints_count: u32,
    /// `sizeof(PyLongObject)`.
    pub small_ints_stride: u32,
    /// `offsetof(_PyRuntimeState, static_objects.singletons.bytes_empty)`.
    pub bytes_empty: Option<u32>,
    /// The 256 one-byte `bytes`. `offsetof(_PyRuntimeState, static_objects.singletons.bytes_characters)`.
    pub bytes_characters: Option<u32>,
    /// `sizeof(((_PyRuntimeState*)0)->static_objects.singletons.bytes_characters[0])`.
    pub bytes_characters_stride: Option<u32>,
    /// The static strings, a run of ASCII objects of different sizes. `offsetof(_PyRuntimeState, static_objects.singletons.strings)`.
    pub strings: Option<u32>,
    /// `sizeof(((_PyRuntimeState*)0)->static_objects.singletons.strings)`.
    pub strings_size: Option<u32>,
    /// The 128 one-character strings. `offsetof(_PyRuntimeState, static_objects.singletons.strings.ascii)`.
    pub strings_ascii: Option<u32>,
    /// `sizeof(((_PyRuntimeState*)0)->static_objects.singletons.strings.ascii[0])`.
    pub strings_ascii_stride: Option<u32>,
    /// The 128 one-character Latin-1 strings. `offsetof(_PyRuntimeState, static_objects.singletons.strings.latin1)`.
    pub strings_latin1: Option<u32>,
    /// `sizeof(((_PyRuntimeState*)0)->static_objects.singletons.strings.latin1[0])`.
    pub strings_latin1_stride: Option<u32>,
    /// `offsetof(_PyRuntimeState, static_objects.singletons.tuple_empty)`.
    pub tuple_empty: Option<u32>,
    /// `offsetof(_PyRuntimeState, static_objects.singletons.hamt_bitmap_node_empty)`.
    pub hamt_bitmap_node_empty: Option<u32>,
    /// `offsetof(_PyRuntimeState, static_objects.singletons.context_token_missing)`.
    pub context_token_missing: Option<u32>,
    /// `{PyTypeObject *type; int64_t interp_count}` of each static builtin type. `offsetof(_PyRuntimeState, types.managed_static.types)`.
    pub managed_static_types: Option<u32>,
    /// `sizeof(((_PyRuntimeState*)0)->types.managed_static.types) / sizeof(((_PyRuntimeState*)0)->types.managed_static.types[0])`.
    pub managed_static_types_count: Option<u32>,
    /// `sizeof(((_PyRuntimeState*)0)->types.managed_static.types[0])`.
    pub managed_static_types_stride: Option<u32>,
    /// `offsetof(_PyRuntimeState, audit_hooks.head)`.
    pub audit_hooks: u32,
    /// `_Py_hashtable_t` of single-phase extension modules (a `dict` in 3.12.0, see `Python/import.c`). `offsetof(_PyRuntimeState, imports.extensions.hashtable)`.
    pub extensions: Option<u32>,
    /// `offsetof(_PyRuntimeState, gilstate.autoInterpreterState)`.
    pub gilstate_autointerpreter: u32,
    /// Where `faulthandler` writes to; static variables before 3.12. `offsetof(_PyRuntimeState, faulthandler.fatal_error.file)`.
    pub faulthandler_file: Option<u32>,
    /// The same of `dump_traceback_later`. `offsetof(_PyRuntimeState, faulthandler.thread.file)`.
    pub faulthandler_later_file: Option<u32>,
    /// `offsetof(_PyRuntimeState, ceval.gil)`.
    pub ceval_gil: Option<u32>,
    /// `offsetof(_PyRuntimeState, ceval.pending_mainthread)`.
    pub ceval_pending_mainthread: Option<u32>,
}

#[cfg(test)]
impl Runtime {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        see("size", &mut self.size);
        see("initialized", &mut self.initialized);
        see("core_initialized", &mut self.core_initialized);
        see("finalizing", &mut self.finalizing);
        see("interpreters_head", &mut self.interpreters_head);
        see("interpreters_main", &mut self.interpreters_main);
        see("main_thread", &mut self.main_thread);
        if let Some(field) = &mut self.main_interpreter {
            see("main_interpreter", field);
        }
        if let Some(field) = &mut self.unicode_next_index {
            see("unicode_next_index", field);
        }
        if let Some(field) = &mut self.interned_strings {
            see("interned_strings", field);
        }
        if let Some(field) = &mut self.static_objects {
            see("static_objects", field);
        }
        if let Some(field) = &mut self.static_objects_size {
            see("static_objects_size", field);
        }
        if let Some(field) = &mut self.small_ints {
            see("small_ints", field);
        }
        see("small_ints_count", &mut self.small_ints_count);
        see("small_ints_stride", &mut self.small_ints_stride);
        if let Some(field) = &mut self.bytes_empty {
            see("bytes_empty", field);
        }
        if let Some(field) = &mut self.bytes_characters {
            see("bytes_characters", field);
        }
        if let Some(field) = &mut self.bytes_characters_stride {
            see("bytes_characters_stride", field);
        }
        if let Some(field) = &mut self.strings {
            see("strings", field);
        }
        if let Some(field) = &mut self.strings_size {
            see("strings_size", field);
        }
        if let Some(field) = &mut self.strings_ascii {
            see("strings_ascii", field);
        }
        if let Some(field) = &mut self.strings_ascii_stride {
            see("strings_ascii_stride", field);
        }
        if let Some(field) = &mut self.strings_latin1 {
            see("strings_latin1", field);
        }
        if let Some(field) = &mut self.strings_latin1_stride {
            see("strings_latin1_stride", field);
        }
        if let Some(field) = &mut self.tuple_empty {
            see("tuple_empty", field);
        }
        if let Some(field) = &mut self.hamt_bitmap_node_empty {
            see("hamt_bitmap_node_empty", field);
        }
        if let Some(field) = &mut self.context_token_missing {
            see("context_token_missing", field);
        }
        if let Some(field) = &mut self.managed_static_types {
            see("managed_static_types", field);
        }
        if let Some(field) = &mut self.managed_static_types_count {
            see("managed_static_types_count", field);
        }
        if let Some(field) = &mut self.managed_static_types_stride {
            see("managed_static_types_stride", field);
        }
        see("audit_hooks", &mut self.audit_hooks);
        if let Some(field) = &mut self.extensions {
            see("extensions", field);
        }
        see(
            "gilstate_autointerpreter",
            &mut self.gilstate_autointerpreter,
        );
        if let Some(field) = &mut self.faulthandler_file {
            see("faulthandler_file", field);
        }
        if let Some(field) = &mut self.faulthandler_later_file {
            see("faulthandler_later_file", field);
        }
        if let Some(field) = &mut self.ceval_gil {
            see("ceval_gil", field);
        }
        if let Some(field) = &mut self.ceval_pending_mainthread {
            see("ceval_pending_mainthread", field);
        }
    }
}

/// One interpreter. Fields that sit after `obmalloc` have moved in patch releases: check by shape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interp {
    /// `sizeof(PyInterpreterState)`.
    pub size: u32,
    /// `offsetof(PyInterpreterState, next)`.
    pub next: u32,
    /// `offsetof(PyInterpreterState, id)`.
    pub id: u32,
    /// `offsetof(PyInterpreterState, finalizing)`.
    pub finalizing: u32,
    /// `struct _gc_runtime_state`, inline. `offsetof(PyInterpreterState, gc)`.
    pub gc: u32,
    /// `offsetof(PyInterpreterState, threads.head)`.
    pub threads_head: u32,
    /// `offsetof(PyInterpreterState, threads.main)`.
    pub threads_main: Option<u32>,
    /// `offsetof(PyInterpreterState, threads.count)`.
    pub threads_count: u32,
    /// `offsetof(PyInterpreterState, runtime)`.
    pub runtime: u32,
    /// `offsetof(PyInterpreterState, sysdict)`.
    pub sysdict: u32,
    /// `offsetof(PyInterpreterState, builtins)`.
    pub builtins: u32,
    /// `sys.modules`. `offsetof(PyInterpreterState, imports.modules)`.
    pub modules: u32,
    /// `offsetof(PyInterpreterState, imports.modules_by_index)`.
    pub modules_by_index: u32,
    /// `offsetof(PyInterpreterState, imports.importlib)`.
    pub importlib: u32,
    /// `offsetof(PyInterpreterState, imports.import_func)`.
    pub import_func: u32,
    /// Per-interpreter dictionary for extensions. `offsetof(PyInterpreterState, dict)`.
    pub dict: u32,
    /// `offsetof(PyInterpreterState, codecs.search_path)`.
    pub codec_search_path: u32,
    /// `offsetof(PyInterpreterState, codecs.search_cache)`.
    pub codec_search_cache: u32,
    /// `offsetof(PyInterpreterState, codecs.error_registry)`.
    pub codec_error_registry: u32,
    /// `offsetof(PyInterpreterState, config)`.
    pub config: u32,
    /// `sizeof(PyConfig)`.
    pub config_size: u32,
    /// `offsetof(PyInterpreterState, sysdict_copy)`.
    pub sysdict_copy: Option<u32>,
    /// `offsetof(PyInterpreterState, builtins_copy)`.
    pub builtins_copy: u32,
    /// `offsetof(PyInterpreterState, eval_frame)`.
    pub eval_frame: u32,
    /// `offsetof(PyInterpreterState, before_forkers)`.
    pub before_forkers: u32,
    /// `offsetof(PyInterpreterState, after_forkers_parent)`.
    pub after_forkers_parent: u32,
    /// `offsetof(PyInterpreterState, after_forkers_child)`.
    pub after_forkers_child: u32,
    /// `offsetof(PyInterpreterState, warnings.filters)`.
    pub warnings_filters: u32,
    /// `offsetof(PyInterpreterState, warnings.once_registry)`.
    pub warnings_once_registry: u32,
    /// `offsetof(PyInterpreterState, warnings.default_action)`.
    pub warnings_default_action: u32,
    /// `offsetof(PyInterpreterState, warnings.context)`.
    pub warnings_context: Option<u32>,
    /// ≤ 3.13 `atexit_py_callback **`; from 3.14 a list object. `offsetof(PyInterpreterState, atexit.callbacks)`.
    pub atexit_callbacks: Option<u32>,
    /// `offsetof(PyInterpreterState, atexit.ncallbacks)`.
    pub atexit_ncallbacks: Option<u32>,
    /// Linked list of C callbacks, no objects. `offsetof(PyInterpreterState, atexit.ll_callbacks)`.
    pub atexit_ll_callbacks: Option<u32>,
    /// A list, or NULL. `offsetof(PyInterpreterState, audit_hooks)`.
    pub audit_hooks: u32,
    /// Inline `struct _obmalloc_state` in 3.12, a pointer to one from 3.13; before, static variables of `Objects/obmalloc.c`. `offsetof(PyInterpreterState, obmalloc)`.
    pub obmalloc: Option<u32>,
    /// `offsetof(PyInterpreterState, ceval)`.
    pub ceval: u32,
    /// `offsetof(PyInterpreterState, ceval.pending)`.
    pub ceval_pending: u32,
    /// An `int` that is not 0 if there is something to do between two instructions. `offsetof(PyInterpreterState, ceval.eval_breaker)`.
    pub ceval_eval_breaker: Option<u32>,
    /// `offsetof(PyInterpreterState, ceval.gil)`.
    pub ceval_gil: Option<u32>,
    /// `offsetof(PyInterpreterState, _gil)`.
    pub gil_runtime_state: Option<u32>,
    /// `offsetof(PyInterpreterState, unicode.ids.size)`.
    pub unicode_ids_size: Option<u32>,
    /// `PyObject **` of the strings made by `_Py_IDENTIFIER`. `offsetof(PyInterpreterState, unicode.ids.array)`.
    pub unicode_ids_array: Option<u32>,
    /// Dict (3.12+) of the interned strings; a static variable of `Objects/unicodeobject.c` up to 3.11. `offsetof(PyInterpreterState, cached_objects.interned_strings)`.
    pub interned_strings: Option<u32>,
    /// `offsetof(PyInterpreterState, types)`.
    pub types: Option<u32>,
    /// Array with the state of the static builtin types. `offsetof(PyInterpreterState, types.builtins.initialized)`.
    pub types_builtins: Option<u32>,
    /// Count of them, `size_t`. `offsetof(PyInterpreterState, types.builtins.num_initialized)`.
    pub types_builtins_used: Option<u32>,
    /// `sizeof(((PyInterpreterState*)0)->types.builtins.initialized) / sizeof(((PyInterpreterState*)0)->types.builtins.initialized[0])`.
    pub types_builtins_capacity: Option<u32>,
    /// The same for extension modules' managed static types. `offsetof(PyInterpreterState, types.for_extensions.initialized)`.
    pub types_extensions: Option<u32>,
    /// `offsetof(PyInterpreterState, types.for_extensions.num_initialized)`.
    pub types_extensions_used: Option<u32>,
    /// `offsetof(PyInterpreterState, types.for_extensions.next_index)`.
    pub types_extensions_next: Option<u32>,
    /// `sizeof(((PyInterpreterState*)0)->types.for_extensions.initialized) / sizeof(((PyInterpreterState*)0)->types.for_extensions.initialized[0])`.
    pub types_extensions_capacity: Option<u32>,
    /// Method cache: entries of strong name, borrowed value. `offsetof(PyInterpreterState, types.type_cache.hashtable)`.
    pub type_cache: Option<u32>,
    /// `sizeof(((PyInterpreterState*)0)->types.type_cache.hashtable) / sizeof(struct type_cache_entry)`.
    pub type_cache_entries: Option<u32>,
    /// `offsetof(PyInterpreterState, object_state)`.
    pub object_state: Option<u32>,
    /// `offsetof(PyInterpreterState, dict_state)`.
    pub dict_state: Option<u32>,
    /// Borrowed references to common callables. `offsetof(PyInterpreterState, callable_cache)`.
    pub callable_cache: Option<u32>,
    /// `sizeof(((PyInterpreterState*)0)->callable_cache) / sizeof(void*)`.
    pub callable_cache_count: Option<u32>,
    /// `offsetof(PyInterpreterState, func_state)`.
    pub func_state: Option<u32>,
    /// Borrowed references. `offsetof(PyInterpreterState, func_state.func_version_cache)`.
    pub func_version_cache: Option<u32>,
    /// `offsetof(PyInterpreterState, static_objects)`.
    pub static_objects: Option<u32>,
    /// `sizeof(((PyInterpreterState*)0)->static_objects)`.
    pub static_objects_size: Option<u32>,
    /// `offsetof(PyInterpreterState, static_objects.singletons.hamt_empty)`.
    pub hamt_empty: Option<u32>,
    /// `offsetof(PyInterpreterState, static_objects.singletons.last_resort_memory_error)`.
    pub last_resort_memory_error: Option<u32>,
    /// `offsetof(PyInterpreterState, _initial_thread)`.
    pub initial_thread: Option<u32>,
    /// First tier-2 executor, linked through `vm_data.links`. `offsetof(PyInterpreterState, executor_list_head)`.
    pub executor_list_head: Option<u32>,
    /// `offsetof(PyInterpreterState, asyncio_tasks_head)`.
    pub asyncio_tasks_head: Option<u32>,
    /// `offsetof(PyInterpreterState, xi)`.
    pub xi: Option<u32>,
    /// `offsetof(PyInterpreterState, mem_free_queue)`.
    pub mem_free_queue: Option<u32>,
}

#[cfg(test)]
impl Interp {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        see("size", &mut self.size);
        see("next", &mut self.next);
        see("id", &mut self.id);
        see("finalizing", &mut self.finalizing);
        see("gc", &mut self.gc);
        see("threads_head", &mut self.threads_head);
        if let Some(field) = &mut self.threads_main {
            see("threads_main", field);
        }
        see("threads_count", &mut self.threads_count);
        see("runtime", &mut self.runtime);
        see("sysdict", &mut self.sysdict);
        see("builtins", &mut self.builtins);
        see("modules", &mut self.modules);
        see("modules_by_index", &mut self.modules_by_index);
        see("importlib", &mut self.importlib);
        see("import_func", &mut self.import_func);
        see("dict", &mut self.dict);
        see("codec_search_path", &mut self.codec_search_path);
        see("codec_search_cache", &mut self.codec_search_cache);
        see("codec_error_registry", &mut self.codec_error_registry);
        see("config", &mut self.config);
        see("config_size", &mut self.config_size);
        if let Some(field) = &mut self.sysdict_copy {
            see("sysdict_copy", field);
        }
        see("builtins_copy", &mut self.builtins_copy);
        see("eval_frame", &mut self.eval_frame);
        see("before_forkers", &mut self.before_forkers);
        see("after_forkers_parent", &mut self.after_forkers_parent);
        see("after_forkers_child", &mut self.after_forkers_child);
        see("warnings_filters", &mut self.warnings_filters);
        see("warnings_once_registry", &mut self.warnings_once_registry);
        see("warnings_default_action", &mut self.warnings_default_action);
        if let Some(field) = &mut self.warnings_context {
            see("warnings_context", field);
        }
        if let Some(field) = &mut self.atexit_callbacks {
            see("atexit_callbacks", field);
        }
        if let Some(field) = &mut self.atexit_ncallbacks {
            see("atexit_ncallbacks", field);
        }
        if let Some(field) = &mut self.atexit_ll_callbacks {
            see("atexit_ll_callbacks", field);
        }
        see("audit_hooks", &mut self.audit_hooks);
        if let Some(field) = &mut self.obmalloc {
            see("obmalloc", field);
        }
        see("ceval", &mut self.ceval);
        see("ceval_pending", &mut self.ceval_pending);
        if let Some(field) = &mut self.ceval_eval_breaker {
            see("ceval_eval_breaker", field);
        }
        if let Some(field) = &mut self.ceval_gil {
            see("ceval_gil", field);
        }
        if let Some(field) = &mut self.gil_runtime_state {
            see("gil_runtime_state", field);
        }
        if let Some(field) = &mut self.unicode_ids_size {
            see("unicode_ids_size", field);
        }
        if let Some(field) = &mut self.unicode_ids_array {
            see("unicode_ids_array", field);
        }
        if let Some(field) = &mut self.interned_strings {
            see("interned_strings", field);
        }
        if let Some(field) = &mut self.types {
            see("types", field);
        }
        if let Some(field) = &mut self.types_builtins {
            see("types_builtins", field);
        }
        if let Some(field) = &mut self.types_builtins_used {
            see("types_builtins_used", field);
        }
        if let Some(field) = &mut self.types_builtins_capacity {
            see("types_builtins_capacity", field);
        }
        if let Some(field) = &mut self.types_extensions {
            see("types_extensions", field);
        }
        if let Some(field) = &mut self.types_extensions_used {
            see("types_extensions_used", field);
        }
        if let Some(field) = &mut self.types_extensions_next {
            see("types_extensions_next", field);
        }
        if let Some(field) = &mut self.types_extensions_capacity {
            see("types_extensions_capacity", field);
        }
        if let Some(field) = &mut self.type_cache {
            see("type_cache", field);
        }
        if let Some(field) = &mut self.type_cache_entries {
            see("type_cache_entries", field);
        }
        if let Some(field) = &mut self.object_state {
            see("object_state", field);
        }
        if let Some(field) = &mut self.dict_state {
            see("dict_state", field);
        }
        if let Some(field) = &mut self.callable_cache {
            see("callable_cache", field);
        }
        if let Some(field) = &mut self.callable_cache_count {
            see("callable_cache_count", field);
        }
        if let Some(field) = &mut self.func_state {
            see("func_state", field);
        }
        if let Some(field) = &mut self.func_version_cache {
            see("func_version_cache", field);
        }
        if let Some(field) = &mut self.static_objects {
            see("static_objects", field);
        }
        if let Some(field) = &mut self.static_objects_size {
            see("static_objects_size", field);
        }
        if let Some(field) = &mut self.hamt_empty {
            see("hamt_empty", field);
        }
        if let Some(field) = &mut self.last_resort_memory_error {
            see("last_resort_memory_error", field);
        }
        if let Some(field) = &mut self.initial_thread {
            see("initial_thread", field);
        }
        if let Some(field) = &mut self.executor_list_head {
            see("executor_list_head", field);
        }
        if let Some(field) = &mut self.asyncio_tasks_head {
            see("asyncio_tasks_head", field);
        }
        if let Some(field) = &mut self.xi {
            see("xi", field);
        }
        if let Some(field) = &mut self.mem_free_queue {
            see("mem_free_queue", field);
        }
    }
}

/// One entry of the method cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeCacheEntry {
    /// `sizeof(struct type_cache_entry)`.
    pub size: Option<u32>,
    /// `offsetof(struct type_cache_entry, version)`.
    pub version: Option<u32>,
    /// `offsetof(struct type_cache_entry, name)`.
    pub name: Option<u32>,
    /// `offsetof(struct type_cache_entry, value)`.
    pub value: Option<u32>,
}

#[cfg(test)]
impl TypeCacheEntry {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        if let Some(field) = &mut self.size {
            see("size", field);
        }
        if let Some(field) = &mut self.version {
            see("version", field);
        }
        if let Some(field) = &mut self.name {
            see("name", field);
        }
        if let Some(field) = &mut self.value {
            see("value", field);
        }
    }
}

/// Per-interpreter state of a static builtin type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StaticType {
    /// `sizeof(managed_static_type_state)`.
    pub size: Option<u32>,
    /// `offsetof(managed_static_type_state, type)`.
    pub ty: Option<u32>,
    /// `offsetof(managed_static_type_state, tp_dict)`.
    pub tp_dict: Option<u32>,
    /// `offsetof(managed_static_type_state, tp_subclasses)`.
    pub tp_subclasses: Option<u32>,
    /// `offsetof(managed_static_type_state, tp_weaklist)`.
    pub tp_weaklist: Option<u32>,
}

#[cfg(test)]
impl StaticType {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        if let Some(field) = &mut self.size {
            see("size", field);
        }
        if let Some(field) = &mut self.ty {
            see("ty", field);
        }
        if let Some(field) = &mut self.tp_dict {
            see("tp_dict", field);
        }
        if let Some(field) = &mut self.tp_subclasses {
            see("tp_subclasses", field);
        }
        if let Some(field) = &mut self.tp_weaklist {
            see("tp_weaklist", field);
        }
    }
}

/// Collector state, `interp.gc`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gc {
    /// `sizeof(struct _gc_runtime_state)`.
    pub size: u32,
    /// `offsetof(struct _gc_runtime_state, trash_delete_later)`.
    pub delete_later: Option<u32>,
    /// `offsetof(struct _gc_runtime_state, enabled)`.
    pub enabled: u32,
    /// First of three `struct gc_generation`: youngest first (`young`, `old[0]`, `old[1]` in 3.14.0 to 3.14.4). From 3.13.5 to the end of 3.13 `PyGC_Head` is declared with an alignment of 4, which by GCC's rule for typedefs puts this at 20: check the shape, and try 24. `offsetof(struct _gc_runtime_state, generations)`.
    pub generations: u32,
    /// How many lists follow `generations`, without the permanent one.
    pub generation_count: u32,
    /// `sizeof(struct gc_generation)`.
    pub generation_stride: u32,
    /// `offsetof(struct gc_generation, head)`.
    pub generation_head: u32,
    /// `offsetof(struct gc_generation, threshold)`.
    pub generation_threshold: u32,
    /// `offsetof(struct gc_generation, count)`.
    pub generation_counter: u32,
    /// The list that `gc.freeze` fills. `offsetof(struct _gc_runtime_state, permanent_generation)`.
    pub permanent_generation: u32,
    /// An array; from 3.15 a pointer to `struct gc_stats`, whose rings end with an `int8_t` index of the latest entry. `offsetof(struct _gc_runtime_state, generation_stats)`.
    pub generation_stats: u32,
    /// `offsetof(struct gc_stats, young.items)`.
    pub young_stats: Option<u32>,
    /// `offsetof(struct gc_stats, young.index)`.
    pub young_stats_index: Option<u32>,
    /// `offsetof(struct gc_stats, old[0].items)`.
    pub old_stats: Option<u32>,
    /// `offsetof(struct gc_stats, old[0].index)`.
    pub old_stats_index: Option<u32>,
    /// `sizeof(struct gc_old_stats_buffer)`.
    pub old_stats_stride: Option<u32>,
    /// `sizeof(((struct _gc_runtime_state*)0)->generation_stats) / sizeof(((struct _gc_runtime_state*)0)->generation_stats[0])`.
    pub generation_stats_count: Option<u32>,
    /// `sizeof(struct gc_generation_stats)`.
    pub stats_stride: u32,
    /// `offsetof(struct gc_generation_stats, collections)`.
    pub stats_collections: u32,
    /// `offsetof(struct gc_generation_stats, collected)`.
    pub stats_collected: u32,
    /// `offsetof(struct gc_generation_stats, uncollectable)`.
    pub stats_uncollectable: u32,
    /// `offsetof(struct _gc_runtime_state, collecting)`.
    pub collecting: u32,
    /// `offsetof(struct _gc_runtime_state, garbage)`.
    pub garbage: u32,
    /// `offsetof(struct _gc_runtime_state, callbacks)`.
    pub callbacks: u32,
    /// `offsetof(struct _gc_runtime_state, long_lived_total)`.
    pub long_lived_total: Option<u32>,
    /// `offsetof(struct _gc_runtime_state, long_lived_pending)`.
    pub long_lived_pending: Option<u32>,
    /// `offsetof(struct _gc_runtime_state, heap_size)`.
    pub heap_size: Option<u32>,
    /// `offsetof(struct _gc_runtime_state, work_to_do)`.
    pub work_to_do: Option<u32>,
    /// `offsetof(struct _gc_runtime_state, visited_space)`.
    pub visited_space: Option<u32>,
    /// `offsetof(struct _gc_runtime_state, phase)`.
    pub phase: Option<u32>,
    /// Bytes of the header before every collectable object. `sizeof(PyGC_Head)`.
    pub head_size: u32,
}

#[cfg(test)]
impl Gc {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        see("size", &mut self.size);
        if let Some(field) = &mut self.delete_later {
            see("delete_later", field);
        }
        see("enabled", &mut self.enabled);
        see("generations", &mut self.generations);
        see("generation_count", &mut self.generation_count);
        see("generation_stride", &mut self.generation_stride);
        see("generation_head", &mut self.generation_head);
        see("generation_threshold", &mut self.generation_threshold);
        see("generation_counter", &mut self.generation_counter);
        see("permanent_generation", &mut self.permanent_generation);
        see("generation_stats", &mut self.generation_stats);
        if let Some(field) = &mut self.young_stats {
            see("young_stats", field);
        }
        if let Some(field) = &mut self.young_stats_index {
            see("young_stats_index", field);
        }
        if let Some(field) = &mut self.old_stats {
            see("old_stats", field);
        }
        if let Some(field) = &mut self.old_stats_index {
            see("old_stats_index", field);
        }
        if let Some(field) = &mut self.old_stats_stride {
            see("old_stats_stride", field);
        }
        if let Some(field) = &mut self.generation_stats_count {
            see("generation_stats_count", field);
        }
        see("stats_stride", &mut self.stats_stride);
        see("stats_collections", &mut self.stats_collections);
        see("stats_collected", &mut self.stats_collected);
        see("stats_uncollectable", &mut self.stats_uncollectable);
        see("collecting", &mut self.collecting);
        see("garbage", &mut self.garbage);
        see("callbacks", &mut self.callbacks);
        if let Some(field) = &mut self.long_lived_total {
            see("long_lived_total", field);
        }
        if let Some(field) = &mut self.long_lived_pending {
            see("long_lived_pending", field);
        }
        if let Some(field) = &mut self.heap_size {
            see("heap_size", field);
        }
        if let Some(field) = &mut self.work_to_do {
            see("work_to_do", field);
        }
        if let Some(field) = &mut self.visited_space {
            see("visited_space", field);
        }
        if let Some(field) = &mut self.phase {
            see("phase", field);
        }
        see("head_size", &mut self.head_size);
    }
}

/// The global interpreter lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gil {
    /// An `int`: 1 while a thread holds the GIL. Written under `mutex` only. `offsetof(struct _gil_runtime_state, locked)`.
    pub locked: u32,
    /// A `pthread_mutex_t`. `offsetof(struct _gil_runtime_state, mutex)`.
    pub mutex: u32,
}

#[cfg(test)]
impl Gil {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        see("locked", &mut self.locked);
        see("mutex", &mut self.mutex);
    }
}

/// A ring of functions to be called by a thread that holds the GIL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PendingCalls {
    /// Pointer to a `sem_t`, whose value is 1 if nobody holds the lock. `offsetof(struct _pending_calls, lock)`.
    pub lock: Option<u32>,
    /// A byte, 0 if nobody holds it. `offsetof(struct _pending_calls, mutex)`.
    pub mutex: Option<u32>,
    /// `offsetof(struct _pending_calls, calls_to_do)`.
    pub calls_to_do: Option<u32>,
    /// `offsetof(struct _pending_calls, npending)`.
    pub npending: Option<u32>,
    /// `offsetof(struct _pending_calls, calls)`.
    pub calls: u32,
    /// `sizeof(((struct _pending_calls*)0)->calls) / sizeof(((struct _pending_calls*)0)->calls[0])`.
    pub calls_count: u32,
    /// `sizeof(((struct _pending_calls*)0)->calls[0])`.
    pub calls_stride: u32,
    /// `offsetof(struct _pending_calls, first)`.
    pub first: u32,
    /// Where the next one is put. `offsetof(struct _pending_calls, next)`.
    pub next: u32,
}

#[cfg(test)]
impl PendingCalls {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        if let Some(field) = &mut self.lock {
            see("lock", field);
        }
        if let Some(field) = &mut self.mutex {
            see("mutex", field);
        }
        if let Some(field) = &mut self.calls_to_do {
            see("calls_to_do", field);
        }
        if let Some(field) = &mut self.npending {
            see("npending", field);
        }
        see("calls", &mut self.calls);
        see("calls_count", &mut self.calls_count);
        see("calls_stride", &mut self.calls_stride);
        see("first", &mut self.first);
        see("next", &mut self.next);
    }
}

/// One thread's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tstate {
    /// `sizeof(PyThreadState)`.
    pub size: u32,
    /// Bytes of the whole allocation. `sizeof(_PyThreadStateImpl)`.
    pub impl_size: u32,
    /// `offsetof(PyThreadState, prev)`.
    pub prev: u32,
    /// `offsetof(PyThreadState, next)`.
    pub next: u32,
    /// `offsetof(PyThreadState, interp)`.
    pub interp: u32,
    /// `offsetof(PyThreadState, _status)`.
    pub status: Option<u32>,
    /// A word whose bits say what there is to do between two instructions. `offsetof(PyThreadState, eval_breaker)`.
    pub eval_breaker: Option<u32>,
    /// The bit of `eval_breaker` for pending calls. `_PY_CALLS_TO_DO_BIT`.
    pub calls_to_do_bit: Option<u32>,
    /// `offsetof(PyThreadState, thread_id)`.
    pub thread_id: u32,
    /// `offsetof(PyThreadState, native_thread_id)`.
    pub native_thread_id: Option<u32>,
    /// `offsetof(PyThreadState, id)`.
    pub id: u32,
    /// Pointer to a `_PyCFrame` on the C stack. `offsetof(PyThreadState, cframe)`.
    pub cframe: Option<u32>,
    /// `offsetof(_PyCFrame, current_frame)`.
    pub cframe_current_frame: Option<u32>,
    /// Up to 3.10 a frame object. `offsetof(PyThreadState, current_frame)`.
    pub current_frame: Option<u32>,
    /// `offsetof(PyThreadState, dict)`.
    pub dict: u32,
    /// `offsetof(PyThreadState, context)`.
    pub context: u32,
    /// `offsetof(PyThreadState, exc_info)`.
    pub exc_info: u32,
    /// `offsetof(PyThreadState, exc_state)`.
    pub exc_state: u32,
    /// `offsetof(PyThreadState, curexc_type)`.
    pub curexc_type: Option<u32>,
    /// `offsetof(PyThreadState, curexc_value)`.
    pub curexc_value: Option<u32>,
    /// `offsetof(PyThreadState, curexc_traceback)`.
    pub curexc_traceback: Option<u32>,
    /// `offsetof(PyThreadState, current_exception)`.
    pub current_exception: Option<u32>,
    /// `offsetof(PyThreadState, async_exc)`.
    pub async_exc: u32,
    /// `offsetof(PyThreadState, c_profileobj)`.
    pub c_profileobj: u32,
    /// `offsetof(PyThreadState, c_traceobj)`.
    pub c_traceobj: u32,
    /// `offsetof(PyThreadState, async_gen_firstiter)`.
    pub async_gen_firstiter: u32,
    /// `offsetof(PyThreadState, async_gen_finalizer)`.
    pub async_gen_finalizer: u32,
    /// `offsetof(PyThreadState, datastack_chunk)`.
    pub datastack_chunk: Option<u32>,
    /// `offsetof(PyThreadState, datastack_top)`.
    pub datastack_top: Option<u32>,
    /// `offsetof(PyThreadState, datastack_limit)`.
    pub datastack_limit: Option<u32>,
    /// `offsetof(PyThreadState, datastack_cached_chunk)`.
    pub datastack_cached_chunk: Option<u32>,
    /// `offsetof(PyThreadState, delete_later)`.
    pub delete_later: u32,
    /// `offsetof(PyThreadState, current_executor)`.
    pub current_executor: Option<u32>,
    /// `offsetof(PyThreadState, threading_local_key)`.
    pub threading_local_key: Option<u32>,
    /// `offsetof(PyThreadState, threading_local_sentinel)`.
    pub threading_local_sentinel: Option<u32>,
    /// `offsetof(_PyThreadStateImpl, asyncio_running_loop)`.
    pub asyncio_running_loop: Option<u32>,
    /// `offsetof(_PyThreadStateImpl, asyncio_running_task)`.
    pub asyncio_running_task: Option<u32>,
    /// `offsetof(_PyThreadStateImpl, asyncio_tasks_head)`.
    pub asyncio_tasks_head: Option<u32>,
}

#[cfg(test)]
impl Tstate {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        see("size", &mut self.size);
        see("impl_size", &mut self.impl_size);
        see("prev", &mut self.prev);
        see("next", &mut self.next);
        see("interp", &mut self.interp);
        if let Some(field) = &mut self.status {
            see("status", field);
        }
        if let Some(field) = &mut self.eval_breaker {
            see("eval_breaker", field);
        }
        if let Some(field) = &mut self.calls_to_do_bit {
            see("calls_to_do_bit", field);
        }
        see("thread_id", &mut self.thread_id);
        if let Some(field) = &mut self.native_thread_id {
            see("native_thread_id", field);
        }
        see("id", &mut self.id);
        if let Some(field) = &mut self.cframe {
            see("cframe", field);
        }
        if let Some(field) = &mut self.cframe_current_frame {
            see("cframe_current_frame", field);
        }
        if let Some(field) = &mut self.current_frame {
            see("current_frame", field);
        }
        see("dict", &mut self.dict);
        see("context", &mut self.context);
        see("exc_info", &mut self.exc_info);
        see("exc_state", &mut self.exc_state);
        if let Some(field) = &mut self.curexc_type {
            see("curexc_type", field);
        }
        if let Some(field) = &mut self.curexc_value {
            see("curexc_value", field);
        }
        if let Some(field) = &mut self.curexc_traceback {
            see("curexc_traceback", field);
        }
        if let Some(field) = &mut self.current_exception {
            see("current_exception", field);
        }
        see("async_exc", &mut self.async_exc);
        see("c_profileobj", &mut self.c_profileobj);
        see("c_traceobj", &mut self.c_traceobj);
        see("async_gen_firstiter", &mut self.async_gen_firstiter);
        see("async_gen_finalizer", &mut self.async_gen_finalizer);
        if let Some(field) = &mut self.datastack_chunk {
            see("datastack_chunk", field);
        }
        if let Some(field) = &mut self.datastack_top {
            see("datastack_top", field);
        }
        if let Some(field) = &mut self.datastack_limit {
            see("datastack_limit", field);
        }
        if let Some(field) = &mut self.datastack_cached_chunk {
            see("datastack_cached_chunk", field);
        }
        see("delete_later", &mut self.delete_later);
        if let Some(field) = &mut self.current_executor {
            see("current_executor", field);
        }
        if let Some(field) = &mut self.threading_local_key {
            see("threading_local_key", field);
        }
        if let Some(field) = &mut self.threading_local_sentinel {
            see("threading_local_sentinel", field);
        }
        if let Some(field) = &mut self.asyncio_running_loop {
            see("asyncio_running_loop", field);
        }
        if let Some(field) = &mut self.asyncio_running_task {
            see("asyncio_running_task", field);
        }
        if let Some(field) = &mut self.asyncio_tasks_head {
            see("asyncio_tasks_head", field);
        }
    }
}

/// One entry of the stack of handled exceptions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrStackItem {
    /// `sizeof(_PyErr_StackItem)`.
    pub size: u32,
    /// `offsetof(_PyErr_StackItem, exc_type)`.
    pub exc_type: Option<u32>,
    /// `offsetof(_PyErr_StackItem, exc_value)`.
    pub exc_value: u32,
    /// `offsetof(_PyErr_StackItem, exc_traceback)`.
    pub exc_traceback: Option<u32>,
    /// `offsetof(_PyErr_StackItem, previous_item)`.
    pub previous_item: u32,
}

#[cfg(test)]
impl ErrStackItem {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        see("size", &mut self.size);
        if let Some(field) = &mut self.exc_type {
            see("exc_type", field);
        }
        see("exc_value", &mut self.exc_value);
        if let Some(field) = &mut self.exc_traceback {
            see("exc_traceback", field);
        }
        see("previous_item", &mut self.previous_item);
    }
}

/// One piece of a thread's data stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackChunk {
    /// `offsetof(_PyStackChunk, previous)`.
    pub previous: Option<u32>,
    /// The field `size`, bytes of the chunk. `offsetof(_PyStackChunk, size)`.
    pub size: Option<u32>,
    /// `offsetof(_PyStackChunk, top)`.
    pub top: Option<u32>,
    /// `offsetof(_PyStackChunk, data)`.
    pub data: Option<u32>,
}

#[cfg(test)]
impl StackChunk {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        if let Some(field) = &mut self.previous {
            see("previous", field);
        }
        if let Some(field) = &mut self.size {
            see("size", field);
        }
        if let Some(field) = &mut self.top {
            see("top", field);
        }
        if let Some(field) = &mut self.data {
            see("data", field);
        }
    }
}

/// `_Py_hashtable_t`, which holds the static interned strings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hashtable {
    /// `offsetof(_Py_hashtable_t, nentries)`.
    pub nentries: Option<u32>,
    /// `offsetof(_Py_hashtable_t, nbuckets)`.
    pub nbuckets: Option<u32>,
    /// `offsetof(_Py_hashtable_t, buckets)`.
    pub buckets: Option<u32>,
    /// `offsetof(_Py_hashtable_entry_t, _Py_slist_item)`.
    pub entry_next: Option<u32>,
    /// `offsetof(_Py_hashtable_entry_t, key)`.
    pub entry_key: Option<u32>,
    /// `offsetof(_Py_hashtable_entry_t, value)`.
    pub entry_value: Option<u32>,
}

#[cfg(test)]
impl Hashtable {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        if let Some(field) = &mut self.nentries {
            see("nentries", field);
        }
        if let Some(field) = &mut self.nbuckets {
            see("nbuckets", field);
        }
        if let Some(field) = &mut self.buckets {
            see("buckets", field);
        }
        if let Some(field) = &mut self.entry_next {
            see("entry_next", field);
        }
        if let Some(field) = &mut self.entry_key {
            see("entry_key", field);
        }
        if let Some(field) = &mut self.entry_value {
            see("entry_value", field);
        }
    }
}

/// One function registered with `atexit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtexitCallback {
    /// `offsetof(atexit_py_callback, func)`.
    pub func: Option<u32>,
    /// `offsetof(atexit_py_callback, args)`.
    pub args: Option<u32>,
    /// `offsetof(atexit_py_callback, kwargs)`.
    pub kwargs: Option<u32>,
}

#[cfg(test)]
impl AtexitCallback {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        if let Some(field) = &mut self.func {
            see("func", field);
        }
        if let Some(field) = &mut self.args {
            see("args", field);
        }
        if let Some(field) = &mut self.kwargs {
            see("kwargs", field);
        }
    }
}
