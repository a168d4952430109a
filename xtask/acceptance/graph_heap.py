"""About 100,000 objects of all sorts, tangled at random, and garbage: graph_heap.py SCALE

Prints "ready" and stands still until a line comes.
"""

import gc
import random
import sys

import zoo

gc.disable()
scale = int(sys.argv[1])
chance = random.Random(scale)


class Knot:
    def __init__(self, n):
        self.n = n
        self.to = []


def tangle(count, ties):
    """Objects that refer to each other at random: to earlier ones mostly, sometimes to later ones."""
    knots = [Knot(n) for n in range(count)]
    for n, knot in enumerate(knots):
        for _ in range(chance.randrange(ties)):
            back = chance.randrange(max(1, n)) if chance.random() < 0.9 else chance.randrange(count)
            knot.to.append(knots[back])
    return knots


def trees(depth):
    return {"left": trees(depth - 1), "right": [trees(depth - 1)]} if depth else [str(chance.random())]


kept = zoo.build(scale)
# Of each tangle only few are held from outside: most of it is dominated by these, or by none alone.
handles = [chance.sample(tangle(50 * scale, 4), 5) for _ in range(10)]
forest = [trees(8) for _ in range(scale)]
shared = {"one": forest[0], "other": [forest[0], handles[0]]}
for _ in range(3):
    tangle(20 * scale, 4)[0].to.append(kept)  # garbage, some of it in cycles, that holds what lives
print("ready", flush=True)
sys.stdin.readline()
