//! The analyses on heaps made by hand and at random.

mod holders;
mod largest;
mod maker;
mod summary;
