// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! Layout of CPython 3.13.5-3.13.11.
//!
//! 3.13.12 enlarged the process-wide `ceval.perf`. Headers of 3.13.5, .7, .8 and .9 agree.
//!
//! Generated from headers that say CPython 3.13.5: `cc` compiled a program of `offsetof` and
//! `sizeof` against them, see `xtask/src/layouts/probe.rs`.

use super::*;

/// Layout of CPython 3.13.5-3.13.11.
pub const V3_13_5: Layout = {
    let mut l = V3_13;
    l.versions = "3.13.5-3.13.11";
    l.runtime.size = 283376;
    l.runtime.main_interpreter = 88400;
    l.runtime.unicode_next_index = 10456;
    l.runtime.interned_strings = Some(13832);
    l.runtime.static_objects = 13840;
    l.runtime.small_ints = 13840;
    l.runtime.bytes_empty = 22224;
    l.runtime.bytes_characters = 22264;
    l.runtime.strings = 34552;
    l.runtime.strings_ascii = 73944;
    l.runtime.strings_latin1 = 80088;
    l.runtime.tuple_empty = 88296;
    l.runtime.hamt_bitmap_node_empty = Some(88344);
    l.runtime.context_token_missing = Some(88384);
    l.runtime.managed_static_types = Some(10472);
    l.runtime.audit_hooks = 10424;
    l.runtime.gilstate_autointerpreter = 9888;
    l.runtime.ceval_pending_mainthread = Some(2640);
    l.interp.size = 194976;
    l.tstate.size = 304;
    l.tstate.impl_size = 336;
    l.tstate.datastack_cached_chunk = None;
    l
};
