"""Fills memory with small objects, frees all but every 501st, and does what it is told:

check  whether what it kept is what it was
burst  makes 3 M objects more, and says how many seconds of processor time that took
trim   calls malloc_trim itself
rss    says how many kB are resident
collect  has the collector run
watch  starts a thread that wakes up every millisecond
gap    says how many milliseconds later than that it woke up at most, since it was last asked"""
import ctypes
import gc
import hashlib
import sys
import threading
import time


def mixture(n):
    objects = []
    for i in range(n // 4):
        objects.append({"id": i})
        objects.append([i, i + 1])
        objects.append("string-%d-xxxxxxxx" % i)
        objects.append((i, float(i)))
    return objects


def digest(objects):
    return hashlib.sha256(repr(objects).encode()).hexdigest()


def rss():
    with open("/proc/self/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Rss:"))


class Watch(threading.Thread):
    EVERY = 0.001

    def __init__(self):
        super().__init__(daemon=True)
        self.longest = 0.0

    def run(self):
        last = time.perf_counter()
        while True:
            time.sleep(self.EVERY)
            now = time.perf_counter()
            self.longest = max(self.longest, now - last - self.EVERY)
            last = now

    def gap(self):
        # One more wake-up, so that what is still going on counts.
        time.sleep(10 * self.EVERY)
        longest, self.longest = self.longest, 0.0
        return longest * 1000


size = int(sys.argv[1])
gc.disable()
objects = mixture(size)
kept = objects[::501]
truth = digest(kept)
del objects
gc.collect()
print("ready", rss(), flush=True)
for line in sys.stdin:
    word = line.strip()
    if word == "check":
        print("checked", "whole" if digest(kept) == truth else "changed", flush=True)
    elif word == "burst":
        start = time.process_time()
        objects = mixture(size * 3 // 5)
        spent = time.process_time() - start
        del objects
        print("burst", spent, flush=True)
    elif word == "trim":
        ctypes.CDLL(None).malloc_trim(0)
        print("trimmed", rss(), flush=True)
    elif word == "rss":
        print("rss", rss(), flush=True)
    elif word == "collect":
        gc.collect()
        print("collected", flush=True)
    elif word == "watch":
        watch = Watch()
        watch.start()
        print("watching", flush=True)
    elif word == "gap":
        print("gap", watch.gap(), flush=True)
