"""A service that keeps OBJECTS and makes and drops more all the time: collector.py OBJECTS [SWITCH]

--freeze      gc.freeze() after start-up
--thresholds  higher thresholds
--asks        calls gc.collect() every 300 rounds
--asks-not    does not, after all
"""

import gc
import json
import sys

import talk


class Node:
    __slots__ = ("a", "b", "c")

    def __init__(self, a, b):
        self.a, self.b, self.c = a, b, None


def build(number):
    nodes = []
    for i in range(number // 4):
        d = {"id": i}
        values = [d, i]
        node = Node((values, d), values)
        d["n"] = node
        nodes.append(node)
    return nodes


TEXT = json.dumps([{"id": j, "v": [j, j], "t": {"a": j, "b": [j]}} for j in range(300)])


def serve(i, cache, clock):
    rows = json.loads(TEXT)
    context = {"rows": None}
    context["request"] = {"context": context}
    sum(row["id"] + len(row["v"]) for row in rows)
    cache[i % 500] = rows[:40]
    clock.rounds += 1


def work():
    cache, i = {}, 0
    while True:
        serve(i, cache, clock)
        i += 1
        if ASKS and i % 300 == 0:
            gc.collect()


ASKS = "--asks" in sys.argv and "--asks-not" not in sys.argv
kept = build(int(sys.argv[1]))
if "--freeze" in sys.argv:
    gc.collect()
    gc.freeze()
if "--thresholds" in sys.argv:
    gc.set_threshold(100_000, 50, 50)
clock = talk.Clock()
talk.in_background(work)
talk.answer(clock)
