//! What the compiler expects of every environment (core's documentation, "symbols").

/// Copies `n` bytes.
///
/// # Safety
///
/// As of C's `memcpy`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { *to.add(i) = *from.add(i) };
    }
    to
}

/// Fills `n` bytes.
///
/// # Safety
///
/// As of C's `memset`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn memset(at: *mut u8, byte: i32, n: usize) -> *mut u8 {
    for i in 0..n {
        // SAFETY: the caller's promise.
        unsafe { *at.add(i) = byte as u8 };
    }
    at
}
