//! The walker over torn heaps of the interpreters at hand.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Mutex;

#[path = "../../crates/memshed-cpython/tests/walk/fuzzed.rs"]
mod fuzzed;

static IMAGES: Mutex<Vec<fuzzed::Image>> = Mutex::new(Vec::new());

fuzz_target!(
    init: {
        let mut pythons = memshed_testing::supported();
        pythons.dedup_by_key(|python| python.version.1);
        let images = pythons.iter().map(|python| fuzzed::Image::of(&python.path)).collect();
        *IMAGES.lock().expect("no panic so far") = images;
    },
    |data: &[u8]| {
        let mut images = IMAGES.lock().expect("no panic so far");
        let Some((which, changes)) = data.split_last() else {
            return;
        };
        // The first of them, 3.11, is slow: its data is searched for what later ones publish.
        let which = usize::from(*which);
        let which = match which < 16 {
            true => 0,
            false => 1 + which % (images.len() - 1).max(1),
        };
        let which = which.min(images.len() - 1);
        images[which].run(changes);
    }
);
