"""Fills caches and tells what the interpreter says of them: caches.py DIRECTORY

The truth is taken in a copy made by libc's fork with the GIL held, as in truth.py: malloc.txt
(sys._debugmallocstats) and caches.json. Prints "ready" and waits for the end of its input.
"""

import ctypes
import functools
import json
import linecache
import os
import re
import sys

_fork = ctypes.PyDLL(None).fork


@functools.lru_cache(maxsize=100)
def bounded(n):
    return [n]


@functools.lru_cache(maxsize=None)
def unbounded(a, b=2):
    return a * b


class Shop:
    @functools.lru_cache
    def price(self, item):
        return item * 2.5


def fill():
    for i in range(250):
        bounded(i)
        unbounded(i, b=i)
    shop = Shop()
    for i in range(40):
        shop.price(i)
    for i in range(30):
        re.compile(f"a{i}+b")
    linecache.getlines(__file__)
    [sys.intern(f"interned {i} by hand") for i in range(1000)]
    kept = [sys.intern(f"kept {i}") for i in range(1000)]
    # Fills the free lists of lists, dicts, floats and tuples.
    made = [([i], {"i": i}, i + 0.5, (i, i), (i, i, i)) for i in range(300)]
    del made
    return kept, shop


def truth(directory, malloc_fd):
    os.dup2(malloc_fd, 2)
    sys._debugmallocstats()
    said = {
        "lru": {
            f"{function.__module__}.{function.__qualname__}": function.cache_info().currsize
            for function in (bounded, unbounded, Shop.price)
        },
        "interned": sys.getunicodeinternedsize() if hasattr(sys, "getunicodeinternedsize") else None,
        "re._cache": len(re._cache),
        "linecache.cache": len(linecache.cache),
        "sys.path_importer_cache": len(sys.path_importer_cache),
    }
    with open(os.path.join(directory, "caches.json"), "w") as file:
        json.dump(said, file)


def main():
    directory = sys.argv[1]
    kept = fill()
    malloc_fd = os.open(os.path.join(directory, "malloc.txt"), os.O_CREAT | os.O_WRONLY, 0o600)
    child = _fork()
    if child == 0:
        try:
            truth(directory, malloc_fd)
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    print("ready" if status == 0 else "failed", flush=True)
    sys.stdin.read()
    return kept


main()
