// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! Layout of CPython 3.13.12-3.13.12.
//!
//! 3.13.13 gave threads a cached data stack chunk (gh-142183). Headers of 3.13.12.
//!
//! Generated from headers that say CPython 3.13.12: `cc` compiled a program of `offsetof` and
//! `sizeof` against them, see `xtask/src/layouts/probe.rs`.

use super::*;

/// Layout of CPython 3.13.12-3.13.12.
pub const V3_13_12: Layout = {
    let mut l = V3_13;
    l.versions = "3.13.12-3.13.12";
    l.runtime.size = 283400;
    l.interp.size = 194976;
    l.tstate.size = 304;
    l.tstate.impl_size = 336;
    l.tstate.datastack_cached_chunk = None;
    l
};
