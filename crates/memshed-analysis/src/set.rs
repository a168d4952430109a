//! Sets of objects: one bit each, with the rank of a member in constant time.

use memshed_heap::ObjectId;

/// Words that one running count covers.
const STRIDE: usize = 8;

/// A set of a heap's objects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObjectSet {
    words: Vec<u64>,
}

impl ObjectSet {
    /// An empty set for the rows below `objects`.
    pub fn new(objects: usize) -> ObjectSet {
        ObjectSet {
            words: vec![0; objects.div_ceil(64)],
        }
    }

    /// Adds `object`; says whether it is new. What is beyond the heap's rows is never added.
    #[inline]
    pub fn insert(&mut self, object: ObjectId) -> bool {
        let Some(word) = self.words.get_mut(object.0 as usize / 64) else {
            return false;
        };
        let bit = 1 << (object.0 % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// Takes `object` out.
    pub fn remove(&mut self, object: ObjectId) {
        if let Some(word) = self.words.get_mut(object.0 as usize / 64) {
            *word &= !(1 << (object.0 % 64));
        }
    }

    /// Whether `object` is a member.
    #[inline]
    pub fn contains(&self, object: ObjectId) -> bool {
        let word = self.words.get(object.0 as usize / 64);
        word.is_some_and(|word| word >> (object.0 % 64) & 1 == 1)
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        let ones = self.words.iter().map(|word| word.count_ones() as usize);
        ones.sum()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = ObjectId> + '_ {
        self.words.iter().enumerate().flat_map(|(at, &word)| {
            let rest = |bits: &u64| {
                let rest = bits & (bits - 1);
                (rest != 0).then_some(rest)
            };
            std::iter::successors((word != 0).then_some(word), rest)
                .map(move |bits| ObjectId((at * 64) as u32 + bits.trailing_zeros()))
        })
    }

    /// The rows below `objects` that are no members.
    pub fn complement(&self, objects: usize) -> ObjectSet {
        let mut words: Vec<u64> = self.words.iter().map(|word| !word).collect();
        words.resize(objects.div_ceil(64), u64::MAX);
        if let (Some(last), left @ 1..) = (words.last_mut(), objects % 64) {
            *last &= (1 << left) - 1;
        }
        ObjectSet { words }
    }
}

/// The members of a set, numbered in order.
pub(crate) struct Ranks {
    set: ObjectSet,
    /// Members before each run of `STRIDE` words.
    before: Vec<u32>,
}

impl Ranks {
    pub(crate) fn new(set: ObjectSet) -> Ranks {
        let mut count = 0;
        let before = set.words.chunks(STRIDE).map(|run| {
            let here = count;
            count += run.iter().map(|word| word.count_ones()).sum::<u32>();
            here
        });
        let before = before.collect();
        Ranks { set, before }
    }

    /// The number of members below `object`, if it is one.
    #[inline]
    pub(crate) fn get(&self, object: ObjectId) -> Option<u32> {
        let at = object.0 as usize / 64;
        let word = *self.set.words.get(at)?;
        let bit = object.0 % 64;
        if word >> bit & 1 == 0 {
            return None;
        }
        let run = at / STRIDE;
        let earlier = &self.set.words[run * STRIDE..at];
        let earlier: u32 = earlier.iter().map(|word| word.count_ones()).sum();
        Some(self.before[run] + earlier + (word & ((1 << bit) - 1)).count_ones())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn is_a_set(members in prop::collection::btree_set(0u32..1500, 0..200), rows in 1500usize..1700) {
            let mut set = ObjectSet::new(rows);
            for &member in &members {
                prop_assert!(set.insert(ObjectId(member)));
                prop_assert!(!set.insert(ObjectId(member)));
            }
            prop_assert_eq!(set.len(), members.len());
            prop_assert!(set.iter().map(|member| member.0).eq(members.iter().copied()));
            let ranks = Ranks::new(set.clone());
            for row in 0..1800 {
                let rank = members.contains(&row).then(|| members.range(..row).count() as u32);
                prop_assert_eq!(ranks.get(ObjectId(row)), rank);
            }
            let others: BTreeSet<u32> = set.complement(rows).iter().map(|one| one.0).collect();
            let expected: BTreeSet<u32> = (0..rows as u32).filter(|row| !members.contains(row)).collect();
            prop_assert_eq!(others, expected);
        }
    }
}
