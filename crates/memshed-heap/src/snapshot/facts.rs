//! The small tables: the facts about the process. Patterns name every field, so that a new one
//! cannot be forgotten here.

use super::file::Batch;
use super::write::{longs, texts};
use crate::facts::{
    Cache, Container, Gc, Generation, MemoryPart, Method, Pools, Problem, Process, Releasable,
    SnapshotInfo,
};
use crate::heap::{Heap, ObjectId};
use crate::pools::{BlockKind, BlockUse, SparsePart};
use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int32Array, Int64Array, StringArray};
use std::sync::Arc;

/// The one row of the table `process`.
pub(super) fn process(heap: &Heap) -> Vec<ArrayRef> {
    let Process {
        pid,
        python,
        executable,
        uptime_seconds,
        threads,
        rss_bytes,
        pss_bytes,
        uss_bytes,
        swap_bytes,
        peak_rss_bytes,
        page_tables_bytes,
        kernel_stacks_bytes,
        huge_pool_bytes,
        huge_pages_bytes,
        locked_bytes,
        container,
    } = &heap.process;
    let SnapshotInfo {
        method,
        method_reason,
        taken_at,
        stopped_ms,
        seconds,
        problems: _,
    } = &heap.snapshot;
    let Gc {
        enabled,
        generations: _,
        frozen,
    } = &heap.gc;
    let Pools {
        arenas,
        arena_bytes,
        pools,
        free_pools,
        pool_bytes,
        blocks,
        raw_blocks,
        used_bytes,
        free_bytes,
        releasable_bytes,
        releasable,
    } = &heap.pools;
    let Releasable {
        free_pools: releasable_free_pools,
        arena_tops,
        used_pools,
        malloc,
    } = releasable;
    vec![
        Arc::new(Int32Array::from(vec![*pid])),
        text(python),
        text(executable),
        double(*uptime_seconds),
        super::write::ints(std::iter::once(*threads)),
        long(*rss_bytes),
        long(*pss_bytes),
        long(*uss_bytes),
        long(*swap_bytes),
        long(*peak_rss_bytes),
        long(*page_tables_bytes),
        long(*kernel_stacks_bytes),
        long(*huge_pool_bytes),
        long(*huge_pages_bytes),
        long(*locked_bytes),
        optional_long(container.as_ref().map(|c| c.limit_bytes)),
        optional_long(container.as_ref().map(|c| c.used_bytes)),
        text(method_word(*method)),
        Arc::new(StringArray::from(vec![method_reason.as_deref()])),
        double(*taken_at),
        double(*stopped_ms),
        double(*seconds),
        Arc::new(BooleanArray::from(vec![*enabled])),
        long(*frozen),
        long(*arenas),
        long(*arena_bytes),
        long(*pools),
        long(*free_pools),
        long(*pool_bytes),
        long(*blocks),
        optional_long(*raw_blocks),
        long(*used_bytes),
        long(*free_bytes),
        long(*releasable_bytes),
        long(*releasable_free_pools),
        long(*arena_tops),
        long(*used_pools),
        long(*malloc),
    ]
}

/// Takes over the one row of the table `process`.
pub(super) fn read_process(batch: &Batch, heap: &mut Heap) -> Result<(), String> {
    if batch.rows() != 1 {
        return Err(format!("it has {} rows instead of 1", batch.rows()));
    }
    let row = Row(batch);
    let container = match (
        row.optional_long("container_limit_bytes")?,
        row.optional_long("container_used_bytes")?,
    ) {
        (Some(limit_bytes), Some(used_bytes)) => Some(Container {
            limit_bytes,
            used_bytes,
        }),
        _ => None,
    };
    heap.process = Process {
        pid: row.int("pid")?,
        python: row.text("python")?,
        executable: row.text("executable")?,
        uptime_seconds: row.double("uptime_seconds")?,
        threads: unsigned_int(row.int("threads")?)?,
        rss_bytes: row.long("rss_bytes")?,
        pss_bytes: row.long("pss_bytes")?,
        uss_bytes: row.long("uss_bytes")?,
        swap_bytes: row.long("swap_bytes")?,
        peak_rss_bytes: row.long("peak_rss_bytes")?,
        page_tables_bytes: row.long("page_tables_bytes")?,
        kernel_stacks_bytes: row.long("kernel_stacks_bytes")?,
        huge_pool_bytes: row.long("huge_pool_bytes")?,
        huge_pages_bytes: row.long("huge_pages_bytes")?,
        locked_bytes: row.long("locked_bytes")?,
        container,
    };
    heap.snapshot = SnapshotInfo {
        method: method(&row.text("method")?)?,
        method_reason: row.optional_text("method_reason")?,
        taken_at: row.double("taken_at")?,
        stopped_ms: row.double("stopped_ms")?,
        seconds: row.double("seconds")?,
        problems: Vec::new(),
    };
    heap.gc = Gc {
        enabled: row.bool("gc_enabled")?,
        generations: Vec::new(),
        frozen: row.long("gc_frozen")?,
    };
    heap.pools = Pools {
        arenas: row.long("arenas")?,
        arena_bytes: row.long("arena_bytes")?,
        pools: row.long("pools")?,
        free_pools: row.long("free_pools")?,
        pool_bytes: row.long("pool_bytes")?,
        blocks: row.long("blocks")?,
        raw_blocks: row.optional_long("raw_blocks")?,
        used_bytes: row.long("pool_used_bytes")?,
        free_bytes: row.long("pool_free_bytes")?,
        releasable_bytes: row.long("pool_releasable_bytes")?,
        releasable: Releasable {
            free_pools: row.long("releasable_free_pools_bytes")?,
            arena_tops: row.long("releasable_arena_tops_bytes")?,
            used_pools: row.long("releasable_used_pools_bytes")?,
            malloc: row.long("releasable_malloc_bytes")?,
        },
    };
    Ok(())
}

pub(super) fn generations(gc: &Gc) -> Vec<ArrayRef> {
    let rows = || gc.generations.iter();
    let signed = |of: fn(&Generation) -> i64| -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(rows().map(of)))
    };
    vec![
        super::write::ints(0..gc.generations.len() as u32),
        longs(rows().map(|row| row.objects)),
        signed(|row| row.threshold),
        signed(|row| row.count),
        signed(|row| row.collections),
        signed(|row| row.collected),
        signed(|row| row.uncollectable),
    ]
}

pub(super) fn read_generations(batch: &Batch, to: &mut Vec<Generation>) -> Result<(), String> {
    let objects = batch.longs("objects")?;
    let threshold = batch.longs("threshold")?;
    let count = batch.longs("count")?;
    let collections = batch.longs("collections")?;
    let collected = batch.longs("collected")?;
    let uncollectable = batch.longs("uncollectable")?;
    for row in 0..batch.rows() {
        to.push(Generation {
            objects: unsigned(objects[row])?,
            threshold: threshold[row],
            count: count[row],
            collections: collections[row],
            collected: collected[row],
            uncollectable: uncollectable[row],
        });
    }
    Ok(())
}

pub(super) fn caches(caches: &[Cache]) -> Vec<ArrayRef> {
    vec![
        texts(caches.iter().map(|cache| &*cache.name)),
        longs(caches.iter().map(|cache| cache.entries)),
        longs(caches.iter().map(|cache| cache.bytes)),
    ]
}

pub(super) fn read_caches(batch: &Batch, to: &mut Vec<Cache>) -> Result<(), String> {
    let entries = batch.longs("entries")?;
    let bytes = batch.longs("bytes")?;
    for (row, name) in batch.texts("name")?.enumerate() {
        to.push(Cache {
            name: name.to_owned(),
            entries: unsigned(entries[row])?,
            bytes: unsigned(bytes[row])?,
        });
    }
    Ok(())
}

pub(super) fn memory(parts: &[MemoryPart]) -> Vec<ArrayRef> {
    let mut rows = Vec::new();
    flatten(parts, 0, &mut rows);
    vec![
        super::write::ints(rows.iter().map(|(level, _)| *level)),
        texts(rows.iter().map(|(_, part)| &*part.category)),
        longs(rows.iter().map(|(_, part)| part.bytes)),
        longs(rows.iter().map(|(_, part)| part.count)),
    ]
}

/// Every part with its level, before its own parts.
fn flatten<'a>(parts: &'a [MemoryPart], level: u32, rows: &mut Vec<(u32, &'a MemoryPart)>) {
    for part in parts {
        rows.push((level, part));
        flatten(&part.parts, level + 1, rows);
    }
}

/// Parts of parts: the account of memory has three levels.
const DEEPEST: u32 = 16;

pub(super) fn read_memory(batch: &Batch, to: &mut Vec<MemoryPart>) -> Result<(), String> {
    let levels = batch.ints("level")?;
    let bytes = batch.longs("bytes")?;
    let counts = batch.longs("count")?;
    for (row, category) in batch.texts("category")?.enumerate() {
        let level = unsigned_int(levels[row])?;
        if level > DEEPEST {
            return Err(format!("there is no level {level}"));
        }
        let mut parts = &mut *to;
        for _ in 0..level {
            let parent = parts.last_mut().ok_or("a part of nothing")?;
            parts = &mut parent.parts;
        }
        parts.push(MemoryPart {
            category: category.to_owned(),
            bytes: unsigned(bytes[row])?,
            count: unsigned(counts[row])?,
            parts: Vec::new(),
        });
    }
    Ok(())
}

pub(super) fn blocks(blocks: &[BlockUse]) -> Vec<ArrayRef> {
    vec![
        texts(blocks.iter().map(|row| row.kind.word())),
        super::write::ints(blocks.iter().map(|row| row.block_size)),
        longs(blocks.iter().map(|row| row.blocks)),
    ]
}

pub(super) fn read_blocks(batch: &Batch, to: &mut Vec<BlockUse>) -> Result<(), String> {
    let sizes = batch.ints("block_size")?;
    let blocks = batch.longs("blocks")?;
    for (row, kind) in batch.texts("kind")?.enumerate() {
        to.push(BlockUse {
            kind: BlockKind::from_word(kind).ok_or_else(|| format!("no kind {kind:?}"))?,
            block_size: unsigned_int(sizes[row])?,
            blocks: unsigned(blocks[row])?,
        });
    }
    Ok(())
}

pub(super) fn sparse_parts(parts: &[SparsePart]) -> Vec<ArrayRef> {
    vec![
        longs(parts.iter().map(|part| part.address)),
        super::write::ints(parts.iter().map(|part| part.bytes)),
        super::write::ints(parts.iter().map(|part| part.owner.0)),
    ]
}

/// Takes over parts of objects, of which there are `objects`.
pub(super) fn read_sparse_parts(
    batch: &Batch,
    objects: usize,
    to: &mut Vec<SparsePart>,
) -> Result<(), String> {
    let addresses = batch.longs("address")?;
    let bytes = batch.ints("bytes")?;
    for (row, &owner) in batch.ints("owner")?.iter().enumerate() {
        let owner = unsigned_int(owner)?;
        if owner as usize >= objects {
            return Err(format!("there is no object {owner}"));
        }
        to.push(SparsePart {
            address: unsigned(addresses[row])?,
            bytes: unsigned_int(bytes[row])?,
            owner: ObjectId(owner),
        });
    }
    Ok(())
}

pub(super) fn problems(problems: &[Problem]) -> Vec<ArrayRef> {
    vec![
        texts(problems.iter().map(|problem| &*problem.kind)),
        longs(problems.iter().map(|problem| problem.count)),
        texts(problems.iter().map(|problem| &*problem.example)),
    ]
}

pub(super) fn read_problems(batch: &Batch, to: &mut Vec<Problem>) -> Result<(), String> {
    let count = batch.longs("count")?;
    let texts = batch.texts("kind")?.zip(batch.texts("example")?);
    for (row, (kind, example)) in texts.enumerate() {
        to.push(Problem {
            kind: kind.to_owned(),
            count: unsigned(count[row])?,
            example: example.to_owned(),
        });
    }
    Ok(())
}

fn method_word(method: Method) -> &'static str {
    match method {
        Method::Fork => "fork",
        Method::Pause => "pause",
        Method::Core => "core",
        Method::File => "file",
    }
}

fn method(word: &str) -> Result<Method, String> {
    [Method::Fork, Method::Pause, Method::Core, Method::File]
        .into_iter()
        .find(|method| method_word(*method) == word)
        .ok_or_else(|| format!("there is no method {word:?}"))
}

fn text(value: &str) -> ArrayRef {
    texts(std::iter::once(value))
}

fn double(value: f64) -> ArrayRef {
    Arc::new(Float64Array::from(vec![value]))
}

fn long(value: u64) -> ArrayRef {
    longs(std::iter::once(value))
}

fn optional_long(value: Option<u64>) -> ArrayRef {
    let value = value.map(|value| i64::try_from(value).unwrap_or(i64::MAX));
    Arc::new(Int64Array::from(vec![value]))
}

/// A size or count from a column of signed numbers.
pub(super) fn unsigned(value: i64) -> Result<u64, String> {
    u64::try_from(value).map_err(|_| format!("{value} is no size or count"))
}

/// A size, count or id from a column of signed numbers.
pub(super) fn unsigned_int(value: i32) -> Result<u32, String> {
    u32::try_from(value).map_err(|_| format!("{value} is no size, count or id"))
}

/// The first row of a batch that has one.
struct Row<'a>(&'a Batch);

impl Row<'_> {
    fn int(&self, name: &str) -> Result<i32, String> {
        first(self.0.ints(name)?.iter().copied(), name)
    }

    fn long(&self, name: &str) -> Result<u64, String> {
        unsigned(first(self.0.longs(name)?.iter().copied(), name)?)
    }

    fn optional_long(&self, name: &str) -> Result<Option<u64>, String> {
        first(self.0.optional_longs(name)?, name)?
            .map(unsigned)
            .transpose()
    }

    fn text(&self, name: &str) -> Result<String, String> {
        first(self.0.texts(name)?, name).map(str::to_owned)
    }

    fn optional_text(&self, name: &str) -> Result<Option<String>, String> {
        Ok(first(self.0.optional_texts(name)?, name)?.map(str::to_owned))
    }

    fn double(&self, name: &str) -> Result<f64, String> {
        let column = self.0.column(name)?.as_primitive_opt::<Float64Type>();
        first(column.into_iter().flatten().flatten(), name)
    }

    fn bool(&self, name: &str) -> Result<bool, String> {
        let column = self.0.column(name)?.as_boolean_opt();
        first(column.into_iter().flatten().flatten(), name)
    }
}

fn first<T>(mut values: impl Iterator<Item = T>, name: &str) -> Result<T, String> {
    values
        .next()
        .ok_or_else(|| format!("column {name} has no value"))
}
