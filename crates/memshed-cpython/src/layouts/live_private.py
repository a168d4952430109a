"""Holds what is known of types without a header against the interpreter that runs this.

Standard input: private.txt, a line `-`, then lines `STRUCT.CONSTANT number`. What is listed must
point to what `gc.get_referents` shows, and to all of it. Run by the tests of this module.
"""
import array
import asyncio
import collections
import contextvars
import csv
import ctypes
import datetime
import decimal
import functools
import gc
import io
import itertools
import json
import operator
import pickle
import queue
import re
import sqlite3
import struct
import sys
import threading
import types
import typing
import weakref
from xml.etree.ElementTree import Element

PRIVATE, C = {}, collections.defaultdict(dict)


def minors(size):
    """`120<14` or `120>=14`: the size, and whether it holds for this version."""
    for sign, holds in ((">=", sys.version_info[1].__ge__), ("<", sys.version_info[1].__lt__)):
        number, found, minor = size.partition(sign)
        if found:
            return int(number), holds(int(minor))
    return int(size), True


for line in iter(sys.stdin.readline, "-\n"):
    words = line.split()
    if words and not line.startswith("#"):
        size, here = minors(words[1])
        if here:
            PRIVATE[words[0], size] = [word for word in words[2:] if word[0] not in "*?+"]
for line in sys.stdin:
    name, value = line.split()
    owner, constant = name.split(".")
    C[owner][constant] = int(value)

checks = 0
failures = []
used = set()
TP_NAME = 24
# Py_TPFLAGS_HAVE_GC: the collector shows no referents of others.
HAVE_GC = 1 << 14
# Their references are not all at fixed offsets of the object itself; type variables have a managed
# dictionary that no attribute shows.
PARTLY = {"_lru_cache_wrapper", "TypeVar", "ParamSpec", "TypeVarTuple"}


def same(what, got, wanted):
    global checks
    checks += 1
    if got != wanted:
        failures.append(f"{what}: {got!r}, not {wanted!r}")


def number(at):
    return int.from_bytes(ctypes.string_at(at, 8), "little")


def points(what, base, offset, target):
    same(what, number(base + offset), id(target))


def found(at, place):
    """The words at a place such as `40`, `24>0[16/8]`."""
    way, brackets, count = place.rstrip("]").partition("[")
    holder = block = at
    *steps, last = map(int, way.split(">"))
    for step in steps:
        holder, block = block, number(block + step)
        if not block:
            return []
    count, _, stride = (count if brackets else "=1").partition("/")
    many = int(count[1:]) if count[0] == "=" else number(holder + int(count)) & 0xFFFFFFFF
    return [number(block + last + i * int(stride or 8)) for i in range(many)]


def known(cls):
    """What is listed for a type, or for the next base of which something is."""
    for base in cls.__mro__:
        key = ctypes.string_at(number(id(base) + TP_NAME)).decode().replace(" ", "_"), base.__basicsize__
        if key in PRIVATE:
            used.add(key)
            return PRIVATE[key]
    return None


def look(thing):
    cls = type(thing)
    references = known(cls)
    if references is None:
        failures.append(f"nothing is known of {cls} of {cls.__basicsize__} bytes")
        return
    shown = {id(referent): referent for referent in gc.get_referents(thing)}
    covered = {id(cls)}
    for reference in references:
        place, label = reference.lstrip("~").split(":")
        for at in found(id(thing), place):
            at &= ~7
            if at and reference[0] != "~" and cls.__flags__ & HAVE_GC:
                same(f"{cls.__name__}.{label} is a referent", at in shown, True)
            elif at:
                # Not shown, but an object: its type's type is `type` or a subclass of it.
                same(f"{cls.__name__}.{label} is an object", number(number(number(at + 8) + 8) + 8) != 0, True)
            covered.add(at)
    covered.add(id(getattr(thing, "__dict__", None)))
    if cls.__name__ not in PARTLY:
        left = [type(referent).__name__ for at, referent in shown.items() if at not in covered]
        same(f"referents of {cls.__name__} that are not listed", left, [])


class Iterable:
    def __init__(self, *_):
        pass

    def __iter__(self):
        return self

    def __next__(self):
        return object()

    def __getitem__(self, _):
        return object()

    def __len__(self):
        return 3


def started(iterator, times=1):
    for _ in range(times):
        next(iterator)
    return iterator


def function(*_, **__):
    return object()


def iterators():
    it, one = Iterable, [object()]
    yield from (iter(collections.deque(one)), reversed(collections.deque(one)))
    ordered = collections.OrderedDict(a=1, b=2)
    yield from (ordered.keys(), iter(ordered), ordered.items())
    yield started(itertools.chain(one, one))
    yield started(itertools.cycle(it()))
    yield itertools.islice(it(), 5, 100)
    yield itertools.starmap(function, it())
    for kind in (itertools.takewhile, itertools.dropwhile, itertools.filterfalse):
        yield kind(function, it())
    groups = itertools.groupby(it(), function)
    yield next(groups)[1]
    yield groups
    yield started(itertools.tee(it())[0])
    yield itertools.count(10**30, 3)
    yield itertools.repeat(object())
    yield started(itertools.accumulate(it(), function, initial=object()), 2)
    yield itertools.compress(it(), it())
    for kind in (itertools.combinations, itertools.combinations_with_replacement, itertools.permutations):
        yield started(kind([object(), object()], 1))
    yield started(itertools.product(one, one))
    yield itertools.zip_longest(it(), it(), fillvalue=object())
    if sys.version_info >= (3, 10):
        yield started(itertools.pairwise(it()))
    if sys.version_info >= (3, 12):
        yield started(itertools.batched(it(), 2))
    yield from (started(zip(it(), it())), map(function, it(), it()), filter(function, it()))
    yield started(enumerate(it(), 10**30))
    yield reversed(it())
    for sequence in (one, (object(),), "memshed", "mémshed", b"memshed", bytearray(b"m"), {object()}):
        yield iter(sequence)
    yield reversed(one)
    table = {object(): object()}
    for view in (table.keys(), table.values(), table.items()):
        yield from (view, iter(view), reversed(view))
    yield range(10**30, 10**31, 12345678901)
    yield iter(range(10**30, 10**31, 12345678901))
    yield iter(function, object())
    yield iter(type("Sequence", (), {"__getitem__": function})())
    yield struct.iter_unpack("i", b"12345678")
    yield iter(array.array("i", [1]))


def objects():
    yield collections.defaultdict(function)
    yield collections.namedtuple("Point", "x y").x
    partial = functools.partial(function, object(), x=object())
    partial.attribute = 1
    yield partial
    yield functools.lru_cache(maxsize=10)(function)
    yield functools.cmp_to_key(function)(object())

    class Some:
        @property
        def documented(self):
            "documentation"

    yield Some.__dict__["documented"]
    yield property(function, Iterable, started, "documentation of this")
    yield [].__add__
    yield Some.__dict__
    yield from (staticmethod(function), classmethod(function))
    yield super(Some, Some())
    some = Some()
    yield weakref.ref(some, function)
    yield list[Some]
    if sys.version_info >= (3, 10):
        yield int | Some
    yield from (operator.attrgetter("a.b", "c"), operator.itemgetter("q", "w"))
    yield operator.methodcaller("z", object(), k=object())
    yield struct.Struct("ii")
    local = threading.local()
    local.x = 1
    yield local
    if sys.version_info >= (3, 12):
        yield from (typing.TypeVar("T", bound=Some), typing.TypeVar("U", int, Some))
        yield from (typing.ParamSpec("P"), typing.TypeVarTuple("Ts"), typing.ParamSpec("P").args)
        made = {}
        exec("type Alias[X] = list[X]\nAlias.__value__", made)
        yield made["Alias"]
    if sys.version_info >= (3, 13):
        yield sys._getframe().f_locals
    if sys.version_info >= (3, 14):
        template = eval("t'one {checks!r:>3} two'")
        yield from (template, template.interpolations[0])
    yield io.BytesIO(b"text")
    stream = open(sys.executable, "rb")
    yield stream
    lines = io.TextIOWrapper(io.BufferedReader(io.FileIO("/etc/passwd")))
    lines.readline()
    next(lines)
    yield from (lines, lines.buffer)
    sink = open("/dev/null", "w")
    sink.write("text")
    yield from (sink, sink.buffer)
    if sys.version_info >= (3, 12):
        yield io.BufferedRWPair(open("/dev/zero", "rb", buffering=0), open("/dev/null", "wb", buffering=0))
    pattern = re.compile("a(?P<n>b)c")
    yield from (pattern, pattern.match("abc"), pattern.scanner("abc"))
    yield json.decoder.JSONDecoder().scan_once
    yield json.encoder.c_make_encoder({}, function, function, None, ":", ",", False, False, True)
    if sys.version_info < (3, 13):
        yield queue.SimpleQueue()
    zone = datetime.timezone(datetime.timedelta(hours=3), "name")
    yield zone
    yield csv.reader(Iterable())
    connection = sqlite3.connect(":memory:")
    cursor = connection.execute("select 1, 2")
    cursor.row_factory = sqlite3.Row
    yield from (cursor, cursor.fetchone())
    parent = Element("parent", a="b")
    parent.text = "text"
    parent.extend(Element("child") for _ in range(7))
    yield from (parent, parent.iter())
    first, second = itertools.tee(Iterable())
    next(first), next(first)
    yield from (shared for shared in gc.get_referents(first) if "tee" in type(shared).__name__)
    for kind in (pickle.Pickler(io.BytesIO()), pickle.Unpickler(io.BytesIO(pickle.dumps([Iterable, "text"])))):
        kind.dump([Iterable, "text"]) if hasattr(kind, "dump") else kind.load()
        yield kind
    variable = contextvars.ContextVar("variable")
    context = contextvars.copy_context()
    context.run(variable.set, some)
    yield from (node for map in gc.get_referents(context) for node in gc.get_referents(map) if "node" in type(node).__name__)
    made = (ctypes.py_object * 3)(some, some, some)
    yield made
    yield ctypes.CFUNCTYPE(None)(function)


async def waiting():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    future.add_done_callback(function)
    future.add_done_callback(Iterable)
    look(future)
    failed = loop.create_future()
    failed.set_exception(KeyError(1))
    look(failed)
    failed.exception()
    cancelled = loop.create_future()
    cancelled.cancel(object())
    look(cancelled)
    done = loop.create_future()
    done.set_result(object())
    look(done)
    look(iter(future))

    async def waiter(of):
        await of

    task = asyncio.create_task(waiter(future), name="name")
    others = [asyncio.create_task(waiter(task)) for _ in range(2)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for one in (future, task, *others):
        look(one)

    async def generator():
        yield 1

    running = generator()
    step = running.__anext__()
    look(step)
    if sys.version_info >= (3, 10):
        waited = anext(running, 5)
        look(waited)
        waited.close()
    step.close()
    coroutine = waiter(future)
    look(coroutine.__await__())
    coroutine.close()
    for one in others:
        one.cancel()
    future.cancel()


def structured():
    deque, lru, odict = (C[name] for name in ("deque", "lru_cache", "odict"))
    items = [object() for _ in range(70)]
    d = collections.deque(items)
    block = number(id(d) + deque["LEFTBLOCK"])
    at = number(id(d) + deque["LEFTINDEX"])
    points("deque item", block, deque["BLOCK_DATA"] + at * 8, items[0])
    last = number(id(d) + deque["RIGHTBLOCK"])
    points("deque item", last, deque["BLOCK_DATA"] + number(id(d) + deque["RIGHTINDEX"]) * 8, items[-1])
    same("deque link", number(block + deque["BLOCK_RIGHTLINK"]), last)
    # Up to 3.10 the spare blocks at its end are every deque's.
    same("deque size", deque["SIZE"] if sys.version_info >= (3, 11) else deque["NUMFREEBLOCKS"] + 8, type(d).__basicsize__)

    @functools.lru_cache(maxsize=7)
    def cached(key):
        return items[key]

    cached(1), cached(2)
    link = number(id(cached) + lru["FIRST"])
    points("lru result", link, lru["LINK_RESULT"], items[1])
    same("lru maxsize", number(id(cached) + lru["MAXSIZE"]), 7)
    same("lru misses", number(id(cached) + lru["MISSES"]), 2)
    # 3.9 lacks two references near its end.
    same("lru size", lru["SIZE"] - 16 * (sys.version_info < (3, 10)), type(cached).__basicsize__)

    ordered = collections.OrderedDict(zip(items, items))
    node = number(id(ordered) + odict["FIRST"])
    points("odict key", node, odict["NODE_KEY"], items[0])
    points("odict key", number(node + odict["NODE_NEXT"]), odict["NODE_KEY"], items[1])
    same("odict size", odict["SIZE"], type(ordered).__basicsize__)

    zone = datetime.timezone.utc
    moment = C["moment"]
    day, hour = datetime.datetime(2024, 1, 1, tzinfo=zone), datetime.time(1, tzinfo=zone)
    points("datetime.tzinfo", id(day), moment["DATETIME_TZINFO"], zone)
    points("time.tzinfo", id(hour), moment["TIME_TZINFO"], zone)
    same("datetime size", moment["DATETIME_SIZE"], datetime.datetime.__basicsize__)
    same("time size", moment["TIME_SIZE"], datetime.time.__basicsize__)
    if sys.version_info >= (3, 13):
        ring = C["simple_queue"]
        jobs = queue.SimpleQueue()
        for item in items:
            jobs.put(item)
        jobs.get()
        same("SimpleQueue size", ring["SIZE"], queue.SimpleQueue.__basicsize__)
        same("SimpleQueue length", number(id(jobs) + ring["LENGTH"]), len(items) - 1)
        first = number(id(jobs) + ring["GET_INDEX"])
        points("SimpleQueue item", number(id(jobs) + ring["ITEMS"]), first * 8, items[1])


for make in (iterators, objects):
    for thing in make():
        look(thing)
structured()
asyncio.run(waiting())
print("\n".join(failures) or f"{checks} checks of {len(used)} types agree", flush=True)
sys.exit(bool(failures))
