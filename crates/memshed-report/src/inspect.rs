//! The view behind `memshed inspect`: what the text and the JSON renderer show.

use crate::holder;
use crate::page::{Page, Report};
use memshed_heap::{
    Cache, Gc, Heap, MemoryPart, ObjectId, Objects, Pools, Process, Sizes, SnapshotInfo,
};
use serde::Serialize;
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What the types are sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortKey {
    /// Bytes, most first.
    #[default]
    Bytes,
    /// Number of objects, most first.
    Count,
    /// Name.
    Name,
}

/// What is shown, and how much of it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Rows of a table at most; 0 for all. JSON has all types regardless.
    pub top: usize,
    /// Order of the types.
    pub sort: SortKey,
    /// Only types whose names match: a part, or a pattern with `*` and `?`.
    pub filter: Option<String>,
    /// Whether the types are added up by module.
    pub by_module: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            top: 15,
            sort: SortKey::Bytes,
            filter: None,
            by_module: false,
        }
    }
}

/// The objects of a type, or of a module's types, in sum.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TypeRow {
    /// `module.qualname`, builtins bare; or the module.
    pub name: String,
    /// How many objects.
    pub count: u64,
    /// How many of them the collector tracks, frozen ones apart.
    pub gc_tracked: u64,
    /// Their bytes by `sys.getsizeof`.
    pub bytes: u64,
}

/// All objects in sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ObjectsRow {
    /// How many.
    pub count: u64,
    /// Their bytes by `sys.getsizeof`.
    pub bytes: u64,
    /// What the allocators gave for them.
    pub allocated_bytes: u64,
    /// How many of them the collector tracks, frozen ones apart.
    pub gc_tracked: u64,
}

/// One of the largest objects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LargestRow {
    /// Its address in the process, in hexadecimal.
    pub address: String,
    /// Its type's name.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Its bytes by `sys.getsizeof`.
    pub bytes: u64,
    /// The name of what holds it, such as `app.CACHE["users"]`.
    pub held_by: String,
}

/// Pools, and what follows from them.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct PoolsView {
    /// The figures.
    #[serde(flatten)]
    pub pools: Pools,
    /// Free bytes scattered among blocks in use, as a share of the pools' bytes.
    pub fragmentation: f64,
}

impl PoolsView {
    fn new(pools: &Pools) -> PoolsView {
        let whole = pools.used_bytes + pools.free_bytes;
        let scattered = pools
            .free_bytes
            .saturating_sub(pools.free_pools.saturating_mul(pools.pool_bytes));
        PoolsView {
            pools: pools.clone(),
            fragmentation: if whole == 0 {
                0.0
            } else {
                scattered as f64 / whole as f64
            },
        }
    }
}

/// Everything that `memshed inspect` shows.
#[derive(Clone, Debug, Default)]
pub struct InspectView {
    /// The process.
    pub process: Process,
    /// How it was looked at.
    pub snapshot: SnapshotInfo,
    /// All objects in sum.
    pub objects: ObjectsRow,
    /// The types that the filter lets through, in the order asked for.
    pub types: Vec<TypeRow>,
    /// The types added up by module, if that was asked for.
    pub modules: Option<Vec<TypeRow>>,
    /// The two types with the most bytes, whatever the filter and the order.
    pub heaviest: Vec<TypeRow>,
    /// Resident bytes by category, largest first.
    pub memory: Vec<MemoryPart>,
    /// The collector.
    pub gc: Gc,
    /// The pools.
    pub pools: PoolsView,
    /// Object caches, largest first.
    pub caches: Vec<Cache>,
    /// The largest objects.
    pub largest: Vec<LargestRow>,
    /// What was asked for.
    pub options: Options,
}

impl InspectView {
    /// The view of a heap.
    pub fn from_heap(heap: &Heap, options: &Options) -> InspectView {
        let all = types(heap);
        let mut heaviest = all.clone();
        heaviest.sort_by_key(|t| Reverse(t.bytes));
        heaviest.truncate(2);
        let matching = |row: &&TypeRow| match &options.filter {
            Some(pattern) => matches(pattern, &row.name),
            None => true,
        };
        let mut shown: Vec<TypeRow> = all.iter().filter(matching).cloned().collect();
        let modules = options.by_module.then(|| {
            let mut modules = by_module(&shown);
            sort(&mut modules, options.sort);
            modules
        });
        sort(&mut shown, options.sort);
        let mut memory = heap.memory.clone();
        memory.sort_by_key(|part| (part.category == "unexplained", Reverse(part.bytes)));
        let mut caches = heap.caches.clone();
        caches.sort_by_key(|cache| Reverse(cache.bytes));
        let rows = if options.top == 0 { 100 } else { options.top };
        InspectView {
            process: heap.process.clone(),
            snapshot: heap.snapshot.clone(),
            objects: sum(&heap.objects),
            types: shown,
            modules,
            heaviest,
            memory,
            gc: heap.gc.clone(),
            pools: PoolsView::new(&heap.pools),
            caches,
            largest: largest(heap, rows),
            options: options.clone(),
        }
    }
}

impl Report for InspectView {
    fn text(&self, page: &Page) -> String {
        crate::text::inspect(self, page)
    }

    fn json(&self) -> serde_json::Value {
        crate::json::inspect(self)
    }
}

/// All objects in sum.
fn sum(objects: &Objects) -> ObjectsRow {
    ObjectsRow {
        count: objects.len() as u64,
        bytes: objects.size.iter().sum(),
        allocated_bytes: Sizes::iter(&objects.allocated).sum(),
        gc_tracked: objects.generation.iter().filter(|&&g| tracked(g)).count() as u64,
    }
}

/// Whether `gc.get_objects()` lists an object of this generation.
fn tracked(generation: u8) -> bool {
    generation < 3
}

/// One row for each type that has objects; types of the same name are added up.
fn types(heap: &Heap) -> Vec<TypeRow> {
    let mut sums = vec![(0u64, 0u64, 0u64); heap.types.len()];
    let objects = &heap.objects;
    for row in 0..objects.len() {
        if let Some(sum) = sums.get_mut(objects.type_id[row].0 as usize) {
            sum.0 += 1;
            sum.1 += u64::from(tracked(objects.generation[row]));
            sum.2 += objects.size.get(row);
        }
    }
    let mut by_name: BTreeMap<&str, TypeRow> = BTreeMap::new();
    for (kind, (count, gc_tracked, bytes)) in heap.types.iter().zip(sums) {
        if count == 0 {
            continue;
        }
        let name = heap.strings.get(kind.name);
        let row = by_name.entry(name).or_insert_with(|| TypeRow {
            name: name.to_string(),
            count: 0,
            gc_tracked: 0,
            bytes: 0,
        });
        row.count += count;
        row.gc_tracked += gc_tracked;
        row.bytes += bytes;
    }
    by_name.into_values().collect()
}

/// The rows added up by the module part of their names.
fn by_module(types: &[TypeRow]) -> Vec<TypeRow> {
    let mut modules: BTreeMap<&str, TypeRow> = BTreeMap::new();
    for row in types {
        let name = module_of(&row.name);
        let module = modules.entry(name).or_insert_with(|| TypeRow {
            name: name.to_string(),
            count: 0,
            gc_tracked: 0,
            bytes: 0,
        });
        module.count += row.count;
        module.gc_tracked += row.gc_tracked;
        module.bytes += row.bytes;
    }
    modules.into_values().collect()
}

/// The module part of a type's name; `builtins` for a bare one. Nested classes and local ones
/// (`module.function.<locals>.Class`) count for what precedes the last dot before `<locals>`.
fn module_of(name: &str) -> &str {
    let outer = name.split(".<locals>").next().unwrap_or(name);
    outer
        .rsplit_once('.')
        .map_or("builtins", |(module, _)| module)
}

fn sort(rows: &mut [TypeRow], key: SortKey) {
    match key {
        SortKey::Bytes => rows.sort_by(|a, b| b.bytes.cmp(&a.bytes).then(a.name.cmp(&b.name))),
        SortKey::Count => rows.sort_by(|a, b| b.count.cmp(&a.count).then(a.name.cmp(&b.name))),
        SortKey::Name => rows.sort_by(|a, b| a.name.cmp(&b.name)),
    }
}

/// The `n` largest objects.
fn largest(heap: &Heap, n: usize) -> Vec<LargestRow> {
    let objects = &heap.objects;
    let mut rows: Vec<u32> = (0..objects.len() as u32).collect();
    let n = n.min(rows.len());
    let key = |&row: &u32| (Reverse(objects.size.get(row as usize)), row);
    if n < rows.len() {
        rows.select_nth_unstable_by_key(n, key);
        rows.truncate(n);
    }
    rows.sort_by_key(key);
    rows.into_iter()
        .map(|row| {
            let at = row as usize;
            let kind = heap.types.get(objects.type_id[at].0 as usize);
            LargestRow {
                address: format!("{:#x}", objects.address[at]),
                type_name: kind.map_or("?", |t| heap.strings.get(t.name)).to_string(),
                bytes: objects.size.get(at),
                held_by: holder::path(heap, ObjectId(row)),
            }
        })
        .collect()
}

/// Whether `name` matches `pattern`: contains it, or fits it as a whole if it has `*` or `?`.
fn matches(pattern: &str, name: &str) -> bool {
    if !pattern.contains(['*', '?']) {
        return name.contains(pattern);
    }
    let (pattern, name): (Vec<char>, Vec<char>) =
        (pattern.chars().collect(), name.chars().collect());
    // Greedy with one step back: linear for what people type.
    let (mut p, mut n, mut star) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    star = Some((at, from + 1));
                    p = at + 1;
                    n = from + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let cases = [
            ("dict", "collections.OrderedDict", false),
            ("Dict", "collections.OrderedDict", true),
            ("app.*", "app.User", true),
            ("app.*", "myapp.User", false),
            ("*.User", "app.models.User", true),
            ("?ist", "list", true),
            ("*a*b*c", "xxaxxbxxbxc", true),
            ("*a*b*c", "xxaxxbxxbxcd", false),
            ("*", "", true),
        ];
        for (pattern, name, expected) in cases {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn modules_of_types() {
        let cases = [
            ("dict", "builtins"),
            ("app.User", "app"),
            ("app.models.User", "app.models"),
            ("app.make.<locals>.Point", "app"),
        ];
        for (name, module) in cases {
            assert_eq!(module_of(name), module);
        }
    }

    #[test]
    fn fragmentation_is_what_lies_between_blocks_in_use() {
        let pools = Pools {
            used_bytes: 600,
            free_bytes: 400,
            free_pools: 3,
            pool_bytes: 100,
            ..Pools::default()
        };
        assert!((PoolsView::new(&pools).fragmentation - 0.1).abs() < 1e-9);
        assert_eq!(PoolsView::new(&Pools::default()).fragmentation, 0.0);
    }
}
