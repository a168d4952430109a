//! `memshed tune`: runs a program under settings from outside, and measures.
//!
//! Nothing here knows how a result is judged or shown: the test is `memshed_analysis::tune`, the
//! words are `memshed_report`'s.

pub mod plan;
pub mod records;
pub mod run;
pub mod settings;
pub mod tree;
