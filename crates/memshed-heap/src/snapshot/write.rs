//! Writing a snapshot.

use super::code;
use super::error::SnapshotError;
use super::facts;
use super::file::TableWriter;
use super::manifest::Manifest;
use super::native;
use super::place::{Existing, Place};
use super::table::{BATCH_ROWS, Table};
use super::words::{LabelColumns, NameColumn, dictionary};
use crate::heap::{Edge, Heap, ObjectId, Objects, Preview, RootKind};
use crate::strings::Strings;
use arrow_array::builder::{Int32Builder, StringBuilder};
use arrow_array::{ArrayRef, Int32Array, Int64Array, StringArray};
use std::path::Path;
use std::sync::Arc;

/// Writes a snapshot of `heap`, with its edges if it has them, to the directory `to`, which
/// appears under that name when it is whole and on disk. It is private to its owner.
///
/// # Errors
/// If `to` exists (see [`Existing`]), cannot be created, or the disk is full: then nothing is
/// left behind.
pub fn write(heap: &Heap, to: &Path, existing: Existing) -> Result<(), SnapshotError> {
    let mut writer = SnapshotWriter::create(to, existing)?;
    if let Some(edges) = &heap.edges {
        writer.check(heap)?;
        let mut batch = Vec::with_capacity(BATCH_ROWS);
        for row in 0..heap.objects.len() as u32 {
            let source = ObjectId(row);
            for (target, label) in edges.of(source) {
                batch.push(Edge {
                    source,
                    target,
                    label,
                });
                if batch.len() == BATCH_ROWS {
                    writer.write_edges(&batch, &heap.strings)?;
                    batch.clear();
                }
            }
        }
        writer.write_edges(&batch, &heap.strings)?;
    }
    writer.finish(heap)
}

/// A snapshot that is being written: the edges as they are found, then everything else.
///
/// Dropping it before [`SnapshotWriter::finish`] removes what was written.
pub struct SnapshotWriter {
    // Before `place`: files are closed before their directory goes.
    edges: Option<EdgeTable>,
    manifest: Manifest,
    place: Place,
}

impl SnapshotWriter {
    /// Starts a snapshot that is to become the directory `to`.
    ///
    /// # Errors
    /// If `to` exists (see [`Existing`]) or its parent cannot be written to.
    pub fn create(to: &Path, existing: Existing) -> Result<SnapshotWriter, SnapshotError> {
        Ok(SnapshotWriter {
            edges: None,
            manifest: Manifest::new(),
            place: Place::create(to, existing)?,
        })
    }

    /// Appends edges, sorted by source within a call and from call to call. The names of their
    /// labels are those of `strings`. Without any call, even an empty one, the snapshot has no
    /// table of edges.
    ///
    /// # Errors
    /// If the disk is full, or the edges are out of order.
    pub fn write_edges(&mut self, edges: &[Edge], strings: &Strings) -> Result<(), SnapshotError> {
        let table = match &mut self.edges {
            Some(table) => table,
            none => none.insert(EdgeTable::create(&self.place)?),
        };
        table.push(edges, strings).map_err(|error| match error {
            EdgeError::Table(error) => error,
            EdgeError::Order => self.unwritable("its edges are not sorted by source"),
        })
    }

    /// Writes everything but the edges (`heap.edges` is not looked at), and puts the snapshot
    /// in its place.
    ///
    /// # Errors
    /// If the disk is full, the place is taken, or the heap contradicts itself.
    pub fn finish(mut self, heap: &Heap) -> Result<(), SnapshotError> {
        self.check(heap)?;
        if let Some(edges) = self.edges.take() {
            if edges.greatest >= heap.objects.len() as i64 {
                return Err(self.unwritable("an edge leads to no object"));
            }
            self.manifest
                .tables
                .insert(Table::Edges.name().to_owned(), edges.finish()?);
        }
        self.table(Table::Objects, |table| write_objects(table, heap))?;
        self.table(Table::Types, |table| write_types(table, heap))?;
        self.table(Table::Strings, |table| write_strings(table, &heap.strings))?;
        self.table(Table::Roots, |table| write_roots(table, heap))?;
        self.table(Table::Pools, |table| write_pools(table, heap))?;
        self.table(Table::Blocks, |table| {
            table.write(facts::blocks(&heap.blocks))
        })?;
        self.table(Table::SparseParts, |table| {
            for parts in heap.sparse_parts.chunks(BATCH_ROWS) {
                table.write(facts::sparse_parts(parts))?;
            }
            Ok(())
        })?;
        self.table(Table::Code, |table| code::write_code(table, heap))?;
        self.table(Table::Mentions, |table| code::write_mentions(table, heap))?;
        self.table(Table::Stacks, |table| code::write_stacks(table, heap))?;
        self.table(Table::Native, |table| {
            table.write(native::native(&heap.native, &heap.strings))
        })?;
        self.table(Table::NativePointers, |table| {
            table.write(native::native_pointers(&heap.native, &heap.strings))
        })?;
        self.table(Table::OuterReferences, |table| {
            for references in heap.outer_references.chunks(BATCH_ROWS) {
                table.write(native::outer_references(references))?;
            }
            Ok(())
        })?;
        self.table(Table::Duplicates, |table| {
            table.write(native::duplicates(&heap.duplicates))
        })?;
        self.table(Table::Fill, |table| table.write(native::fill(&heap.fill)))?;
        self.table(Table::Libraries, |table| {
            let paths = heap.libraries.iter().map(|&path| heap.strings.get(path));
            table.write(vec![texts(paths)])
        })?;
        self.table(Table::Process, |table| table.write(facts::process(heap)))?;
        self.table(Table::Generations, |table| {
            table.write(facts::generations(&heap.gc))
        })?;
        self.table(Table::Caches, |table| {
            table.write(facts::caches(&heap.caches))
        })?;
        self.table(Table::Memory, |table| {
            table.write(facts::memory(&heap.memory))
        })?;
        self.table(Table::Problems, |table| {
            table.write(facts::problems(&heap.snapshot.problems))
        })?;
        if let Some(previews) = &heap.previews {
            self.manifest.values = true;
            self.table(Table::Values, |table| write_values(table, previews))?;
        }
        self.manifest.write(self.place.directory())?;
        self.place.put()
    }

    fn table(
        &mut self,
        table: Table,
        fill: impl FnOnce(&mut TableWriter) -> Result<(), SnapshotError>,
    ) -> Result<(), SnapshotError> {
        let mut writer = TableWriter::create(self.place.directory(), table)?;
        fill(&mut writer)?;
        self.manifest
            .tables
            .insert(table.name().to_owned(), writer.finish()?);
        Ok(())
    }

    /// Whether the columns go together: what is written here must be readable again.
    fn check(&self, heap: &Heap) -> Result<(), SnapshotError> {
        let objects = &heap.objects;
        let rows = objects.len();
        let lengths = [
            objects.type_id.len(),
            objects.size.len(),
            objects.allocated.len(),
            objects.refcount.len(),
            objects.generation.len(),
            objects.holder.len(),
            objects.holder_label.len(),
        ];
        if lengths.iter().any(|length| *length != rows) {
            return Err(self.unwritable("its columns of objects differ in length"));
        }
        let most = i32::MAX as usize;
        if rows > most || heap.types.len() > most || heap.strings.len() > most {
            return Err(self.unwritable("more than 2,147,483,647 objects, types or names"));
        }
        if !objects.address.is_sorted() {
            return Err(self.unwritable("its objects are not sorted by address"));
        }
        if objects
            .type_id
            .iter()
            .any(|id| id.0 as usize >= heap.types.len())
        {
            return Err(self.unwritable("an object has no type"));
        }
        let object = |id: ObjectId| (id.0 as usize) < rows;
        let optional = |id: ObjectId| id == ObjectId::NONE || object(id);
        if !objects.holder.iter().all(|id| optional(*id)) {
            return Err(self.unwritable("a holder is no object"));
        }
        if !heap.types.iter().all(|kind| optional(kind.object)) {
            return Err(self.unwritable("a type object is no object"));
        }
        if !heap.roots.iter().all(|root| object(root.object)) {
            return Err(self.unwritable("a root is no object"));
        }
        if !heap.roots.is_sorted_by_key(|root| root.object) {
            return Err(self.unwritable("its roots are not sorted by object"));
        }
        if !heap.sparse_parts.iter().all(|part| object(part.owner)) {
            return Err(self.unwritable("a part belongs to no object"));
        }
        let code = &heap.code;
        if !code.iter().all(|one| object(one.object)) {
            return Err(self.unwritable("code is no object"));
        }
        if !code.is_sorted_by(|a, b| a.object < b.object) {
            return Err(self.unwritable("its code is not sorted by object"));
        }
        let mut calls = heap.stacks.iter().flat_map(|stack| &stack.calls);
        if !calls.all(|call| object(call.code)) {
            return Err(self.unwritable("a call runs no code"));
        }
        let references = &heap.outer_references;
        if !references.iter().all(|(id, _)| object(*id)) {
            return Err(self.unwritable("a reference leads to no object"));
        }
        if !references.is_sorted_by(|a, b| a.0 < b.0) {
            return Err(self.unwritable("its references are not sorted by object"));
        }
        if !heap.duplicates.iter().all(|one| object(one.object)) {
            return Err(self.unwritable("a duplicate is no object"));
        }
        let types = heap.types.len();
        let kind = |id: crate::heap::TypeId| (id.0 as usize) < types;
        let mut fill = heap.fill.iter();
        if !fill.all(|one| object(one.emptiest) && kind(one.type_id)) {
            return Err(self.unwritable("a container is no object, or of no type"));
        }
        let previews = heap.previews.as_deref().unwrap_or_default();
        if !previews.iter().all(|preview| object(preview.object)) {
            return Err(self.unwritable("a preview is of no object"));
        }
        if !previews.is_sorted_by_key(|preview| (preview.object, preview.position)) {
            return Err(self.unwritable("its previews are not sorted by object"));
        }
        let pools = &heap.pool_table;
        let lengths = [
            pools.arena.len(),
            pools.block_size.len(),
            pools.used.len(),
            pools.capacity.len(),
            pools.resident.len(),
        ];
        if lengths.iter().any(|length| *length != pools.len()) {
            return Err(self.unwritable("its columns of pools differ in length"));
        }
        if let Some(edges) = &heap.edges {
            let end = edges.start.last().copied();
            let fits = edges.start.len() == rows + 1
                && edges.start.is_sorted()
                && end == Some(edges.target.len() as u64)
                && edges.target.len() == edges.label.len();
            if !fits {
                return Err(self.unwritable("its edges do not fit its objects"));
            }
        }
        Ok(())
    }

    fn unwritable(&self, what: &str) -> SnapshotError {
        SnapshotError::Unwritable {
            path: self.place.target().to_path_buf(),
            what: what.to_owned(),
        }
    }
}

enum EdgeError {
    Table(SnapshotError),
    Order,
}

impl From<SnapshotError> for EdgeError {
    fn from(error: SnapshotError) -> Self {
        EdgeError::Table(error)
    }
}

/// The table of edges, filled batch by batch.
struct EdgeTable {
    table: TableWriter,
    sources: Int32Builder,
    targets: Int32Builder,
    labels: LabelColumns,
    rows: usize,
    last_source: u32,
    greatest: i64,
}

impl EdgeTable {
    fn create(place: &Place) -> Result<EdgeTable, SnapshotError> {
        Ok(EdgeTable {
            table: TableWriter::create(place.directory(), Table::Edges)?,
            sources: Int32Builder::with_capacity(BATCH_ROWS),
            targets: Int32Builder::with_capacity(BATCH_ROWS),
            labels: LabelColumns::default(),
            rows: 0,
            last_source: 0,
            greatest: -1,
        })
    }

    fn push(&mut self, edges: &[Edge], strings: &Strings) -> Result<(), EdgeError> {
        for edge in edges {
            if edge.source.0 < self.last_source {
                return Err(EdgeError::Order);
            }
            self.last_source = edge.source.0;
            self.greatest = self
                .greatest
                .max(i64::from(edge.source.0))
                .max(i64::from(edge.target.0));
            self.sources.append_value(edge.source.0 as i32);
            self.targets.append_value(edge.target.0 as i32);
            self.labels.push(Some(edge.label), strings);
            self.rows += 1;
            if self.rows == BATCH_ROWS {
                self.flush()?;
            }
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), SnapshotError> {
        self.rows = 0;
        let [kinds, names, values] = self.labels.take();
        self.table.write(vec![
            Arc::new(self.sources.finish()),
            Arc::new(self.targets.finish()),
            kinds,
            names,
            values,
        ])
    }

    fn finish(mut self) -> Result<super::manifest::Entry, SnapshotError> {
        self.flush()?;
        self.table.finish()
    }
}

fn write_objects(table: &mut TableWriter, heap: &Heap) -> Result<(), SnapshotError> {
    let objects = &heap.objects;
    let mut labels = LabelColumns::default();
    let mut names = NameColumn::default();
    for first in (0..objects.len()).step_by(BATCH_ROWS) {
        let rows = first..(first + BATCH_ROWS).min(objects.len());
        for row in rows.clone() {
            let held = objects.holder[row] != ObjectId::NONE;
            labels.push(held.then(|| objects.holder_label[row]), &heap.strings);
            let name = heap.names.get(&ObjectId(row as u32));
            names.push(name.copied(), &heap.strings);
        }
        let [kinds, holder_names, values] = labels.take();
        table.write(vec![
            ints(rows.clone().map(|row| row as u32)),
            longs(rows.clone().map(|row| objects.address.get(row))),
            ints(objects.type_id[rows.clone()].iter().map(|id| id.0)),
            longs(rows.clone().map(|row| objects.size.get(row))),
            longs(rows.clone().map(|row| objects.allocated.get(row))),
            Arc::new(Int64Array::from_iter(
                objects.refcount[rows.clone()]
                    .iter()
                    .map(|count| (*count != Objects::IMMORTAL).then_some(i64::from(*count))),
            )),
            Arc::new(Int32Array::from_iter(
                objects.generation[rows.clone()].iter().map(|generation| {
                    (*generation != Objects::UNTRACKED).then_some(i32::from(*generation))
                }),
            )),
            optional_ids(objects.holder[rows].iter().copied()),
            kinds,
            holder_names,
            values,
            names.take(),
        ])?;
    }
    Ok(())
}

fn write_types(table: &mut TableWriter, heap: &Heap) -> Result<(), SnapshotError> {
    let name = |id| heap.strings.get(id);
    table.write(vec![
        ints(0..heap.types.len() as u32),
        texts(heap.types.iter().map(|kind| name(kind.name))),
        texts(heap.types.iter().map(|kind| name(kind.module))),
        longs(heap.types.iter().map(|kind| kind.address)),
        optional_ids(heap.types.iter().map(|kind| kind.object)),
    ])
}

fn write_strings(table: &mut TableWriter, strings: &Strings) -> Result<(), SnapshotError> {
    let mut values = strings.iter();
    for first in (0..strings.len()).step_by(BATCH_ROWS) {
        let end = (first + BATCH_ROWS).min(strings.len());
        table.write(vec![
            ints(first as u32..end as u32),
            texts(values.by_ref().take(end - first)),
        ])?;
    }
    Ok(())
}

fn write_roots(table: &mut TableWriter, heap: &Heap) -> Result<(), SnapshotError> {
    let mut words = StringBuilder::new();
    for kind in RootKind::ALL {
        words.append_value(kind.word());
    }
    let words: ArrayRef = Arc::new(words.finish());
    for roots in heap.roots.chunks(BATCH_ROWS) {
        let kinds = Int32Array::from_iter_values(roots.iter().map(|root| root.kind as i32));
        table.write(vec![
            ints(roots.iter().map(|root| root.object.0)),
            dictionary(kinds, Arc::clone(&words)),
            texts(roots.iter().map(|root| heap.strings.get(root.name))),
        ])?;
    }
    Ok(())
}

fn write_pools(table: &mut TableWriter, heap: &Heap) -> Result<(), SnapshotError> {
    let pools = &heap.pool_table;
    for first in (0..pools.len()).step_by(BATCH_ROWS) {
        let rows = first..(first + BATCH_ROWS).min(pools.len());
        table.write(vec![
            longs(pools.address[rows.clone()].iter().copied()),
            ints(pools.arena[rows.clone()].iter().copied()),
            ints(pools.block_size[rows.clone()].iter().copied()),
            ints(pools.used[rows.clone()].iter().copied()),
            ints(pools.capacity[rows.clone()].iter().copied()),
            ints(pools.resident[rows].iter().copied()),
        ])?;
    }
    Ok(())
}

fn write_values(table: &mut TableWriter, previews: &[Preview]) -> Result<(), SnapshotError> {
    for previews in previews.chunks(BATCH_ROWS) {
        let position =
            |preview: &Preview| preview.position.map(|at| at.min(i32::MAX as u32) as i32);
        table.write(vec![
            ints(previews.iter().map(|preview| preview.object.0)),
            Arc::new(Int32Array::from_iter(previews.iter().map(position))),
            texts(previews.iter().map(|preview| preview.text.as_str())),
        ])?;
    }
    Ok(())
}

/// A column of 32-bit numbers. What does not fit, which no real heap has, becomes the greatest.
pub(super) fn ints(values: impl Iterator<Item = u32>) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(
        values.map(|value| i32::try_from(value).unwrap_or(i32::MAX)),
    ))
}

/// A column of 64-bit numbers. What does not fit, which no real heap has, becomes the greatest.
pub(super) fn longs(values: impl Iterator<Item = u64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(
        values.map(|value| i64::try_from(value).unwrap_or(i64::MAX)),
    ))
}

/// A column of texts.
pub(super) fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn optional_ids(ids: impl Iterator<Item = ObjectId>) -> ArrayRef {
    Arc::new(Int32Array::from_iter(
        ids.map(|id| (id != ObjectId::NONE).then_some(id.0 as i32)),
    ))
}
