"""Makes objects of many kinds, says what the interpreter itself knows of them, and waits.

A child with the same memory takes the truth, so that taking it leaves no trace here: a line
`address size tracked` for everything that the collector tracks or that such objects refer to, by
way of a file; then `ready` on standard output.
"""
import collections
import gc
import os
import sys


class Plain:
    def __init__(self, i):
        self.number = i
        self.items = [i, str(i)]


class Slotted:
    __slots__ = ("a", "b")

    def __init__(self, i):
        self.a = i
        self.b = (i, [i])


class Derived(dict):
    pass


def generator(n):
    local = [n]
    yield local


def closure(n):
    return lambda: n


def make(n):
    keep = [collections.deque(range(200)), collections.OrderedDict(a=1), frozenset(range(40))]
    for i in range(n):
        suspended = generator([i])
        next(suspended)
        shared = Plain(i)
        own = Plain(i)
        own.__dict__["extra%d" % i] = {i}
        keep += [shared, own, Slotted(i), Derived(a=[i]), {i: str(i)}, {"k%d" % i: (i,)}]
        keep += [suspended, closure([i]), shared.__init__, "h\u00e9%d" % i, bytearray(i)]
    return keep


def truth(path):
    tracked = gc.get_objects()
    seen = {id(o): o for o in tracked}
    stack = list(tracked)
    # What runs is being changed; other frames are suspended generators' (up to 3.10).
    running = sys._getframe()
    own = (tracked, seen, stack, running, running.f_back)
    while stack:
        found = stack.pop()
        if any(found is o for o in own):
            continue
        for other in gc.get_referents(found):
            if id(other) not in seen:
                seen[id(other)] = other
                stack.append(other)
    is_tracked = {id(o) for o in tracked}
    with open(path, "w") as out:
        for address, o in list(seen.items()):
            # What this function made, or was changing, the other process does not have.
            if any(o is x for x in own):
                continue
            print(address, sys.getsizeof(o), int(address in is_tracked), file=out)


KEEP = make(300)
gc.collect()
gc.disable()
PATH = sys.argv[1]
if os.fork() == 0:
    truth(PATH)
    os._exit(0)
os.wait()
os.write(1, b"ready\n")
os.read(0, 1)
