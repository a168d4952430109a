//! Finds the main arena and malloc's parameters, which have no exported names, by their shape.

use crate::layout::{self, PARAMETERS, Parameters, STATES, State};
use crate::read::{PAGE, Reader};
use crate::walk::{self, Run};
use memshed_target::{Mapping, MappingKind, Memory, Range, ReadError};

/// Most bytes of variables that are searched.
const LARGEST_DATA: u64 = 256 << 20;
/// Most arenas that are believed: the limit is eight for each processor.
pub(crate) const MOST_ARENAS: usize = 1 << 16;
/// So many of the 127 list heads must close; a thread within malloc may have one or two of them
/// open at the moment.
const CLOSED_BINS: u64 = 122;
/// More threads than this do not share an arena; the smallest heap is larger than this.
const MOST_ATTACHED: u64 = 0x20000;
/// One past the last address that a program can have.
pub(crate) const TOP_OF_MEMORY: u64 = 1 << 47;

/// What was found.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) state: &'static State,
    /// Addresses of all arenas, the main one first.
    pub(crate) arenas: Vec<u64>,
    pub(crate) parameters: Option<FoundParameters>,
}

/// `mp_`, as far as it is of use here.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FoundParameters {
    /// Where the main heap begins.
    pub(crate) heap_start: u64,
    /// How many chunks have mappings of their own.
    pub(crate) n_mmaps: u64,
    /// The bytes of these mappings.
    pub(crate) mmapped_bytes: u64,
    /// The size of huge pages, if malloc has been told to use them; 0 else.
    pub(crate) huge_page: u64,
}

/// Finds the main arena in the variables of the C library, or of a static program.
pub(crate) fn find<M: Memory>(
    reader: Reader<'_, M>,
    mappings: &[Mapping],
) -> Result<Option<Found>, ReadError> {
    let data = variables(mappings);
    reader.prefetch(&data);
    let mut candidates = Vec::new();
    for &range in &data {
        let mut before = 0;
        reader.each_word(range, |at, word| {
            // The last bin's head is never used, so it always points to itself. A bin is taken for
            // a chunk whose links are its third and fourth word.
            if word == before && word == at.wrapping_sub(8 + 16) {
                candidates.push(at - 8);
            }
            before = word;
        })?;
    }
    for last_bin in candidates {
        for state in &STATES {
            let Some(at) = last_bin.checked_sub(state.bins + (layout::BINS - 1) * 16) else {
                continue;
            };
            if let Some(arenas) = ring(reader, state, at)? {
                return Ok(Some(Found {
                    state,
                    parameters: parameters(reader, mappings, &data, state, at)?,
                    arenas,
                }));
            }
        }
    }
    Ok(None)
}

/// The variables among which the main arena lies: those of the C library if there is one, else of
/// every file.
fn variables(mappings: &[Mapping]) -> Vec<Range> {
    let is_libc = |m: &Mapping| {
        let name = m.file_path().rsplit('/').next().unwrap_or("");
        name.starts_with("libc.so.6") || name.starts_with("libc-2.")
    };
    let dynamic = mappings.iter().any(&is_libc);
    let mut found = Vec::new();
    let mut bytes = 0;
    for (index, mapping) in mappings.iter().enumerate() {
        let wanted = mapping.kind() == MappingKind::PrivateFile
            && mapping.readable()
            && mapping.writable()
            && (!dynamic || is_libc(mapping));
        if !wanted || bytes > LARGEST_DATA {
            continue;
        }
        let mut range = mapping.range();
        // Zeroed variables follow in memory without a file.
        if let Some(next) = mappings.get(index + 1)
            && next.start == range.end
            && next.kind() == MappingKind::Anonymous
            && next.writable()
            && next.path.is_empty()
            && next.range().len() <= LARGEST_DATA
        {
            range.end = next.end;
        }
        bytes += range.len();
        found.push(range);
    }
    found
}

/// The ring of arenas, if what lies at `at` is the main one.
fn ring<M: Memory>(
    reader: Reader<'_, M>,
    state: &State,
    at: u64,
) -> Result<Option<Vec<u64>>, ReadError> {
    if !is_arena(reader, state, at)? {
        return Ok(None);
    }
    let mut arenas = vec![at];
    let mut next = reader.u64(at + state.next)?.unwrap_or(0);
    while next != at {
        if arenas.len() >= MOST_ARENAS || arenas.contains(&next) {
            return Ok(None);
        }
        let heap = next & !(layout::HEAP_MAX - 1);
        let own = reader.u64(heap + layout::heap_info::ARENA)? == Some(next);
        if !own || !layout::heap_info::SIZES.contains(&(next - heap)) {
            return Ok(None);
        }
        arenas.push(next);
        next = reader.u64(next + state.next)?.unwrap_or(0);
    }
    Ok(Some(arenas))
}

/// Whether the words at `at` are those of an arena.
fn is_arena<M: Memory>(reader: Reader<'_, M>, state: &State, at: u64) -> Result<bool, ReadError> {
    let word = |offset: u64| Ok::<u64, ReadError>(reader.u64(at + offset)?.unwrap_or(0));
    let (top, obtained, most) = (
        word(state.top)?,
        word(state.system_mem)?,
        word(state.system_mem + 8)?,
    );
    // Before the first use, top is the first bin.
    let fresh = top == at + state.bins - 16 && obtained == 0;
    let used = obtained >= PAGE && obtained <= most && most < TOP_OF_MEMORY && top != 0;
    if !fresh && !used {
        return Ok(false);
    }
    if let Some(threads) = state.attached_threads
        && word(threads)? >= MOST_ATTACHED
    {
        return Ok(false);
    }
    let mut closed = 0;
    for bin in (0..layout::BINS).map(|n| at + state.bins + n * 16 - 16) {
        let (Some(next), Some(before)) = (reader.u64(bin + 16)?, reader.u64(bin + 24)?) else {
            return Ok(false);
        };
        let closes = next == bin && before == bin
            || next != bin
                && reader.u64(next.wrapping_add(24))? == Some(bin)
                && reader.u64(before.wrapping_add(16))? == Some(bin);
        closed += u64::from(closes);
    }
    Ok(closed >= CLOSED_BINS)
}

/// `mp_`: a word among the variables that points to the first chunk of a heap, and counters before
/// it that agree with each other.
fn parameters<M: Memory>(
    reader: Reader<'_, M>,
    mappings: &[Mapping],
    data: &[Range],
    state: &State,
    arena: u64,
) -> Result<Option<FoundParameters>, ReadError> {
    let heap = |word: u64| {
        let index = mappings.partition_point(|m| m.end <= word);
        let mapping = mappings.get(index)?;
        let may = mapping.start <= word && mapping.writable() && !mapping.has_file();
        may.then_some(mapping.range())
    };
    let mut candidates = Vec::new();
    let own = data
        .iter()
        .filter(|r| r.contains(memshed_target::RemoteAddr(arena)));
    for &range in own {
        reader.each_word(range, |at, word| {
            if word != 0 && word < TOP_OF_MEMORY && heap(word).is_some() {
                candidates.push((at, word));
            }
        })?;
    }
    let top = reader.u64(arena + state.top)?.unwrap_or(0);
    let obtained = reader.u64(arena + state.system_mem)?.unwrap_or(0);
    let head = reader.u64(top.wrapping_add(8))?.unwrap_or(0) & !layout::SIZE_FLAGS;
    // Where the heap begins, if nobody else has moved the break and it has never been in the way.
    let likely = top.wrapping_add(head).wrapping_sub(obtained);
    let mut best: Option<(u32, FoundParameters)> = None;
    for (at, start) in candidates {
        let first = start.next_multiple_of(16);
        let Some(range) = heap(start) else { continue };
        let run = Run {
            range: Range {
                start: first,
                ..range
            },
            top,
            arena: 0,
        };
        for layout in &PARAMETERS {
            let Some((found, usual)) = counters(reader, layout, at, first)? else {
                continue;
            };
            // Other words may look the part, since most counters are zeros at first.
            let rank = 2 * u32::from(start == likely) + u32::from(usual);
            if best.is_none_or(|(known, _)| known < rank) && walk::convincing(reader, run, first)? {
                best = Some((rank, found));
            }
        }
    }
    Ok(best.map(|(_, found)| found))
}

/// The counters before a word, and whether the limit on mappings is the usual one.
fn counters<M: Memory>(
    reader: Reader<'_, M>,
    layout: &Parameters,
    at: u64,
    heap_start: u64,
) -> Result<Option<(FoundParameters, bool)>, ReadError> {
    /// `DEFAULT_MMAP_MAX`.
    const USUAL_LIMIT: u32 = 65536;
    let address = |offset: i64| at.wrapping_add_signed(offset);
    let mut counts = [0u32; 4];
    for (count, n) in counts.iter_mut().zip(0..) {
        let Some(read) = reader.u32(address(layout.n_mmaps) + n * 4)? else {
            return Ok(None);
        };
        *count = read;
    }
    let [n_mmaps, limit, most, fixed_threshold] = counts;
    let bytes = reader.u64(address(layout.mmapped_mem))?.unwrap_or(1);
    let most_bytes = reader.u64(address(layout.mmapped_mem + 8))?.unwrap_or(0);
    let huge_page = match layout.thp_pagesize {
        Some(offset) => reader.u64(address(offset))?.unwrap_or(1),
        None => 0,
    };
    let good = fixed_threshold <= 1
        && limit >= most
        && limit <= i32::MAX as u32
        && n_mmaps <= most
        && (limit > 0 || fixed_threshold == 1)
        && bytes <= most_bytes
        && most_bytes < TOP_OF_MEMORY
        && (n_mmaps == 0 || bytes >= PAGE)
        && (most > 0 || most_bytes == 0)
        && huge_page.is_multiple_of(PAGE);
    let found = FoundParameters {
        heap_start,
        n_mmaps: n_mmaps.into(),
        mmapped_bytes: bytes,
        huge_page,
    };
    Ok(good.then_some((found, limit == USUAL_LIMIT)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use memshed_target::{RemoteAddr, parse_maps};

    const DATA: u64 = 0x7f00_0000_0000;
    const HEAP: u64 = 0x5500_0000_0000;
    const OBTAINED: u64 = 0x21000;

    /// Variables and a heap, as literal bytes.
    struct Literal {
        data: Vec<u8>,
        heap: Vec<u8>,
    }

    impl Literal {
        fn set(&mut self, at: u64, bytes: &[u8]) {
            let (part, start) = match at < DATA {
                true => (&mut self.heap, HEAP),
                false => (&mut self.data, DATA),
            };
            let from = (at - start) as usize;
            part[from..from + bytes.len()].copy_from_slice(bytes);
        }

        fn word(&mut self, at: u64, word: u64) {
            self.set(at, &word.to_le_bytes());
        }
    }

    impl Memory for Literal {
        fn bytes(&self, at: RemoteAddr, len: usize) -> Result<&[u8], ReadError> {
            let (part, start) = match at.0 < DATA {
                true => (&self.heap, HEAP),
                false => (&self.data, DATA),
            };
            let from = at.0.wrapping_sub(start) as usize;
            let end = from.checked_add(len).ok_or(ReadError::Unmapped(at))?;
            part.get(from..end).ok_or(ReadError::Unmapped(at))
        }

        fn mapped_run(&self, _at: RemoteAddr) -> Option<Range> {
            None
        }
    }

    /// A process of a version: one heap with a few chunks, two mappings of its own.
    fn process(state: &State, parameters: &Parameters) -> (Literal, u64) {
        let mut memory = Literal {
            data: vec![0; 0x3000],
            heap: vec![0; OBTAINED as usize],
        };
        let arena = DATA + 0x1000;
        for bin in (0..layout::BINS).map(|n| arena + state.bins + n * 16 - 16) {
            memory.word(bin + 16, bin);
            memory.word(bin + 24, bin);
        }
        for chunk in 0..4 {
            memory.word(HEAP + chunk * 0x40 + 8, 0x41);
        }
        let top = HEAP + 0x100;
        memory.word(top + 8, (OBTAINED - 0x100) | 1);
        memory.word(arena + state.top, top);
        memory.word(arena + state.next, arena);
        memory.word(arena + state.system_mem, OBTAINED);
        memory.word(arena + state.system_mem + 8, OBTAINED);
        if let Some(threads) = state.attached_threads {
            memory.word(arena + threads, 1);
        }
        let base = DATA + 0x800;
        memory.word(base, HEAP);
        let counts = base.wrapping_add_signed(parameters.n_mmaps);
        for (count, n) in [2u32, 65536, 3, 0].into_iter().zip(0..) {
            memory.set(counts + n * 4, &count.to_le_bytes());
        }
        let bytes = base.wrapping_add_signed(parameters.mmapped_mem);
        memory.word(bytes, 0x50000);
        memory.word(bytes + 8, 0x90000);
        (memory, arena)
    }

    #[test]
    fn every_layout_is_told_from_the_others() {
        let maps = format!(
            "{HEAP:x}-{:x} rw-p 0 00:00 0 [heap]\n{DATA:x}-{:x} rw-p 0 08:01 7 /lib/libc.so.6",
            HEAP + OBTAINED,
            DATA + 0x3000
        );
        let maps = parse_maps(&maps);
        let [since_2_35, since_2_24, before] = &PARAMETERS;
        let versions = [
            (&STATES[0], since_2_35),
            (&STATES[1], since_2_35),
            (&STATES[1], since_2_24),
            (&STATES[2], since_2_24),
            (&STATES[2], before),
            (&STATES[3], before),
        ];
        for (state, parameters) in versions {
            let (mut memory, arena) = process(state, parameters);
            let found = find(Reader::new(&memory), &maps).expect("readable");
            let found = found.expect("an arena");
            assert_eq!((found.state, &found.arenas), (state, &vec![arena]));
            let found = found.parameters.expect("parameters");
            let counts = (found.heap_start, found.n_mmaps, found.mmapped_bytes);
            assert_eq!(counts, (HEAP, 2, 0x50000), "{}", state.since);
            // An arena that is in no ring is none.
            memory.word(arena + state.next, HEAP);
            let found = find(Reader::new(&memory), &maps).expect("readable");
            assert!(found.is_none(), "{}", state.since);
        }
    }
}
