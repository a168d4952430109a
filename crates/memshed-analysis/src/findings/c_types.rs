//! Types whose objects may have memory of their own that nothing known of points at: those of C
//! extensions, and classes derived from them.

use super::native;
use memshed_heap::{Heap, ObjectId};
use rustc_hash::{FxHashMap, FxHashSet};

/// Modules of Python itself whose objects stand for memory of a C library.
const OWN: &[&str] = &[
    "_bz2",
    "_ctypes",
    "_elementtree",
    "_hashlib",
    "_lzma",
    "_sqlite3",
    "_ssl",
    "pyexpat",
    "sqlite3",
    "xml.etree.ElementTree",
    "zlib",
];
/// The class of threads.
const THREAD: &str = "threading.Thread";
/// Base classes that are gone through.
const DEEPEST: usize = 16;

/// Names of such types.
#[derive(Default)]
pub(crate) struct CTypes<'h>(FxHashSet<&'h str>);

impl<'h> CTypes<'h> {
    pub(crate) fn of(heap: &'h Heap) -> CTypes<'h> {
        let packages = native::extension_packages(heap);
        let files: FxHashSet<&str> = heap.code.iter().map(|c| heap.strings.get(c.file)).collect();
        let modules: Vec<&str> = files.into_iter().map(module_path).collect();
        let mut known: FxHashMap<&str, bool> = FxHashMap::default();
        let mut is_c = |module: &'h str| {
            *known.entry(module).or_insert_with(|| {
                let package = module.split('.').next().unwrap_or_default();
                OWN.contains(&module)
                    || packages.iter().any(|one| one == package) && !is_python(&modules, module)
            })
        };
        let rows = heap.types.iter().enumerate();
        let rows: FxHashMap<ObjectId, usize> = rows.map(|(row, kind)| (kind.object, row)).collect();
        let mut found = FxHashSet::default();
        for row in 0..heap.types.len() {
            let lineage = lineage(heap, &rows, row).into_iter();
            let mut lineage = lineage.map(|row| &heap.types[row]);
            let is_one = lineage.any(|kind| {
                // A thread has a stack, and malloc gives it an arena.
                is_c(heap.strings.get(kind.module)) || heap.strings.get(kind.name) == THREAD
            });
            if is_one {
                found.insert(heap.strings.get(heap.types[row].name));
            }
        }
        CTypes(found)
    }

    pub(crate) fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }
}

/// A file's path without what its module's name lacks.
fn module_path(file: &str) -> &str {
    let path = file.strip_suffix(".py").unwrap_or(file);
    path.strip_suffix("/__init__").unwrap_or(path)
}

/// Whether a module has been run from a file of Python's.
fn is_python(paths: &[&str], module: &str) -> bool {
    let path = module.replace('.', "/");
    let is_it = |one: &&str| {
        let before = one.strip_suffix(&*path);
        before.is_some_and(|before| before.is_empty() || before.ends_with('/'))
    };
    paths.iter().any(is_it)
}

/// The type and its bases, the nearest first, as far as edges tell.
fn lineage(heap: &Heap, rows: &FxHashMap<ObjectId, usize>, row: usize) -> Vec<usize> {
    let mut lineage = vec![row];
    let Some(edges) = &heap.edges else {
        return lineage;
    };
    let mut at = heap.types[row].object;
    while lineage.len() < DEEPEST && (at.0 as usize) < heap.objects.len() {
        let named = |label: memshed_heap::Label| {
            label
                .name()
                .is_some_and(|n| heap.strings.get(n) == "__base__")
        };
        let mut bases = edges.of(at).filter(|(_, label)| named(*label));
        let Some((base, _)) = bases.next() else {
            break;
        };
        let Some(&row) = rows.get(&base) else {
            break;
        };
        lineage.push(row);
        at = base;
    }
    lineage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_known_by_their_files() {
        let paths = ["/usr/lib/python3/json/__init__.py", "/srv/app/shop.py"].map(module_path);
        assert!(is_python(&paths, "json") && is_python(&paths, "shop"));
        assert!(is_python(&paths, "app.shop"));
        assert!(!is_python(&paths, "op") && !is_python(&paths, "_ssl"));
    }
}
