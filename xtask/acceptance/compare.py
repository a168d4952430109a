"""Compares a snapshot with a process's own truth: compare.py SNAPSHOT TRUTH [PID]

Prints one JSON object. With PID, strong edges that gc.get_referents does not confirm are looked
up in the memory of the process, which stands still: an edge is invented if its target is found
neither in its source's own block nor in the buffers that this block points to.
"""

import collections
import json
import os
import struct
import sys

import duckdb
import numpy as np

SAMPLES = 200  # edges of each kind that are looked up in memory
PRE_HEADER = 32  # bytes before an object that are its own: collector links, dictionary, weak list


def table(snapshot, columns, name, order):
    path = os.path.join(snapshot, name + ".parquet")
    return duckdb.sql(f"select {columns} from read_parquet('{path}') order by {order}").fetchnumpy()


def plain(column, absent):
    return column.filled(absent) if isinstance(column, np.ma.MaskedArray) else column


class Truth:
    def __init__(self, directory):
        def column(name, kind):
            return np.fromfile(os.path.join(directory, name), dtype=kind)

        with open(os.path.join(directory, "truth.json")) as file:
            self.said = json.load(file)
        self.ids = column("ids.u64", np.uint64).astype(np.int64)
        order = np.argsort(self.ids)
        self.ids = self.ids[order]
        self.sizes = column("sizes.i64", np.int64)[order]
        self.types = column("types.u32", np.uint32)[order]
        self.kinds = column("kinds.u8", np.uint8)[order]
        self.pairs = column("edges.u64", np.int64).reshape(-1, 2)
        self.fields = column("fields.u64", np.int64).reshape(-1, 2)
        self.names = np.array(self.said["types"], dtype=object)


class Snapshot:
    def __init__(self, directory, with_edges):
        rows = table(directory, "address, type_id, size, generation", "objects", "object_id")
        self.address = rows["address"]
        self.type = rows["type_id"]
        self.size = rows["size"]
        self.generation = plain(rows["generation"], -1)
        assert (np.diff(self.address) > 0).all(), "objects are not sorted by address"
        self.names = table(directory, "name", "types", "type_id")["name"]
        if with_edges:
            edges = table(directory, "source, target, kind, name", "edges", "source")
            self.source, self.target = edges["source"].astype(np.int64), edges["target"].astype(np.int64)
            self.kind, self.label = edges["kind"], plain(edges["name"], "")

    def rows_of(self, addresses):
        """Row of each address, and whether it is there."""
        rows = np.searchsorted(self.address, addresses)
        rows[rows == len(self.address)] = 0
        return rows, self.address[rows] == addresses


def examples(addresses, names, most=8):
    """Counts by name, most frequent first, with an example address."""
    found = {}
    for address, name in zip(addresses.tolist(), names):
        count, _ = found.get(name, (0, 0))
        found[name] = (count + 1, address)
    rows = sorted(found.items(), key=lambda row: -row[1][0])[:most]
    return [f"{name} {count} (e.g. {address:#x})" for name, (count, address) in rows]


def compare_objects(snapshot, truth):
    tracked = snapshot.type[(snapshot.generation >= 0) & (snapshot.generation <= 2)]
    found = collections.Counter()
    for number, count in zip(*np.unique(tracked, return_counts=True)):
        found[snapshot.names[number]] += int(count)
    said = truth.said["tracked"]
    differing = {name: (said.get(name, 0), found.get(name, 0))
                 for name in set(said) | set(found) if said.get(name, 0) != found.get(name, 0)}
    rows, there = snapshot.rows_of(truth.ids)
    missing = truth.ids[~there]
    sizes = snapshot.size[rows[there]]
    said_sizes = truth.sizes[there]
    wrong = (sizes != said_sizes) & (said_sizes >= 0)
    named = snapshot.names[snapshot.type[rows[there]]]
    said_names = truth.names[truth.types[there]]
    misnamed = named != said_names
    unequal = [f"{name} {address:#x}: getsizeof {a}, snapshot {b}" for name, address, a, b in
               zip(said_names[wrong], truth.ids[there][wrong].tolist(), said_sizes[wrong], sizes[wrong])]
    return {
        "tracked": sum(said.values()),
        "tracked_differing": {name: list(pair) for name, pair in sorted(differing.items())},
        "objects": len(snapshot.address),
        "closure": len(truth.ids),
        "missing": len(missing),
        "missing_types": examples(missing, truth.names[truth.types[~there]]),
        "sizes_compared": int(there.sum()),
        "sizes_unequal": int(wrong.sum()),
        "sizes_types": examples(truth.ids[there][wrong], said_names[wrong]),
        "sizes_examples": unequal[:5],
        "misnamed": int(misnamed.sum()),
        "misnamed_types": [f"{a} for {b}" for a, b in sorted(set(zip(named[misnamed], said_names[misnamed])))[:8]],
    }


def keys(source, target, count):
    return source * np.int64(count) + target


def compare_edges(snapshot, truth, pid):
    count = len(snapshot.address)
    source, there_source = snapshot.rows_of(truth.pairs[:, 0])
    target, there_target = snapshot.rows_of(truth.pairs[:, 1])
    there = there_source & there_target
    have = np.unique(keys(snapshot.source, snapshot.target, count))
    said = keys(source, target, count)
    at = np.minimum(np.searchsorted(have, said), len(have) - 1)
    confirmed = there & (have[at] == said)

    listed_ids = truth.ids[truth.kinds == 1]
    lacking = np.unique(truth.pairs[~confirmed, 0])
    incomplete = np.isin(listed_ids, lacking)
    incomplete_names = truth.names[truth.types[truth.kinds == 1]][incomplete]

    fields, _ = snapshot.rows_of(truth.fields[:, 0])
    field_targets, _ = snapshot.rows_of(truth.fields[:, 1])
    explained = np.unique(np.concatenate([said[there], keys(fields, field_targets, count)]))
    _, known = truth_rows(truth, snapshot.address)
    strong = ~np.isin(snapshot.kind.astype(str), ["weak", "possible"]) & known[snapshot.source]
    rows = np.flatnonzero(strong)
    mine = keys(snapshot.source[rows], snapshot.target[rows], count)
    at = np.minimum(np.searchsorted(explained, mine), len(explained) - 1)
    extra = rows[explained[at] != mine]
    kinds = collections.defaultdict(list)
    for row in extra.tolist():
        name = snapshot.names[snapshot.type[snapshot.source[row]]]
        label = snapshot.label[row] if snapshot.kind[row] in ("field", "attribute") else ""
        kinds[name, str(snapshot.kind[row]), label if snapshot.kind[row] == "field" else ""].append(row)

    invented, looked_up, guilty = 0, 0, []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for kind, found in kinds.items():
            step = max(1, len(found) // SAMPLES)
            for row in found[::step]:
                looked_up += 1
                if not holds(memory, snapshot, int(snapshot.source[row]), int(snapshot.target[row])):
                    invented += 1
                    guilty.append((kind, hex(snapshot.address[snapshot.source[row]]), hex(snapshot.address[snapshot.target[row]])))
    biggest = sorted(kinds.items(), key=lambda item: -len(item[1]))
    worst = collections.Counter(kind for kind, _, _ in guilty)
    return {
        "edges": len(snapshot.source),
        "listed": len(listed_ids),
        "incomplete": int(incomplete.sum()),
        "incomplete_types": examples(listed_ids[incomplete], incomplete_names),
        "pairs": len(truth.pairs),
        "pairs_lacking": int((~confirmed).sum()),
        "lacking_examples": lacking_examples(snapshot, truth, confirmed),
        "extra": len(extra),
        "extra_kinds": [" ".join(filter(None, kind)) + f" {len(found)}" for kind, found in biggest[:12]],
        "looked_up": looked_up,
        "invented": invented,
        "invented_kinds": [" ".join(filter(None, kind)) + f" {n}" for kind, n in worst.most_common(8)],
        "invented_examples": [f"{a}->{b}" for _, a, b in guilty[:5]],
    }


def truth_rows(truth, addresses):
    rows = np.minimum(np.searchsorted(truth.ids, addresses), len(truth.ids) - 1)
    return rows, truth.ids[rows] == addresses


def lacking_examples(snapshot, truth, confirmed):
    """Which kinds of pairs are lacking: source type -> target type."""
    pairs = truth.pairs[~confirmed][:200_000]
    counts = {}
    sources, _ = truth_rows(truth, pairs[:, 0])
    targets, _ = truth_rows(truth, pairs[:, 1])
    for a, b, pair in zip(truth.types[sources], truth.types[targets], pairs.tolist()):
        number, _ = counts.get((a, b), (0, None))
        counts[a, b] = (number + 1, pair)
    top = sorted(counts.items(), key=lambda item: -item[1][0])[:12]
    return [f"{truth.names[a]} -> {truth.names[b]} {n} (e.g. {p[0]:#x} -> {p[1]:#x})" for (a, b), (n, p) in top]


def words(memory, at, length):
    """The words at an address; as many as can be read."""
    try:
        memory.seek(at)
        got = memory.read(length)
    except (OSError, ValueError, OverflowError):
        return ()
    return struct.unpack_from(f"<{len(got) // 8}Q", got)


def holds(memory, snapshot, source, target):
    """Whether the target is among the words of the source's block or its own buffers."""
    wanted = int(snapshot.address[target])
    size = int(snapshot.size[source])
    if snapshot.names[snapshot.type[source]].endswith(("type", "Type", "Meta")):
        size = max(size, 2048)  # sys.getsizeof does not know what metaclasses in C add to static types
    start = int(snapshot.address[source]) - PRE_HEADER
    todo, seen = [(start, min(size, 4096) + 2 * PRE_HEADER, 0)], set()
    while todo and len(seen) < 300:
        at, length, depth = todo.pop(0)
        if at in seen:
            continue
        seen.add(at)
        held = [word & ~7 for word in words(memory, at, length)]
        if wanted in held:
            return True
        if depth == 60:
            continue
        candidates = np.array([word for word in held if 0x10000 < word < 1 << 47], dtype=np.int64)
        _, objects = snapshot.rows_of(candidates)
        for buffer in candidates[~objects].tolist():
            # A list's or dictionary's buffer is as large as sys.getsizeof says; a deque's blocks
            # and an instance's values are smaller than a page.
            todo.append((buffer, max(size, 4096), depth + 1))
    return False


def main():
    snapshot_dir, truth_dir = sys.argv[1:3]
    pid = sys.argv[3] if len(sys.argv) > 3 else None
    truth = Truth(truth_dir)
    snapshot = Snapshot(snapshot_dir, with_edges=pid is not None)
    result = compare_objects(snapshot, truth)
    if pid is not None:
        result["edges_result"] = compare_edges(snapshot, truth, pid)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
