//! The view behind `memshed why`: what the text and the JSON show of why something is there.

use crate::diff::{AddedType, TallyRow};
use crate::json::SCHEMA;
use crate::page::{Page, Report};
use memshed_analysis::what::{Meaning, Other, What};
use memshed_analysis::{
    self as analysis, Dominators, Graph, HolderPath, Hop, Start, Way, WhyOptions, expression,
};
use memshed_heap::{Heap, ObjectId, Process, RootKind, SnapshotInfo};
use serde::Serialize;

/// What is shown, and how much of it.
#[derive(Clone, Debug)]
pub struct WhyRequest {
    /// Rows and branches at most; 0 for as many as there are, within reason.
    pub top: usize,
    /// What the user calls the target, for commands to try next.
    pub target: String,
}

/// Rows where all are asked for.
const MANY: usize = 1_000;

/// A step of a way, from what is held to what holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StepRow {
    /// How it is held, such as `.name`, `["name"]`, `[3]`, `[…]`.
    pub how: String,
    /// The type of what holds it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What that is called, if it has a name: modules, classes, functions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address, in hexadecimal.
    pub address: String,
    #[serde(skip)]
    pub(crate) hop: Option<Hop>,
    #[serde(skip)]
    pub(crate) holder: Option<ObjectId>,
    /// What to ask `memshed why` for to have it explained.
    #[serde(skip)]
    pub(crate) expression: Option<String>,
}

/// Where a way begins.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RootRow {
    /// Why that is alive by itself: `module`, `frame`, `interpreter`, `static`, `interned`;
    /// `unreached` if nothing that is known to be alive is there.
    pub kind: &'static str,
    /// What it is called.
    pub name: String,
}

/// One way in which the objects are held.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WayRow {
    /// What it is called, such as `app.CACHE[…]`.
    pub way: String,
    /// How many of the objects are held so.
    pub objects: u64,
    /// How many of these in no other way.
    pub alone: u64,
    /// How many objects hold them so.
    pub holders: u64,
    /// Bytes that would be freed if that were cut and nothing else.
    pub frees_bytes: u64,
    /// The steps, from the object upwards.
    pub steps: Vec<StepRow>,
    /// Where it begins.
    pub root: RootRow,
    /// What to ask `memshed why` for to go on: what holds them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// Bytes of what is held so, with all that goes with it, held otherwise, too, or not.
    pub bytes: u64,
    #[serde(skip)]
    pub(crate) path: HolderPath,
}

impl WayRow {
    fn new(heap: &Heap, way: &Way) -> WayRow {
        let mut steps = Vec::new();
        let first = match way.path.start {
            Start::Root { object, .. } | Start::Unreached { object, .. } => Some(object),
            Start::Nowhere => None,
        };
        for (at, segment) in way.path.segments.iter().enumerate().rev() {
            let holder = match at.checked_sub(1) {
                Some(before) => Some(way.path.segments[before].object),
                None => first,
            };
            let Some(holder) = holder else { break };
            steps.push(StepRow {
                how: segment.hop.to_string().trim().to_owned(),
                type_name: analysis::type_name(heap, holder).to_owned(),
                name: object_name(heap, holder),
                address: address(heap, holder),
                hop: Some(segment.hop.clone()),
                holder: Some(holder),
                expression: expression(heap, holder),
            });
        }
        let root = match &way.path.start {
            Start::Root { kind, name, .. } => RootRow {
                kind: kind.word(),
                name: name.clone(),
            },
            Start::Unreached { .. } | Start::Nowhere => RootRow {
                kind: RootKind::Unreached.word(),
                name: String::new(),
            },
        };
        let container = steps.first().and_then(|step| step.expression.clone());
        WayRow {
            way: way.name.clone(),
            objects: way.objects,
            alone: way.alone,
            holders: way.holders,
            frees_bytes: way.frees,
            bytes: way.bytes,
            container,
            steps,
            root,
            path: way.path.clone(),
        }
    }
}

/// An object that alone keeps others alive.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeeperRow {
    /// What it is called, such as `app.CACHE`.
    pub path: String,
    /// Its type.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its address, in hexadecimal.
    pub address: String,
    /// Bytes that letting go of it would free.
    pub frees_bytes: u64,
    /// Whether it is a module, or the names of one, which nobody lets go of.
    pub is_module: bool,
    /// Whether cutting one reference to it frees it.
    pub one_cut: bool,
}

impl KeeperRow {
    fn new(heap: &Heap, keeper: &analysis::Keeper) -> KeeperRow {
        KeeperRow {
            path: keeper.path.to_string(),
            type_name: keeper.type_name.clone(),
            address: address(heap, keeper.object),
            frees_bytes: keeper.retained,
            is_module: keeper.is_module,
            one_cut: keeper.one_cut,
        }
    }
}

/// What is known of the references to a single object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ReferencesRow {
    /// Its reference count; `null` if it is immortal.
    pub count: Option<u32>,
    /// References that memshed knows of.
    pub known: u64,
    /// Objects that refer to it, but are kept alive by nothing but itself.
    pub in_cycles: u64,
}

/// Everything that `memshed why` shows.
#[derive(Clone, Debug)]
pub struct WhyView {
    /// The process.
    pub process: Process,
    /// How it was looked at.
    pub snapshot: SnapshotInfo,
    /// As what the words were taken.
    pub meaning: Meaning,
    /// What that is called in full.
    pub name: String,
    /// How to ask for what else the words could mean.
    pub other: Option<Other>,
    /// Of a single object: its address, in hexadecimal.
    pub address: Option<String>,
    /// The type of all of them, if it is one.
    pub type_name: Option<String>,
    /// Of a single object: what it contains, if that was asked for.
    pub preview: Option<String>,
    /// The objects themselves.
    pub objects: TallyRow,
    /// How many of them no root reaches.
    pub unreached: u64,
    /// How many of those C code holds.
    pub held_by_c: u64,
    /// What would go with them, themselves included; bytes as allocated.
    pub retained: TallyRow,
    /// The types of that.
    pub retained_types: Vec<AddedType>,
    /// The ways in which they are held.
    pub ways: Vec<WayRow>,
    /// Ways left out.
    pub more_ways: u64,
    /// Of a single object.
    pub references: Option<ReferencesRow>,
    /// The nearest object without which all of them would go.
    pub keeper: Option<KeeperRow>,
    /// The nearest above that that a single reference keeps.
    pub cut: Option<KeeperRow>,
    /// Whether Python's cycle collector is on.
    pub collector_on: bool,
    /// If no root reaches them: a way from one of them back to itself, such as
    /// `.parent.children[0]`, and the type of that one.
    pub cycle: Option<CycleRow>,
    /// What was asked for.
    pub request: WhyRequest,
}

/// A cycle of references.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CycleRow {
    /// The type of an object in it.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The way from that object back to itself.
    pub way: String,
}

impl WhyView {
    /// The view of why `what` is there.
    pub fn new(
        graph: &Graph<'_>,
        dominators: &Dominators,
        what: &What,
        request: &WhyRequest,
    ) -> WhyView {
        let heap = graph.heap();
        let rows = if request.top == 0 { MANY } else { request.top };
        let options = WhyOptions {
            ways: rows,
            types: rows,
        };
        let why = analysis::why(graph, dominators, &what.objects, options);
        let single = match why.objects.count {
            1 => what.objects.iter().next(),
            _ => None,
        };
        let type_name = match &what.meaning {
            Meaning::Type(name) => Some(name.clone()),
            _ => single.map(|object| analysis::type_name(heap, object).to_owned()),
        };
        WhyView {
            process: heap.process.clone(),
            snapshot: heap.snapshot.clone(),
            meaning: what.meaning.clone(),
            name: what.name.clone(),
            other: what.other.clone(),
            address: single.map(|object| address(heap, object)),
            type_name,
            preview: single
                .and_then(|object| heap.preview(object, None))
                .map(str::to_owned),
            objects: why.objects.into(),
            unreached: why.unreached,
            held_by_c: why.held_by_c,
            retained: why.retained.into(),
            retained_types: why
                .retained_types
                .into_iter()
                .map(|(name, tally)| AddedType {
                    name,
                    tally: tally.into(),
                })
                .collect(),
            ways: why.ways.iter().map(|way| WayRow::new(heap, way)).collect(),
            more_ways: why.more_ways,
            references: why.references.map(|references| ReferencesRow {
                count: references.count,
                known: references.known,
                in_cycles: references.in_cycles,
            }),
            keeper: why.keeper.map(|keeper| KeeperRow::new(heap, &keeper)),
            cut: why.cut.map(|keeper| KeeperRow::new(heap, &keeper)),
            collector_on: heap.gc.enabled,
            cycle: why.cycle.map(|cycle| CycleRow {
                type_name: cycle.type_name,
                way: cycle.hops.iter().map(Hop::to_string).collect(),
            }),
            request: request.clone(),
        }
    }
}

fn address(heap: &Heap, object: ObjectId) -> String {
    let row = object.0 as usize;
    match row < heap.objects.len() {
        true => format!("{:#x}", heap.objects.address.get(row)),
        false => String::new(),
    }
}

/// What a module, a class or a function is called.
fn object_name(heap: &Heap, object: ObjectId) -> Option<String> {
    if let Some(name) = heap.names.get(&object) {
        return Some(heap.strings.get(*name).to_owned());
    }
    // A class without objects may be in no table: what it is called where it is held.
    let is_class = matches!(analysis::type_name(heap, object), "type" | "abc.ABCMeta");
    let name = is_class.then(|| expression(heap, object)).flatten();
    name.filter(|name| !name.starts_with("0x"))
}

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    process: &'a Process,
    snapshot: &'a SnapshotInfo,
    verdict: Vec<String>,
    meaning: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    type_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<&'a str>,
    objects: TallyRow,
    unreached: u64,
    held_by_c: u64,
    retained: TallyRow,
    retained_types: &'a [AddedType],
    ways: &'a [WayRow],
    more_ways: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    references: Option<ReferencesRow>,
    dominator: Option<&'a KeeperRow>,
    cut: Option<&'a KeeperRow>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cycle: Option<&'a CycleRow>,
}

impl Report for WhyView {
    fn text(&self, page: &Page) -> String {
        crate::why_text::why(self, page)
    }

    fn json(&self) -> serde_json::Value {
        let document = Document {
            schema: SCHEMA,
            process: &self.process,
            snapshot: &self.snapshot,
            verdict: crate::why_plain::lines(self),
            meaning: match self.meaning {
                Meaning::Object => "object",
                Meaning::Type(_) => "type",
                Meaning::Place => "place",
            },
            name: &self.name,
            address: self.address.as_deref(),
            type_name: self.type_name.as_deref(),
            preview: self.preview.as_deref(),
            objects: self.objects,
            unreached: self.unreached,
            held_by_c: self.held_by_c,
            retained: self.retained,
            retained_types: &self.retained_types,
            ways: &self.ways,
            more_ways: self.more_ways,
            references: self.references,
            dominator: self.keeper.as_ref(),
            cut: self.cut.as_ref(),
            cycle: self.cycle.as_ref(),
        };
        // Plain structs of numbers and strings cannot fail to serialize.
        serde_json::to_value(document).unwrap_or_default()
    }
}
