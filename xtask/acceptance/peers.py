"""What a peer's look at the heap costs, from inside: peers.py WORKLOADS TOOL OBJECTS

Prints one JSON object: seconds that the program stands still, and the megabytes that the look
adds to its peak resident size.
"""

import gc
import json
import os
import sys
import time

sys.path.insert(0, sys.argv[1])
import heap


def guppy3():
    import guppy

    hp = guppy.hpy()
    return lambda: str(hp.heap())


def pympler():
    from pympler import muppy, summary

    return lambda: summary.format_(summary.summarize(muppy.get_objects()))


def objgraph():
    import objgraph

    return lambda: objgraph.most_common_types(20)


def collect():
    return gc.collect


def fork():
    def one():
        child = os.fork()
        if child == 0:
            os._exit(0)
        return child

    return one


def kilobytes(field):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith(field))


look = {"guppy3": guppy3, "pympler": pympler, "objgraph": objgraph, "gc.collect()": collect, "fork()": fork}[sys.argv[2]]()
gc.disable()
root = heap.build(int(sys.argv[3]))
gc.enable()
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")  # the peak begins anew
before = kilobytes("VmRSS")
began = time.perf_counter()
look()
took = time.perf_counter() - began
print(json.dumps({"seconds": took, "extra_mb": max(0, kilobytes("VmHWM") - before) / 1024}), flush=True)
os._exit(0)
