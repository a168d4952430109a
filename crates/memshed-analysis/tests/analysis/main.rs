//! The analyses on heaps made by hand and at random.

mod advise;
mod cohorts;
mod components;
mod diff;
mod dominators;
mod garbage;
mod holders;
mod largest;
mod maker;
mod matching;
mod paths;
mod summary;
mod tune;
mod turnover;
mod what;
mod why;
