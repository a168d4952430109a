//! Who holds what: the shortest path from a root to every object, breadth first.

use crate::edges::{EdgeSink, RawLabel, Visitor};
use crate::labels::Labels;
use crate::mark::Found;
use crate::roots::RawRoot;
use memshed_heap::{ObjectId, Objects, Root, RootKind, StringId};
use memshed_target::{Memory, RemoteAddr};
use std::collections::VecDeque;

/// Fills the holders of `objects` and returns the roots that are objects, sorted by object. Roots
/// come in groups, and each group's reach is exhausted before the next begins: a path from a
/// module tells more than a shorter one from a running function, which lets go when it returns, and
/// either more than one from the table of interned strings.
pub(crate) fn find<M: Memory>(
    visitor: &Visitor<'_, M>,
    found: &Found<'_, M>,
    objects: &mut Objects,
    labels: &mut Labels<'_, M>,
    raw_roots: &[RawRoot],
    names: &[StringId],
) -> Vec<Root> {
    let mut reached = vec![0u64; objects.len().div_ceil(64)];
    let mut roots = Vec::new();
    let mut queue = VecDeque::new();
    for group in [
        &[RootKind::Module],
        &[RootKind::Frame],
        &[RootKind::Interpreter],
        &[RootKind::Static],
        &[RootKind::Interned],
    ] {
        let members = raw_roots
            .iter()
            .zip(names)
            .filter(|(root, _)| group.contains(&root.kind));
        for (raw, &name) in members {
            let Some(row) = found.objects.rank(raw.object.0) else {
                continue;
            };
            if take(&mut reached, row) {
                roots.push(Root {
                    object: ObjectId(row),
                    kind: raw.kind,
                    name,
                });
                queue.push_back(row);
            }
        }
        while let Some(source) = queue.pop_front() {
            let at = RemoteAddr(objects.address.get(source as usize));
            let info = found.types.info(objects.type_id[source as usize].0);
            if !info.has_references() {
                continue;
            }
            let mut sink = Holders {
                found,
                labels,
                reached: &mut reached,
                objects,
                queue: &mut queue,
                source,
            };
            // What is torn was counted when it was found.
            let _ = visitor.visit(at, info, &mut sink);
        }
    }
    roots.sort_by_key(|root| root.object);
    roots
}

/// Marks `row` as reached; says whether it is for the first time.
fn take(reached: &mut [u64], row: u32) -> bool {
    let word = &mut reached[row as usize / 64];
    let bit = 1 << (row % 64);
    let new = *word & bit == 0;
    *word |= bit;
    new
}

struct Holders<'a, 'b, 'm, M: Memory> {
    found: &'a Found<'m, M>,
    labels: &'a mut Labels<'b, M>,
    reached: &'a mut [u64],
    objects: &'a mut Objects,
    queue: &'a mut VecDeque<u32>,
    source: u32,
}

impl<M: Memory> EdgeSink for Holders<'_, '_, '_, M> {
    #[inline]
    fn edge(&mut self, target: RemoteAddr, label: RawLabel<'_>) {
        let Some(row) = self.found.objects.rank(target.0) else {
            return;
        };
        if take(self.reached, row) {
            self.objects.holder[row as usize] = ObjectId(self.source);
            self.objects.holder_label[row as usize] = self.labels.label(label);
            self.queue.push_back(row);
        }
    }

    fn candidate(&mut self, word: RemoteAddr, offset: u64) {
        self.edge(word, RawLabel::Possible(offset));
    }
}
