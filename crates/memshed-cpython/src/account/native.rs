//! Memory in use that is no object's by any layout, by where it lies, its size and who points at
//! it; and whose it may be if nobody does: into which libraries samples of it point.

use super::claims::Claims;
use super::ledger::{CHUNK_HEADER, Ledger, Place};
use super::possible::{Holder, Possible};
use super::surroundings::Surroundings;
use super::tree::file_name;
use crate::edges::Visitor;
use crate::pymalloc::{PoolAccount, Sample};
use memshed_heap::{BlockKind, NativeKind, NativeUse, Strings};
use memshed_malloc::{ChunkState, Owner, Part};
use memshed_target::{Memory, Range, RemoteAddr};
use rustc_hash::FxHashMap;
use std::collections::BTreeMap;

/// Rows of one kind without an owner, and rows with one; the rest is one row.
const MOST: usize = 200;
/// Bytes looked at from the beginning of a block or chunk, and of one that it points at.
const LOOKED: u64 = 512;
const LOOKED_BEHIND: u64 = 128;
/// How many others a block or chunk is followed to.
const FOLLOWED: usize = 8;

/// Goes through what is no object's.
pub(crate) struct NativeSearch<'a, 'm, M: Memory> {
    pub(crate) visitor: &'a Visitor<'m, M>,
    pub(crate) ledger: &'a Ledger<'a>,
    pub(crate) around: &'a Surroundings,
    pub(crate) possible: &'a Possible,
    pub(crate) pools: &'a PoolAccount,
    /// An address in the interpreter's own library or program.
    pub(crate) runtime: RemoteAddr,
    /// Name of each type.
    pub(crate) type_names: &'a dyn Fn(u32) -> String,
}

/// What has the same kind, owner and size.
type Key = (NativeKind, Option<String>, u64);

/// How many, their bytes, and some of them.
#[derive(Default)]
struct Group {
    count: u64,
    bytes: u64,
    sample: Sample,
}

impl<M: Memory> NativeSearch<'_, '_, M> {
    /// The rows, those with most bytes first.
    pub(crate) fn rows(&self, strings: &mut Strings) -> Vec<NativeUse> {
        let mut groups: FxHashMap<Key, Group> = FxHashMap::default();
        self.blocks(&mut groups);
        self.owned(&mut groups);
        self.chunks(&mut groups);
        self.mapped(&mut groups);
        self.mappings(&mut groups);
        let libraries = LibraryMap::new(self.around, self.runtime);
        let mut groups: Vec<(Key, Group)> = groups.into_iter().collect();
        groups.sort_by(|(a, left), (b, right)| (right.bytes, a).cmp(&(left.bytes, b)));
        let mut kept: BTreeMap<(NativeKind, bool), usize> = BTreeMap::new();
        let mut rests: BTreeMap<(NativeKind, Option<String>), Group> = BTreeMap::new();
        let mut rows = Vec::new();
        for ((kind, owner, size), group) in groups {
            let rank = kept.entry((kind, owner.is_some())).or_default();
            *rank += 1;
            if *rank > MOST {
                let rest = rests.entry((kind, owner)).or_default();
                rest.count += group.count;
                rest.bytes += group.bytes;
                continue;
            }
            let points_into = self.pointed_into(&libraries, group.sample, kind, size);
            rows.push(NativeUse {
                kind,
                owner: owner.map(|owner| strings.intern(&owner)),
                size,
                count: group.count,
                bytes: group.bytes,
                points_into: points_into
                    .into_iter()
                    .map(|(name, count)| (strings.intern(&name), count))
                    .collect(),
            });
        }
        let rests = rests.into_iter().map(|((kind, owner), group)| NativeUse {
            kind,
            owner: owner.map(|owner| strings.intern(&owner)),
            size: 0,
            count: group.count,
            bytes: group.bytes,
            points_into: Vec::new(),
        });
        rows.extend(rests);
        rows
    }

    /// Blocks of pools that nobody points at.
    fn blocks(&self, groups: &mut FxHashMap<Key, Group>) {
        let uses = self.pools.block_uses();
        let unknown = uses.iter().filter(|one| one.kind == BlockKind::Unknown);
        for one in unknown {
            let size = u64::from(one.block_size);
            let group = Group {
                count: one.blocks,
                bytes: one.blocks * size,
                sample: self.pools.unknown(one.block_size),
            };
            groups.insert((NativeKind::Block, None, size), group);
        }
    }

    /// Blocks and chunks at which somebody points.
    fn owned(&self, groups: &mut FxHashMap<Key, Group>) {
        for (&(holder, kind, size), &count) in &self.possible.sizes {
            let owner = self.holder(holder);
            let group = groups.entry((kind, Some(owner), size)).or_default();
            group.count += count;
            group.bytes += count * size;
        }
    }

    /// Chunks at which nobody points.
    fn chunks(&self, groups: &mut FxHashMap<Key, Group>) {
        let Some(glibc) = &self.around.glibc else {
            return;
        };
        let mut sizes: FxHashMap<u64, Group> = FxHashMap::default();
        let claims = &self.ledger.claims;
        for (range, _) in glibc.chunks.ranges() {
            let run = claims.run(range.start);
            for chunk in glibc.chunks.within(range) {
                let start = chunk.range.start + CHUNK_HEADER;
                let claimed = match run {
                    Some(run) => claims.get_in(run, start).is_some(),
                    None => false,
                };
                if chunk.state == ChunkState::InUse && !claimed {
                    let bytes = chunk.range.len();
                    let group = sizes.entry(bytes).or_default();
                    group.count += 1;
                    group.bytes += bytes;
                    group.sample.add(start);
                }
            }
        }
        for (size, group) in sizes {
            groups.insert((NativeKind::Chunk, None, size), group);
        }
    }

    fn mapped(&self, groups: &mut FxHashMap<Key, Group>) {
        let chunks = self.around.glibc.iter().flat_map(|glibc| &glibc.mapped);
        for (number, chunk) in chunks.enumerate() {
            if self.ledger.is_mapped_taken(number) {
                continue;
            }
            let holder = self.possible.mapped.get(&number);
            let owner = holder.map(|&holder| self.holder(holder));
            let key = (NativeKind::MappedChunk, owner, chunk.range.len());
            let group = groups.entry(key).or_default();
            group.count += 1;
            group.bytes += chunk.range.len();
            group.sample.add(chunk.user().0);
        }
    }

    /// Anonymous memory and memory shared with other processes, resident bytes only.
    fn mappings(&self, groups: &mut FxHashMap<Key, Group>) {
        let owned = self.ledger.elsewhere();
        for piece in &self.around.owners.pieces {
            let path = || {
                let mapping = self.around.mappings.get(piece.mapping as usize);
                mapping.map_or(String::new(), |m| m.mapping.path.clone())
            };
            let (kind, owner) = match piece.owner {
                Owner::PointedToBy(library) => {
                    (NativeKind::Anonymous, Some(self.name_of_library(library)))
                }
                Owner::Named => (NativeKind::Anonymous, Some(path())),
                Owner::Unknown => (NativeKind::Anonymous, None),
                Owner::SharedMemory => (NativeKind::Shared, Some(file_name(&path()))),
                _ => continue,
            };
            let resident = |own: Range| {
                let start = own.start.max(piece.range.start);
                let end = own.end.min(piece.range.end);
                self.around.resident_within(Range { start, end })
            };
            let taken: u64 = owned.iter().map(|&(own, _)| resident(own)).sum();
            let bytes = resident(piece.range).saturating_sub(taken);
            if bytes > 0 {
                let group = groups.entry((kind, owner, 0)).or_default();
                group.count += 1;
                group.bytes += bytes;
            }
        }
    }

    fn holder(&self, holder: Holder) -> String {
        match holder {
            Holder::Type(id) => (self.type_names)(id),
            Holder::Interpreter => "the interpreter".to_owned(),
            Holder::Library(library) => self.name_of_library(library),
        }
    }

    fn name_of_library(&self, library: u32) -> String {
        let path = self.around.owners.libraries.get(library as usize);
        file_name(path.map_or("a library", |path| path))
    }

    /// Into which libraries the blocks or chunks of a sample point, most first. Where none points
    /// into any by itself, what they point at is asked.
    fn pointed_into(
        &self,
        libraries: &LibraryMap,
        sample: Sample,
        kind: NativeKind,
        size: u64,
    ) -> Vec<(String, u32)> {
        let room = match kind {
            NativeKind::Block => size,
            _ => size.saturating_sub(CHUNK_HEADER / 2),
        };
        let places = sample.places();
        let (mut direct, mut behind) = (BTreeMap::new(), BTreeMap::new());
        for &at in &places {
            let mut others = Vec::new();
            let here = self.libraries_at(libraries, at, room.min(LOOKED), Some(&mut others));
            count(&mut direct, here);
            if direct.is_empty() {
                let mut there: Vec<u32> = others
                    .into_iter()
                    .flat_map(|(at, room)| {
                        self.libraries_at(libraries, at, room.min(LOOKED_BEHIND), None)
                    })
                    .collect();
                there.sort_unstable();
                there.dedup();
                count(&mut behind, there);
            }
        }
        let counts = if direct.is_empty() { behind } else { direct };
        let mut named: BTreeMap<String, u32> = BTreeMap::new();
        for (library, count) in counts {
            *named.entry(self.name_of_library(library)).or_default() += count;
        }
        let mut named: Vec<(String, u32)> = named.into_iter().collect();
        named.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        named
    }

    /// The libraries into which the words from `at` on point, each once; `others` gets the blocks
    /// and chunks at whose beginnings they point and that are nobody's either.
    fn libraries_at(
        &self,
        libraries: &LibraryMap,
        at: u64,
        room: u64,
        mut others: Option<&mut Vec<(u64, u64)>>,
    ) -> Vec<u32> {
        let mut found = Vec::new();
        let reader = self.visitor.reader;
        // What of it lies on the next page need not have been copied.
        let page_end = (at | (crate::pymalloc::PAGE - 1)) + 1;
        let end = at.saturating_add(room);
        let pieces = [(at, end.min(page_end)), (page_end, end)];
        for (start, end) in pieces.into_iter().filter(|(start, end)| start < end) {
            let words = reader.pointers(RemoteAddr(start), ((end - start) / 8) as usize);
            for word in words.into_iter().flatten() {
                if let Some(library) = libraries.of(word.0) {
                    found.push(library);
                } else if let Some(others) = &mut others
                    && others.len() < FOLLOWED
                    && word.0 != at
                {
                    others.extend(self.unclaimed(word));
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Where the block or chunk begins that begins at `at` and is nobody's, and its bytes.
    fn unclaimed(&self, at: RemoteAddr) -> Option<(u64, u64)> {
        if at.0 <= 4096 || !at.0.is_multiple_of(16) || at.0 >> 47 != 0 {
            return None;
        }
        let claims: &Claims = &self.ledger.claims;
        let place = (self.ledger).place(self.visitor.reader, self.visitor.layout, at);
        let (start, size) = match place {
            Place::Pool { start, size } => (start, size.into()),
            Place::Chunk(range) => (range.start + CHUNK_HEADER, range.len() - CHUNK_HEADER / 2),
            _ => return None,
        };
        (start == at.0 && claims.get(start).is_none()).then_some((start, size))
    }
}

fn count(sums: &mut BTreeMap<u32, u32>, libraries: Vec<u32>) {
    for library in libraries {
        *sums.entry(library).or_default() += 1;
    }
}

/// Where libraries lie. The C library, the loader and the interpreter are left out: everybody
/// points at them.
struct LibraryMap {
    ranges: Vec<(Range, u32)>,
    all: Range,
}

impl LibraryMap {
    fn new(around: &Surroundings, runtime: RemoteAddr) -> LibraryMap {
        let owners = &around.owners;
        let interpreter = owners.of(runtime).map(|piece| piece.owner);
        let common = |library: u32| {
            let path = owners.libraries.get(library as usize);
            let name = file_name(path.map_or("", |path| path));
            let own = matches!(interpreter, Some(Owner::Library(own, _)) if own == library);
            let shared = [
                "libc.so",
                "libc-2.",
                "ld-",
                "ld.so",
                "libpthread",
                "libpython",
            ];
            own || shared.iter().any(|start| name.starts_with(start))
        };
        let ranges: Vec<(Range, u32)> = owners
            .pieces
            .iter()
            .filter_map(|piece| match piece.owner {
                Owner::Library(
                    library,
                    Part::Code | Part::Constants | Part::Data | Part::ZeroedData,
                ) if !common(library) => Some((piece.range, library)),
                _ => None,
            })
            .collect();
        let all = Range {
            start: ranges.first().map_or(0, |(range, _)| range.start),
            end: ranges.last().map_or(0, |(range, _)| range.end),
        };
        LibraryMap { ranges, all }
    }

    #[inline]
    fn of(&self, word: u64) -> Option<u32> {
        if !self.all.contains(RemoteAddr(word)) {
            return None;
        }
        let after = self.ranges.partition_point(|(range, _)| range.end <= word);
        let (range, library) = self.ranges.get(after)?;
        (range.start <= word).then_some(*library)
    }
}
