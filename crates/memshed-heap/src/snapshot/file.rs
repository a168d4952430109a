//! One table's file: Arrow arrays in, Parquet out, and back.

use super::error::SnapshotError;
use super::manifest::Entry;
use super::place;
use super::table::{BATCH_ROWS, Table};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::file::metadata::ParquetMetaData;
use std::fs::File;
use std::hash::Hasher;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use twox_hash::XxHash64;

/// A file that is summed up as it is written.
struct Summed {
    file: File,
    bytes: u64,
    hash: XxHash64,
}

impl Write for Summed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.file.write(buffer)?;
        self.hash.write(&buffer[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Writes one table.
pub(super) struct TableWriter {
    table: Table,
    path: PathBuf,
    writer: ArrowWriter<Summed>,
    rows: u64,
}

impl TableWriter {
    pub fn create(directory: &Path, table: Table) -> Result<TableWriter, SnapshotError> {
        let path = directory.join(table.file());
        let summed = Summed {
            file: place::create_file(&path)?,
            bytes: 0,
            hash: XxHash64::with_seed(0),
        };
        // No Arrow schema in the file: other readers see plain Parquet types.
        let options = ArrowWriterOptions::new()
            .with_properties(table.properties())
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(summed, table.schema(), options)
            .map_err(SnapshotError::writing(&path))?;
        Ok(TableWriter {
            table,
            path,
            writer,
            rows: 0,
        })
    }

    /// Appends rows: one array for each of the table's columns, in their order.
    pub fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), SnapshotError> {
        let batch = RecordBatch::try_new(self.table.schema(), columns).map_err(|error| {
            SnapshotError::Unwritable {
                path: self.path.clone(),
                what: error.to_string(),
            }
        })?;
        self.rows += batch.num_rows() as u64;
        self.writer
            .write(&batch)
            .map_err(SnapshotError::writing(&self.path))
    }

    /// Completes the file and waits until it is on disk.
    pub fn finish(mut self) -> Result<Entry, SnapshotError> {
        self.writer
            .finish()
            .map_err(SnapshotError::writing(&self.path))?;
        let summed = self.writer.inner();
        summed
            .file
            .sync_all()
            .map_err(SnapshotError::io("write", &self.path))?;
        Ok(Entry {
            rows: self.rows,
            bytes: summed.bytes,
            xxh64: format!("{:016x}", summed.hash.finish()),
        })
    }
}

/// Reads one table, whose file is as the manifest says.
pub(super) struct TableReader {
    path: PathBuf,
    file: File,
    metadata: ArrowReaderMetadata,
    rows: u64,
    /// No more than this many rows are made room for before they have been seen.
    pub room: usize,
}

impl TableReader {
    pub fn open(
        directory: &Path,
        table: Table,
        entry: &Entry,
    ) -> Result<TableReader, SnapshotError> {
        let path = directory.join(table.file());
        let (mut file, bytes) = place::open_file(&path)?;
        let damaged = |what: String| SnapshotError::damaged(&path, what);
        if bytes != entry.bytes {
            let expected = entry.bytes;
            return Err(damaged(format!(
                "it has {bytes} bytes instead of {expected}"
            )));
        }
        let sum = checksum(&mut file).map_err(SnapshotError::io("read", &path))?;
        if format!("{sum:016x}") != entry.xxh64 {
            return Err(damaged("its checksum is wrong".to_owned()));
        }
        if entry.rows > i32::MAX as u64 {
            return Err(damaged(format!("{} rows are too many", entry.rows)));
        }
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_schema(table.schema());
        let metadata = guarded(|| {
            ArrowReaderMetadata::load(&file, options).map_err(|error| error.to_string())
        })
        .and_then(|metadata| check_chunks(metadata.metadata(), bytes).map(|()| metadata))
        .map_err(damaged)?;
        let rows = metadata.metadata().file_metadata().num_rows();
        if u64::try_from(rows) != Ok(entry.rows) {
            let expected = entry.rows;
            return Err(damaged(format!("it has {rows} rows instead of {expected}")));
        }
        // A real table's row takes a byte or so; a forged row count must not reserve memory.
        let room = entry.rows.min(bytes) as usize;
        Ok(TableReader {
            path,
            file,
            metadata,
            rows: entry.rows,
            room,
        })
    }

    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Hands over all rows, in batches. What `sink` finds wrong is reported as damage to the file.
    pub fn scan(
        self,
        mut sink: impl FnMut(&Batch) -> Result<(), String>,
    ) -> Result<(), SnapshotError> {
        let scanned = guarded(|| {
            let reader =
                ParquetRecordBatchReaderBuilder::new_with_metadata(self.file, self.metadata)
                    .with_batch_size(BATCH_ROWS)
                    .build()
                    .map_err(|error| error.to_string())?;
            let mut rows = 0;
            for batch in reader {
                let batch = Batch(batch.map_err(|error| error.to_string())?);
                rows += batch.rows() as u64;
                sink(&batch)?;
            }
            Ok(rows)
        });
        match scanned {
            Ok(rows) if rows == self.rows => Ok(()),
            Ok(rows) => {
                let what = format!("it ends after {rows} of {} rows", self.rows);
                Err(SnapshotError::damaged(&self.path, what))
            }
            Err(what) => Err(SnapshotError::damaged(&self.path, what)),
        }
    }
}

/// Turns a panic of the Parquet reader into an error. Files that were damaged by accident do not
/// get that far, their checksum is wrong; but a forged one may, and the reader panics on some.
fn guarded<T>(read: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    // Unwind safe: after a panic, the caller drops all that was read so far.
    std::panic::catch_unwind(std::panic::AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err("it is not a Parquet file that can be read".to_owned()))
}

/// Whether the parts that the metadata speaks of lie within the file of `bytes` bytes; the
/// Parquet reader takes that for granted.
fn check_chunks(metadata: &ParquetMetaData, bytes: u64) -> Result<(), String> {
    for group in metadata.row_groups() {
        if group.num_rows() < 0 {
            return Err("a part of it has fewer than no rows".to_owned());
        }
        for chunk in group.columns() {
            let start = chunk
                .dictionary_page_offset()
                .unwrap_or(chunk.data_page_offset());
            let end = u64::try_from(start)
                .ok()
                .zip(u64::try_from(chunk.compressed_size()).ok())
                .and_then(|(start, length)| start.checked_add(length));
            if chunk.data_page_offset() < 0
                || chunk.num_values() < 0
                || end.is_none_or(|end| end > bytes)
            {
                return Err("a part of it lies outside of it".to_owned());
            }
        }
    }
    Ok(())
}

fn checksum(file: &mut File) -> io::Result<u64> {
    let mut hash = XxHash64::with_seed(0);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hash.write(&buffer[..n]),
        }
    }
    file.rewind()?;
    Ok(hash.finish())
}

/// Rows as they were read, still under suspicion.
pub(super) struct Batch(RecordBatch);

impl Batch {
    pub fn rows(&self) -> usize {
        self.0.num_rows()
    }

    pub fn column(&self, name: &str) -> Result<&ArrayRef, String> {
        self.0
            .column_by_name(name)
            .ok_or_else(|| format!("it has no column {name}"))
    }

    fn required(&self, name: &str) -> Result<&ArrayRef, String> {
        let column = self.column(name)?;
        match column.null_count() {
            0 => Ok(column),
            _ => Err(format!("column {name} has nulls")),
        }
    }

    /// A column of 32-bit numbers without nulls.
    pub fn ints(&self, name: &str) -> Result<&[i32], String> {
        self.required(name)?
            .as_primitive_opt::<Int32Type>()
            .map(|array| &array.values()[..])
            .ok_or_else(|| format!("column {name} has another type"))
    }

    /// A column of truth values without nulls.
    pub fn bools(&self, name: &str) -> Result<impl Iterator<Item = bool> + '_, String> {
        self.required(name)?
            .as_boolean_opt()
            .map(|array| array.values().iter())
            .ok_or_else(|| format!("column {name} has another type"))
    }

    /// A column of 64-bit numbers without nulls.
    pub fn longs(&self, name: &str) -> Result<&[i64], String> {
        self.required(name)?
            .as_primitive_opt::<Int64Type>()
            .map(|array| &array.values()[..])
            .ok_or_else(|| format!("column {name} has another type"))
    }

    /// A column of 32-bit numbers or nulls.
    pub fn optional_ints(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Option<i32>> + '_, String> {
        self.column(name)?
            .as_primitive_opt::<Int32Type>()
            .map(|array| array.iter())
            .ok_or_else(|| format!("column {name} has another type"))
    }

    /// A column of 64-bit numbers or nulls.
    pub fn optional_longs(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Option<i64>> + '_, String> {
        self.column(name)?
            .as_primitive_opt::<Int64Type>()
            .map(|array| array.iter())
            .ok_or_else(|| format!("column {name} has another type"))
    }

    /// A column of texts or nulls.
    pub fn optional_texts(
        &self,
        name: &str,
    ) -> Result<impl Iterator<Item = Option<&str>> + '_, String> {
        self.column(name)?
            .as_string_opt::<i32>()
            .map(|array| array.iter())
            .ok_or_else(|| format!("column {name} has another type"))
    }

    /// A column of texts without nulls.
    pub fn texts(&self, name: &str) -> Result<impl Iterator<Item = &str> + '_, String> {
        self.required(name)?;
        Ok(self.optional_texts(name)?.flatten())
    }

    /// A column of words or nulls; `decode` is asked once per distinct word of the batch.
    pub fn words<T>(
        &self,
        name: &str,
        mut decode: impl FnMut(&str) -> Result<T, String>,
    ) -> Result<impl Iterator<Item = Option<T>> + '_, String>
    where
        T: Copy + 'static,
    {
        let column = self
            .column(name)?
            .as_dictionary_opt::<Int32Type>()
            .ok_or_else(|| format!("column {name} has another type"))?;
        let words = column
            .values()
            .as_string_opt::<i32>()
            .ok_or_else(|| format!("column {name} has another type"))?;
        // The dictionary may have words that no row has.
        let mut used = vec![false; words.len()];
        for key in column.keys().iter().flatten() {
            if let Some(used) = used.get_mut(key as usize) {
                *used = true;
            }
        }
        let values = words
            .iter()
            .zip(used)
            .map(|(word, used)| word.filter(|_| used).map(&mut decode).transpose())
            .collect::<Result<Vec<_>, _>>()?;
        let keys = column.keys().iter();
        Ok(keys.map(move |key| values.get(key? as usize).copied().flatten()))
    }
}
