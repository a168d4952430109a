"""A target with subinterpreters: python subinterpreters.py DIRECTORY SCALE [own]

Each interpreter has a heap of its own and tells its own truth, in a copy of the process; the
truths are put together there. With "own", each has a GIL of its own (3.12 and later).
"""

import array
import gc
import json
import os
import sys

import small
import truth

OWN = "own" in sys.argv[3:]
DIRECTORY, SCALE = sys.argv[1], int(sys.argv[2])
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
COLUMNS = ("ids.u64", "Q"), ("sizes.i64", "q"), ("types.u32", "I"), ("kinds.u8", "B")


def create():
    if sys.version_info >= (3, 13):
        return interpreters.create("isolated" if OWN else "legacy")
    return interpreters.create(isolated=OWN)


def run(interpreter, script):
    failed = interpreters.run_string(interpreter, script)
    if failed is not None:
        raise RuntimeError(str(failed))


def merge(parts, into):
    """One truth out of those of several interpreters, which share their static objects."""
    columns = {name: array.array(kind) for name, kind in COLUMNS}
    whole = {"types": [], "tracked": {}}
    seen = set()
    for part in parts:
        with open(os.path.join(part, "truth.json")) as file:
            said = json.load(file)
        whole.setdefault("gc", said["gc"])
        whole.setdefault("blocks", said["blocks"])
        for name, count in said["tracked"].items():
            whole["tracked"][name] = whole["tracked"].get(name, 0) + count
        read = []
        for name, kind in COLUMNS:
            column = array.array(kind)
            with open(os.path.join(part, name), "rb") as file:
                column.frombytes(file.read())
            read.append(column)
        for address, size, of, kind in zip(*read):
            if address not in seen:
                seen.add(address)
                for name, value in zip(columns, (address, size, of + len(whole["types"]), kind)):
                    columns[name].append(value)
        whole["types"] += said["types"]
    for name, column in columns.items():
        with open(os.path.join(into, name), "wb") as file:
            column.tofile(file)
    for name in ("edges.u64", "fields.u64"):
        open(os.path.join(into, name), "wb").close()
    with open(os.path.join(into, "truth.json"), "w") as file:
        json.dump(whole, file)


def tell(directory, malloc_fd):
    """Runs in the copy: the main interpreter first, for that changes its heap."""
    truth.write_truth(parts[0], False, malloc_fd)
    for part, script in zip(parts[1:], scripts):
        run(others[parts.index(part) - 1], script)
    merge(parts, directory)


parts = [os.path.join(DIRECTORY, str(n)) for n in range(4)]
for part in parts:
    os.mkdir(part)
# What running the script makes is in the youngest generation, with nothing else.
scripts = ["truth.write_truth(%r, False, 2, youngest=1)" % part for part in parts[1:]]
held = small.build(SCALE)
others = [create() for _ in scripts]
for other in others:
    run(
        other,
        "import sys; sys.path.insert(0, %r)\n"
        "import gc, small, truth\n"
        "held = small.build(%d)\n"
        "truth.warm_up()\n"
        "gc.collect(); gc.disable()" % (os.path.dirname(os.path.abspath(__file__)), SCALE),
    )
gc.collect()
truth.hold(DIRECTORY, tell=tell)
