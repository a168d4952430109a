//! Strongly connected components: which objects lead to each other in circles.

use crate::graph::Graph;
use crate::set::{ObjectSet, Ranks};
use memshed_heap::{Label, ObjectId};

const NONE: u32 = u32::MAX;

/// The strongly connected components of some objects. An object that is in no circle is a
/// component by itself. Their numbers are in reverse topological order: a component refers to none
/// of a greater number.
pub struct Components {
    ranks: Ranks,
    component: Vec<u32>,
    /// Members by component: those of `c` are `sorted[start[c]..start[c + 1]]`.
    start: Vec<u32>,
    sorted: Vec<ObjectId>,
}

impl Components {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.start.len() - 1
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects of component `component`, in order; none if there is no such component.
    pub fn members(&self, component: u32) -> &[ObjectId] {
        let at = component as usize;
        match (self.start.get(at), self.start.get(at + 1)) {
            (Some(&from), Some(&to)) => &self.sorted[from as usize..to as usize],
            _ => &[],
        }
    }

    /// The component of `object`, if it was among the objects asked about.
    pub fn of(&self, object: ObjectId) -> Option<u32> {
        let rank = self.ranks.get(object)?;
        self.component.get(rank as usize).copied()
    }
}

/// The components of the objects in `members`, along those references between them for which
/// `follow(source, target, label)` holds. Tarjan's algorithm ("Depth-first search and linear graph
/// algorithms", 1972) with a stack of its own: lists of a million links are no problem.
pub fn components(
    graph: &Graph<'_>,
    members: &ObjectSet,
    follow: impl Fn(ObjectId, ObjectId, Label) -> bool,
) -> Components {
    let ranks = Ranks::new(members.clone());
    let members: Vec<ObjectId> = members
        .iter()
        .filter(|one| (one.0 as usize) < graph.len())
        .collect();
    let mut search = Search {
        number: vec![0; members.len()],
        component: vec![NONE; members.len()],
        open: Vec::new(),
        visited: 0,
        components: 0,
    };
    let mut calls: Vec<Call> = Vec::new();
    for first in 0..members.len() as u32 {
        if search.number[first as usize] != 0 {
            continue;
        }
        calls.push(search.enter(first, graph.row(members[first as usize]).start));
        while let Some(call) = calls.last_mut() {
            let source = members[call.member as usize];
            let end = graph.row(source).end;
            let mut next = None;
            while call.place < end && next.is_none() {
                let edge = graph.edge_at(call.place);
                call.place += 1;
                let Some((target, label)) = edge else {
                    continue;
                };
                let Some(rank) = ranks.get(target) else {
                    continue;
                };
                let number = search.number[rank as usize];
                if number == 0 {
                    next = follow(source, target, label).then_some((rank, target));
                } else if search.component[rank as usize] == NONE
                    && number < call.low
                    && follow(source, target, label)
                {
                    call.low = number;
                }
            }
            if let Some((rank, target)) = next {
                calls.push(search.enter(rank, graph.row(target).start));
                continue;
            }
            let (low, member) = (call.low, call.member);
            calls.pop();
            if let Some(above) = calls.last_mut() {
                above.low = above.low.min(low);
            }
            if low == search.number[member as usize] {
                search.close(member);
            }
        }
    }
    search.done(ranks, members)
}

/// A visit of an object that goes on.
struct Call {
    member: u32,
    /// The next edge to look at.
    place: usize,
    /// The least number of an open object that was reached.
    low: u32,
}

struct Search {
    /// The order of visits, from 1; 0: not yet.
    number: Vec<u32>,
    component: Vec<u32>,
    /// Visited, and in no component yet.
    open: Vec<u32>,
    visited: u32,
    components: u32,
}

impl Search {
    fn enter(&mut self, member: u32, place: usize) -> Call {
        self.visited += 1;
        self.number[member as usize] = self.visited;
        self.open.push(member);
        Call {
            member,
            place,
            low: self.visited,
        }
    }

    /// All that was opened since `member`, itself included, is a component.
    fn close(&mut self, member: u32) {
        while let Some(one) = self.open.pop() {
            self.component[one as usize] = self.components;
            if one == member {
                break;
            }
        }
        self.components += 1;
    }

    fn done(self, ranks: Ranks, members: Vec<ObjectId>) -> Components {
        let mut start = vec![0u32; self.components as usize + 1];
        for &component in &self.component {
            start[component as usize + 1] += 1;
        }
        for at in 1..start.len() {
            start[at] += start[at - 1];
        }
        let mut next = start.clone();
        let mut sorted = vec![ObjectId::NONE; members.len()];
        for (&member, &component) in members.iter().zip(&self.component) {
            let place = &mut next[component as usize];
            sorted[*place as usize] = member;
            *place += 1;
        }
        Components {
            ranks,
            component: self.component,
            start,
            sorted,
        }
    }
}
