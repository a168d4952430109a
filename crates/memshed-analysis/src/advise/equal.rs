//! Values of equal contents, by where they are held.

use super::{Advice, AdviceKind, Stake, matters};
use crate::findings::{Confidence, mentions};
use crate::holders::{Hop, Start, holder_path};
use crate::places::{PlaceId, Places};
use crate::units::{bytes as amount, count};
use crate::{Cohorts, type_name};
use memshed_heap::{Heap, ObjectId};
use rustc_hash::FxHashMap;

/// Copies at one place.
#[derive(Clone, Copy)]
struct Sum {
    copies: u64,
    bytes: u64,
    example: ObjectId,
}

/// Advice on copies.
pub(super) fn advise(heap: &Heap) -> Vec<Advice> {
    let mut places = Places::new(heap);
    let mut sums: FxHashMap<(PlaceId, u32), Sum> = FxHashMap::default();
    for &copy in &heap.copies {
        let row = copy.0 as usize;
        let (Some(kind), bytes) = (
            heap.objects.type_id.get(row),
            heap.objects.allocated.get(row),
        ) else {
            continue;
        };
        let sum = sums.entry((places.of(copy), kind.0)).or_insert(Sum {
            copies: 0,
            bytes: 0,
            example: copy,
        });
        sum.copies += 1;
        sum.bytes = sum.bytes.saturating_add(bytes);
    }
    let large = sums.into_iter().filter(|(_, sum)| matters(heap, sum.bytes));
    let advice = large.filter_map(|((place, _), sum)| {
        let path = holder_path(heap, sum.example);
        // What nothing in use refers to is garbage, or lost.
        matches!(path.start, Start::Root { .. }).then(|| {
            let (way, _) = places.name(place);
            let hop = path.segments.last().map(|segment| segment.hop.clone());
            one(heap, &way, hop, sum)
        })
    });
    advice.collect()
}

fn one(heap: &Heap, way: &str, hop: Option<Hop>, sum: Sum) -> Advice {
    let kind = type_name(heap, sum.example);
    let value = match &hop {
        Some(Hop::Attribute(name)) => format!("self.{name}"),
        Some(Hop::Key(name)) => format!("row[\"{name}\"]"),
        _ => "value".to_owned(),
    };
    let code = match kind {
        "str" => vec![
            "import sys".to_owned(),
            format!("{value} = sys.intern({value})"),
        ],
        _ => vec![
            "ONE_OF_EACH = {}".to_owned(),
            format!("{value} = ONE_OF_EACH.setdefault({value}, {value})"),
        ],
    };
    let noun = match kind {
        "str" => "strings",
        "bytes" => "byte strings",
        "tuple" => "tuples",
        other => other,
    };
    let path = holder_path(heap, sum.example);
    Advice {
        kind: AdviceKind::Equal,
        title: format!(
            "{} {noun} are equal to another one; keeping one of each would spare {}",
            count(sum.copies),
            amount(sum.bytes)
        ),
        stake: Stake::Bytes(sum.bytes),
        confidence: Confidence::High,
        evidence: vec![format!(
            "they are held at {way}, and take {} each",
            amount(sum.bytes / sum.copies.max(1))
        )],
        to_do: match kind {
            "str" => {
                "Where such a string is made (read from a file, a database, a request), keep one \
                      of each: sys.intern() gives the same object for equal strings."
                    .to_owned()
            }
            _ => "Where such a value is made, keep one of each in a dictionary; empty it when the \
                  program has loaded."
                .to_owned(),
        },
        code,
        locations: mentions(heap, &Cohorts::default(), &path),
        proof: "the same program so changed: its resident memory".to_owned(),
    }
}
