//! What did not make sense, counted by kind.

use memshed_target::RemoteAddr;

/// One kind of thing that did not make sense.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// A short name, such as `torn-chunk`.
    pub kind: &'static str,
    /// How often it was met.
    pub count: u64,
    /// Where it was met first.
    pub example: RemoteAddr,
}

/// All kinds of problems of one reading.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems(Vec<Problem>);

impl Problems {
    /// Counts one more of `kind`, met at `at`.
    pub(crate) fn add(&mut self, kind: &'static str, at: u64) {
        match self.0.iter_mut().find(|p| p.kind == kind) {
            Some(problem) => problem.count += 1,
            None => self.0.push(Problem {
                kind,
                count: 1,
                example: RemoteAddr(at),
            }),
        }
    }

    /// The problems, in the order in which they were met.
    #[must_use]
    pub fn list(&self) -> &[Problem] {
        &self.0
    }

    /// How many there are in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.iter().map(|p| p.count).sum()
    }
}
