// Written by `cargo xtask layouts`; edit xtask/src/layouts/fields/*.txt instead.

//! Struct definitions of the layout: alloc.

/// The allocator's state. Up to 3.11 `arenas`, `maxarenas`, `usedpools`, `raw_allocated_blocks` and `arena_map_root` are separate static variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Obmalloc {
    /// `sizeof(struct _obmalloc_state)`.
    pub size: Option<u32>,
    /// `offsetof(struct _obmalloc_state, pools.used)`.
    pub usedpools: Option<u32>,
    /// Pointer to the array of `arena_object`. `offsetof(struct _obmalloc_state, mgmt.arenas)`.
    pub arenas: Option<u32>,
    /// `offsetof(struct _obmalloc_state, mgmt.maxarenas)`.
    pub maxarenas: Option<u32>,
    /// `offsetof(struct _obmalloc_state, mgmt.unused_arena_objects)`.
    pub unused_arena_objects: Option<u32>,
    /// `offsetof(struct _obmalloc_state, mgmt.usable_arenas)`.
    pub usable_arenas: Option<u32>,
    /// `offsetof(struct _obmalloc_state, mgmt.narenas_currently_allocated)`.
    pub narenas_currently_allocated: Option<u32>,
    /// `offsetof(struct _obmalloc_state, mgmt.narenas_highwater)`.
    pub narenas_highwater: Option<u32>,
    /// `offsetof(struct _obmalloc_state, mgmt.raw_allocated_blocks)`.
    pub raw_allocated_blocks: Option<u32>,
    /// `offsetof(struct _obmalloc_state, usage.arena_map_root)`.
    pub arena_map_root: Option<u32>,
    /// `ARENA_SIZE`.
    pub arena_size: u32,
    /// `POOL_SIZE`.
    pub pool_size: u32,
    /// `ALIGNMENT`.
    pub alignment: u32,
    /// `SMALL_REQUEST_THRESHOLD`.
    pub small_request_threshold: u32,
}

/// One piece of pools: 256 KiB in 3.9, then 1 MiB.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arena {
    /// `sizeof(struct arena_object)`.
    pub size: u32,
    /// 0 if unused. `offsetof(struct arena_object, address)`.
    pub address: u32,
    /// Where the never used rest begins. `offsetof(struct arena_object, pool_address)`.
    pub pool_address: u32,
    /// `offsetof(struct arena_object, nfreepools)`.
    pub nfreepools: u32,
    /// `offsetof(struct arena_object, ntotalpools)`.
    pub ntotalpools: u32,
    /// `offsetof(struct arena_object, freepools)`.
    pub freepools: u32,
    /// `offsetof(struct arena_object, nextarena)`.
    pub nextarena: u32,
    /// `offsetof(struct arena_object, prevarena)`.
    pub prevarena: u32,
}

/// The head of a pool of equal blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pool {
    /// `sizeof(struct pool_header)`.
    pub size: u32,
    /// `offsetof(struct pool_header, ref.count)`.
    pub count: u32,
    /// `offsetof(struct pool_header, freeblock)`.
    pub freeblock: u32,
    /// `offsetof(struct pool_header, nextpool)`.
    pub nextpool: u32,
    /// `offsetof(struct pool_header, prevpool)`.
    pub prevpool: u32,
    /// `offsetof(struct pool_header, arenaindex)`.
    pub arenaindex: u32,
    /// `offsetof(struct pool_header, szidx)`.
    pub szidx: u32,
    /// `offsetof(struct pool_header, nextoffset)`.
    pub nextoffset: u32,
    /// `offsetof(struct pool_header, maxnextoffset)`.
    pub maxnextoffset: u32,
}
