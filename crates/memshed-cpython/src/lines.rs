//! Which line of its file an instruction of a code object is of: the three encodings that CPython
//! has had of that table. Pure functions over its bytes.

/// How a table of lines is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Up to 3.9 (Objects/lnotab_notes.txt): pairs of bytes, how far to go in the code and in the
    /// lines.
    Deltas,
    /// 3.10 (PEP 626): the same for a line of each range; −128 for code of no line.
    Ranges,
    /// From 3.11 on (PEP 657, Objects/locations.md): entries of various lengths, whose first byte
    /// alone has its highest bit set.
    Locations,
}

impl Encoding {
    /// What CPython 3.`minor` has.
    pub(crate) fn of(minor: u32) -> Encoding {
        match minor {
            ..10 => Encoding::Deltas,
            10 => Encoding::Ranges,
            _ => Encoding::Locations,
        }
    }
}

/// The line of the instruction at `offset`, in bytes from the code's beginning, of code that begins
/// at the line `first`. `None` if it has none, or the table does not tell.
pub(crate) fn line_at(encoding: Encoding, table: &[u8], first: u32, offset: u64) -> Option<u32> {
    let line = match encoding {
        Encoding::Deltas => deltas(table, first.into(), offset),
        Encoding::Ranges => ranges(table, first.into(), offset)?,
        Encoding::Locations => locations(table, first.into(), offset)?,
    };
    u32::try_from(line).ok().filter(|&line| line > 0)
}

/// `PyCode_Addr2Line` as it was (Objects/codeobject.c).
fn deltas(table: &[u8], first: i64, offset: u64) -> i64 {
    let (mut at, mut line) = (0u64, first);
    for pair in table.chunks_exact(2) {
        at += u64::from(pair[0]);
        if at > offset {
            break;
        }
        line += i64::from(pair[1] as i8);
    }
    line
}

/// `advance` of 3.10 (Objects/codeobject.c).
fn ranges(table: &[u8], first: i64, offset: u64) -> Option<i64> {
    let (mut end, mut line) = (0u64, first);
    for pair in table.chunks_exact(2) {
        end += u64::from(pair[0]);
        let delta = pair[1] as i8;
        if delta != i8::MIN {
            line += i64::from(delta);
        }
        if offset < end {
            return (delta != i8::MIN).then_some(line);
        }
    }
    None
}

/// `advance_with_locations` from 3.11 on (Objects/codeobject.c).
fn locations(table: &[u8], first: i64, offset: u64) -> Option<i64> {
    let (mut end, mut line) = (0u64, first);
    let mut rest = table;
    while let Some((&head, tail)) = rest.split_first() {
        let length = tail.iter().take_while(|&&byte| byte & 0x80 == 0).count();
        let (operands, next) = tail.split_at(length);
        // In code units of two bytes.
        end += (u64::from(head & 7) + 1) * 2;
        let code = head >> 3 & 15;
        match code {
            10..=12 => line += i64::from(code - 10),
            13 | 14 => line = line.checked_add(signed(operands))?,
            _ => {}
        }
        if offset < end {
            return (code != 15).then_some(line);
        }
        rest = next;
    }
    None
}

/// The first number of `bytes`: six bits a byte, the lowest first, a bit that says that it goes on;
/// its own lowest bit is its sign.
fn signed(bytes: &[u8]) -> i64 {
    let mut value = 0u64;
    // More than five bytes make more than a line number has.
    for (i, byte) in bytes.iter().take(6).enumerate() {
        value |= u64::from(byte & 0x3f) << (6 * i);
        if byte & 0x40 == 0 {
            break;
        }
    }
    let half = (value >> 1) as i64;
    if value & 1 == 1 { -half } else { half }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beginning and end in bytes, and the line, 0 for none: as `co_lines()` says.
    type Expected = &'static [(u64, u64, u32)];

    fn check(encoding: Encoding, first: u32, table: &[u8], expected: Expected) {
        for &(start, end, line) in expected {
            for offset in (start..end).step_by(2) {
                let found = line_at(encoding, table, first, offset);
                assert_eq!(found.unwrap_or(0), line, "{encoding:?} at {offset}");
            }
        }
    }

    // A loop with an exception handler and a comprehension, and a function 200 lines further on;
    // compiled by each version.
    #[test]
    fn tables_of_each_version_are_read_as_it_does() {
        check(
            Encoding::Deltas,
            2,
            &[
                0, 2, 2, 1, 2, 255, 4, 2, 12, 1, 2, 1, 12, 1, 14, 1, 32, 1, 6, 2, 2, 254,
            ],
            &[
                (0, 2, 4),
                (2, 4, 5),
                (4, 8, 4),
                (8, 20, 6),
                (20, 22, 7),
                (22, 34, 8),
                (34, 48, 9),
                (48, 80, 10),
                (80, 86, 11),
                (86, 88, 13),
                (88, 94, 11),
            ],
        );
        check(
            Encoding::Deltas,
            2,
            &[8, 127, 0, 87],
            &[(0, 8, 2), (8, 20, 216)],
        );
        check(
            Encoding::Ranges,
            2,
            &[
                2, 2, 2, 1, 4, 255, 12, 2, 2, 1, 12, 1, 14, 1, 20, 1, 8, 128, 2, 255, 6, 2, 2, 2,
                6, 254,
            ],
            &[
                (0, 2, 4),
                (2, 4, 5),
                (4, 8, 4),
                (8, 20, 6),
                (20, 22, 7),
                (22, 34, 8),
                (34, 48, 9),
                (48, 68, 10),
                (68, 76, 0),
                (76, 78, 9),
                (78, 84, 11),
                (84, 86, 13),
                (86, 92, 11),
            ],
        );
        check(
            Encoding::Ranges,
            1,
            &[8, 1, 0, 127, 12, 87],
            &[(0, 8, 2), (8, 20, 216)],
        );
        check(
            Encoding::Locations,
            2,
            &[
                128, 0, 224, 9, 10, 216, 9, 10, 241, 3, 1, 10, 11, 128, 65, 228, 13, 18, 144, 49,
                139, 88, 242, 0, 4, 5, 21, 136, 1, 240, 2, 3, 9, 21, 216, 12, 13, 144, 17, 137, 70,
                137, 65, 240, 5, 4, 5, 21, 240, 14, 0, 18, 19, 246, 5, 3, 12, 6, 224, 12, 13, 242,
                3, 0, 9, 10, 242, 3, 3, 12, 6, 240, 0, 3, 5, 6, 248, 244, 5, 0, 16, 26, 242, 0, 1,
                9, 21, 220, 12, 17, 144, 33, 143, 72, 137, 72, 251, 240, 3, 1, 9, 21, 252, 242, 4,
                3, 12, 6,
            ],
            &[
                (0, 2, 2),
                (2, 4, 4),
                (4, 6, 5),
                (6, 12, 4),
                (12, 40, 6),
                (40, 42, 7),
                (42, 54, 8),
                (54, 56, 6),
                (56, 58, 13),
                (58, 72, 11),
                (72, 74, 13),
                (74, 80, 12),
                (80, 88, 11),
                (88, 90, 0),
                (90, 106, 9),
                (106, 138, 10),
                (138, 146, 0),
                (146, 148, 9),
                (148, 158, 0),
                (158, 164, 11),
            ],
        );
        check(
            Encoding::Locations,
            1,
            &[240, 3, 1, 1, 1, 242, 4, 12, 1, 6, 243, 108, 6, 0, 1, 14],
            &[(0, 2, 0), (2, 8, 2), (8, 16, 216)],
        );
    }

    #[test]
    fn garbage_gives_a_line_or_none() {
        let mut state = 11u64;
        for _ in 0..20_000 {
            let table: Vec<u8> = (0..state % 40)
                .map(|_| {
                    state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
                    (state >> 40) as u8
                })
                .collect();
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1);
            for encoding in [Encoding::Deltas, Encoding::Ranges, Encoding::Locations] {
                let line = line_at(encoding, &table, state as u32, state >> 50);
                assert_ne!(line, Some(0));
            }
        }
    }
}
