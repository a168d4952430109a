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

#[cfg(test)]
impl Obmalloc {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        if let Some(field) = &mut self.size {
            see("size", field);
        }
        if let Some(field) = &mut self.usedpools {
            see("usedpools", field);
        }
        if let Some(field) = &mut self.arenas {
            see("arenas", field);
        }
        if let Some(field) = &mut self.maxarenas {
            see("maxarenas", field);
        }
        if let Some(field) = &mut self.unused_arena_objects {
            see("unused_arena_objects", field);
        }
        if let Some(field) = &mut self.usable_arenas {
            see("usable_arenas", field);
        }
        if let Some(field) = &mut self.narenas_currently_allocated {
            see("narenas_currently_allocated", field);
        }
        if let Some(field) = &mut self.narenas_highwater {
            see("narenas_highwater", field);
        }
        if let Some(field) = &mut self.raw_allocated_blocks {
            see("raw_allocated_blocks", field);
        }
        if let Some(field) = &mut self.arena_map_root {
            see("arena_map_root", field);
        }
        see("arena_size", &mut self.arena_size);
        see("pool_size", &mut self.pool_size);
        see("alignment", &mut self.alignment);
        see("small_request_threshold", &mut self.small_request_threshold);
    }
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

#[cfg(test)]
impl Arena {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        see("size", &mut self.size);
        see("address", &mut self.address);
        see("pool_address", &mut self.pool_address);
        see("nfreepools", &mut self.nfreepools);
        see("ntotalpools", &mut self.ntotalpools);
        see("freepools", &mut self.freepools);
        see("nextarena", &mut self.nextarena);
        see("prevarena", &mut self.prevarena);
    }
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

#[cfg(test)]
impl Pool {
    #[allow(dead_code)]
    pub(crate) fn each(&mut self, see: &mut dyn FnMut(&'static str, &mut u32)) {
        see("size", &mut self.size);
        see("count", &mut self.count);
        see("freeblock", &mut self.freeblock);
        see("nextpool", &mut self.nextpool);
        see("prevpool", &mut self.prevpool);
        see("arenaindex", &mut self.arenaindex);
        see("szidx", &mut self.szidx);
        see("nextoffset", &mut self.nextoffset);
        see("maxnextoffset", &mut self.maxnextoffset);
    }
}
