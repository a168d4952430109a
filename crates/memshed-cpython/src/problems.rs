//! What could not be read or made sense of: counted, with one example of each kind.

use memshed_heap::Problem;
use std::collections::BTreeMap;
use std::sync::Mutex;

/// A tally of problems, shared by the threads of a walk.
#[derive(Debug, Default)]
pub(crate) struct Problems(Mutex<BTreeMap<&'static str, (u64, String)>>);

impl Problems {
    /// Counts a problem of `kind`; the first of its kind gives the example.
    pub(crate) fn add(&self, kind: &'static str, example: impl FnOnce() -> String) {
        self.add_many(kind, 1, example);
    }

    /// Counts `count` problems of `kind`.
    pub(crate) fn add_many(
        &self,
        kind: &'static str,
        count: u64,
        example: impl FnOnce() -> String,
    ) {
        let mut tally = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        tally.entry(kind).or_insert_with(|| (0, example())).0 += count;
    }

    /// The tally, by kind.
    pub(crate) fn list(&self) -> Vec<Problem> {
        let tally = self
            .0
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let problem = |(&kind, &(count, ref example)): (&&str, &(u64, String))| Problem {
            kind: kind.to_owned(),
            count,
            example: example.clone(),
        };
        tally.iter().map(problem).collect()
    }
}
