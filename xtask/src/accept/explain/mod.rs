//! The rows of "Explain": what `leaks`, `why` and `diff` say of programs whose faults are known, or
//! that have none.

pub mod ask;
pub mod audit;
pub mod bad_input;
pub mod dominators;
pub mod garbage;
pub mod graph;
pub mod leaks;
pub mod planted;
pub mod programs;
pub mod speed;
pub mod steady;
