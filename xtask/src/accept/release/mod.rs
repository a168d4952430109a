//! The rows of "Release and tune": memory given back by running programs, and that nobody comes to
//! harm.

pub mod advise;
pub mod afterwards;
pub mod ask;
pub mod bad_input;
mod claims;
pub mod fragment;
pub mod killed;
pub mod safety;
pub mod stays;
pub mod stops;
pub mod tune;
