//! Snapshot files: written, read back, opened by other engines, damaged on purpose.

mod damage;
mod engines;
mod fuzzed;
mod heaps;
mod place;
mod round_trip;
