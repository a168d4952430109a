//! Large objects that only C code holds: in no list of the collector's, referred to by nothing that
//! was found, and too large for the pools. They lie in chunks of the system's allocator.

use crate::account::Surroundings;
use crate::mark::Marker;
use crate::shapes::Kind;
use crate::types::TypeInfo;
use memshed_malloc::ChunkState;
use memshed_target::{Memory, RemoteAddr};

/// The largest block of pymalloc's: what is larger is not in its pools.
const LARGEST_BLOCK: u64 = 512;
/// What glibc may give beyond what was asked for: its alignment, and a rest too small to be a
/// chunk. Chunks with a mapping of their own consist of whole pages.
const SLACK: u64 = 32;
const SLACK_MAPPED: u64 = 4096 + SLACK;
/// What debug hooks put behind a block at most.
const DEBUG_SUFFIX: u64 = 16;

impl<M: Memory> Marker<'_, '_, M> {
    /// Marks such objects, and what they reach. A chunk holds one if its beginning is that of an
    /// object of a type that has been met, whose size by its own account is the chunk's.
    pub(crate) fn sweep_chunks(&mut self, around: &Surroundings) {
        let Some(glibc) = &around.glibc else { return };
        // Without pymalloc all objects are in chunks.
        let smallest = match self.arenas.count() {
            0 => 0,
            _ => LARGEST_BLOCK,
        };
        let in_use = glibc.chunks.iter().filter(|chunk| {
            chunk.state == ChunkState::InUse && chunk.usable() > smallest + self.arenas.prefix
        });
        let in_use = in_use.map(|chunk| (chunk.user(), chunk.usable(), SLACK));
        let mapped = glibc.mapped.iter();
        let mapped = mapped.map(|chunk| (chunk.user(), chunk.usable, SLACK_MAPPED));
        for (user, usable, slack) in in_use.chain(mapped) {
            if let Some(at) = self.object_in_chunk(user, usable, slack) {
                self.mark(at);
            }
        }
    }

    /// The object that begins a chunk, if there is one that has not been found.
    fn object_in_chunk(&self, user: RemoteAddr, usable: u64, slack: u64) -> Option<RemoteAddr> {
        let prefix = self.arenas.prefix;
        let places = self.visitor.layout.headers();
        let places = places.map(|header| user.add(prefix + header));
        if places.iter().any(|at| self.found.objects.contains(at.0)) {
            return None;
        }
        let suffix = if prefix > 0 { DEBUG_SUFFIX } else { 0 };
        places.into_iter().find(|&at| {
            let Some(info) = self.known_type(at) else {
                return false;
            };
            let fits = || {
                let needed = self.visitor.own_block(at, info).ok()? + prefix;
                let left = usable.checked_sub(needed)?;
                Some(left < slack + suffix)
            };
            at.sub(info.pre_header) == user.add(prefix)
                && fits() == Some(true)
                && self.is_sound(at, info)
                && self.has_no_links(at, info)
        })
    }

    /// What is known of the type of the object at `at`, if its count is one's and its type has been
    /// met.
    fn known_type(&self, at: RemoteAddr) -> Option<&TypeInfo> {
        let (reader, l) = (self.visitor.reader, &self.visitor.layout.object);
        let count = reader.u64(at.add(l.ob_refcnt.into())).ok()?;
        if !self.is_count(count) {
            return None;
        }
        let of = reader.pointer(at.add(l.ob_type.into())).ok()?;
        Some(self.found.types.info(self.found.types.known(of)?))
    }

    /// Whether the object's own bits make sense, where they are known to make no sense in others.
    fn is_sound(&self, at: RemoteAddr, info: &TypeInfo) -> bool {
        let (reader, layout) = (self.visitor.reader, self.visitor.layout);
        match info.kind {
            Kind::Str => {
                let shape = crate::strings::shape(reader, layout, at);
                // What is compact and ASCII has one byte a character (Include/cpython/unicodeobject.h).
                shape.is_ok_and(|shape| shape.is_some_and(|s| !s.ascii || s.width == 1))
            }
            Kind::Tuple => {
                let items = reader.pointer(at.add(layout.tuple.ob_item.into()));
                items.is_ok_and(|item| item.is_null() || self.known_type(item).is_some())
            }
            _ => true,
        }
    }
}
