"""Many kinds of objects, from the standard library only, all kept alive by what build() returns."""

import abc
import array
import asyncio
import collections
import contextvars
import ctypes
import dataclasses
import datetime
import decimal
import enum
import fractions
import functools
import io
import itertools
import json
import queue
import re
import sqlite3
import sys
import threading
import types
import typing
import weakref


class Plain:
    """An instance with a dictionary of its own, perhaps never made."""

    def __init__(self, n):
        self.n = n
        self.name = "plain-%d" % n
        self.me = [self]

    def method(self):
        return self.n

    @property
    def half(self):
        return self.n // 2

    @classmethod
    def make(cls, n):
        return cls(n)

    @staticmethod
    def free():
        return None


class Slots:
    __slots__ = ("a", "b", "__weakref__")

    def __init__(self, a, b):
        self.a = a
        self.b = b


class SlotsChild(Slots):
    __slots__ = ("c",)

    def __init__(self, a, b, c):
        super().__init__(a, b)
        self.c = c


class SlotsAndDict(Slots):
    pass


class Empty:
    __slots__ = ()


class MyDict(dict):
    pass


class MyList(list):
    __slots__ = ("extra",)


class MyTuple(tuple):
    pass


class MyStr(str):
    pass


class MyInt(int):
    pass


class MySet(set):
    pass


class MyDeque(collections.deque):
    pass


class Meta(type):
    registry = []

    def __new__(mcls, name, bases, namespace):
        made = super().__new__(mcls, name, bases, namespace)
        mcls.registry.append(made)
        return made


class Abstract(abc.ABC):
    @abc.abstractmethod
    def todo(self): ...


class Concrete(Abstract):
    def todo(self):
        return 1


@dataclasses.dataclass
class Data:
    x: int
    y: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(**({"slots": True} if sys.version_info >= (3, 10) else {}))
class SlotData:
    x: int
    y: dict = dataclasses.field(default_factory=dict)


class Colour(enum.Enum):
    RED = "r"
    BLUE = "b"


class Bits(enum.IntFlag):
    ONE = 1
    TWO = 2


class Point(ctypes.Structure):
    _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_double)]


Pair = collections.namedtuple("Pair", "left right")
T = typing.TypeVar("T")


class Box(typing.Generic[T]):
    def __init__(self, content):
        self.content = content


def closure(n):
    total = [n]

    def add(value, *more, scale=n, **rest):
        total.append(value * scale)
        return lambda: (total, n, rest)

    return add


def generator(n):
    held = {"n": n, "list": [n] * 3}
    for i in range(n):
        got = yield (i, held)
        held[i] = got


def delegating(n):
    before = ["before", n]
    yield from generator(n)
    return before


@types.coroutine
def pause():
    yield "paused"


async def coroutine(n):
    here = ["in a coroutine", n]
    await pause()
    return here


async def async_generator(n):
    kept = {"n": n}
    for i in range(n):
        yield (i, kept)


def failing(n):
    lost = ["local of a failed frame", n]
    if n:
        return failing(n - 1)
    raise ValueError("deep", lost)


def failed(n):
    try:
        try:
            failing(n)
        except ValueError as error:
            raise RuntimeError("outer") from error
    except RuntimeError as error:
        return error


@functools.lru_cache(maxsize=None)
def remembered(n):
    return ("remembered", n)


@functools.lru_cache(maxsize=50)
def bounded(n):
    return ["bounded", n]


def waiting_threads(kept):
    """Threads that wait, each in another way, with objects in their frames."""
    lock = threading.Lock()
    lock.acquire()
    started = []

    def in_lock():
        local = {"held by": "a thread"}
        started[0].set()
        lock.acquire()
        return local

    def in_queue():
        local = ["held by a thread"]
        started[1].set()
        jobs.get()
        return local

    def in_loop():
        async def forever(n):
            mine = {"task": n}
            await asyncio.Event().wait()
            return mine

        async def main():
            tasks = [asyncio.create_task(forever(n), name=f"forever-{n}") for n in range(20)]
            await asyncio.sleep(0)
            asyncio.get_running_loop().call_soon(started[2].set)
            await asyncio.gather(*tasks)

        asyncio.run(main())

    jobs = queue.Queue()
    started += [threading.Event() for _ in range(3)]
    for n, body in enumerate((in_lock, in_queue, in_loop)):
        thread = threading.Thread(target=body, name=f"waiting-{n}", daemon=True)
        thread.start()
        kept.append(thread)
        started[n].wait(10)
    kept += [lock, jobs, started]


def build(scale=1):
    """`scale` hundred of each kind, and some single ones."""
    n = 100 * scale
    kept = []
    kept.append([Plain(i) for i in range(n)])
    odd = [Plain(i) for i in range(n)]
    for i, one in enumerate(odd):
        setattr(one, "attribute_%d" % (i % 40), i)
        if i % 3 == 0:
            one.__dict__["direct"] = i
        if i % 5 == 0:
            del one.name
    kept.append(odd)
    kept.append([Slots(i, [i]) for i in range(n)])
    kept.append([SlotsChild(i, None, {i}) for i in range(n)])
    with_both = [SlotsAndDict(i, None) for i in range(n)]
    for one in with_both:
        one.later = (one,)
    kept.append(with_both)
    kept.append([Empty() for _ in range(n)])
    kept.append([MyDict(a=i) for i in range(n)] + [MyList([i]) for i in range(n)])
    kept.append([MyTuple((i, [])) for i in range(n)] + [MyStr("s%d" % i) for i in range(n)])
    kept.append([MyInt(i + 10**30) for i in range(n)] + [MySet({i, "x"}) for i in range(n)])
    kept.append([MyDeque([i, []]) for i in range(n)])
    for one in kept[-3]:
        one.note = ["attribute of a subclass of a builtin"]
    kept.append([Meta("Made%d" % i, (object,), {"field": [i]}) for i in range(20)])
    kept += [Concrete(), Colour.RED, Bits.ONE | Bits.TWO, Point(1, 2.0), (Point * 3)(), Box[int](3)]
    kept.append([Data(i) for i in range(n)] + [SlotData(i) for i in range(n)])
    kept.append([Pair(i, [i]) for i in range(n)])
    kept.append([closure(i) for i in range(n)] + [closure(i)(2, 3, four=4) for i in range(n)])
    kept.append([Plain(i).method for i in range(n)] + [[].append for _ in range(n)])

    suspended = [generator(i % 7 + 2) for i in range(n)] + [delegating(i % 7 + 2) for i in range(n)]
    for one in suspended[: 2 * n : 2] + suspended[n + 1 :: 2]:
        next(one)
    kept.append(suspended)
    coroutines = [coroutine(i) for i in range(n)]
    for one in coroutines:
        one.send(None)
    kept.append(coroutines)
    asyncs = [async_generator(3) for i in range(n)]
    for one in asyncs[::2]:
        try:
            one.__anext__().send(None)
        except StopIteration:
            pass
    kept.append(asyncs)
    kept.append([failed(i % 5) for i in range(n)])

    kept.append([{i: str(i), "key": [i], (i, "t"): None} for i in range(n)])
    kept.append([{"a": i, "b": {"c": {"d": [i]}}} for i in range(n)])
    emptied = [dict.fromkeys(range(i % 60)) for i in range(n)]
    for one in emptied:
        for key in list(one)[::2]:
            del one[key]
    kept.append(emptied)
    kept.append([set(range(i % 50)) for i in range(n)] + [frozenset("abc%d" % i) for i in range(n)])
    kept.append([collections.deque(range(i % 200), maxlen=150) for i in range(n)])
    kept.append([list(range(i % 100)) for i in range(n)] + [(i, (i, (i, []))) for i in range(n)])
    kept.append(list(range(1000, 1000 + 10 * n)))
    kept.append([[None] * 100_000, {i: -i for i in range(30_000)}, set(range(30_000))])
    kept.append([bytes(i % 999) for i in range(n)] + [bytearray(i % 999 * 10) for i in range(n)])
    kept.append([2 ** (i % 500) for i in range(n)] + [i * 0.5 for i in range(n)] + [complex(i, 1) for i in range(n)])
    kept.append(["ä%d" % i for i in range(n)] + ["\u4e2d%d" % i for i in range(n)] + ["\U0001f600%d" % i for i in range(n)])
    kept.append([memoryview(b"abc"), memoryview(bytearray(30))[3:9], slice(1, [2], None), range(5)])

    kept.append([weakref.ref(one) for one in kept[0][:50]])
    kept.append(weakref.WeakValueDictionary((i, one) for i, one in enumerate(kept[0])))
    kept.append(weakref.WeakKeyDictionary((one, i) for i, one in enumerate(kept[2])))
    kept.append(weakref.proxy(kept[0][0]))
    finalized = Plain(1)
    kept += [finalized, weakref.finalize(finalized, print, "gone")]
    kept.append([remembered(i) for i in range(n)] + [bounded(i) for i in range(n)])
    kept.append([collections.OrderedDict(a=i, b=[i]) for i in range(n)])
    kept.append([collections.defaultdict(list, {i: [i]}) for i in range(n)])
    kept += [collections.Counter("mississippi"), collections.ChainMap({}, {"a": 1}), collections.UserDict(a=[])]
    kept.append([functools.partial(closure, i) for i in range(n)])
    kept.append([iter([i]) for i in range(n)] + [iter({i: i}.items()) for i in range(n)])
    kept.append([map(str, [1]), filter(None, [0]), zip([1], [2]), enumerate([3]), reversed([4])])
    kept.append([itertools.count(), itertools.chain([1], [2]), itertools.groupby([1]), itertools.tee([1])])
    kept.append([decimal.Decimal("%d.5" % i) for i in range(n)] + [fractions.Fraction(i, 7) for i in range(n)])
    kept.append([datetime.datetime(2024, 1, 1 + i % 28, tzinfo=datetime.timezone.utc) for i in range(n)])
    kept.append([array.array("d", range(i % 300)) for i in range(n)] + [io.StringIO("x" * (i % 500)) for i in range(n)])
    kept.append([io.BytesIO(b"x" * (i % 500)) for i in range(n)])
    kept.append([re.compile("a{%d}(b|c)*" % i) for i in range(20)] + [re.match("a", "abc")])
    database = sqlite3.connect(":memory:")
    database.execute("create table t (a, b)")
    database.executemany("insert into t values (?, ?)", [(i, "row %d" % i) for i in range(n)])
    kept += [database, database.execute("select * from t"), json.JSONDecoder(), json.loads('{"a": [1, {"b": null}]}')]
    variable = contextvars.ContextVar("variable", default=[])
    context = contextvars.copy_context()
    context.run(variable.set, {"in a": "context"})
    kept += [variable, context, types.MappingProxyType({"a": []}), types.SimpleNamespace(a=[1])]
    kept += [list[int], typing.Optional[Box[int]], Ellipsis, NotImplemented]
    if sys.version_info >= (3, 10):
        kept.append(dict[str, list[int]] | None)
    kept += [property(len), classmethod(len), staticmethod(len), super(SlotsChild, kept[3][0]), object()]
    module = types.ModuleType("made_module")
    module.content = [module]
    kept.append(module)
    cycle = []
    cycle.append({"cycle": (cycle,)})
    kept.append(cycle)
    waiting_threads(kept)
    return kept
