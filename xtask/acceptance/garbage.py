"""Garbage of many kinds that nothing has collected, and in the end what the collector says it is.

garbage.py prints "ready", waits for a line, collects with DEBUG_SAVEALL, prints "kept" with the
addresses of what is in gc.garbage then, and "closed" with those of objects that finalizers of
generators were free to end before: both as hexadecimal numbers.
"""

import asyncio
import builtins
import collections
import functools
import gc
import sys
import types
import weakref

gc.disable()
# What starting up has left behind is not of interest, but is garbage all the same.
gc.collect()
notes = []
closed = []
alive = []
references = []


class Node:
    def __init__(self, *held):
        self.held = list(held)
        self.me = self


class Slotted:
    __slots__ = ("other", "__weakref__")


class Finalized(Node):
    def __del__(self):
        notes.append("del")


class Key:
    def __init__(self, n):
        self.n = n


def cycles(n):
    one = [n]
    one.append(one)
    two = {"n": n, "list": one}
    two["me"] = two
    a, b, c = Slotted(), Slotted(), Slotted()
    a.other, b.other, c.other = b, c, a
    Node((n, {n, str(n)}), collections.deque([n], 3), bytearray(20))
    queue = collections.deque()
    queue.append((queue, [n]))
    ordered = collections.OrderedDict(first=n)
    ordered["ordered"] = ordered
    default = collections.defaultdict(list)
    default[n].append(default)
    members = {Key(n)}
    next(iter(members)).members = members
    mapping = types.MappingProxyType(two)
    two["proxy"] = mapping
    space = types.SimpleNamespace(n=n)
    space.space = space


def chains(n):
    """Two cycles, of which one holds the other, and a tail."""
    first, second = Node(n), Node(n)
    first.next = second
    second.tail = [[[n], {"deep": [str(n)]}]]


def functions(n):
    def closure():
        return closure, n

    partial = functools.partial(print)
    node = Node(partial)
    node.bound = node.held.append
    node.method = types.MethodType(closure, node)
    node.partial = functools.partial(node.method, partial)

    @functools.lru_cache(maxsize=None)
    def remembered(key):
        return [remembered, key]

    remembered(n)
    return None


def made_types(n):
    class Made:
        registry = []
        size = n

        def me(self):
            return __class__

    Made.registry.append(Made())
    Slot = type("Slot", (), {"__slots__": ("a",)})
    held = Slot()
    held.a = held


def finalizers(n):
    Finalized(n)
    Finalized(Finalized(n))
    node = Node(n)
    node.finalized = Finalized([node])


def weak(n):
    """Weak references in, into and out of garbage, with callbacks and without."""
    node, target = Node(n), Node(n)
    node.weak = weakref.ref(target)
    node.called_back = weakref.ref(target, notes.append)
    node.proxy = weakref.proxy(node)
    out = alive[n % len(alive)]
    node.out = weakref.ref(out, notes.append)
    references.append(weakref.ref(node))
    references.append(weakref.ref(target, notes.append))
    table = weakref.WeakKeyDictionary()
    table[node] = target
    node.table = table
    values = weakref.WeakValueDictionary()
    values[n] = node
    node.values = values
    node.set = weakref.WeakSet([node])


def failed(n):
    class Holder:
        pass

    holder = Holder()

    def fail(depth):
        rows = [n, depth, holder]
        if depth:
            return fail(depth - 1) + len(rows)
        raise ValueError(n)

    try:
        fail(3)
    except ValueError as error:
        holder.error = error
        holder.traceback = error.__traceback__
    try:
        try:
            fail(1)
        except ValueError as first:
            raise KeyError(n) from first
    except KeyError as second:
        holder.second = second
        second.me = second


def frames(n):
    """Frames of functions that have returned, in cycles."""
    node = Node(n)
    node.frame = sys._getframe()
    node.back = [node.frame]


def iterators(n):
    box = [n]
    box.append(iter(box))
    table = {n: n}
    table["view"] = table.items()
    table["map"] = map(str, table)
    chain = Node()
    chain.zip = zip([chain], enumerate([chain]))
    chain.slice = slice(chain, None)
    chain.property = property(chain.held.append)
    chain.static = staticmethod(chain.held.append)


def awaited(n):
    """A future and a task of a loop that is no more."""
    loop = asyncio.new_event_loop()
    future = loop.create_future()
    future.add_done_callback(functools.partial(notes.append, future))
    future.me = None
    loop.close()
    node = Node(future, loop)
    loop.node = node


def below(*starts):
    """The addresses of what these refer to, and so on, short of what belongs to the whole program."""
    found, pending = set(), list(starts)
    while pending:
        one = pending.pop()
        shared = isinstance(one, (type, types.ModuleType)) or one is globals() or one is vars(builtins)
        if id(one) not in found and not shared:
            found.add(id(one))
            pending.extend(gc.get_referents(one))
    return found


def suspended(n):
    """Generators that wait, in cycles: closing them frees what they hold, before it can be kept."""
    def generator():
        me = [n]
        me.append((yield me))
        yield me

    running = generator()
    held = next(running)
    held.extend((running, running.gi_frame))

    def unstarted(me):
        yield me

    box = []
    waiting = unstarted(box)
    box.append(waiting)
    closed.extend(below(running, waiting))


def living(n):
    """Cycles that are alive, and what hangs between them and garbage."""
    node = Node(n)
    node.pair = Node(node)
    alive.append(node)
    Node(node)  # garbage that refers to what lives


alive.append(Node())
KINDS = (cycles, chains, functions, made_types, finalizers, weak, failed, frames, iterators, awaited, suspended, living)
for n in range(20):
    for make in KINDS:
        make(n)
del n, make
print("ready", flush=True)
sys.stdin.readline()
gc.set_debug(gc.DEBUG_SAVEALL)
gc.collect()
gc.set_debug(0)
print("kept", *(f"{id(one):x}" for one in gc.garbage), flush=True)
print("closed", *(f"{one:x}" for one in closed), flush=True)
sys.stdin.readline()
