"""How many of each type's references a snapshot has, and how it calls them:
edge_table.py SNAPSHOT TRUTH PID

Prints one JSON object. A referent (what gc.get_referents shows) is known where an edge with a name
leads to it, possible where only a word of a block without a known layout does, and missing
otherwise. An edge that the collector does not show is looked up in the memory of the process,
which stands still, and told by type and label.
"""

import collections
import json
import os
import sys

import numpy as np

from compare import Snapshot, Truth, holds, keys, truth_rows

SAMPLES = 50  # edges of each kind that are looked up in memory
PRIVATE = os.path.join(os.path.dirname(__file__), "../../crates/memshed-cpython/src/layouts/private.txt")
# Fields of collected types that their tp_traverse passes over, in one version or another: names and
# other atoms, what a base or the type itself keeps alive too, what the interpreter visits elsewhere.
PASSED_OVER = {
    "__class__", "__name__", "__qualname__", "__slots__", "__base__", "tp_subclasses", "name",
    "f_builtins", "f_globals", "cr_origin", "tzinfo", "ag_origin_or_finalizer", "gi_code",
}
# From 3.13 on the values of an instance may be those of its __dict__: either visits them, never both.
TWO_WAYS = {("field", "__dict__"), ("attribute", ""), ("key", ""), ("value", "")}


def passed_over():
    """Labels that private.txt marks as such."""
    labels = set(PASSED_OVER)
    with open(PRIVATE) as lines:
        for line in lines:
            if not line.startswith("#"):
                labels.update(word.rpartition(":")[2] for word in line.split()[2:] if word[0] == "~")
    return labels


def best(snapshot, weak, possible):
    """Every pair of source and target once: as keys, sorted, those with a name and all."""
    count = len(snapshot.address)
    pairs = keys(snapshot.source, snapshot.target, count)
    return np.unique(pairs[~weak & ~possible]), np.unique(pairs[possible])


def member(sorted_keys, wanted):
    if not len(sorted_keys):
        return np.zeros(len(wanted), dtype=bool)
    at = np.minimum(np.searchsorted(sorted_keys, wanted), len(sorted_keys) - 1)
    return sorted_keys[at] == wanted


def referents(snapshot, truth, known, possible):
    """By type: objects, referents, and how many of them are known, possible, missing."""
    count = len(snapshot.address)
    pairs = np.unique(truth.pairs, axis=0)
    source, there_source = snapshot.rows_of(pairs[:, 0])
    target, there_target = snapshot.rows_of(pairs[:, 1])
    there = there_source & there_target
    said = keys(source, target, count)
    is_known = there & member(known, said)
    is_possible = there & member(possible, said) & ~is_known
    rows, _ = truth_rows(truth, pairs[:, 0])
    types = truth.types[rows]
    table = {}
    for number in np.unique(truth.types):
        mine = types == number
        row = table.setdefault(truth.names[number], collections.Counter())
        row["objects"] += int((truth.types == number).sum())
        row["referents"] += int(mine.sum())
        row["known"] += int((mine & is_known).sum())
        row["possible"] += int((mine & is_possible).sum())
        row["missing"] += int((mine & ~is_known & ~is_possible).sum())
    missing = pairs[~is_known & ~is_possible]
    unnamed = pairs[is_possible]
    foreign = set(truth.names[np.array(truth.said["foreign"])])
    scanned = {name for name, row in table.items() if row["possible"]} | scanned_types(snapshot)
    scanned |= foreign
    incomplete = np.unique(missing[:, 0])
    rows, _ = truth_rows(truth, incomplete)
    incomplete = [name for name in truth.names[truth.types[rows]] if name not in scanned]
    known_objects = sum(row["objects"] for name, row in table.items() if name not in scanned)
    return {
        "types": {name: dict(row) for name, row in sorted(table.items())},
        "known_objects": known_objects,
        "incomplete": len(incomplete),
        "incomplete_types": dict(collections.Counter(incomplete)),
        "scanned_types": sorted(scanned),
        "missing": examples(snapshot, truth, missing),
        "possible": examples(snapshot, truth, unnamed),
    }


def scanned_types(snapshot):
    """Types of objects in which a word was taken for a reference."""
    sources = np.unique(snapshot.type[snapshot.source[snapshot.kind.astype(str) == "possible"]])
    return set(snapshot.names[sources].tolist())


def examples(snapshot, truth, pairs):
    found = collections.Counter()
    first = {}
    sources, _ = truth_rows(truth, pairs[:, 0])
    targets, _ = truth_rows(truth, pairs[:, 1])
    for a, b, pair in zip(truth.types[sources].tolist(), truth.types[targets].tolist(), pairs.tolist()):
        name = f"{truth.names[a]} -> {truth.names[b]}"
        found[name] += 1
        first.setdefault(name, pair)
    return [f"{name} {count} ({first[name][0]:#x} -> {first[name][1]:#x})" for name, count in found.most_common()]


def beyond(snapshot, truth, named, pid):
    """Edges with a name that the collector does not show, by source type and label."""
    count = len(snapshot.address)
    source, a = snapshot.rows_of(truth.pairs[:, 0])
    target, b = snapshot.rows_of(truth.pairs[:, 1])
    fields, _ = snapshot.rows_of(truth.fields[:, 0])
    field_targets, _ = snapshot.rows_of(truth.fields[:, 1])
    shown = np.unique(np.concatenate([keys(source, target, count)[a & b], keys(fields, field_targets, count)]))
    rows, there = truth_rows(truth, snapshot.address)
    edges = np.flatnonzero(named & there[snapshot.source])
    edges = edges[~member(shown, keys(snapshot.source[edges], snapshot.target[edges], count))]
    groups = collections.defaultdict(list)
    for edge in edges.tolist():
        kind = str(snapshot.kind[edge])
        label = str(snapshot.label[edge]) if kind in ("field", "weak") else ""
        number = truth.types[rows[snapshot.source[edge]]]
        groups[truth.names[number], truth.said["collected"][number], kind, label].append(edge)
    told = []
    listed = passed_over()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for (name, collected, kind, label), found in sorted(groups.items()):
            sample = found[:: max(1, len(found) // SAMPLES)]
            wrong = [edge for edge in sample
                     if not holds(memory, snapshot, int(snapshot.source[edge]), int(snapshot.target[edge]))]
            told.append({
                "type": name, "collected": collected, "kind": kind, "label": label, "edges": len(found),
                "targets": dict(collections.Counter(snapshot.names[snapshot.type[snapshot.target[edge]]] for edge in sample).most_common(3)),
                "looked_up": len(sample), "not_held": len(wrong),
                "listed": not collected or kind in ("weak", "key_object") or label in listed or (kind, label) in TWO_WAYS,
                "example": [hex(snapshot.address[column[(wrong or found)[0]]]) for column in (snapshot.source, snapshot.target)],
            })
    return told


def main():
    snapshot_dir, truth_dir, pid = sys.argv[1:4]
    truth = Truth(truth_dir)
    snapshot = Snapshot(snapshot_dir, with_edges=True)
    kinds = snapshot.kind.astype(str)
    weak, possible = kinds == "weak", kinds == "possible"
    known, only_possible = best(snapshot, weak, possible)
    print(json.dumps({
        "objects": len(truth.ids),
        "edges": len(kinds),
        "possible_edges": int(possible.sum()),
        "weak_edges": int(weak.sum()),
        **referents(snapshot, truth, known, only_possible),
        "beyond": beyond(snapshot, truth, ~possible, pid),
    }))


main()
