//! The reader of snapshots over changed ones.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

#[path = "../../crates/memshed-heap/tests/snapshot/fuzzed.rs"]
mod fuzzed;

static SOUND: OnceLock<fuzzed::Sound> = OnceLock::new();

fuzz_target!(
    init: {
        SOUND.get_or_init(|| fuzzed::Sound::new("fuzz"));
        // The Parquet reader panics on some forged files, which the snapshot's reader catches; the
        // hook of libFuzzer's would end the process at once.
        std::panic::set_hook(Box::new(|_| {}));
    },
    |data: &[u8]| {
        let sound = SOUND.get().expect("made before");
        if catch_unwind(AssertUnwindSafe(|| sound.run(data))).is_err() {
            std::process::abort();
        }
    }
);
