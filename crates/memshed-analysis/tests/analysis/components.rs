//! Strongly connected components against a naive oracle: who leads to whom and back.

use crate::maker::Maker;
use memshed_analysis::{Graph, ObjectSet, components};
use memshed_heap::{Label, LabelKind, ObjectId};
use proptest::prelude::*;

proptest! {
    #[test]
    fn members_lead_to_each_other(
        edges in prop::collection::vec((0u32..20, 0u32..20, 0u64..4), 0..60),
        members in prop::collection::btree_set(0u32..20, 0..20),
    ) {
        let mut m = Maker::default();
        for _ in 0..20 {
            m.object("list");
        }
        let all: Vec<_> = edges.iter().map(|&(from, to, index)| {
            (ObjectId(from), Label::new(LabelKind::Index, index), ObjectId(to))
        }).collect();
        m.edges(&all);
        let graph = Graph::new(&m.heap).unwrap();
        let mut set = ObjectSet::new(20);
        for &member in &members {
            set.insert(ObjectId(member));
        }
        // References with the index 3 are not followed.
        let found = components(&graph, &set, |_, _, label| label.value() != 3);

        let mut leads = [[false; 20]; 20];
        for (row, leads) in leads.iter_mut().enumerate() {
            leads[row] = true;
        }
        for &(from, to, index) in &edges {
            if index != 3 && members.contains(&from) && members.contains(&to) {
                leads[from as usize][to as usize] = true;
            }
        }
        for by in 0..20 {
            for from in 0..20 {
                for to in 0..20 {
                    leads[from][to] |= leads[from][by] && leads[by][to];
                }
            }
        }
        for a in 0..20u32 {
            prop_assert_eq!(found.of(ObjectId(a)).is_some(), members.contains(&a));
            for b in 0..20u32 {
                let (Some(of_a), Some(of_b)) = (found.of(ObjectId(a)), found.of(ObjectId(b))) else { continue };
                let to_b = leads[a as usize][b as usize];
                let to_a = leads[b as usize][a as usize];
                prop_assert_eq!(of_a == of_b, to_a && to_b);
                // A component refers to none of a greater number.
                prop_assert!(!to_b || of_b <= of_a);
            }
        }
        let mut listed: Vec<ObjectId> = (0..found.len() as u32).flat_map(|c| found.members(c).to_vec()).collect();
        listed.sort_unstable();
        prop_assert!(listed.into_iter().eq(set.iter()));
        for component in 0..found.len() as u32 {
            prop_assert!(found.members(component).iter().all(|one| found.of(*one) == Some(component)));
            prop_assert!(found.members(component).is_sorted());
        }
        prop_assert!(found.members(found.len() as u32).is_empty());
    }
}
