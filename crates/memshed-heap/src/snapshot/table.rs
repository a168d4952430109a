//! The tables of a snapshot and their columns: the format, in one place.
//!
//! Chosen so that every engine opens the files as they are: flat tables, signed integers,
//! UTF-8 text, nulls where a value is absent, no Arrow-specific metadata.

use arrow_schema::{DataType, Field, Schema, SchemaRef};
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::file::metadata::KeyValue;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

/// The version of the format; goes up when an older memshed would misread the tables.
pub const FORMAT: u64 = 3;

/// Rows that are encoded or decoded at a time: bounds the memory for copies.
pub(super) const BATCH_ROWS: usize = 128 * 1024;
/// Rows of a row group: the unit in which engines read in parallel and skip.
const ROW_GROUP_ROWS: usize = 1024 * 1024;

/// A table of a snapshot: one Parquet file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Table {
    Objects,
    Edges,
    Types,
    Strings,
    Roots,
    Pools,
    Blocks,
    SparseParts,
    Code,
    Mentions,
    Stacks,
    Native,
    NativePointers,
    OuterReferences,
    Duplicates,
    /// How full containers are.
    Fill,
    /// The libraries that are loaded.
    Libraries,
    Process,
    Generations,
    Caches,
    Memory,
    Problems,
    Values,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// 32 bits, signed.
    Int,
    /// 64 bits, signed.
    Long,
    Double,
    Bool,
    /// Text, most of it different from row to row.
    Text,
    /// Text from a small vocabulary, decoded once per distinct word.
    Word,
}

/// How a column's numbers are stored.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// As indices into the distinct values, while these are few.
    Dictionary,
    /// As differences to the row before, in as few bits as these need.
    Delta,
}

struct Column {
    name: &'static str,
    kind: Kind,
    nullable: bool,
    packing: Packing,
}

const fn column(name: &'static str, kind: Kind) -> Column {
    Column {
        name,
        kind,
        nullable: false,
        packing: Packing::Dictionary,
    }
}

impl Column {
    const fn nullable(mut self) -> Column {
        self.nullable = true;
        self
    }

    const fn delta(mut self) -> Column {
        self.packing = Packing::Delta;
        self
    }
}

use Kind::{Bool, Double, Int, Long, Text, Word};

const OBJECTS: &[Column] = &[
    column("object_id", Int).delta(),
    column("address", Long).delta(),
    column("type_id", Int),
    // sys.getsizeof
    column("size", Long),
    column("allocated", Long),
    // null: immortal
    column("refcount", Long).nullable(),
    // null: not tracked by the collector
    column("generation", Int).nullable(),
    // null: a root, or reached from none
    column("holder", Int).nullable().delta(),
    column("holder_kind", Word).nullable(),
    column("holder_name", Word).nullable(),
    column("holder_value", Int).nullable(),
    // of a module, type, function, code object
    column("name", Word).nullable(),
];
const EDGES: &[Column] = &[
    column("source", Int).delta(),
    column("target", Int).delta(),
    column("kind", Word),
    column("name", Word).nullable(),
    column("value", Int).nullable(),
];
const TYPES: &[Column] = &[
    column("type_id", Int).delta(),
    column("name", Text),
    column("module", Text),
    column("address", Long).delta(),
    // the type object itself
    column("object", Int).nullable().delta(),
];
const STRINGS: &[Column] = &[column("string_id", Int).delta(), column("value", Text)];
const ROOTS: &[Column] = &[
    column("object", Int).delta(),
    column("kind", Word),
    column("name", Text),
];
const POOLS: &[Column] = &[
    column("address", Long).delta(),
    column("arena", Int).delta(),
    // 0: a free pool
    column("block_size", Int),
    column("used", Int),
    column("capacity", Int),
    column("resident", Int),
];
const SPARSE_PARTS: &[Column] = &[
    column("address", Long).delta(),
    column("bytes", Int),
    column("owner", Int),
];
const BLOCKS: &[Column] = &[
    column("kind", Text),
    column("block_size", Int),
    column("blocks", Long),
];
// Code objects.
const CODE: &[Column] = &[
    column("object", Int).delta(),
    // the qualified name, where CPython keeps it
    column("name", Word),
    column("file", Word),
    // its first line
    column("line", Int),
];
// The global names and attributes that code mentions, and its free variables.
const MENTIONS: &[Column] = &[
    column("object", Int).delta(),
    column("name", Word),
    // a free variable, of which a function's closure has a cell
    column("free", Bool),
];
// The calls of threads, innermost first.
const STACKS: &[Column] = &[
    column("stack", Int).delta(),
    column("thread", Word),
    // null, as the line: the thread runs no code
    column("code", Int).nullable(),
    column("line", Int).nullable(),
];
// Memory in use that is no object's.
const NATIVE: &[Column] = &[
    column("native_id", Int).delta(),
    column("kind", Text),
    // null: nobody points at it
    column("owner", Text).nullable(),
    // 0: of various sizes
    column("size", Long),
    column("count", Long),
    column("bytes", Long),
];
// Into which libraries a sample of it points.
const NATIVE_POINTERS: &[Column] = &[
    column("native_id", Int).delta(),
    column("library", Text),
    column("count", Int),
];
// References to objects that are no edges.
const OUTER_REFERENCES: &[Column] = &[column("object", Int).delta(), column("count", Int)];
// Objects of equal contents: one of them, how many, the bytes of all.
const DUPLICATES: &[Column] = &[
    column("object", Int),
    column("count", Long),
    column("bytes", Long),
];
// How full the containers of a type are.
const FILL: &[Column] = &[
    column("type_id", Int),
    column("containers", Long),
    column("used", Long),
    column("slots", Long),
    column("spare_bytes", Long),
    column("emptiest", Int),
];
// The program and the libraries that it has loaded.
const LIBRARIES: &[Column] = &[column("path", Text)];
// One row: the process, how it was looked at, its collector's switches, its pools in sum.
const PROCESS: &[Column] = &[
    column("pid", Int),
    column("python", Text),
    column("executable", Text),
    column("uptime_seconds", Double),
    column("threads", Int),
    column("rss_bytes", Long),
    column("pss_bytes", Long),
    column("uss_bytes", Long),
    column("swap_bytes", Long),
    column("peak_rss_bytes", Long),
    column("page_tables_bytes", Long),
    column("kernel_stacks_bytes", Long),
    column("huge_pool_bytes", Long),
    column("huge_pages_bytes", Long),
    column("locked_bytes", Long),
    column("container_limit_bytes", Long).nullable(),
    column("container_used_bytes", Long).nullable(),
    column("method", Text),
    column("method_reason", Text).nullable(),
    column("taken_at", Double),
    column("stopped_ms", Double),
    column("seconds", Double),
    column("gc_enabled", Bool),
    column("gc_frozen", Long),
    column("arenas", Long),
    column("arena_bytes", Long),
    column("pools", Long),
    column("free_pools", Long),
    column("pool_bytes", Long),
    column("blocks", Long),
    column("raw_blocks", Long).nullable(),
    column("pool_used_bytes", Long),
    column("pool_free_bytes", Long),
    column("pool_releasable_bytes", Long),
    column("releasable_free_pools_bytes", Long),
    column("releasable_arena_tops_bytes", Long),
    column("releasable_used_pools_bytes", Long),
    column("releasable_malloc_bytes", Long),
];
const GENERATIONS: &[Column] = &[
    column("generation", Int),
    column("objects", Long),
    column("threshold", Long),
    column("count", Long),
    column("collections", Long),
    column("collected", Long),
    column("uncollectable", Long),
];
const CACHES: &[Column] = &[
    column("name", Text),
    column("entries", Long),
    column("bytes", Long),
];
const MEMORY: &[Column] = &[
    // 0: a category; a part of what stands above it with one less
    column("level", Int),
    column("category", Text),
    column("bytes", Long),
    column("count", Long),
];
// Only where contents were asked for; no other table holds any.
const VALUES: &[Column] = &[
    column("object", Int).delta(),
    // null: the object itself; otherwise its key in that entry, as in holder_value
    column("position", Int).nullable(),
    column("preview", Text),
];
const PROBLEMS: &[Column] = &[
    column("kind", Text),
    column("count", Long),
    column("example", Text),
];

impl Table {
    /// All tables, in the order in which they are documented.
    pub const ALL: [Table; 23] = [
        Table::Objects,
        Table::Edges,
        Table::Types,
        Table::Strings,
        Table::Roots,
        Table::Pools,
        Table::Blocks,
        Table::SparseParts,
        Table::Code,
        Table::Mentions,
        Table::Stacks,
        Table::Native,
        Table::NativePointers,
        Table::OuterReferences,
        Table::Duplicates,
        Table::Fill,
        Table::Libraries,
        Table::Process,
        Table::Generations,
        Table::Caches,
        Table::Memory,
        Table::Problems,
        Table::Values,
    ];

    /// Its name, as in the manifest.
    pub fn name(self) -> &'static str {
        self.spec().0
    }

    /// Its file within the snapshot's directory.
    pub fn file(self) -> String {
        format!("{}.parquet", self.name())
    }

    fn spec(self) -> (&'static str, &'static [Column]) {
        match self {
            Table::Objects => ("objects", OBJECTS),
            Table::Edges => ("edges", EDGES),
            Table::Types => ("types", TYPES),
            Table::Strings => ("strings", STRINGS),
            Table::Roots => ("roots", ROOTS),
            Table::Pools => ("pools", POOLS),
            Table::Blocks => ("blocks", BLOCKS),
            Table::SparseParts => ("sparse_parts", SPARSE_PARTS),
            Table::Code => ("code", CODE),
            Table::Mentions => ("mentions", MENTIONS),
            Table::Stacks => ("stacks", STACKS),
            Table::Native => ("native", NATIVE),
            Table::NativePointers => ("native_pointers", NATIVE_POINTERS),
            Table::OuterReferences => ("outer_references", OUTER_REFERENCES),
            Table::Duplicates => ("duplicates", DUPLICATES),
            Table::Fill => ("fill", FILL),
            Table::Libraries => ("libraries", LIBRARIES),
            Table::Process => ("process", PROCESS),
            Table::Generations => ("generations", GENERATIONS),
            Table::Caches => ("caches", CACHES),
            Table::Memory => ("memory", MEMORY),
            Table::Problems => ("problems", PROBLEMS),
            Table::Values => ("values", VALUES),
        }
    }

    /// The columns as Arrow types. Words are dictionaries in memory, plain text in the file.
    pub fn schema(self) -> SchemaRef {
        let fields = self.spec().1.iter().map(|column| {
            let kind = match column.kind {
                Int => DataType::Int32,
                Long => DataType::Int64,
                Double => DataType::Float64,
                Bool => DataType::Boolean,
                Text => DataType::Utf8,
                Word => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
            };
            Field::new(column.name, kind, column.nullable)
        });
        Arc::new(Schema::new(fields.collect::<Vec<_>>()))
    }

    /// How the table is compressed and encoded.
    pub fn properties(self) -> WriterProperties {
        let mut properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
            .set_created_by(concat!("memshed ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(vec![
                KeyValue::new("memshed.format".to_owned(), FORMAT.to_string()),
                KeyValue::new("memshed.table".to_owned(), self.name().to_owned()),
            ]));
        for column in self.spec().1 {
            let path = ColumnPath::from(column.name);
            if column.kind == Word {
                // The least and greatest of unsorted words help no reader, and cost a fifth of
                // the time to write edges.
                properties =
                    properties.set_column_statistics_enabled(path.clone(), EnabledStatistics::None);
            }
            if column.packing == Packing::Delta {
                properties = properties
                    .set_column_dictionary_enabled(path.clone(), false)
                    .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
        }
        properties.build()
    }
}
