//! The rows of "Explain": what `leaks`, `why` and `diff` say of programs whose faults are known, or
//! that have none.

pub mod ask;
pub mod leaks;
pub mod planted;
pub mod programs;
pub mod steady;
