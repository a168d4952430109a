//! The rows of "See everything" that "First light" does not have.

pub mod account;
pub mod blocks;
pub mod caches;
pub mod robustness;
