"""A heap of some size that can time its own fork() and spin: stop.py LIBRARY MEGABYTES

Prints "ready BYTES" with the resident bytes that building the heap has added.
"""

import ctypes
import os
import sys
import time

library = ctypes.CDLL(sys.argv[1])
library.spin_longest_ms.restype = ctypes.c_double


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def fork_ms():
    began = time.perf_counter()
    child = os.fork()
    if child == 0:
        os._exit(0)
    took = time.perf_counter() - began
    os.waitpid(child, 0)
    return took * 1e3


before = resident()
wanted = before + int(sys.argv[2]) * 1_000_000
heap = []
while resident() < wanted:
    heap.append([{"id": i, "v": [i, str(i)]} for i in range(20_000)])
print("ready", resident() - before, flush=True)
for line in sys.stdin:
    command = line.strip()
    if command == "fork":
        print("fork", sorted(fork_ms() for _ in range(3))[1], flush=True)
    elif command == "spin":
        library.spin_start()
        print("spinning", flush=True)
    elif command == "reset":
        library.spin_reset()
        print("ok", flush=True)
    elif command == "gap":
        print("gap", library.spin_longest_ms(), flush=True)
    elif command == "rest":
        library.spin_stop()
        print("ok", flush=True)
