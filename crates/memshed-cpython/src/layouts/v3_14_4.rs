// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! Layout of CPython 3.14.4-3.14.4.
//!
//! 3.14.5 went back to the collector of 3.13, which enlarged `gc` (gh-149242). Made of the headers of 3.14.3 with `pycore_qsbr.h` and `pystate.h` of 3.14.5.
//!
//! Generated from headers that say CPython 3.14.4: `cc` compiled a program of `offsetof` and
//! `sizeof` against them, see `xtask/src/layouts/probe.rs`.

use super::*;

/// Layout of CPython 3.14.4-3.14.4.
pub const V3_14_4: Layout = {
    let mut l = V3_14;
    l.versions = "3.14.4-3.14.4";
    l.runtime.size = 316592;
    l.interp.size = 225840;
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
    l.interp.audit_hooks = 10888;
    l.interp.obmalloc = Some(10880);
    l.interp.gil_runtime_state = Some(7760);
    l.interp.unicode_ids_size = Some(11768);
    l.interp.unicode_ids_array = Some(11776);
    l.interp.interned_strings = Some(224600);
    l.interp.types = Some(81896);
    l.interp.types_builtins = Some(180216);
    l.interp.types_builtins_used = Some(180208);
    l.interp.types_extensions = Some(189832);
    l.interp.types_extensions_used = Some(189816);
    l.interp.types_extensions_next = Some(189824);
    l.interp.type_cache = Some(81904);
    l.interp.object_state = Some(11096);
    l.interp.dict_state = Some(79792);
    l.interp.callable_cache = Some(223088);
    l.interp.func_state = Some(14232);
    l.interp.func_version_cache = Some(14240);
    l.interp.static_objects = Some(224760);
    l.interp.hamt_empty = Some(224784);
    l.interp.last_resort_memory_error = Some(224824);
    l.interp.initial_thread = Some(224904);
    l.interp.executor_list_head = Some(223168);
    l.interp.asyncio_tasks_head = Some(10856);
    l.interp.xi = Some(10624);
    l.interp.mem_free_queue = Some(79896);
    l.gc.size = 240;
    l.gc.long_lived_total = None;
    l.gc.long_lived_pending = None;
    l.gc.work_to_do = Some(224);
    l.gc.visited_space = Some(232);
    l.gc.phase = Some(236);
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
        slot("audit_hooks", 10888, 1),
        slot("gc_garbage", 7608, 1),
        slot("gc_callbacks", 7616, 1),
        slot("interned_strings", 224600, 1),
        slot("typing_types", 224704, 7),
        slot("monitoring_callables", 223256, 152),
        slot("monitoring_tool_names", 224472, 8),
        slot("not_shareable_error", 10664, 1),
        slot("exc_errnomap", 79864, 1),
        slot("exc_base_exception_group", 79888, 1),
        slot("ast_types", 79928, 246),
        slot("common_consts", 223120, 5),
    ];
    l.freelists = &[
        chain("float", true, [11096, 16, 11104, 16, 1, 0]),
        chain("int", true, [11112, 16, 11120, 16, 1, 0]),
        chain("tuple", true, [11128, 16, 11136, 16, 20, 0]),
        chain("list", true, [11448, 16, 11456, 16, 1, 0]),
        chain("list_iterator", true, [11464, 16, 11472, 16, 1, 0]),
        chain("tuple_iterator", true, [11480, 16, 11488, 16, 1, 0]),
        chain("dict", true, [11496, 16, 11504, 16, 1, 0]),
        chain("dict_keys", false, [11512, 16, 11520, 16, 1, 0]),
        chain("slice", true, [11528, 16, 11536, 16, 1, 0]),
        chain("range", true, [11544, 16, 11552, 16, 1, 0]),
        chain("range_iterator", true, [11560, 16, 11568, 16, 1, 0]),
        chain("Context", true, [11576, 16, 11584, 16, 1, 0]),
        chain(
            "async_generator_wrapped_value",
            true,
            [11592, 16, 11600, 16, 1, 0],
        ),
        chain("async_generator_asend", true, [11608, 16, 11616, 16, 1, 0]),
        chain("FutureIter", true, [11624, 16, 11632, 16, 1, 0]),
        chain("MemoryError", true, [79872, 8, 79880, 4, 1, 16]),
        chain("object_stack_chunk", false, [11640, 16, 11648, 16, 1, 0]),
        chain("unicode_writer", false, [11656, 16, 11664, 16, 1, 0]),
        chain(
            "builtin_function_or_method",
            true,
            [11672, 16, 11680, 16, 1, 0],
        ),
        chain("builtin_method", true, [11688, 16, 11696, 16, 1, 0]),
        chain("method", true, [11704, 16, 11712, 16, 1, 0]),
    ];
    l
};
