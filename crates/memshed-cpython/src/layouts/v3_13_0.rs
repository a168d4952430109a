// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! Layout of CPython 3.13.0-3.13.4.
//!
//! 3.13.5 gave `PyGC_Head` an alignment of 4 (gh-127545), by which `gc.generations` moved forward. Headers of 3.13.0.
//!
//! Generated from headers that say CPython 3.13.0: `cc` compiled a program of `offsetof` and
//! `sizeof` against them, see `xtask/src/layouts/probe.rs`.

use super::*;

/// Layout of CPython 3.13.0-3.13.4.
pub const V3_13_0: Layout = {
    let mut l = V3_13;
    l.versions = "3.13.0-3.13.4";
    l.runtime.size = 283320;
    l.runtime.main_interpreter = Some(88352);
    l.runtime.static_objects_size = Some(74512);
    l.runtime.strings_size = Some(53680);
    l.runtime.strings_ascii = Some(73896);
    l.runtime.strings_latin1 = Some(80040);
    l.runtime.tuple_empty = Some(88248);
    l.runtime.hamt_bitmap_node_empty = Some(88296);
    l.runtime.context_token_missing = Some(88336);
    l.interp.size = 194968;
    l.gc.generations = 24;
    l
};
