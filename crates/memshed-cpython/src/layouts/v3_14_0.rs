// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! Layout of CPython 3.14.0-3.14.2.
//!
//! 3.14.3 enlarged the process-wide `ceval.perf`, as 3.13.12 did. Made of the headers of 3.14.3 without `prev_eval_frame`, `trampoline_refcount` and `code_watcher_id` of `struct _ceval_runtime_state`: offsets of `runtime` behind them are hints.
//!
//! Generated from headers that say CPython 3.14.0: `cc` compiled a program of `offsetof` and
//! `sizeof` against them, see `xtask/src/layouts/probe.rs`.

use super::*;

/// Layout of CPython 3.14.0-3.14.2.
pub const V3_14_0: Layout = {
    let mut l = V3_14;
    l.versions = "3.14.0-3.14.2";
    l.runtime.size = 316552;
    l.runtime.main_interpreter = Some(90728);
    l.runtime.unicode_next_index = Some(10648);
    l.runtime.interned_strings = Some(14032);
    l.runtime.static_objects = Some(14040);
    l.runtime.small_ints = Some(14040);
    l.runtime.bytes_empty = Some(22424);
    l.runtime.bytes_characters = Some(22464);
    l.runtime.strings = Some(34752);
    l.runtime.strings_ascii = Some(76264);
    l.runtime.strings_latin1 = Some(82408);
    l.runtime.tuple_empty = Some(90616);
    l.runtime.hamt_bitmap_node_empty = Some(90672);
    l.runtime.context_token_missing = Some(90712);
    l.runtime.managed_static_types = Some(10664);
    l.runtime.audit_hooks = 10616;
    l.runtime.gilstate_autointerpreter = 10072;
    l.runtime.faulthandler_file = Some(10104);
    l.runtime.faulthandler_later_file = Some(10136);
    l.runtime.ceval_pending_mainthread = Some(2824);
    l.interp.size = 225824;
    l.interp.sysdict = 7648;
    l.interp.builtins = 7656;
    l.interp.modules = 7664;
    l.interp.modules_by_index = 7672;
    l.interp.importlib = 7680;
    l.interp.import_func = 7704;
    l.interp.dict = 8472;
    l.interp.codec_search_path = 7976;
    l.interp.codec_search_cache = 7984;
    l.interp.codec_error_registry = 7992;
    l.interp.config = 8008;
    l.interp.sysdict_copy = Some(8480);
    l.interp.builtins_copy = 8488;
    l.interp.eval_frame = 8496;
    l.interp.before_forkers = 10672;
    l.interp.after_forkers_parent = 10680;
    l.interp.after_forkers_child = 10688;
    l.interp.warnings_filters = 10696;
    l.interp.warnings_once_registry = 10704;
    l.interp.warnings_default_action = 10712;
    l.interp.warnings_context = Some(10752);
    l.interp.atexit_callbacks = Some(10768);
    l.interp.atexit_ll_callbacks = Some(10760);
    l.interp.audit_hooks = 10880;
    l.interp.obmalloc = Some(10872);
    l.interp.gil_runtime_state = Some(7760);
    l.interp.unicode_ids_size = Some(11760);
    l.interp.unicode_ids_array = Some(11768);
    l.interp.interned_strings = Some(224592);
    l.interp.types = Some(81888);
    l.interp.types_builtins = Some(180208);
    l.interp.types_builtins_used = Some(180200);
    l.interp.types_extensions = Some(189824);
    l.interp.types_extensions_used = Some(189808);
    l.interp.types_extensions_next = Some(189816);
    l.interp.type_cache = Some(81896);
    l.interp.object_state = Some(11088);
    l.interp.dict_state = Some(79784);
    l.interp.callable_cache = Some(223080);
    l.interp.func_state = Some(14224);
    l.interp.func_version_cache = Some(14232);
    l.interp.static_objects = Some(224752);
    l.interp.hamt_empty = Some(224776);
    l.interp.last_resort_memory_error = Some(224816);
    l.interp.initial_thread = Some(224896);
    l.interp.executor_list_head = Some(223160);
    l.interp.asyncio_tasks_head = Some(10848);
    l.interp.xi = Some(10624);
    l.interp.mem_free_queue = Some(79888);
    l.gc.size = 240;
    l.gc.long_lived_total = None;
    l.gc.long_lived_pending = None;
    l.gc.work_to_do = Some(224);
    l.gc.visited_space = Some(232);
    l.gc.phase = Some(236);
    l.tstate.size = 824;
    l.tstate.impl_size = 928;
    l.tstate.datastack_cached_chunk = None;
    l.tstate.asyncio_running_loop = Some(856);
    l.tstate.asyncio_running_task = Some(864);
    l.tstate.asyncio_tasks_head = Some(872);
    l.interp_roots = &[
        slot("modules", 7664, 1),
        slot("modules_by_index", 7672, 1),
        slot("importlib", 7680, 1),
        slot("import_func", 7704, 1),
        slot("sysdict", 7648, 1),
        slot("builtins", 7656, 1),
        slot("codec_search_path", 7976, 1),
        slot("codec_search_cache", 7984, 1),
        slot("codec_error_registry", 7992, 1),
        slot("dict", 8472, 1),
        slot("sysdict_copy", 8480, 1),
        slot("builtins_copy", 8488, 1),
        slot("before_forkers", 10672, 1),
        slot("after_forkers_parent", 10680, 1),
        slot("after_forkers_child", 10688, 1),
        slot("warnings_filters", 10696, 1),
        slot("warnings_once_registry", 10704, 1),
        slot("warnings_default_action", 10712, 1),
        slot("warnings_context", 10752, 1),
        slot("atexit_callbacks", 10768, 1),
        slot("audit_hooks", 10880, 1),
        slot("gc_garbage", 7608, 1),
        slot("gc_callbacks", 7616, 1),
        slot("interned_strings", 224592, 1),
        slot("typing_types", 224696, 7),
        slot("monitoring_callables", 223248, 152),
        slot("monitoring_tool_names", 224464, 8),
        slot("not_shareable_error", 10664, 1),
        slot("exc_errnomap", 79856, 1),
        slot("exc_base_exception_group", 79880, 1),
        slot("ast_types", 79920, 246),
        slot("common_consts", 223112, 5),
    ];
    l.tstate_roots = &[
        slot("dict", 128, 1),
        slot("context", 208, 1),
        slot("current_exception", 112, 1),
        slot("exc_value", 256, 1),
        slot("async_exc", 144, 1),
        slot("c_profileobj", 96, 1),
        slot("c_traceobj", 104, 1),
        slot("async_gen_firstiter", 192, 1),
        slot("async_gen_finalizer", 200, 1),
        slot("delete_later", 168, 1),
        slot("threading_local_key", 288, 1),
        slot("threading_local_sentinel", 296, 1),
        slot("asyncio_running_loop", 856, 1),
        slot("asyncio_running_task", 864, 1),
    ];
    l.freelists = &[
        chain("float", true, [11088, 16, 11096, 16, 1, 0]),
        chain("int", true, [11104, 16, 11112, 16, 1, 0]),
        chain("tuple", true, [11120, 16, 11128, 16, 20, 0]),
        chain("list", true, [11440, 16, 11448, 16, 1, 0]),
        chain("list_iterator", true, [11456, 16, 11464, 16, 1, 0]),
        chain("tuple_iterator", true, [11472, 16, 11480, 16, 1, 0]),
        chain("dict", true, [11488, 16, 11496, 16, 1, 0]),
        chain("dict_keys", false, [11504, 16, 11512, 16, 1, 0]),
        chain("slice", true, [11520, 16, 11528, 16, 1, 0]),
        chain("range", true, [11536, 16, 11544, 16, 1, 0]),
        chain("range_iterator", true, [11552, 16, 11560, 16, 1, 0]),
        chain("Context", true, [11568, 16, 11576, 16, 1, 0]),
        chain(
            "async_generator_wrapped_value",
            true,
            [11584, 16, 11592, 16, 1, 0],
        ),
        chain("async_generator_asend", true, [11600, 16, 11608, 16, 1, 0]),
        chain("FutureIter", true, [11616, 16, 11624, 16, 1, 0]),
        chain("MemoryError", true, [79864, 8, 79872, 4, 1, 16]),
        chain("object_stack_chunk", false, [11632, 16, 11640, 16, 1, 0]),
        chain("unicode_writer", false, [11648, 16, 11656, 16, 1, 0]),
        chain(
            "builtin_function_or_method",
            true,
            [11664, 16, 11672, 16, 1, 0],
        ),
        chain("builtin_method", true, [11680, 16, 11688, 16, 1, 0]),
        chain("method", true, [11696, 16, 11704, 16, 1, 0]),
    ];
    l
};
