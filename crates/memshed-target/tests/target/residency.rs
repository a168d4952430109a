//! Pages in memory, as the kernel itself sums them up.

use crate::contents::Pattern;
use crate::support::{Target, python_program};
use memshed_target::{MappingUse, Process, Range, Residency, ResidentBytes};

pub const TESTS: &[crate::Test] = &[
    ("residency::every_mapping_agrees_with_smaps", smaps),
    ("residency::shared_pages_are_told_apart", shared),
];

/// What smaps says, and the pages of the same mappings, of a target that is about to stand still:
/// asked again until smaps says the same before and after.
fn look(process: &Process) -> (Vec<MappingUse>, Residency) {
    let smaps = || process.mapping_use().expect("smaps");
    let mut uses = smaps();
    for _ in 0..1000 {
        let ranges: Vec<Range> = uses.iter().map(|u| u.mapping.range()).collect();
        let residency = process.residency(&ranges).expect("a pagemap");
        let after = smaps();
        if after == uses {
            return (uses, residency);
        }
        uses = after;
    }
    panic!("the target does not come to rest");
}

fn assert_agrees(uses: &[MappingUse], residency: &Residency) {
    for one in uses {
        // Pages that the kernel does not count: its own, and those of devices.
        if one.has_flag("pf") || one.mapping.path == "[vsyscall]" {
            continue;
        }
        let range = one.mapping.range();
        let found = residency.bytes(range);
        let expected = (one.rss, one.swap);
        assert_eq!(
            (found.present, found.swapped),
            expected,
            "{:?}",
            one.mapping
        );
        let pages = residency.resident_pages(range).count() as u64;
        assert_eq!(pages * 4096, one.rss, "{:?}", one.mapping);
        // What smaps calls private is mapped nowhere else.
        let private = one.private_clean + one.private_dirty;
        assert_eq!(found.present - found.shared, private, "{:?}", one.mapping);
        let file = found.present - one.anonymous;
        assert_eq!(found.file, file, "{:?}", one.mapping);
    }
}

fn smaps() {
    let pattern = Pattern::start();
    let process = pattern.target.process();
    let (uses, residency) = look(&process);
    assert_agrees(&uses, &residency);
    let sparse = pattern.place("sparse");
    assert!(residency.resident_bytes(sparse) >= 64 * 4096);
    for at in (0..sparse.len()).step_by(1 << 30) {
        let start = sparse.start + at;
        let first = memshed_target::RemoteAddr(start);
        assert!(residency.is_resident(first) && !residency.is_shared(first));
        // Not in the same huge page, if these are in use.
        assert!(!residency.is_resident(first.add(4 << 20)));
    }
    let pages = residency.bytes(pattern.place("pattern"));
    let whole = pattern.place("pattern").len();
    let expected = ResidentBytes {
        present: whole,
        ..ResidentBytes::default()
    };
    assert_eq!(pages, expected);
    let beside = process.memory_beside().expect("a status");
    assert!(beside.page_tables > 0 && beside.kernel_stacks == 16 << 10);
    let threads = process.threads();
    assert_eq!((threads.len(), threads[0].tid), (1, process.pid()));
}

fn shared() {
    let target = Target::start(python_program("shared.py"));
    let (uses, residency) = look(&target.process());
    assert_agrees(&uses, &residency);
    let block = uses.iter().max_by_key(|u| u.rss).expect("a mapping");
    let found = residency.bytes(block.mapping.range());
    assert!(found.shared > 60 << 20, "{found:?}");
}
