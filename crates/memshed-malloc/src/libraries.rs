//! Programs and libraries as they lie in memory, by the program headers that are mapped with them.

use crate::read::{PAGE, Reader, word};
use memshed_target::elf::{self, Module};
use memshed_target::{Mapping, Memory, Range, ReadError};

/// Most program headers that are believed.
const MOST_HEADERS: u64 = 128;
/// elf(5): a segment to be loaded, one that may be written to, a program for a fixed place.
const PT_LOAD: u64 = 1;
const PF_W: u64 = 2;
const ET_EXEC: u64 = 2;

/// A program or library.
#[derive(Clone, Debug, Default)]
pub(crate) struct Library {
    pub(crate) path: String,
    /// Where it may write, whole pages: what comes from the file.
    pub(crate) data: Vec<Range>,
    /// Where it may write, whole pages: what begins as zeros.
    pub(crate) zeroed: Vec<Range>,
}

/// All that are mapped.
pub(crate) fn find<M: Memory>(
    reader: Reader<'_, M>,
    mappings: &[Mapping],
) -> Result<Vec<Library>, ReadError> {
    let modules = elf::modules(mappings);
    let first_pages = modules.iter().filter_map(|m| m.mappings.first());
    let first_pages: Vec<Range> = first_pages
        .map(|m| Range {
            start: m.start,
            end: m.start + PAGE,
        })
        .collect();
    reader.prefetch(&first_pages);
    modules.iter().map(|module| read(reader, module)).collect()
}

fn read<M: Memory>(reader: Reader<'_, M>, module: &Module) -> Result<Library, ReadError> {
    let mut library = Library {
        path: module.path.clone(),
        ..Library::default()
    };
    let Some(first) = module.mappings.first().filter(|m| m.offset == 0) else {
        return Ok(library);
    };
    let Some(headers) = headers(reader, first.start)? else {
        return Ok(library);
    };
    for segment in headers {
        let start = segment.address & !(PAGE - 1);
        let file_end = segment.address.saturating_add(segment.file_bytes);
        let file_end = file_end.saturating_add(PAGE - 1) & !(PAGE - 1);
        let end = segment.address.saturating_add(segment.bytes);
        let end = end.saturating_add(PAGE - 1) & !(PAGE - 1);
        library.data.push(Range {
            start,
            end: file_end,
        });
        if end > file_end {
            library.zeroed.push(Range {
                start: file_end,
                end,
            });
        }
    }
    Ok(library)
}

/// A writable segment, by its addresses in the target.
struct Segment {
    address: u64,
    file_bytes: u64,
    bytes: u64,
}

fn headers<M: Memory>(
    reader: Reader<'_, M>,
    start: u64,
) -> Result<Option<Vec<Segment>>, ReadError> {
    let Some(header) = reader.bytes(start, 64)? else {
        return Ok(None);
    };
    let half = |at: usize| u64::from(header[at]) | u64::from(header[at + 1]) << 8;
    let (kind, offset, size, count) = (half(16), word(header, 4), half(54), half(56));
    if !header.starts_with(b"\x7fELF\x02\x01") || size != 56 || count > MOST_HEADERS {
        return Ok(None);
    }
    let at = start.wrapping_add(offset);
    let Some(table) = reader.bytes(at, (count * size) as usize)? else {
        return Ok(None);
    };
    let entries = table.chunks_exact(56);
    let loaded: Vec<&[u8]> = entries
        .filter(|e| word(e, 0) & 0xffff_ffff == PT_LOAD)
        .collect();
    let lowest = loaded.first().map_or(0, |e| word(e, 2) & !(PAGE - 1));
    let bias = match kind {
        ET_EXEC => 0,
        _ => start.wrapping_sub(lowest),
    };
    let writable = loaded.into_iter().filter(|e| word(e, 0) >> 32 & PF_W != 0);
    let segments = writable.map(|e| Segment {
        address: bias.wrapping_add(word(e, 2)),
        file_bytes: word(e, 4),
        bytes: word(e, 5),
    });
    Ok(Some(segments.collect()))
}
