//! Blocks and chunks that belong to nobody by any layout, but to which something points: an object
//! of a C type without a known layout, what a module keeps for its C code, the interpreter's state,
//! a library's variables, or another such block. What is found that way is likely, not certain.

use super::claims::Claim;
use super::ledger::{CHUNK_HEADER, Ledger, Place};
use super::surroundings::Surroundings;
use crate::edges::Visitor;
use crate::interpreters::Interpreter;
use crate::mark::Found;
use crate::parts::PartKind;
use crate::pymalloc::Arenas;
use crate::shapes::Kind;
use memshed_heap::{NativeKind, Objects};
use memshed_malloc::{ChunkState, Owner, Part};
use memshed_target::{Memory, Range, RemoteAddr};
use rustc_hash::FxHashMap;
use std::collections::VecDeque;

/// Bytes looked through at most: what is more stays unattributed.
const MAX_BYTES: u64 = 1 << 30;
/// A block longer than this is a table of data rather than a struct: only its beginning is
/// looked through.
const MAX_BLOCK: u64 = 64 << 10;
/// A pointer to a block may lead behind what debug hooks put before it, and behind an object's
/// collector's header.
const MAX_HEAD: u64 = 48;
/// Bytes looked through at a time: what cannot be read is left out by as many.
const PIECE: u64 = 64 << 10;

/// Who points at something, by what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Holder {
    /// Objects of this type.
    Type(u32),
    /// The interpreter's own state.
    Interpreter,
    /// Variables of a library, by its index among the owners' libraries.
    Library(u32),
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub(crate) struct Possible {
    /// Resident bytes of the system allocator's chunks, and how many, by who points at them.
    pub(crate) chunks: FxHashMap<Holder, (u64, u64)>,
    /// How many blocks and chunks, by who points at them, and their size.
    pub(crate) sizes: FxHashMap<(Holder, NativeKind, u64), u64>,
    /// Who points at chunks with mappings of their own, by their number.
    pub(crate) mapped: FxHashMap<usize, Holder>,
    /// Objects to which libraries' variables and blocks that C code holds refer, by their rows; once
    /// for each reference. What is part of an object is left out: that has edges.
    pub(crate) references: Vec<u32>,
}

/// Goes through what may point at unclaimed blocks.
pub(crate) struct Search<'a, 'm, M: Memory> {
    pub(crate) visitor: &'a Visitor<'m, M>,
    pub(crate) found: &'a Found<'m, M>,
    pub(crate) objects: &'a Objects,
    pub(crate) arenas: &'a Arenas,
    pub(crate) ledger: &'a Ledger<'a>,
    pub(crate) around: &'a Surroundings,
    pub(crate) interpreters: &'a [Interpreter],
    /// Whether references to objects count.
    pub(crate) references: bool,
}

/// What a search has come to.
struct Progress {
    found: Possible,
    /// What is to be looked through, for whom, and whether its references to objects count.
    queue: VecDeque<(Range, Holder, bool)>,
    looked_through: u64,
}

impl<M: Memory> Search<'_, '_, M> {
    /// Claims everything that can be reached.
    pub(crate) fn run(&self) -> Possible {
        let mut progress = Progress {
            found: Possible::default(),
            queue: VecDeque::new(),
            looked_through: 0,
        };
        self.objects(&mut progress);
        for interpreter in self.interpreters {
            let layout = self.visitor.layout;
            let state = (interpreter.at, layout.interp.size);
            let threads = interpreter.threads.iter();
            let threads = threads.map(|thread| (thread.at, layout.tstate.size));
            for (at, size) in threads.chain([state]) {
                let (start, end) = (at.0, at.0.saturating_add(size.into()));
                self.look_through(Range { start, end }, Holder::Interpreter, &mut progress);
                self.drain(&mut progress);
            }
        }
        for piece in &self.around.owners.pieces {
            if let Owner::Library(library, Part::Data | Part::ZeroedData) = piece.owner {
                self.look_through(piece.range, Holder::Library(library), &mut progress);
                self.drain(&mut progress);
                if self.references {
                    self.count_variables(piece.range, &mut progress);
                }
            }
        }
        progress.found
    }

    /// Objects whose layout is not known, and the blocks of unknown layout that objects own.
    fn objects(&self, progress: &mut Progress) {
        let opaque: Vec<(bool, bool)> = self
            .found
            .types
            .infos()
            .iter()
            .map(|info| {
                let scanned = !info.scan.is_empty() || info.kind == Kind::Scanned;
                let owns = !info.blocks.is_empty()
                    || matches!(info.kind, Kind::Module | Kind::Type | Kind::Code);
                (scanned, owns)
            })
            .collect();
        for (row, of) in self.objects.type_id.iter().enumerate() {
            let (scanned, owns) = opaque[of.0 as usize];
            if !scanned && !owns {
                continue;
            }
            let at = RemoteAddr(self.objects.address.get(row));
            let info = self.found.types.info(of.0);
            let holder = Holder::Type(of.0);
            if scanned {
                let size = self.objects.size.get(row).max(info.basicsize);
                let (start, end) = (at.0, at.0.saturating_add(size));
                self.look_through(Range { start, end }, holder, progress);
            }
            if owns {
                let _ = self.visitor.parts(at, info, &mut |part| {
                    let unknown = matches!(
                        part.kind,
                        PartKind::ModuleState | PartKind::CodeData | PartKind::Field(_)
                    );
                    if unknown && let Some(range) = self.whole(part.at) {
                        // A module's state is looked at for edges, and what code objects keep has
                        // edges or is left from calls that have ended.
                        let counts = matches!(part.kind, PartKind::Field(_));
                        progress.queue.push_back((range, holder, counts));
                    }
                });
            }
            self.drain(progress);
        }
    }

    fn drain(&self, progress: &mut Progress) {
        while let Some((range, holder, counts)) = progress.queue.pop_front() {
            self.look_through(range, holder, progress);
            if counts && self.references {
                self.count_words(range, progress, |_| false);
            }
        }
    }

    /// Claims what the words of `range` point at, as far as they were copied.
    fn look_through(&self, range: Range, holder: Holder, progress: &mut Progress) {
        let mut start = range.start.saturating_add(7) & !7;
        while start < range.end && progress.looked_through < MAX_BYTES {
            let len = (range.end - start).min(PIECE);
            let words = self
                .visitor
                .reader
                .pointers(RemoteAddr(start), (len / 8) as usize);
            for word in words.into_iter().flatten() {
                if word.0 > 4096 && word.0.is_multiple_of(8) && word.0 >> 47 == 0 {
                    self.claim(word, holder, progress);
                }
            }
            progress.looked_through += len;
            start = start.saturating_add(PIECE);
        }
    }

    /// Counts the objects to which the words of `range` refer, less those that are `known`
    /// otherwise, by where they are.
    fn count_words(
        &self,
        range: Range,
        progress: &mut Progress,
        mut known: impl FnMut(u64) -> bool,
    ) {
        let mut start = range.start.saturating_add(7) & !7;
        while start < range.end {
            let len = (range.end - start).min(PIECE);
            let words = (self.visitor.reader).pointers(RemoteAddr(start), (len / 8) as usize);
            for (at, word) in (start..).step_by(8).zip(words.into_iter().flatten()) {
                if !known(at)
                    && word.0 > 4096
                    && let Some(row) = self.found.objects.rank(word.0)
                {
                    progress.found.references.push(row);
                }
            }
            start = start.saturating_add(PIECE);
        }
    }

    /// The same of a library's variables: what is an object among them has edges, and what of the
    /// interpreter's state owns references is known.
    fn count_variables(&self, range: Range, progress: &mut Progress) {
        let layout = self.visitor.layout;
        let states = self.interpreters.iter().flat_map(|interpreter| {
            let threads = interpreter.threads.iter();
            let threads = threads.map(|thread| (thread.at, layout.tstate.size));
            threads.chain([(interpreter.at, layout.interp.size)])
        });
        let states: Vec<Range> = states
            .map(|(at, size)| Range {
                start: at.0,
                end: at.0.saturating_add(size.into()),
            })
            .collect();
        let mut end = 0;
        self.count_words(range, progress, |at| {
            if let Some(row) = self.found.objects.rank(at) {
                end = end.max(at.saturating_add(self.objects.size.get(row as usize).max(16)));
            }
            at < end || states.iter().any(|state| state.contains(RemoteAddr(at)))
        });
    }

    /// Claims what begins at `at`, if something does that nobody has claimed.
    fn claim(&self, at: RemoteAddr, holder: Holder, progress: &mut Progress) {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        // What of the interpreter's state owns references is known, and what else it leads to is
        // mostly kept for reuse, with what was in it.
        let counts = holder != Holder::Interpreter;
        match self.ledger.place(reader, layout, at) {
            Place::Pool { start, size } => {
                if at.0 - start <= MAX_HEAD && self.is_live(start) && self.take(start) {
                    let key = (holder, NativeKind::Block, size.into());
                    *progress.found.sizes.entry(key).or_default() += 1;
                    let end = start + u64::from(size);
                    progress
                        .queue
                        .push_back((Range { start, end }, holder, counts));
                }
            }
            Place::Chunk(range) => {
                let start = range.start + CHUNK_HEADER;
                let begins = at.0.wrapping_sub(start) <= MAX_HEAD;
                if begins && self.is_chunk_in_use(at) && self.take(start) {
                    let sums = progress.found.chunks.entry(holder).or_default();
                    sums.0 += self.around.resident_within(range);
                    sums.1 += 1;
                    let key = (holder, NativeKind::Chunk, range.len());
                    *progress.found.sizes.entry(key).or_default() += 1;
                    let end = range.end.min(start + MAX_BLOCK);
                    progress
                        .queue
                        .push_back((Range { start, end }, holder, counts));
                }
            }
            Place::Mapped(number, chunk) => {
                if at.0.wrapping_sub(chunk.user().0) <= MAX_HEAD {
                    progress.found.mapped.entry(number).or_insert(holder);
                }
            }
            Place::Static | Place::Elsewhere => {}
        }
    }

    fn take(&self, start: u64) -> bool {
        self.ledger.claims.claim(start, Claim::Other)
    }

    fn is_live(&self, start: u64) -> bool {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        if self.ledger.claims.get(start).is_some() {
            return false;
        }
        let pool = self.arenas.pool_of(reader, layout, RemoteAddr(start));
        let live = pool.and_then(|(_, pool)| Some((pool, pool.live(reader)?)));
        live.is_some_and(|(pool, live)| {
            let k = (start - pool.first).checked_div(pool.block_size.into());
            k.is_some_and(|k| live.contains(k as u32))
        })
    }

    fn is_chunk_in_use(&self, at: RemoteAddr) -> bool {
        let chunk = self.around.glibc.as_ref().and_then(|g| g.chunks.find(at));
        chunk.is_some_and(|chunk| chunk.state == ChunkState::InUse)
    }

    /// All of the block that holds `at`, as far as it is looked through.
    fn whole(&self, at: RemoteAddr) -> Option<Range> {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        match self.ledger.place(reader, layout, at) {
            Place::Pool { start, size } => Some(Range {
                start,
                end: start + u64::from(size),
            }),
            Place::Chunk(range) => Some(Range {
                start: range.start + CHUNK_HEADER,
                end: range.end.min(range.start + MAX_BLOCK),
            }),
            _ => None,
        }
    }
}
