"""A server that loads everything and forks: prefork.py [--freeze]

Each child looks at a part of what it was given, and makes and keeps a little of its own. `private` is
answered with the private bytes of all children.
"""

import gc
import os
import sys

CHILDREN = 3
FREEZE = "--freeze" in sys.argv


class Item:
    __slots__ = ("name", "tags", "more")

    def __init__(self, n):
        self.name = "item %d" % n
        self.tags = [n % 50, n]
        self.more = {"n": n}


def private(pid):
    with open("/proc/%d/smaps_rollup" % pid) as file:
        rows = dict(line.split(":") for line in file.readlines()[1:])
    return (int(rows["Private_Dirty"].split()[0]) + int(rows["Private_Clean"].split()[0])) * 1024


def child(ready):
    os.close(alive)
    if FREEZE:
        gc.enable()
    own = {}
    for i in range(40_000):
        item = items[i % (len(items) // 20)]
        own[i % 1_000] = [item.name, {"i": i, "tags": [item.tags]}]
    gc.collect()
    os.write(ready, b"x")
    os.read(ended, 1)  # the parent's end
    os._exit(0)


if FREEZE:
    gc.disable()
items = [Item(n) for n in range(120_000)]
if FREEZE:
    gc.freeze()
ended, alive = os.pipe()
children = []
for _ in range(CHILDREN):
    done, ready = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(ready)
    os.read(done, 1)
    children.append(pid)
print("ready 0", flush=True)
for line in sys.stdin:
    if line.strip() == "private":
        print("private", sum(map(private, children)), flush=True)
    else:
        break
for pid in children:
    os.kill(pid, 9)
print("done", flush=True)
