//! The analyses on heaps made by hand and at random.

mod components;
mod dominators;
mod holders;
mod largest;
mod maker;
mod paths;
mod summary;
