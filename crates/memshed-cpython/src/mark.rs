//! Finding every object: the collector's lists, the roots, and all that they reach.

use crate::edges::{EdgeSink, RawLabel, Visitor};
use crate::marks::Marks;
use crate::problems::Problems;
use crate::pymalloc::{Arena, Arenas};
use crate::roots::RawRoot;
use crate::types::{TypeInfo, Types};
use memshed_heap::RootKind;
use memshed_target::{Memory, Range, RemoteAddr};
use rayon::prelude::*;

/// Lists longer than this (16 TiB of objects) are torn.
const MAX_LIST: u64 = 1 << 36;
/// A reference count above this is garbage, unless it is that of an immortal object.
const MAX_REFCOUNT: u64 = 1 << 40;

/// Whether a count may be that of an object: small, or immortal (negative as 32 bits, with next
/// to nothing above; from 3.14 on the topmost 16 bits are flags: Include/refcount.h).
pub(crate) fn is_plausible_refcount(count: u64) -> bool {
    let immortal = (count as u32 as i32) < 0 && count >> 32 & 0xffff < 0x100;
    count != 0 && (count <= MAX_REFCOUNT || immortal)
}

/// What was found.
pub(crate) struct Found<'m, M: Memory> {
    /// Every object.
    pub(crate) objects: Marks,
    /// Objects in each of the collector's lists, youngest first, the permanent one last.
    pub(crate) generations: [Marks; 4],
    /// Dictionaries whose keys are names.
    pub(crate) namespaces: Marks,
    /// Their types.
    pub(crate) types: Types<'m, M>,
}

impl<M: Memory> Found<'_, M> {
    /// The row of the first object of each chunk of objects.
    pub(crate) fn chunk_starts(&self) -> Vec<u32> {
        let chunks = 0..self.objects.chunk_count();
        let counts = chunks.map(|chunk| self.objects.chunk(chunk).count() as u32);
        let starts = counts.scan(0, |next, count| {
            let start = *next;
            *next += count;
            Some(start)
        });
        starts.collect()
    }
}

/// Finds objects.
pub(crate) struct Marker<'a, 'm, M: Memory> {
    pub(crate) visitor: &'a Visitor<'m, M>,
    pub(crate) arenas: &'a Arenas,
    pub(crate) problems: &'a Problems,
    /// Memory that belongs to the program's files.
    statics: &'a [Range],
    pub(crate) found: Found<'m, M>,
    /// Objects found whose references have not been followed.
    pending: Vec<RemoteAddr>,
    gathered: Gathered,
}

/// The references of one object.
#[derive(Default)]
struct Gathered {
    targets: Vec<RemoteAddr>,
    candidates: Vec<RemoteAddr>,
    namespaces: Vec<RemoteAddr>,
}

impl EdgeSink for Gathered {
    #[inline]
    fn edge(&mut self, target: RemoteAddr, _label: RawLabel<'_>) {
        self.targets.push(target);
    }

    fn candidate(&mut self, word: RemoteAddr, _offset: u64) {
        self.candidates.push(word);
    }

    fn namespace(&mut self, dict: RemoteAddr) {
        self.namespaces.push(dict);
    }
}

impl<'a, 'm, M: Memory> Marker<'a, 'm, M> {
    /// A marker that has found nothing yet.
    pub(crate) fn new(
        visitor: &'a Visitor<'m, M>,
        arenas: &'a Arenas,
        problems: &'a Problems,
        statics: &'a [Range],
        types: Types<'m, M>,
    ) -> Marker<'a, 'm, M> {
        let generations = std::array::from_fn(|_| Marks::new());
        let found = Found {
            objects: Marks::new(),
            generations,
            namespaces: Marks::new(),
            types,
        };
        Marker::resume(visitor, arenas, problems, statics, found)
    }

    /// A marker that goes on from what was found.
    pub(crate) fn resume(
        visitor: &'a Visitor<'m, M>,
        arenas: &'a Arenas,
        problems: &'a Problems,
        statics: &'a [Range],
        found: Found<'m, M>,
    ) -> Marker<'a, 'm, M> {
        let gathered = Gathered::default();
        Marker {
            visitor,
            arenas,
            problems,
            statics,
            found,
            pending: Vec::new(),
            gathered,
        }
    }

    /// Marks the members of the collector's list with its head at `head`. Only the forward links
    /// are followed, and their low bits are masked: a running collection uses the rest.
    pub(crate) fn mark_list(&mut self, generation: usize, head: RemoteAddr) {
        let reader = self.visitor.reader;
        let header = u64::from(self.visitor.layout.gc.head_size);
        let mut link = head;
        for _ in 0..MAX_LIST {
            let next = match reader.u64(link) {
                Ok(next) => RemoteAddr(next & !3),
                Err(error) => {
                    self.problems
                        .add("torn-gc-list", || format!("at {link}: {error}"));
                    return;
                }
            };
            if next == head {
                return;
            }
            let object = next.add(header);
            if !self.admit_tracked(object, generation) {
                self.problems.add("torn-gc-list", || {
                    format!("generation {generation}: no object, or one met before, at {object}")
                });
                return;
            }
            link = next;
        }
    }

    /// Marks an object of a collector's list; `false` if it is none, or already in a list.
    fn admit_tracked(&mut self, object: RemoteAddr, generation: usize) -> bool {
        let Some(id) = self.type_of(object) else {
            return false;
        };
        if !self.found.types.info(id).gc || !self.found.generations[generation].insert(object.0) {
            return false;
        }
        self.found.objects.insert(object.0);
        true
    }

    /// Follows the references of everything in the collector's lists.
    pub(crate) fn follow_lists(&mut self) {
        for generation in 0..self.found.generations.len() {
            for chunk in 0..self.found.generations[generation].chunk_count() {
                let members: Vec<u64> = self.found.generations[generation].chunk(chunk).collect();
                for object in members {
                    self.follow(RemoteAddr(object));
                    self.drain();
                }
            }
        }
    }

    /// Marks a root and everything it reaches. A running frame's stack may hold words that are
    /// no objects, so what a frame holds has to look like one.
    pub(crate) fn mark_root(&mut self, root: &RawRoot) {
        if root.kind != RootKind::Frame || self.is_object(root.object) {
            self.mark(root.object);
        }
    }

    /// Marks every type in the program's own data that was met, and returns them as roots.
    pub(crate) fn mark_static_types(&mut self) -> Vec<RawRoot> {
        let mut roots = Vec::new();
        let mut next = 0;
        while next < self.found.types.infos().len() {
            let info = self.found.types.info(next as u32);
            let (object, name, heap) = (info.address, info.full_name(), info.heap);
            if !heap {
                roots.push(RawRoot {
                    object,
                    kind: RootKind::Static,
                    name,
                    namespace: false,
                });
                self.mark(object);
            }
            next += 1;
        }
        roots
    }

    /// Marks the object at `at` and everything it reaches.
    pub(crate) fn mark(&mut self, at: RemoteAddr) {
        if !self.admit(at) {
            self.problems
                .add("not-an-object", || format!("a root refers to {at}"));
        }
        self.drain();
    }

    /// Notes a dictionary whose keys are names.
    pub(crate) fn note_namespace(&mut self, dict: RemoteAddr) {
        self.found.namespaces.insert(dict.0);
    }

    fn drain(&mut self) {
        while let Some(at) = self.pending.pop() {
            self.follow(at);
        }
    }

    /// Admits everything that the object at `at`, which is marked, refers to.
    fn follow(&mut self, at: RemoteAddr) {
        let Some(id) = self.type_of(at) else { return };
        let mut gathered = std::mem::take(&mut self.gathered);
        let info = self.found.types.info(id);
        self.visitor.touch(at, info);
        if let Err(error) = self.visitor.visit(at, info, &mut gathered) {
            let name = info.full_name();
            self.problems
                .add("torn-object", || format!("{name} at {at}: {error}"));
        }
        for target in gathered.targets.drain(..) {
            if !self.admit(target) {
                let name = self.found.types.info(id).full_name();
                self.problems.add("not-an-object", || {
                    format!("{name} at {at} refers to {target}")
                });
            }
        }
        for word in gathered.candidates.drain(..) {
            if !self.found.objects.contains(word.0) && self.is_object(word) {
                self.admit(word);
            }
        }
        for dict in gathered.namespaces.drain(..) {
            self.found.namespaces.insert(dict.0);
        }
        self.gathered = gathered;
    }

    /// Marks the target of a reference; `false` if it is no object.
    #[inline]
    fn admit(&mut self, at: RemoteAddr) -> bool {
        if self.found.objects.contains(at.0) {
            return true;
        }
        let Some(id) = self.type_of(at) else {
            return false;
        };
        let info = self.found.types.info(id);
        if self.found.objects.insert(at.0) {
            match info.has_references() {
                true => self.pending.push(at),
                false => self.visitor.touch(at, info),
            }
        }
        true
    }

    #[inline]
    fn type_of(&mut self, at: RemoteAddr) -> Option<u32> {
        let offset = self.visitor.layout.object.ob_type;
        let of = self.visitor.reader.pointer(at.add(offset.into())).ok()?;
        self.found.types.resolve(of)
    }

    /// Whether there is an object at `at`, by its type, its count and where in its block it lies.
    pub(crate) fn is_object(&mut self, at: RemoteAddr) -> bool {
        if !at.0.is_multiple_of(8) {
            return false;
        }
        let Some(id) = self.type_of(at) else {
            return false;
        };
        let reader = self.visitor.reader;
        let Ok(count) = reader.u64(at.add(self.visitor.layout.object.ob_refcnt.into())) else {
            return false;
        };
        if !self.is_count(count) {
            return false;
        }
        if self.arenas.find(at).is_none() {
            // Objects in the program's data are aligned to 8 bytes, those that the system's
            // allocator gave to 16.
            return at.0.is_multiple_of(16) || self.is_static(at);
        }
        let pre_header = self.found.types.info(id).pre_header;
        let block = self.arenas.block_of(reader, self.visitor.layout, at);
        block.is_some_and(|block| {
            let before = self.arenas.prefix + pre_header;
            block.start + before == at.0 && u64::from(block.size) >= before + 16
        })
    }

    /// Whether `count` may be a reference count: programs that are linked to a fixed place have
    /// addresses as small as counts.
    pub(crate) fn is_count(&self, count: u64) -> bool {
        is_plausible_refcount(count) && !self.is_static(RemoteAddr(count))
    }

    fn is_static(&self, at: RemoteAddr) -> bool {
        let after = self.statics.partition_point(|range| range.start <= at.0);
        after > 0 && self.statics[after - 1].contains(at)
    }

    /// Finds objects by going through every block in use: those that only C code holds, and, in
    /// a process that was frozen inside a collection, those in lists that are in pieces.
    pub(crate) fn sweep(&mut self, in_collection: bool) {
        let arenas = self.arenas.list().par_iter();
        let candidates: Vec<u64> = arenas
            .flat_map_iter(|arena| unmarked(self.visitor, self.arenas, arena, &self.found))
            .collect();
        for block in candidates {
            let places = self.visitor.layout.headers().map(|h| RemoteAddr(block + h));
            // What was met on the way from another one is known by now.
            let known = places.iter().any(|at| self.found.objects.contains(at.0));
            let object = places.into_iter().find(|&at| {
                // The members of the collector's lists are known unless these are in pieces.
                self.is_object(at) && (in_collection || self.is_in_no_list(at))
            });
            if let Some(at) = object.filter(|_| !known) {
                self.mark(at);
            }
        }
    }

    /// Whether the object at `at` is in none of the collector's lists: has no header for them, or
    /// one whose links are null but for flags.
    fn is_in_no_list(&mut self, at: RemoteAddr) -> bool {
        let Some(id) = self.type_of(at) else {
            return true;
        };
        self.has_no_links(at, self.found.types.info(id))
    }

    /// Whether the object at `at`, which is of the type `info`, is in none of the lists.
    pub(crate) fn has_no_links(&self, at: RemoteAddr, info: &TypeInfo) -> bool {
        let head = at.sub(self.visitor.layout.gc.head_size.into());
        let links = (
            self.visitor.reader.u64(head),
            self.visitor.reader.u64(head.add(8)),
        );
        !info.gc || matches!(links, (Ok(0), Ok(flags)) if flags < 4)
    }
}

/// Blocks in use of `arena` that hold no object found so far, but may hold one. Torn pools are
/// counted when they are accounted for.
fn unmarked<M: Memory>(
    visitor: &Visitor<'_, M>,
    arenas: &Arenas,
    arena: &Arena,
    found: &Found<'_, M>,
) -> Vec<u64> {
    let (reader, layout) = (visitor.reader, visitor.layout);
    let untold = Problems::default();
    let headers = layout.headers();
    let mut blocks = Vec::new();
    for pool in arena.pools(reader, layout, arenas.pool_size(), &untold) {
        let Some(live) = pool.live(reader) else {
            continue;
        };
        // Where debug hooks put something before each block, what its owner sees.
        let in_use = live.iter().map(|k| pool.block(k) + arenas.prefix);
        blocks.extend(in_use.filter(|block| {
            let known = headers.iter().any(|h| found.objects.contains(block + h));
            !known
                && headers
                    .iter()
                    .any(|h| may_be_object(visitor, found, block + h))
        }));
    }
    blocks
}

/// Whether there may be an object at `at`, whose type need not have been met.
fn may_be_object<M: Memory>(visitor: &Visitor<'_, M>, found: &Found<'_, M>, at: u64) -> bool {
    let (reader, l) = (visitor.reader, &visitor.layout.object);
    let count = reader.u64(RemoteAddr(at).add(l.ob_refcnt.into()));
    if !count.is_ok_and(is_plausible_refcount) {
        return false;
    }
    let type_of = |at: RemoteAddr| reader.pointer(at.add(l.ob_type.into())).ok();
    let Some(of) = type_of(RemoteAddr(at)) else {
        return false;
    };
    let known = |of: RemoteAddr| found.types.known(of).is_some();
    known(of) || (of.0.is_multiple_of(8) && type_of(of).is_some_and(known))
}
