//! Words of pymalloc's state, by address. Every caller has checked where it points: within the
//! table of arenas, within an arena, or at a variable that memshed named.

/// The 32 bits at `at`.
#[inline]
pub fn u32_at(at: u64) -> u32 {
    // SAFETY: mapped, as above; nobody else writes there while the GIL is ours.
    unsafe { core::ptr::read(at as *const u32) }
}

/// The 64 bits at `at`.
#[inline]
pub fn u64_at(at: u64) -> u64 {
    // SAFETY: mapped, as above; nobody else writes there while the GIL is ours.
    unsafe { core::ptr::read(at as *const u64) }
}

/// Writes 32 bits.
#[inline]
pub fn put_u32(at: u64, value: u32) {
    // SAFETY: writable, as above; nobody else looks while the GIL is ours.
    unsafe { core::ptr::write(at as *mut u32, value) };
}

/// Writes 64 bits.
#[inline]
pub fn put_u64(at: u64, value: u64) {
    // SAFETY: writable, as above; nobody else looks while the GIL is ours.
    unsafe { core::ptr::write(at as *mut u64, value) };
}

/// Whether bit `i` is set; those beyond the end are not.
#[inline]
pub fn bit<const N: usize>(words: &[u64; N], i: u64) -> bool {
    words
        .get((i / 64) as usize)
        .is_some_and(|word| word >> (i % 64) & 1 == 1)
}

/// Sets bit `i`, if there is one.
#[inline]
pub fn set<const N: usize>(words: &mut [u64; N], i: u64) {
    if let Some(word) = words.get_mut((i / 64) as usize) {
        *word |= 1 << (i % 64);
    }
}

/// Clears bit `i`, if there is one.
#[inline]
pub fn clear<const N: usize>(words: &mut [u64; N], i: u64) {
    if let Some(word) = words.get_mut((i / 64) as usize) {
        *word &= !(1 << (i % 64));
    }
}
