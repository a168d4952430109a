//! The account of a process's memory: whose each block, chunk and resident page is.

mod caches;
mod claims;
mod free_lists;
mod hidden_lists;
mod ledger;
mod native;
mod possible;
mod surroundings;
mod tree;

pub(crate) use caches::{Caches, static_strings};
pub(crate) use claims::{Claim, Claims, Run};
pub(crate) use free_lists::FreeLists;
pub(crate) use hidden_lists::HiddenLists;
pub(crate) use ledger::{Ledger, Near, Owner};
pub(crate) use native::NativeSearch;
pub(crate) use possible::Search;
pub use surroundings::Surroundings;
pub(crate) use surroundings::resident_within;
pub(crate) use tree::Account;
