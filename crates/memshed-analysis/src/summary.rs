//! How many objects of which type there are, and what they take.

use crate::pattern::Pattern;
use memshed_heap::{Heap, Objects, StringId, TypeId};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::cmp::Reverse;
use std::ops::Range;

/// Objects counted and added up. Sizes are in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Objects.
    pub count: u64,
    /// Those in one of the collector's three generations: what `gc.get_objects()` returns.
    pub gc_tracked: u64,
    /// Those in the permanent generation (`gc.freeze`), which `gc.get_objects()` leaves out.
    pub frozen: u64,
    /// What `sys.getsizeof` says of them.
    pub bytes: u64,
    /// What the allocators gave for them and their own buffers.
    pub allocated: u64,
}

impl Amounts {
    fn add(&mut self, other: &Amounts) {
        self.count += other.count;
        self.gc_tracked += other.gc_tracked;
        self.frozen += other.frozen;
        // Sizes of a garbled heap may be of any size.
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.allocated = self.allocated.saturating_add(other.allocated);
    }

    /// Which part of `total` this is.
    pub fn shares_of(&self, total: &Amounts) -> Shares {
        let share = |part: u64, whole: u64| match whole {
            0 => 0.0,
            _ => part as f64 / whole as f64,
        };
        Shares {
            count: share(self.count, total.count),
            bytes: share(self.bytes, total.bytes),
            allocated: share(self.allocated, total.allocated),
        }
    }
}

/// Parts of the totals, from 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Shares {
    /// Of all objects.
    pub count: f64,
    /// Of the bytes by `sys.getsizeof`.
    pub bytes: f64,
    /// Of the bytes allocated.
    pub allocated: f64,
}

/// The objects of all types of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct TypeRow {
    /// `module.qualname`; builtins bare.
    pub name: String,
    /// The module part, `builtins` for builtins.
    pub module: String,
    /// How many type objects have that name: more than one where a class is made anew again and
    /// again.
    pub types: u64,
    /// What there is of them.
    pub amounts: Amounts,
    /// Which part of the whole heap that is.
    pub shares: Shares,
}

/// The objects of all types of one module.
#[derive(Clone, Debug, PartialEq)]
pub struct ModuleRow {
    /// Its name.
    pub module: String,
    /// How many differently named types of it have objects here.
    pub types: u64,
    /// What there is of them.
    pub amounts: Amounts,
    /// Which part of the whole heap that is.
    pub shares: Shares,
}

/// What rows are sorted by: the greatest first, names from A to Z. Equal rows go by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SortBy {
    /// By `sys.getsizeof`'s bytes.
    #[default]
    Bytes,
    /// By the bytes allocated.
    Allocated,
    /// By the number of objects.
    Count,
    /// By the number of objects that the collector tracks.
    GcTracked,
    /// By name.
    Name,
}

/// What to list, and in which order.
#[derive(Clone, Debug, Default)]
pub struct SummaryOptions {
    /// The order of the rows.
    pub sort: SortBy,
    /// Only types whose name fits.
    pub name: Option<Pattern>,
    /// Only types of modules that fit, see [`Pattern::fits_module`].
    pub module: Option<Pattern>,
}

/// What a heap is made of.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// All objects, whatever is listed.
    pub total: Amounts,
    /// The objects of the types that are listed.
    pub listed: Amounts,
    /// The types with objects, as the options say.
    pub types: Vec<TypeRow>,
    /// The same by module.
    pub modules: Vec<ModuleRow>,
}

/// Counts the objects of `heap` by type and by module. Types of equal name are one row.
pub fn summary(heap: &Heap, options: &SummaryOptions) -> Summary {
    let by_type = amounts_by_type(heap);
    let mut total = Amounts::default();
    by_type.iter().for_each(|amounts| total.add(amounts));
    let mut types = type_rows(heap, &by_type, options);
    let mut listed = Amounts::default();
    for row in &mut types {
        row.shares = row.amounts.shares_of(&total);
        listed.add(&row.amounts);
    }
    let mut modules = module_rows(&types, &total);
    sort(&mut types, options.sort, |row| (&row.name, &row.amounts));
    sort(&mut modules, options.sort, |row| {
        (&row.module, &row.amounts)
    });
    Summary {
        total,
        listed,
        types,
        modules,
    }
}

/// Objects below which dividing the work costs more than it saves.
const PART: usize = 512 * 1024;

/// What there is of each row of `heap.types`; one row more for objects without a type.
fn amounts_by_type(heap: &Heap) -> Vec<Amounts> {
    let rows = heap.objects.len();
    let kinds = heap.types.len();
    let parts = rows.div_ceil(PART).max(1);
    (0..parts)
        .into_par_iter()
        .map(|part| part * PART..((part + 1) * PART).min(rows))
        .fold(
            || vec![Amounts::default(); kinds + 1],
            |mut amounts, rows| {
                count(&heap.objects, rows, &mut amounts);
                amounts
            },
        )
        .reduce(
            || vec![Amounts::default(); kinds + 1],
            |mut left, right| {
                left.iter_mut().zip(&right).for_each(|(l, r)| l.add(r));
                left
            },
        )
}

fn count(objects: &Objects, rows: Range<usize>, amounts: &mut [Amounts]) {
    let unknown = amounts.len() - 1;
    for row in rows {
        let TypeId(kind) = objects.type_id[row];
        let amounts = &mut amounts[(kind as usize).min(unknown)];
        let generation = objects.generation[row];
        amounts.count += 1;
        amounts.gc_tracked += u64::from(generation < 3);
        amounts.frozen += u64::from(generation == 3);
        amounts.bytes = amounts.bytes.saturating_add(objects.size.get(row));
        amounts.allocated = amounts.allocated.saturating_add(objects.allocated.get(row));
    }
}

fn type_rows(heap: &Heap, by_type: &[Amounts], options: &SummaryOptions) -> Vec<TypeRow> {
    let mut rows: Vec<TypeRow> = Vec::new();
    let mut by_name: FxHashMap<StringId, Option<usize>> = FxHashMap::default();
    for (amounts, kind) in by_type.iter().zip(&heap.types) {
        if amounts.count == 0 {
            continue;
        }
        let place = by_name.entry(kind.name).or_insert_with(|| {
            let row = TypeRow {
                name: heap.strings.get(kind.name).to_owned(),
                module: heap.strings.get(kind.module).to_owned(),
                types: 0,
                amounts: Amounts::default(),
                shares: Shares::default(),
            };
            options.lists(&row).then(|| {
                rows.push(row);
                rows.len() - 1
            })
        });
        if let Some(place) = *place {
            rows[place].types += 1;
            rows[place].amounts.add(amounts);
        }
    }
    let untyped = by_type.last().copied().unwrap_or_default();
    let row = TypeRow {
        name: "?".to_owned(),
        module: "?".to_owned(),
        types: 0,
        amounts: untyped,
        shares: Shares::default(),
    };
    if untyped.count > 0 && options.lists(&row) {
        rows.push(row);
    }
    rows
}

impl SummaryOptions {
    fn lists(&self, row: &TypeRow) -> bool {
        let name = self.name.as_ref();
        let module = self.module.as_ref();
        name.is_none_or(|pattern| pattern.fits(&row.name))
            && module.is_none_or(|pattern| pattern.fits_module(&row.module))
    }
}

fn module_rows(types: &[TypeRow], total: &Amounts) -> Vec<ModuleRow> {
    let mut modules: FxHashMap<&str, (u64, Amounts)> = FxHashMap::default();
    for row in types {
        let (count, amounts) = modules.entry(&row.module).or_default();
        *count += 1;
        amounts.add(&row.amounts);
    }
    let rows = modules
        .into_iter()
        .map(|(module, (types, amounts))| ModuleRow {
            module: module.to_owned(),
            types,
            shares: amounts.shares_of(total),
            amounts,
        });
    rows.collect()
}

fn sort<T>(rows: &mut [T], by: SortBy, of: impl Fn(&T) -> (&String, &Amounts)) {
    let value = |amounts: &Amounts| match by {
        SortBy::Bytes => amounts.bytes,
        SortBy::Allocated => amounts.allocated,
        SortBy::Count => amounts.count,
        SortBy::GcTracked => amounts.gc_tracked,
        SortBy::Name => 0,
    };
    rows.sort_by(|a, b| {
        let ((name_a, a), (name_b, b)) = (of(a), of(b));
        (Reverse(value(a)), name_a).cmp(&(Reverse(value(b)), name_b))
    });
}
