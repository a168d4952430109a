//! A look at the heap, in three steps: find every object (which reads all that will be needed, so
//! that the copy can be let go), build the columns, and, where asked for, tell the edges.

use crate::account::{
    Account, Caches, FreeLists, HiddenLists, Ledger, NativeSearch, Search, Surroundings,
    static_strings,
};
use crate::columns;
use crate::duplicates::Duplicates;
use crate::edges::{EdgeSink, RawLabel, Visitor};
use crate::fill;
use crate::find;
use crate::fingerprints;
use crate::holders;
use crate::instances;
use crate::interpreters::Interpreter;
use crate::labels::Labels;
use crate::mark::{Found, Marker};
use crate::marks::Marks;
use crate::names;
use crate::outer;
use crate::problems::Problems;
use crate::pymalloc::{Arenas, BlockOwners};
use crate::python::{Python, WalkError};
use crate::read::Reader;
use crate::roots::RawRoot;
use crate::stacks::RawStack;
use crate::types::Types;
use crate::values;
use memshed_heap::{
    Code, Duplicate, Edges, Fill, Gc, Heap, Instances, ObjectId, Root, RootKind, SparsePart, Stack,
    StringId, Strings,
};
use memshed_target::{Memory, Range, RemoteAddr};
use rustc_hash::FxHashMap;
use std::sync::Arc;

/// Types looked at to learn what classes written in Python have in common.
const TYPE_SAMPLE: usize = 20_000;

/// What a walk is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WalkOptions {
    /// Whether the memory is of one moment. Where it is not, nothing that was found is more than
    /// a hint of what will have to be read.
    pub still: bool,
    /// Read what previews of contents need as well ([`Walk::previews`]).
    pub values: bool,
    /// Count the references that are no edges ([`Heap::outer_references`]).
    pub references: bool,
    /// Read what is needed to find objects of equal contents as well ([`Walk::duplicates`]).
    pub duplicates: bool,
}

impl Default for WalkOptions {
    fn default() -> WalkOptions {
        WalkOptions {
            still: true,
            values: false,
            references: true,
            duplicates: false,
        }
    }
}

/// Where a walk has got to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Finding objects.
    Finding,
    /// Sizing them.
    Sizing,
    /// Finding who holds them.
    Holding,
    /// Telling their edges.
    Edges,
}

/// A heap whose objects have been found.
pub struct Walk<'m, M: Memory> {
    python: &'m Python,
    options: WalkOptions,
    visitor: Visitor<'m, M>,
    problems: Arc<Problems>,
    interpreters: Vec<Interpreter>,
    arenas: Arenas,
    roots: Vec<RawRoot>,
    stacks: Vec<RawStack>,
    /// What refers to objects and is no object: each once for each reference.
    outer: Vec<RemoteAddr>,
    found: Found<'m, M>,
    in_collection: bool,
    /// Interned strings in the program's own data.
    static_strings: u64,
}

impl<'m, M: Memory> Walk<'m, M> {
    /// Finds every object. All memory that the other steps need has been read when it returns.
    ///
    /// # Errors
    /// If the interpreter's state makes no sense; torn objects are counted instead.
    pub fn find(
        python: &'m Python,
        memory: &'m M,
        options: WalkOptions,
        progress: &dyn Fn(Phase),
    ) -> Result<Walk<'m, M>, WalkError> {
        progress(Phase::Finding);
        let (reader, layout) = (Reader(memory), &python.layout);
        let problems = Arc::new(Problems::default());
        let interpreters = python.interpreters(memory, &problems)?;
        let mut arenas = Arenas::default();
        for interpreter in &interpreters {
            if options.still {
                python.validate(reader, interpreter)?;
            }
            arenas.join(python.arenas(reader, interpreter, &problems)?);
        }
        // The interpreter made first is the last in the list.
        if let Some(main) = interpreters.last() {
            let sample = find::sample(reader, layout, main);
            arenas.prefix = find::debug_prefix(reader, layout, &sample);
            let malloc = || find::is_from_malloc(reader, layout, arenas.prefix, &sample);
            if arenas.count() == 0 && !malloc() {
                problems.add("no-arenas", || {
                    "objects are in neither pymalloc's memory nor glibc's".to_owned()
                });
            }
        }
        memory.prefetch(&arenas.ranges());
        arenas.find_sparse(reader, layout);

        let visitor = Visitor {
            reader,
            layout,
            minor: python.minor,
            static_types: static_types(reader, python, &interpreters),
        };
        let types = types(&visitor, python, &interpreters, &problems)?;
        let mut marker = Marker::new(&visitor, &arenas, &problems, &python.program.statics, types);
        for interpreter in &interpreters {
            for (generation, head) in interpreter.list_heads(layout).into_iter().enumerate() {
                marker.mark_list(generation, head);
            }
        }
        let in_collection = interpreters.iter().any(|i| {
            reader
                .i32(i.collecting(layout))
                .is_ok_and(|collecting| collecting != 0)
        });
        marker.follow_lists();
        let mut roots = Vec::new();
        for interpreter in &interpreters {
            roots.extend(visitor.roots(interpreter, python.program.pid));
        }
        let threads = interpreters.iter().flat_map(|i| &i.threads);
        let stacks = threads.map(|thread| visitor.stack(thread, python.program.pid));
        let stacks = stacks.collect();
        let outer = match options.references {
            true => interpreters.iter().flat_map(|i| visitor.outer(i)).collect(),
            false => Vec::new(),
        };
        if in_collection {
            problems.add("frozen-inside-a-collection", || {
                "the collector's lists were in pieces; objects were found by going through the \
                 memory pools"
                    .to_owned()
            });
        }
        let interned = python.static_interned(reader, &marker.found.types);
        roots.extend(interned.map(|object| RawRoot {
            object,
            kind: RootKind::Interned,
            name: "interpreter.interned_strings".to_owned(),
            namespace: false,
        }));
        for root in &roots {
            if root.namespace {
                marker.note_namespace(root.object);
            }
            marker.mark_root(root);
        }
        roots.extend(marker.mark_static_types());
        marker.sweep(in_collection);
        let mut found = marker.found;
        found.objects.number();
        touch(&visitor, &found, options);
        Ok(Walk {
            python,
            options,
            visitor,
            problems,
            interpreters,
            arenas,
            roots,
            stacks,
            outer,
            found,
            in_collection,
            static_strings: static_strings(reader, layout, python.program.runtime),
        })
    }

    /// Finds large objects as well that only C code holds, in what is around the heap. Reads more
    /// of the process's memory.
    pub fn find_large(self, around: &Surroundings) -> Walk<'m, M> {
        let statics = &self.python.program.statics;
        let (visitor, arenas) = (&self.visitor, &self.arenas);
        let mut marker = Marker::resume(visitor, arenas, &self.problems, statics, self.found);
        marker.sweep_chunks(around);
        let mut found = marker.found;
        found.objects.number();
        touch(&self.visitor, &found, self.options);
        Walk { found, ..self }
    }

    /// Whether the process was frozen inside a collection.
    pub fn in_collection(&self) -> bool {
        self.in_collection
    }

    /// How many objects were found.
    pub fn object_count(&self) -> u64 {
        self.found.objects.len()
    }

    /// Builds the heap: every column but the edges. Facts about the process are the caller's to
    /// fill in. To be called once: the collector's lists go as soon as they are a column, since
    /// memory is at its peak when the holders are found.
    pub fn heap(&mut self, around: &Surroundings, progress: &dyn Fn(Phase)) -> Heap {
        progress(Phase::Sizing);
        let statics = &self.python.program.statics;
        let types = self.found.types.infos().len();
        let ledger = Ledger::new(&self.arenas, statics, around, types);
        let mut objects = columns::build(
            &self.visitor,
            &self.found,
            &ledger,
            self.in_collection,
            &self.problems,
        );
        let free_lists = self.free_lists(&ledger);
        let mut heap = self.account(&ledger, &objects, &free_lists, around);
        drop(ledger);
        heap.gc = self.gc();
        self.found.generations = std::array::from_fn(|_| Marks::new());
        progress(Phase::Holding);
        let libraries = around.owners.libraries.iter();
        heap.libraries = libraries.map(|path| heap.strings.intern(path)).collect();
        heap.types = names::types(&self.found, &mut heap.strings);
        heap.roots = self.hold(&mut objects, &mut heap.strings);
        heap.names = names::objects(&self.visitor, &self.found, &objects, &mut heap.strings);
        heap.caches = self.caches(&objects, &free_lists);
        heap.objects = objects;
        heap
    }

    /// What free lists hold, once it is known which blocks are objects and parts of them.
    fn free_lists(&self, ledger: &Ledger<'_>) -> FreeLists {
        if !self.visitor.layout.freelists.is_empty() {
            return FreeLists::read(&self.visitor, &self.interpreters, &self.arenas);
        }
        let hidden = HiddenLists {
            visitor: &self.visitor,
            found: &self.found,
            arenas: &self.arenas,
            claims: &ledger.claims,
            data: &self.python.program.data,
        };
        hidden.read()
    }

    /// What the pools, the resident pages and the blocks in use are.
    fn account(
        &self,
        ledger: &Ledger<'_>,
        objects: &memshed_heap::Objects,
        free_lists: &FreeLists,
        around: &Surroundings,
    ) -> Heap {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        for &block in &free_lists.blocks {
            ledger.claims.claim(block, crate::account::Claim::Other);
        }
        let search = Search {
            visitor: &self.visitor,
            found: &self.found,
            objects,
            arenas: &self.arenas,
            ledger,
            around,
            interpreters: &self.interpreters,
            references: self.options.references,
        };
        let possible = search.run();
        let outer_references = match self.options.references {
            true => outer::count(&self.found, &self.outer, &possible.references),
            false => Vec::new(),
        };
        let owners = BlockOwners {
            claims: &ledger.claims,
            cached: &free_lists.blocks,
        };
        let resident = |range| around.resident_pages(range);
        let mut pools = self
            .arenas
            .account(reader, layout, owners, &resident, &self.problems);
        pools.sum.releasable.malloc = around.trimmable_bytes();
        pools.sum.releasable_bytes = pools.sum.releasable.total();
        pools.sum.raw_blocks = self
            .python
            .raw_blocks(reader, &self.interpreters, &self.problems);
        let account = Account {
            around,
            ledger,
            possible: &possible,
            arenas: &pools.resident,
            arena_ranges: &self.arenas.whole_ranges(),
            type_names: &|id| self.found.types.info(id).full_name(),
        };
        let native = NativeSearch {
            visitor: &self.visitor,
            ledger,
            around,
            possible: &possible,
            pools: &pools,
            runtime: self.python.program.runtime,
            type_names: &|id| self.found.types.info(id).full_name(),
        };
        let mut strings = Strings::default();
        let native = native.rows(&mut strings);
        let rank = |at| self.found.objects.rank(at).map(ObjectId);
        let parts = ledger.sparse_parts().into_iter();
        let parts = parts.filter_map(|(address, owner, bytes)| {
            let owner = rank(owner)?;
            Some(SparsePart {
                address,
                bytes,
                owner,
            })
        });
        Heap {
            sparse_parts: parts.collect(),
            memory: account.tree(),
            native,
            strings,
            outer_references,
            blocks: pools.block_uses(),
            pools: pools.sum,
            pool_table: pools.table,
            ..Heap::default()
        }
    }

    /// Memory that the interpreter has obtained by mmap(2): the arenas, and what the frames of
    /// each thread lie in. In order of address.
    pub fn interpreter_mappings(&self) -> Vec<Range> {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        let threads = self.interpreters.iter().flat_map(|i| &i.threads);
        let stacks = threads.flat_map(|thread| thread.frame_stacks(reader, layout));
        let mut ranges: Vec<Range> = self
            .arenas
            .whole_ranges()
            .into_iter()
            .chain(stacks)
            .collect();
        ranges.sort_unstable();
        ranges
    }

    fn hold(&self, objects: &mut memshed_heap::Objects, strings: &mut Strings) -> Vec<Root> {
        let names: Vec<StringId> = self.roots.iter().map(|r| strings.intern(&r.name)).collect();
        let layout = self.visitor.layout;
        let namespaces = &self.found.namespaces;
        let mut labels = Labels::new(self.visitor.reader, layout, namespaces, strings);
        holders::find(
            &self.visitor,
            &self.found,
            objects,
            &mut labels,
            &self.roots,
            &names,
        )
    }

    /// Every edge, in order of the source's handle. Names are added to `strings`.
    pub fn edges(&self, strings: &mut Strings, progress: &dyn Fn(Phase)) -> Edges {
        progress(Phase::Edges);
        let layout = self.visitor.layout;
        let namespaces = &self.found.namespaces;
        let labels = Labels::new(self.visitor.reader, layout, namespaces, strings);
        let mut sink = EdgeRows {
            found: &self.found,
            labels,
            edges: Edges::default(),
        };
        sink.edges.start.push(0);
        for chunk in 0..self.found.objects.chunk_count() {
            for address in self.found.objects.chunk(chunk) {
                let at = RemoteAddr(address);
                let of = self
                    .visitor
                    .reader
                    .pointer(at.add(layout.object.ob_type.into()));
                if let Some(id) = of.ok().and_then(|of| self.found.types.known(of)) {
                    // What is torn was counted when it was found.
                    let _ = self.visitor.visit(at, self.found.types.info(id), &mut sink);
                }
                sink.edges.start.push(sink.edges.target.len() as u64);
            }
        }
        sink.edges
    }

    /// Where all code objects were written, sorted by object. Names are added to `strings`.
    pub fn code(&self, strings: &mut Strings) -> Vec<Code> {
        self.visitor.code_objects(&self.found, strings)
    }

    /// What each thread was running, the one made last first. Names are added to `strings`.
    pub fn stacks(&self, strings: &mut Strings) -> Vec<Stack> {
        let stacks = self.stacks.iter();
        let stacks = stacks.map(|stack| stack.resolve(&self.found, strings));
        stacks.collect()
    }

    /// Objects of equal contents, those of which the most bytes could be saved first.
    /// [`WalkOptions::duplicates`] has to have been set, or the bytes may not be there.
    pub fn duplicates(&self, objects: &memshed_heap::Objects) -> Vec<Duplicate> {
        let (visitor, found) = self.parts();
        Duplicates { visitor, found }.find(objects)
    }

    /// All objects whose contents another one has as well, of each group all but one, in order, on
    /// the same condition.
    pub fn copies(&self, objects: &memshed_heap::Objects) -> Vec<ObjectId> {
        let (visitor, found) = self.parts();
        Duplicates { visitor, found }.copies(objects)
    }

    /// Classes written in Python with many instances, most bytes first.
    pub fn instances(&self, objects: &memshed_heap::Objects) -> Vec<Instances> {
        let (visitor, found) = self.parts();
        instances::find(visitor, found, objects)
    }

    /// What tells old objects from others that take their places, of a sample, in order.
    pub fn fingerprints(&self, objects: &memshed_heap::Objects) -> Vec<(ObjectId, u32)> {
        let (visitor, found) = self.parts();
        fingerprints::find(visitor, found, objects)
    }

    /// How full dictionaries, sets and lists are, by type, most spare room first.
    pub fn fill(&self) -> Vec<Fill> {
        let (visitor, found) = self.parts();
        fill::find(visitor, found)
    }

    /// What could not be read or made sense of so far.
    pub fn problems(&self) -> Vec<memshed_heap::Problem> {
        self.problems.list()
    }

    /// What is needed to read objects, and which there are.
    pub(crate) fn parts(&self) -> (&Visitor<'m, M>, &Found<'m, M>) {
        (&self.visitor, &self.found)
    }

    fn gc(&self) -> Gc {
        let objects = std::array::from_fn(|i| self.found.generations[i].len());
        // The interpreter made first is the last in the list.
        let main = self.interpreters.last();
        let gc = main.map(|main| main.read_gc(self.visitor.reader, self.visitor.layout, objects));
        gc.and_then(Result::ok).unwrap_or_default()
    }

    fn caches(
        &self,
        objects: &memshed_heap::Objects,
        free_lists: &FreeLists,
    ) -> Vec<memshed_heap::Cache> {
        let caches = Caches {
            visitor: &self.visitor,
            interpreters: &self.interpreters,
            found: &self.found,
            objects,
            roots: &self.roots,
            static_strings: self.static_strings,
        };
        caches.all(free_lists)
    }
}

/// Reads contents that are wanted and that finding objects does not read.
fn touch<M: Memory>(visitor: &Visitor<'_, M>, found: &Found<'_, M>, options: WalkOptions) {
    if options.values {
        values::touch(visitor, found);
    }
    if options.duplicates {
        Duplicates { visitor, found }.touch();
    }
}

/// Gathers edges in columns.
struct EdgeRows<'a, 'm, M: Memory> {
    found: &'a Found<'m, M>,
    labels: Labels<'a, M>,
    edges: Edges,
}

impl<M: Memory> EdgeSink for EdgeRows<'_, '_, M> {
    fn edge(&mut self, target: RemoteAddr, label: RawLabel<'_>) {
        if let Some(row) = self.found.objects.rank(target.0) {
            self.edges.target.push(ObjectId(row));
            self.edges.label.push(self.labels.label(label));
        }
    }

    fn candidate(&mut self, word: RemoteAddr, offset: u64) {
        self.edge(word, RawLabel::Possible(offset));
    }

    fn weak(&mut self, target: RemoteAddr, label: &'static str) {
        self.edge(target, RawLabel::Weak(label));
    }
}

fn types<'m, M: Memory>(
    visitor: &Visitor<'m, M>,
    python: &'m Python,
    interpreters: &[Interpreter],
    problems: &Arc<Problems>,
) -> Result<Types<'m, M>, WalkError> {
    let (reader, layout) = (visitor.reader, visitor.layout);
    let members: Vec<RemoteAddr> = interpreters
        .iter()
        .flat_map(|i| find::members(reader, layout, i, TYPE_SAMPLE))
        .collect();
    let Some(type_type) = find::type_type(reader, layout, &members) else {
        return Err(WalkError::Implausible {
            version: python.version(),
            what: "none of its objects leads to the type of types".to_owned(),
        });
    };
    let is_type =
        |at: &RemoteAddr| reader.pointer(at.add(layout.object.ob_type.into())) == Ok(type_type);
    let sample: Vec<RemoteAddr> = members.into_iter().filter(is_type).collect();
    Ok(Types::new(
        reader,
        layout,
        visitor.minor,
        Arc::clone(problems),
        type_type,
        &sample,
    ))
}

/// From 3.12 on the interpreter's state keeps what used to be in static builtin types.
fn static_types<M: Memory>(
    reader: Reader<'_, M>,
    python: &Python,
    interpreters: &[Interpreter],
) -> FxHashMap<RemoteAddr, (RemoteAddr, RemoteAddr)> {
    let mut map = FxHashMap::default();
    for interpreter in interpreters {
        for state in interpreter.static_types(reader, &python.layout) {
            // The namespaces of the main interpreter, the last in the list, win.
            map.insert(state.ty, (state.dict, state.subclasses));
        }
    }
    map
}
