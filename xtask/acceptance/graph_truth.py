"""Holds what memshed makes of a snapshot's graph against the snapshot itself and networkx:

graph_truth.py dominators SNAPSHOT FACTS
graph_truth.py garbage SNAPSHOT FACTS KEPT

FACTS is what `graph_facts SNAPSHOT` prints; KEPT has the lines that garbage.py prints. The result
is one JSON object on standard output.
"""

import collections
import json
import os
import sys

import duckdb
import networkx
import numpy as np

TOP = -1


def table(snapshot, columns, name, order):
    path = os.path.join(snapshot, name + ".parquet")
    return duckdb.sql(f"select {columns} from read_parquet('{path}') order by {order}").fetchnumpy()


def plain(column, absent):
    return column.filled(absent) if isinstance(column, np.ma.MaskedArray) else column


class Snapshot:
    def __init__(self, directory):
        rows = table(directory, "address, type_id, allocated, refcount, generation", "objects", "object_id")
        self.address = rows["address"]
        self.type = rows["type_id"]
        self.bytes = rows["allocated"]
        self.count = plain(rows["refcount"], 1 << 60)  # none: immortal
        self.tracked = plain(rows["generation"], -1) >= 0
        self.names = table(directory, "name", "types", "type_id")["name"]
        edges = table(directory, "source, target, kind", "edges", "source")
        strong = edges["kind"].astype(str) != "weak"
        self.source, self.target = edges["source"][strong], edges["target"][strong]
        self.roots = set(table(directory, "object", "roots", "object")["object"].tolist())

    def __len__(self):
        return len(self.address)

    def told(self, rows, most=6):
        """Rows by type, most frequent first, with an example's address."""
        groups = collections.defaultdict(list)
        for row in rows:
            groups[self.names[self.type[row]]].append(row)
        groups = sorted(groups.items(), key=lambda group: -len(group[1]))[:most]
        return [f"{name} {len(of)} (e.g. {self.address[of[0]]:#x})" for name, of in groups]


class Facts:
    """Lines "object ADDRESS DOMINATOR BYTES RETAINED" (DOMINATOR 0x0: the top) and "garbage ADDRESS TYPE"."""

    def __init__(self, path, snapshot):
        rows = {address: row for row, address in enumerate(snapshot.address.tolist())}
        self.dominator = np.full(len(snapshot), TOP - 1)
        self.retained = np.full(len(snapshot), -1)
        self.garbage = set()
        with open(path) as file:
            for line in file:
                kind, address, *rest = line.split()
                if kind == "garbage":
                    self.garbage.add(rows[int(address, 16)])
                elif kind == "object":
                    dominator, row = int(rest[0], 16), rows[int(address, 16)]
                    self.dominator[row] = rows[dominator] if dominator else TOP
                    self.retained[row] = int(rest[2])
        self.rows = rows


def tops(snapshot, facts, graph):
    """What the top refers to: the roots; of the rest, what has more references than are known; and,
    of each cycle that nothing else leads to, one object, whichever memshed chose. How often there
    was not exactly one such choice."""
    found = set(snapshot.roots)
    reached = below(graph, found)
    known = np.bincount(snapshot.target, minlength=len(snapshot))
    held = [row for row in range(len(snapshot)) if row not in reached and snapshot.count[row] > known[row]]
    found.update(held)
    reached |= below(graph, set(held) - reached)
    rest = graph.subgraph(set(range(len(snapshot))) - reached)
    wrong = 0
    condensed = networkx.condensation(rest)
    for number, members in condensed.nodes(data="members"):
        if condensed.in_degree(number) == 0:
            heads = [row for row in members if facts.dominator[row] == TOP]
            found.update(heads)
            wrong += len(heads) != 1
    return found, wrong, len(held), sum(1 for _, degree in condensed.in_degree() if degree == 0)


def below(graph, starts):
    reached, pending = set(starts), list(starts)
    while pending:
        for target in graph._succ[pending.pop()]:
            if target not in reached:
                reached.add(target)
                pending.append(target)
    return reached


def dominators(snapshot, facts):
    graph = networkx.DiGraph()
    graph.add_nodes_from(range(len(snapshot)))
    graph.add_edges_from(zip(snapshot.source.tolist(), snapshot.target.tolist()))
    found, wrong_choices, held, cycles = tops(snapshot, facts, graph)
    graph.add_edges_from((TOP, row) for row in found)
    said = networkx.immediate_dominators(graph, TOP)
    truth = np.full(len(snapshot), TOP - 1)
    for row, dominator in said.items():
        if row != TOP:
            truth[row] = dominator
    differing = np.flatnonzero(truth != facts.dominator)
    retained = snapshot.bytes.astype(np.int64).copy()
    tree = collections.defaultdict(list)
    for row, dominator in enumerate(truth.tolist()):
        tree[dominator].append(row)
    order, pending = [], [TOP]
    while pending:
        at = pending.pop()
        order.append(at)
        pending.extend(tree[at])
    for at in reversed(order):
        if at != TOP and truth[at] >= 0:
            retained[truth[at]] += retained[at]
    unequal = np.flatnonzero(retained != facts.retained)
    return {
        "objects": len(snapshot),
        "edges": graph.number_of_edges(),
        "roots": len(snapshot.roots),
        "held_by_c": held,
        "unreached_cycles": cycles,
        "wrong_choices": wrong_choices,
        "below_others": int((truth >= 0).sum()),
        "differing": len(differing),
        "differing_types": snapshot.told(differing.tolist()),
        "unequal_bytes": len(unequal),
        "unequal_types": snapshot.told(unequal.tolist()),
    }


def garbage(snapshot, facts, kept_path):
    lines = {}
    with open(kept_path) as file:
        for line in file:
            word, *addresses = line.split()
            lines[word] = {int(address, 16) for address in addresses}
    rows = facts.rows
    strange = [address for address in lines["kept"] if address not in rows]
    kept = {rows[address] for address in lines["kept"] if address in rows}
    closed = {rows[address] for address in lines["closed"] if address in rows}
    said = {row for row in facts.garbage if snapshot.tracked[row]}
    missing = kept - said
    extra = said - kept - closed
    return {
        "kept": len(kept),
        "said": len(said),
        "closed": len(said & closed - kept),
        "not_in_snapshot": len(strange),
        "missing": len(missing),
        "missing_types": snapshot.told(missing),
        "extra": len(extra),
        "extra_types": snapshot.told(extra),
    }


def main():
    what, directory, path, *more = sys.argv[1:]
    snapshot = Snapshot(directory)
    facts = Facts(path, snapshot)
    print(json.dumps((dominators if what == "dominators" else garbage)(snapshot, facts, *more)))


if __name__ == "__main__":
    main()
