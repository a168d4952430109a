//! The columns: objects, their types, their edges.

use crate::addresses::Addresses;
use crate::facts::{Cache, Gc, MemoryPart, Pools, Process, SnapshotInfo};
use crate::label::Label;
use crate::sizes::Sizes;
use crate::strings::{StringId, Strings};
use rustc_hash::FxHashMap;

/// A handle to an object: its row in [`Objects`]. Rows are sorted by address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId(pub u32);

impl ObjectId {
    /// Stands for "no object".
    pub const NONE: ObjectId = ObjectId(u32::MAX);
}

/// A handle to a type: its row in [`Heap::types`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TypeId(pub u32);

/// A type of the heap's objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Type {
    /// `module.qualname`; builtins bare.
    pub name: StringId,
    /// The module part, `builtins` for builtins.
    pub module: StringId,
    /// Address of the type object in the target.
    pub address: u64,
    /// The type object itself, if it is among the objects.
    pub object: ObjectId,
}

/// The objects, one row each, sorted by address. All columns have the same length.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Address of the object (of its `ob_refcnt`) in the target.
    pub address: Addresses,
    /// Its type: a row of [`Heap::types`].
    pub type_id: Vec<TypeId>,
    /// What `sys.getsizeof` says, in bytes.
    pub size: Sizes,
    /// What the allocators gave for it and the buffers that are its own, in bytes; 0 for objects
    /// that are part of the program's data.
    pub allocated: Sizes,
    /// Reference count; [`Objects::IMMORTAL`] for immortal objects.
    pub refcount: Vec<u32>,
    /// 0–2: generation of the collector; 3: the permanent one (`gc.freeze`);
    /// [`Objects::UNTRACKED`]: not tracked by the collector.
    pub generation: Vec<u8>,
    /// The object that holds this one, on a shortest path from a root; `NONE` for roots and for
    /// what no root reaches.
    pub holder: Vec<ObjectId>,
    /// How the holder holds it.
    pub holder_label: Vec<Label>,
}

impl Objects {
    /// The reference count of an immortal object.
    pub const IMMORTAL: u32 = u32::MAX;
    /// The generation of an object that the collector does not track.
    pub const UNTRACKED: u8 = u8::MAX;

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.address.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.address.is_empty()
    }
}

/// An edge by itself, on its way to [`Edges`] or into a snapshot file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The object that refers.
    pub source: ObjectId,
    /// The object referred to.
    pub target: ObjectId,
    /// How.
    pub label: Label,
}

/// Edges in compressed rows: the targets of object `i` are
/// `target[start[i]..start[i + 1]]`, with labels at the same places.
#[derive(Clone, Debug, Default)]
pub struct Edges {
    /// One more row than there are objects.
    pub start: Vec<u64>,
    /// The object referred to.
    pub target: Vec<ObjectId>,
    /// How.
    pub label: Vec<Label>,
}

impl Edges {
    /// The edges that leave `source`.
    pub fn of(&self, source: ObjectId) -> impl Iterator<Item = (ObjectId, Label)> + '_ {
        let row = source.0 as usize;
        let range = self.start[row] as usize..self.start[row + 1] as usize;
        range.map(|i| (self.target[i], self.label[i]))
    }
}

/// Why an object is alive without another object holding it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum RootKind {
    /// A module in `sys.modules`; the name is the module's.
    Module = 0,
    /// A local variable or stack value of a running frame; the name is `function (file:line), thread N`.
    Frame = 1,
    /// A field of the interpreter's or a thread's own state; the name is the field's.
    Interpreter = 2,
    /// A type or another object in the program's static data.
    Static = 3,
    /// The table of interned strings.
    Interned = 4,
    /// Found in the collector's lists or the pools, reached from no root known: held by C code,
    /// or garbage that waits to be collected.
    Unreached = 5,
}

impl RootKind {
    /// All kinds, each at the place of its number.
    pub const ALL: [RootKind; 6] = [
        RootKind::Module,
        RootKind::Frame,
        RootKind::Interpreter,
        RootKind::Static,
        RootKind::Interned,
        RootKind::Unreached,
    ];

    /// The kind as a word, as in snapshot files and JSON.
    pub fn word(self) -> &'static str {
        match self {
            RootKind::Module => "module",
            RootKind::Frame => "frame",
            RootKind::Interpreter => "interpreter",
            RootKind::Static => "static",
            RootKind::Interned => "interned",
            RootKind::Unreached => "unreached",
        }
    }

    /// The kind that [`RootKind::word`] names so.
    pub fn from_word(word: &str) -> Option<RootKind> {
        RootKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A root: an object alive by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// The object.
    pub object: ObjectId,
    /// Why it is a root.
    pub kind: RootKind,
    /// What it is called.
    pub name: StringId,
}

/// A preview of contents, for users who ask for them. Printable characters only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Preview {
    /// The object.
    pub object: ObjectId,
    /// `None`: the preview is of the object itself. Otherwise of its key in that entry, by the
    /// position among its entries, as in labels of kind [`crate::LabelKind::Value`].
    pub position: Option<u32>,
    /// What it contains.
    pub text: String,
}

/// A heap: everything that one look at a process found.
#[derive(Clone, Debug, Default)]
pub struct Heap {
    /// The process.
    pub process: Process,
    /// How it was looked at.
    pub snapshot: SnapshotInfo,
    /// The objects.
    pub objects: Objects,
    /// Their edges, where they were asked for.
    pub edges: Option<Edges>,
    /// Their types.
    pub types: Vec<Type>,
    /// Roots other than those of kind `Unreached`, sorted by object.
    pub roots: Vec<Root>,
    /// Names of modules, types, functions, code objects and the like; a cell's is that of the
    /// variable, as the code of a function with that cell in its closure has it.
    pub names: FxHashMap<ObjectId, StringId>,
    /// Code objects, sorted by object; told with the edges.
    pub code: Vec<crate::code::Code>,
    /// What each thread was running.
    pub stacks: Vec<crate::code::Stack>,
    /// References that are no edges: from the interpreter's and the threads' own state, running
    /// frames, and tables of C code; each object once, sorted, with their number. Told with the
    /// edges.
    pub outer_references: Vec<(ObjectId, u32)>,
    /// All names.
    pub strings: Strings,
    /// The collector.
    pub gc: Gc,
    /// The memory pools, in sum.
    pub pools: Pools,
    /// Pool by pool.
    pub pool_table: crate::pools::PoolTable,
    /// pymalloc's blocks in use, by what they are and their size.
    pub blocks: Vec<crate::pools::BlockUse>,
    /// Parts of objects in mostly empty pools and arenas, sorted by address.
    pub sparse_parts: Vec<crate::pools::SparsePart>,
    /// Paths of the program and of the libraries that it has loaded.
    pub libraries: Vec<StringId>,
    /// Memory in use that is no object's by any layout.
    pub native: Vec<crate::native::NativeUse>,
    /// Objects of equal contents, those with most bytes in all but one first.
    pub duplicates: Vec<crate::facts::Duplicate>,
    /// Objects whose contents another one has as well, of each group all but one, in order; found
    /// with `duplicates` in a process, and kept in no file.
    pub copies: Vec<ObjectId>,
    /// Classes whose instances have dictionaries or values of their own, most bytes first; found
    /// where it is asked for, and kept in no file.
    pub instances: Vec<crate::facts::Instances>,
    /// Of a sample of the collector's old objects, in order, numbers that tell each from another that
    /// takes its place; made where it is asked for, and kept in no file.
    pub fingerprints: Vec<(ObjectId, u32)>,
    /// How full containers are, by type, most spare room first.
    pub fill: Vec<crate::facts::Fill>,
    /// Object caches.
    pub caches: Vec<Cache>,
    /// Resident bytes by category; sums to `process.rss_bytes`.
    pub memory: Vec<MemoryPart>,
    /// Previews of contents, sorted by object and position; `None` if they were not asked for.
    pub previews: Option<Vec<Preview>>,
}

impl Heap {
    /// The preview of an object (`position` is `None`), or of the key of one of its entries.
    pub fn preview(&self, object: ObjectId, position: Option<u32>) -> Option<&str> {
        let all = self.previews.as_ref()?;
        let key = |one: &Preview| (one.object, one.position);
        let row = all.binary_search_by_key(&(object, position), key).ok()?;
        Some(&all[row].text)
    }
}
