//! Reading a snapshot. Everything in it is under suspicion: it may have been truncated, altered,
//! or put together by somebody else.

use super::code;
use super::error::SnapshotError;
use super::facts::{self, unsigned, unsigned_int};
use super::file::{Batch, TableReader};
use super::manifest::Manifest;
use super::native;
use super::table::Table;
use super::words;
use crate::heap::{Edges, Heap, ObjectId, Objects, Preview, Root, RootKind, Type, TypeId};
use crate::label::{Label, LabelKind};
use crate::strings::Strings;
use std::path::Path;

/// Whether to read the edges: the greater part of a snapshot, in memory as well as on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadEdges {
    /// Leave [`Heap::edges`] empty.
    #[default]
    Skip,
    /// Read them if the snapshot has them.
    Load,
}

/// Whether `path` looks like a snapshot: a directory with a manifest. Nothing is read.
pub fn is_snapshot(path: &Path) -> bool {
    path.is_dir() && path.join(super::manifest::FILE).exists()
}

/// Reads the snapshot in the directory `path`.
///
/// The heap is as it was written, [`crate::SnapshotInfo::method`] included. All of it has been
/// checked: ids lead to rows, objects are sorted by address, roots and edges by object.
///
/// # Errors
/// If `path` is no snapshot, was written by a later memshed, or is damaged.
pub fn read(path: &Path, edges: ReadEdges) -> Result<Heap, SnapshotError> {
    let source = Source {
        directory: path,
        manifest: Manifest::read(path)?,
    };
    source.check_lengths()?;
    let mut heap = Heap::default();
    source.strings(&mut heap.strings)?;
    source.types(&mut heap)?;
    source.objects(&mut heap)?;
    source.roots(&mut heap)?;
    source.pools(&mut heap)?;
    source.facts(&mut heap)?;
    source.code(&mut heap)?;
    source.native(&mut heap)?;
    source.values(&mut heap)?;
    if edges == ReadEdges::Load {
        heap.edges = source.edges(heap.objects.len(), &mut heap.strings)?;
    }
    Ok(heap)
}

struct Source<'a> {
    directory: &'a Path,
    manifest: Manifest,
}

impl Source<'_> {
    /// Every table that the manifest names is there and as long as it says, also those that will
    /// not be read: a copy that was cut short is no snapshot.
    fn check_lengths(&self) -> Result<(), SnapshotError> {
        for (name, entry) in &self.manifest.tables {
            let path = self.directory.join(format!("{name}.parquet"));
            let found = std::fs::metadata(&path).map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => SnapshotError::damaged(&path, "it is missing"),
                _ => SnapshotError::io("read", &path)(error),
            })?;
            if found.len() != entry.bytes {
                let what = format!("it has {} bytes instead of {}", found.len(), entry.bytes);
                return Err(SnapshotError::damaged(&path, what));
            }
        }
        Ok(())
    }

    fn open(&self, table: Table) -> Result<TableReader, SnapshotError> {
        let entry = self.manifest.entry(self.directory, table)?;
        TableReader::open(self.directory, table, entry)
    }

    fn strings(&self, strings: &mut Strings) -> Result<(), SnapshotError> {
        self.open(Table::Strings)?.scan(|batch| {
            let ids = batch.ints("string_id")?;
            for (id, value) in ids.iter().zip(batch.texts("value")?) {
                let next = strings.len();
                if *id as usize != next || strings.intern(value).0 as usize != next {
                    return Err(format!("string {next} is missing or there twice"));
                }
            }
            Ok(())
        })
    }

    fn types(&self, heap: &mut Heap) -> Result<(), SnapshotError> {
        let objects = self.manifest.entry(self.directory, Table::Objects)?.rows;
        let Heap { types, strings, .. } = heap;
        self.open(Table::Types)?.scan(|batch| {
            let ids = batch.ints("type_id")?;
            let addresses = batch.longs("address")?;
            let names = batch.texts("name")?.zip(batch.texts("module")?);
            let rest = names.zip(batch.optional_ints("object")?);
            for (row, ((name, module), object)) in rest.enumerate() {
                if ids[row] as usize != types.len() {
                    return Err(format!("type {} is missing", types.len()));
                }
                types.push(Type {
                    name: strings.intern(name),
                    module: strings.intern(module),
                    address: unsigned(addresses[row])?,
                    object: optional_object(object, objects)?,
                });
            }
            Ok(())
        })
    }

    fn objects(&self, heap: &mut Heap) -> Result<(), SnapshotError> {
        let table = self.open(Table::Objects)?;
        let (room, count) = (table.room, table.rows());
        let types = heap.types.len();
        let Heap {
            objects,
            strings,
            names,
            ..
        } = heap;
        objects.address.reserve_exact(room);
        objects.type_id.reserve_exact(room);
        objects.size.reserve_exact(room);
        objects.allocated.reserve_exact(room);
        objects.refcount.reserve_exact(room);
        objects.generation.reserve_exact(room);
        objects.holder.reserve_exact(room);
        objects.holder_label.reserve_exact(room);
        table.scan(|batch| {
            let first = objects.len();
            let sequence = batch.ints("object_id")?.iter().zip(first..);
            if !sequence.into_iter().all(|(id, row)| *id as usize == row) {
                return Err("its objects are not numbered in order".to_owned());
            }
            for address in batch.longs("address")? {
                let address = unsigned(*address)?;
                if objects.address.last().is_some_and(|last| last > address) {
                    return Err("its objects are not sorted by address".to_owned());
                }
                objects.address.push(address);
            }
            for id in batch.ints("type_id")? {
                let id = unsigned_int(*id)?;
                if id as usize >= types {
                    return Err(format!("there is no type {id}"));
                }
                objects.type_id.push(TypeId(id));
            }
            for size in batch.longs("size")? {
                objects.size.push(unsigned(*size)?);
            }
            for size in batch.longs("allocated")? {
                objects.allocated.push(unsigned(*size)?);
            }
            for refcount in batch.optional_longs("refcount")? {
                objects.refcount.push(read_refcount(refcount)?);
            }
            for generation in batch.optional_ints("generation")? {
                objects.generation.push(match generation {
                    None => Objects::UNTRACKED,
                    Some(known @ 0..=3) => known as u8,
                    Some(other) => return Err(format!("there is no generation {other}")),
                });
            }
            for holder in batch.optional_ints("holder")? {
                objects.holder.push(optional_object(holder, count)?);
            }
            let labels = labels(
                batch,
                ["holder_kind", "holder_name", "holder_value"],
                strings,
            )?;
            for (label, holder) in labels.zip(&objects.holder[first..]) {
                let label = match (label?, *holder) {
                    (None, ObjectId::NONE) => Label::new(LabelKind::Unknown, 0),
                    (Some(label), holder) if holder != ObjectId::NONE => label,
                    _ => return Err("a holder and its label need each other".to_owned()),
                };
                objects.holder_label.push(label);
            }
            let own = batch.words("name", |word| Ok(strings.intern(word)))?;
            for (name, row) in own.zip(first as u32..) {
                if let Some(name) = name {
                    names.insert(ObjectId(row), name);
                }
            }
            Ok(())
        })
    }

    fn roots(&self, heap: &mut Heap) -> Result<(), SnapshotError> {
        let objects = heap.objects.len() as u64;
        let Heap { roots, strings, .. } = heap;
        self.open(Table::Roots)?.scan(|batch| {
            let kinds = batch.words("kind", |word| {
                RootKind::from_word(word).ok_or_else(|| format!("there is no root {word:?}"))
            })?;
            let rest = kinds.zip(batch.texts("name")?);
            for (object, (kind, name)) in batch.ints("object")?.iter().zip(rest) {
                let object = optional_object(Some(*object), objects)?;
                if roots.last().is_some_and(|last| last.object > object) {
                    return Err("its roots are not sorted by object".to_owned());
                }
                roots.push(Root {
                    object,
                    kind: kind.ok_or("a root needs a kind")?,
                    name: strings.intern(name),
                });
            }
            Ok(())
        })
    }

    fn pools(&self, heap: &mut Heap) -> Result<(), SnapshotError> {
        let pools = &mut heap.pool_table;
        self.open(Table::Pools)?.scan(|batch| {
            for address in batch.longs("address")? {
                pools.address.push(unsigned(*address)?);
            }
            for (name, column) in [
                ("arena", &mut pools.arena),
                ("block_size", &mut pools.block_size),
                ("used", &mut pools.used),
                ("capacity", &mut pools.capacity),
                ("resident", &mut pools.resident),
            ] {
                for value in batch.ints(name)? {
                    column.push(unsigned_int(*value)?);
                }
            }
            Ok(())
        })
    }

    fn facts(&self, heap: &mut Heap) -> Result<(), SnapshotError> {
        let process = self.open(Table::Process)?;
        if process.rows() != 1 {
            let path = self.directory.join(Table::Process.file());
            return Err(SnapshotError::damaged(&path, "it does not have one row"));
        }
        process.scan(|batch| facts::read_process(batch, heap))?;
        self.open(Table::Blocks)?
            .scan(|batch| facts::read_blocks(batch, &mut heap.blocks))?;
        let objects = heap.objects.len();
        self.open(Table::SparseParts)?
            .scan(|batch| facts::read_sparse_parts(batch, objects, &mut heap.sparse_parts))?;
        self.open(Table::Generations)?
            .scan(|batch| facts::read_generations(batch, &mut heap.gc.generations))?;
        self.open(Table::Caches)?
            .scan(|batch| facts::read_caches(batch, &mut heap.caches))?;
        self.open(Table::Memory)?
            .scan(|batch| facts::read_memory(batch, &mut heap.memory))?;
        self.open(Table::Problems)?
            .scan(|batch| facts::read_problems(batch, &mut heap.snapshot.problems))
    }

    fn code(&self, heap: &mut Heap) -> Result<(), SnapshotError> {
        let objects = heap.objects.len() as u64;
        let (strings, all) = (&mut heap.strings, &mut heap.code);
        self.open(Table::Code)?
            .scan(|batch| code::read_code(batch, objects, strings, all))?;
        self.open(Table::Mentions)?
            .scan(|batch| code::read_mentions(batch, strings, all))?;
        let stacks = &mut heap.stacks;
        self.open(Table::Stacks)?
            .scan(|batch| code::read_stacks(batch, objects, strings, stacks))
    }

    fn native(&self, heap: &mut Heap) -> Result<(), SnapshotError> {
        let objects = heap.objects.len() as u64;
        let (strings, all) = (&mut heap.strings, &mut heap.native);
        self.open(Table::Native)?
            .scan(|batch| native::read_native(batch, strings, all))?;
        self.open(Table::NativePointers)?
            .scan(|batch| native::read_native_pointers(batch, strings, all))?;
        let references = &mut heap.outer_references;
        self.open(Table::OuterReferences)?
            .scan(|batch| native::read_outer_references(batch, objects, references))?;
        let duplicates = &mut heap.duplicates;
        self.open(Table::Duplicates)?
            .scan(|batch| native::read_duplicates(batch, objects, duplicates))?;
        let (types, fill) = (heap.types.len() as u64, &mut heap.fill);
        self.open(Table::Fill)?
            .scan(|batch| native::read_fill(batch, objects, types, fill))?;
        let (strings, libraries) = (&mut heap.strings, &mut heap.libraries);
        self.open(Table::Libraries)?.scan(|batch| {
            libraries.extend(batch.texts("path")?.map(|path| strings.intern(path)));
            Ok(())
        })
    }

    fn values(&self, heap: &mut Heap) -> Result<(), SnapshotError> {
        if !self.manifest.values {
            return Ok(());
        }
        let objects = heap.objects.len() as u64;
        let mut previews: Vec<Preview> = Vec::new();
        self.open(Table::Values)?.scan(|batch| {
            let ids = batch.ints("object")?;
            let rest = batch
                .optional_ints("position")?
                .zip(batch.texts("preview")?);
            for (id, (position, text)) in ids.iter().zip(rest) {
                let preview = Preview {
                    object: optional_object(Some(*id), objects)?,
                    position: position.map(unsigned_int).transpose()?,
                    text: text.to_owned(),
                };
                let key = |one: &Preview| (one.object, one.position);
                if previews
                    .last()
                    .is_some_and(|last| key(last) > key(&preview))
                {
                    return Err("its previews are not sorted by object".to_owned());
                }
                previews.push(preview);
            }
            Ok(())
        })?;
        heap.previews = Some(previews);
        Ok(())
    }

    fn edges(&self, objects: usize, strings: &mut Strings) -> Result<Option<Edges>, SnapshotError> {
        if !self.manifest.tables.contains_key(Table::Edges.name()) {
            return Ok(None);
        }
        let table = self.open(Table::Edges)?;
        let mut edges = Edges {
            start: Vec::with_capacity(objects + 1),
            target: Vec::with_capacity(table.room),
            label: Vec::with_capacity(table.room),
        };
        table.scan(|batch| {
            let sources = batch.ints("source")?;
            let targets = batch.ints("target")?;
            let labels = labels(batch, ["kind", "name", "value"], strings)?;
            for ((source, target), label) in sources.iter().zip(targets).zip(labels) {
                let source = optional_object(Some(*source), objects as u64)?.0 as usize;
                // `start` has a row for each source met so far, the latest included.
                if source + 1 < edges.start.len() {
                    return Err("its edges are not sorted by source".to_owned());
                }
                edges.start.resize(source + 1, edges.target.len() as u64);
                edges
                    .target
                    .push(optional_object(Some(*target), objects as u64)?);
                edges.label.push(label?.ok_or("an edge needs a kind")?);
            }
            Ok(())
        })?;
        edges.start.resize(objects + 1, edges.target.len() as u64);
        Ok(Some(edges))
    }
}

/// The labels of a batch, from the columns of their kinds, names and values.
fn labels<'a>(
    batch: &'a Batch,
    [kinds, names, values]: [&str; 3],
    strings: &mut Strings,
) -> Result<impl Iterator<Item = Result<Option<Label>, String>> + 'a, String> {
    let kinds = batch.words(kinds, |word| {
        LabelKind::from_word(word).ok_or_else(|| format!("there is no label {word:?}"))
    })?;
    let names = batch.words(names, |word| Ok(strings.intern(word)))?;
    let values = batch.optional_ints(values)?;
    let rows = kinds.zip(names).zip(values);
    Ok(rows.map(|((kind, name), value)| match kind {
        Some(kind) => words::label(kind, name, value).map(Some),
        None => Ok(None),
    }))
}

/// The object with the number `id`, of `objects`.
pub(super) fn object(id: i32, objects: u64) -> Result<ObjectId, String> {
    optional_object(Some(id), objects)
}

fn optional_object(id: Option<i32>, objects: u64) -> Result<ObjectId, String> {
    match id {
        None => Ok(ObjectId::NONE),
        Some(id) => match u32::try_from(id) {
            Ok(row) if u64::from(row) < objects => Ok(ObjectId(row)),
            _ => Err(format!("there is no object {id}")),
        },
    }
}

fn read_refcount(count: Option<i64>) -> Result<u32, String> {
    match count.map(u32::try_from) {
        None => Ok(Objects::IMMORTAL),
        Some(Ok(count)) if count != Objects::IMMORTAL => Ok(count),
        _ => Err("a reference count is out of range".to_owned()),
    }
}
