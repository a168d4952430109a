"""A service with a million objects in memory that answers requests, under default settings.

Loads its data with the collector off, as is good practice, then answers REQUESTS requests: each
parses a body of 300 rows, makes a small cycle, and is kept for the next 500. Says at the end how much
processor time a request took.

    python service.py [CONTAINERS [REQUESTS]]
"""

import gc
import json
import sys
import time

CONTAINERS = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
REQUESTS = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
BODY = json.dumps([{"id": j, "v": [j, j], "t": {"a": j, "b": [j]}} for j in range(300)])


class Node:
    __slots__ = ("a", "b", "c")

    def __init__(self, a, b):
        self.a, self.b, self.c = a, b, None


def load(containers):
    nodes = []
    for i in range(containers // 4):
        row = {"id": i}
        rows = [row, i]
        pair = (rows, row)
        node = Node(pair, rows)
        row["node"] = node
        nodes.append(node)
    return nodes


def answer():
    rows = json.loads(BODY)
    context = {}
    context["request"] = {"context": context}
    total = 0
    for row in rows:
        total += row["id"] + len(row["v"])
    context["sum"] = total
    return rows[:40]


def main():
    gc.disable()
    data = load(CONTAINERS)
    gc.collect()
    gc.enable()
    kept = {}
    began = time.process_time()
    for i in range(REQUESTS):
        kept[i % 500] = answer()
    took = time.process_time() - began
    print(f"{len(data)} nodes, {took / REQUESTS * 1e6:.0f} us a request", flush=True)


main()
