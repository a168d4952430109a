//! Facts about the process that was looked at. All sizes are in bytes.

use serde::{Deserialize, Serialize};

/// The process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Process {
    /// Process id as memshed saw it.
    pub pid: i32,
    /// Version of the interpreter, such as `3.12.1`.
    pub python: String,
    /// Path of the executable as the process sees it.
    pub executable: String,
    /// Seconds since the process started.
    pub uptime_seconds: f64,
    /// Threads of the operating system.
    pub threads: u32,
    /// Resident bytes, exact (the sum over smaps).
    pub rss_bytes: u64,
    /// Proportional share of resident bytes.
    pub pss_bytes: u64,
    /// Resident bytes that are shared with nobody.
    pub uss_bytes: u64,
    /// Bytes in swap.
    pub swap_bytes: u64,
    /// The greatest number of resident bytes so far.
    pub peak_rss_bytes: u64,
    /// Page tables: kernel memory that it costs beside its resident bytes.
    pub page_tables_bytes: u64,
    /// The stacks that its threads have in the kernel, beside its resident bytes.
    pub kernel_stacks_bytes: u64,
    /// Pages from the system's pool of huge pages, beside its resident bytes.
    pub huge_pool_bytes: u64,
    /// Of its resident bytes, those in transparent huge pages.
    pub huge_pages_bytes: u64,
    /// Of its resident bytes, those that are locked and cannot be swapped out.
    pub locked_bytes: u64,
    /// The limit of its control group, if it has one.
    pub container: Option<Container>,
}

/// The memory limit that a process runs under (its control group's).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Container {
    /// The limit.
    pub limit_bytes: u64,
    /// What the group uses of it.
    pub used_bytes: u64,
}

/// How a process was frozen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// A forked copy was read.
    #[default]
    Fork,
    /// The process stood still while its memory was copied.
    Pause,
    /// A core file.
    Core,
    /// A snapshot file.
    File,
}

/// How the look was taken.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SnapshotInfo {
    /// How it was frozen.
    pub method: Method,
    /// Why that method was chosen instead of a fork, in words.
    pub method_reason: Option<String>,
    /// When, in seconds since the epoch.
    pub taken_at: f64,
    /// The longest that the process stood still, in milliseconds.
    pub stopped_ms: f64,
    /// How long the whole look took, in seconds.
    pub seconds: f64,
    /// What could not be read or made sense of.
    pub problems: Vec<Problem>,
}

/// Something that could not be read or made sense of.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// A short stable name.
    pub kind: String,
    /// How often it was met.
    pub count: u64,
    /// One example, such as an address and what was wrong there.
    pub example: String,
}

/// The garbage collector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gc {
    /// Whether automatic collection is on.
    pub enabled: bool,
    /// The generations, youngest first.
    pub generations: Vec<Generation>,
    /// Objects in the permanent generation (`gc.freeze`).
    pub frozen: u64,
}

/// The oldest generation, as the collector itself counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LongLived {
    /// Objects that outlived the last full collection.
    pub total: i64,
    /// Objects that were added since, by collections of the middle generation.
    pub pending: i64,
}

/// A generation of the garbage collector.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Generation {
    /// Objects in its list.
    pub objects: u64,
    /// Its threshold, as `gc.get_threshold()` says.
    pub threshold: i64,
    /// What counts towards the threshold, as `gc.get_count()` says: allocations of the youngest
    /// generation, collections of the next younger one otherwise.
    pub count: i64,
    /// Collections so far, as `gc.get_stats()` says.
    pub collections: i64,
    /// Objects collected so far.
    pub collected: i64,
    /// Objects found uncollectable so far.
    pub uncollectable: i64,
}

/// pymalloc's pools, in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pools {
    /// Arenas in use.
    pub arenas: u64,
    /// Bytes of an arena.
    pub arena_bytes: u64,
    /// Pools carved from them, in use or free.
    pub pools: u64,
    /// Pools without a block in use.
    pub free_pools: u64,
    /// Bytes of a pool.
    pub pool_bytes: u64,
    /// Blocks in use.
    pub blocks: u64,
    /// Larger blocks, from the system's allocator, where the interpreter counts them.
    pub raw_blocks: Option<u64>,
    /// Bytes in blocks in use.
    pub used_bytes: u64,
    /// Bytes in free blocks and free pools.
    pub free_bytes: u64,
    /// Bytes that could be given back to the system as things stand: the sum of `releasable`.
    pub releasable_bytes: u64,
    /// The same by where they are.
    pub releasable: Releasable,
}

/// Resident bytes, in whole pages, that could be given back to the system as things stand, that
/// is without an object being freed or moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Releasable {
    /// Free pools less the page of their header.
    pub free_pools: u64,
    /// Free pools at the top of their arena, whole.
    pub arena_tops: u64,
    /// Runs of dead blocks in pools in use.
    pub used_pools: u64,
    /// Wholly free pages of the system's allocator: what `malloc_trim` gives back.
    pub malloc: u64,
}

impl Releasable {
    /// All of it.
    pub fn total(&self) -> u64 {
        let parts = [self.arena_tops, self.used_pools, self.malloc];
        parts.into_iter().fold(self.free_pools, u64::saturating_add)
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Releasable) {
        self.free_pools += other.free_pools;
        self.arena_tops += other.arena_tops;
        self.used_pools += other.used_pools;
        self.malloc += other.malloc;
    }
}

/// A cache of objects.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Which.
    pub name: String,
    /// Entries in it.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Objects of equal contents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate {
    /// One of them.
    pub object: crate::heap::ObjectId,
    /// How many there are.
    pub count: u64,
    /// The bytes of all of them, by `sys.getsizeof`.
    pub bytes: u64,
}

/// How full the dictionaries, sets or lists of a type are. Those without a table of their own do not
/// count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// The type.
    pub type_id: crate::heap::TypeId,
    /// How many containers.
    pub containers: u64,
    /// Entries in them.
    pub used: u64,
    /// Entries that they have room for; of a set its slots, which are never all used.
    pub slots: u64,
    /// Bytes by which their tables are larger than those of copies of them.
    pub spare_bytes: u64,
    /// The one of which most could be spared.
    pub emptiest: crate::heap::ObjectId,
}

/// Instances of a class written in Python that have a dictionary of their own, or an array of values,
/// for their attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instances {
    /// The class.
    pub type_id: crate::heap::TypeId,
    /// How many instances.
    pub instances: u64,
    /// Bytes that the allocators gave for them, for their values and their dictionaries.
    pub bytes: u64,
    /// Bytes that they would need with their attributes in `__slots__`.
    pub slotted_bytes: u64,
    /// Attributes of one of them: of the one with most.
    pub attributes: u64,
    /// Whether all have the same attributes.
    pub alike: bool,
    /// How many have a dictionary that is an object of its own; from 3.11 on only those whose
    /// `__dict__` somebody has asked for.
    pub dictionaries: u64,
    /// Whether there is a weak reference to any of them.
    pub weakly_referenced: bool,
    /// One of them.
    pub example: crate::heap::ObjectId,
}

/// A part of the resident memory, and the parts that it has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryPart {
    /// Which.
    pub category: String,
    /// Its resident bytes.
    pub bytes: u64,
    /// How many things it counts: blocks, pools, chunks, mappings; 0 where that says nothing.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub count: u64,
    /// Its parts, greatest first. They add up to `bytes` where there are any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<MemoryPart>,
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl MemoryPart {
    /// A part without parts.
    pub fn new(category: impl Into<String>, bytes: u64) -> MemoryPart {
        MemoryPart {
            category: category.into(),
            bytes,
            ..MemoryPart::default()
        }
    }

    /// A part that is the sum of `parts`, which are sorted by size; empty ones are left out.
    pub fn sum(category: impl Into<String>, mut parts: Vec<MemoryPart>) -> MemoryPart {
        parts.retain(|part| part.bytes > 0);
        parts.sort_by_key(|part| std::cmp::Reverse(part.bytes));
        MemoryPart {
            category: category.into(),
            bytes: parts.iter().map(|part| part.bytes).sum(),
            count: 0,
            parts,
        }
    }
}
