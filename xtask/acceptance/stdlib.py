"""Instances of every C type of the standard library, as far as Python code can make them, in
states in which they hold something: python stdlib.py DIRECTORY. Then as objects.py does.

What one interpreter lacks is left out there; which C types have no instance is told in
instances.json, for the table that is made of it.
"""

import ast
import asyncio
import array
import atexit
import builtins
import bz2
import codecs
import collections
import contextvars
import copyreg
import csv
import ctypes
import datetime
import decimal
import functools
import gc
import hashlib
import hmac
import importlib
import io
import itertools
import json
import lzma
import mmap
import operator
import os
import pickle
import queue
import random
import re
import select
import socket
import sqlite3
import ssl
import string
import struct
import sys
import symtable
import tempfile
import threading
import time
import types
import typing
import unicodedata
import weakref
import xml.etree.ElementTree
import xml.parsers.expat
import zlib

TP_DEALLOC = 48
KEPT = []
LEFT_OUT = []
FILES = []


class Some:
    """A class of the program's own, whose instances C types hold."""

    def __init__(self, *what, **more):
        self.what = what

    def __iter__(self):
        return self

    def __next__(self):
        return Some()

    def __getitem__(self, index):
        if index > 100:
            raise IndexError(index)
        return Some()

    def __len__(self):
        return 3

    def __lt__(self, other):
        return id(self) < id(other)


def called(*_, **__):
    return Some()


def started(iterator, times=1):
    for _ in range(times):
        next(iterator, None)
    return iterator


def make(function):
    """Keeps what a maker yields or returns; what an interpreter lacks is left out, and said so."""
    got = []
    try:
        made = function()
        if isinstance(made, types.GeneratorType):
            for one in made:
                got.append(one)
        else:
            got.append(made)
    except Exception as error:
        LEFT_OUT.append(f"{function.__name__}: {type(error).__name__}: {error}")
    KEPT.append(got)
    return function


def temporary(content=b"line one\nline two\n" * 50):
    descriptor, path = tempfile.mkstemp()
    FILES.append(path)
    os.write(descriptor, content)
    os.close(descriptor)
    return path


@make
def containers():
    yield [Some()]
    yield (Some(),)
    yield {Some(): Some(), "name": Some()}
    yield {Some()}
    yield frozenset([Some()])
    yield collections.deque([Some() for _ in range(200)], 150)
    yield collections.OrderedDict((Some(), Some()) for _ in range(5))
    changed = collections.OrderedDict(a=Some(), b=Some(), c=Some())
    changed.move_to_end("a")
    del changed["b"]
    changed.attribute = Some()
    yield changed
    yield collections.defaultdict(called, a=Some())
    yield collections.Counter("mississippi")
    table = {Some(): Some(), Some(): Some()}
    ordered = collections.OrderedDict(table)
    for one in (table, ordered):
        for view in (one.keys(), one.values(), one.items()):
            yield from (view, started(iter(view)), started(reversed(view)))
    for sequence in ([Some()] * 3, (Some(),) * 3, "memshed", "m\u00e9mshed", b"memshed", bytearray(b"memshed"),
                     {Some(), Some()}, collections.deque([Some()] * 3), array.array("i", [1, 2, 3]), Some(),
                     memoryview(b"abc"), range(5), range(10**30, 10**31, 7)):
        yield started(iter(sequence))
    for sequence in ([Some()] * 3, (Some(),) * 3, collections.deque([Some()] * 3), range(5), Some()):
        yield started(reversed(sequence))
    yield bytearray(b"abc" * 100)
    yield array.array("d", range(100))
    yield array.array("w" if sys.version_info >= (3, 13) else "u", "text")
    yield memoryview(bytearray(b"x" * 100))[3:50:2]
    yield memoryview(array.array("i", range(5))).cast("B")
    yield slice(Some(), Some(), Some())
    yield range(10**30, 10**31, 10**25)
    yield "\udcff encoded".encode("utf-8", "surrogateescape")
    encoded = "\u4e2d text with an encoded copy %d" % len(KEPT)
    ctypes.pythonapi.PyUnicode_AsUTF8(ctypes.py_object(encoded))
    yield encoded
    yield collections.namedtuple("Pair", "left right")(Some(), Some())
    yield types.MappingProxyType({"a": Some()})
    yield types.SimpleNamespace(a=Some())
    yield [1.5, 2j, 10**50, True, None, Ellipsis, NotImplemented, b"bytes"]


@make
def iterators():
    it, one = Some, [Some(), Some()]
    yield started(itertools.accumulate(it(), called, initial=Some()), 3)
    if hasattr(itertools, "batched"):
        yield started(itertools.batched(it(), 3))
    yield started(itertools.chain(one, it()), 3)
    yield started(itertools.chain.from_iterable([one, one]))
    yield started(itertools.combinations([Some() for _ in range(4)], 2), 2)
    yield started(itertools.combinations_with_replacement([Some() for _ in range(4)], 2), 2)
    yield itertools.compress(it(), it())
    yield started(itertools.count(10**30, 7))
    yield itertools.count(1.5, 0.5)
    yield started(itertools.cycle([Some(), Some(), Some()]), 2)
    yield started(itertools.dropwhile(lambda x: False, it()))
    yield started(itertools.takewhile(called, it()))
    yield started(itertools.filterfalse(lambda x: False, it()))
    groups = itertools.groupby(it(), lambda x: 1)
    key, group = next(groups)
    yield from (groups, started(group))
    yield started(itertools.islice(it(), 1, 100, 3))
    yield started(itertools.pairwise(it()))
    yield started(itertools.permutations([Some() for _ in range(4)], 2), 2)
    yield started(itertools.product([Some(), Some()], [Some()]))
    yield itertools.repeat(Some(), 5)
    yield started(itertools.starmap(called, [(Some(),), (Some(),)]))
    first, second = itertools.tee(it())
    started(first, 130)
    yield from (first, second)
    yield started(itertools.zip_longest(it(), [Some()], fillvalue=Some()), 3)
    yield started(zip(it(), it()))
    yield started(map(called, it(), it()))
    yield started(filter(called, it()))
    yield started(enumerate(it(), 10**30))
    yield started(enumerate(it()))
    yield iter(called, Some())
    yield started(struct.iter_unpack("i", b"12345678"))
    yield started(re.finditer("a", "aaa"))
    yield started(string.Formatter().parse("a{b.c[d]!r:>{w}}"))
    _, fields = importlib.import_module("_string").formatter_field_name_split("a.b[0]")
    yield fields
    yield started(iter(list[int]))
    code = called.__code__
    yield started(code.co_lines())
    yield started(code.co_positions())
    yield unicodedata.ucd_3_2_0
    yield started(os.scandir("/"))
    with os.scandir("/") as entries:
        entry = next(entries)
        entry.stat(), entry.is_dir()
    yield entry
    yield started(os.walk("/nonexistent"))
    yield started(xml.etree.ElementTree.fromstring("<a><b/>t</a>").iter())
    yield started(contextvars.copy_context().items().__iter__())


@make
def functions():
    def outer(given):
        def inner(a, b=Some(), *rest, c=Some(), **more) -> Some:
            return given, a

        inner.attribute = Some()
        return inner

    yield outer(Some())
    yield Some().__init__
    yield from ([].append, len, Some.mro, dict.fromkeys, object.__new__, Some().__lt__)
    yield from (dict.__dict__["fromkeys"], dict.__dict__["get"], int.__dict__["real"], [].__add__, list.__add__)
    yield from (types.FunctionType.__dict__["__closure__"], classmethod(called), staticmethod(called))
    wrapped = classmethod(outer(Some()))
    wrapped.attribute = Some()
    yield wrapped

    class With:
        __slots__ = ("slot", "__weakref__")

        @property
        def documented(self):
            "documentation"

        handed = property(called, called, called, "documentation of this")

    one = With()
    one.slot = Some()
    yield from (With, one, vars(With)["slot"], vars(With)["documented"], vars(With)["handed"])

    class Special(property):
        "a property with attributes"

    yield Special(called)
    yield super(Some, Some())
    partial = functools.partial(called, Some(), key=Some())
    partial.attribute = Some()
    yield partial
    yield functools.partial(partial, 1)
    if hasattr(functools, "Placeholder"):
        yield functools.partial(called, functools.Placeholder, Some())
    for maximum in (None, 50, 0):
        cached = functools.lru_cache(maximum)(outer(Some()))
        for number in range(5):
            cached(number)
            cached(Some(), key=Some())
        cached.attribute = Some()
        yield cached
    typed = functools.lru_cache(3, typed=True)(called)
    for number in range(7):
        typed("text", number)
    yield typed
    yield functools.cmp_to_key(called)
    yield functools.cmp_to_key(called)(Some())
    yield from (operator.itemgetter("a"), operator.itemgetter("a", 2, Some()), operator.attrgetter("a.b", "c"))
    getters = operator.attrgetter("one"), operator.methodcaller("m", Some(), k=Some())
    KEPT.append(types.SimpleNamespace(one=Some(), m=called))
    getters[0](KEPT[-1]), getters[1](KEPT[-1])
    yield getters
    yield functools.singledispatch(called)
    instance_method = ctypes.pythonapi.PyInstanceMethod_New
    instance_method.restype = ctypes.py_object
    yield instance_method(ctypes.py_object(called))
    yield collections.namedtuple("Point", "x y").x


def generator(given):
    held = [given]
    try:
        raise ValueError(given)
    except ValueError:
        yield held


async def waits(given):
    held = [given]
    await Pause()
    return held


def failing():
    lost = Some()
    raise ValueError(lost)


class Pause:
    def __await__(self):
        yield self


async def async_generator(given):
    held = [given]
    yield held
    await Pause()
    yield held


@make
def running():
    yield generator(Some())
    yield started(generator(Some()))
    done = generator(Some())
    list(done)
    yield done
    suspended = waits(Some())
    suspended.send(None)
    yield suspended
    awaited = waits(Some()).__await__()
    awaited.send(None)
    yield awaited
    sys.set_coroutine_origin_tracking_depth(5)
    traced = waits(Some())
    sys.set_coroutine_origin_tracking_depth(0)
    traced.send(None)
    yield traced
    one = async_generator(Some())
    sent = one.asend(None)
    yield from (one, sent)
    other = async_generator(Some())
    try:
        other.__anext__().send(None)
    except StopIteration:
        pass
    step = other.__anext__()
    step.send(None)
    yield from (other, step)
    yield async_generator(Some()).athrow(ValueError, ValueError(Some()), None)
    yield async_generator(Some()).aclose()
    waiting = anext(async_generator(Some()), Some())
    yield waiting
    try:
        failing()
    except ValueError as error:
        yield error.__traceback__
        yield error.__traceback__.tb_frame
        if sys.version_info >= (3, 13):
            yield error.__traceback__.tb_frame.f_locals
    yield started(generator(Some())).gi_frame
    yield sys._getframe()
    yield called.__code__
    called.__code__.co_varnames, called.__code__.co_code, called.__code__.co_freevars
    yield compile("def f(x: int = 3): return [x, 'constant', (1, b'2')]", "made", "exec")


@make
def exceptions():
    def error(kind, *arguments, **attributes):
        made = kind(*arguments)
        made.note = Some()
        made.__cause__ = ValueError(Some())
        made.__context__ = KeyError(Some())
        if hasattr(made, "add_note"):
            made.add_note("a note")
        for name, value in attributes.items():
            setattr(made, name, value)
        return made

    for kind in [kind for kind in vars(builtins).values() if isinstance(kind, type) and issubclass(kind, BaseException)]:
        if issubclass(kind, UnicodeEncodeError):
            yield error(kind, "utf-%d" % len(KEPT), "text", 1, 2, "a reason of its own")
        elif issubclass(kind, UnicodeDecodeError):
            yield error(kind, "utf-%d" % len(KEPT), b"text", 1, 2, "a reason of its own")
        elif issubclass(kind, UnicodeTranslateError):
            yield error(kind, "text", 1, 2, "a reason of its own")
        elif issubclass(kind, BaseExceptionGroup):
            yield error(kind, "message", [ValueError(Some()), OSError(Some())])
        elif issubclass(kind, SyntaxError):
            yield error(kind, "message", ("file", 1, 2, "text", 3, 4), print_file_and_line=Some())
        elif issubclass(kind, OSError):
            yield error(kind, 2, "message %d" % len(KEPT), "file name", None, "second name")
        else:
            yield error(kind, Some())
    yield error(BlockingIOError, 11, "message", 5)
    yield error(ImportError, Some(), name_from=Some()) if sys.version_info >= (3, 12) else None
    named = ImportError("text", name="module", path="path")
    yield named
    try:
        Some().missing
    except AttributeError as raised:
        yield raised
    try:
        undefined_name  # noqa: F821
    except NameError as raised:
        yield raised
    yield StopIteration(Some())
    yield SystemExit([Some()])
    yield StopAsyncIteration(Some())
    yield re.error("message", "pattern", 1)
    yield json.JSONDecodeError("message", "document", 1)
    for make_error in (lambda: json.loads("{"), lambda: xml.etree.ElementTree.fromstring("<a"), lambda: sqlite3.connect("/nonexistent/x")):
        try:
            make_error()
        except Exception as raised:
            yield raised
    yield from (ssl.SSLError(1, "text"), socket.gaierror(1, "text"), zlib.error(Some()), struct.error(Some()), lzma.LZMAError(Some()),
                decimal.InvalidOperation(Some()), asyncio.CancelledError(Some()), queue.Empty(Some()), pickle.PicklingError(Some()), csv.Error(Some()))


@make
def references():
    target = Some()
    KEPT.append(target)
    yield weakref.ref(target)
    yield weakref.ref(target, called)
    yield weakref.proxy(target, called)
    KEPT.append(called_proxy := lambda: None)
    yield weakref.proxy(called_proxy, called)
    yield weakref.WeakMethod(target.__init__)
    yield weakref.WeakValueDictionary(a=target)
    yield weakref.WeakKeyDictionary({target: Some()})
    yield weakref.WeakSet([target])
    yield weakref.finalize(target, called, Some())
    dead = weakref.ref(Some())
    gc.collect()
    yield dead

    class Keyed(weakref.ref):
        pass

    keyed = Keyed(target, called)
    keyed.attribute = Some()
    yield keyed


@make
def typing_types():
    yield from (list[Some], dict[str, list[Some]], list[typing.TypeVar("X")], int | Some, typing.Optional[Some])
    yield typing.Callable[[int], Some]
    variable = typing.TypeVar("Variable", bound=Some)
    yield from (variable, typing.TypeVar("Constrained", int, Some), typing.ParamSpec("P", bound=Some))
    yield typing.TypeVar("Varying", covariant=True)
    yield typing.ParamSpec("P").args
    yield typing.ParamSpec("P").kwargs
    yield typing.NewType("New", int)
    yield typing.TypeVarTuple("Ts")
    yield list[int].__or__(str)
    yield (int | str | list[variable])[Some]
    if sys.version_info >= (3, 12):
        made = {"Some": Some}
        exec("type Alias[X: Some, *Ys, **Z] = dict[X, Some]\nclass Generic[T: Some]:\n  def method[U: (int, Some)](self): pass\n"
             "type Lazy = Missing", made)
        made["Alias"].__value__, made["Alias"].__type_params__[0].__bound__
        yield made
        yield made["Alias"][int]
    if sys.version_info >= (3, 13):
        yield typing.TypeVar("Default", default=Some)
        yield typing.ParamSpec("P", default=[Some])
        yield typing.TypeVarTuple("Ts", default=list[Some])
        exec("class Default[T = Some, **Z = [int]]: pass\nX = [p.__default__ for p in Default.__type_params__]", made)
        yield made
        exec("class Later[T = Missing]: pass", made)
        exec("class Evaluated[T: Some]: pass\nY = getattr(Evaluated.__type_params__[0], 'evaluate_bound', None)", made)
    if sys.version_info >= (3, 14):
        yield variable.evaluate_bound
        exec("def annotated(x: Missing, y: Some): pass", made)
        yield made["annotated"].__annotate__
        yield eval("t'one {called!r:>3} two {KEPT}'")
        yield iter(eval("t'one {called!r:>3} two'"))
    yield ast.parse("x = [1, 'two']", mode="exec")
    yield symtable.symtable("def f(x):\n  y = 1\n  return lambda: x + y", "made", "exec").get_children()[0]
    yield importlib.import_module("_symtable").symtable("class A:\n  def f(self): return super().f", "made", "exec")


@make
def contexts():
    variables = [contextvars.ContextVar("variable_%d" % number, default=Some()) for number in range(100)]

    def inside(count):
        tokens = [variable.set(Some()) for variable in variables[:count]]
        variables[0].reset(tokens[0])
        KEPT.append(variables[0].set(Some()))
        KEPT.append(tokens)

    for count in (1, 5, 40, 100):
        context = contextvars.copy_context()
        context.run(inside, count)
        yield context
    yield variables
    yield contextvars.copy_context()
    hamts = [one for one in gc.get_referents(KEPT[-1]) if type(one).__name__ == "hamt"]
    yield hamts
    used = contextvars.copy_context()
    used.run(inside, 3)
    for view in (used.keys(), used.values(), used.items()):
        yield from (view, started(iter(view)))


@make
def threads():
    lock = threading.Lock()
    lock.acquire()
    reentrant = threading.RLock()
    reentrant.acquire()
    yield from (lock, reentrant, threading.Condition(), threading.Event(), threading.Semaphore(), threading.Barrier(2))
    local = threading.local()
    local.attribute = Some()
    yield local

    class Local(threading.local):
        def __init__(self, *given, **more):
            self.given = given

    special = Local(Some(), key=Some())
    yield special
    started_one = threading.Event()
    stop = threading.Event()

    def body():
        local.attribute = Some()
        special.other = Some()
        started_one.set()
        stop.wait()

    thread = threading.Thread(target=body, daemon=True)
    thread.start()
    started_one.wait()
    yield from (thread, stop)
    simple = queue.SimpleQueue()
    for _ in range(20):
        simple.put(Some())
    for _ in range(15):
        simple.get()
    for _ in range(10):
        simple.put(Some())
    yield simple
    filled = queue.Queue()
    filled.put(Some())
    yield filled
    yield importlib.import_module("_thread")._ExceptHookArgs((ValueError, ValueError(Some()), None, thread))
    import multiprocessing.synchronize

    yield importlib.import_module("_multiprocessing").SemLock(1, 1, 1, "/memshed-%d" % os.getpid(), True)


@make
def files():
    path = temporary()
    raw = io.FileIO(path, "r+")
    raw.attribute = Some()
    yield raw
    buffered = open(path, "rb")
    buffered.read(3)
    yield buffered
    text = open(path, encoding="utf-8")
    text.readline()
    next(text)
    text.attribute = Some()
    yield text
    written = open(temporary(), "w", newline="\r\n")
    written.write("pending" * 10)
    yield written
    yield open(temporary(), "r+b")
    for name in ("BufferedReader", "BufferedRandom"):
        yield getattr(io, name)(io.FileIO(path, "r+"), 100)
    yield io.BufferedWriter(io.FileIO(temporary(), "w"))
    yield io.BufferedRWPair(open("/dev/zero", "rb", buffering=0), open("/dev/null", "wb", buffering=0))
    memory = io.BytesIO(b"text" * 100)
    memory.attribute = Some()
    yield memory
    view = io.BytesIO(b"text" * 50)
    yield from (view, view.getbuffer())
    for state in range(3):
        pieces = io.StringIO(newline=None if state == 1 else "\n")
        pieces.write("text" * 50)
        pieces.write("more" * 50)
        if state == 2:
            pieces.seek(3)
            pieces.write("x")
        pieces.attribute = Some()
        yield pieces
    yield io.IncrementalNewlineDecoder(codecs.getincrementaldecoder("utf-8")(), translate=True)
    for name in ("_IOBase", "_RawIOBase", "_BufferedIOBase", "_TextIOBase"):
        yield getattr(importlib.import_module("_io"), name)()
    mapped = mmap.mmap(-1, 1 << 16)
    yield mapped
    with open(path, "rb") as file:
        yield mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    yield memoryview(mapped)
    poll = select.poll()
    poll.register(0)
    yield from (poll, select.epoll())
    for name in ("shift_jis", "utf-8", "iso2022_jp", "ascii"):
        yield codecs.getincrementalencoder(name)()
        yield codecs.getincrementaldecoder(name)()
        yield codecs.getreader(name)(io.BytesIO(b"x"))
        yield codecs.getwriter(name)(io.BytesIO(b"x"))
        yield codecs.lookup(name)
    yield importlib.import_module("_codecs_jp").getcodec("euc_jp")
    yield codecs.charmap_build("".join(map(chr, range(256))))
    yield os.stat("/")
    yield time.localtime()
    yield os.get_terminal_size(os.open("/dev/null", 0)) if False else os.times()
    yield importlib.import_module("resource").getrusage(0)
    yield importlib.import_module("pwd").getpwuid(0)
    if sys.version_info >= (3, 12):
        lines = iter(["x = 1\n", "y = 2\n", ""])
        tokens = importlib.import_module("_tokenize").TokenizerIter(lambda: next(lines, ""), extra_tokens=True)
        yield started(tokens)


@make
def compressors():
    data = bytes(range(256)) * 20
    for module in (bz2, lzma):
        name = "BZ2" if module is bz2 else "LZMA"
        compressor = getattr(module, name + "Compressor")()
        yield from (compressor, compressor.compress(data))
        decompressor = getattr(module, name + "Decompressor")()
        decompressor.decompress(module.compress(data) + b"left over", 10)
        yield decompressor
        ended = getattr(module, name + "Decompressor")()
        ended.decompress(module.compress(data) + b"left over")
        yield ended
    yield zlib.compressobj()
    compressor = zlib.compressobj(zdict=b"dictionary")
    compressor.compress(data)
    yield compressor
    decompressor = zlib.decompressobj(zdict=b"dictionary")
    yield decompressor
    ended = zlib.decompressobj()
    ended.decompress(zlib.compress(data) + b"left over")
    yield ended
    if hasattr(zlib, "_ZlibDecompressor"):
        decompressor = zlib._ZlibDecompressor()
        decompressor.decompress(zlib.compress(data) + b"left over", 10)
        yield decompressor
    if sys.version_info >= (3, 14):
        try:
            zstd = importlib.import_module("compression.zstd")
        except ImportError:
            return
        dictionary = zstd.train_dict([bytes([n]) * 100 + data[:n] for n in range(200)], 3000)
        compressor = zstd.ZstdCompressor(zstd_dict=dictionary)
        yield from (dictionary, compressor, compressor.compress(data))
        decompressor = zstd.ZstdDecompressor()
        decompressor.decompress(zstd.compress(data) + b"left over", 10)
        yield decompressor


@make
def hashes():
    for name in sorted(hashlib.algorithms_guaranteed):
        yield hashlib.new(name, b"text")
    for name in ("_md5", "_sha1", "_sha2", "_sha256", "_sha512", "_sha3", "_blake2"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        for function in ("md5", "sha1", "sha224", "sha256", "sha384", "sha512", "sha3_224", "sha3_256", "sha3_384", "sha3_512", "shake_128", "shake_256", "blake2b", "blake2s"):
            if hasattr(module, function):
                yield getattr(module, function)(b"text" * 100)
    yield hmac.new(b"key", b"message", "sha256")
    if sys.version_info >= (3, 14):
        try:
            yield importlib.import_module("_hmac").new(b"key", b"message", "sha256")
        except ImportError:
            pass
    yield random.Random(5)
    yield importlib.import_module("_random").Random(3)


@make
def network():
    left, right = socket.socketpair()
    yield from (left, right)


@make
def secure():
    context = ssl.create_default_context()
    yield context
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.set_servername_callback(called)
    yield server
    yield context.session_stats()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    incoming.write(b"x" * 100)
    wrapped = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    yield from (incoming, outgoing, wrapped)
    try:
        wrapped.do_handshake()
    except ssl.SSLError as error:
        yield error
    left, right = socket.socketpair()
    over_socket = context.wrap_socket(left, server_hostname="localhost", do_handshake_on_connect=False)
    yield from (over_socket, right)
    certificates = context.get_ca_certs(True)
    yield certificates
    if hasattr(context, "_msg_callback"):
        noisy = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        noisy._msg_callback = lambda *_: None
        yield noisy


@make
def databases():
    connection = sqlite3.connect(":memory:", detect_types=sqlite3.PARSE_DECLTYPES)
    connection.row_factory = sqlite3.Row
    connection.text_factory = lambda data: data
    connection.execute("create table t (a, b)")
    connection.executemany("insert into t values (?, ?)", [(n, "row %d" % n) for n in range(100)])
    connection.create_function("called", 1, called)
    connection.create_collation("collation", called)
    connection.create_aggregate("aggregate", 1, Some)
    connection.set_authorizer(None)
    connection.set_trace_callback(lambda text: None)
    connection.set_progress_handler(lambda: 0, 1000000)
    cursor = connection.execute("select * from t")
    cursor.row_factory = sqlite3.Row
    yield from (connection, cursor, cursor.fetchone(), cursor.fetchall()[:3])
    other = connection.cursor()
    other.execute("select a, b from t where a > ?", (5,))
    other.arraysize = 7
    yield from (other, started(iter(other)))
    connection.execute("create table blobs (b blob)")
    connection.execute("insert into blobs values (zeroblob(100))")
    yield connection.blobopen("blobs", "b", 1)
    yield sqlite3.PrepareProtocol()
    plain = sqlite3.connect(":memory:")
    yield from (plain, plain.execute("select 1"), plain.iterdump())
    for name in ("_gdbm", "_dbm"):
        try:
            module = importlib.import_module(name)
        except ImportError:
            continue
        FILES.append(directory := tempfile.mkdtemp())
        yield module.open(os.path.join(directory, "database"), "c")


@make
def foreign():
    class Point(ctypes.Structure):
        _fields_ = [("x", ctypes.c_int), ("y", ctypes.c_double), ("name", ctypes.c_char_p), ("object", ctypes.py_object)]

    class Either(ctypes.Union):
        _fields_ = [("i", ctypes.c_int), ("p", ctypes.POINTER(Point)), ("bits", ctypes.c_int, 3)]

    point = Point(1, 2.0, b"name", Some())
    yield from (Point, Either, point, Point.x, Either.bits, ctypes.pointer(point), ctypes.byref(point))
    either = Either()
    either.p = ctypes.pointer(point)
    yield either
    many = (Point * 100)()
    many[0] = point
    yield from (many, many[1], ctypes.c_int(5), ctypes.c_char_p(b"text"), ctypes.create_string_buffer(5000))
    yield ctypes.cast(many, ctypes.POINTER(Point))
    prototype = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.POINTER(Point))
    function = prototype(called)
    yield from (prototype, function)
    library = ctypes.CDLL(None)
    library.strlen.argtypes = [ctypes.c_char_p]
    library.strlen.restype = ctypes.c_size_t
    library.strlen.errcheck = lambda result, function, arguments: result
    library.strlen(b"text")
    yield from (library, library.strlen, ctypes.c_int.from_param(3), ctypes.py_object(Some()), ctypes.c_wchar_p("text"))
    yield ctypes.pythonapi.PyErr_Clear
    big = ctypes.BigEndianStructure
    yield type("Big", (big,), {"_fields_": [("x", ctypes.c_int)]})(3)
    capsule = ctypes.pythonapi.PyCapsule_New
    capsule.restype = ctypes.py_object
    capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    yield capsule(12345, b"name", None)
    yield pickle.PickleBuffer(bytearray(b"text" * 100))


@make
def numbers():
    yield [decimal.Decimal("%d.5" % n) for n in range(10)]
    with decimal.localcontext(decimal.Context(prec=5000)):
        yield decimal.Decimal(10) ** 3000 / 7
    context = decimal.Context(prec=50, traps=[decimal.Inexact])
    yield from (context, context.copy().flags, decimal.localcontext(context))
    yield decimal.getcontext()
    zone = datetime.timezone(datetime.timedelta(hours=3), "a zone's name")
    moment = datetime.datetime(2024, 1, 1, tzinfo=zone)
    yield from (zone, datetime.timezone(datetime.timedelta(hours=-7)), moment, moment.replace(tzinfo=None), moment.timetz(), moment.time())
    yield from (moment.date(), datetime.timedelta(days=3), moment.isocalendar())

    class Zone(datetime.tzinfo):
        pass

    yield Zone()
    yield datetime.time(1, 2, tzinfo=Zone())
    zoneinfo = importlib.import_module("zoneinfo")
    for name in ("Europe/Berlin", "UTC", "America/New_York"):
        try:
            yield zoneinfo.ZoneInfo(name)
        except Exception:
            LEFT_OUT.append(f"time zone {name}")
    yield struct.Struct("iid5s")


@make
def texts():
    pattern = re.compile("a(?P<n>b+)(c|d)*")
    found = pattern.match("abbbcd")
    found.regs, found.groupdict()
    yield from (pattern, found, started(pattern.scanner("abcabc").__class__ and iter([pattern.scanner("abcabc")])))
    scanner = pattern.scanner("abcabc")
    scanner.search()
    yield scanner
    yield re.compile(b"bytes(.)").search(b"bytesx")
    template = importlib.import_module("re")._compile_template(pattern, r"x\g<n>y\2") if sys.version_info >= (3, 12) else None
    yield template
    yield json.JSONDecoder(object_hook=called, parse_float=called).scan_once
    yield json.encoder.c_make_encoder({}, called, called, None, ":", ",", False, False, True)
    yield json.encoder.c_make_encoder(None, called, json.encoder.encode_basestring_ascii, " ", ":", ",", False, False, True)
    reader = csv.reader(iter(["a,b,c", "d,e"]), delimiter=",")
    next(reader)
    yield from (reader, reader.dialect)
    yield csv.reader(Some())
    yield csv.writer(io.StringIO(), quoting=csv.QUOTE_ALL)
    pickler = pickle.Pickler(io.BytesIO())
    pickler.dispatch_table = {Some: lambda one: (Some, ())}
    pickler.dump([Some(), Some(), "text"])
    yield from (pickler, pickler.memo)
    unpickler = pickle.Unpickler(io.BytesIO(pickle.dumps([Some(), Some()])))
    unpickler.load()
    yield from (unpickler, unpickler.memo)

    class Persistent(pickle.Pickler):
        def persistent_id(self, value):
            return None

        def reducer_override(self, value):
            return NotImplemented

    special = Persistent(io.BytesIO(), 5, buffer_callback=called)
    special.dump([Some()])
    yield special

    class Loading(pickle.Unpickler):
        def persistent_load(self, value):
            return None

    yield Loading(io.BytesIO(b""), buffers=[Some()], encoding="latin-1")
    root = xml.etree.ElementTree.fromstring("<a x='1'>text<b>more</b>tail<c/><c/><c/><c/><c/></a>")
    yield from (root, root.attrib, started(root.iter()), started(root.iterfind("c")), started(root.itertext()))
    builder = xml.etree.ElementTree.TreeBuilder(insert_comments=True)
    builder.start("a", {"x": "1"})
    builder.data("text")
    builder.start("b", {})
    yield builder
    parser = xml.etree.ElementTree.XMLParser(target=xml.etree.ElementTree.TreeBuilder())
    parser.feed("<a><b>text")
    yield parser
    pull = xml.etree.ElementTree.XMLPullParser(["start", "end", "start-ns"])
    pull.feed("<a xmlns='u'><b>text</b>")
    yield pull
    expat = xml.parsers.expat.ParserCreate(intern={})
    expat.StartElementHandler = called
    expat.CharacterDataHandler = called
    expat.buffer_text = True
    expat.Parse("<a><b>text")
    yield expat


def unraisable():
    class Unraisable:
        def __del__(self):
            raise ValueError(Some())

    Unraisable()


@make
def modules():
    module = types.ModuleType("made", "documentation")
    module.attribute = Some()
    yield module
    yield from (sys.flags, sys.version_info, sys.float_info, sys.hash_info, sys.int_info, sys.thread_info, sys.implementation)
    yield from (sys.stderr, sys.__loader__ if hasattr(sys, "__loader__") else None, sys.getsizeof)
    profiler = importlib.import_module("_lsprof").Profiler(time.perf_counter)
    yield profiler
    yield importlib.import_module("_abc")._abc_init and collections.abc.Mapping
    if sys.version_info < (3, 13):
        interpreters = importlib.import_module("_xxsubinterpreters")
    else:
        interpreters = importlib.import_module("_interpreters")
    yield interpreters
    yield sys._current_frames()
    if sys.version_info >= (3, 12):
        yield sys.monitoring
    yield importlib.import_module("_queue").Empty
    atexit.register(called, Some())
    yield copyreg.dispatch_table
    posix = importlib.import_module("posix")
    yield posix.sched_param(3)
    yield os.uname()
    yield importlib.import_module("grp").getgrgid(0)
    yield importlib.import_module("_struct").Struct("i")
    yield importlib.import_module("_socket").socket()
    yield from (os.statvfs("/"), sys.get_asyncgen_hooks(), os.terminal_size((80, 25)))
    profiler.enable()
    called(), sorted([Some(), Some()])
    profiler.disable()
    yield profiler.getstats()
    hooked = []
    sys.unraisablehook, before = hooked.append, sys.unraisablehook
    weakref.finalize(Some(), called)
    unraisable()
    sys.unraisablehook = before
    yield hooked


@make
def between_interpreters():
    if sys.version_info >= (3, 12):
        name = "_xxinterpchannels" if sys.version_info < (3, 13) else "_interpchannels"
        channels = importlib.import_module(name)
        yield channels.create(*(() if sys.version_info < (3, 13) else (3,)))


async def tasks():
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    for _ in range(3):
        future.add_done_callback(called)
    failed, cancelled, done = (loop.create_future() for _ in range(3))
    failed.set_exception(KeyError(Some()))
    failed.exception()
    cancelled.cancel(Some())
    done.set_result(Some())

    async def waiter(of):
        held = Some()
        await of
        return held

    waiting = asyncio.create_task(waiter(future), name="a name")
    others = [asyncio.create_task(waiter(waiting)) for _ in range(3)]
    finished = asyncio.create_task(waiter(done))
    gathered = asyncio.gather(*others)
    for _ in range(3):
        await asyncio.sleep(0)
    handle = loop.call_later(1000, called, Some())
    KEPT.append([future, failed, cancelled, done, waiting, others, finished, gathered, handle, iter(future), asyncio.Queue(), asyncio.Lock()])
    fresh = asyncio.create_task(waiter(future))
    loop.set_debug(True)
    KEPT.append([fresh, loop.create_future(), asyncio.create_task(waiter(future))])
    await asyncio.sleep(0)


def event_loop():
    """A loop that is left in the middle: its tasks stay as they are."""
    loop = asyncio.new_event_loop()
    KEPT.append(loop)
    loop.run_until_complete(tasks())


def dealloc(kind):
    return ctypes.c_void_p.from_address(id(kind) + TP_DEALLOC).value


def c_types():
    """Every type that C code made."""
    ours = dealloc(Some)
    found, pending = {}, [object]
    while pending:
        kind = pending.pop()
        for below in type.__subclasses__(kind):
            if below not in found:
                found[below] = dealloc(below) != ours
                pending.append(below)
    return {kind for kind, of_c in found.items() if of_c}


def without_instance():
    """The C types of which nothing was made, and which are not merely bases of others."""
    alive, seen = set(), set()
    todo = list(gc.get_objects())
    while todo:
        one = todo.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        alive.add(type(one))
        todo += gc.get_referents(one)
    used = {base for kind in alive for base in type.mro(kind)}
    return sorted(f"{kind.__module__}.{kind.__qualname__}" for kind in c_types() - used)


def main():
    import truth

    event_loop()
    said = {"without": without_instance(), "left_out": LEFT_OUT, "types": len(c_types())}
    with open(os.path.join(sys.argv[1], "instances.json"), "w") as file:
        json.dump(said, file)
    for path in FILES:
        if os.path.isfile(path):
            os.unlink(path)
    truth.hold(sys.argv[1], edges=True)


main()
