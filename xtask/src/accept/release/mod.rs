//! The rows of "Release": what memshed gives back, tries and advises, measured by doing it.

pub mod advise;
mod claims;
