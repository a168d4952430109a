"""Four threads that allocate, drop and collect without a pause: busy.py COUNTERS

The file COUNTERS holds 64-bit words, six for each thread: how many objects of three types the
thread was about to keep, and how many it has kept. They are only ever added to.
"""

import gc
import mmap
import struct
import sys
import threading

THREADS = 4


class Tracked:
    def __init__(self, n):
        self.n = n
        self.me = self


class Slotted:
    __slots__ = ("held",)

    def __init__(self, held):
        self.held = held


class Untracked:
    """No slots, no dictionary: the collector does not track its instances."""

    __slots__ = ()


def churn(n):
    rows = [{"id": i, "tags": [i, str(i)], "at": (i, i * 0.5)} for i in range(200)]
    for row in rows:
        row["all"] = rows
    text = ",".join(str(row["id"]) for row in rows)
    return len(text.split(",")) + n


def work(number):
    begun = 48 * number
    n = 0
    while not stop.is_set():
        churn(n)
        n += 1
        if len(kept) < 600_000:
            for at, make in enumerate((lambda: Tracked(n), lambda: Slotted([n]), Untracked)):
                struct.pack_into("<Q", shared, begun + 8 * at, n)
                kept.append(make())
                struct.pack_into("<Q", shared, begun + 24 + 8 * at, n)
        if n % 50 == number:
            gc.collect(n // 50 % 3)


with open(sys.argv[1], "w+b") as file:
    file.truncate(48 * THREADS)
    shared = mmap.mmap(file.fileno(), 48 * THREADS)
kept = []
ballast = [{"i": i, "list": [i]} for i in range(50_000)]
stop = threading.Event()
threads = [threading.Thread(target=work, args=(number,)) for number in range(THREADS)]
for thread in threads:
    thread.start()
print("ready", flush=True)
sys.stdin.readline()
stop.set()
for thread in threads:
    thread.join()
made = struct.unpack_from("<24Q", shared)
counts = [sum(map(lambda one: type(one) is kind, kept)) for kind in (Tracked, Slotted, Untracked)]
assert counts == [sum(made[6 * t + 3 + at] for t in range(THREADS)) for at in range(3)], counts
print("done", flush=True)
