"""A heap with objects that were torn on purpose, of every kind that has more to it than fields.

Prints "ready N", N being how many were torn, and waits to be ended: it cannot end by itself.
"""

import collections
import ctypes
import gc
import os
import sys

WORD = ctypes.sizeof(ctypes.c_void_p)
GARBAGE = 0x5A5A_5A5A_5A5A
kept = []
torn = 0


def tear(thing, offset, value=GARBAGE):
    global torn
    ctypes.c_uint64.from_address(id(thing) + offset).value = value
    torn += 1


class Plain:
    def __init__(self, n):
        self.n = n


gc.disable()
for n in range(20):
    things = [[n], (n, str(n)), {"a": n}, {n}, collections.deque([n]), Plain(n), bytearray(50)]
    kept.append(things)
# Lengths beyond reason, pointers to nowhere and to themselves.
for things in kept[:5]:
    tear(things[0], 2 * WORD, 1 << 60)
    tear(things[0], 3 * WORD)
    tear(things[1], 2 * WORD, 1 << 50)
    tear(things[2], 4 * WORD)
    tear(things[3], 5 * WORD)
    tear(things[4], 3 * WORD)
for things in kept[5:8]:
    tear(things[0], 3 * WORD, id(things[0]))
    tear(things[2], 4 * WORD, id(things[2]))
    tear(things[4], 3 * WORD, id(things[4]))
# Types that are none.
for things in kept[8:12]:
    tear(things[5], WORD)
    tear(things[1], WORD, id(things[0]))
# Links of the collector's lists that lead astray.
tear(kept[12][0], -2 * WORD, GARBAGE & ~15)
os.write(1, b"ready %d\n" % torn)
os.read(0, 1)
os.kill(os.getpid(), 9)
