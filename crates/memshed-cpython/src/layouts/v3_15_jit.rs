// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! Layout of CPython 3.15.
//!
//! Built with `--enable-experimental-jit`, as Debian does: threads have the state of a tracer. Headers of 3.15.0.
//!
//! Generated from headers that say CPython 3.15.0: `cc` compiled a program of `offsetof` and
//! `sizeof` against them, see `xtask/src/layouts/probe.rs`.

use super::*;

/// Layout of CPython 3.15.
pub const V3_15_JIT: Layout = {
    let mut l = V3_15;
    l.versions = "3.15";
    l.runtime.size = 346568;
    l.interp.size = 226240;
    l.tstate.impl_size = 1104;
    l.tstate_roots = &[
        slot("dict", 152, 1),
        slot("context", 232, 1),
        slot("current_exception", 136, 1),
        slot("exc_value", 288, 1),
        slot("async_exc", 168, 1),
        slot("c_profileobj", 120, 1),
        slot("c_traceobj", 128, 1),
        slot("async_gen_firstiter", 216, 1),
        slot("async_gen_finalizer", 224, 1),
        slot("delete_later", 192, 1),
        slot("threading_local_key", 328, 1),
        slot("threading_local_sentinel", 336, 1),
        slot("asyncio_running_loop", 1024, 1),
        slot("asyncio_running_task", 1032, 1),
        slot("lazy_imports", 1096, 1),
    ];
    l
};
