//! Makes an ELF executable load the C library of a folder: its interpreter and `DT_RPATH` changed in
//! place. (`patchelf` breaks the non-PIE binaries that Debian's Python are.)
//!
//! Both strings go into the padding between the end of a loaded segment and the end of its last
//! page, which is mapped with it; elf(5).

use anyhow::{Context, Result, ensure};

/// Program header types, elf(5).
const PT_LOAD: u64 = 1;
const PT_DYNAMIC: u64 = 2;
const PT_INTERP: u64 = 3;
/// Tags of the dynamic section, elf(5).
const DT_NULL: u64 = 0;
const DT_STRTAB: u64 = 5;
const DT_RPATH: u64 = 15;
const PAGE: u64 = 4096;

/// A program header, with its own place in the file.
#[derive(Clone, Copy)]
struct Segment {
    at: usize,
    kind: u64,
    offset: u64,
    address: u64,
    file_size: u64,
    memory_size: u64,
}

/// Makes `binary` ask for `loader`, and look for libraries in `libraries` first.
pub fn redirect(binary: &mut [u8], loader: &str, libraries: &str) -> Result<()> {
    ensure!(
        binary.starts_with(b"\x7fELF\x02\x01"),
        "not a 64-bit little-endian ELF file"
    );
    let segments = segments(binary)?;
    let find = |kind| {
        segments
            .iter()
            .find(|segment| segment.kind == kind)
            .copied()
    };
    let interpreter = find(PT_INTERP).context("no interpreter is named")?;
    let dynamic = find(PT_DYNAMIC).context("no dynamic section")?;
    let strings = format!("{loader}\0{libraries}\0");
    let host = padded(binary, &segments, strings.len())?;
    let place = host.offset + host.file_size;
    let address = host.address + host.file_size;
    let start = usize::try_from(place)?;
    binary[start..start + strings.len()].copy_from_slice(strings.as_bytes());
    let size = host.file_size + strings.len() as u64;
    put(binary, host.at + 32, size)?;
    put(binary, host.at + 40, size)?;

    put(binary, interpreter.at + 8, place)?;
    put(binary, interpreter.at + 16, address)?;
    put(binary, interpreter.at + 24, address)?;
    put(binary, interpreter.at + 32, loader.len() as u64 + 1)?;
    put(binary, interpreter.at + 40, loader.len() as u64 + 1)?;
    add_rpath(binary, dynamic, address + loader.len() as u64 + 1)
}

/// Writes `DT_RPATH` over the first of the spare entries that linkers leave behind the last one.
fn add_rpath(binary: &mut [u8], dynamic: Segment, string: u64) -> Result<()> {
    let start = usize::try_from(dynamic.offset)?;
    let count = usize::try_from(dynamic.file_size)? / 16;
    let mut strings = None;
    let mut end = count;
    for index in 0..count {
        match get(binary, start + index * 16, 8)? {
            DT_STRTAB => strings = Some(get(binary, start + index * 16 + 8, 8)?),
            DT_NULL => {
                end = index;
                break;
            }
            _ => {}
        }
    }
    ensure!(end + 1 < count, "the dynamic section has no spare entry");
    let strings = strings.context("the dynamic section names no string table")?;
    put(binary, start + end * 16, DT_RPATH)?;
    // An offset into the string table, which may well point beyond it.
    put(binary, start + end * 16 + 8, string.wrapping_sub(strings))
}

/// A segment whose last page has `room` unused bytes.
fn padded(binary: &[u8], segments: &[Segment], room: usize) -> Result<Segment> {
    segments
        .iter()
        .filter(|segment| segment.kind == PT_LOAD && segment.file_size == segment.memory_size)
        .find(|segment| {
            let end = segment.offset + segment.file_size;
            let needed = end..end + room as u64;
            let apart = |other: &&Segment| other.offset >= needed.end || other.offset < end;
            needed.end <= end.next_multiple_of(PAGE)
                && segments
                    .iter()
                    .filter(|other| other.kind == PT_LOAD)
                    .all(|other| apart(&other))
                && binary
                    .get(end as usize..needed.end as usize)
                    .is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0))
        })
        .copied()
        .with_context(|| format!("no segment has {room} bytes of padding"))
}

fn segments(binary: &[u8]) -> Result<Vec<Segment>> {
    let table = usize::try_from(get(binary, 32, 8)?)?;
    let size = usize::try_from(get(binary, 54, 2)?)?;
    let count = usize::try_from(get(binary, 56, 2)?)?;
    (0..count)
        .map(|index| {
            let at = table + index * size;
            Ok(Segment {
                at,
                kind: get(binary, at, 4)?,
                offset: get(binary, at + 8, 8)?,
                address: get(binary, at + 16, 8)?,
                file_size: get(binary, at + 32, 8)?,
                memory_size: get(binary, at + 40, 8)?,
            })
        })
        .collect()
}

fn get(binary: &[u8], at: usize, size: usize) -> Result<u64> {
    let bytes = binary.get(at..at + size).context("the file is cut off")?;
    let mut whole = [0; 8];
    whole[..size].copy_from_slice(bytes);
    Ok(u64::from_le_bytes(whole))
}

fn put(binary: &mut [u8], at: usize, value: u64) -> Result<()> {
    let bytes = binary.get_mut(at..at + 8).context("the file is cut off")?;
    bytes.copy_from_slice(&value.to_le_bytes());
    Ok(())
}
