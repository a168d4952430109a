"""Builds the heap of heap.py and stands still: hold_heap.py DIRECTORY OBJECTS

Prints "ready BYTES" with the resident bytes that the heap has added.
"""

import gc
import os
import sys

sys.path.insert(0, sys.argv[1])
import heap


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


before = resident()
gc.disable()
root = heap.build(int(sys.argv[2]))
gc.enable()
print("ready", resident() - before, flush=True)
sys.stdin.readline()
