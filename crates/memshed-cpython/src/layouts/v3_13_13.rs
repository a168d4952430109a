// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! Layout of CPython 3.13.13-3.13.
//!
//! 3.13.13 gave threads a cached data stack chunk (gh-142183). Headers of 3.13.14, .15 and .18 agree.
//!
//! Generated from headers that say CPython 3.13.14: `cc` compiled a program of `offsetof` and
//! `sizeof` against them, see `xtask/src/layouts/probe.rs`.

use super::*;

/// Layout of CPython 3.13.13-3.13.
pub const V3_13_13: Layout = {
    let mut l = V3_13;
    l.versions = "3.13.13-3.13";
    l.runtime.size = 283408;
    l.runtime.main_interpreter = Some(88424);
    l.runtime.unicode_next_index = Some(10480);
    l.runtime.interned_strings = Some(13856);
    l.runtime.static_objects = Some(13864);
    l.runtime.small_ints = Some(13864);
    l.runtime.bytes_empty = Some(22248);
    l.runtime.bytes_characters = Some(22288);
    l.runtime.strings = Some(34576);
    l.runtime.strings_ascii = Some(73968);
    l.runtime.strings_latin1 = Some(80112);
    l.runtime.tuple_empty = Some(88320);
    l.runtime.hamt_bitmap_node_empty = Some(88368);
    l.runtime.context_token_missing = Some(88408);
    l.runtime.managed_static_types = Some(10496);
    l.runtime.audit_hooks = 10448;
    l.runtime.gilstate_autointerpreter = 9912;
    l.runtime.faulthandler_file = Some(9944);
    l.runtime.faulthandler_later_file = Some(9968);
    l.runtime.ceval_pending_mainthread = Some(2664);
    l.interp.size = 194984;
    l.tstate.size = 312;
    l.tstate.impl_size = 344;
    l.tstate.datastack_cached_chunk = Some(304);
    l
};
